--- Responses: what a call answers with, from whatever source.
local core = require "neap.core"
local json = require "neap.json"

---@class neap.Response
---@field status integer
---@field ok boolean status 200 to 399
---@field reason? string
---@field headers table<string, string|string[]> found in any letter case; a repeated one is a list
---@field body string
---@field url? string after redirects
---@field http_version? number 1.0, 1.1, 2 or 3
---@field source "network"|"cache"|"stale"|"service"|"default"|"function"|"queue"
---@field degraded boolean true unless it came from the network or a fresh cache
---@field age? number seconds, of an answer that was stored
---@field attempts integer
---@field elapsed number seconds
---@field retry_after? number seconds, where the server named a delay
---@field trace neap.TraceEntry[]
---@field value? any what a fallback function returned, if it was no response
local Response = {}

---@class neap.TraceEntry
---@field at number of neap.now()
---@field kind "attempt"|"wait"|"reject"|"fallback"
---@field status? integer
---@field error? neap.ErrorKind
---@field phase? string
---@field elapsed number seconds
---@field reason? string
---@field chaos? true an attempt that was disturbed on purpose
---@field enforced? false a refusal in shadow mode: the attempt was made
---@field message? string what a fallback raised, or why an outbox could not accept

--- The body as a Lua value by cjson or dkjson; nil and a message where it is not JSON.
---
---     local rates, message = res:json()
---@return any value
---@return string? message
function Response:json()
  return json.decode(self.body or "")
end

local function result_of(self)
  return rawget(self, "_result")
end

-- Headers and trace become tables when they are first asked for: most callers ask for neither.
local tables = {
  headers = function(self)
    local result = result_of(self)
    return result and result:headers() or core.headers_table({})
  end,
  trace = function(self)
    local result = result_of(self)
    return result and result:trace() or {}
  end,
}

-- So do all other fields but status, ok and body, together.
local fields = {
  attempts = true, elapsed = true, source = true, degraded = true, age = true, retry_after = true,
  url = true, reason = true, http_version = true,
}

local function fill(self)
  local result = result_of(self)
  if result then
    result:fill(self)
  end
end

local metatable = { __name = "neap.response" }

function metatable.__index(self, key)
  if fields[key] then
    fill(self)
    return rawget(self, key)
  end
  local make = tables[key]
  if not make then
    return Response[key]
  end
  local value = make(self)
  rawset(self, key, value)
  return value
end

-- For `pairs`, where Lua asks for it (not 5.1, nor LuaJIT).
function metatable.__pairs(self)
  fill(self)
  return next, self, nil
end

core.set_response_class(metatable)

local function copy_headers(headers)
  return core.headers_table(type(headers) == "table" and headers or {})
end

--- Can that be a response's status?
---@param value any
---@return boolean
function Response.is_status(value)
  return type(value) == "number" and value % 1 == 0 and value >= 100 and value <= 599
end

--- What is wrong with an answer that has `status` or `body`, or nil.
---@param given any
---@return string?
function Response.flaw(given)
  if type(given) ~= "table" or (given.status == nil and given.body == nil) then
    return nil
  end
  if given.status ~= nil and not Response.is_status(given.status) then
    return ("status: expected an integer from 100 to 599, got %s"):format(core.shown(given.status))
  end
  if given.body ~= nil and type(given.body) ~= "string" then
    return ("body: expected a string, got a %s"):format(type(given.body))
  end
  if given.headers ~= nil and type(given.headers) ~= "table" then
    return ("headers: expected a table, got a %s"):format(type(given.headers))
  end
  for name in pairs(given.headers or {}) do
    if type(name) ~= "string" then
      return ("headers: expected names as keys, got %s"):format(tostring(name))
    end
  end
end

--- Turns what a fallback gave into a response with the call's own figures.
---@param bare table the call's attempts, elapsed and trace
---@param given any a table with `status` or `body`, or any other value
---@param source string
---@return neap.Response
function Response.from_fallback(bare, given, source)
  local is_answer = type(given) == "table" and (given.status ~= nil or given.body ~= nil)
  if is_answer then
    if getmetatable(given) == metatable then
      fill(given)
    end
    for key, value in pairs(given) do
      if key ~= "_result" and key ~= "trace" and key ~= "attempts" and key ~= "elapsed" then
        bare[key] = value
      end
    end
    bare.headers = copy_headers(given.headers)
  else
    bare.value = given
  end
  bare.status = bare.status or 200
  bare.body = bare.body or ""
  bare.ok = bare.status >= 200 and bare.status < 400
  bare.source = source
  bare.degraded = true
  return bare
end

return Response
