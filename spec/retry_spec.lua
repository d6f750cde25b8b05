-- Which outcomes are repeated, for whom, when, how often, and what the caller gets in the end.

local neap = require "neap"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local words, entries, waits_of = kit.words, kit.entries, kit.waits_of

-- One call of that method under the script.
local function call(part, method, script, req)
  local t, client = kit.client(part)
  t:script(script)
  local full = { method = method, path = "/" }
  for key, value in pairs(req or {}) do
    full[key] = value
  end
  local res, err = t:run(function()
    return client:request(full)
  end)
  return res, err, t
end

local function get(part, script, req)
  return call(part, "GET", script, req)
end

local function last(trace)
  return trace[#trace]
end

describe("a status", function()
  local function made(status, script)
    local res, _, t = get({ gate = false }, script or { kit.times(3, { status = status }) })
    assert.equal(status, res.status)
    assert.equal(#t.requests, res.attempts)
    return res
  end

  for _, status in ipairs { 200, 201, 204, 299, 301, 302, 304, 399 } do
    it("of " .. status .. " is a success and not repeated", function()
      local res = made(status)
      assert.equal(1, res.attempts)
      assert.is_true(res.ok)
      assert.same({ "attempt " .. status }, words(res.trace))
    end)
  end

  for _, status in ipairs { 400, 401, 402, 403, 404, 405, 409, 410, 411, 422, 451, 499, 501, 505,
    506, 507, 508, 511, 599 } do
    it("of " .. status .. " is not repeated", function()
      local res = made(status)
      assert.equal(1, res.attempts)
      assert.is_false(res.ok)
      assert.is_nil(res.trace[1].reason)
    end)
  end

  for _, status in ipairs { 408, 425, 429, 502, 503, 504 } do
    it("of " .. status .. " is repeated while attempts are left", function()
      local res = made(status)
      local attempt = "attempt " .. status
      assert.equal(3, res.attempts)
      assert.same({ attempt, "wait backoff", attempt, "wait backoff", attempt .. ": attempts" },
        words(res.trace))
    end)
  end

  it("of 500 is repeated once", function()
    local res = made(500)
    assert.same({ "attempt 500", "wait backoff", "attempt 500: attempts" }, words(res.trace))
  end)

  it("of 500 leaves other reasons their retries", function()
    local res = made(500, { { status = 502 }, { status = 500 }, { status = 500 } })
    assert.same({ "attempt 502", "wait backoff", "attempt 500", "wait backoff",
      "attempt 500: attempts" }, words(res.trace))
  end)

  it("of 500 is repeated once though others came between", function()
    local res = get({ retry = { max_attempts = 10 } },
      { { status = 500 }, { status = 502 }, { status = 500 } })
    assert.same({ "attempt 500", "wait backoff", "attempt 502", "wait backoff",
      "attempt 500: attempts" }, words(res.trace))
  end)

  it("in the policy overrides the table, the others stay", function()
    local part = { retry = { statuses = { [404] = true, [503] = false, [502] = "once",
      [500] = true } } }
    assert.equal(3, get(part, { kit.times(3, { status = 404 }) }).attempts)
    assert.equal(1, get(part, { kit.times(3, { status = 503 }) }).attempts)
    assert.equal(2, get(part, { kit.times(3, { status = 502 }) }).attempts)
    assert.equal(3, get(part, { kit.times(3, { status = 500 }) }).attempts)
    assert.equal(3, get(part, { kit.times(3, { status = 504 }) }).attempts)
  end)

  it("in the policy is spent once for each status of its own", function()
    local res = get({ retry = { statuses = { [502] = "once", [503] = "once" }, max_attempts = 9 } },
      { { status = 502 }, { status = 503 }, { status = 502 } })
    assert.equal(3, res.attempts)
    assert.equal("attempts", last(res.trace).reason)
  end)

  it("below 400 is not repeated, whatever the policy says", function()
    local part = { retry = { statuses = { [200] = true, [302] = true } } }
    assert.equal(1, get(part, { { status = 200 } }).attempts)
    assert.equal(1, get(part, { { status = 302 } }).attempts)
  end)

  it("that is repeated counts in the statistics by its number", function()
    local t, client = kit.client { gate = false, retry = { max_attempts = 9,
      statuses = { [404] = true } } }
    kit.get(t, client, { { status = 429 }, { status = 503 }, { status = 503 }, { status = 404 },
      { error = "reset" }, { status = 200 } })
    assert.same({ ["429"] = 1, ["503"] = 2, other = 1, reset = 1 }, client:stats().retries)
  end)
end)

describe("an error", function()
  local function repeated(name, entry)
    it("of kind " .. name .. " is repeated", function()
      local res, err = get(nil, { kit.times(3, entry) })
      assert.is_nil(res)
      assert.equal(entry.error, err.kind)
      assert.equal(entry.phase, err.phase)
      assert.equal(3, err.attempts)
      assert.equal("attempts", last(err.trace).reason)
      assert.is_true(err.retryable)
    end)
  end

  local function final(name, entry)
    it("of kind " .. name .. " is not repeated", function()
      local res, err = get(nil, { kit.times(3, entry) })
      assert.is_nil(res)
      assert.equal(entry.error, err.kind)
      assert.equal(1, err.attempts)
      assert.is_nil(err.trace[1].reason)
      assert.is_false(err.retryable)
    end)
  end

  repeated("resolve", { error = "resolve" })
  repeated("connect", { error = "connect" })
  repeated("tls", { error = "tls" })
  repeated("reset", { error = "reset" })
  repeated("protocol", { error = "protocol" })
  repeated("timeout while connecting", { error = "timeout", phase = "connect" })
  repeated("timeout while writing", { error = "timeout", phase = "write" })
  repeated("timeout while reading", { error = "timeout", phase = "read" })
  repeated("timeout of the attempt", { error = "timeout", phase = "attempt", after = 1 })
  final("tls that is about a certificate", { error = "tls", certificate = true })
  final("too_large", { error = "too_large" })
  final("redirect", { error = "redirect" })
  final("conflict", { error = "conflict" })
  final("store", { error = "store" })

  it("of the whole call's time is not repeated, and says no reason to stop", function()
    local res, err = get({ timeout = { total = 3, read = 10 } }, { { status = 200, after = 4 } })
    assert.is_nil(res)
    assert.equal("timeout", err.kind)
    assert.equal("total", err.phase)
    assert.equal(3, err.elapsed)
    assert.same({ "attempt timeout" }, words(err.trace))
  end)

  it("ends in an error of neap with every field", function()
    local _, err = get({ retry = { backoff = waits_of(2) } }, { kit.times(3, { error = "reset" }) })
    assert.is_true(neap.Error.is(err))
    assert.equal("reset: the connection was reset (scripted)", tostring(err))
    assert.equal(3, err.attempts)
    assert.equal(4, err.elapsed)
    assert.is_true(err.retryable)
    assert.is_nil(err.status)
    assert.is_nil(err.retry_after)
    assert.equal(5, #err.trace)
  end)
end)

describe("a method", function()
  local never = { kit.times(3, { status = 503 }) }

  for _, method in ipairs { "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE" } do
    it(method .. " is repeated", function()
      assert.equal(3, call(nil, method, never).attempts)
      local _, err = call(nil, method, { kit.times(3, { error = "reset" }) })
      assert.equal(3, err.attempts)
    end)
  end

  for _, method in ipairs { "POST", "PATCH", "PURGE", "post" } do
    it(method .. " is not repeated by itself", function()
      local res = call(nil, method, never)
      assert.same({ "attempt 503: not_replayable" }, words(res.trace))
    end)

    it(method .. " is not repeated once it may have been sent", function()
      for _, entry in ipairs {
        { error = "reset" }, { error = "protocol" }, { error = "timeout", phase = "write" },
        { error = "timeout", phase = "read" }, { error = "connect", sent = true },
      } do
        local _, err = call(nil, method, { entry })
        assert.equal("not_replayable", last(err.trace).reason)
        assert.is_false(err.retryable)
      end
    end)

    it(method .. " is repeated where provably nothing was sent", function()
      for _, entry in ipairs {
        { error = "resolve" }, { error = "connect" }, { error = "tls" },
        { error = "timeout", phase = "connect" }, { error = "reset", sent = false },
      } do
        local res = call(nil, method, { entry, { status = 200 } })
        assert.equal(2, res.attempts)
      end
    end)

    it(method .. " is repeated with a key of the request's", function()
      assert.equal(3, call(nil, method, never, { idempotency_key = "k" }).attempts)
      assert.equal(3, call(nil, method, never,
        { headers = { ["idempotency-KEY"] = "k" } }).attempts)
    end)

    it(method .. " is repeated where the request says so", function()
      assert.equal(3, call(nil, method, never, { replayable = true }).attempts)
      assert.equal(1, call(nil, method, never, { replayable = false }).attempts)
    end)
  end

  it("of the policy's idempotency is repeated, with one key for all attempts", function()
    local res, _, t = call({ idempotency = true }, "POST", never)
    assert.equal(3, res.attempts)
    local key = t.requests[1].headers["Idempotency-Key"]
    assert.truthy(key:match("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$"))
    assert.equal(key, t.requests[2].headers["Idempotency-Key"])
    assert.equal(key, t.requests[3].headers["Idempotency-Key"])
  end)

  it("with a key in the header that the policy names is repeated", function()
    local part = { idempotency = { header = "X-Once", methods = { "PUT" } } }
    assert.equal(3, call(part, "POST", never, { headers = { ["x-once"] = "k" } }).attempts)
  end)

  it("GET is repeated even where the request says that it is not replayable", function()
    assert.equal(3, call(nil, "GET", never, { replayable = false }).attempts)
  end)
end)

describe("a refresh", function()
  local asked

  local function refresh_with(answer)
    asked = {}
    return function(req, res)
      asked[#asked + 1] = { req = req, res = res }
      if type(answer) == "function" then
        return answer()
      end
      return answer
    end
  end

  local function part_with(answer, retry)
    retry = retry or {}
    retry.refresh = refresh_with(answer)
    return { headers = { Authorization = "old", Accept = "text/plain" }, retry = retry }
  end

  it("replaces headers and makes one more attempt at once", function()
    local res, _, t = get(part_with { authorization = "new", ["X-More"] = 5 },
      { { status = 401 }, { status = 200 } })
    assert.equal(200, res.status)
    assert.equal(2, res.attempts)
    assert.equal(0, res.elapsed)
    assert.same({ "attempt 401", "attempt 200" }, words(res.trace))
    assert.equal("old", t.requests[1].headers.authorization)
    assert.equal("new", t.requests[2].headers.authorization)
    assert.equal("text/plain", t.requests[2].headers.accept)
    assert.equal("5", t.requests[2].headers["x-more"])
  end)

  it("is told the request and the response", function()
    get(part_with { Authorization = "new" },
      { { status = 401, body = "expired", headers = { ["WWW-Authenticate"] = "Bearer" } },
        { status = 200 } }, { tags = { of = "this call" } })
    assert.equal("GET", asked[1].req.method)
    assert.equal("/", asked[1].req.path)
    assert.equal("this call", asked[1].req.tags.of)
    assert.equal(401, asked[1].res.status)
    assert.equal("expired", asked[1].res.body)
    assert.equal("Bearer", asked[1].res.headers["www-authenticate"])
  end)

  it("keeps its headers for the attempts that follow", function()
    local _, _, t = get(part_with { Authorization = "new" },
      { { status = 401 }, { status = 503 }, { status = 200 } })
    assert.equal("new", t.requests[3].headers.authorization)
  end)

  it("comes once a call", function()
    local res = get(part_with { Authorization = "new" }, { kit.times(3, { status = 401 }) })
    assert.equal(401, res.status)
    assert.equal(2, res.attempts)
    assert.equal(1, #asked)
    assert.is_nil(last(res.trace).reason)
  end)

  it("may come after other retries", function()
    local res = get(part_with { Authorization = "new" },
      { { status = 503 }, { status = 401 }, { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "attempt 401", "attempt 200" }, words(res.trace))
  end)

  it("is for requests that cannot be repeated too", function()
    local res, _, t = call(part_with { Authorization = "new" }, "POST",
      { { status = 401 }, { status = 200 } }, { body = "pay" })
    assert.equal(200, res.status)
    assert.equal("pay", t.requests[2].body)
  end)

  it("does not come where no attempt is left", function()
    local res = get(part_with({ Authorization = "new" }, { max_attempts = 1 }),
      { { status = 401 } })
    assert.equal(401, res.status)
    assert.equal(0, #asked)
  end)

  it("does not come for another status", function()
    get(part_with { Authorization = "new" }, { { status = 403 } })
    assert.equal(0, #asked)
  end)

  it("that gives nothing leaves the 401", function()
    local res = get(part_with(nil), { { status = 401 } })
    assert.equal(401, res.status)
    assert.equal(1, #asked)
  end)

  it("that raises leaves the 401", function()
    local res = get(part_with(function() error("no token") end), { { status = 401 } })
    assert.equal(401, res.status)
    assert.equal(1, res.attempts)
  end)

  it("may call and wait itself", function()
    local t, client
    t, client = kit.client { retry = { refresh = function()
      neap.sleep(2)
      return { Authorization = client:get("/token").body }
    end } }
    t:script { { status = 401 }, { status = 200, body = "fresh" }, { status = 200 } }
    local res = t:run(function() return client:get("/") end)
    assert.equal(200, res.status)
    assert.equal(2, res.elapsed)
    assert.equal("/token", t.requests[2].path)
    assert.equal("fresh", t.requests[3].headers.authorization)
  end)

  it("is counted as an attempt and as a retry, not in the budget", function()
    local t, client = kit.client(part_with({ Authorization = "new" },
      { budget = { ratio = 0, min_per_second = 0, ttl = 10 } }))
    local res = kit.get(t, client, { { status = 401 }, { status = 200 } })
    assert.equal(2, res.attempts)
    assert.same({ ["401"] = 1 }, client:stats().retries)
  end)

  it("with a header that cannot be sent raises", function()
    assert.error_matches(function()
      get(part_with { ["X-A"] = "a\r\nb" }, { { status = 401 } })
    end, 'policy.retry.refresh: header "X-A" or its value cannot be sent', 1, true)
  end)

  it("makes the new credential's gate count", function()
    local t, client = kit.client(part_with({ Authorization = "new" }, { max_attempts = 2 }))
    local old = t:client(kit.policy { name = "old", headers = { Authorization = "old" } })
    local new = t:client(kit.policy { name = "new", headers = { Authorization = "new" } })
    t:script { { status = 401 }, { status = 429, headers = { ["Retry-After"] = "5" } }, kit.OK }
    t:run(function()
      client:get("/")
      assert.same({ "attempt 200" }, words(old:get("/").trace))
      assert.same({ "wait gate", "attempt 200" }, words(new:get("/").trace))
    end)
  end)
end)

describe("the decision on a retry", function()
  local function stops(name, part, script, reason, method)
    it(name, function()
      local res = call(part, method or "GET", script)
      assert.equal(1, res.attempts)
      assert.equal(reason, last(res.trace).reason)
    end)
  end

  it("comes first to whether the outcome is to be repeated at all", function()
    local res = call({ retry = { max_attempts = 1 } }, "POST", { { status = 400 } })
    assert.is_nil(last(res.trace).reason)
  end)

  stops("asks for attempts before it asks whether the request can be repeated",
    { retry = { max_attempts = 1 } }, { { status = 503 } }, "attempts", "POST")

  stops("asks whether the request can be repeated before it asks the breaker",
    { breaker = kit.touchy_breaker() }, { { status = 503 } }, "not_replayable", "POST")

  stops("asks the breaker before it looks at the server's delay",
    { breaker = kit.touchy_breaker(300), gate = false },
    { { status = 503, headers = { ["Retry-After"] = "100" } } }, "breaker_open")

  stops("looks at the server's delay before it looks at the deadline",
    { timeout = { total = 5 } },
    { { status = 503, headers = { ["Retry-After"] = "61" } } }, "server_delay")

  stops("looks at the deadline before it asks the budget",
    { timeout = { total = 0.5 }, retry = { backoff = waits_of(1), budget = { ratio = 0,
      min_per_second = 0 } } }, { { status = 503 } }, "deadline")

  stops("asks the budget at last",
    { retry = { budget = { ratio = 0, min_per_second = 0 } } }, { { status = 503 } }, "budget")

  it("ends without sleeping while the breaker will still be open", function()
    local res = get({ breaker = kit.touchy_breaker(1.5), retry = { backoff = waits_of(1) } },
      { { status = 503 } })
    assert.same({ "attempt 503: breaker_open" }, words(res.trace))
    assert.equal(0, res.elapsed)
  end)

  it("waits where the breaker is no longer open at the end of the delay", function()
    local res = get({ breaker = kit.touchy_breaker(1), retry = { backoff = waits_of(1) } },
      { { status = 503 }, { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "attempt 200" }, words(res.trace))
  end)

  it("ends at once where the delay reaches the deadline", function()
    local res = get({ timeout = { total = 1 }, retry = { backoff = waits_of(1) } },
      { { status = 503 } })
    assert.same({ "attempt 503: deadline" }, words(res.trace))
    assert.equal(0, res.elapsed)
  end)

  it("waits where the delay ends before the deadline", function()
    local res = get({ timeout = { total = 1 }, retry = { backoff = waits_of(0.999) } },
      { { status = 503 }, { status = 200 } })
    assert.equal(200, res.status)
  end)

  it("begins no attempt with less than a millisecond left", function()
    local res = get({ timeout = { total = 1 }, retry = { backoff = waits_of(0.9995) } },
      { { status = 503 } })
    assert.equal(503, res.status)
    assert.equal(1, res.attempts)
    assert.equal("deadline", last(res.trace).reason)
  end)

  it("keeps the request's own deadline", function()
    local res = get({ retry = { backoff = waits_of(2) } }, { { status = 503 } }, { deadline = 1 })
    assert.same({ "attempt 503: deadline" }, words(res.trace))
  end)

  it("pays the budget for each retry that it decides on", function()
    local t, client = kit.client { retry = { backoff = waits_of(1),
      budget = { ratio = 0, min_per_second = 0.3, ttl = 10 } } }
    local first = kit.get(t, client, { kit.times(3, { status = 503 }) })
    assert.equal(3, first.attempts)
    local second = kit.get(t, client, { kit.times(2, { status = 503 }) })
    assert.same({ "attempt 503", "wait backoff", "attempt 503: budget" }, words(second.trace))
    t:advance(20)
    assert.equal(3, kit.get(t, client, { kit.times(3, { status = 503 }) }).attempts)
  end)

  it("pays for a retry before it sleeps", function()
    local t, client = kit.client { retry = { backoff = waits_of(5),
      budget = { ratio = 0, min_per_second = 0.1, ttl = 10 } } }
    t:script { kit.times(2, { status = 503 }), kit.OK }
    local results = t:run(function()
      return neap.all {
        function() return client:get("/") end,
        function() return client:get("/") end,
      }
    end)
    assert.equal(200, results[1][2].status)
    assert.same({ "attempt 503: budget" }, words(results[2][2].trace))
  end)

  it("takes deposits of calls into account", function()
    local t, client = kit.client { retry = { backoff = waits_of(1),
      budget = { ratio = 0.5, min_per_second = 0, ttl = 10 } } }
    t:run(function()
      t:script { kit.times(1, { status = 200 }), { status = 503 }, { status = 200 } }
      client:get("/")
      assert.equal(2, client:get("/").attempts)
    end)
  end)

  it("repeats without bound by a budget where that is off", function()
    local res = get({ breaker = false,
      retry = { max_attempts = 150, backoff = waits_of(0.01), budget = false } },
      { kit.times(150, { status = 503 }) })
    assert.equal(150, res.attempts)
  end)

  it("knows no retry where retry is off", function()
    local res = get({ retry = false }, { { status = 503 } })
    assert.same({ "attempt 503" }, words(res.trace))
    local _, err = get({ retry = false }, { { error = "connect" } })
    assert.same({ "attempt connect" }, words(err.trace))
  end)

  -- One attempt has failed and its retry sleeps until 1; what happens meanwhile?
  local function refused_after(part, kind, meanwhile)
    part.retry = { backoff = waits_of(1) }
    local t, client = kit.client(part)
    local other = t:client(kit.policy { name = "other", breaker = false, retry = false })
    t:script({ { status = 503 }, kit.OK }, client)
    t:script({ { status = 503, headers = { ["Retry-After"] = "50" } } }, other)
    local res = t:run(function()
      local task = neap.spawn(function() return client:get("/") end)
      neap.sleep(0.5)
      neap.spawn(meanwhile, client, other)
      return task:await()
    end)
    assert.equal(503, res.status)
    assert.equal(1, res.attempts)
    assert.same({ "attempt 503", "wait backoff", "reject " .. kind }, words(res.trace))
    assert.equal(kind, last(res.trace).reason)
    assert.equal(1, res.elapsed)
    assert.same({ [kind] = 1 }, client:stats().rejections)
  end

  it("ends with the breaker's refusal when the wait is over", function()
    refused_after({ breaker = { window = { count = 10 }, min_calls = 10 } }, "breaker_open",
      function(client) client.breaker:force_open() end)
  end)

  it("ends with the gate's refusal when the wait is over", function()
    refused_after({}, "gate", function(_, other) other:get("/") end)
  end)

  it("ends with the rate limit's refusal when the wait is over", function()
    refused_after({ rate_limit = { rate = 1, per = 100, burst = 1 } }, "rate_limited",
      function() end)
  end)

  it("ends with the bulkhead's refusal when the wait is over", function()
    local t, client = kit.client { bulkhead = { max_concurrent = 1 },
      retry = { backoff = waits_of(1) } }
    t:script { { status = 503 }, { status = 200, after = 5 } }
    local res = t:run(function()
      local task = neap.spawn(function() return client:get("/") end)
      neap.sleep(0.5)
      neap.spawn(client.get, client, "/slow")
      return task:await()
    end)
    assert.same({ "attempt 503", "wait backoff", "reject bulkhead_full" }, words(res.trace))
    assert.equal("bulkhead_full", last(res.trace).reason)
  end)
end)

describe("a call that gives up", function()
  it("returns its last response", function()
    assert.equal(504, get(nil, { { status = 502 }, { status = 503 }, { status = 504 } }).status)
  end)

  it("returns its last response even if an error came after it", function()
    local res = get(nil, { { error = "reset" }, { status = 502, body = "a" }, { error = "reset" } })
    assert.equal(502, res.status)
    assert.equal("a", res.body)
    assert.equal(3, res.attempts)
    assert.same({ "attempt reset", "wait backoff", "attempt 502", "wait backoff",
      "attempt reset: attempts" }, words(res.trace))
  end)

  it("returns its last response with the delay that came with it", function()
    local res = get({ gate = false },
      { { status = 503, headers = { ["Retry-After"] = "1" } }, { error = "reset" },
        { error = "reset" } })
    assert.equal(503, res.status)
    assert.equal(1, res.retry_after)
  end)

  it("returns its last error where there was no response", function()
    local res, err = get(nil, { { error = "reset" }, { error = "connect" },
      { error = "timeout", phase = "read" } })
    assert.is_nil(res)
    assert.equal("timeout", err.kind)
    assert.equal("read", err.phase)
    assert.equal(3, err.attempts)
  end)

  it("returns its last error where a retry is refused", function()
    local _, err = get({ rate_limit = { rate = 1, per = 100, burst = 1 } }, { { error = "reset" } })
    assert.equal("reset", err.kind)
    assert.same({ "attempt reset", "wait backoff", "reject rate_limited" }, words(err.trace))
  end)

  it("returns the refusal where the first attempt is refused", function()
    local t, client = kit.client {}
    client.breaker:force_open()
    local res, err = kit.get(t, client, {})
    assert.is_nil(res)
    assert.equal("breaker_open", err.kind)
    assert.equal(0, err.attempts)
  end)
end)

describe("Retry-After", function()
  local function waits(value, low, high, headers, part)
    headers = headers or {}
    headers["Retry-After"] = value
    local res = get(part, { { status = 429, headers = headers }, { status = 200 } })
    assert.same({ "attempt 429", "wait retry_after", "attempt 200" }, words(res.trace))
    local waited = res.trace[2].elapsed
    assert.is_true(waited >= low and waited <= high + 1e-9, ("waited %.9f"):format(waited))
    return res
  end

  it("in seconds replaces the backoff, a tenth longer at most", function()
    waits("7", 7, 7.7)
  end)

  it("as a date in each form is measured against the wall clock", function()
    waits("Thu, 01 Jan 2026 00:00:07 GMT", 7, 7.7)
    waits("Thursday, 01-Jan-26 00:00:07 GMT", 7, 7.7)
    waits("Thu Jan  1 00:00:07 2026", 7, 7.7)
  end)

  it("as a date is measured against the response's own Date", function()
    waits("Wed, 01 Jul 2026 12:00:04 GMT", 4, 4.4, { Date = "Wed, 01 Jul 2026 12:00:00 GMT" })
  end)

  it("as a date is measured against the wall clock where Date is malformed", function()
    waits("Thu, 01 Jan 2026 00:00:07 GMT", 7, 7.7, { Date = "yesterday" })
  end)

  it("of zero and a date in the past mean at once", function()
    waits("0", 0, 0)
    waits("Wed, 31 Dec 2025 23:59:59 GMT", 0, 0)
  end)

  it("goes upwards only, and spreads", function()
    local seen, distinct = {}, 0
    for seed = 1, 20 do
      local t, client = kit.client(nil, seed)
      local res = kit.get(t, client,
        { { status = 503, headers = { ["Retry-After"] = "10" } }, { status = 200 } })
      local waited = res.trace[2].elapsed
      assert.is_true(waited >= 10 and waited < 11)
      distinct = distinct + (seen[waited] and 0 or 1)
      seen[waited] = true
    end
    assert.is_true(distinct > 15)
  end)

  for _, value in ipairs { "", "soon", "-1", "1.5", "1e3", "+5", "0x10", "5 s",
    "Thu, 01 Jan 2026 00:00:07 CET" } do
    it("that is malformed is absent: " .. ("%q"):format(value), function()
      local res = get({ retry = { backoff = waits_of(1) } },
        { { status = 429, headers = { ["Retry-After"] = value } }, { status = 200 } })
      assert.same({ "attempt 429", "wait backoff", "attempt 200" }, words(res.trace))
      assert.equal(1, res.elapsed)
    end)
  end

  it("counts on each status that is repeated", function()
    for _, status in ipairs { 408, 425, 500, 502, 503, 504 } do
      local res = get(nil, { { status = status, headers = { ["Retry-After"] = "3" } }, kit.OK })
      assert.equal("wait retry_after", words(res.trace)[2])
    end
  end)

  it("does not make a status be repeated", function()
    local res = get(nil, { { status = 404, headers = { ["Retry-After"] = "3" } } })
    assert.equal(1, res.attempts)
    assert.equal(3, res.retry_after)
  end)

  it("is not honoured where the policy says so", function()
    local res = get({ gate = false, retry = { honor_retry_after = false, backoff = waits_of(1) } },
      { { status = 503, headers = { ["Retry-After"] = "100" } }, { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "attempt 200" }, words(res.trace))
    assert.equal(1, res.elapsed)
  end)

  it("that is too long ends the call at once", function()
    local res = get(nil, { { status = 503, headers = { ["Retry-After"] = "61" } } })
    assert.same({ "attempt 503: server_delay" }, words(res.trace))
    assert.equal(61, res.retry_after)
    assert.equal(0, res.elapsed)
  end)

  it("of just the longest delay is honoured", function()
    waits("60", 60, 66, nil, { timeout = { total = 100 } })
    waits("5", 5, 5.5, nil, { retry = { max_server_delay = 5 } })
  end)

  it("ends the call by the policy's own longest delay", function()
    local res = get({ retry = { max_server_delay = 5 } },
      { { status = 503, headers = { ["Retry-After"] = "6" } } })
    assert.same({ "attempt 503: server_delay" }, words(res.trace))
    assert.equal(6, res.retry_after)
  end)

  it("stays in the answer of a call that gave up", function()
    local res = get({ retry = { max_attempts = 1 } },
      { { status = 503, headers = { ["Retry-After"] = "7" } } })
    assert.equal(7, res.retry_after)
  end)

  it("past the deadline ends the call at once", function()
    local res = get({ timeout = { total = 5 } },
      { { status = 503, headers = { ["Retry-After"] = "5" } } })
    assert.same({ "attempt 503: deadline" }, words(res.trace))
  end)
end)

describe("retry.when", function()
  local asked

  local function when(answer, part)
    asked = {}
    part = part or {}
    part.when = function(outcome)
      asked[#asked + 1] = outcome
      return answer
    end
    return { retry = part, gate = false }
  end

  it("that says nil leaves the default", function()
    assert.equal(3, get(when(nil), { kit.times(3, { status = 503 }) }).attempts)
    assert.equal(1, get(when(nil), { { status = 404 } }).attempts)
  end)

  it("that says true makes anything be repeated", function()
    assert.equal(3, get(when(true), { kit.times(3, { status = 404 }) }).attempts)
    local _, err = get(when(true), { kit.times(3, { error = "too_large" }) })
    assert.equal(3, err.attempts)
  end)

  it("that says true overrides once", function()
    assert.equal(3, get(when(true), { kit.times(3, { status = 500 }) }).attempts)
  end)

  it("that says false ends the call without a reason", function()
    local res = get(when(false), { { status = 503 } })
    assert.same({ "attempt 503" }, words(res.trace))
  end)

  it("cannot repeat what cannot be repeated", function()
    local res = call(when(true), "POST", { { status = 404 } })
    assert.same({ "attempt 404: not_replayable" }, words(res.trace))
    assert.equal(3, call(when(true), "POST", { kit.times(3, { status = 404 }) },
      { replayable = true }).attempts)
  end)

  it("cannot go past the attempts", function()
    local res = get(when(true, { max_attempts = 2 }), { kit.times(2, { status = 404 }) })
    assert.same({ "attempt 404", "wait backoff", "attempt 404: attempts" }, words(res.trace))
  end)

  it("is not asked about a success", function()
    get(when(true), { { status = 200 } })
    get(when(true), { { status = 304 } })
    assert.equal(0, #asked)
  end)

  it("is not asked by a policy without attempts", function()
    get({ retry = false }, { { status = 503 } })
    assert.equal(0, #asked)
  end)

  it("is told the response", function()
    get(when(false), { { status = 503, body = "down", after = 2, headers = { ["X-A"] = "b" } } })
    local outcome = asked[1]
    assert.equal(503, outcome.status)
    assert.equal("GET", outcome.method)
    assert.equal(1, outcome.attempt)
    assert.equal(2, outcome.elapsed)
    assert.equal("down", outcome.response.body)
    assert.equal("b", outcome.response.headers["x-a"])
    assert.is_nil(outcome.error)
    assert.is_nil(outcome.kind)
  end)

  it("is told the error", function()
    get(when(nil), { { error = "timeout", phase = "read" }, { status = 200 } })
    local outcome = asked[1]
    assert.equal("timeout", outcome.kind)
    assert.equal("read", outcome.error.phase)
    assert.is_nil(outcome.status)
    assert.is_nil(outcome.response)
  end)

  it("is asked after each attempt", function()
    get(when(nil), { { status = 503 }, { error = "reset" }, { status = 502 } })
    assert.equal(3, #asked)
    assert.equal(2, asked[2].attempt)
  end)

  it("that raises reaches the caller, and the call's places are free again", function()
    local t, client = kit.client { bulkhead = { max_concurrent = 1 }, retry = { when = function()
      error("no idea")
    end } }
    t:script { { status = 503 }, kit.OK }
    t:run(function()
      assert.error_matches(function() client:get("/") end, "no idea", 1, true)
      assert.equal(200, client:get("/").status)
      assert.equal(0, client:stats().in_flight)
    end)
  end)
end)

describe("a backoff function", function()
  local asked

  local function backoff(answer)
    asked = {}
    return { gate = false, retry = { backoff = function(n, outcome)
      asked[#asked + 1] = { n = n, outcome = outcome }
      return answer
    end } }
  end

  it("is asked for each wait, with the number of the retry and the outcome", function()
    local res = get(backoff(3), { { status = 503 }, { error = "reset" }, { status = 200 } })
    assert.equal(6, res.elapsed)
    assert.equal(2, #asked)
    assert.equal(1, asked[1].n)
    assert.equal(503, asked[1].outcome.status)
    assert.equal(2, asked[2].n)
    assert.equal("reset", asked[2].outcome.kind)
  end)

  it("is not asked where nothing is to be repeated", function()
    get(backoff(3), { { status = 404 } })
    call(backoff(3), "POST", { { status = 503 } })
    assert.equal(0, #asked)
  end)

  it("is not asked where the server has named a delay", function()
    local res = get(backoff(3), { { status = 503, headers = { ["Retry-After"] = "7" } }, kit.OK })
    assert.equal("wait retry_after", words(res.trace)[2])
    assert.equal(0, #asked)
  end)

  it("that answers less than nothing means at once", function()
    assert.equal(0, get(backoff(-5), { { status = 503 }, kit.OK }).elapsed)
    assert.equal(0, get(backoff(0), { { status = 503 }, kit.OK }).elapsed)
  end)

  it("that answers too much ends the call", function()
    local res = get(backoff(math.huge), { { status = 503 } })
    assert.same({ "attempt 503: deadline" }, words(res.trace))
  end)

  for name, value in pairs { ["a text"] = "3", nothing = false, ["not a number"] = 0 / 0 } do
    it("that answers " .. name .. " raises", function()
      assert.error_matches(function()
        get(backoff(value or nil), { { status = 503 } })
      end, "policy.retry.backoff: expected a number of seconds to be returned", 1, true)
    end)
  end

  it("is told what retry.when was told", function()
    local part, seen = backoff(1), nil
    part.retry.when = function(outcome)
      seen = outcome
      return true
    end
    get(part, { { status = 404 }, kit.OK })
    assert.equal(404, seen.status)
    assert.equal(404, asked[1].outcome.status)
  end)
end)

describe("a wait before a retry", function()
  local policies = {
    { kind = "fixed", base = 0.5, jitter = "none" },
    { kind = "linear", base = 0.5, max = 1.2, jitter = "none" },
    { kind = "exponential", base = 0.25, factor = 3, max = 5, jitter = "none" },
    { kind = "exponential", base = 0.5, jitter = "full" },
    { kind = "exponential", base = 0.5, max = 3, jitter = "equal" },
    { kind = "exponential", base = 0.5, max = 3, jitter = "additive" },
    { kind = "linear", base = 0.5, max = 2, jitter = 0.2 },
    { kind = "exponential", base = 1, factor = 2, max = 10, jitter = 0.5 },
    { kind = "exponential", base = 0.5, max = 6, jitter = "decorrelated" },
  }

  local function waits_under(backoff, seed)
    local t, client = kit.client({ timeout = { total = 1000 }, breaker = false,
      retry = { max_attempts = 6, backoff = backoff } }, seed)
    return entries(kit.get(t, client, { kit.times(6, { status = 503 }) }).trace, "wait")
  end

  for _, backoff in ipairs(policies) do
    it(("lies within the bounds of neap.backoff: %s, %s"):format(backoff.kind, backoff.jitter),
      function()
        local bounds = neap.backoff(backoff)
        for seed = 1, 8 do
          local previous
          for n, wait in ipairs(waits_under(backoff, seed)) do
            local low, high = bounds:bounds(n, previous)
            local inside = wait.elapsed >= low - 1e-8 and wait.elapsed <= high + 1e-8
            assert.is_true(inside, ("%g not in [%g, %g]"):format(wait.elapsed, low, high))
            previous = wait.elapsed
          end
        end
      end)
  end

  it("is spread by the default jitter", function()
    local seen, distinct = {}, 0
    for seed = 1, 20 do
      local waited = waits_under(nil, seed)[1].elapsed
      assert.is_true(waited >= 0.5 and waited <= 1.5)
      distinct = distinct + (seen[waited] and 0 or 1)
      seen[waited] = true
    end
    assert.is_true(distinct > 15)
  end)
end)

describe("the trace", function()
  it("has one entry an attempt or wait, in order, with times", function()
    local res = get({ retry = { backoff = waits_of(2) } },
      { { status = 503, after = 0.5 }, { error = "timeout", phase = "read" },
        { status = 200, after = 1 } })
    assert.same({
      { at = 0, elapsed = 0.5, kind = "attempt", status = 503 },
      { at = 0.5, elapsed = 2, kind = "wait", reason = "backoff" },
      { at = 2.5, elapsed = 5, kind = "attempt", error = "timeout", phase = "read" },
      { at = 7.5, elapsed = 2, kind = "wait", reason = "backoff" },
      { at = 9.5, elapsed = 1, kind = "attempt", status = 200 },
    }, res.trace)
    assert.equal(10.5, res.elapsed)
    assert.equal(3, res.attempts)
  end)

  it("counts from the clock of neap.now", function()
    local t, client = kit.client()
    t:advance(100)
    local res = kit.get(t, client, { { status = 200, after = 1 } })
    assert.equal(100, res.trace[1].at)
    assert.equal(1, res.elapsed)
  end)

  it("keeps many entries", function()
    local res = get({ breaker = false, retry = { max_attempts = 50, backoff = waits_of(0.1) } },
      { kit.times(50, { status = 503 }) })
    assert.equal(99, #res.trace)
    assert.equal("attempts", res.trace[99].reason)
  end)
end)

describe("max_attempts", function()
  it("is three by default, the first one counted", function()
    assert.equal(3, get(nil, { kit.times(3, { status = 503 }) }).attempts)
  end)

  it("of one means no retry", function()
    local res = get({ retry = { max_attempts = 1 } }, { { status = 503 } })
    assert.same({ "attempt 503: attempts" }, words(res.trace))
  end)

  it("is refused below one", function()
    local t = require("neap.testing").new()
    policy.misuse("policy.retry.max_attempts: expected an integer >= 1, got 0",
      function() t:client(kit.policy { retry = { max_attempts = 0 } }) end)
  end)
end)
