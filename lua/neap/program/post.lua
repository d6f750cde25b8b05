--- `neap post`: see lua/neap/program/request.lua.
return require "neap.program.request" "POST"
