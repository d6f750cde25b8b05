--- JSON by whichever library is there: cjson first, then dkjson. neap needs neither to run.
local json = {}

local found_cjson, cjson, found_dkjson, dkjson

local function find_libraries()
  if found_cjson == nil then
    found_cjson, cjson = pcall(require, "cjson.safe")
    found_dkjson, dkjson = pcall(require, "dkjson")
  end
end

local MISSING = "JSON needs the Lua library cjson or dkjson, and neither is installed"

-- cjson writes at most 14 digits of a number: enough for prices, not for every identifier. So does
-- dkjson where Lua has no integers.
local function is_exact(value, seen)
  if type(value) == "number" then
    return value % 1 ~= 0 or tonumber(("%.14g"):format(value)) == value
  end
  if type(value) ~= "table" or seen[value] then
    return true
  end
  seen[value] = true
  for key, one in pairs(value) do
    if not is_exact(key, seen) or not is_exact(one, seen) then
      return false
    end
  end
  return true
end

local function encode_by_dkjson(value)
  local done, text = pcall(dkjson.encode, value)
  if done then
    return text
  end
  return nil, text
end

--- The value as JSON, or nil and a message.
---@param value any
---@return string? text
---@return string? message
function json.encode(value)
  find_libraries()
  if found_cjson and is_exact(value, {}) then
    return cjson.encode(value)
  end
  if not found_cjson and not found_dkjson then
    return nil, MISSING
  end
  if not is_exact(value, {}) and not (found_dkjson and math.type) then
    return nil, "a whole number of more than 14 digits cannot be written exactly; give a string"
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
