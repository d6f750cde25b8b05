--- Requests as an outbox keeps them: from a request table to the block that is stored, and back.
local core = require "neap.core"
local request = require "neap.request"

local stored_request = {}

local TAG_WRITERS = {
  string = function(value) return "s" .. value end,
  boolean = function(value) return value and "b1" or "b0" end,
  number = function(value)
    return ((math.type and math.type(value) == "integer") and "i%d" or "n%.17g"):format(value)
  end,
}

-- What tonumber reads back in LuaJIT only.
local NO_DIGITS = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

local TAG_READERS = {
  s = function(text) return text end,
  b = function(text) return text == "1" end,
  n = function(text) return NO_DIGITS[text] or tonumber(text) end,
  i = function(text) return math.tointeger and math.tointeger(text) or tonumber(text) end,
}

-- Tags as texts that tell their type; nil and a message where one cannot be kept.
local function write_tags(tags)
  local written = {}
  for name, value in pairs(type(tags) == "table" and tags or {}) do
    local write = TAG_WRITERS[type(value)]
    if type(name) ~= "string" or not write then
      return nil, ("request.tags: an outbox keeps names with strings, numbers and booleans, got %s")
        :format(type(name) == "string" and ("%s = a %s"):format(name, type(value))
          or "a " .. type(name) .. " as name")
    end
    written[name] = write(value)
  end
  return written
end

local function read_tags(tags)
  local read = {}
  for name, text in pairs(tags) do
    local reader = TAG_READERS[text:sub(1, 1)]
    read[name] = reader and reader(text:sub(2))
  end
  return read
end

--- The block that keeps the request, as this client would send it, with its key, which is made if
--- there is none. Nil and what is wrong with the request.
---@param client neap.Client
---@param req table
---@return string? block
---@return string? key_or_message
function stored_request.write(client, req)
  local tags, message = write_tags(req.tags)
  if not tags then
    return nil, message
  end
  return request.stored(client, req, tags)
end

--- The request as a table again, with its body encoded. Nil and what is wrong with the block.
---@param block string
---@return table? request
---@return string? fault
function stored_request.read(block)
  local req, fault = core.read_stored_request(block)
  if req and req.tags then
    req.tags = read_tags(req.tags)
  end
  return req, fault
end

return stored_request
