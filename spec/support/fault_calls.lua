--- The calls of the fault matrix, in whichever host this file is loaded: for one fault, each method
--- by a client of its own. It returns plain values only, since nginx tells them in JSON.
--
--     fault_calls.open(nth, places)   makes the clients, and the calls that go well before
--     fault_calls.fail(nth)           the calls that meet the fault
--     fault_calls.follow(nth)         a next call of each client, which knows its answer by a token
--     fault_calls.close()             ends the clients
--     fault_calls.overtake(_, places) a late answer, and the call that waits for its connection
--
-- `nth` is the row of faults.list. What the server has to be told in between is the caller's part:
-- see spec/support/fault_matrix.lua.
local neap = require "neap"

local faults = require "spec.support.faults"

local fault_calls = {}

-- What a call may take that is not to run out of time.
local LONG = 20

-- Probes of a breaker that is half open: more than the calls of one fault, so that it stays so.
local PROBES = 8

local cells = {} -- of the fault that is being played
local serial = 0

-- A permit of the bulkhead that were lost would refuse the next call.
local function client(places, port, calls_at_once)
  serial = serial + 1
  return neap.client{
    name = "fault-" .. serial, base_url = places[port], tls = { ca_file = places.ca_file },
    retry = { max_attempts = 2, backoff = { kind = "fixed", base = 0.005, jitter = "none" } },
    timeout = { connect = LONG, write = LONG, read = LONG, total = 3 * LONG },
    bulkhead = { max_concurrent = calls_at_once }, pool = { per_host = 1 },
    breaker = { min_calls = PROBES, open_for = 0.000001,
      half_open = { permits = PROBES, lease = 3600 } },
    gate = false, max_response_bytes = 100000,
  }
end

-- From here on each attempt is a probe, whose permit comes back as a result, or unused.
local function open_by_half(breaker)
  breaker:reset()
  for _ = 1, PROBES do
    breaker:record(breaker:acquire(), "failure")
  end
  local permit
  repeat
    permit = breaker:acquire()
  until permit
  breaker:record(permit, "ignore")
end

-- How many probes are free, and what has become of the others: who neither is has not come back.
local function probes_of(breaker)
  local free = {}
  for _ = 1, PROBES do
    free[#free + 1] = breaker:acquire()
  end
  for _, permit in ipairs(free) do
    breaker:record(permit, "ignore")
  end
  local snapshot = breaker:snapshot()
  return { out = PROBES - #free - snapshot.calls, results = snapshot.calls,
    failures = snapshot.failures, state = snapshot.state }
end

-- One function after the other, or side by side; what each returned, by method.
local function each(places, fn)
  local values, functions = {}, {}
  for index, method in ipairs(faults.METHODS) do
    functions[index] = function()
      values[method] = fn(cells.clients[method], method, index)
    end
  end
  if places.one_by_one then
    for _, one in ipairs(functions) do
      one()
    end
    return values
  end
  for _, result in ipairs(neap.all(functions)) do
    assert(result[1], result[2])
  end
  return values
end

local function trace_of(result)
  local list = {}
  for index, entry in ipairs(result.trace) do
    list[index] = {
      kind = entry.kind, reason = entry.reason,
      outcome = entry.status or (entry.phase and entry.error .. " " .. entry.phase) or entry.error,
    }
  end
  return list
end

local function told(res, err)
  local result = res or err
  return {
    outcome = res and res.status or (err.phase and err.kind .. " " .. err.phase) or err.kind,
    message = err and err.message, retryable = err and err.retryable, attempts = result.attempts,
    elapsed = result.elapsed, trace = trace_of(result),
  }
end

function fault_calls.close()
  for _, one in pairs(cells.clients or {}) do
    one:close()
  end
  cells = {}
end

function fault_calls.open(nth, places)
  local fault = faults.list[nth]
  fault_calls.close() -- of a fault whose playing has failed
  cells = { places = places, fault = fault, clients = {} }
  for _, method in ipairs(faults.METHODS) do
    cells.clients[method] = client(places, fault.at, 1)
  end
  return fault.first and each(places, function(one)
    return told(one:get(fault.first)).outcome
  end)
end

-- The limit that is short in this call; a method that the fault does not touch keeps its time.
local function limits_of(fault, outcome, seconds)
  if not fault.limit or type(outcome) == "number" then
    return nil
  end
  return { [fault.limit] = seconds[fault.limit] or seconds.silence,
    read = outcome == "timeout read" and seconds.silence or nil }
end

function fault_calls.fail()
  local fault, places = cells.fault, cells.places
  return each(places, function(one, method)
    local has_body = faults.HAS_BODY[method]
    open_by_half(one.breaker)
    local result = told(one:request{
      method = method, path = fault.path or "/",
      body = has_body and ("x"):rep(fault.bytes or 3) or nil,
      timeout = limits_of(fault, faults.outcome(fault, method), places.seconds),
    })
    result.in_flight = one:stats().in_flight
    result.probes = probes_of(one.breaker)
    return result
  end)
end

--- A call that has run out of time when its answer comes, and one that had begun before that, and
--- waited for the only place in the pool: what both came to.
function fault_calls.overtake(_, places)
  local one, late, own = client(places, "plain", 2), nil, nil
  local function be_late()
    late = told(one:post("/status/200?after=0.3&body=late", { timeout = { attempt = 0.1 } }))
  end
  local function wait_behind()
    own = one:post("/status/200?after=0.3&body=own")
  end
  for _, result in ipairs(neap.all{ be_late, wait_behind }) do
    assert(result[1], result[2])
  end
  one:close()
  return { late = late.outcome, own = own and own.body }
end

-- The server's word on a request: HTTP/2's does not know the path, so that the body's length is
-- the token.
local function words_of(body)
  return {
    bytes = tonumber(body:match('"body_bytes":(%d+)')),
    before = (tonumber(body:match('"request_on_connection":(%d+)')) or 1) - 1,
    stream = tonumber(body:match('"stream":(%d+)')),
  }
end

function fault_calls.follow()
  local places = cells.places
  return each(places, function(one, _, index)
    local token = 100 + index
    local res, err = one:request{ method = "POST", url = places.next .. "/echo", replayable = true,
      body = ("x"):rep(token) }
    local result = told(res, err)
    if res and res.status == 200 then
      local words = words_of(res.body)
      result.is_its_own = words.bytes == token
      result.kept = words.before > 0 or (words.stream or 1) > 1
    end
    return result
  end)
end

return fault_calls
