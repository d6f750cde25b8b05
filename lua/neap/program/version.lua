--- `neap version`: prints the version of neap.
local ending = require "neap.program.ending"
local neap = require "neap"

local print = ending.print_line

local version = {
  usage = "version",
  summary = "print the version",
  operands = 0,
  options = {},
  help = [[
Prints `neap` and its version; so does neap --version.
]],
}

function version.run()
  print("neap " .. neap._VERSION)
  return ending.OK
end

return version
