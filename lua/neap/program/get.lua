--- `neap get`: see lua/neap/program/request.lua.
return require "neap.program.request" "GET"
