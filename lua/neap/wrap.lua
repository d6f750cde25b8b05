--- Guards any Lua function by the same pipeline.
--
-- A call that needs nobody goes straight: the core admits it, fn is called, and the core is told
-- how that went. Only a call that has to wait, or that a function of the policy, a fallback, a
-- listener or an alert is about, is driven through an exchange.
local core = require "neap.core"
local Client = require "neap.client"
local Flight = require "neap.flight"
local compat = require "neap.compat"
local compiled = require "neap.compiled"
local drive = require "neap.drive"
local host = require "neap.host"

local select = select

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

-- What makes a call by an exchange from the beginning. `level` is the caller's.
local function whole_of(client, level)
  local breaker_key = client._functions["breaker.key"]
  return function(...)
    local arguments = compat.pack(...)
    local key = breaker_key and breaker_key(arguments)
    if breaker_key and type(key) ~= "string" then
      error(("policy.breaker.key: expected a string to be returned, got %s"):format(
        core.shown(key)), level)
    end
    local exchange, refusal = core.function_exchange(client._core, key)
    if not exchange and host.forsake_background(client._engine) then
      exchange, refusal = core.function_exchange(client._core, key)
    end
    if not exchange then
      error(refusal, level)
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

-- What goes on by an exchange with a call that went straight until its function failed.
local function rest_of(client)
  return function(exchange, cause, ...)
    return drive.run(setmetatable({
      client = client,
      exchange = exchange,
      functions = client._functions,
      fallbacks = client._fallbacks,
      arguments = compat.pack(...),
      cause = cause,
      is_under_way = true,
    }, Flight))
  end
end

local function settle_of(client)
  return function()
    host.settle(client._engine)
  end
end

-- All of it in one C function. Where C code cannot be yielded across, a caller that can yield is
-- answered `elsewhere`, and nothing has happened. `level` is the caller's, for whole_of.
local function in_one(client, fn, level, elsewhere)
  return core.guarded(client._core, fn, whole_of(client, level), rest_of(client), text_of,
    settle_of(client), elsewhere)
end

-- In steps, between which fn is called from here. `on_alone` is told of a caller that cannot yield.
local function in_steps(client, fn, on_alone)
  local begin, succeed, fail = core.guarded_steps(client._core)
  local whole, rest, engine = whole_of(client, 2), rest_of(client), client._engine
  local pcall = compat.pcall
  local repeated

  local function values(keeper, ...)
    local is_pending, is_alone = succeed(keeper)
    if is_pending then
      host.settle(engine)
    end
    if is_alone then
      on_alone()
    end
    return ...
  end

  local function failed(err, is_pending)
    if is_pending then
      host.settle(engine)
    end
    return nil, err
  end

  local function failure(keeper, arguments, cause)
    local text = type(cause) == "string" and cause or text_of(cause)
    local is_over, outcome, is_pending = fail(keeper, text, cause)
    if is_over == nil then
      return repeated(keeper, arguments)
    elseif is_over then
      return failed(outcome, is_pending)
    end
    return rest(outcome, cause, compat.unpack(arguments, 1, arguments.n))
  end

  local function judge(keeper, arguments, done, ...)
    local first, second = ...
    if not done then
      return failure(keeper, arguments, first)
    elseif first == nil and second ~= nil then
      return failure(keeper, arguments, second)
    end
    return values(keeper, ...)
  end

  function repeated(keeper, arguments)
    return judge(keeper, arguments, pcall(fn, compat.unpack(arguments, 1, arguments.n)))
  end

  -- The first three arguments are not packed before it is known that they are needed again.
  local function settle(keeper, count, a, b, c, packed, done, ...)
    local first, second = ...
    if done and (first ~= nil or second == nil) then
      return values(keeper, ...)
    end
    packed = packed or { n = count, a, b, c }
    return judge(keeper, packed, done, ...)
  end

  return function(...)
    local keeper, outcome, is_pending = begin()
    if not keeper then
      if outcome then
        return rest(outcome, nil, ...)
      end
      return whole(...)
    elseif outcome then
      return failed(outcome, is_pending)
    end
    host.tie(engine, keeper)
    local count = select("#", ...)
    local a, b, c = ...
    local packed = count > 3 and compat.pack(...) or nil
    return settle(keeper, count, a, b, c, packed, pcall(fn, ...))
  end
end

-- Who calls from the main program cannot yield, and one C function is faster than two; most
-- programs keep to the one or the other.
local function in_one_or_in_steps(client, fn)
  local elsewhere = {}
  local is_alone = true
  local one = in_one(client, fn, 4, elsewhere)
  local steps = in_steps(client, fn, function() is_alone = true end)

  local function pass(count, a, b, ...)
    if ... ~= elsewhere then
      return ...
    end
    is_alone = false
    return steps(compat.unpack({ a, b }, 1, count))
  end

  return function(...)
    local count = select("#", ...)
    if is_alone and count <= 2 then
      local a, b = ...
      return pass(count, a, b, one(...))
    end
    return steps(...)
  end
end

-- LuaJIT compiles calls where all of it is Lua, or C that its FFI calls.
local function compiled_or_not(client, fn)
  local otherwise = in_one_or_in_steps(client, fn)
  return compiled.is_there and compiled.guard(client, fn, {
    whole = whole_of(client, 2),
    go_on = rest_of(client),
    text_of = text_of,
    otherwise = otherwise,
  }) or otherwise
end

--- A function that calls fn through retry, breaker, rate limit, bulkhead and fallbacks of the
--- policy. It returns what fn returns, or `nil, err`: kind `error` with what fn raised in
--- `cause`, or a refusal.
---
---     local charge = neap.wrap({ name = "charge", retry = { max_attempts = 2 } }, charge_once)
---@param policy neap.Policy as for neap.client; what is about HTTP has no effect
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
  local cannot_go_straight = client._functions["breaker.key"] or compat.pcall ~= pcall
  if cannot_go_straight then
    return whole_of(client, 2)
  end
  return core.guarded_steps and compiled_or_not(client, fn) or in_one(client, fn, 3)
end

return wrap
