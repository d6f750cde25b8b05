---@meta _
-- What neap's functions take and answer. The tables of options are in options.lua.

-- ------------------------------------------------------------------------------- requests, answers

---@class neap.Request exactly one of path and url; at most one of body, json and form
---@field method? string GET
---@field path? string joined with the policy's base_url
---@field url? string absolute
---@field query? table<string, string|number|boolean|(string|number|boolean)[]>
---@field headers? table<string, string|number|(string|number)[]>
---@field body? string
---@field json? any written as JSON by cjson or dkjson
---@field form? table<string, string|number|boolean|(string|number|boolean)[]>
---@field timeout? neap.Policy.Timeout key by key in place of the policy's
---@field deadline? number a moment of neap.now()
---@field idempotency_key? string 1 to 255 characters of printable ASCII
---@field replayable? boolean it may be repeated, whatever its method
---@field tags? table for listeners and functions of the policy

---@class neap.Response
---@field status integer
---@field ok boolean status 200 to 399
---@field reason? string
---@field headers table<string, string|string[]> found and set in any letter case; a repeated one is a list
---@field body string
---@field url? string after redirects
---@field http_version? number 1.0, 1.1, 2 or 3
---@field source "network"|"cache"|"stale"|"service"|"default"|"function"|"queue"
---@field degraded boolean true unless it came from the network or a fresh cache
---@field age? number seconds, of an answer that was stored
---@field attempts integer
---@field elapsed number seconds
---@field retry_after? number seconds, where the server named a delay
---@field trace neap.TraceEntry[]
---@field value? any what a fallback function returned, if it was no response
local Response = {}

--- The body as a Lua value; nil and a message where it is not JSON.
---@return any value
---@return string? message
function Response:json() end

---@class neap.TraceEntry
---@field at number a moment of neap.now()
---@field kind "attempt"|"wait"|"reject"|"fallback"
---@field status? integer
---@field error? neap.ErrorKind
---@field phase? neap.Phase
---@field elapsed number seconds
---@field reason? string why it waited, was refused, or stopped
---@field chaos? true disturbed on purpose
---@field enforced? false a refusal in shadow mode: the attempt was made
---@field message? string what a fallback raised

---@alias neap.Phase "connect"|"write"|"read"|"attempt"|"total"

---@alias neap.ErrorKind
---| "resolve" | "connect" | "tls" | "timeout" | "reset" | "protocol" | "too_large"
---| "breaker_open" | "gate" | "rate_limited" | "bulkhead_full" | "deadline" | "cancelled"
---| "redirect" | "conflict" | "store" | "phase" | "error"

---@class neap.Error
---@field kind neap.ErrorKind
---@field message string for people; holds no credential
---@field phase? neap.Phase which limit ran out; kind `timeout`
---@field retryable boolean the same call may be made again
---@field attempts integer
---@field elapsed number seconds
---@field retry_after? number seconds until asking again makes sense
---@field at? number when the call ended, on the clock of `neap.now()`
---@field cause? any what a wrapped function raised, or the error behind this one
---@field trace? neap.TraceEntry[]
---@field status? integer of the last response, where there was one

---@class neap.ErrorClass
local ErrorClass = {}

--- Makes an error of a table with its fields.
---@param fields table `kind`, `message` and what else is known
---@return neap.Error
function ErrorClass.new(fields) end

--- Is the value an error of neap?
---@param value any
---@return boolean
function ErrorClass.is(value) end

---@class neap.Outcome of an attempt, as functions of the policy get it
---@field attempt integer
---@field method string
---@field elapsed number seconds
---@field status? integer
---@field response? neap.Response
---@field kind? neap.ErrorKind
---@field error? neap.Error

---@class neap.AttemptInfo for `trace` of a policy
---@field attempt integer
---@field at number a moment of neap.now()
---@field time number seconds since 1970
---@field client string
---@field call integer
---@field context table the call's own
---@field tags? table
---@field method string
---@field url string without query
---@field path? string
---@field host string
---@field port integer

---@alias neap.FallbackFunction fun(req: neap.Request, err?: neap.Error, res?: neap.Response): any

---@class neap.Fallback exactly one of [1], cache, service, default and queue
---@field [1]? neap.FallbackFunction nil goes on to the next entry
---@field cache? true what this client last got for the same request
---@field max_stale? number seconds (3600), with cache
---@field service? neap.Client
---@field request? fun(req: neap.Request, err?: neap.Error): neap.Request with service
---@field default? any an answer, or `function(req)` that returns one
---@field queue? neap.Outbox
---@field when? neap.ErrorKind[] only for these kinds of error

---@class neap.Event of client:on; which fields there are depends on the event
---@field event "attempt"|"retry"|"reject"|"breaker"|"fallback"|"alert"|"done"
---@field client string
---@field at number a moment of neap.now()
---@field time number seconds since 1970
---@field call? integer
---@field context? table the call's own, for listeners
---@field tags? table
---@field method? string
---@field url? string without query
---@field path? string
---@field host? string
---@field port? integer
---@field traceparent? string
---@field attempt? integer attempt: its number
---@field attempts? integer made so far
---@field began? number a moment of neap.now()
---@field began_time? number seconds since 1970
---@field elapsed? number seconds
---@field status? integer
---@field error? neap.ErrorKind
---@field phase? neap.Phase
---@field delay? number retry: seconds
---@field reason? string
---@field enforced? false reject: only in shadow mode
---@field chaos? true attempt: disturbed on purpose
---@field from? neap.BreakerState breaker
---@field to? neap.BreakerState breaker
---@field would_open? boolean breaker: metrics_only
---@field key? string breaker
---@field ok? boolean done
---@field source? string done
---@field coalesced? boolean done
---@field trace? neap.TraceEntry[] done
---@field alert? "p99"|"error_rate"|"retry_surge"|"timeout_surge"|"breaker_open" alert
---@field state? "firing"|"resolved" alert
---@field value? number alert
---@field threshold? number alert
---@field window? number alert: seconds
---@field since? number alert: a moment of neap.now()

-- ----------------------------------------------------------------------------------------- clients

---@class neap.Client
---@field name string
---@field breaker? neap.Breaker nil if there is none, or one for each key
local Client = {}

--- Makes a call through the whole pipeline. A response with any status is a response: look at
--- `res.ok`; what the outside world causes is `nil, err`.
---@param req neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:request(req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:get(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:head(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:post(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:put(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:patch(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:delete(path, req) end

---@param path string
---@param req? neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:options(path, req) end

--- Calls fn with one table at each event. A listener that raises is counted, never felt.
---@param event "attempt"|"retry"|"reject"|"breaker"|"fallback"|"alert"|"done"
---@param fn fun(event: neap.Event)
function Client:on(event, fn) end

--- Changes the policy, and keeps the state that fits. Raises where it is wrong, and changes nothing.
---@param policy neap.Policy the whole policy
function Client:update(policy) end

--- The kill switch of `chaos` for this client. Without an argument it only tells.
---@param on? boolean
---@return boolean before
function Client:chaos(on) end

--- The breaker that calls of one key have; nil where no call has used that key lately.
---@param key string
---@return neap.Breaker?
function Client:breaker_for(key) end

--- What has been counted since the client was made.
---@return neap.Stats
function Client:stats() end

--- Calls in flight, and later ones, end with an error of kind `cancelled`.
function Client:close() end

---@class neap.Latency seconds; quantiles within 5 %
---@field count integer
---@field mean number
---@field p50 number
---@field p90 number
---@field p95 number
---@field p99 number
---@field max number

---@class neap.Stats in tables of counts only what has happened stands
---@field calls integer begun
---@field ok integer ended with a response below 400 or a value, fallbacks included
---@field failed table<"4xx"|"5xx", integer>
---@field errors table<neap.ErrorKind, integer>
---@field abandoned integer calls whose caller has gone
---@field coalesced integer calls that another one's outcome has served
---@field attempts integer
---@field in_flight integer
---@field chaos integer attempts that were disturbed on purpose
---@field retries table<string, integer> by kind of error or status
---@field timeouts table<neap.Phase, integer>
---@field rejections table<neap.ErrorKind, integer>
---@field shadow_rejections table<string, integer>
---@field shadow_waits table<string, integer>
---@field fallbacks table<string, integer> by source
---@field cache table<"hits"|"stale"|"misses"|"revalidated"|"errors", integer>
---@field latency neap.Latency of calls that made an attempt
---@field attempt_latency neap.Latency
---@field pool { opened: integer, reused: integer }
---@field breaker? neap.BreakerSnapshot
---@field breakers? table<string, neap.BreakerSnapshot> by key
---@field breaker_keys? integer
---@field transitions table<neap.BreakerState, integer>
---@field alerts? { alert: string, since: number, value: number }[]
---@field history { seconds: integer, calls: integer[], failures: integer[] }
---@field listener_errors integer

---@class neap.Task
local Task = {}

--- Waits until the task has ended; returns what its function returned, raises what it raised.
---@return any ...
function Task:await() end

---@class neap.Region
local Region = {}

---@return string
function Region:name() end

---@return { size: integer, used: integer, cells: integer, evicted: integer, refused: integer, processes: integer }
function Region:stats() end

-- ----------------------------------------------------------------------------- stand-alone policies

---@class neap.Env
---@field clock? fun(): number monotonic seconds
---@field random? fun(): number in [0,1)
---@field time? fun(): number wall clock

---@alias neap.BreakerState
---| "closed" | "open" | "half_open" | "forced_open" | "disabled" | "metrics_only"

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

---@class neap.Breaker
local Breaker = {}

---@return integer? permit
---@return neap.Error? err kind `breaker_open`
function Breaker:acquire() end

---@param permit integer
---@param verdict "success"|"failure"|"ignore"
---@param elapsed? number seconds
function Breaker:record(permit, verdict, elapsed) end

---@return neap.BreakerState
function Breaker:state() end

---@return neap.BreakerSnapshot
function Breaker:snapshot() end

--- Refuses all, until changed by hand.
function Breaker:force_open() end

--- Admits all and records nothing, until changed by hand.
function Breaker:disable() end

--- Admits all and records, until changed by hand.
function Breaker:metrics_only() end

--- Closed, with an empty window and counters at zero.
function Breaker:reset() end

---@return string exported for `import`, in another process or at another time
function Breaker:export() end

---@param exported string
---@return boolean? done
---@return neap.Error? err kind `error`
function Breaker:import(exported) end

---@class neap.RateLimiter
local RateLimiter = {}

---@param n? integer
---@return number? seconds to wait until n units may go (0: now), already reserved
---@return neap.Error? err kind `rate_limited`
function RateLimiter:acquire(n) end

---@class neap.Bulkhead
local Bulkhead = {}

---@return integer? permit
---@return neap.Error? err kind `bulkhead_full`
function Bulkhead:acquire() end

---@param permit integer
---@return boolean released false for a permit that is not out
function Bulkhead:release(permit) end

---@return integer permits that are out
function Bulkhead:in_use() end

---@class neap.RetryBudget
local RetryBudget = {}

--- For each call.
function RetryBudget:deposit() end

--- For each retry.
---@return boolean allowed
function RetryBudget:withdraw() end

---@return integer retries left
function RetryBudget:balance() end

---@class neap.Backoff
local Backoff = {}

---@param n integer the n-th retry, counted from 1
---@param previous? number the delay before, for decorrelated jitter
---@return number seconds
function Backoff:delay(n, previous) end

---@param n integer
---@param previous? number
---@return number low
---@return number high
function Backoff:bounds(n, previous) end

-- ------------------------------------------------------------------------------------ neap.check

---@class neap.CheckFacts
---@field rate? number calls a second
---@field allowed_latency? number seconds that a call may take
---@field server_rate_limit? number requests a second that the server takes
---@field workers? integer processes that share the policy's state (1)

---@class neap.Finding
---@field level "error"|"warning"|"note"
---@field rule string
---@field path string the key that it is about
---@field message string why, and what to do about it
---@field page string of docs/

---@class neap.ReportParts seconds
---@field attempts number
---@field backoff number
---@field gate number
---@field rate_limit number
---@field bulkhead number
---@field others number

---@class neap.Report
---@field ok boolean no finding is an error
---@field worst_case number seconds that a call can take
---@field parts neap.ReportParts
---@field attempts integer
---@field amplification number requests for each call in a total outage
---@field amplification_without_budget number
---@field findings neap.Finding[]

---@class neap.Store

return {
  ["neap.Client"] = Client, ["neap.Response"] = Response, ["neap.ErrorClass"] = ErrorClass,
  ["neap.Task"] = Task, ["neap.Region"] = Region, ["neap.Breaker"] = Breaker,
  ["neap.RateLimiter"] = RateLimiter, ["neap.Bulkhead"] = Bulkhead,
  ["neap.RetryBudget"] = RetryBudget, ["neap.Backoff"] = Backoff,
}
