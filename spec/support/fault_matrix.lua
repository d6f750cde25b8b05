--- Plays a fault of spec/support/faults.lua in one host and judges what came of it.
--
-- A host has open, fail, follow and close of spec/support/fault_calls.lua, `seconds` (the short
-- limits), descriptors(), which says how many its process has open, and `most`: of these, as many
-- as there were before the first fault, and those that come and go.
local assert = require "luassert"

local faults = require "spec.support.faults"
local process = require "spec.support.process"

local fault_matrix = {}

-- A busy machine, and a sanitizer, may take so long for nothing.
local SLACK = 5

-- ---------------------------------------------------------------------------------------- places

local function change_scheme(url, scheme)
  return (url:gsub("^%a+", scheme, 1))
end

--- The ports by the names of the table, as URLs.
local function ports_of(s)
  local places = {
    nowhere = "http://nobody.invalid",
    ["plain, as https"] = "https://localhost:" .. s.ports.plain,
    ["good, as http"] = change_scheme(s.tls.good, "http"),
    plain = s.plain, flaky = s.flaky, refused = s.refused, stall = s.stall,
  }
  for name, url in pairs(s.tls) do
    places[name] = url
  end
  return places
end

-- Who cannot answer there is asked elsewhere: no connection is left to be used again.
local ANSWERS = { plain = true, flaky = true, good = true, h2 = true }

local function places_of(s, fault, host)
  local places = ports_of(s)
  places.next = places[ANSWERS[fault.at] and fault.at or "plain"]
  places.ca_file, places.seconds, places.one_by_one = s.ca_file, host.seconds, host.one_by_one
  return places
end

-- --------------------------------------------------------------------------------------- playing

-- Where the server ends a used connection, it does so before it has read the request.
local function requests_of(fault, call)
  local attempts = fault.heals and call.attempts - 1 or call.attempts
  return attempts * (fault.streams and 1 or fault.requests)
end

-- Of calls whose time counts from their begin: a busy machine may let it pass before the attempt
-- that follows the first one has been sent.
local function requests_at_least(fault, expected)
  local counts_from_begin = fault.limit == "attempt" or fault.limit == "total"
  return counts_from_begin and #faults.METHODS or expected
end

-- The server has counted so many requests, the last of them perhaps after the call's end.
local function requests_seen(s, fault, calls)
  local expected = 0
  for _, call in pairs(calls) do
    expected = expected + requests_of(fault, call)
  end
  local least = requests_at_least(fault, expected)
  local function count(ledger)
    return fault.streams and ledger.h2.streams or ledger.requests
  end
  local _, ledger = s:settle(function(ledger)
    return count(ledger) >= least
  end)
  local seen = count(ledger)
  assert.is_true(seen >= least and seen <= expected,
    ("the server saw %d requests, and not %d"):format(seen, expected))
end

-- What the server ends behind a good answer is to have ended before the next call begins.
local function let_it_end(s, fault)
  if fault.head and not fault.streams then
    s:settle(nil, 0.1)
  end
end

local function tell(s, fault)
  s:reset()
  if fault.accepts then
    s:accept(fault.accepts)
  elseif fault.streams then
    s:h2(fault.streams)
  end
end

local function begin(s, fault, nth, host)
  for method, status in pairs(host.open(nth, places_of(s, fault, host)) or {}) do
    assert.equal(200, status, method .. ": the call before")
  end
  if fault.idle then
    assert(s:settle(function(ledger)
      return ledger.open == 0
    end))
  end
end

local function nothing_is_left(s, host)
  assert(s:settle(function(ledger)
    return ledger.open == 0 and ledger.in_flight == 0
  end), "connections are still open")
  local last
  local held = process.wait_until(function()
    last = host.descriptors()
    return last <= host.most
  end)
  assert.is_truthy(held, ("%d descriptors, after %d"):format(last, host.most))
end

--- Plays the nth fault: what the calls came to, and what the next calls did, by method.
function fault_matrix.play(s, nth, host)
  local fault = faults.list[nth]
  s:reset()
  begin(s, fault, nth, host)
  tell(s, fault)
  local calls = host.fail()
  requests_seen(s, fault, calls)
  let_it_end(s, fault)
  s:reset()
  local nexts = host.follow()
  host.close()
  nothing_is_left(s, host)
  return calls, nexts
end

-- --------------------------------------------------------------------------------------- judging

local function say(entry)
  return ("%s %s (%s)"):format(entry.kind, tostring(entry.outcome), tostring(entry.reason))
end

-- Why a call ended whose last attempt came to that; nil where nobody would have repeated it.
local function stop_reason(fault, method, outcome, is_last)
  if type(outcome) == "number" or not faults.REPEATED[outcome]
    or (outcome == fault.is and fault.repeated == "never")
    or faults.REPEATED[outcome] == "never" then
    return nil
  end
  return is_last and "attempts"
    or not faults.is_repeated(fault, method, outcome) and "not_replayable" or nil
end

local function is_expected(fault, method, nth_attempt, outcome)
  if nth_attempt > 1 and fault.heals then
    return outcome == fault.heals
  end
  return outcome == faults.outcome(fault, method) or outcome == fault.may_be
end

-- attempt, or attempt, wait, attempt: no more of them than the outcomes call for, and no less.
local function judge_trace(fault, method, call)
  local attempts = 0
  for index, entry in ipairs(call.trace) do
    local label = ("%s, entry %d: %s"):format(method, index, say(entry))
    if index % 2 == 0 then
      assert.same({ kind = "wait", reason = "backoff" }, entry, label)
    else
      attempts = attempts + 1
      assert.equal("attempt", entry.kind, label)
      assert.is_true(is_expected(fault, method, attempts, entry.outcome), label
        .. (call.message and ": " .. call.message or ""))
      local goes_on = attempts == 1 and faults.is_repeated(fault, method, entry.outcome)
      assert.equal(goes_on, call.trace[index + 1] ~= nil, label)
      if not goes_on then
        assert.equal(stop_reason(fault, method, entry.outcome, attempts == 2), entry.reason, label)
      end
    end
  end
  assert.equal(attempts, call.attempts, method)
  return call.trace[#call.trace].outcome
end

local function judge_time(fault, method, call, seconds)
  local limit = 0
  if fault.limit and type(call.outcome) == "string" then
    limit = (seconds[fault.limit] or seconds.silence) * call.attempts
  end
  assert.is_true(call.elapsed >= limit and call.elapsed < limit + SLACK,
    ("%s took %g s"):format(method, call.elapsed))
end

-- Each attempt was a probe, and its permit came back once, with what it came to.
local function probes_after(call)
  local failures = 0
  for _, entry in ipairs(call.trace) do
    local is_error = entry.kind == "attempt" and type(entry.outcome) == "string"
    failures = failures + (is_error and 1 or 0)
  end
  return { out = 0, results = call.attempts, failures = failures, state = "half_open" }
end

local function judge_call(fault, method, call, seconds)
  assert.equal(judge_trace(fault, method, call), call.outcome, method)
  if type(call.outcome) == "string" then
    assert.equal(faults.is_retryable(fault, method, call.outcome), call.retryable,
      method .. ": retryable")
  end
  assert.equal(0, call.in_flight, method .. ": calls in flight")
  assert.same(probes_after(call), call.probes, method .. ": probes")
  judge_time(fault, method, call, seconds)
end

local function judge_next(method, call, is_kept)
  local label = ("%s, the next call: %s"):format(method, call.message or tostring(call.outcome))
  assert.equal(200, call.outcome, label)
  assert.equal(1, call.attempts, label .. " by attempts")
  assert.is_true(call.is_its_own, label .. ": the answer is another call's")
  assert.equal(is_kept, call.kept, label .. ": the connection is kept")
end

--- An answer that comes when its call has ended is not that of the call which takes its place.
function fault_matrix.overtake(s, host)
  local places = ports_of(s)
  assert.same({ late = "timeout attempt", own = "own" }, host.overtake(0, places))
  nothing_is_left(s, host)
end

--- Plays the nth fault and says what is wrong by raising it.
function fault_matrix.judge(s, nth, host)
  local fault = faults.list[nth]
  local calls, nexts = fault_matrix.play(s, nth, host)
  for _, method in ipairs(faults.METHODS) do
    local is_healed = calls[method].outcome == fault.heals
    judge_call(fault, method, calls[method], host.seconds)
    judge_next(method, nexts[method], is_healed or faults.is_kept(fault, method))
  end
end

return fault_matrix
