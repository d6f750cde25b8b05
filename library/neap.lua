---@meta neap

---@class neap
---@field _VERSION string
---@field Error neap.ErrorClass
local neap = {}

--- A client of one API. Raises at your line where the policy is wrong.
---
---     local api = neap.client{ name = "api", base_url = "https://api.example/" }
---@param policy neap.Policy
---@return neap.Client
function neap.client(policy) end

--- A function that calls fn through retry, breaker, limits and fallbacks of the policy. It returns
--- what fn returns, or `nil, err`; fn fails when it raises or returns `nil, err`.
---@generic F: function
---@param policy neap.Policy what is about HTTP has no effect
---@param fn F
---@return F
function neap.wrap(policy, fn) end

--- Runs fn, and all that it spawns, on neap's own loop; returns what fn returns once all has ended.
---@param fn function
---@param ... any for fn
---@return any ...
function neap.run(fn, ...) end

--- Starts fn beside the task that runs; only inside neap.run.
---@param fn function
---@param ... any for fn
---@return neap.Task
function neap.spawn(fn, ...) end

--- Runs the functions side by side and waits for all: `{ ok, results… }` of each, in their order.
---@param functions function[]
---@return table[]
function neap.all(functions) end

--- Lets so many seconds pass: others go on meanwhile, a plain program blocks.
---@param seconds number
function neap.sleep(seconds) end

--- Monotonic seconds: the clock of a request's `deadline`.
---@return number
function neap.now() end

--- A circuit breaker by itself. Every permit must come back through `record`, exactly once.
---@param policy neap.BreakerPolicy
---@param env? neap.Env
---@return neap.Breaker
function neap.breaker(policy, env) end

--- A bulkhead by itself. It never waits.
---@param policy neap.BulkheadPolicy
---@param env? neap.Env
---@return neap.Bulkhead
function neap.bulkhead(policy, env) end

--- A rate limiter by itself. It reserves and answers how long to wait; the waiting is yours.
---@param policy neap.RateLimiterPolicy
---@param env? neap.Env
---@return neap.RateLimiter
function neap.rate_limiter(policy, env) end

--- A retry budget by itself.
---@param policy neap.RetryBudgetPolicy
---@param env? neap.Env
---@return neap.RetryBudget
function neap.retry_budget(policy, env) end

--- A backoff by itself.
---@param policy neap.BackoffPolicy
---@param env? neap.Env
---@return neap.Backoff
function neap.backoff(policy, env) end

--- The value of a Retry-After header in seconds; nil where it is none.
---@param value any
---@param now_epoch? number seconds since 1970; now by default
---@return number? seconds
function neap.retry_after(value, now_epoch) end

--- What a client of this policy will come to: worst case, attempts, load in an outage, findings.
---@param policy neap.Policy
---@param facts? neap.CheckFacts
---@return neap.Report
function neap.check(policy, facts) end

--- A snapshot of every open client by its name.
---@return table<string, neap.Stats>
function neap.stats() end

--- What every open client has counted, as Prometheus scrapes it (`text/plain; version=0.0.4`).
---@param clients? neap.Client[] these only
---@return string
function neap.prometheus(clients) end

--- The status page, one HTML document.
---@param clients? neap.Client[] these only
---@return string
function neap.status(clients) end

--- Puts the state of all policies that are made afterwards into memory shared by processes.
---@param options? neap.SharedOptions
---@return neap.Region? region
---@return neap.Error? err kind `store`
function neap.shared(options) end

--- The kill switch of `chaos` for all clients of the process.
---@param on boolean
function neap.chaos(on) end

return neap
