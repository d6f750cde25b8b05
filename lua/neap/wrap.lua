--- Guards any Lua function by the same pipeline.
local core = require "neap.core"
local Client = require "neap.client"
local Flight = require "neap.flight"
local compat = require "neap.compat"
local drive = require "neap.drive"
local host = require "neap.host"

-- An error may be anything, even what cannot be written.
local function text_of(value)
  local is_plain = type(value) == "table" and getmetatable(value) == nil
  local written, text = pcall(tostring, is_plain and (value.message or value.kind or value.code)
    or value)
  return written and type(text) == "string" and text or "the function failed"
end

-- A function fails when it raises, or returns nil and an error.
local function carry(flight)
  local arguments, attempt = flight.arguments, flight.exchange:attempt()
  local results = compat.pack(compat.pcall(flight.client._fn,
    compat.unpack(arguments, 1, arguments.n)))
  local raised = not results[1]
  if raised or (results[2] == nil and results[3] ~= nil) then
    flight.cause = results[raised and 2 or 3]
    flight.exchange:deliver(attempt, false, text_of(flight.cause))
    return
  end
  flight.values = compat.pack(compat.unpack(results, 2, results.n))
  flight.exchange:deliver(attempt, true)
end

--- A function that calls fn through retry, breaker, rate limit, bulkhead and fallbacks of the
--- policy. It returns what fn returns, or `nil, err`: kind `error` with what fn raised in
--- `cause`, or a refusal.
---
---     local charge = neap.wrap({ name = "charge", retry = { max_attempts = 2 } }, charge_once)
---@param policy table as for neap.client; what is about HTTP has no effect
---@param fn function
---@return function
local function wrap(policy, fn)
  if type(fn) ~= "function" then
    error(("fn: expected a function, got a %s"):format(type(fn)), 2)
  end
  local client, message = Client.make(policy, "function", host.engine())
  if not client then
    error(message, 2)
  end
  client._fn = fn
  client._carry = carry
  local breaker_key = client._functions["breaker.key"]
  return function(...)
    local arguments = compat.pack(...)
    local key = breaker_key and breaker_key(arguments)
    if breaker_key and type(key) ~= "string" then
      error(("policy.breaker.key: expected a string to be returned, got %s"):format(
        tostring(key)), 2)
    end
    local exchange, refusal = core.function_exchange(client._core, key)
    if not exchange and host.forsake_background(client._engine) then
      exchange, refusal = core.function_exchange(client._core, key)
    end
    if not exchange then
      error(refusal, 2)
    end
    return drive.run(setmetatable({
      client = client,
      exchange = exchange,
      functions = client._functions,
      fallbacks = client._fallbacks,
      arguments = arguments,
    }, Flight))
  end
end

return wrap
