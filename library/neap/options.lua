---@meta _
-- The tables of options, made by `make docs` from the declarations that the module itself reads by.

-- <options policy neap.Policy>
---@class neap.Policy
---@field name string label in errors, events and neap.stats(); UTF-8 without control characters; a string of printable characters; required
---@field base_url? string joined with path by RFC 3986; http or https; without a slash at the end its last segment is replaced; a non-empty string; default none
---@field headers? table<string, string|number|(string|number)[]> name to string, number or list; sent with each request; a request's own header of that name replaces it; a table of header names and values; default {}
---@field timeout? neap.Policy.Timeout see timeouts; a request may override key by key; a table; default {}
---@field retry? neap.Policy.Retry|false see retry; false: one attempt, no refresh, no budget; a table or false; default {}
---@field breaker? neap.Policy.Breaker|false see breaker; false: none; a table or false; default {}
---@field gate? neap.Policy.Gate|false see gate; false: nothing closes and nothing waits; a table or false; default {}
---@field rate_limit? neap.Policy.RateLimit|false our own promise of a rate, see limits; a table or false; default none
---@field bulkhead? neap.Policy.Bulkhead|false places on the wire, see limits; a table or false; default none
---@field pool? neap.Policy.Pool connections, see transport; a table; default {}
---@field idempotency? neap.Policy.Idempotency|true|false see idempotency; true: all defaults; a table, true or false; default none
---@field cache? neap.Policy.Cache|true|false see cache; true is {}; a table, true or false; default none
---@field coalesce? boolean see coalescing; true: identical GETs and HEADs in flight share the attempts of the first; a boolean; default false
---@field fallback? (neap.Fallback|neap.FallbackFunction)[] what answers when the call has failed, see fallback; up to 32 entries, tried in order; a list; default none
---@field alerts? neap.Policy.Alerts|true|false see alerts; true is {}: all but p99; a table, true or false; default none
---@field chaos? neap.Policy.Chaos|false faults on purpose, see chaos; a table or false; default none
---@field tls? neap.Policy.Tls of connections to https, and to a proxy by https; a table; default {}
---@field proxy? string http, https, socks4, socks4a, socks5 or socks5h; without it no proxy is used, whatever the environment says; a URL or "environment"; default none
---@field allow_hosts? string[] no other host is asked, nor followed a redirect to; *.example.com is each sub-domain, not example.com; a list of host names; default none
---@field deny_private? boolean true: no connection to an inner address; not together with proxy; a boolean; default false
---@field redirects? integer followed at most; 0: none, a 302 is then a response; an integer from 0 to 100; default 5
---@field max_response_bytes? integer of the decoded body; more is too_large; an integer >= 1 (bytes); default 16777216
---@field max_header_bytes? integer of the whole head, interim heads and trailers included; more is too_large; an integer >= 1 (bytes); default 65536
---@field max_request_bytes? integer a longer body is misuse; an integer >= 0 (bytes); default none
---@field trace? (fun(req: neap.Request, attempt: neap.AttemptInfo): table<string, string>?) (req, attempt) -> headers or nil, before each attempt: see watching; a function; default none
---@field deadline_header? string name of a header that carries the whole milliseconds left; a header name; default none

---@class neap.Policy.Timeout
---@field connect? number resolving, connecting, a proxy and TLS, until the connection can be used; a number > 0 (seconds); default 2
---@field write? number longest silence while the request is being sent; a number > 0 (seconds); default 5
---@field read? number longest silence while waiting for the response or its next byte; a number > 0 (seconds); default 5
---@field attempt? number one attempt as a whole, redirects and the wait for the pool included; a number > 0 (seconds); default none
---@field total? number the call as a whole: attempts, waits, fallbacks that use the network; a number > 0 (seconds); default 30

---@class neap.Policy.Retry
---@field max_attempts? integer attempts in all, the first one and a refreshed one counted; an integer >= 1; default 3
---@field backoff? neap.Policy.Retry.Backoff|(fun(n: integer, outcome: neap.Outcome): number) the wait before the n-th retry; a function is (n, outcome) -> seconds; a table or a function; default {}
---@field statuses? table<integer, boolean|"once"> status (100 to 599) to true, "once" (a single retry for this reason in the call) or false; yours override the defaults one by one; a table of statuses; default { [408] = true, [425] = true, [429] = true, [500] = "once", [502] = true, [503] = true, [504] = true }
---@field refresh? (fun(req: neap.Request, res: neap.Response): table<string, string>?) (req, res) -> headers or nil, on 401, once a call: a new token; a function; default none
---@field when? (fun(outcome: neap.Outcome): boolean?) (outcome) -> true, false or nil; nil leaves the default; a function; default none
---@field honor_retry_after? boolean a server's delay replaces the backoff; a boolean; default true
---@field max_server_delay? number a longer one ends the call at once; also the longest time a gate closes for; a number >= 0 (seconds); default 60
---@field budget? neap.Policy.Retry.Budget|false retries as a share of calls, see limits; false: no budget; a table or false; default {}

---@class neap.Policy.Retry.Backoff
---@field kind? "fixed"|"linear"|"exponential" base; base*n; base*factor^(n-1); one of "fixed", "linear", "exponential"; default "exponential"
---@field base? number the first wait before jitter; a number >= 0 (seconds); default 1
---@field factor? number growth; exponential only; a number >= 1; default 2
---@field max? number no wait is longer, jitter included; a number >= 0 (seconds); default 10
---@field jitter? "none"|"full"|"equal"|"additive"|"decorrelated"|number how waits are spread; a number is plus or minus that share; one of "none", "full", "equal", "additive", "decorrelated" or a number > 0 and <= 1; default 0.5

---@class neap.Policy.Retry.Budget
---@field ratio? number retries that each call pays in; a number >= 0; default 0.2
---@field min_per_second? number reserve: so many times ttl retries in any ttl seconds; a number >= 0; default 10
---@field ttl? integer how long a deposit or a withdrawal counts; an integer from 1 to 3600 (seconds); default 10

---@class neap.Policy.Breaker
---@field window? neap.Policy.Breaker.Window either count or seconds; a table; default {}
---@field min_calls? integer results before a rate exists; at most the count window, or the probes while half open; an integer >= 1; default 10
---@field failure_rate? number opens at this share of failures; a number > 0 and <= 1; default 0.5
---@field slow_call? neap.Policy.Breaker.SlowCall opens for slowness; a table; default none
---@field consecutive_failures? integer opens at so many failures in a row, whatever the rate; an integer >= 1; default none
---@field open_for? neap.Policy.Breaker.OpenFor|number how long it stays open; a number is base; a table or a number > 0 (seconds); default {}
---@field half_open? neap.Policy.Breaker.HalfOpen the probes; a table; default {}
---@field ramp? neap.Policy.Breaker.Ramp a growing share after closing; a table; default none
---@field key? "client"|"host"|(fun(req: neap.Request): string) one breaker; one each origin; or one each text of (req) -> string; one of "client", "host" or a function; default "client"
---@field max_keys? integer breakers kept; the key idle longest makes room; where all are in use the call goes without; an integer >= 1; default 10000
---@field failure? (fun(outcome: neap.Outcome): "success"|"failure"|"ignore"|nil) (outcome) -> "success", "failure", "ignore" or nil; a function; default none
---@field enforce? boolean false: shadow mode, it decides, counts and admits; a boolean; default true

---@class neap.Policy.Breaker.Window
---@field count? integer the last so many results; an integer from 1 to 16383; default 100
---@field seconds? integer the results of the last so many seconds; an integer from 1 to 3600 (seconds); default none

---@class neap.Policy.Breaker.SlowCall
---@field duration number an attempt that lasts longer is slow; a number > 0 (seconds); required
---@field rate number opens at this share of slow attempts; a number > 0 and <= 1; required

---@class neap.Policy.Breaker.OpenFor
---@field base? number the first opening; not above max; a number > 0 (seconds); default 30
---@field factor? number growth with each opening in a row; back to base after a close; a number >= 1; default 1
---@field max? number longest opening before jitter; a number > 0 (seconds); default 300
---@field jitter? number plus or minus that share; a number from 0 to 1; default 0

---@class neap.Policy.Breaker.HalfOpen
---@field permits? integer probes in all until it is decided; an integer from 1 to 1023; default 5
---@field lease? number a probe silent for so long counts as failed; a number > 0 (seconds); default 60

---@class neap.Policy.Breaker.Ramp
---@field seconds number until everybody is admitted; a number > 0 (seconds); required
---@field from? number the share at the start; a number from 0 to 1; default 0.1

---@class neap.Policy.Gate
---@field max_wait? number who would wait longer is refused at once; a number >= 0 (seconds); default 10
---@field key? (fun(req: neap.Request): string) (req) -> string: what tells credentials apart, in place of the digest of Authorization; a function; default none

---@class neap.Policy.RateLimit
---@field rate number units in per seconds; a number > 0; required
---@field per? number see rate; a number > 0 (seconds); default 1
---@field burst? number units at once after a pause; at least 1; a number >= 1; default rate
---@field max_wait? number who would wait longer is refused: rate_limited; stand-alone: no limit; a number >= 0 (seconds); default 0
---@field enforce? boolean false: shadow mode, nobody waits, nobody is refused; a boolean; default true

---@class neap.Policy.Bulkhead
---@field max_concurrent integer attempts on the wire at once; an integer from 1 to 65535; required
---@field max_wait? number longest wait for a place; a number >= 0 (seconds); default 0
---@field max_queue? integer calls that may wait; more are refused at once; an integer >= 0; default 1000
---@field enforce? boolean false: shadow mode, nobody queues, nobody is refused; a boolean; default true

---@class neap.Policy.Pool
---@field max_connections? integer connections of the client in all; an integer >= 1; default 100
---@field per_host? integer connections to one host; more requests wait for a place; an integer >= 1; default 20
---@field ttl? number a connection is not used again after so long; whole seconds count; a number > 0 (seconds); default 300
---@field idle? number nor after so long without use; whole seconds count; a number > 0 (seconds); default 60
---@field validate_after? number accepted without effect: libcurl looks at an idle connection each time; a number >= 0 (seconds); default 1
---@field http2? boolean HTTP/2 over TLS (ALPN) where the server speaks it; plain http is HTTP/1.1; a boolean; default true

---@class neap.Policy.Idempotency
---@field header? string carries the key; a header name; default "Idempotency-Key"
---@field methods? string[] methods that get a key by themselves; a list of method names; default { "POST", "PATCH" }
---@field from? string[]|(fun(req: neap.Request): string) what the key is made of: fields, or (req) -> string; none: a UUID version 4; a list of field names or a function; default none
---@field quoted? boolean the value as an RFC 8941 string, in quotes; a boolean; default false
---@field prefix? string stands in front of a made key; a string of 1 to 191 printable ASCII characters, the first one no space; default none

---@class neap.Policy.Cache
---@field store? neap.Store where answers are kept; a store; default memory of the client's own
---@field ttl? number lifetime of an answer whose server says nothing about it; a number >= 0 (seconds); default none
---@field stale_if_error? number where the server is silent: stale for so long, it stands in for an error; a number >= 0 (seconds); default none
---@field stale_while_revalidate? number where the server is silent: stale for so long, it is answered at once and refreshed beside the caller; a number >= 0 (seconds); default none
---@field max_entries? integer answers in memory; without effect where a store is given; an integer from 1 to 1000000000; default 1000
---@field max_bytes? integer of that memory, likewise; an integer >= 1024 (bytes); default 67108864
---@field vary? string[] request headers that answers depend on, whatever Vary says; a list of header names; default none

---@class neap.Policy.Alerts
---@field window? number length of the windows in which is counted; a number >= 0.1 (seconds); default 60
---@field p99? number|false expected latency at the 99th percentile; none: this alert is off; a number > 0 (seconds) or false; default none
---@field p99_factor? number how many times that is too much; a number >= 1; default 2
---@field error_rate? number|false share of calls that may fail; false: this alert is off, here and below; a number from 0 to 1 or false; default 0.05
---@field breaker_open? boolean tells that the breaker is open; a boolean; default true
---@field retry_surge? number|false retries, as a multiple of the mean of the ten windows before; a number >= 1 or false; default 3
---@field timeout_surge? number|false likewise, timeouts of attempts; a number >= 1 or false; default 3
---@field min_calls? integer fewer calls, retries or timeouts in a window say nothing; an integer >= 1; default 20
---@field notify? (fun(alert: neap.Event)) function(alert), told when an alert begins and when it ends; a function; default none

---@class neap.Policy.Chaos
---@field rate number share of attempts that are disturbed; a number > 0 and <= 1; required
---@field latency? number how late the attempt is, or what comes instead of it; a number >= 0 (seconds); default 0
---@field error? "resolve"|"connect"|"tls"|"timeout"|"reset"|"protocol" the kind of error it ends in, unsent; a timeout has phase read; one of "resolve", "connect", "tls", "timeout", "reset", "protocol"; default none
---@field status? integer a response of that status, without body, in the server's place; not together with error; an integer from 200 to 599; default none
---@field only? (fun(req: neap.Request): boolean?) (req) -> boolean, asked once a call: false or nil lets all its attempts be; a function; default none

---@class neap.Policy.Tls
---@field verify? boolean the certificate and name of the server, and of a proxy by https; a boolean; default true
---@field ca_file? string trust these authorities only, in place of the system's; a non-empty string; default system
---@field ca_path? string likewise, a directory; a non-empty string; default system
---@field cert? string client certificate, PEM; for the origin of the request only; a non-empty string; default none
---@field key? string its private key, PEM; a non-empty string; default none
---@field min_version? "1.2"|"1.3" lowest version; one of "1.2", "1.3"; default "1.2"
-- <end>

-- <options breaker neap.BreakerPolicy>
---@class neap.BreakerPolicy
---@field name? string of the state that processes share, see a name; a string of printable characters; default none
---@field window? neap.BreakerPolicy.Window either count or seconds; a table; default {}
---@field min_calls? integer results before a rate exists; at most the count window, or the probes while half open; an integer >= 1; default 10
---@field failure_rate? number opens at this share of failures; a number > 0 and <= 1; default 0.5
---@field slow_call? neap.BreakerPolicy.SlowCall opens for slowness; a table; default none
---@field consecutive_failures? integer opens at so many failures in a row, whatever the rate; an integer >= 1; default none
---@field open_for? neap.BreakerPolicy.OpenFor|number how long it stays open; a number is base; a table or a number > 0 (seconds); default {}
---@field half_open? neap.BreakerPolicy.HalfOpen the probes; a table; default {}
---@field ramp? neap.BreakerPolicy.Ramp a growing share after closing; a table; default none

---@class neap.BreakerPolicy.Window
---@field count? integer the last so many results; an integer from 1 to 16383; default 100
---@field seconds? integer the results of the last so many seconds; an integer from 1 to 3600 (seconds); default none

---@class neap.BreakerPolicy.SlowCall
---@field duration number an attempt that lasts longer is slow; a number > 0 (seconds); required
---@field rate number opens at this share of slow attempts; a number > 0 and <= 1; required

---@class neap.BreakerPolicy.OpenFor
---@field base? number the first opening; not above max; a number > 0 (seconds); default 30
---@field factor? number growth with each opening in a row; back to base after a close; a number >= 1; default 1
---@field max? number longest opening before jitter; a number > 0 (seconds); default 300
---@field jitter? number plus or minus that share; a number from 0 to 1; default 0

---@class neap.BreakerPolicy.HalfOpen
---@field permits? integer probes in all until it is decided; an integer from 1 to 1023; default 5
---@field lease? number a probe silent for so long counts as failed; a number > 0 (seconds); default 60

---@class neap.BreakerPolicy.Ramp
---@field seconds number until everybody is admitted; a number > 0 (seconds); required
---@field from? number the share at the start; a number from 0 to 1; default 0.1
-- <end>

-- <options bulkhead neap.BulkheadPolicy>
---@class neap.BulkheadPolicy
---@field name? string of the state that processes share, see a name; a string of printable characters; default none
---@field max_concurrent integer attempts on the wire at once; an integer from 1 to 65535; required
---@field max_wait? number longest wait for a place; a number >= 0 (seconds); default 0
---@field max_queue? integer calls that may wait; more are refused at once; an integer >= 0; default 1000
-- <end>

-- <options rate_limiter neap.RateLimiterPolicy>
---@class neap.RateLimiterPolicy
---@field name? string of the state that processes share, see a name; a string of printable characters; default none
---@field rate number units in per seconds; a number > 0; required
---@field per? number see rate; a number > 0 (seconds); default 1
---@field burst? number units at once after a pause; at least 1; a number >= 1; default rate
---@field max_wait? number who would wait longer is refused; none: no limit; a number >= 0 (seconds); default none
-- <end>

-- <options retry_budget neap.RetryBudgetPolicy>
---@class neap.RetryBudgetPolicy
---@field name? string of the state that processes share, see a name; a string of printable characters; default none
---@field ratio? number retries that each call pays in; a number >= 0; default 0.2
---@field min_per_second? number reserve: so many times ttl retries in any ttl seconds; a number >= 0; default 10
---@field ttl? integer how long a deposit or a withdrawal counts; an integer from 1 to 3600 (seconds); default 10
-- <end>

-- <options backoff neap.BackoffPolicy>
---@class neap.BackoffPolicy
---@field kind? "fixed"|"linear"|"exponential" base; base*n; base*factor^(n-1); one of "fixed", "linear", "exponential"; default "exponential"
---@field base? number the first wait before jitter; a number >= 0 (seconds); default 1
---@field factor? number growth; exponential only; a number >= 1; default 2
---@field max? number no wait is longer, jitter included; a number >= 0 (seconds); default 10
---@field jitter? "none"|"full"|"equal"|"additive"|"decorrelated"|number how waits are spread; a number is plus or minus that share; one of "none", "full", "equal", "additive", "decorrelated" or a number > 0 and <= 1; default 0.5
-- <end>

-- <options idempotency neap.GuardOptions>
---@class neap.GuardOptions
---@field store neap.Store a store: where claims and answers are kept; a store; required
---@field env? neap.Env the clock of a testing kit; a table; default none
---@field ttl? number a key is new again so long after its first request, even if that one still runs: keep it above max_run; a number > 0 (seconds); default 86400
---@field lease? number how long a claim outlives a process that died; renewed every third of it while the handler runs; a number > 0 (seconds); default 60
---@field max_run? number renewals stop so long after the claim: a handler that hangs does not hold its key for ever; a number > 0 (seconds); default 600
---@field header? string the name of the key's header; a header name; default "Idempotency-Key"
---@field required? boolean false: a request without a key goes to the handler unguarded; a boolean; default true
---@field methods? string[] the methods that are guarded; others go to the handler as they are; a list of method names; default { "POST", "PATCH" }
---@field fingerprint? "bytes"|"json"|(fun(req: neap.ServedRequest): string) what makes two requests the same: method, path with query, and the body byte for byte; "json": the order of members and white space do not matter; function(req) -> string: what you say; one of "bytes", "json" or a function; default "bytes"
---@field on_conflict? "reject"|"wait" while the first request runs, others get 409; "wait": they wait for its answer, no longer than lease; one of "reject", "wait"; default "reject"
---@field on_error? "store"|"release" a handler that raises is answered 500, which is stored, since nobody knows what it did; "release": the key is free again; one of "store", "release"; default "store"
---@field scope? (fun(req: neap.ServedRequest): string) function(req) -> string: whose key it is; the same key in another scope is another key; a function; default none
---@field store_statuses? (fun(status: integer): boolean) function(status) -> boolean: which answers are stored; none: all but 408, 425, 429 and 503; a function; default none
-- <end>

-- <options outbox neap.OutboxOptions>
---@class neap.OutboxOptions
---@field store neap.Store neap.store.sqlite (one machine), neap.store.redis (several), neap.store.memory (gone with the process); a store; required
---@field client? neap.Client its calls are the deliveries; a client; default the first one that queues with it
---@field name? string one of the store's outboxes; a string; default "outbox"
---@field ordering_key? (fun(req: neap.Request): string?) function(req) -> string or nil: entries of one key go one at a time, in order; a function; default none
---@field max_attempts? integer rounds that may fail; each is a call with the client's own retries; an integer >= 1; default 20
---@field backoff? neap.BackoffPolicy the wait between rounds; keys as in retry.backoff; a table; default { kind = "exponential", base = 5, factor = 2, max = 3600, jitter = 0.5 }
---@field max_age? number since it was put, by the wall clock; nothing waits past it; a number > 0 (seconds); default 604800
---@field env? neap.Env time and random of a testing kit; a table; default the machine's
-- <end>

-- <options store.memory neap.MemoryStoreOptions>
---@class neap.MemoryStoreOptions
---@field env? neap.Env the clock of a testing kit for guards that work on the store and have none of their own; an outbox takes its own env, a cache its client's clock; a table; default none
---@field max_bytes? integer keys, values, and all that belongs to them; an integer >= 1024 (bytes); default 67108864
---@field max_entries? integer cached answers at most; claims and entries of an outbox do not count; an integer >= 1; default none
-- <end>

-- <options store.sqlite neap.SqliteStoreOptions>
---@class neap.SqliteStoreOptions
---@field env? neap.Env the clock of a testing kit for guards that work on the store and have none of their own; an outbox takes its own env, a cache its client's clock; a table; default none
---@field path string of the file; its directory must be there; a non-empty string; required
---@field busy_timeout? number how long a step waits for another process's write; a number >= 0 (seconds); default 5
-- <end>

-- <options store.redis neap.RedisStoreOptions>
---@class neap.RedisStoreOptions
---@field env? neap.Env the clock of a testing kit for guards that work on the store and have none of their own; an outbox takes its own env, a cache its client's clock; a table; default none
---@field host? string or the path of a unix socket; a non-empty string; default "127.0.0.1"
---@field port? integer of the server; an integer from 1 to 65535; default 6379
---@field db? integer number of the database; an integer from 0 to 1000000; default 0
---@field user? string of an access list; only together with password; a non-empty string; default none
---@field password? string never shown in an error; a non-empty string; default none
---@field prefix? string in front of every key; a non-empty string; default "neap:"
---@field tls? boolean the certificate must be valid for host, which is no path then; a boolean; default false
---@field ca_file? string certificates to trust, instead of the system's; a non-empty string; default none
---@field connect_timeout? number for connecting and logging in; not for looking up a name; a number > 0 (seconds); default 2
---@field timeout? number for each of the two tries of a step; a number > 0 (seconds); default 2
-- <end>

-- <options shared neap.SharedOptions>
---@class neap.SharedOptions
---@field name? string of the region; processes with one name share it; a name of 1 to 64 letters, digits, '.', '_' and '-'; default "neap"
---@field size? integer of a region that is made; one that is there keeps its own; an integer from 65536 to 68719476736 (bytes); default 8388608
-- <end>
