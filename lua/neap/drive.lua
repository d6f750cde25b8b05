--- Drives one call from question to question: the core decides, this asks Lua where the policy
--- says so.
local cache = require "neap.cache"
local compat = require "neap.compat"
local core = require "neap.core"
local fallback = require "neap.fallback"
local host = require "neap.host"
local raised_text = require "neap.raised"
local tracing = require "neap.tracing"
require "neap.error"

local answers = {}

function answers.when(flight, _, outcome)
  flight.exchange:answer_when(flight.functions["retry.when"](outcome))
end

function answers.failure(flight, _, outcome)
  local verdict = flight.functions["breaker.failure"](outcome)
  if verdict ~= nil and verdict ~= "success" and verdict ~= "failure" and verdict ~= "ignore" then
    error(('policy.breaker.failure: expected "success", "failure", "ignore" or nil to be returned, '
      .. "got %s"):format(core.shown(verdict)), 0)
  end
  flight.exchange:answer_failure(verdict)
end

function answers.backoff(flight, retry, outcome)
  local delay = flight.functions["retry.backoff"](retry, outcome)
  if type(delay) ~= "number" or delay ~= delay then
    error(("policy.retry.backoff: expected a number of seconds to be returned, got %s"):format(
      core.shown(delay)), 0)
  end
  flight.exchange:answer_backoff(delay)
end

local function set_headers(exchange, headers)
  for name, value in pairs(headers) do
    local is_text = type(value) == "string" or type(value) == "number"
    local sendable = type(name) == "string" and is_text
    if not sendable or not exchange:set_header(name, value) then
      error(("policy.retry.refresh: header %q or its value cannot be sent"):format(
        tostring(name)), 0)
    end
  end
end

-- A refresh that fails leaves the caller with the 401 that the server gave, and the trace with what
-- it raised.
function answers.refresh(flight, _, outcome)
  local done, headers = compat.pcall(flight.functions["retry.refresh"],
    flight:request(), outcome.response)
  local refreshed = done and type(headers) == "table"
  flight.refresh_message = not done and raised_text(headers) or nil
  if refreshed then
    set_headers(flight.exchange, headers)
  end
  flight.exchange:answer_refresh(refreshed)
end

local serve = {}

function serve.ask(flight)
  local question, retry, outcome = flight.exchange:question()
  if outcome.error then
    outcome.error.cause = flight.cause
  end
  answers[question](flight, retry, outcome)
end

function serve.attempt(flight)
  flight.client._carry(flight)
end

function serve.fallback(flight)
  fallback.run(flight)
end

function serve.notice(flight)
  for _, event in ipairs(flight.exchange:notices()) do
    flight.client:_tell(event, flight)
  end
  flight.exchange:resume()
end

function serve.trace(flight)
  tracing.run(flight)
  flight.exchange:resume()
end

local run

-- What a call over the network came to would have to be waited for.
local function begin(flight, engine, park, whom)
  if park then
    host.tie(engine, flight.exchange, whom)
  end
  if flight.is_under_way then
    return flight.exchange:attention()
  end
  local attention = flight.cache and cache.begin(flight, run)
  if attention then
    return attention
  end
  if not park and not flight.arguments and host.cannot_wait_on(engine) then
    return flight.exchange:refuse()
  end
  local may_follow = flight.client._coalesces and not flight.follows_nobody
  return flight.exchange:begin(may_follow and (park ~= nil or host.can_yield_on(engine)))
end

local function drive(flight)
  local exchange = flight.exchange
  local engine = flight.client._engine
  local park, whom = host.way_to_park(engine)
  local attention = begin(flight, engine, park, whom)
  while attention ~= "done" do
    if attention then
      serve[attention](flight)
      if flight.client._coalesces then
        host.settle(engine) -- its end may have been the end of calls that others wait for
      end
      attention = exchange:attention()
      park = host.way_to_park(engine) -- a function of the policy may have forked
    elseif park then
      park(engine, exchange)
      attention = exchange:attention()
    elseif host.wait(engine, exchange) then
      attention = exchange:attention()
    elseif host.cannot_wait_on(engine) then
      attention = exchange:refuse()
    else
      attention = host.block(engine, exchange)
    end
  end
  if flight.cache then
    cache.conclude(flight)
  end
end

-- Without this an error in a user's function would leave the call's permits to the collector.
local function drive_safely(flight)
  local task = host.enter(flight)
  local done, message = compat.pcall(drive, flight)
  host.leave(task)
  if not done then
    flight.exchange:free()
    host.settle(flight.client._engine)
    error(message, 0)
  end
end

-- What functions of the policy raised stands beside the entries of the trace that it is about.
local function describe(flight, result)
  if flight.fallback_messages then
    fallback.describe(flight, result.trace)
  end
  if not flight.refresh_message then
    return
  end
  for _, entry in ipairs(result.trace) do
    if entry.kind == "attempt" and entry.status == 401 then
      entry.message = flight.refresh_message
      return
    end
  end
end

local function finish(flight)
  local kind, result = flight.exchange:finish()
  host.settle(flight.client._engine)
  describe(flight, result)
  if kind == "error" then
    result.cause = flight.cause
    return nil, result
  end
  if kind == "fallback" then
    return fallback.answer(flight, result)
  end
  return result
end

--- Carries a call out and returns what it came to.
---@param flight table client, exchange and request
---@return any ...
function run(flight)
  if flight.client._plain then
    drive(flight)
  else
    drive_safely(flight)
  end
  if flight.client._alerts then
    flight.client._alerts:look()
  end
  if flight.values then
    flight.exchange:free()
    host.settle(flight.client._engine)
    return compat.unpack(flight.values, 1, flight.values.n)
  end
  return finish(flight)
end

return { run = run }
