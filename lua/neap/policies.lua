--- The policies by themselves: breaker, rate limiter, bulkhead, retry budget, backoff, Retry-After.
--
-- Each takes its policy table and an optional `env`. Misuse raises at the caller's line, with the
-- path of the key in front; what a policy refuses comes back as `nil, err`. Times are seconds.
--
-- All but the backoff take a `name` too: after neap.shared their state is then that of this name,
-- one for all processes, and the one that clients of this name have. Without a name, without
-- neap.shared, and with an `env` that has a clock, it is the object's own.
local core = require "neap.core"
local host = require "neap.host"
require "neap.error"

---@class neap.Env
---@field clock? fun(): number monotonic seconds; the machine's clock by default
---@field random? fun(): number in [0,1); a generator seeded by the system by default
---@field time? fun(): number wall clock, for policies that look at one; none of these does

---@class neap.BreakerSnapshot
---@field state neap.BreakerState
---@field calls integer results in the window; of the probes while half open; what made it open
---@field failures integer
---@field slow integer
---@field failure_rate? number nil while there are too few calls for a rate
---@field slow_rate? number
---@field not_permitted integer refusals since the breaker was made or reset
---@field opened integer openings since then
---@field retry_after? number while open: seconds until the first probe may go

---@alias neap.BreakerState
---| "closed" | "open" | "half_open" | "forced_open" | "disabled" | "metrics_only"

---@class neap.Breaker
---@field acquire fun(self): integer?, neap.Error? a permit, or an error of kind `breaker_open`
---@field record fun(self, permit: integer, verdict: "success"|"failure"|"ignore", elapsed?: number)
---@field state fun(self): neap.BreakerState
---@field force_open fun(self) refuses all, until changed by hand
---@field disable fun(self) admits all and records nothing, until changed by hand
---@field metrics_only fun(self) admits all and records, until changed by hand
---@field reset fun(self) closed, with an empty window and counters at zero
---@field snapshot fun(self): neap.BreakerSnapshot
---@field export fun(self): string for `import`, in another process or at another time
---@field import fun(self, exported: string): boolean?, neap.Error? true, or kind `error`

---@class neap.RateLimiter
---@field acquire fun(self, n?: integer): number?, neap.Error? seconds to wait until n units may go
--- (0: now), already reserved; or an error of kind `rate_limited`

---@class neap.Bulkhead
---@field acquire fun(self): integer?, neap.Error? a permit, or an error of kind `bulkhead_full`
---@field release fun(self, permit: integer): boolean false for a permit that is not out
---@field in_use fun(self): integer permits that are out

---@class neap.RetryBudget
---@field deposit fun(self) for each call
---@field withdraw fun(self): boolean for each retry; false: there is none left
---@field balance fun(self): integer whole retries left

---@class neap.Backoff
---@field delay fun(self, n: integer, previous?: number): number seconds before the n-th retry;
--- `previous`, the delay before this one, matters to decorrelated jitter only
---@field bounds fun(self, n: integer, previous?: number): number, number shortest and longest delay

local policies = {}

-- Whoever may share belongs to the engine that knows with whom.
local function engine_for(policy)
  if type(policy) == "table" and rawget(policy, "name") ~= nil then
    return host.default_engine()
  end
end

--- A circuit breaker. Every permit must come back through `record`, exactly once.
---
---     local b = neap.breaker{ window = { count = 20 }, open_for = 10 }
---     local permit, err = b:acquire()
---     if not permit then return nil, err end -- err.retry_after: seconds until a probe may go
---     local began = neap.now()
---     local ok = ask_the_server()
---     b:record(permit, ok and "success" or "failure", neap.now() - began)
---@param policy table `breaker` of a client's policy, without key, max_keys and failure; and `name`
---@param env? neap.Env
---@return neap.Breaker
function policies.breaker(policy, env)
  local breaker, message = core.breaker(policy, env, engine_for(policy))
  if not breaker then
    error(message, 2)
  end
  return breaker
end

--- A bulkhead: at most `max_concurrent` permits are out at once. It never waits.
---
---     local k = neap.bulkhead{ max_concurrent = 4 }
---     local permit, err = k:acquire()
---     if not permit then return nil, err end
---     work()
---     k:release(permit)
---@param policy table `bulkhead` of a client's policy, and `name`
---@param env? neap.Env
---@return neap.Bulkhead
function policies.bulkhead(policy, env)
  local bulkhead, message = core.bulkhead(policy, env, engine_for(policy))
  if not bulkhead then
    error(message, 2)
  end
  return bulkhead
end

--- A rate limiter. It reserves and answers how long to wait; the waiting is the caller's.
---
---     local l = neap.rate_limiter{ rate = 10, per = 1, burst = 10, max_wait = 2 }
---     local wait, err = l:acquire()
---     if not wait then return nil, err end -- more than 2 seconds; nothing was reserved
---     neap.sleep(wait)
---@param policy table `rate_limit` of a client's policy, but max_wait has no limit by default; and
--- `name`
---@param env? neap.Env
---@return neap.RateLimiter
function policies.rate_limiter(policy, env)
  local limiter, message = core.rate_limiter(policy, env, engine_for(policy))
  if not limiter then
    error(message, 2)
  end
  return limiter
end

--- A retry budget: retries as a share of calls, on top of a small reserve.
---
---     local g = neap.retry_budget{ ratio = 0.1, min_per_second = 1, ttl = 10 }
---     g:deposit()
---     local ok = call()
---     if not ok and g:withdraw() then ok = call() end
---@param policy table `retry.budget` of a client's policy, and `name`
---@param env? neap.Env
---@return neap.RetryBudget
function policies.retry_budget(policy, env)
  local budget, message = core.retry_budget(policy, env, engine_for(policy))
  if not budget then
    error(message, 2)
  end
  return budget
end

--- A backoff: how long to wait before the n-th retry, n counted from 1.
---
---     local o = neap.backoff{ kind = "exponential", base = 0.1, max = 5, jitter = "full" }
---     for n = 1, 5 do
---       if call() then break end
---       neap.sleep(o:delay(n))
---     end
---@param policy table `retry.backoff` of a client's policy
---@param env? neap.Env
---@return neap.Backoff
function policies.backoff(policy, env)
  local backoff, message = core.backoff(policy, env)
  if not backoff then
    error(message, 2)
  end
  return backoff
end

--- The value of a Retry-After header in seconds: a whole number of them, or a date in one of the
--- three forms of RFC 9110. A date in the past is 0; nil for anything else, and for no value.
---
---     neap.retry_after("120")                                              --> 120
---     neap.retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684789)         --> 10
---@param value any a string, or a whole number >= 0
---@param now_epoch? number seconds since 1970 that a date is measured against; now by default
---@return number? seconds
function policies.retry_after(value, now_epoch)
  local seconds, message = core.retry_after(value, now_epoch)
  if message then
    error(message, 2)
  end
  return seconds
end

return policies
