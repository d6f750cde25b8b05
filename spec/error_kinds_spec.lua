-- Each kind of error, produced by what really causes it, and what such an error tells.
--
-- `conflict`, `store` and `phase` have no cause among calls over the network; their names are here.
local neap = require "neap"

local calls = require "spec.support.calls"
local server = require "spec.support.server"

local client, failed_as = calls.client, calls.failed_as

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local TWICE = { max_attempts = 2 }

local function api(policy)
  policy = policy or {}
  policy.base_url = policy.base_url or s.url
  policy.retry = policy.retry == nil and { max_attempts = 2 } or policy.retry
  return client(policy)
end

-- Two equal attempts and the wait between them.
local function tried_twice(attempt)
  return { "attempt " .. attempt, "wait backoff", "attempt " .. attempt .. " attempts" }
end

local function is_whole(err)
  assert.is_true(neap.Error.is(err))
  assert.is_string(err.message)
  assert.are_not.equal("", err.message)
  assert.is_boolean(err.retryable)
  assert.is_number(err.attempts)
  assert.is_true(err.elapsed >= 0 and err.elapsed < 60, "elapsed is " .. err.elapsed)
  assert.is_table(err.trace)
  local head = err.phase and ("%s (%s): "):format(err.kind, err.phase) or err.kind .. ": "
  assert.equal(head, tostring(err):sub(1, #head))
  assert.is_truthy(tostring(err):find(err.message, 1, true))
end

-- A failure that is tried twice and may be tried again.
local function fails_twice(kind, res, err)
  failed_as(kind, res, err)
  is_whole(err)
  assert.is_true(err.retryable)
  assert.equal(2, err.attempts)
  assert.same(tried_twice(err.phase and kind .. "/" .. err.phase or kind), calls.trace(err))
  for _, entry in ipairs(err.trace) do
    assert.is_true(entry.elapsed >= 0 and entry.elapsed <= err.elapsed)
    assert.is_true(entry.at >= err.trace[1].at)
  end
  return err
end

-- A failure that nobody tries again.
local function fails_once(kind, res, err)
  failed_as(kind, res, err)
  is_whole(err)
  assert.is_false(err.retryable)
  assert.equal(1, err.attempts)
  assert.same({ "attempt " .. kind }, calls.trace(err))
  return err
end

describe("an error of kind resolve", function()
  it("comes of a name that nobody has", function()
    local err = fails_twice("resolve", api { base_url = "http://nobody.invalid" }:get("/"))
    assert.matches("nobody%.invalid", err.message)
  end)

  it("is repeated whatever the method, since nothing was sent", function()
    fails_twice("resolve", api { base_url = "http://nobody.invalid" }:post("/", { body = "x" }))
  end)
end)

describe("an error of kind connect", function()
  it("comes of a port that nobody listens to", function()
    fails_twice("connect", api { base_url = s.refused }:get("/"))
  end)

  it("is repeated whatever the method, since nothing was sent", function()
    fails_twice("connect", api { base_url = s.refused }:post("/", { body = "x" }))
  end)
end)

describe("an error of kind tls", function()
  it("comes of a certificate that is wrong, and is not repeated", function()
    for _, name in ipairs { "selfsigned", "expired", "wrongname" } do
      fails_once("tls", api { base_url = s.tls[name], tls = { ca_file = s.ca_file } }:get("/"))
    end
  end)

  it("comes of a server that speaks nonsense, and is repeated whatever the method", function()
    for _, method in ipairs { "get", "post" } do
      local c = api { base_url = s.tls.tlsgarbage, tls = { ca_file = s.ca_file } }
      fails_twice("tls", c[method](c, "/"))
    end
  end)

  it("comes of a server that speaks without TLS", function()
    local url = "https://localhost:" .. s.ports.plain
    fails_twice("tls", api { base_url = url, tls = { ca_file = s.ca_file } }:post("/"))
    assert.equal(0, s:ledger().requests)
  end)
end)

describe("an error of kind timeout", function()
  local function short(limits, more)
    local policy = more or {}
    policy.timeout = limits
    return api(policy)
  end

  -- The upper bound is far below what the server would take.
  local function took(err, low)
    assert.is_true(err.elapsed >= low, err.elapsed .. " s")
    assert.is_true(err.elapsed < 20, err.elapsed .. " s")
  end

  it("has the phase connect where connecting never ends", function()
    local err = fails_twice("timeout", short({ connect = 0.1 }, { base_url = s.stall }):get("/"))
    assert.equal("connect", err.phase)
    took(err, 0.2)
  end)

  it("has the phase connect where the TLS handshake never ends", function()
    local err = fails_twice("timeout", short({ connect = 0.1 },
      { base_url = s.tls.tlsstall, tls = { ca_file = s.ca_file } }):post("/"))
    assert.equal("connect", err.phase)
    took(err, 0.2)
  end)

  it("has the phase write where the server stops reading", function()
    local err = fails_twice("timeout", short { write = 0.1 }:put("/stallread?for=1",
      { body = ("x"):rep(20000000) }))
    assert.equal("write", err.phase)
    took(err, 0.2)
  end)

  it("has the phase read where the response does not come", function()
    local err = fails_twice("timeout", short { read = 0.1 }:get("/slow?headers=60"))
    assert.equal("read", err.phase)
    took(err, 0.2)
  end)

  it("has the phase read where the response falls silent", function()
    for _, path in ipairs { "/slow?body=60", "/slow?byte=60", "/slow?head_byte=60",
      "/short?end=stall", "/drip?every=60" } do
      local err = fails_twice("timeout", short { read = 0.05 }:get(path))
      assert.equal("read", err.phase, path)
      took(err, 0.1)
    end
  end)

  it("does not come where a slow response goes on", function()
    local c = short { read = 0.25, write = 0.25, connect = 0.25 }
    assert.equal(200, calls.answered(c:get("/slow?byte=0.05")).status)
    assert.equal(200, calls.answered(c:get("/slow?head_byte=0.01")).status)
    assert.equal(200, calls.answered(c:get("/informational?n=4&every=0.1")).status)
  end)

  it("has the phase attempt where one attempt lasts too long", function()
    local err = fails_twice("timeout", short { attempt = 0.1 }:get("/drip?endless=1&every=0.02"))
    assert.equal("attempt", err.phase)
    took(err, 0.2)
  end)

  it("has the phase total where the call lasts too long, and is not repeated", function()
    local err = failed_as("timeout", short { total = 0.1 }:get("/slow?headers=60"))
    is_whole(err)
    assert.equal("total", err.phase)
    assert.equal(1, err.attempts)
    assert.same({ "attempt timeout/total" }, calls.trace(err))
    took(err, 0.1, 0.5)
  end)

  it("is repeated for a POST only where nothing was sent", function()
    local err = failed_as("timeout", short { read = 0.05 }:post("/slow?headers=60"))
    assert.is_false(err.retryable)
    assert.same({ "attempt timeout/read not_replayable" }, calls.trace(err))
    err = failed_as("timeout", short({ connect = 0.05 }, { base_url = s.stall }):post("/"))
    assert.is_true(err.retryable)
    assert.equal(2, err.attempts)
  end)

  it("leaves the server as soon as it comes", function()
    failed_as("timeout", short({ read = 0.05 }, { retry = false }):get("/slow?headers=60"))
    assert(s:settle())
  end)

  it("counts by its phase", function()
    local c = short({ read = 0.05 }, { retry = false })
    failed_as("timeout", c:get("/slow?headers=60"))
    failed_as("timeout", c:get("/slow?headers=60", {
      timeout = { attempt = 0.05, read = 60 },
    }))
    assert.same({ read = 1, attempt = 1 }, c:stats().timeouts)
    assert.same({ timeout = 2 }, c:stats().errors)
  end)
end)

describe("an error of kind reset", function()
  it("comes of a connection that ends too early, at each point", function()
    for _, path in ipairs {
      "/reset?at=accept", "/reset?at=request", "/reset?at=headers", "/reset?at=body",
      "/close?at=accept", "/close?at=request", "/close?at=headers", "/close?at=body",
      "/short", "/short?end=reset", "/chunked?broken=end",
    } do
      local err = fails_twice("reset", api():get(path))
      assert.is_true(err.elapsed < 20, path)
    end
  end)

  it("comes of a connection that ends as soon as it is there", function()
    -- Seen before a byte was sent, it is a connection that could not be made.
    s:accept { "reset 1", "close 1" }
    local err = calls.failed(api { base_url = s.flaky }:get("/status/200"))
    is_whole(err)
    assert.is_true(err.kind == "reset" or err.kind == "connect", err.kind)
    assert.is_true(err.retryable)
    assert.equal(2, err.attempts)
  end)

  it("comes of a TLS connection that ends too early", function()
    local c = api { base_url = s.tls.good, tls = { ca_file = s.ca_file } }
    for _, path in ipairs { "/reset?at=request", "/reset?at=body", "/close?at=request",
      "/close?at=body", "/close?at=body&abrupt=1", "/close?at=request&abrupt=1" } do
      fails_twice("reset", c:get(path))
    end
  end)

  it("comes of a TLS connection cut where only its end would end the body", function()
    local c = api { base_url = s.tls.good, tls = { ca_file = s.ca_file } }
    calls.answered(c:get("/big?bytes=1000&length=close"))
    fails_twice("reset", c:get("/close?at=headers&abrupt=1"))
  end)

  it("comes of an HTTP/2 stream or connection that ends too early", function()
    local c = api { base_url = s.tls.h2, tls = { ca_file = s.ca_file } }
    for _, action in ipairs { "reset", "partial", "calm", "drop", "kill", "goaway", "garbage",
      "refuse" } do
      s:h2(action .. " 2")
      local err = fails_twice("reset", c:get("/"))
      assert.is_true(err.elapsed < 20, action)
    end
  end)

  it("is not repeated for a POST, which may have been carried out", function()
    for _, path in ipairs { "/reset?at=accept", "/reset?at=request", "/reset?at=body" } do
      local err = failed_as("reset", api():post(path, { body = "x" }))
      assert.is_false(err.retryable)
      assert.same({ "attempt reset not_replayable" }, calls.trace(err))
    end
    assert.equal(3, s:ledger().requests)
  end)
end)

describe("an error of kind protocol", function()
  it("comes of what is no HTTP", function()
    for _, path in ipairs {
      "/garbage", "/garbage?kind=version", "/garbage?kind=code", "/garbage?kind=header",
      "/garbage?kind=length", "/garbage?kind=negative", "/garbage?kind=lengths", "/http09",
      "/chunked?broken=size", "/chunked?broken=huge", "/chunked?broken=data",
      "/gzip?broken=data", "/gzip?broken=crc", "/gzip?encoding=deflate",
    } do
      local err = fails_twice("protocol", api():get(path))
      assert.is_true(err.elapsed < 20, path)
    end
  end)

  it("is not repeated for a POST", function()
    local err = failed_as("protocol", api():post("/garbage"))
    assert.same({ "attempt protocol not_replayable" }, calls.trace(err))
  end)
end)

describe("an error of kind too_large", function()
  it("comes of a body and of a head without measure", function()
    local c = api { max_response_bytes = 1000, max_header_bytes = 5000 }
    for _, path in ipairs { "/big?bytes=1001", "/big?endless=1&length=0", "/gzip?bytes=1001",
      "/headers?endless=1", "/informational?endless=1", "/headers?bytes=400000&one=1" } do
      fails_once("too_large", c:get(path))
    end
  end)
end)

describe("an error of kind redirect", function()
  it("comes of a loop, and of a place where no call may go", function()
    fails_once("redirect", api():get("/redirect?loop=1"))
    fails_once("redirect", api():get("/redirect?n=1&to=ftp://a.example/"))
  end)
end)

describe("a refusal", function()
  -- Nothing was asked of the server; the caller may come again.
  local function is_refused(kind, res, err)
    failed_as(kind, res, err)
    is_whole(err)
    assert.is_true(err.retryable)
    assert.equal(0, err.attempts)
    assert.is_true(err.elapsed < 5, err.elapsed)
    return err
  end

  it("of kind breaker_open comes of a breaker that has seen enough", function()
    local c = api { retry = false, breaker = { consecutive_failures = 1, open_for = 20 } }
    calls.answered(c:get("/status/503"))
    local err = is_refused("breaker_open", c:get("/status/200"))
    assert.is_true(err.retry_after > 19 and err.retry_after <= 20)
    assert.matches("retry after", tostring(err))
    assert.same({ "reject breaker_open" }, calls.trace(err))
    assert.equal(1, s:ledger().requests)
  end)

  it("of kind gate comes of a server that asked everybody to wait", function()
    local c = api { retry = false, gate = {} }
    local other = api { retry = false, gate = {} }
    calls.answered(c:get("/status/503?header=Retry-After:40"))
    for _, asking in ipairs { c, other } do
      local err = is_refused("gate", asking:get("/status/200"))
      assert.is_true(err.retry_after > 39 and err.retry_after <= 44, err.retry_after)
      assert.same({ "reject gate" }, calls.trace(err))
    end
    assert.equal(1, s:ledger().requests)
    calls.answered(api():get("/status/200"))
  end)

  it("of kind rate_limited comes of calls above the rate", function()
    local c = api { rate_limit = { rate = 1, per = 30 } }
    calls.answered(c:get("/status/200"))
    local err = is_refused("rate_limited", c:get("/status/200"))
    assert.is_true(err.retry_after > 29 and err.retry_after <= 30)
    assert.same({ "reject rate_limited" }, calls.trace(err))
    assert.equal(1, s:ledger().requests)
  end)

  it("of kind bulkhead_full comes of calls side by side", function()
    local c = api { bulkhead = { max_concurrent = 1 } }
    neap.run(function()
      local first = neap.spawn(function()
        return c:get("/status/200?gate=bulkhead")
      end)
      calls.wait_for(function()
        return s:ledger().requests == 1
      end)
      local err = is_refused("bulkhead_full", c:get("/status/200"))
      assert.same({ "reject bulkhead_full" }, calls.trace(err))
      s:release("bulkhead")
      calls.answered(first:await())
    end)
    assert.equal(1, s:ledger().requests)
    calls.answered(c:get("/status/200"))
  end)

  it("of kind deadline comes of a deadline that has passed", function()
    local err = is_refused("deadline", api():get("/status/200", { deadline = neap.now() - 1 }))
    assert.same({ "reject deadline" }, calls.trace(err))
    is_refused("deadline", api():get("/status/200", { deadline = neap.now() }))
    assert.equal(0, s:ledger().requests)
  end)

  it("counts as a rejection, and in no latency", function()
    local c = api { rate_limit = { rate = 1, per = 30 } }
    calls.answered(c:get("/status/200"))
    failed_as("rate_limited", c:get("/status/200"))
    local stats = c:stats()
    assert.same({ rate_limited = 1 }, stats.rejections)
    assert.same({ rate_limited = 1 }, stats.errors)
    assert.equal(1, stats.latency.count)
    assert.equal(1, stats.attempts)
  end)
end)

describe("an error of kind cancelled", function()
  it("comes of closing the client from another task", function()
    local c = api()
    neap.run(function()
      local call = neap.spawn(function()
        return c:get("/slow?headers=60")
      end)
      calls.wait_for(function()
        return s:ledger().requests == 1
      end)
      c:close()
      local err = failed_as("cancelled", call:await())
      is_whole(err)
      assert.is_false(err.retryable)
      assert.equal(1, err.attempts)
      assert.same({ "attempt cancelled" }, calls.trace(err))
    end)
    assert(s:settle())
    assert.equal(0, c:stats().in_flight)
  end)

  it("comes of closing the client while a call sleeps", function()
    local c = api { retry = { backoff = { kind = "fixed", base = 8, jitter = "none" } } }
    neap.run(function()
      local call = neap.spawn(function()
        return c:get("/status/503")
      end)
      calls.wait_for(function()
        return c:stats().retries[503] or next(c:stats().retries)
      end)
      c:close()
      local err = failed_as("cancelled", call:await())
      is_whole(err)
      assert.equal(1, err.attempts)
    end)
  end)

  it("comes of calling a client that is closed", function()
    local c = api()
    c:close()
    local err = failed_as("cancelled", c:get("/status/200"))
    is_whole(err)
    assert.equal(0, err.attempts)
    assert.is_true(err.elapsed < 5)
    assert.equal(0, s:ledger().requests)
  end)
end)

describe("an error of kind error", function()
  it("comes of a wrapped function that raises, with what it raised", function()
    local cause = { code = 7 }
    local runs = 0
    local fn = neap.wrap({ name = "raises", breaker = false,
      retry = { max_attempts = 2, backoff = { kind = "fixed", base = 0.001 } } }, function()
      runs = runs + 1
      error(cause)
    end)
    local err = fails_twice("error", fn())
    assert.equal(cause, err.cause)
    assert.equal(2, runs)
  end)

  it("comes of a wrapped function that returns nil and an error", function()
    local fn = neap.wrap({ name = "answers", retry = false }, function()
      return nil, "no luck"
    end)
    local err = failed_as("error", fn())
    is_whole(err)
    assert.equal("no luck", err.cause)
    assert.matches("no luck", tostring(err))
  end)
end)

describe("an error", function()
  it("has one of the kinds that are known", function()
    for _, kind in ipairs { "resolve", "connect", "tls", "timeout", "reset", "protocol",
      "too_large", "breaker_open", "gate", "rate_limited", "bulkhead_full", "deadline", "cancelled",
      "redirect", "conflict", "store", "phase", "error" } do
      assert.equal(kind, neap.Error.new({ kind = kind }).kind)
    end
    assert.has_error(function()
      neap.Error.new { kind = "bad luck" }
    end)
  end)

  it("holds no credential", function()
    for _, path in ipairs { "/reset?token=s3cret", "/garbage?token=s3cret",
      "/redirect?loop=1&token=s3cret", "/slow?headers=9&token=s3cret" } do
      local c = api { retry = false, timeout = { read = 0.05 } }
      local _, err = c:get(path, { headers = { Authorization = "Bearer s3cret" } })
      local text = tostring(err)
      assert.is_nil(text:find("s3cret", 1, true), text)
    end
    for _, url in ipairs { s.refused .. "/?token=s3cret", "http://nobody.invalid/?s3cret",
      "https://localhost:" .. s.ports.plain .. "/?s3cret" } do
      local _, err = client({ retry = false }):request { url = url }
      assert.is_nil(tostring(err):find("s3cret", 1, true), tostring(err))
    end
    local with_user = s.url:gsub("//", "//us:pa55word@")
    local message = calls.misuse(function() client { base_url = with_user } end)
    assert.is_nil(message:find("pa55word", 1, true), message)
  end)

  it("after a response that failed is the response", function()
    local path = s:script("worse", { "/status/503?body=busy", "/reset" })
    local res = calls.answered(client { base_url = s.url, retry = TWICE }:get(path))
    assert.equal(503, res.status)
    assert.equal("busy", res.body)
    assert.equal(2, res.attempts)
    assert.same({ "attempt 503", "wait backoff", "attempt reset attempts" }, calls.trace(res))
  end)
end)
