-- What a policy table may say, and the exact words about what it may not.

local neap = require "neap"

-- A policy that is right but for what is given.
local function policy_with(part)
  local policy = { name = "api" }
  for key, value in pairs(part) do policy[key] = value end
  return policy
end

local function noop() end

-- The message without its position, which must be a line of this file.
local function refusal(make, ...)
  local arguments = { ... }
  local ok, message = pcall(function()
    local made = make(arguments[1], arguments[2])
    return made
  end)
  assert.is_false(ok, "nothing was raised")
  local position, text = tostring(message):match("^(.-policy_spec%.lua:%d+): (.*)$")
  assert.is_truthy(position, "not at the caller's line: " .. tostring(message))
  return text
end

local function refuses(what, part, message)
  it("refuses " .. what, function()
    assert.equal(message, refusal(neap.client, policy_with(part)))
  end)
end

local function takes(what, part)
  it("takes " .. what, function()
    local client = neap.client(policy_with(part))
    assert.is_truthy(client)
    client:close()
  end)
end

local inf = math.huge

describe("a policy as a whole", function()
  it("is a table", function()
    assert.equal('policy: expected a table, got a string ("api")', refusal(neap.client, "api"))
    assert.equal("policy: expected a table, got nil", refusal(neap.client, nil))
  end)

  it("has a name", function()
    assert.equal("policy.name: required, a string", refusal(neap.client, {}))
    assert.equal("policy.name: required, a string", refusal(neap.wrap, {}, noop))
  end)

  it("is read in the same way for wrap", function()
    assert.equal("policy.retry.max_attempts: expected an integer >= 1, got 0",
      refusal(neap.wrap, policy_with { retry = { max_attempts = 0 } }, noop))
    assert.is_function(neap.wrap(policy_with { base_url = "https://api.example.com" }, noop))
  end)

  it("is not asked for metatables", function()
    local trap = { __index = function() error("asked") end, __len = function() error("asked") end,
      __pairs = function() error("asked") end }
    local policy = policy_with { retry = setmetatable({}, trap),
      headers = setmetatable({ Accept = setmetatable({ "a", "b" }, trap) }, trap) }
    neap.client(setmetatable(policy, trap)):close()
  end)

  refuses("an empty name", { name = "" },
    'policy.name: expected a string of printable characters, got a string ("")')
  refuses("a name with a control character", { name = "a\nb" },
    'policy.name: expected a string of printable characters, got a string ("a\\nb")')
  refuses("a name that is no UTF-8", { name = "a\200" },
    'policy.name: expected a string of printable characters, got a string ("a\200")')
  refuses("a name that is no string", { name = 1 },
    "policy.name: expected a string of printable characters, got 1")
  takes("a name in any script", { name = "paiements d'été €" })
end)

describe("an unknown key", function()
  refuses("a slip of the pen", { retry = { max_attemps = 3 } },
    'policy.retry.max_attemps: unknown key, did you mean "max_attempts"?')
  refuses("two letters that changed places", { timeuot = {} },
    'policy.timeuot: unknown key, did you mean "timeout"?')
  refuses("another style of writing", { baseUrl = "https://a" },
    'policy.baseUrl: unknown key, did you mean "base_url"?')
  refuses("a key of a part of two tables", { breaker = { min_call = 3 } },
    'policy.breaker.min_call: unknown key, did you mean "min_calls"?')
  refuses("a key like no other, and lists the known ones", { timeout = { banana = 1 } },
    'policy.timeout.banana: unknown key, known keys: ' ..
    '"connect", "write", "read", "attempt", "total"')
  refuses("a key that is no identifier", { timeout = { ["a b"] = 1 } },
    'policy.timeout["a b"]: unknown key, known keys: ' ..
    '"connect", "write", "read", "attempt", "total"')
  refuses("a number as a key", { "https://api.example.com" }, "policy: unknown key 1")
  refuses("a boolean as a key", { retry = { [true] = 1 } }, "policy.retry: unknown key true")
  refuses("a very long key, shortened", { timeout = { [("long-"):rep(20)] = 1 } },
    'policy.timeout["' .. ("long-"):rep(12) .. '..."]: unknown key, known keys: ' ..
    '"connect", "write", "read", "attempt", "total"')
  it("hides a key of several words, which may be a pass phrase", function()
    local text = refusal(neap.client, policy_with{ retry = { ["correct horse"] = 1 } })
    assert.matches('^policy%.retry%["%.%.%."%]: unknown key', text)
  end)
  refuses("a key with a zero byte", { timeout = { ["read\0"] = 1 } },
    'policy.timeout["read\\000"]: unknown key, did you mean "read"?')
end)

describe("a number", function()
  refuses("an integer below its range", { retry = { max_attempts = -1 } },
    "policy.retry.max_attempts: expected an integer >= 1, got -1")
  refuses("half an integer", { retry = { max_attempts = 1.5 } },
    "policy.retry.max_attempts: expected an integer >= 1, got 1.5")
  refuses("an integer that is too large", { retry = { max_attempts = 2 ^ 32 } },
    "policy.retry.max_attempts: expected an integer from 1 to 4294967295, got 4294967296")
  refuses("a text that looks like a number", { timeout = { read = "2" } },
    'policy.timeout.read: expected a number > 0 (seconds), got a string ("2")')
  refuses("no time at all", { timeout = { total = 0 } },
    "policy.timeout.total: expected a number > 0 (seconds), got 0")
  refuses("a boolean for a number", { timeout = { attempt = false } },
    "policy.timeout.attempt: expected a number > 0 (seconds), got false")
  refuses("NaN", { timeout = { connect = 0 / 0 } },
    "policy.timeout.connect: expected a number > 0 (seconds), got nan")
  refuses("infinity", { timeout = { total = inf } },
    "policy.timeout.total: expected a number > 0 (seconds), got inf")
  refuses("minus infinity", { retry = { max_server_delay = -inf } },
    "policy.retry.max_server_delay: expected a number >= 0 (seconds), got -inf")
  refuses("a size of half a byte", { max_response_bytes = 0.5 },
    "policy.max_response_bytes: expected an integer >= 1 (bytes), got 0.5")
  refuses("more redirects than anybody follows", { redirects = 101 },
    "policy.redirects: expected an integer from 0 to 100, got 101")
  takes("a float that is integral", { retry = { max_attempts = 2.0 } })
  takes("fractions of a second", { timeout = { total = 0.25, connect = 1e-12 } })
end)

describe("retry", function()
  refuses("true", { retry = true }, "policy.retry: expected a table or false, got true")
  refuses("a backoff that is a number", { retry = { backoff = 2 } },
    "policy.retry.backoff: expected a table or a function, got 2")
  refuses("an unknown kind of backoff", { retry = { backoff = { kind = "quadratic" } } },
    'policy.retry.backoff.kind: expected one of "fixed", "linear", "exponential", ' ..
    'got a string ("quadratic")')
  refuses("a share of jitter above one", { retry = { backoff = { jitter = 1.5 } } },
    "policy.retry.backoff.jitter: expected a number > 0 and <= 1, got 1.5")
  refuses("an unknown jitter", { retry = { backoff = { jitter = "half" } } },
    'policy.retry.backoff.jitter: expected one of "none", "full", "equal", "additive", ' ..
    '"decorrelated" or a number > 0 and <= 1, got a string ("half")')
  refuses("a shrinking factor", { retry = { backoff = { factor = 0.5 } } },
    "policy.retry.backoff.factor: expected a number >= 1, got 0.5")
  refuses("a status out of range", { retry = { statuses = { [99] = true } } },
    "policy.retry.statuses: unknown key 99, expected a status from 100 to 599")
  refuses("a status in quotes", { retry = { statuses = { ["500"] = true } } },
    'policy.retry.statuses["500"]: unknown key, expected a status from 100 to 599')
  refuses("an unknown rule for a status", { retry = { statuses = { [500] = "twice" } } },
    'policy.retry.statuses[500]: expected true, "once" or false, got a string ("twice")')
  refuses("a when that is no function", { retry = { when = true } },
    "policy.retry.when: expected a function, got true")
  refuses("a word for a boolean", { retry = { honor_retry_after = "no" } },
    'policy.retry.honor_retry_after: expected a boolean, got a string ("no")')
  refuses("a budget that is true", { retry = { budget = true } },
    "policy.retry.budget: expected a table or false, got true")
  refuses("a budget that lives too long", { retry = { budget = { ttl = 3601 } } },
    "policy.retry.budget.ttl: expected an integer from 1 to 3600 (seconds), got 3601")
  takes("false", { retry = false })
  takes("every key", { retry = { max_attempts = 5, backoff = noop, refresh = noop, when = noop,
    statuses = { [500] = false, [404] = "once", [409] = true }, honor_retry_after = false,
    max_server_delay = 0, budget = false } })
  takes("every jitter", { retry = { backoff = { kind = "linear", base = 0, factor = 1, max = 5,
    jitter = "decorrelated" }, budget = { ratio = 0, min_per_second = 0, ttl = 1 } } })
end)

describe("breaker", function()
  refuses("a number", { breaker = 1 }, "policy.breaker: expected a table or false, got 1")
  refuses("two windows", { breaker = { window = { count = 10, seconds = 10 } } },
    "policy.breaker.window: expected either count or seconds, got both")
  refuses("a window that is too long", { breaker = { window = { count = 16384 } } },
    "policy.breaker.window.count: expected an integer from 1 to 16383, got 16384")
  refuses("a window of half a second", { breaker = { window = { seconds = 0.5 } } },
    "policy.breaker.window.seconds: expected an integer from 1 to 3600 (seconds), got 0.5")
  refuses("a rate of nothing", { breaker = { failure_rate = 0 } },
    "policy.breaker.failure_rate: expected a number > 0 and <= 1, got 0")
  refuses("a rate in percent", { breaker = { failure_rate = 50 } },
    "policy.breaker.failure_rate: expected a number > 0 and <= 1, got 50")
  refuses("half of slow_call", { breaker = { slow_call = { duration = 1 } } },
    "policy.breaker.slow_call.rate: required, a number > 0 and <= 1")
  refuses("the other half of slow_call", { breaker = { slow_call = { rate = 0.5 } } },
    "policy.breaker.slow_call.duration: required, a number > 0 (seconds)")
  refuses("no failures in a row", { breaker = { consecutive_failures = 0 } },
    "policy.breaker.consecutive_failures: expected an integer >= 1, got 0")
  refuses("a word for a wait", { breaker = { open_for = "long" } },
    'policy.breaker.open_for: expected a table or a number > 0 (seconds), got a string')
  refuses("a wait of nothing", { breaker = { open_for = 0 } },
    "policy.breaker.open_for: expected a number > 0 (seconds), got 0")
  refuses("a wait longer than the longest", { breaker = { open_for = { base = 10, max = 5 } } },
    "policy.breaker.open_for: expected base <= max, got base 10 and max 5")
  refuses("more probes than there can be", { breaker = { half_open = { permits = 1024 } } },
    "policy.breaker.half_open.permits: expected an integer from 1 to 1023, got 1024")
  refuses("a ramp without its length", { breaker = { ramp = { from = 0.5 } } },
    "policy.breaker.ramp.seconds: required, a number > 0 (seconds)")
  refuses("an unknown key", { breaker = { key = "path" } },
    'policy.breaker.key: expected one of "client", "host" or a function, got a string ("path")')
  takes("false", { breaker = false })
  takes("every key", { breaker = { window = { seconds = 30 }, min_calls = 1, failure_rate = 1,
    slow_call = { duration = 0.5, rate = 0.5 }, consecutive_failures = 3,
    open_for = { base = 1, factor = 2, max = 8, jitter = 0.1 },
    half_open = { permits = 1, lease = 5 }, ramp = { seconds = 10 }, key = noop, max_keys = 1,
    failure = noop } })
  takes("a number for a wait", { breaker = { open_for = 5, key = "host" } })
end)

describe("gate, limits and pool", function()
  refuses("a gate's key that is no function", { gate = { key = "x" } },
    'policy.gate.key: expected a function, got a string ("x")')
  refuses("a limit without a rate", { rate_limit = { per = 60 } },
    "policy.rate_limit.rate: required, a number > 0")
  refuses("a burst of less than one", { rate_limit = { rate = 5, burst = 0.5 } },
    "policy.rate_limit.burst: expected a number >= 1, got 0.5")
  refuses("a limit that is a number", { rate_limit = 10 },
    "policy.rate_limit: expected a table or false, got 10")
  refuses("a bulkhead without a size", { bulkhead = {} },
    "policy.bulkhead.max_concurrent: required, an integer from 1 to 65535")
  refuses("a pool of nothing", { pool = { per_host = 0 } },
    "policy.pool.per_host: expected an integer >= 1, got 0")
  takes("all of them", { gate = { max_wait = 0, key = noop },
    rate_limit = { rate = 0.5, per = 60, burst = 2.5, max_wait = 1 },
    bulkhead = { max_concurrent = 65535, max_wait = 1, max_queue = 0 },
    pool = { max_connections = 1, per_host = 1, ttl = 1, idle = 1, validate_after = 0,
      http2 = false } })
  takes("none of them", { gate = false, rate_limit = false, bulkhead = false })
end)

describe("HTTP", function()
  refuses("a base_url without a scheme", { base_url = "api.example.com" },
    "policy.base_url: expected an absolute http or https URL")
  refuses("another scheme", { base_url = "ftp://example.com" },
    "policy.base_url: expected the scheme http or https")
  refuses("a base_url that is no text", { base_url = 80 },
    "policy.base_url: expected a non-empty string, got 80")
  refuses("a header name with a space", { headers = { ["X A"] = "1" } },
    'policy.headers["X A"]: unknown key, expected a header name')
  refuses("a list of headers", { headers = { "X-A: 1" } },
    "policy.headers: unknown key 1, expected a header name")
  refuses("a header that is a boolean", { headers = { ["X-A"] = true } },
    'policy.headers["X-A"]: expected a string, a number or a list, got true')
  refuses("a header in two lines, without repeating it", { headers = { Authorization = "a\r\nb" } },
    "policy.headers.Authorization: a control character is in the value")
  refuses("a list of lists", { headers = { ["X-A"] = { "1", {} } } },
    'policy.headers["X-A"][2]: expected a string or a number, got a table')
  refuses("a header that is no number", { headers = { ["X-A"] = 0 / 0 } },
    'policy.headers["X-A"]: expected a string or a number, got nan')
  refuses("a proxy without a scheme, without repeating it", { proxy = "user:secret@proxy:8080" },
    "policy.proxy: expected a URL (http, https, socks4, socks4a, socks5, socks5h) " ..
    'or "environment"')
  refuses("a proxy that is no text", { proxy = true },
    'policy.proxy: expected a URL or "environment", got true')
  refuses("an old version of TLS", { tls = { min_version = "1.1" } },
    'policy.tls.min_version: expected one of "1.2", "1.3", got a string ("1.1")')
  refuses("an empty file name", { tls = { ca_file = "" } },
    'policy.tls.ca_file: expected a non-empty string, got a string ("")')
  refuses("a file name with a zero byte", { tls = { key = "a\0b" } },
    'policy.tls.key: expected a non-empty string, got a string ("a\\000b")')
  refuses("a header name that is none", { deadline_header = "a:" },
    'policy.deadline_header: expected a header name, got a string ("a:")')
  takes("every key", { base_url = "https://api.example.com/v1/",
    headers = { Accept = "text/html", ["X-N"] = 5, ["X-L"] = { "a", 1.5 } }, redirects = 0,
    proxy = "socks5h://127.0.0.1:1080", max_response_bytes = 1, max_header_bytes = 1,
    max_request_bytes = 0, deadline_header = "X-Deadline",
    tls = { verify = true, min_version = 1.3 } })
  takes("the environment's proxies", { proxy = "environment" })
end)

describe("idempotency", function()
  refuses("a word", { idempotency = "yes" },
    'policy.idempotency: expected a table, true or false, got a string ("yes")')
  refuses("a header name that is none", { idempotency = { header = "Idempotency Key" } },
    'policy.idempotency.header: expected a header name, got another string')
  refuses("a field that is no name", { idempotency = { from = { "id", 2 } } },
    "policy.idempotency.from[2]: expected a non-empty string, got 2")
  refuses("no fields", { idempotency = { from = {} } },
    "policy.idempotency.from: expected a list of field names, got an empty one")
  refuses("a name that is no list", { idempotency = { from = "id" } },
    'policy.idempotency.from: expected a list of field names or a function, got a string ("id")')
  refuses("fields by name", { idempotency = { from = { id = true } } },
    "policy.idempotency.from.id: unknown key, expected a list")
  refuses("a method that is no word", { idempotency = { methods = { "PO ST" } } },
    'policy.idempotency.methods[1]: expected a method name, got another string')
  refuses("a prefix beyond ASCII", { idempotency = { prefix = "é" } },
    "policy.idempotency.prefix: expected a string of 1 to 191 printable ASCII characters, " ..
    'the first one no space, got a string ("é")')
  takes("true", { idempotency = true })
  takes("fields", { idempotency = { from = { "order.id", "amount" }, methods = { "post" },
    quoted = true, prefix = "shop-", header = "X-Key" } })
  takes("a function", { idempotency = { from = noop } })
end)

describe("fallback", function()
  local ONE_ACTION =
    ": expected exactly one of cache, service, default, queue and a function at [1]"

  refuses("an entry in the place of the list", { fallback = { default = {} } },
    "policy.fallback.default: unknown key, expected a list")
  refuses("a function in the place of the list", { fallback = noop },
    "policy.fallback: expected a list, got a function")
  refuses("a text", { fallback = { "none" } },
    'policy.fallback[1]: expected a table or a function, got a string')
  refuses("an entry that does nothing", { fallback = { noop, { when = { "timeout" } } } },
    "policy.fallback[2]" .. ONE_ACTION)
  refuses("an entry that does two things", { fallback = { { noop, default = {} } } },
    "policy.fallback[1]" .. ONE_ACTION)
  refuses("an unknown kind of error", { fallback = { { noop, when = { "timeout", "rain" } } } },
    'policy.fallback[1].when[2]: expected a kind of error, got a string ("rain")')
  refuses("no kind of error", { fallback = { { noop, when = {} } } },
    "policy.fallback[1].when: expected a list of kinds of error, got an empty one")
  refuses("a service by name", { fallback = { { service = "other" } } },
    'policy.fallback[1].service: expected a client, got a string')
  refuses("a request without a service", { fallback = { { default = {}, request = noop } } },
    "policy.fallback[1]: expected request only together with service")
  refuses("a misspelt key", { fallback = { { defualt = {} } } },
    'policy.fallback[1].defualt: unknown key, did you mean "default"?')
  refuses("more entries than there can be", { fallback = (function()
    local list = {}
    for i = 1, 33 do list[i] = noop end
    return list
  end)() }, "policy.fallback: expected a list of at most 32 entries, got 33")
  takes("functions and answers", { fallback = { noop, { noop, when = { "timeout", "gate" } },
    { default = { status = 200, body = "" } }, { default = noop, when = { "reset" } } } })

  it("takes a service", function()
    local other = neap.client { name = "other" }
    local client = neap.client(policy_with { fallback = { { service = other, request = noop } } })
    client:close()
    other:close()
  end)
end)

describe("coalesce", function()
  takes("true and false", { coalesce = true }, { coalesce = false })
  refuses("what is neither", { coalesce = 1 }, "policy.coalesce: expected a boolean, got 1")
end)

describe("alerts", function()
  takes("true, false and a table", { alerts = true }, { alerts = false }, { alerts = {} })
  takes("all that is in the table", { alerts = { window = 10, p99 = 0.5, p99_factor = 3,
    error_rate = 0, breaker_open = true, retry_surge = 1, timeout_surge = 10, min_calls = 1,
    notify = print } })
  takes("false for each alert", { alerts = { p99 = false, error_rate = false, breaker_open = false,
    retry_surge = false, timeout_surge = false } })
  refuses("a number", { alerts = 1 }, "policy.alerts: expected a table, true or false, got 1")
  refuses("a window too short", { alerts = { window = 0.05 } },
    "policy.alerts.window: expected a number >= 0.1 (seconds), got 0.05")
  refuses("no time at all", { alerts = { p99 = 0 } },
    "policy.alerts.p99: expected a number > 0 (seconds) or false, got 0")
  refuses("true where a number is expected", { alerts = { p99 = true } },
    "policy.alerts.p99: expected a number > 0 (seconds) or false, got true")
  refuses("a factor that lowers", { alerts = { p99_factor = 0.5 } },
    "policy.alerts.p99_factor: expected a number >= 1, got 0.5")
  refuses("a rate in percent", { alerts = { error_rate = 5 } },
    "policy.alerts.error_rate: expected a number from 0 to 1 or false, got 5")
  refuses("a surge below the mean", { alerts = { retry_surge = 0.9 } },
    "policy.alerts.retry_surge: expected a number >= 1 or false, got 0.9")
  refuses("a number for a switch", { alerts = { breaker_open = 1 } },
    "policy.alerts.breaker_open: expected a boolean, got 1")
  refuses("no calls at all", { alerts = { min_calls = 0 } },
    "policy.alerts.min_calls: expected an integer >= 1, got 0")
  refuses("an address to be told at", { alerts = { notify = "https://hooks.example" } },
    'policy.alerts.notify: expected a function, got a string ("https://hooks.example")')
  refuses("an address with a secret", { alerts = { notify = "https://hooks.example:1/s3cret" } },
    'policy.alerts.notify: expected a function, got a string ("https://hooks.example:1/...")')
  refuses("an address with a password", { alerts = { notify = "https://u:s3cret@hooks.example" } },
    'policy.alerts.notify: expected a function, got a string ("https://...")')
  refuses("an alert that is not there", { alerts = { p95 = 1 } },
    'policy.alerts.p95: unknown key, did you mean "p99"?')
end)

describe("a stand-alone policy", function()
  it("refuses in the same words", function()
    assert.equal("policy.min_calls: expected an integer >= 1, got 0",
      refusal(neap.breaker, { min_calls = 0 }))
    assert.equal("policy.max_concurrent: required, an integer from 1 to 65535",
      refusal(neap.bulkhead, {}))
    assert.equal("policy.rate: required, a number > 0", refusal(neap.rate_limiter, {}))
    assert.equal("policy.ratio: expected a number >= 0, got -1",
      refusal(neap.retry_budget, { ratio = -1 }))
    assert.equal("policy.base: expected a number >= 0 (seconds), got -1",
      refusal(neap.backoff, { base = -1 }))
  end)

  it("takes no functions", function()
    assert.equal("policy: expected a table, got a function", refusal(neap.backoff, noop))
    assert.equal('policy.failure: unknown key, known keys: "name", "window", "min_calls", ' ..
      '"failure_rate", "slow_call", "consecutive_failures", "open_for", "half_open", "ramp"',
      refusal(neap.breaker, { failure = noop }))
  end)
end)
