--- What the scenarios of allocation failure share: policies that forgive nothing, and the questions
--- whether a round went well and whether all is given back.
local testing = require "neap.testing"

local stage = {}

--- One place, which no call may keep, and a breaker that opens at the first failure: want of memory
--- must not be one.
function stage.policy(part)
  local policy = {
    name = "api",
    base_url = "https://api.example",
    retry = { backoff = { kind = "fixed", base = 0.001, jitter = "none" }, budget = false },
    breaker = { window = { count = 4 }, min_calls = 1, failure_rate = 0.25,
      half_open = { permits = 1 } },
    bulkhead = { max_concurrent = 1 },
  }
  for key, value in pairs(part or {}) do
    policy[key] = value
  end
  return policy
end

--- A kit and a client in it.
function stage.kit(part)
  local kit = testing.new{ seed = 1 }
  return kit, kit:client(stage.policy(part))
end

--- Does fn on the kit, under this script.
function stage.run(kit, script, fn)
  kit.requests = {}
  kit:script(script)
  return kit:run(fn)
end

--- True for an answer of that status (and source), else nil and what came instead.
function stage.answered(status, source, res, err)
  if not res then
    return nil, err
  end
  if res.status ~= status or res.source ~= source then
    return nil, ("expected %d from %s, got %s from %s: %s"):format(status, source,
      tostring(res.status), tostring(res.source), tostring(res.body))
  end
  return true
end

--- The same, where what the policy's functions or fallbacks have met stands in the trace.
function stage.answered_or_told(status, source, res, err)
  local well, message = stage.answered(status, source, res, err)
  for _, entry in ipairs(res and not well and res.trace or {}) do
    if entry.message and entry.message:find("memory", 1, true) then
      return nil, entry.message
    end
  end
  return well, message
end

--- True where nothing is out and the breaker has heard of no failure.
function stage.at_rest(client)
  local stats = client:stats()
  if stats.in_flight ~= 0 then
    return false, ("%d calls in flight"):format(stats.in_flight)
  end
  local breaker = stats.breaker
  if breaker and (breaker.state ~= "closed" or breaker.failures > 0) then
    return false, ("the breaker is %s, with %d failures"):format(breaker.state, breaker.failures)
  end
  return true
end

return stage
