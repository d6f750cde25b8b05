--- bin/neap as a process of its own, with the interpreter that runs the specs.
local process = require "spec.support.process"

local program = {}

--- That interpreter, as the shell wants it.
program.interpreter = process.quoted(os.getenv("NEAP_LUA") or arg[-1])

--- The command line of the program with these words.
---@param ... string
---@return string
function program.command(...)
  local words = { program.interpreter, "bin/neap" }
  for _, word in ipairs{ ... } do
    words[#words + 1] = process.quoted(word)
  end
  return table.concat(words, " ")
end

--- Runs a command line: its status, and all that it prints. What it says on stderr stands in that,
--- too, unless it goes to the file `errors`.
---@param command string
---@param errors? string
---@return integer status
---@return string text
function program.run(command, errors)
  local pipe = assert(io.popen(('%s 2>%s; echo "status $?"'):format(command,
    errors and process.quoted(errors) or "&1")))
  local text, status = pipe:read("*a"):match("^(.-)status (%d+)\n$")
  pipe:close()
  return tonumber(status), text
end

return program
