--- A request of a client becomes an exchange of the core: what only Lua can find out is found out
--- first, encoded JSON and what functions of the policy say about the request.
local core = require "neap.core"
local Flight = require "neap.flight"
local host = require "neap.host"
local json = require "neap.json"

local request = {}

-- The keys that functions name: path in the policy, name for the core.
local ASKED_TO_STORE = { { "idempotency.from", "idempotency_key" } }
local ASKED_TO_SEND = {
  { "breaker.key", "breaker_key" }, { "gate.key", "gate_key" }, ASKED_TO_STORE[1],
}

-- The functions see the whole request. A message where one of them returned no text.
local function ask_for_keys(client, full, extras, keys)
  for _, asked in ipairs(keys) do
    local fn = client._functions[asked[1]]
    local wanted = asked[2] ~= "idempotency_key" or client._core:wants_key(full.method, full)
    if fn and wanted then
      local key = fn(full)
      if type(key) ~= "string" then
        return ("policy.%s: expected a string to be returned, got %s"):format(asked[1],
          core.shown(key))
      end
      extras[asked[2]] = key
    end
  end
end

-- What the core cannot find out without Lua: encoded JSON, and the keys that functions name. Behind
-- it what is wrong with the request, if anything is.
local function extras_of(client, method, path, req, keys)
  local extras
  if req and req.json ~= nil then
    local body, message = json.encode(req.json)
    if not body then
      return nil, ("request.json: %s"):format(message)
    end
    extras = { body = body }
  end
  if not client._asks then
    return extras
  end
  extras = extras or {}
  local full = Flight.whole_request(method, path, req)
  local only = client._functions["chaos.only"]
  extras.without_chaos = only ~= nil and not only(full)
  return extras, ask_for_keys(client, full, extras, keys)
end

--- An exchange that has not begun, or nil and what is wrong with the request.
---@param client neap.Client
---@param method? string
---@param path? string
---@param req? neap.Request
---@param without_fallbacks? boolean
---@return userdata? exchange
---@return string? message
function request.exchange(client, method, path, req, without_fallbacks)
  if type(req) ~= "table" and req ~= nil then
    return nil, ("request: expected a table, got a %s"):format(type(req))
  end
  if type(path) ~= "string" and path ~= nil then
    return nil, ("request.path: expected a string, got a %s"):format(type(path))
  end
  local extras, message = extras_of(client, method, path, req, ASKED_TO_SEND)
  if message then
    return nil, message
  end
  if without_fallbacks then
    extras = extras or {}
    extras.without_fallbacks = true
  end
  local exchange
  exchange, message = core.exchange(client._core, method, path, req, extras)
  if not exchange and host.forsake_background(client._engine) then
    exchange, message = core.exchange(client._core, method, path, req, extras)
  end
  return exchange, message
end

--- For the outbox: the block that keeps the request, and its key, which is made if there is none.
--- Nil and what is wrong with the request.
---@param client neap.Client
---@param req neap.Request
---@param tags? table
---@return string? block
---@return string message_or_key
function request.stored(client, req, tags)
  local extras, message = extras_of(client, nil, nil, req, ASKED_TO_STORE)
  if message then
    return nil, message
  end
  extras = extras or {}
  extras.tags = tags
  return core.stored_request(client._core, nil, nil, req, extras)
end

return request
