--- Reads what stands on the command line: options of a command, each with a reader of its value,
--- and operands.
local core = require "neap.core"
local ending = require "neap.program.ending"

local arguments = {}

-- A reader takes the text and answers the value, or nil, what was expected and, where the text may
-- hold a secret, what to say of it instead.

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
  local read_as, expected, got = read(value)
  if read_as == nil then
    ending.give_up(ending.MISUSED, "--%s: expected %s, got %s", name, expected,
      got or ("%q"):format(value))
  end
  return read_as
end

--- A reader for an option that may be given more than once: its values become a list.
---@param read function
---@return table
function arguments.repeated(read)
  return { read = read }
end

-- The option that a word names, and its value where it stands in the same word.
local function option_in(word, short)
  local name, value = word:match("^%-%-([%w-]+)=(.*)$")
  if name then
    return name, value
  end
  local letter = word:match("^%-(%a)$")
  if letter then
    return short and short[letter] or letter
  end
  return word:match("^%-%-([%w-]+)$")
end

local function keep(given, name, how, value)
  if type(how) == "table" then
    given[name] = given[name] or {}
    table.insert(given[name], read_value(how.read, name, value))
  else
    given[name] = read_value(how, name, value)
  end
end

--- A word of the command line between quotes; "..." for what may be a secret.
---@param word string
---@return string
function arguments.quoted(word)
  local shown = core.shown_key(word)
  return shown:find('^"') and shown or ('"%s"'):format(shown)
end

--- The options by their names, and the operands in order. `known` has a reader for each option,
--- arguments.repeated of one, or true for one without a value.
---@param command string its name
---@param known table<string, function|table|true>
---@param words string[] all that stands on the command line, the command's name first
---@param short? table<string, string> letters that stand for options, `-v` for --verbose
---@return table given
---@return string[] operands
function arguments.read(command, known, words, short)
  local given, operands = {}, {}
  local index = 2
  while index <= #words do
    local name, value = option_in(words[index], short)
    if not name then
      operands[#operands + 1] = words[index]
    elseif not known[name] then
      ending.give_up(ending.MISUSED, "%s has no option %s", command,
        core.shown_key(words[index]:match("^[^=]*")))
    elseif known[name] == true and value then
      ending.give_up(ending.MISUSED, "--%s takes no value", name)
    elseif known[name] == true then
      given[name] = true
    else
      if not value then
        index = index + 1
        value = words[index]
      end
      keep(given, name, known[name], value)
    end
    index = index + 1
  end
  return given, operands
end

return arguments
