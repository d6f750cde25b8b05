--- Policies alone, and what looks at policies.
local neap = require "neap"
local simulate = require "neap.simulate"
local stage = require "spec.allocation.stage"

local scenarios = {}

local function add(name, round)
  scenarios[#scenarios + 1] = { name = name, set_up = function()
    return round, function() return true end
  end }
end

add("neap.check", function()
  local report = neap.check(stage.policy{ retry = { max_attempts = 8 },
    timeout = { attempt = 4, total = 20 } })
  return #report.findings > 0
end)

add("a policy that is refused", function()
  local done, message = pcall(neap.client, { name = "x", retry = { max_attempts = -1 } })
  if not done and message:find("policy.retry.max_attempts: expected", 1, true) then
    return true
  end
  return nil, message
end)

add("neap.breaker: from its making to its import", function()
  local breaker = neap.breaker{ window = { seconds = 20 }, consecutive_failures = 3 }
  local permit, err = breaker:acquire()
  if not permit then
    return nil, err
  end
  breaker:record(permit, "failure", 1)
  local text = breaker:export()
  local other = neap.breaker{ window = { seconds = 20 } }
  local well, message = other:import(text)
  if not well then
    return nil, message
  end
  breaker:force_open()
  local refused, refusal = breaker:acquire()
  return not refused and refusal.kind == "breaker_open" and other:snapshot().failures == 1
end)

add("the other policies alone", function()
  local limiter = neap.rate_limiter{ rate = 1, max_wait = 0 }
  local bulkhead = neap.bulkhead{ max_concurrent = 1 }
  local budget = neap.retry_budget{}
  local backoff = neap.backoff{}
  local _, late = limiter:acquire(), select(2, limiter:acquire())
  local permit = bulkhead:acquire()
  local _, full = bulkhead:acquire()
  bulkhead:release(permit)
  budget:deposit()
  return late.kind == "rate_limited" and full.kind == "bulkhead_full" and budget:withdraw()
    and backoff:delay(1) > 0
end)

add("neap simulate", function()
  local run = simulate.run(stage.policy(), { clients = 3, duration = 5, scenario = {
    { outage = true, from = 1, lasts = 1 } } })
  return run.calls > 0
end)

return scenarios
