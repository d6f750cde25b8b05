--- JSON by whichever library is there: cjson first, then dkjson. neap needs neither to run.
local core = require "neap.core"

local json = {}

local found_cjson, cjson, found_dkjson, dkjson

local function find_libraries()
  if found_cjson == nil then
    found_cjson, cjson = pcall(require, "cjson.safe")
    found_dkjson, dkjson = pcall(require, "dkjson")
  end
end

local MISSING = "JSON needs the Lua library cjson or dkjson, and neither is installed"
local TOO_LONG = "a whole number of more than 14 digits cannot be written exactly; give a string"

local DEEPEST = 2000
local WHOLE = {} -- in the place of a key

-- Notes which numbers the value has that a library would not write as they are, by their key: cjson
-- writes at most 14 digits, which is enough for prices, not for every identifier; so does dkjson,
-- but for Lua's integers, and it writes nan as null. What lies too deep the libraries refuse.
local function look(value, found, key, depth)
  if type(value) == "number" then
    if value ~= value or math.abs(value) == math.huge then
      found.infinite = key
    elseif value % 1 == 0 and tonumber(("%.14g"):format(value)) ~= value then
      found[math.type and math.type(value) == "integer" and "integer" or "float"] = true
    end
  elseif type(value) == "table" and not found.seen[value] and depth < DEEPEST then
    found.seen[value] = true
    for name, one in pairs(value) do
      look(name, found, name, depth + 1)
      look(one, found, name, depth + 1)
    end
  end
end

-- What stands for null in cjson is a value that dkjson does not know.
local function write_null(_, value)
  return found_cjson and value == cjson.null and "null" or nil
end

local function encode_by_dkjson(value)
  local done, text = pcall(dkjson.encode, value, { exception = write_null })
  if done then
    return text
  end
  return nil, text
end

local function named(key)
  if key == WHOLE then
    return "the value"
  end
  return (type(key) == "string" and "%s" or "[%s]"):format(core.shown_key(key))
end

--- The value as JSON, or nil and a message.
---@param value any
---@return string? text
---@return string? message
function json.encode(value)
  find_libraries()
  if not found_cjson and not found_dkjson then
    return nil, MISSING
  end
  local found = { seen = {} }
  look(value, found, WHOLE, 0)
  if found.infinite then
    return nil, ("%s is nan or infinite, which JSON has not"):format(named(found.infinite))
  end
  if found.float or found.integer and not found_dkjson then
    return nil, TOO_LONG
  end
  if found_cjson and not found.integer then
    return cjson.encode(value)
  end
  return encode_by_dkjson(value)
end

--- What the text means, or nil and a message. JSON's null is the library's own.
---@param text string
---@return any value
---@return string? message
function json.decode(text)
  find_libraries()
  if found_cjson then
    return cjson.decode(text)
  end
  if not found_dkjson then
    return nil, MISSING
  end
  local value, _, message = dkjson.decode(text, 1, dkjson.null)
  return value, message
end

return json
