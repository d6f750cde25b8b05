-- Identical calls in flight share the attempts of the first.
local calls = require "spec.support.calls"
local compat = require "neap.compat"
local host = require "neap.host"
local kit = require "spec.support.kit"
local neap = require "neap"
local server = require "spec.support.server"

describe("identical calls of a client that coalesces", function()
  local t, client

  local function make(policy)
    policy = policy or {}
    policy.coalesce = true
    if policy.retry == nil then
      policy.retry = { backoff = kit.waits_of(5) }
    end
    t, client = kit.client(policy)
  end

  before_each(function() make() end)

  -- What count tasks come to that do the same, one second apart: { res, err } each.
  local function side_by_side(count, fn)
    local results = {}
    t:run(function()
      for index = 1, count do
        neap.spawn(function() results[index] = { fn(index) } end)
        neap.sleep(0.01)
      end
    end)
    return results
  end

  local function get(path, req)
    return function() return client:get(path or "/", req) end
  end

  it("send one request", function()
    t:script { { status = 200, after = 1, headers = { ["X-A"] = { "1", "2" } }, body = "body",
      ["repeat"] = true } }
    local results = side_by_side(50, get())
    assert.equal(1, #t.requests)
    for index, result in ipairs(results) do
      local res = result[1]
      assert.equal(200, res.status)
      assert.equal("body", res.body)
      assert.same({ "1", "2" }, res.headers["x-a"])
      assert.equal("network", res.source)
      assert.is_false(res.degraded)
      assert.is_true(res.ok)
      assert.equal(1, res.attempts)
      assert.equal("https://api.example/", res.url)
      assert.near(1 - (index - 1) * 0.01, res.elapsed, 1e-9)
    end
    local stats = client:stats()
    assert.same({ 50, 50, 1, 49, 0 },
      { stats.calls, stats.ok, stats.attempts, stats.coalesced, stats.in_flight })
    assert.equal(50, stats.latency.count)
  end)

  it("have responses of their own", function()
    t:script { { status = 200, after = 1, headers = { A = "1" }, body = "{}" } }
    local results = side_by_side(3, get())
    results[1][1].headers.a, results[1][1].status = "changed", 1
    results[1][1].trace[1].kind = "changed"
    for index = 2, 3 do
      assert.equal("1", results[index][1].headers.A)
      assert.equal(200, results[index][1].status)
      assert.same({ "wait coalesced" }, kit.words(results[index][1].trace))
      assert.same({}, results[index][1]:json())
    end
    assert.are_not.equal(results[2][1].headers, results[3][1].headers)
  end)

  it("share retries, and say how many attempts there were and how long they waited", function()
    t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
    local results = side_by_side(2, get())
    assert.same({ 2, 2 }, { results[1][1].attempts, results[2][1].attempts })
    local wait = results[2][1].trace[1]
    assert.same({ "wait", "coalesced" }, { wait.kind, wait.reason })
    assert.near(0.01, wait.at, 1e-9)
    assert.near(6.99, wait.elapsed, 1e-9)
  end)

  it("share an error, in a table of its own for each", function()
    make { retry = false }
    t:script { { error = "reset", after = 1 } }
    local results = side_by_side(3, get())
    for index = 1, 3 do
      local res, err = results[index][1], results[index][2]
      assert.is_nil(res)
      assert.is_true(neap.Error.is(err))
      assert.same({ "reset", 1, true }, { err.kind, err.attempts, err.retryable })
    end
    assert.are_not.equal(results[1][2], results[2][2])
    assert.are_not.equal(results[2][2], results[3][2])
    assert.equal(3, client:stats().errors.reset)
  end)

  it("share a response that is a failure, and its delay", function()
    make { retry = false }
    t:script { { status = 503, after = 1, headers = { ["Retry-After"] = "7" } } }
    for _, result in ipairs(side_by_side(2, get())) do
      assert.same({ 503, 7 }, { result[1].status, result[1].retry_after })
    end
  end)

  it("share only while the first is in flight", function()
    t:script { kit.times(2, { status = 200, after = 1 }) }
    t:run(function()
      client:get("/")
      client:get("/")
    end)
    assert.equal(2, #t.requests)
  end)

  it("share HEAD among themselves", function()
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    side_by_side(4, function(index)
      return client:request { method = index % 2 == 0 and "HEAD" or "get", path = "/" }
    end)
    assert.equal(2, #t.requests)
  end)

  it("do not share what changes something", function()
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH", "OPTIONS" } do
      local before = #t.requests
      side_by_side(3, function() return client:request { method = method, path = "/" } end)
      assert.equal(3, #t.requests - before, method)
    end
  end)

  local function sends(count, requests)
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    local before = #t.requests
    side_by_side(#requests, function(index) return client:get("/", requests[index]) end)
    assert.equal(count, #t.requests - before)
  end

  it("are those with equal headers, in whatever order and letter case", function()
    sends(1, {
      { headers = { Accept = "a", ["X-One"] = "1" } },
      { headers = { ["x-one"] = "1", accept = "a" } },
    })
    sends(2, { { headers = { Accept = "a" } }, { headers = { Accept = "b" } } })
    sends(2, { { headers = { Accept = "a" } }, {} })
  end)

  it("are those of one credential", function()
    sends(2, {
      { headers = { Authorization = "Bearer 1" } }, { headers = { Authorization = "Bearer 2" } },
      { headers = { authorization = "Bearer 1" } },
    })
  end)

  it("are those with equal query and body", function()
    sends(3, { { query = { a = 1 } }, { query = { a = 2 } }, { query = { a = 1 } }, {} })
    sends(2, { { body = "one" }, { body = "two" }, { body = "one" } })
  end)

  it("are those whose attempts have the same limits; total and deadline may differ", function()
    sends(2, { { timeout = { read = 4 } }, {}, { timeout = { total = 20 } }, { deadline = 25 } })
  end)

  it("are those of one client", function()
    local other = t:client { name = "other", base_url = kit.ORIGIN, coalesce = true }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    side_by_side(4, function(index) return (index % 2 == 0 and other or client):get("/") end)
    assert.equal(2, #t.requests)
  end)

  it("count the policy's headers as theirs", function()
    make { headers = { Accept = "a" } }
    sends(1, { {}, { headers = { accept = "a" } } })
  end)

  it("are told of like any other", function()
    local done = {}
    client:on("done", function(event) done[#done + 1] = { event.status, event.attempts } end)
    t:script { { status = 200, after = 1 } }
    side_by_side(3, get())
    assert.same({ { 200, 1 }, { 200, 1 }, { 200, 1 } }, done)
  end)

  it("hold one place in the bulkhead, and take one from the limit", function()
    make { bulkhead = { max_concurrent = 1 }, rate_limit = { rate = 1, burst = 1 } }
    t:script { { status = 200, after = 1 } }
    for _, result in ipairs(side_by_side(10, get())) do
      assert.equal(200, result[1].status)
    end
  end)

  it("are one call to the breaker", function()
    make { retry = false, breaker = { window = { count = 10 }, min_calls = 2 } }
    t:script { { status = 503, after = 1 } }
    side_by_side(10, get())
    assert.equal(1, client.breaker:snapshot().calls)
  end)

  describe("with fallbacks", function()
    it("run their own, for themselves", function()
      local seen = {}
      make { retry = false, fallback = {
        function(req, err, res)
          seen[#seen + 1] = { req.tags.index, err and err.kind, res and res.status }
          return req.tags.index ~= 2 and { status = 200, body = tostring(req.tags.index) } or nil
        end,
      } }
      t:script { { status = 503, after = 1 } }
      local results = side_by_side(3, function(index)
        return client:get("/", { tags = { index = index } })
      end)
      assert.equal("1", results[1][1].body)
      assert.equal(503, results[2][1].status)
      assert.equal("3", results[3][1].body)
      assert.equal("function", results[3][1].source)
      assert.same({ "wait coalesced", "fallback function 200" }, kit.words(results[3][1].trace))
      table.sort(seen, function(a, b) return a[1] < b[1] end)
      assert.same({ { 1, nil, 503 }, { 2, nil, 503 }, { 3, nil, 503 } }, seen)
      assert.equal(1, #t.requests)
    end)

    it("do not wait for those of the first", function()
      make { retry = false, fallback = {
        function(req)
          neap.sleep(req.tags.seconds)
          return { status = 200 }
        end,
      } }
      t:script { { error = "reset", after = 1 } }
      local results = side_by_side(2, function(index)
        return client:get("/", { tags = { seconds = index == 1 and 8 or 0 } })
      end)
      assert.near(9, results[1][1].elapsed, 1e-9)
      assert.near(0.99, results[2][1].elapsed, 1e-9)
    end)
  end)

  describe("where the first", function()
    it("runs out of time, let one of the others set out", function()
      t:script { { status = 200, after = 4 }, { status = 201, after = 4 } }
      local results = side_by_side(5, function(index)
        return client:get("/", index == 1 and { timeout = { total = 2 } } or nil)
      end)
      assert.same({ "timeout", "total" }, { results[1][2].kind, results[1][2].phase })
      for index = 2, 5 do
        assert.equal(201, results[index][1].status)
      end
      assert.equal(2, #t.requests)
      assert.equal(3, client:stats().coalesced)
      assert.same({ "wait coalesced", "attempt 201" }, kit.words(results[5][1].trace))
      assert.same({ "wait coalesced" }, kit.words(results[2][1].trace))
    end)

    it("has no time for a retry, do not take its failure for theirs", function()
      t:script { { status = 503, after = 1 }, kit.OK }
      local results = side_by_side(3, function(index)
        return client:get("/", index == 1 and { timeout = { total = 2 } } or nil)
      end)
      assert.equal(503, results[1][1].status)
      assert.equal(200, results[2][1].status)
      assert.equal(200, results[3][1].status)
      assert.equal(2, #t.requests)
    end)

    it("is gone with its task's run, go on", function()
      local res
      t:script { { status = 200, after = 4 }, { status = 201, after = 1 } }
      pcall(t.run, t, function()
        neap.spawn(get())
        neap.sleep(0.1)
        host.background(client._engine, function() res = client:get("/") end)
        neap.sleep(0.1)
        error("enough")
      end)
      assert.equal(1, #t.requests)
      t:advance(2)
      assert.equal(201, res.status)
      assert.equal(0, client:stats().in_flight)
    end)

    it("fails in a function of the policy, go on", function()
      local asked = 0
      make { retry = { backoff = kit.waits_of(1), when = function()
        asked = asked + 1
        return asked == 1 and error("broken") or false
      end } }
      t:script { { status = 503, after = 1 }, { status = 501, after = 1 } }
      local results = side_by_side(3, function() return compat.pcall(client.get, client, "/") end)
      assert.is_false(results[1][1])
      assert.equal(501, results[2][2].status)
      assert.equal(501, results[3][2].status)
      assert.equal(2, #t.requests)
    end)

    it("is collected, go on", function()
      local res
      t:script { { status = 201, after = 1 } }
      t:run(function()
        local held = { require("neap.core").exchange(client._core, "GET", "/") }
        held[1]:begin(true)
        assert.equal("attempt", held[1]:attention())
        held[1]:reply(1, 4, 200, {}, "")
        neap.spawn(function() res = client:get("/") end)
        neap.sleep(0.1)
        held[1] = nil
        collectgarbage()
        collectgarbage()
      end)
      assert.equal(201, res.status)
      assert.near(1.1, t:now(), 1e-9)
    end)

    it("is not served by Lua any more, go on", function()
      local results = {}
      make { retry = { backoff = kit.waits_of(1), when = function() neap.sleep(20) end } }
      t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
      t:run(function()
        neap.spawn(function() results[1] = client:get("/") end)
        for index = 2, 4 do
          neap.spawn(function()
            neap.sleep(0.1)
            results[index] = client:get("/")
            results[index].at = neap.now()
          end)
        end
        neap.sleep(5)
        for index = 2, 4 do
          assert.equal(200, results[index].status)
          assert.near(3, results[index].at, 1e-9)
        end
        t:script { kit.OK }
      end)
      assert.equal(200, results[1].status)
    end)

    it("is ended with its client, end too", function()
      local results
      t:script { { status = 200, after = 1 } }
      t:run(function()
        neap.spawn(function()
          results = neap.all { get(), get(), get() }
        end)
        neap.sleep(0.5)
        client:close()
      end)
      for _, result in ipairs(results) do
        assert.equal("cancelled", result[3].kind)
      end
      assert.equal(1, #t.requests)
    end)
  end)

  it("end when their own time is over, and their fallbacks answer", function()
    make { fallback = { { when = { "timeout" }, default = { status = 203 } } } }
    t:script { { status = 200, after = 4 } }
    local results = side_by_side(3, function(index)
      return client:get("/", index == 2 and { timeout = { total = 1 } } or nil)
    end)
    assert.equal(200, results[1][1].status)
    assert.equal(203, results[2][1].status)
    assert.near(1, results[2][1].elapsed, 1e-9)
    assert.equal(200, results[3][1].status)
  end)

  it("end at once where no time is left", function()
    t:script { { status = 200, after = 1 } }
    local results = side_by_side(2, function(index)
      return client:get("/", index == 2 and { deadline = 0.001 } or nil)
    end)
    assert.equal("deadline", results[2][2].kind)
  end)

  it("made by a listener of the first do not wait for it", function()
    local inner
    client:on("attempt", function()
      if not inner then
        inner = true
        inner = client:get("/")
      end
    end)
    t:script { kit.times(2, { status = 200, after = 1 }) }
    local res = t:run(get())
    assert.equal(200, res.status)
    assert.equal(200, inner.status)
    assert.equal(2, #t.requests)
  end)

  it("made by tasks of a function of the first do not wait for it", function()
    local inner
    make { retry = { backoff = kit.waits_of(1), when = function()
      inner = inner or neap.all { get(), get() }
      return false
    end } }
    t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
    assert.equal(503, t:run(get()).status)
    assert.equal(200, inner[1][2].status)
    assert.equal(200, inner[2][2].status)
    assert.equal(2, #t.requests)
  end)

  it("share a token refresh, and those who come meanwhile share another attempt", function()
    make { retry = { refresh = function()
      neap.sleep(0.9)
      return { Authorization = "Bearer fresh" }
    end } }
    t:script {
      kit.times(1, { status = 401, after = 1 }), { status = 201, after = 5 },
      { status = 200, after = 1 },
    }
    local results = {}
    t:run(function()
      for index = 1, 10 do
        neap.spawn(function()
          neap.sleep(index <= 5 and 0 or 1.5)
          results[index] = client:get("/", { headers = { Authorization = "Bearer old" } }).status
        end)
      end
    end)
    assert.same({ 200, 200, 200, 200, 200, 201, 201, 201, 201, 201 }, results)
    assert.equal(3, #t.requests)
  end)

  it("that block go on their own", function()
    t:script { kit.times(3, { status = 200, after = 1 }) }
    local statuses = {}
    t:run(function()
      neap.spawn(function() statuses[1] = client:get("/").status end)
      neap.sleep(0.1)
      ;("x"):gsub("x", function() statuses[2] = client:get("/").status end)
    end)
    statuses[3] = client:get("/").status
    assert.same({ 200, 200, 200 }, statuses)
    assert.equal(3, #t.requests)
  end)

  it("cost others nothing: without the policy each is sent", function()
    t, client = kit.client {}
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    side_by_side(5, get())
    assert.equal(5, #t.requests)
    assert.equal(0, client:stats().coalesced)
  end)
end)

describe("on the wire, identical calls", function()
  local s, client

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function()
    s:reset()
    client = calls.client { base_url = s.url, coalesce = true }
  end)
  after_each(function() client:close() end)

  it("are one request, and each has the whole answer", function()
    local bodies, functions = {}, {}
    for index = 1, 100 do
      functions[index] = function()
        local res = calls.answered(client:get("/big?bytes=200000&gate=all"))
        bodies[index] = #res.body
        assert.equal("200000", res.headers["content-length"])
      end
    end
    neap.run(function()
      neap.spawn(function()
        calls.wait_for(function() return client:stats().in_flight == 100 end)
        s:release("all")
      end)
      for _, result in ipairs(neap.all(functions)) do
        assert.is_true(result[1], tostring(result[2]))
      end
    end)
    assert.equal(100, #bodies)
    for _, bytes in ipairs(bodies) do
      assert.equal(200000, bytes)
    end
    assert.equal(1, s:ledger().requests)
    assert.equal(99, client:stats().coalesced)
  end)

  it("share an answer that was redirected", function()
    local urls = neap.run(function()
      local function get() return calls.answered(client:get("/redirect?n=1")).url end
      return neap.all { get, get }
    end)
    assert.equal(urls[1][2], urls[2][2])
    assert.is_nil(urls[1][2]:find("n=1", 1, true), urls[1][2])
    assert.equal(1, client:stats().attempts)
  end)

  it("share a connection that is refused", function()
    local refused = calls.client { base_url = s.refused, coalesce = true }
    local results = neap.run(function()
      local function get() return refused:get("/") end
      return neap.all { get, get, get }
    end)
    for index = 1, 3 do
      assert.equal("connect", results[index][3].kind)
      assert.equal(3, results[index][3].attempts)
    end
    assert.equal(3, refused:stats().attempts)
    refused:close()
  end)

  it("outlive a first one whose time is over", function()
    local results = neap.run(function()
      return neap.all {
        function() return client:get("/status/200?after=0.5", { timeout = { total = 0.1 } }) end,
        function() return client:get("/status/200?after=0.5") end,
        function() return client:get("/status/200?after=0.5") end,
      }
    end)
    assert.equal("timeout", results[1][3].kind)
    assert.equal(200, results[2][2].status)
    assert.equal(200, results[3][2].status)
    assert.equal(2, s:ledger().requests)
  end)

  it("of several kinds can be made by the hundred", function()
    local ok = 0
    neap.run(function()
      for index = 1, 500 do
        neap.spawn(function()
          local res = client:get("/status/200?gate=all&n=" .. index % 10)
          ok = ok + (res and res.ok and 1 or 0)
        end)
      end
      calls.wait_for(function() return client:stats().in_flight == 500 end)
      s:release("all")
    end)
    assert.equal(500, ok)
    assert.equal(10, s:ledger().requests)
  end)
end)
