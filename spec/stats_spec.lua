-- What a client has counted, for people and for programs: client:stats.
local kit = require "spec.support.kit"
local neap = require "neap"

local function run(t, client, calls)
  t:run(function()
    for _ = 1, calls or 1 do
      client:get("/")
    end
  end)
end

describe("client:stats tells how calls ended", function()
  it("by the status of a response that is no success", function()
    local t, client = kit.client { retry = false }
    t:script { { status = 200 }, { status = 404 }, { status = 500 }, { status = 503 } }
    run(t, client, 4)
    local stats = client:stats()
    assert.equal(1, stats.ok)
    assert.same({ ["4xx"] = 1, ["5xx"] = 2 }, stats.failed)
    assert.same({}, stats.errors)
    assert.equal(0, stats.abandoned)
  end)

  it("by the status that a fallback has answered", function()
    local t, client = kit.client { retry = false, fallback = { { default = { status = 404 } } } }
    t:script { { status = 503 } }
    run(t, client)
    assert.same({ ["4xx"] = 1 }, client:stats().failed)
    assert.equal(0, client:stats().ok)
  end)
end)

describe("client:stats times attempts", function()
  it("each by itself, without the waits between them", function()
    local t, client = kit.client { retry = { backoff = { kind = "fixed", base = 5,
      jitter = "none" } } }
    t:script { { status = 503, after = 1 }, { status = 200, after = 3 } }
    run(t, client)
    local stats = client:stats()
    assert.equal(2, stats.attempt_latency.count)
    assert.equal(2, stats.attempt_latency.mean)
    assert.equal(3, stats.attempt_latency.max)
    assert.equal(9, stats.latency.max)
  end)
end)

describe("client:stats counts the changes of the breaker", function()
  it("by the state that was entered, whoever has caused it", function()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, open_for = 10, half_open = { permits = 1 } } }
    t:script { { status = 503 }, { status = 503 }, { status = 200 } }
    run(t, client)
    t:advance(10)
    run(t, client)
    t:advance(10)
    run(t, client)
    assert.same({ open = 2, half_open = 2, closed = 1 }, client:stats().transitions)
    client.breaker:force_open()
    client.breaker:force_open()
    client.breaker:reset()
    assert.same({ open = 2, half_open = 2, closed = 2, forced_open = 1 },
      client:stats().transitions)
  end)

  it("of the breakers of all keys together", function()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.path end } }
    t:script { { status = 503, ["repeat"] = true } }
    t:run(function()
      client:get("/a")
      client:get("/b")
    end)
    client:breaker_for("/a"):reset()
    assert.same({ open = 2, closed = 1 }, client:stats().transitions)
  end)

  it("also where a program uses the breaker by itself", function()
    local _, client = kit.client { breaker = { consecutive_failures = 1 } }
    client.breaker:record(client.breaker:acquire(), "failure")
    assert.same({ open = 1 }, client:stats().transitions)
  end)
end)

describe("client:stats of a call whose caller has gone", function()
  it("counts it as abandoned", function()
    local t, client = kit.client()
    t:script { { status = 200, after = 5 } }
    pcall(t.run, t, function()
      neap.spawn(client.get, client, "/")
      error("gone")
    end)
    collectgarbage()
    collectgarbage()
    local stats = client:stats()
    assert.equal(1, stats.calls)
    assert.equal(0, stats.in_flight)
    assert.equal(1, stats.abandoned)
  end)
end)

describe("client:stats of a client with a breaker for each key", function()
  local function keyed()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.tags.key end } }
    local function call(key, status)
      t:script { { status = status } }
      t:run(function() client:get("/", { tags = { key = key } }) end)
    end
    return client, call
  end

  it("has a snapshot of each by its key", function()
    local client, call = keyed()
    call("/a", 503)
    call("/b\0\255", 200)
    local stats = client:stats()
    assert.is_nil(stats.breaker)
    assert.equal(2, stats.breaker_keys)
    assert.same(client:breaker_for("/a"):snapshot(), stats.breakers["/a"])
    assert.equal("open", stats.breakers["/a"].state)
    assert.equal("closed", stats.breakers["/b\0\255"].state)
  end)

  it("names of more than 100 only those that are not closed", function()
    local client, call = keyed()
    for index = 1, 150 do
      call("/" .. index, index % 50 == 0 and 503 or 200)
    end
    local stats, named = client:stats(), {}
    for key, snapshot in pairs(stats.breakers) do
      named[key] = snapshot.state
    end
    assert.equal(150, stats.breaker_keys)
    assert.same({ ["/50"] = "open", ["/100"] = "open", ["/150"] = "open" }, named)
  end)

  it("has neither where there is one breaker, or none", function()
    for _, breaker in ipairs { {}, false } do
      local _, client = kit.client { breaker = breaker }
      assert.is_nil(client:stats().breakers)
      assert.is_nil(client:stats().breaker_keys)
    end
  end)
end)

describe("client:stats().history", function()
  local function totals(history)
    local sums = { calls = 0, failures = 0 }
    for name in pairs(sums) do
      assert.equal(60, #history[name])
      for _, count in ipairs(history[name]) do
        sums[name] = sums[name] + count
      end
    end
    return sums
  end

  it("has calls and failures of five minutes, the slot of now last", function()
    local t, client = kit.client { retry = false }
    t:script { { status = 200 }, { status = 503 }, { status = 404 } }
    t:advance(301)
    run(t, client, 2)
    t:advance(5)
    run(t, client)
    local history = client:stats().history
    assert.equal(5, history.seconds)
    assert.same({ 2, 1 }, { history.calls[59], history.calls[60] })
    assert.same({ 1, 0 }, { history.failures[59], history.failures[60] })
    assert.same({ calls = 3, failures = 1 }, totals(history))
    t:advance(300)
    assert.same({ calls = 0, failures = 0 }, totals(client:stats().history))
  end)

  it("counts as no failure what a fallback has answered", function()
    local t, client = kit.client { retry = false, fallback = { { default = { body = "" } } } }
    t:script { { status = 503 } }
    run(t, client)
    assert.same({ calls = 1, failures = 0 }, totals(client:stats().history))
  end)
end)
