-- The order of the policies around an attempt: breaker, gate, rate limit, bulkhead; what each does
-- to a call and to the others; deadlines and cancelling; what listeners and statistics say of it.

local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local words, touchy_breaker, waits_of = kit.words, kit.touchy_breaker, kit.waits_of

local function busy(status, seconds)
  return { status = status, headers = { ["Retry-After"] = tostring(seconds) } }
end

local function another(t, part, name)
  part = part or {}
  part.name = name or "another"
  return t:client(kit.policy(part))
end

local function trip(client)
  client.breaker:record(client.breaker:acquire(), "failure")
  assert.equal("open", client.breaker:state())
end

-- A client whose breaker opened at 0 for a second (or as the part says) that is over. One probe
-- decides.
local function recovering(part)
  part = part or {}
  part.retry = part.retry or false
  part.breaker = part.breaker or touchy_breaker(1)
  local t, client = kit.client(part)
  trip(client)
  t:advance(1)
  return t, client
end

-- All calls at once, one a path; what each came to, in the order of the paths.
local function all(client, paths, req)
  local functions = {}
  for index, path in ipairs(paths) do
    functions[index] = function()
      local res, err = client:get(path, req)
      return res or err
    end
  end
  local results = {}
  for index, result in ipairs(neap.all(functions)) do
    assert.is_true(result[1], result[2])
    results[index] = result[2]
  end
  return results
end

local function sent_paths(t)
  local paths = {}
  for index, request in ipairs(t.requests) do
    paths[index] = request.path
  end
  return paths
end

describe("before an attempt a call", function()
  it("waits for gate, rate limit and bulkhead in this order", function()
    local t, client = kit.client { retry = false, timeout = { read = 100, total = 100 },
      gate = { max_wait = 50 }, rate_limit = { rate = 1, per = 10, burst = 1, max_wait = 50 },
      bulkhead = { max_concurrent = 1, max_wait = 50 } }
    local other = another(t, { retry = false })
    t:script({ { status = 200, after = 20 }, { status = 200, after = 2 } }, client)
    t:script({ busy(429, 5) }, other)
    t:run(function()
      neap.spawn(client.get, client, "/")
      neap.sleep(0)
      other:get("/")
      local res = client:get("/")
      assert.same({ "wait gate", "wait rate_limit", "wait bulkhead", "attempt 200" },
        words(res.trace))
      local gate, rate, bulkhead = res.trace[1], res.trace[2], res.trace[3]
      assert.is_true(gate.elapsed >= 5 and gate.elapsed <= 5.5)
      assert.near(10, rate.at + rate.elapsed, 1e-9)
      assert.near(20, bulkhead.at + bulkhead.elapsed, 1e-9)
      assert.equal(22, res.elapsed)
    end)
  end)

  it("asks the breaker before the gate", function()
    local t, client = recovering { breaker = touchy_breaker(100) }
    local other = another(t, { retry = false })
    kit.get(t, other, { busy(503, 50) })
    local _, err = kit.get(t, client, {})
    assert.equal("breaker_open", err.kind)
  end)

  it("asks the gate before the rate limit, which keeps its unit", function()
    local t, client = kit.client { retry = false, rate_limit = { rate = 1, per = 1000, burst = 1 } }
    local other = another(t, { retry = false })
    kit.get(t, other, { busy(503, 50) })
    local _, err = kit.get(t, client, {})
    assert.equal("gate", err.kind)
    t:advance(50)
    assert.equal(200, kit.get(t, client, { { status = 200 } }).status)
  end)

  it("asks the rate limit before the bulkhead", function()
    local t, client = kit.client { retry = false, rate_limit = { rate = 1, per = 1000, burst = 1 },
      bulkhead = { max_concurrent = 1 } }
    t:script { { status = 200, after = 1 } }
    t:run(function()
      local results = all(client, { "/a", "/b" })
      assert.equal("rate_limited", results[2].kind)
    end)
  end)

  it("asks all of them again for each attempt", function()
    local t, client = kit.client { retry = { backoff = waits_of(1) },
      rate_limit = { rate = 1, per = 10, burst = 1, max_wait = 20 } }
    local res = kit.get(t, client, { { status = 503 }, { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "wait rate_limit", "attempt 200" },
      words(res.trace))
    assert.equal(10, res.elapsed)
  end)
end)

describe("an open breaker", function()
  local function open_client(part)
    part = part or {}
    part.breaker = part.breaker or touchy_breaker(30)
    local t, client = kit.client(part)
    kit.get(t, client, { { status = 500 } })
    assert.equal("open", client.breaker:state())
    return t, client
  end

  it("refuses without an attempt and without a retry", function()
    local t, client = open_client()
    t:advance(10)
    local res, err = kit.get(t, client, {})
    assert.is_nil(res)
    assert.equal("breaker_open", err.kind)
    assert.equal(0, err.attempts)
    assert.equal(0, err.elapsed)
    assert.equal(20, err.retry_after)
    assert.is_true(err.retryable)
    assert.same({ "reject breaker_open" }, words(err.trace))
    assert.equal("breaker_open: the circuit breaker is open (retry after 20 s)", tostring(err))
    assert.equal(1, #t.requests)
  end)

  it("goes straight to the fallback", function()
    local t, client = open_client { retry = { backoff = waits_of(1) },
      fallback = { { default = { status = 200, body = "last year's rates" } } } }
    local res = kit.get(t, client, {})
    assert.same({ "reject breaker_open", "fallback default 200" }, words(res.trace))
    assert.equal("last year's rates", res.body)
    assert.equal(0, res.elapsed)
  end)

  it("is not asked by retry.when", function()
    local asked = 0
    local t, client = open_client { retry = { max_attempts = 3, when = function()
      asked = asked + 1
      return false
    end } }
    asked = 0
    kit.get(t, client, {})
    assert.equal(0, asked)
  end)

  it("admits one call when its wait is over, and closes by its success", function()
    local t, client = open_client { retry = false }
    t:advance(30)
    t:script { { status = 200, after = 1 }, kit.OK }
    t:run(function()
      local results = all(client, { "/a", "/b" })
      assert.equal(200, results[1].status)
      assert.equal("breaker_open", results[2].kind)
      assert.is_nil(results[2].retry_after)
      assert.equal("closed", client.breaker:state())
      assert.equal(200, client:get("/").status)
    end)
  end)

  it("opens again by a probe that failed", function()
    local t, client = open_client { retry = false }
    t:advance(30)
    kit.get(t, client, { { status = 502 } })
    assert.equal("open", client.breaker:state())
    assert.equal(30, client.breaker:snapshot().retry_after)
    assert.equal(2, client.breaker:snapshot().opened)
  end)

  it("may be turned off", function()
    local t, client = kit.client { retry = false, breaker = false }
    t:script { kit.times(50, { status = 500 }) }
    t:run(function()
      for _ = 1, 50 do
        assert.equal(500, client:get("/").status)
      end
    end)
    assert.is_nil(client.breaker)
    assert.is_nil(client:stats().breaker)
  end)
end)

describe("the breaker counts", function()
  local function verdict(entry, part)
    part = part or {}
    part.retry = false
    local t, client = kit.client(part)
    kit.get(t, client, { entry })
    local snapshot = client.breaker:snapshot()
    if snapshot.calls == 0 then
      return "ignore"
    end
    return snapshot.failures == 1 and "failure" or "success"
  end

  it("500, 502, 503 and 504 as failures", function()
    for _, status in ipairs { 500, 502, 503, 504 } do
      assert.equal("failure", verdict { status = status })
    end
  end)

  it("other statuses as successes", function()
    for _, status in ipairs { 200, 204, 302, 304, 400, 401, 404, 408, 422, 425, 501, 505 } do
      assert.equal("success", verdict { status = status })
    end
  end)

  it("429 not at all", function()
    assert.equal("ignore", verdict { status = 429 })
  end)

  it("transport errors and timeouts as failures", function()
    for _, kind in ipairs { "resolve", "connect", "tls", "reset", "protocol" } do
      assert.equal("failure", verdict { error = kind })
    end
    for _, phase in ipairs { "connect", "write", "read", "attempt", "total" } do
      assert.equal("failure", verdict { error = "timeout", phase = phase, after = 1 })
    end
  end)

  it("each attempt", function()
    local t, client = kit.client { retry = { backoff = waits_of(1) } }
    kit.get(t, client, { { status = 503 }, { error = "reset" }, { status = 200 } })
    assert.equal(3, client.breaker:snapshot().calls)
    assert.equal(2, client.breaker:snapshot().failures)
  end)

  it("refusals neither in its window nor in the latency", function()
    local t, client = kit.client { retry = false, rate_limit = { rate = 1, per = 100, burst = 1 } }
    t:script { { status = 200, after = 0.5 } }
    t:run(function()
      client:get("/")
      for _ = 1, 5 do
        assert.equal("rate_limited", select(2, client:get("/")).kind)
      end
      client.breaker:force_open()
      client:get("/")
    end)
    local stats = client:stats()
    assert.equal(1, stats.latency.count)
    assert.equal(0.5, stats.latency.max)
    assert.equal(7, stats.calls)
    assert.equal(1, stats.attempts)
    assert.same({ rate_limited = 5, breaker_open = 1 }, stats.rejections)
    client.breaker:reset()
    assert.equal(0, client.breaker:snapshot().calls)
  end)

  it("refusals of gate, rate limit and bulkhead not in its window", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1 } }
    t:script { { status = 200, after = 1 } }
    t:run(function() all(client, { "/a", "/b", "/c" }) end)
    assert.equal(1, client.breaker:snapshot().calls)
    assert.equal(0, client.breaker:snapshot().failures)
  end)

  it("what breaker.failure says", function()
    local function says(answer)
      return { breaker = { failure = function() return answer end } }
    end
    assert.equal("failure", verdict({ status = 200 }, says "failure"))
    assert.equal("success", verdict({ status = 503 }, says "success"))
    assert.equal("success", verdict({ error = "reset" }, says "success"))
    assert.equal("ignore", verdict({ error = "reset" }, says "ignore"))
    assert.equal("failure", verdict({ status = 429 }, says "failure"))
    assert.equal("failure", verdict({ status = 503 }, says(nil)))
    assert.equal("success", verdict({ status = 200 }, says(nil)))
  end)
end)

describe("breaker.failure", function()
  it("is told the outcome", function()
    local seen = {}
    local t, client = kit.client { retry = { backoff = waits_of(1) }, breaker = {
      failure = function(outcome) seen[#seen + 1] = outcome end } }
    kit.get(t, client, { { status = 503, after = 2, body = "x" }, { error = "reset" },
      { status = 200 } })
    assert.equal(3, #seen)
    assert.equal(503, seen[1].status)
    assert.equal(2, seen[1].elapsed)
    assert.equal("GET", seen[1].method)
    assert.equal(1, seen[1].attempt)
    assert.equal("x", seen[1].response.body)
    assert.equal("reset", seen[2].kind)
    assert.equal(2, seen[2].attempt)
    assert.equal(200, seen[3].status)
  end)

  it("does not decide on retries", function()
    local t, client = kit.client { breaker = { failure = function() return "success" end } }
    assert.equal(3, kit.get(t, client, { kit.times(3, { status = 503 }) }).attempts)
  end)

  it("that answers something else raises", function()
    local t, client = kit.client { breaker = { failure = function() return "bad" end } }
    t:script { kit.OK }
    assert.error_matches(function() t:run(client.get, client, "/") end,
      'policy.breaker.failure: expected "success", "failure", "ignore" or nil to be returned, '
        .. 'got a string ("bad")', 1, true)
    assert.equal(0, client:stats().in_flight)
  end)
end)

describe("a slow call", function()
  it("counts as slow if it lasts longer than that", function()
    local t, client = kit.client { retry = false, breaker = { min_calls = 10,
      slow_call = { duration = 1, rate = 1 } } }
    t:script { { status = 200, after = 1 }, { status = 200, after = 1.001 } }
    t:run(function()
      client:get("/")
      assert.equal(0, client.breaker:snapshot().slow)
      client:get("/")
      assert.equal(1, client.breaker:snapshot().slow)
      assert.equal(0, client.breaker:snapshot().failures)
    end)
  end)

  it("opens the breaker with enough others", function()
    local t, client = kit.client { retry = false, breaker = { min_calls = 4,
      slow_call = { duration = 1, rate = 0.5 } } }
    t:script { kit.times(2, { status = 200 }), kit.times(2, { status = 200, after = 2 }) }
    t:run(function()
      for _ = 1, 4 do
        assert.equal(200, client:get("/").status)
      end
      assert.equal("breaker_open", select(2, client:get("/")).kind)
    end)
  end)

  it("is measured from the sending, not from the call", function()
    local t, client = kit.client { retry = false, rate_limit = { rate = 1, per = 5, burst = 1,
      max_wait = 10 }, breaker = { min_calls = 10, slow_call = { duration = 1, rate = 1 } } }
    t:script { kit.OK }
    t:run(function()
      client:get("/")
      assert.equal(5, client:get("/").elapsed)
    end)
    assert.equal(0, client.breaker:snapshot().slow)
  end)
end)

describe("after a wait the breaker is asked again", function()
  -- The call waits for something until 5 or so; its breaker opens at 1.
  local function refused(part, prepare)
    part.retry = false
    local t, client = kit.client(part)
    t:script { kit.OK }
    t:run(function()
      prepare(t, client)
      local task = neap.spawn(client.get, client, "/waiting")
      neap.sleep(1)
      client.breaker:force_open()
      local res, err = task:await()
      assert.is_nil(res)
      assert.equal("breaker_open", err.kind)
      assert.equal(0, err.attempts)
      assert.equal("reject breaker_open", words(err.trace)[2])
    end)
    assert.not_equal("/waiting", t.requests[#t.requests].path)
    return t, client
  end

  it("for the gate", function()
    refused({}, function(t)
      local other = another(t, { retry = false })
      t:script({ busy(503, 5) }, other)
      other:get("/")
    end)
  end)

  it("for the rate limit", function()
    refused({ rate_limit = { rate = 1, per = 5, burst = 1, max_wait = 10 } },
      function(_, client) client:get("/") end)
  end)

  it("for the bulkhead, whose place stays free", function()
    local t, client = refused({ bulkhead = { max_concurrent = 1, max_wait = 10 } },
      function(t, client)
        t:script { { status = 200, after = 4 }, kit.OK }
        neap.spawn(client.get, client, "/")
        neap.sleep(0)
      end)
    client.breaker:reset()
    assert.same({ "attempt 200" }, words(t:run(function() return client:get("/") end).trace))
  end)

  it("and says nothing of a time where it is half open by then", function()
    local t, client = kit.client { retry = false, breaker = touchy_breaker(1),
      rate_limit = { rate = 1, per = 5, burst = 1, max_wait = 10 } }
    t:script { kit.OK }
    t:run(function()
      client:get("/")
      local task = neap.spawn(client.get, client, "/")
      neap.sleep(1)
      trip(client)
      neap.sleep(2)
      assert.is_number(client.breaker:acquire())
      local _, err = task:await()
      assert.equal("breaker_open", err.kind)
      assert.is_nil(err.retry_after)
    end)
  end)

  it("and lets the call go where it has closed meanwhile", function()
    local t, client = kit.client { retry = false, rate_limit = { rate = 1, per = 5, burst = 1,
      max_wait = 10 } }
    t:script { kit.OK }
    t:run(function()
      client:get("/")
      local task = neap.spawn(client.get, client, "/")
      neap.sleep(1)
      client.breaker:force_open()
      neap.sleep(1)
      client.breaker:reset()
      assert.equal(200, task:await().status)
    end)
  end)
end)

describe("a probe that ends up unused", function()
  -- The probe is refused by another policy: it must be there for the next caller.
  local function given_back(part, kind, prepare)
    local t, client = recovering(part)
    t:script { kit.OK }
    t:run(function()
      if prepare then
        prepare(t, client)
      end
      for _ = 1, 3 do
        local res, err = client:get("/")
        assert.is_nil(res)
        assert.equal(kind, err.kind)
        assert.equal("half_open", client.breaker:state())
      end
      assert.equal(0, client.breaker:snapshot().calls)
      neap.sleep(1000)
      assert.equal(200, client:get("/").status)
      assert.equal("closed", client.breaker:state())
    end)
  end

  it("because of the gate is given back", function()
    given_back({}, "gate", function(t)
      local other = another(t, { retry = false })
      t:script({ busy(503, 50) }, other)
      other:get("/")
    end)
  end)

  it("because of the rate limit is given back", function()
    given_back({ rate_limit = { rate = 1, per = 500, burst = 1 } }, "rate_limited",
      function(_, client)
        client.breaker:disable()
        client:get("/")
        client.breaker:reset()
        trip(client)
        neap.sleep(1)
      end)
  end)

  it("because of the bulkhead is given back", function()
    local t, client = kit.client { retry = false, breaker = touchy_breaker(1),
      bulkhead = { max_concurrent = 1 }, timeout = { read = 50, total = 50 } }
    t:script { { status = 200, after = 10 }, kit.OK }
    t:run(function()
      neap.spawn(client.get, client, "/")
      neap.sleep(0)
      trip(client)
      neap.sleep(1)
      for _ = 1, 3 do
        assert.equal("bulkhead_full", select(2, client:get("/")).kind)
      end
      neap.sleep(10)
      assert.equal(200, client:get("/").status)
      assert.equal("closed", client.breaker:state())
    end)
  end)

  it("because no time is left is given back", function()
    local t, client = recovering()
    t:script { kit.OK }
    t:run(function()
      for _ = 1, 3 do
        assert.equal("deadline", select(2, client:get("/", { deadline = neap.now() })).kind)
      end
      assert.equal(200, client:get("/").status)
      assert.equal("closed", client.breaker:state())
    end)
  end)
end)

describe("a probe", function()
  -- Whatever became of the probe, the breaker finds its way to closed.
  local function recovers(t, client)
    t:script { kit.OK }
    t:run(function()
      for _ = 1, 10 do
        if client:get("/") then
          break
        end
        neap.sleep(100)
      end
    end)
    assert.equal("closed", client.breaker:state())
    assert.equal(0, client:stats().in_flight)
  end

  local function probing(entry, req, part)
    local t, client = recovering(part)
    local res, err = kit.get(t, client, { entry }, req)
    return t, client, res, err
  end

  it("whose call runs out of time opens the breaker again", function()
    local t, client, _, err = probing({ status = 200, after = 4 }, { deadline = 3 })
    assert.equal("total", err.phase)
    assert.equal("open", client.breaker:state())
    recovers(t, client)
  end)

  it("whose attempt runs out of time opens the breaker again", function()
    local t, client, _, err = probing({ status = 200, after = 4 }, { timeout = { attempt = 2 } })
    assert.equal("attempt", err.phase)
    assert.equal("open", client.breaker:state())
    recovers(t, client)
  end)

  it("that is ignored gives its permit back", function()
    local t, client = probing { status = 429 }
    assert.equal("half_open", client.breaker:state())
    recovers(t, client)
  end)

  it("of a closed client gives its permit back", function()
    local t, client = recovering()
    t:script { { status = 200, after = 4 } }
    t:run(function()
      local task = neap.spawn(client.get, client, "/")
      neap.sleep(1)
      assert.is_nil(client.breaker:acquire())
      client:close()
      assert.equal("cancelled", select(2, task:await()).kind)
      assert.is_number(client.breaker:acquire())
    end)
  end)

  it("that answers after its lease changes nothing any more", function()
    local breaker = touchy_breaker(1)
    breaker.half_open.lease = 2
    local t, client = recovering { breaker = breaker }
    t:script { { status = 200, after = 3 }, { status = 200 }, kit.OK }
    t:run(function()
      local late = neap.spawn(client.get, client, "/late")
      neap.sleep(2)
      local _, err = client:get("/")
      assert.equal("breaker_open", err.kind)
      assert.equal("open", client.breaker:state())
      assert.equal(200, late:await().status)
      assert.equal("open", client.breaker:state())
    end)
    recovers(t, client)
  end)

  it("that is lost counts as failed after its lease", function()
    local t, client = recovering()
    t:run(function() assert.is_number(client.breaker:acquire()) end)
    assert.equal("breaker_open", select(2, kit.get(t, client, {})).kind)
    t:advance(59.9)
    assert.equal("half_open", client.breaker:state())
    assert.equal("breaker_open", select(2, kit.get(t, client, {})).kind)
    t:advance(0.2)
    assert.equal("breaker_open", select(2, kit.get(t, client, {})).kind)
    recovers(t, client)
  end)

  -- The functions of a policy that raise in the middle of the probe's call.
  local raising = {
    ["retry.when"] = function(fn) return { retry = { when = fn } } end,
    ["retry.backoff"] = function(fn) return { retry = { backoff = fn } } end,
    ["breaker.failure"] = function(fn)
      local breaker = touchy_breaker(1)
      breaker.failure = fn
      return { breaker = breaker }
    end,
  }
  for name, part_with in pairs(raising) do
    it("whose call ends by an error in " .. name .. " blocks nobody", function()
      local t, client = recovering(part_with(function() error("raised") end))
      t:script { { status = 503 } }
      assert.error_matches(function() t:run(client.get, client, "/") end, "raised", 1, true)
      assert.equal(0, client:stats().in_flight)
      t:advance(1)
      if name == "breaker.failure" then
        assert.is_number(client.breaker:acquire())
      else
        recovers(t, client)
      end
    end)
  end

  it("whose task was abandoned gives its permit back when that is collected", function()
    local t, client = recovering()
    t:script { { status = 200, after = 3 } }
    pcall(t.run, t, function()
      neap.spawn(client.get, client, "/")
      neap.sleep(1)
      error("the program gives up")
    end)
    assert.equal("half_open", client.breaker:state())
    collectgarbage()
    collectgarbage()
    assert.is_number(client.breaker:acquire())
    client.breaker:reset()
    recovers(t, client)
  end)

  it("whose coroutine is left in the middle gives its permit back when that is collected",
    function()
      local t, client = recovering { retry = { when = function() coroutine.yield("stay") end } }
      t:script { { status = 408 } }
      t:run(function()
        local co = coroutine.create(function() client:get("/") end)
        assert.same({ true, "stay" }, { coroutine.resume(co) })
      end)
      collectgarbage()
      collectgarbage()
      assert.equal(0, client:stats().in_flight)
      recovers(t, client)
    end)

  it("is one of so many until they have decided", function()
    local t, client = kit.client { retry = false, breaker = { window = { count = 10 },
      min_calls = 2, open_for = 1, half_open = { permits = 3 } } }
    t:script { kit.times(2, { status = 500 }), { status = 200, after = 1 },
      { status = 200, after = 2 }, { status = 200, after = 3 }, kit.OK }
    t:run(function()
      client:get("/")
      client:get("/")
      neap.sleep(1)
      local tasks = {}
      for index = 1, 4 do
        tasks[index] = neap.spawn(client.get, client, "/" .. index)
      end
      assert.equal("breaker_open", select(2, tasks[4]:await()).kind)
      tasks[1]:await()
      assert.equal("half_open", client.breaker:state())
      assert.equal("breaker_open", select(2, client:get("/")).kind)
      tasks[2]:await()
      assert.equal("closed", client.breaker:state())
      assert.equal(200, client:get("/").status)
    end)
  end)
end)

describe("breaker.key", function()
  it("of host keeps a breaker for each origin", function()
    local breaker = touchy_breaker()
    breaker.key = "host"
    local t, client = kit.client { retry = false, breaker = breaker }
    t:script { { status = 500 }, kit.OK }
    t:run(function()
      client:get("/")
      assert.equal("breaker_open", select(2, client:get("/other")).kind)
      assert.equal(200, client:request({ url = "https://b.example/" }).status)
      assert.equal(200, client:request({ url = "http://api.example/" }).status)
      assert.equal(200, client:request({ url = "https://api.example:444/" }).status)
      assert.equal("breaker_open",
        select(2, client:request({ url = "https://API.example:443/" })).kind)
    end)
    assert.is_nil(client.breaker)
  end)

  it("of a function keeps a breaker for each of its answers", function()
    local breaker, seen = touchy_breaker(), nil
    breaker.key = function(req)
      seen = req
      return req.tags.tenant
    end
    local t, client = kit.client { retry = false, breaker = breaker }
    t:script { { status = 500 }, kit.OK }
    t:run(function()
      client:get("/a", { tags = { tenant = "one" } })
      assert.equal("/a", seen.path)
      assert.equal("GET", seen.method)
      assert.equal("breaker_open", select(2, client:get("/", { tags = { tenant = "one" } })).kind)
      assert.equal(200, client:get("/", { tags = { tenant = "two" } }).status)
    end)
  end)

  it("of a function that answers no text raises where the call is made", function()
    local t, client = kit.client { breaker = { key = function() return 5 end } }
    t:run(function()
      policy.misuse("policy.breaker.key: expected a string to be returned, got 5",
        function() client:get("/") end)
    end)
  end)

  local function keyed(max_keys)
    local breaker = touchy_breaker()
    breaker.key = function(req) return req.path end
    breaker.max_keys = max_keys
    return kit.client { retry = false, breaker = breaker }
  end

  it("forgets the key that was idle longest", function()
    local t, client = keyed(2)
    t:script { kit.times(3, { status = 500 }), kit.OK }
    t:run(function()
      client:get("/a")
      client:get("/b")
      assert.equal("breaker_open", select(2, client:get("/a")).kind)
      client:get("/c")
      assert.equal("breaker_open", select(2, client:get("/a")).kind)
      assert.equal("breaker_open", select(2, client:get("/c")).kind)
      assert.equal(200, client:get("/b").status)
    end)
  end)

  it("lets calls go though every key is in use", function()
    local t, client = keyed(2)
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    t:run(function()
      for _, result in ipairs(all(client, { "/a", "/b", "/c", "/d" })) do
        assert.equal(200, result.status)
      end
    end)
  end)
end)

describe("a bulkhead", function()
  it("refuses at once where nobody may wait", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 2 } }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    t:run(function()
      local results = all(client, { "/a", "/b", "/c" })
      assert.equal(200, results[1].status)
      assert.equal(200, results[2].status)
      local err = results[3]
      assert.equal("bulkhead_full", err.kind)
      assert.equal(0, err.elapsed)
      assert.equal(0, err.attempts)
      assert.is_true(err.retryable)
      assert.same({ "reject bulkhead_full" }, words(err.trace))
      assert.equal("bulkhead_full: all places of the bulkhead are taken", tostring(err))
    end)
  end)

  it("lets those who wait go in the order in which they came", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 } }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    local paths = { "/1", "/2", "/3", "/4", "/5" }
    t:run(function()
      local results = all(client, paths)
      for index, res in ipairs(results) do
        assert.equal(index, res.elapsed)
      end
      assert.same({ "attempt 200" }, words(results[1].trace))
      assert.same({ "wait bulkhead", "attempt 200" }, words(results[5].trace))
      assert.equal(4, results[5].trace[1].elapsed)
    end)
    assert.same(paths, sent_paths(t))
  end)

  it("lets nobody overtake those who wait", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 } }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    t:run(function()
      local first = neap.spawn(client.get, client, "/1")
      neap.sleep(0.5)
      neap.spawn(client.get, client, "/2")
      first:await()
      client:get("/3")
    end)
    assert.same({ "/1", "/2", "/3" }, sent_paths(t))
  end)

  it("holds so many at once", function()
    local live, most = 0, 0
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 3, max_wait = 60 } }
    client:on("attempt", function() live = live - 1 end)
    t:script { { answer = function()
      live = live + 1
      most = math.max(most, live)
      return { status = 200, after = 0.5 }
    end, ["repeat"] = true } }
    t:run(function()
      local paths = {}
      for index = 1, 20 do
        paths[index] = "/" .. index
      end
      for _, res in ipairs(all(client, paths)) do
        assert.equal(200, res.status)
      end
    end)
    assert.equal(3, most)
    assert.equal(3.5, t:now())
  end)

  it("refuses where the queue is full", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20,
      max_queue = 2 } }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    t:run(function()
      local results = all(client, { "/1", "/2", "/3", "/4" })
      assert.equal(200, results[3].status)
      assert.equal("bulkhead_full", results[4].kind)
      assert.equal(0, results[4].elapsed)
      assert.equal(3, neap.now())
      assert.equal(200, all(client, { "/5", "/6", "/7" })[3].status)
    end)
  end)

  it("refuses who has waited for so long, and gives the place in the queue to others", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 0.5,
      max_queue = 1 } }
    t:script { { status = 200, after = 2 }, kit.OK }
    t:run(function()
      local first = neap.spawn(client.get, client, "/1")
      neap.sleep(0)
      for _ = 1, 3 do
        local _, err = client:get("/2")
        assert.equal("bulkhead_full", err.kind)
        assert.equal(0.5, err.elapsed)
        assert.same({ "wait bulkhead", "reject bulkhead_full" }, words(err.trace))
        assert.equal(0.5, err.trace[1].elapsed)
      end
      assert.equal(200, client:get("/3").status)
      first:await()
    end)
    assert.same({ "/1", "/3" }, sent_paths(t))
  end)

  it("keeps nobody past the deadline", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 } }
    t:script { { status = 200, after = 4 } }
    t:run(function()
      neap.spawn(client.get, client, "/1")
      neap.sleep(0)
      local _, err = client:get("/2", { deadline = neap.now() + 1 })
      assert.equal("bulkhead_full", err.kind)
      assert.equal(1, err.elapsed)
    end)
  end)

  it("is held only while an attempt is on the wire", function()
    local t, client = kit.client { retry = { backoff = waits_of(10) },
      bulkhead = { max_concurrent = 1 } }
    t:script { { status = 503 }, kit.OK }
    t:run(function()
      local first = neap.spawn(client.get, client, "/1")
      neap.sleep(1)
      local res = client:get("/2")
      assert.same({ "attempt 200" }, words(res.trace))
      assert.equal(2, first:await().attempts)
    end)
    assert.same({ "/1", "/2", "/1" }, sent_paths(t))
  end)

  it("is not held while the gate or the rate limit keeps a call waiting", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1 },
      rate_limit = { rate = 1, per = 5, burst = 2, max_wait = 20 } }
    t:script { kit.OK }
    t:run(function()
      client:get("/1")
      client:get("/2")
      local results = all(client, { "/3", "/4" })
      assert.equal(200, results[1].status)
      assert.equal(200, results[2].status)
    end)
  end)

  it("is free again after a timeout, a cancelled call and a function that raised", function()
    local raises = true
    local t, client = kit.client { bulkhead = { max_concurrent = 1 }, retry = { max_attempts = 2,
      when = function()
        if raises then
          error("raised")
        end
        return false
      end } }
    t:script { { status = 404 }, { status = 200, after = 9 }, { status = 200, after = 1 } }
    t:run(function()
      pcall(client.get, client, "/")
      raises = false
      assert.equal("timeout", select(2, client:get("/")).kind)
      assert.equal(200, client:get("/").status)
    end)
  end)

  it("wakes the next where the first in the queue gives up", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 } }
    t:script { { status = 200, after = 3, ["repeat"] = true } }
    t:run(function()
      neap.spawn(client.get, client, "/1")
      neap.sleep(0)
      local second = neap.spawn(client.get, client, "/2", { deadline = 2 })
      local third = neap.spawn(client.get, client, "/3")
      assert.equal("bulkhead_full", select(2, second:await()).kind)
      assert.equal(6, third:await().elapsed)
    end)
  end)

  it("wakes all who are to be refused where the breaker has opened", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 },
      breaker = touchy_breaker(100) }
    t:script { { status = 500, after = 3 } }
    t:run(function()
      local results = all(client, { "/1", "/2", "/3", "/4" })
      for index = 2, 4 do
        assert.equal("breaker_open", results[index].kind)
        assert.equal(3, results[index].elapsed)
      end
    end)
  end)

  it("wakes a call whose listener was waiting meanwhile", function()
    local t, client = kit.client { retry = false, bulkhead = { max_concurrent = 1, max_wait = 20 },
      breaker = touchy_breaker(1) }
    client:on("breaker", function(event)
      if event.to == "half_open" then
        neap.sleep(2)
      end
    end)
    t:script { { status = 200, after = 3 }, kit.OK }
    t:run(function()
      neap.spawn(client.get, client, "/1")
      neap.sleep(1)
      trip(client)
      neap.sleep(1)
      assert.equal(2, client:get("/2").elapsed)
    end)
  end)
end)

describe("a rate limit", function()
  local function limited(part, max_wait)
    part = part or {}
    part.retry = part.retry or false
    part.rate_limit = { rate = 1, per = 1, burst = 2, max_wait = max_wait }
    local t, client = kit.client(part)
    t:script { kit.OK }
    return t, client
  end

  it("lets a burst go, then lets each wait for its turn", function()
    local t, client = limited(nil, 10)
    t:run(function()
      local elapsed = {}
      for index, res in ipairs(all(client, { "/1", "/2", "/3", "/4" })) do
        elapsed[index] = res.elapsed
      end
      assert.same({ 0, 0, 1, 2 }, elapsed)
    end)
  end)

  it("says in the trace for how long", function()
    local t, client = limited(nil, 10)
    t:run(function()
      local res = all(client, { "/1", "/2", "/3" })[3]
      assert.same({ "wait rate_limit", "attempt 200" }, words(res.trace))
      assert.equal(1, res.trace[1].elapsed)
      assert.equal(1, res.trace[2].at)
    end)
  end)

  it("refuses at once who would wait for too long, and reserves nothing", function()
    local t, client = limited(nil, 1.5)
    t:run(function()
      local results = all(client, { "/1", "/2", "/3", "/4", "/5" })
      assert.equal(1, results[3].elapsed)
      for index = 4, 5 do
        local err = results[index]
        assert.equal("rate_limited", err.kind)
        assert.equal(2, err.retry_after)
        assert.equal(0, err.elapsed)
        assert.equal(0, err.attempts)
        assert.same({ "reject rate_limited" }, words(err.trace))
      end
      assert.equal(1, neap.now())
      assert.equal(1, client:get("/6").elapsed)
    end)
  end)

  it("waits for nobody by default", function()
    local t, client = limited()
    t:run(function()
      local results = all(client, { "/1", "/2", "/3" })
      assert.equal("rate_limited", results[3].kind)
      assert.equal(1, results[3].retry_after)
      assert.is_true(results[3].retryable)
    end)
  end)

  it("refuses at once who would wait past the deadline", function()
    local t, client = limited({ timeout = { total = 0.5 } }, 10)
    t:run(function()
      local results = all(client, { "/1", "/2", "/3" })
      assert.equal("rate_limited", results[3].kind)
      assert.equal(0, results[3].elapsed)
    end)
  end)

  it("takes a unit for each attempt", function()
    local t, client = limited({ retry = { backoff = waits_of(0.1) } }, 10)
    t:script { { status = 503 }, { status = 503 }, { status = 200 } }
    local res = t:run(function() return client:get("/") end)
    assert.same({ "attempt 503", "wait backoff", "attempt 503", "wait backoff", "wait rate_limit",
      "attempt 200" }, words(res.trace))
    assert.equal(1, res.elapsed)
  end)
end)

describe("the gate", function()
  -- One call of `first` closes a gate; what does a call of a client with that part see?
  local function after(entry, part, closing)
    closing = closing or {}
    closing.retry = closing.retry or false
    local t, first = kit.client(closing)
    kit.get(t, first, { entry })
    part = part or {}
    part.retry = part.retry or false
    local second = another(t, part)
    t:script { kit.OK }
    local res, err = t:run(function() return second:get("/") end)
    return (res or err).trace, res or err, t
  end

  local function held(low, high, ...)
    local trace = after(...)
    assert.same({ "wait gate", "attempt 200" }, words(trace))
    local waited = trace[1].elapsed
    assert.is_true(waited >= low and waited <= high + 1e-9, ("waited %.9f"):format(waited))
  end

  local function free(...)
    assert.same({ "attempt 200" }, words((after(...))))
  end

  local function with(credential)
    return { headers = { Authorization = credential } }
  end

  it("closed by 429 holds back the same credential, in any client", function()
    held(5, 5.5, busy(429, 5), with "a", with "a")
    held(5, 5.5, busy(429, 5))
  end)

  it("closed by 429 does not hold back another credential", function()
    free(busy(429, 5), with "b", with "a")
    free(busy(429, 5), nil, with "a")
    free(busy(429, 5), with "a")
  end)

  it("closed by 503 holds back all of the origin", function()
    held(5, 5.5, busy(503, 5), with "b", with "a")
  end)

  it("does not hold back another origin", function()
    free(busy(503, 5), { base_url = "https://other.example" })
    free(busy(503, 5), { base_url = "http://api.example" })
    free(busy(503, 5), { base_url = "https://api.example:8443" })
    held(5, 5.5, busy(503, 5), { base_url = "https://api.example:443" })
  end)

  it("is not closed by Retry-After on another status", function()
    free(busy(500, 5))
    free(busy(404, 5))
    free(busy(200, 5))
  end)

  it("is not closed by 429 and 503 alone", function()
    free { status = 429 }
    free { status = 503 }
    free(busy(503, 0))
    free(busy(503, "soon"))
  end)

  it("takes a date", function()
    held(7, 7.7, busy(503, "Thu, 01 Jan 2026 00:00:07 GMT"))
    held(4, 4.4, { status = 503, headers = { Date = "Wed, 01 Jul 2026 12:00:00 GMT",
      ["Retry-After"] = "Wed, 01 Jul 2026 12:00:04 GMT" } })
  end)

  it("spreads the released", function()
    local t, first = kit.client { retry = false }
    kit.get(t, first, { busy(503, 5) })
    t:script { kit.OK }
    local seen, distinct = {}, 0
    t:run(function()
      local paths = {}
      for index = 1, 40 do
        paths[index] = "/" .. index
      end
      for _, res in ipairs(all(first, paths)) do
        assert.is_true(res.elapsed >= 5 and res.elapsed < 5.5)
        distinct = distinct + (seen[res.elapsed] and 0 or 1)
        seen[res.elapsed] = true
      end
    end)
    assert.is_true(distinct > 35)
  end)

  it("refuses at once who would wait for too long", function()
    local trace, err, t = after(busy(503, 20))
    assert.same({ "reject gate" }, words(trace))
    assert.equal("gate", err.kind)
    assert.equal(20, err.retry_after)
    assert.equal(0, err.elapsed)
    assert.is_true(err.retryable)
    assert.equal(1, #t.requests)
  end)

  it("lets callers wait for just max_wait, spread included afterwards", function()
    held(10, 11, busy(503, 10))
    held(20, 22, busy(503, 20), { gate = { max_wait = 20 } })
    local _, err = after(busy(503, 3), { gate = { max_wait = 2 } })
    assert.equal("gate", err.kind)
    _, err = after(busy(503, 1), { gate = { max_wait = 0 } })
    assert.equal("gate", err.kind)
  end)

  it("refuses at once who would wait past the deadline", function()
    local _, err = after(busy(503, 5), { timeout = { total = 5 } })
    assert.equal("gate", err.kind)
    assert.equal(5, err.retry_after)
    assert.equal(0, err.elapsed)
    held(5, 5.5, busy(503, 5), { timeout = { total = 5.6 } })
  end)

  it("that is off neither holds back nor is closed", function()
    free(busy(503, 5), { gate = false })
    free(busy(503, 5), nil, { gate = false })
  end)

  it("holds back the same key that a function names", function()
    local function key(name)
      return { headers = { Authorization = name .. " token" },
        gate = { key = function() return name end } }
    end
    local same = key "tenant"
    same.headers = { Authorization = "another" }
    held(5, 5.5, busy(429, 5), same, key "tenant")
    free(busy(429, 5), key "other", key "tenant")
    held(5, 5.5, busy(503, 5), key "other", key "tenant")
  end)

  it("tells the function of its key the request", function()
    local seen
    local t, client = kit.client { gate = { key = function(req)
      seen = req
      return req.tags.tenant
    end } }
    kit.get(t, client, { { status = 200 } }, { tags = { tenant = "x" } })
    assert.equal("GET", seen.method)
    assert.equal("/", seen.path)
  end)

  it("raises where the function of its key answers no text", function()
    local t, client = kit.client { gate = { key = function() end } }
    t:run(function()
      policy.misuse("policy.gate.key: expected a string to be returned, got nil",
        function() client:get("/") end)
    end)
  end)

  it("never closes for longer than the longest delay of a server", function()
    held(60, 66, busy(503, 500), { gate = { max_wait = 100 }, timeout = { total = 200 } })
    held(60, 66, busy(503, 500), { gate = { max_wait = 100 }, timeout = { total = 200 } },
      { retry = { max_attempts = 1 } })
    held(8, 8.8, busy(503, 500), nil, { retry = { max_attempts = 1, max_server_delay = 8 } })
  end)

  it("lets the retry of who was told go when its time has come", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { busy(503, 5), { status = 200 } })
    assert.same({ "attempt 503", "wait retry_after", "attempt 200" }, words(res.trace))
  end)

  it("holds back a retry that does not honour the server's delay", function()
    local t, client = kit.client { retry = { honor_retry_after = false, backoff = waits_of(1) } }
    local res = kit.get(t, client, { busy(503, 5), { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "wait gate", "attempt 200" }, words(res.trace))
    assert.is_true(res.elapsed >= 5 and res.elapsed <= 5.5)
  end)

  -- Two attempts are on their way: the first closes the gate until 5, the second answers later.
  local function extended(second)
    local t, client = kit.client { retry = false }
    t:script { busy(503, 5), second, kit.OK }
    local res, err
    t:run(function()
      local first = neap.spawn(client.get, client, "/1")
      neap.spawn(client.get, client, "/2")
      first:await()
      res, err = client:get("/3")
    end)
    return res or err
  end

  it("that is closed for longer meanwhile keeps callers waiting", function()
    local second = busy(503, 5)
    second.after = 3
    local res = extended(second)
    assert.same({ "wait gate", "attempt 200" }, words(res.trace))
    assert.is_true(res.elapsed >= 8 and res.elapsed <= 8.5)
    assert.equal(res.elapsed, res.trace[1].elapsed)
  end)

  it("that is closed for too long meanwhile refuses who waits", function()
    local second = busy(503, 30)
    second.after = 3
    local err = extended(second)
    assert.equal("gate", err.kind)
    assert.is_true(err.elapsed >= 5 and err.elapsed <= 5.5)
    assert.same({ "wait gate", "reject gate" }, words(err.trace))
  end)

  it("is not opened earlier by a shorter delay", function()
    local second = busy(503, 1)
    second.after = 1
    local res = extended(second)
    assert.is_true(res.elapsed >= 5 and res.elapsed <= 5.5)
  end)

  describe("by RateLimit", function()
    local function limit(value, status, more)
      local headers = more or {}
      headers.RateLimit = value
      return { status = status or 200, headers = headers }
    end

    it("is closed by a quota that is exhausted, on any status", function()
      held(5, 5.5, limit('"default";r=0;t=5'))
      held(5, 5.5, limit("default;r=0;t=5", 404))
      held(5, 5.5, limit('"a";r=0;t=5', 503), with "a", with "a")
    end)

    it("is closed until the last of several exhausted quotas", function()
      held(8, 8.8, limit('"a";r=0;t=3, "b";r=0;t=8, "c";r=5;t=9'))
      held(8, 8.8, limit { '"a";r=0;t=8', '"b";r=0;t=2' })
    end)

    it("is closed for the credential, whatever the status", function()
      free(limit('"default";r=0;t=5', 503), with "b", with "a")
      held(5, 5.5, limit('"default";r=0;t=5', 503), with "a", with "a")
    end)

    it("is not closed while something remains, or without an end", function()
      free(limit '"default";r=1;t=5')
      free(limit '"default";r=0')
      free(limit '"default";t=5')
    end)

    for _, value in ipairs { '"default";r=0;t=-5', '"default";r=0.5;t=5', '"default";r=0;t=5,',
      'default";r=0;t=5', '5;r=0;t=5', '"default";r="0";t=5', '"a";r=0;t=5, "b";r=-1;t=5' } do
      it("is not closed where it is malformed: " .. value, function()
        free(limit(value))
      end)
    end

    it("gives way to Retry-After", function()
      held(3, 3.3, limit('"default";r=0;t=8', 429, { ["Retry-After"] = "3" }))
    end)

    it("wins over X-RateLimit", function()
      held(3, 3.3, limit('"default";r=0;t=3', 200, { ["X-RateLimit-Remaining"] = "0",
        ["X-RateLimit-Reset"] = "9" }))
    end)
  end)

  describe("by X-RateLimit", function()
    local function limit(remaining, reset)
      return { status = 200, headers = { ["X-RateLimit-Remaining"] = remaining,
        ["X-RateLimit-Reset"] = reset } }
    end

    it("is closed for seconds, or until a moment", function()
      held(6, 6.6, limit("0", "6"))
      held(6, 6.6, limit("0", "1767225606"))
    end)

    it("is not closed while something remains, or without an end", function()
      free(limit("1", "6"))
      free(limit("0", nil))
      free(limit("0", "1767225600"))
      free(limit("0", "soon"))
      free(limit("none", "6"))
    end)

    it("is closed for the credential", function()
      free(limit("0", "6"), with "b", with "a")
      held(6, 6.6, limit("0", "6"), with "a", with "a")
    end)
  end)
end)

describe("a deadline", function()
  it("of the policy ends an attempt", function()
    local t, client = kit.client { timeout = { total = 2 } }
    local _, err = kit.get(t, client, { { status = 200, after = 4 } })
    assert.equal("timeout", err.kind)
    assert.equal("total", err.phase)
    assert.equal(2, err.elapsed)
    assert.equal(1, err.attempts)
    assert.equal("timeout (total): the total time limit has passed", tostring(err))
  end)

  it("of the request counts where it is earlier", function()
    local t, client = kit.client { timeout = { total = 4 } }
    t:advance(10)
    local _, err = kit.get(t, client, { { status = 200, after = 3 } }, { deadline = 12 })
    assert.equal("total", err.phase)
    assert.equal(2, err.elapsed)
    local res = kit.get(t, client, { { status = 200, after = 3 } }, { deadline = 100 })
    assert.equal(3, res.elapsed)
  end)

  it("that has passed refuses without an attempt", function()
    local t, client = kit.client()
    t:advance(10)
    local res, err = kit.get(t, client, {}, { deadline = 9 })
    assert.is_nil(res)
    assert.equal("deadline", err.kind)
    assert.equal(0, err.attempts)
    assert.equal(0, err.elapsed)
    assert.same({ "reject deadline" }, words(err.trace))
    assert.equal("deadline: no time is left to try before the deadline", tostring(err))
    assert.same({ deadline = 1 }, client:stats().rejections)
    assert.equal(0, #t.requests)
  end)

  it("less than a millisecond away refuses too", function()
    local t, client = kit.client()
    local _, err = kit.get(t, client, {}, { deadline = 0.0009 })
    assert.equal("deadline", err.kind)
    assert.equal(200, kit.get(t, client, { { status = 200 } }, { deadline = 0.001 }).status)
  end)

  it("of a request's own total replaces the policy's", function()
    local t, client = kit.client { timeout = { total = 2 } }
    local res = kit.get(t, client, { { status = 200, after = 4 } }, { timeout = { total = 10 } })
    assert.equal(4, res.elapsed)
  end)

  it("is told to the server in whole milliseconds", function()
    local t, client = kit.client { deadline_header = "X-Time-Left", timeout = { total = 5 },
      retry = { backoff = waits_of(1.2345) } }
    kit.get(t, client, { { status = 503, after = 0.25 }, { status = 200 } })
    assert.equal("5000", t.requests[1].headers["x-time-left"])
    assert.equal("3515", t.requests[2].headers["X-Time-Left"])
    t, client = kit.client { deadline_header = "X-Time-Left" }
    kit.get(t, client, { { status = 200 } }, { deadline = 1.9999 })
    assert.equal("1999", t.requests[1].headers["x-time-left"])
  end)

  it("is told instead of what the request says under that name", function()
    local t, client = kit.client { deadline_header = "X-Time-Left", timeout = { total = 5 } }
    kit.get(t, client, { { status = 200 } }, { headers = { ["x-time-left"] = "1" } })
    assert.equal("5000", t.requests[1].headers["x-time-left"])
  end)

  it("is not told where no header is named for it", function()
    local t, client = kit.client()
    kit.get(t, client, { { status = 200 } })
    assert.is_nil(next(t.requests[1].headers))
  end)

  it("of an attempt ends that attempt, and the next one begins", function()
    local t, client = kit.client { timeout = { attempt = 2 }, retry = { backoff = waits_of(1) } }
    local res = kit.get(t, client, { { status = 200, after = 3 }, { status = 200, after = 1 } })
    assert.same({ "attempt timeout", "wait backoff", "attempt 200" }, words(res.trace))
    assert.equal("attempt", res.trace[1].phase)
    assert.equal(4, res.elapsed)
    assert.same({ attempt = 1 }, client:stats().timeouts)
  end)
end)

describe("closing a client", function()
  local function cancelled(part, script, before)
    part = part or {}
    local t, client = kit.client(part)
    t:script(script)
    t:run(function()
      if before then
        before(t, client)
      end
      local task = neap.spawn(client.get, client, "/")
      neap.sleep(1)
      client:close()
      assert.equal(1, neap.now())
      local res, err = task:await()
      assert.is_nil(res)
      assert.equal("cancelled", err.kind)
      assert.equal(1, err.elapsed)
      assert.is_false(err.retryable)
      assert.equal("cancelled: the call was cancelled", tostring(err))
    end)
    assert.equal(0, client:stats().in_flight)
    return client
  end

  it("cancels an attempt on its way, which counts for nothing", function()
    local client = cancelled(nil, { { status = 200, after = 3 } })
    assert.equal(0, client.breaker:snapshot().calls)
    assert.same({ cancelled = 1 }, client:stats().errors)
  end)

  it("cancels a wait before a retry, though there was a response", function()
    cancelled({ retry = { backoff = waits_of(5) } }, { { status = 503 } })
  end)

  it("cancels a wait for the gate", function()
    cancelled(nil, {}, function(t)
      local other = another(t, { retry = false })
      t:script({ busy(503, 5) }, other)
      other:get("/")
    end)
  end)

  it("cancels a wait for the rate limit", function()
    cancelled({ rate_limit = { rate = 1, per = 5, burst = 1, max_wait = 9 } }, { kit.OK },
      function(_, client) client:get("/") end)
  end)

  it("cancels a wait for the bulkhead", function()
    cancelled({ bulkhead = { max_concurrent = 1, max_wait = 9 } }, { { status = 200, after = 3 } },
      function(_, client)
        neap.spawn(client.get, client, "/")
        neap.sleep(0)
      end)
  end)

  -- A function of Lua cannot be interrupted: the call ends as soon as it has returned.
  local function cancelled_in_a_function(part)
    local t, client = kit.client(part)
    t:script { { status = 503 } }
    t:run(function()
      local task = neap.spawn(client.get, client, "/")
      neap.sleep(1)
      client:close()
      assert.equal("cancelled", select(2, task:await()).kind)
      assert.equal(3, neap.now())
    end)
    assert.equal(0, client:stats().in_flight)
  end

  it("cancels a call whose fallback runs, and tries no other", function()
    local tried = false
    cancelled_in_a_function { retry = false, fallback = {
      function()
        neap.sleep(3)
        return "late"
      end,
      function() tried = true end,
    } }
    assert.is_false(tried)
  end)

  it("cancels a call whose function is being asked", function()
    cancelled_in_a_function { retry = { when = function()
      neap.sleep(3)
      return true
    end } }
  end)

  it("runs no fallback", function()
    cancelled({ fallback = { { default = { status = 200 } } } }, { { status = 200, after = 3 } })
  end)

  it("makes later calls end at once, and may be done twice", function()
    local t, client = kit.client()
    client:close()
    client:close()
    local _, err = kit.get(t, client, {})
    assert.equal("cancelled", err.kind)
    assert.equal(0, err.attempts)
    assert.equal(0, #t.requests)
  end)

  it("leaves other clients alone", function()
    local t, client = kit.client()
    local other = another(t)
    t:script { { status = 200, after = 2, ["repeat"] = true } }
    t:run(function()
      local task = neap.spawn(other.get, other, "/")
      neap.sleep(1)
      client:close()
      assert.equal(200, task:await().status)
    end)
  end)
end)

describe("client:on", function()
  local EVENTS = { "attempt", "retry", "reject", "breaker", "fallback", "done" }

  -- Everything that was told, in order.
  local function watched(part)
    local t, client = kit.client(part)
    local told = {}
    for _, name in ipairs(EVENTS) do
      client:on(name, function(event) told[#told + 1] = event end)
    end
    return t, client, told
  end

  local function names(told)
    local list = {}
    for index, event in ipairs(told) do
      list[index] = event.event
    end
    return list
  end

  -- Without the fields that spec/events_spec.lua is about.
  local function brief(event)
    local copy = {}
    for key, value in pairs(event) do
      copy[key] = value
    end
    for _, key in ipairs { "call", "context", "time", "began", "began_time", "url", "host",
      "port" } do
      copy[key] = nil
    end
    return copy
  end

  it("tells attempts, retries and the end", function()
    local t, client, told = watched { retry = { backoff = waits_of(2) } }
    local tags = { of = "this call" }
    kit.get(t, client, { { status = 503, after = 0.5 }, { error = "timeout", phase = "read" },
      { status = 200 } }, { tags = tags })
    assert.same({ "attempt", "retry", "attempt", "retry", "attempt", "done" }, names(told))
    assert.same({ event = "attempt", client = "api", method = "GET", path = "/", tags = tags,
      at = 0.5, attempt = 1,
      kind = "attempt", status = 503, elapsed = 0.5 }, brief(told[1]))
    assert.same({ event = "retry", client = "api", method = "GET", path = "/", tags = tags,
      at = 0.5, attempts = 1,
      kind = "wait", reason = "backoff", status = 503, delay = 2, elapsed = 0 }, brief(told[2]))
    assert.same({ event = "attempt", client = "api", method = "GET", path = "/", tags = tags,
      at = 7.5, attempt = 2,
      kind = "attempt", error = "timeout", phase = "read", elapsed = 5 }, brief(told[3]))
    assert.equal("timeout", told[4].error)
    assert.equal(9.5, told[5].at)
    assert.equal("done", told[6].event)
    assert.equal("api", told[6].client)
    assert.equal(tags, told[6].tags)
    assert.equal(9.5, told[6].at)
    assert.equal(3, told[6].attempts)
  end)

  it("tells with the end what the call came to", function()
    local t, client, told = watched { retry = false }
    kit.get(t, client, { { status = 404, after = 2 } })
    assert.equal(404, told[2].status)
    assert.equal(2, told[2].elapsed)
    kit.get(t, client, { { error = "reset" } })
    assert.equal("reset", told[4].error)
  end)

  it("tells of a delay that the server named", function()
    local t, client, told = watched()
    kit.get(t, client, { busy(429, 5), { status = 200 } })
    assert.equal("retry_after", told[2].reason)
    assert.is_true(told[2].delay >= 5 and told[2].delay <= 5.5)
  end)

  it("tells of a refresh as a retry without a delay", function()
    local t, client, told = watched { retry = { refresh = function() return { a = "b" } end } }
    kit.get(t, client, { { status = 401 }, { status = 200 } })
    assert.same({ "attempt", "retry", "attempt", "done" }, names(told))
    assert.equal(401, told[2].status)
    assert.equal("refresh", told[2].reason)
    assert.equal(0, told[2].delay)
  end)

  it("tells refusals", function()
    local t, client, told = watched { retry = false, bulkhead = { max_concurrent = 1 } }
    t:script { { status = 200, after = 1 } }
    t:run(function() all(client, { "/a", "/b" }) end)
    assert.same({ "reject", "done", "attempt", "done" }, names(told))
    assert.same({ event = "reject", client = "api", method = "GET", path = "/b", at = 0,
      attempts = 0, kind = "reject",
      error = "bulkhead_full", reason = "bulkhead_full", elapsed = 0 }, brief(told[1]))
  end)

  it("tells every refusal that the statistics count", function()
    local t, client, told = watched { rate_limit = { rate = 1, per = 100, burst = 1 } }
    t:script { { status = 200 } }
    t:run(function()
      client:get("/")
      client:get("/")
      client.breaker:force_open()
      client:get("/")
      client.breaker:reset()
      neap.sleep(200)
      client:get("/", { deadline = neap.now() })
    end)
    local counted = {}
    for _, event in ipairs(told) do
      if event.event == "reject" then
        counted[event.error] = (counted[event.error] or 0) + 1
      end
    end
    assert.same({ rate_limited = 1, breaker_open = 1, deadline = 1 }, client:stats().rejections)
    assert.same(client:stats().rejections, counted)
  end)

  it("tells changes of the breaker", function()
    local t, client, told = watched { retry = false, breaker = touchy_breaker(1) }
    kit.get(t, client, { { status = 500 } })
    t:advance(1)
    kit.get(t, client, { { status = 200 } })
    local changes = {}
    for _, event in ipairs(told) do
      if event.event == "breaker" then
        changes[#changes + 1] = ("%s %g %s %s"):format(event.client, event.at, event.from,
          event.to)
        assert.is_false(event.would_open)
      end
    end
    assert.same({ "api 0 closed open", "api 1 open half_open", "api 1 half_open closed" }, changes)
  end)

  it("tells what a breaker that only measures would have done", function()
    local t, client, told = watched { retry = false, breaker = touchy_breaker(1) }
    client.breaker:metrics_only()
    t:script { kit.times(3, { status = 500 }) }
    t:run(function()
      for _ = 1, 3 do
        client:get("/")
      end
    end)
    local would_open = 0
    for _, event in ipairs(told) do
      would_open = would_open + (event.would_open and 1 or 0)
    end
    assert.equal(1, would_open)
  end)

  it("tells each fallback", function()
    local t, client, told = watched { retry = false, fallback = {
      function() error("boom") end, function() end, { default = { status = 203 } } } }
    kit.get(t, client, { { status = 503 } })
    assert.same({ "attempt", "fallback", "fallback", "fallback", "done" }, names(told))
    assert.equal("function", told[2].reason)
    assert.equal("error", told[2].error)
    assert.equal("function", told[3].reason)
    assert.is_nil(told[3].error)
    assert.equal("default", told[4].reason)
    assert.equal(203, told[4].status)
  end)

  it("counts listeners that raise, and the call does not feel it", function()
    local t, client = kit.client { retry = { backoff = waits_of(1) } }
    local seen = 0
    client:on("attempt", function() error("boom") end)
    client:on("attempt", function() seen = seen + 1 end)
    client:on("retry", function() error({}) end)
    client:on("done", function() error(nil) end)
    local res = kit.get(t, client, { { status = 503 }, { status = 200 } })
    assert.same({ "attempt 503", "wait backoff", "attempt 200" }, words(res.trace))
    assert.equal(2, seen)
    assert.equal(4, client:stats().listener_errors)
  end)

  it("tells several listeners in the order in which they came", function()
    local t, client = kit.client()
    local order = {}
    for index = 1, 3 do
      client:on("done", function() order[#order + 1] = index end)
    end
    kit.get(t, client, { { status = 200 } })
    assert.same({ 1, 2, 3 }, order)
  end)

  it("lets a listener call, and close the client", function()
    local t, client = kit.client { retry = { backoff = waits_of(1) } }
    local other = another(t)
    t:script({ kit.OK }, other)
    t:script({ { status = 503 } }, client)
    client:on("attempt", function() other:get("/") end)
    client:on("retry", function() client:close() end)
    local _, err = t:run(function() return client:get("/") end)
    assert.equal("cancelled", err.kind)
    assert.equal(1, other:stats().ok)
    assert.equal(0, client:stats().in_flight)
  end)

  it("refuses an unknown event and a listener that is no function", function()
    local _, client = kit.client()
    policy.misuse("event: expected attempt, retry, reject, breaker, fallback, alert or done, "
      .. "got finish", function() client:on("finish", print) end)
    policy.misuse("listener: expected a function, got a table",
      function() client:on("done", {}) end)
  end)
end)

describe("client:stats", function()
  it("begins at nothing", function()
    local _, client = kit.client()
    local stats = client:stats()
    assert.equal(0, stats.calls)
    assert.equal(0, stats.ok)
    assert.equal(0, stats.attempts)
    assert.equal(0, stats.in_flight)
    assert.equal(0, stats.latency.count)
    for _, name in ipairs { "errors", "retries", "timeouts", "rejections", "fallbacks" } do
      assert.same({}, stats[name])
    end
    assert.equal("closed", stats.breaker.state)
    assert.same({ opened = 0, reused = 0 }, stats.pool)
  end)

  it("agrees with what happened", function()
    local t, client = kit.client { retry = { backoff = waits_of(1) }, fallback = {
      { when = { "tls" }, default = { status = 200 } } } }
    t:script { { status = 200, after = 0.5 }, { status = 404 }, { status = 503 }, { status = 200 },
      { error = "timeout", phase = "read" }, { error = "reset" }, { error = "reset" },
      { error = "tls", certificate = true } }
    t:run(function()
      for _ = 1, 5 do
        client:get("/")
      end
    end)
    local stats = client:stats()
    assert.equal(5, stats.calls)
    assert.equal(8, stats.attempts)
    assert.equal(3, stats.ok)
    assert.same({ reset = 1 }, stats.errors)
    assert.same({ ["503"] = 1, timeout = 1, reset = 1 }, stats.retries)
    assert.same({ read = 1 }, stats.timeouts)
    assert.same({}, stats.rejections)
    assert.same({ default = 1 }, stats.fallbacks)
    assert.equal(5, stats.latency.count)
    assert.equal(7, stats.latency.max)
    assert.near((0.5 + 0 + 1 + 7 + 0) / 5, stats.latency.mean, 1e-6)
    assert.equal(8, stats.breaker.calls)
    assert.equal(5, stats.breaker.failures)
  end)

  it("counts the calls that are on their way", function()
    local t, client = kit.client()
    t:script { { status = 200, after = 2, ["repeat"] = true } }
    t:run(function()
      for _ = 1, 3 do
        neap.spawn(client.get, client, "/")
      end
      neap.sleep(1)
      assert.equal(3, client:stats().in_flight)
      neap.sleep(1)
      neap.sleep(0)
      assert.equal(0, client:stats().in_flight)
    end)
  end)

  it("knows quantiles of the calls that made an attempt", function()
    local t, client = kit.client { retry = false }
    local script = {}
    for index = 1, 100 do
      script[index] = { status = 200, after = index / 100 }
    end
    t:script(script)
    t:run(function()
      for _ = 1, 100 do
        client:get("/")
      end
    end)
    local latency = client:stats().latency
    assert.equal(100, latency.count)
    assert.near(0.505, latency.mean, 1e-6)
    for name, exact in pairs { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99 } do
      assert.near(exact, latency[name], 0.05 * exact)
    end
    assert.equal(1, latency.max)
  end)

  it("of all clients stand under their names", function()
    local t = testing.new()
    local client = t:client(kit.policy { name = "one of a kind" })
    kit.get(t, client, { { status = 200 } })
    local real = neap.client(kit.policy { name = "another of a kind" })
    assert.equal(0, neap.stats()["another of a kind"].calls)
    real:close()
  end)
end)
