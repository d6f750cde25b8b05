--- The chain of fallbacks: what may stand in it; runs one entry and tells the core whether it
--- answered.
local Response = require "neap.response"
local compat = require "neap.compat"
local core = require "neap.core"
local raised_text = require "neap.raised"

local fallback = {}

-- The module of the outbox is not loaded by programs that have none.
local function is_outbox(value)
  local outbox = package.loaded["neap.outbox"]
  return outbox and outbox.is(value)
end

--- What is wrong with the chain of a policy, or nil. What a wrapped function falls back to may be
--- anything; a call answers with responses.
---@param entries? table[]
---@param answers_calls boolean
---@param is_client fun(value: any): boolean
---@return string? message
function fallback.flaw(entries, answers_calls, is_client)
  for index, entry in ipairs(entries or {}) do
    local flaw = answers_calls and entry.kind == "default" and Response.flaw(entry.value)
    if flaw then
      return ("policy.fallback[%d].default.%s"):format(index, flaw)
    end
    if entry.kind == "service" and not is_client(entry.value) then
      return ("policy.fallback[%d].service: expected a client"):format(index)
    end
    if entry.kind == "queue" and not is_outbox(entry.value) then
      return ("policy.fallback[%d].queue: expected an outbox"):format(index)
    end
    if entry.kind == "queue" and not answers_calls then
      return ("policy.fallback[%d].queue: calls of a function cannot be queued"):format(index)
    end
  end
end

local function note(flight, message)
  flight.fallback_messages = flight.fallback_messages or {}
  flight.fallback_messages[#flight.fallback_messages + 1] = message or false
end

-- A credential is for the one it was issued by.
local function without_credentials(headers)
  local kept = {}
  for name, value in pairs(headers or {}) do
    if type(name) == "string" and core.is_harmless_header(name) then
      kept[name] = value
    end
  end
  return kept
end

local function copy_of(request)
  local copy = {}
  for key, value in pairs(request) do
    copy[key] = value
  end
  return copy
end

-- An entry's own deadline is the call's: nobody waits longer because a fallback is slow.
local function ask_service(flight, entry, err)
  local copy
  if entry.request then
    local request = entry.request(flight:request(), err)
    if type(request) ~= "table" then
      error(("request: expected a table to be returned, got a %s"):format(type(request)), 0)
    end
    copy = copy_of(request)
  else
    copy = copy_of(flight:request())
    copy.headers = without_credentials(copy.headers)
  end
  local deadline = flight.exchange:deadline()
  if deadline and (not copy.deadline or copy.deadline > deadline) then
    copy.deadline = deadline
  end
  return entry.value:request(copy)
end

local runners = {}

function runners.service(flight, entry, err)
  local res, failure = ask_service(flight, entry, err)
  if not res then
    return nil, failure.kind, nil
  end
  if core.is_failing_status(res.status) then
    return nil, nil, res.status
  end
  return res, nil, res.status
end

-- A wrapped function's fallback may give anything; a call's must be a response if it looks like
-- one.
local function checked(flight, given)
  local flaw = not flight.arguments and Response.flaw(given)
  if flaw then
    error(flaw, 0)
  end
  return given
end

function runners.default(flight, entry)
  local given = entry.value
  if type(given) == "function" then
    given = given(flight:request())
  end
  return checked(flight, given)
end

-- Accepted means that the outbox's store has the request, with the key of the tries before.
function runners.queue(flight, entry)
  local id, failure = entry.value:_accept(flight:request())
  if not id then
    return nil, failure.kind, nil, failure.message
  end
  return { status = 202, reason = "Accepted", value = id }
end

runners["function"] = function(flight, entry, err, res)
  return checked(flight, entry.value(flight:request(), err, res))
end

local function status_of(given)
  local status = type(given) == "table" and given.status
  return Response.is_status(status) and status or 0
end

--- Runs the entry that the core names.
function fallback.run(flight)
  local exchange = flight.exchange
  local entry = flight.fallbacks[exchange:fallback()]
  local _, err, res = exchange:failure()
  if err then
    err.cause = flight.cause
  end
  local done, given, error_kind, status, message = compat.pcall(runners[entry.kind], flight, entry,
    err, res)
  if not done then
    note(flight, raised_text(given))
    exchange:answer_fallback(entry.kind, false, false, 0, "error")
    return
  end
  note(flight, message)
  status = status or status_of(given)
  flight.answer = given
  flight.answer_source = entry.kind
  local ok = given ~= nil and status < 400
  exchange:answer_fallback(entry.kind, given ~= nil, ok, status, error_kind)
end

-- The cache is asked in the core, and raises nothing.
local OF_THE_CACHE = { cache = true, stale = true }

--- Puts what fallbacks raised beside their entries of the trace.
function fallback.describe(flight, trace)
  local index = 0
  for _, entry in ipairs(trace) do
    if entry.kind == "fallback" and not OF_THE_CACHE[entry.reason] then
      index = index + 1
      entry.message = (flight.fallback_messages or {})[index] or nil
    end
  end
end

--- What the caller gets of an answer: a response, or for a wrapped function the value itself.
function fallback.answer(flight, bare)
  if flight.arguments then
    return flight.answer
  end
  return Response.from_fallback(bare, flight.answer, flight.answer_source)
end

return fallback
