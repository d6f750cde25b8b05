--- JSON for other programs to read: no library is needed, and equal values give equal texts.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127]', function(character)
    return ESCAPES[character] or ("\\u%04x"):format(character:byte())
  end) .. '"'
end

-- JSON has neither infinity nor NaN. A whole number is written as one on each Lua.
local function number_text(number)
  if number ~= number or number == math.huge or number == -math.huge then
    return "null"
  end
  if number % 1 == 0 and math.abs(number) < 2 ^ 53 then
    return ("%d"):format(number)
  end
  local short = ("%.15g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

-- An empty table may say so, in the manner of dkjson.
local function says_object(value)
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__jsontype == "object"
end

local encode

local function list_text(list)
  local parts = {}
  for index, value in ipairs(list) do
    parts[index] = encode(value)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function object_text(object)
  local names, parts = {}, {}
  for name in pairs(object) do
    names[#names + 1] = name
  end
  table.sort(names)
  for index, name in ipairs(names) do
    parts[index] = quoted(name) .. ":" .. encode(object[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  local kind = type(value)
  if kind == "table" then
    local is_object = type(next(value)) == "string" or says_object(value)
    return is_object and object_text(value) or list_text(value)
  end
  return kind == "string" and quoted(value) or kind == "number" and number_text(value)
    or tostring(value)
end

--- The value as JSON, names of objects in order. A table is an object if its keys are strings, and
--- a list else, also where it is empty and its metatable has no `__jsontype = "object"`.
---@param value table|string|number|boolean
---@return string
return encode
