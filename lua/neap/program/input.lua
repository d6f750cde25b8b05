--- Reads what a command is given: a file, or stdin where its name is `-`.
local ending = require "neap.program.ending"

--- All of it, byte for byte, or the end of the program.
---@param path string
---@return string
return function(path)
  local file, message = io.stdin, nil
  if path ~= "-" then
    file, message = io.open(path, "rb")
  end
  local text = file and file:read("*a")
  if file and path ~= "-" then
    file:close()
  end
  if not text then
    ending.give_up(ending.FAILED, "%s", message or path .. ": cannot be read")
  end
  return text
end
