--- How a command of the program `neap` ends: exit statuses, and sentences for people on stderr.
local ending = {
  OK = 0,
  FAILED = 1, -- it cannot work, or what it looked for is not as it should be
  MISUSED = 2, -- wrong usage
}

--- Tells a line on stderr.
---@param text string a format of string.format
function ending.say(text, ...)
  io.stderr:write("neap: ", text:format(...), "\n")
end

--- Ends the program: raises what lua/neap/program.lua tells and exits with.
---@param status integer
---@param text string a format of string.format
function ending.give_up(status, text, ...)
  error({ status = status, text = text:format(...) }, 0)
end

local function check_stdout(written, message)
  if not written then
    ending.give_up(ending.FAILED, "stdout: %s", message)
  end
end

--- Writes to stdout. What a full disk or a closed stream does not take ends the program.
---@param ... string
function ending.print(...)
  check_stdout(io.stdout:write(...))
end

--- The same with the end of the line. (Lua's own print tells nobody.)
---@param text? string
function ending.print_line(text)
  ending.print(text or "", "\n")
end

--- Nothing that has been printed is left in a buffer, or the program ends for that.
function ending.flush()
  check_stdout(io.stdout:flush())
end

--- A value, or the end of the program with what is wrong.
---@generic T
---@param value T|nil
---@param err any
---@return T
function ending.checked(value, err)
  if value == nil then
    ending.give_up(ending.FAILED, "%s", tostring(err))
  end
  return value
end

return ending
