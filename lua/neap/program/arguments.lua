--- Reads what stands on the command line: options of a command, each with a reader of its value,
--- and operands.
local ending = require "neap.program.ending"

local arguments = {}

-- A reader takes the text and answers the value, or nil and what was expected.

function arguments.whole(text)
  local number = tonumber(text)
  return number and number >= 1 and number % 1 == 0 and number or nil, "a whole number >= 1"
end

function arguments.seconds(text)
  local number = tonumber(text)
  return number and number > 0 and number < 1e9 and number or nil, "a number of seconds > 0"
end

function arguments.positive(text)
  local number = tonumber(text)
  return number and number > 0 and number < 1e18 and number or nil, "a number > 0"
end

function arguments.text(text)
  return text ~= "" and text or nil, "a text"
end

local function read_value(read, name, value)
  if not value then
    ending.give_up(ending.MISUSED, "--%s wants a value", name)
  end
  local read_as, expected = read(value)
  if read_as == nil then
    ending.give_up(ending.MISUSED, "--%s: expected %s, got %q", name, expected, value)
  end
  return read_as
end

--- The options by their names, and the operands in order. `known` has a reader for each option, or
--- true for one without a value.
---@param command string its name
---@param known table<string, function|true>
---@param words string[] all that stands on the command line, the command's name first
---@return table given
---@return string[] operands
function arguments.read(command, known, words)
  local given, operands = {}, {}
  local index = 2
  while index <= #words do
    local name, value = words[index]:match("^%-%-([%w-]+)=?(.*)$")
    if not name then
      operands[#operands + 1] = words[index]
    elseif not known[name] then
      ending.give_up(ending.MISUSED, "%s has no option --%s", command, name)
    elseif known[name] == true then
      given[name] = true
    else
      if not words[index]:find("=", 1, true) then
        index = index + 1
        value = words[index]
      end
      given[name] = read_value(known[name], name, value)
    end
    index = index + 1
  end
  return given, operands
end

return arguments
