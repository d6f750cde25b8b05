--- JSON by whichever library is there: cjson first, then dkjson. neap needs neither to run.
local json = {}

local codec

local function find_codec()
  local found, cjson = pcall(require, "cjson.safe")
  if found then
    return { encode = cjson.encode, decode = cjson.decode }
  end
  local dkjson
  found, dkjson = pcall(require, "dkjson")
  if not found then
    return nil
  end
  return {
    encode = function(value)
      local done, text = pcall(dkjson.encode, value)
      if done then
        return text
      end
      return nil, text
    end,
    decode = function(text)
      local value, _, message = dkjson.decode(text, 1, dkjson.null)
      return value, message
    end,
  }
end

local MISSING = "JSON needs the Lua library cjson or dkjson, and neither is installed"

--- The value as JSON, or nil and a message.
---@param value any
---@return string? text
---@return string? message
function json.encode(value)
  codec = codec or find_codec()
  if not codec then
    return nil, MISSING
  end
  return codec.encode(value)
end

--- What the text means, or nil and a message. JSON's null is the library's own.
---@param text string
---@return any value
---@return string? message
function json.decode(text)
  codec = codec or find_codec()
  if not codec then
    return nil, MISSING
  end
  return codec.decode(text)
end

return json
