-- Calls in nginx's workers never block them: whatever a call waits for, the worker's other requests
-- are answered meanwhile.
local socket = require "socket"

local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, region = true, init = [[
    local slow_reader = { read = 30 }
    api = neap.client{ name = "api", base_url = upstream, timeout = slow_reader,
      retry = false, gate = false, pool = { max_connections = 200, per_host = 200 } }
    retrying = neap.client{ name = "retrying", base_url = upstream, breaker = false, gate = false,
      retry = { max_attempts = 2, backoff = { kind = "fixed", base = 1, jitter = "none" } } }
    limited = neap.client{ name = "limited", base_url = upstream,
      rate_limit = { rate = 20, burst = 1, max_wait = 10 } }
    narrow = neap.client{ name = "narrow", base_url = upstream, timeout = slow_reader,
      bulkhead = { max_concurrent = 1, max_wait = 10 } }
    held_back = neap.client{ name = "held back", base_url = upstream, retry = false,
      breaker = false, gate = { max_wait = 10 } }
  ]], conf = [[
    location = /quick { content_by_lua_block {
      local res, err = api:get("/status/200")
      ngx.status = res and res.status or 500
      ngx.header["Content-Length"] = 0
      ngx.send_headers()
    } }
    location = /blocking { content_by_lua_block {
      local ends = neap.now() + 0.05
      repeat until neap.now() >= ends
      ngx.header["Content-Length"] = 0
      ngx.send_headers()
    } }
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

-- ---------------------------------------------------------------------------------- measuring

local MOST_SECONDS = 0.020
local FEWEST = 200

-- How long requests to these paths take, one after the other, for so many seconds and then for as
-- long as `goes_on` says: sorted seconds.
local function durations(paths, seconds)
  local talk, took = n:talk(), {}
  local ends = socket.gettime() + seconds
  while socket.gettime() < ends or #took < FEWEST do
    for _, path in ipairs(paths) do
      local began = socket.gettime()
      assert.equal(200, (talk:get(path)))
      took[#took + 1] = socket.gettime() - began
    end
  end
  talk:close()
  table.sort(took)
  return took
end

local function p99(took)
  return took[math.ceil(#took * 0.99)]
end

local function is_quick(took)
  assert.is_true(p99(took) < MOST_SECONDS, ("p99 of %d requests was %.1f ms, the longest %.1f ms")
    :format(#took, p99(took) * 1000, took[#took] * 1000))
end

-- The requests are still waiting after what was measured, or it was measured too late.
local function none_has_ended(talks)
  local connections = {}
  for index, talk in ipairs(talks) do
    connections[index] = talk.connection
  end
  assert.equal(0, #socket.select(connections, nil, 0))
end

-- ------------------------------------------------------------------------------------ latency

describe("while 50 calls wait for a second", function()
  local function hold(path)
    local talks = n:begin(50, ("return told(api:get(%q))"):format(path))
    assert.is_truthy(s:settle(function(ledger)
      return ledger.in_flight == 50
    end))
    return talks
  end

  local function let_go(talks)
    none_has_ended(talks)
    s:release("all")
    for _, told in ipairs(farm.finish(talks)) do
      assert.equal(200, told.status)
      assert.is_true(told.elapsed >= 1)
    end
  end

  it("requests that make no call are answered with a p99 under 20 ms", function()
    local talks = hold("/status/200?gate=all")
    local took = durations({ "/plain" }, 1)
    let_go(talks)
    is_quick(took)
  end)

  it("requests that make a quick call are answered with a p99 under 20 ms", function()
    local talks = hold("/status/200?gate=all")
    local took = durations({ "/quick" }, 1)
    let_go(talks)
    is_quick(took)
  end)

  it("code that blocks the worker would be seen", function()
    local talks = {}
    for index = 1, 10 do
      talks[index] = n:talk()
      talks[index]:send("/blocking")
    end
    local took = durations({ "/plain" }, 0)
    for _, talk in ipairs(talks) do
      assert.equal(200, (talk:receive()))
      talk:close()
    end
    assert.is_true(took[#took] > MOST_SECONDS)
  end)
end)

-- ---------------------------------------------------------------------------- what is waited for

-- Chunks that wait for half a second at least, and why.
local WAITS = {
  {
    reason = "backoff", count = 20, chunk = "return told(retrying:get('/status/503'))",
    outcome = function(told) return told.status == 503 end,
  },
  {
    reason = "rate_limit", count = 20, chunk = "return told(limited:get('/status/200'))",
    outcome = function(told) return told.status == 200 end,
  },
  {
    reason = "bulkhead", count = 10, chunk = "return told(narrow:get('/status/200?after=0.1'))",
    outcome = function(told) return told.status == 200 end,
  },
  {
    reason = "gate", count = 20, chunk = "return told(held_back:get('/status/200'))",
    before = function()
      n:run "held_back:get('/status/429?header=Retry-After:1')"
    end,
    outcome = function(told) return told.status == 200 end,
  },
}

for _, wait in ipairs(WAITS) do
  describe("a call that waits because of " .. wait.reason, function()
    it("leaves the worker free, and ends as in plain Lua", function()
      if wait.before then
        wait.before()
      end
      local talks = n:begin(wait.count, wait.chunk)
      local took = durations({ "/plain" }, 0.4)
      assert.is_true(#socket.select({ talks[wait.count].connection }, nil, 0) == 0)
      local waited = 0
      for _, told in ipairs(farm.finish(talks)) do
        assert.is_true(wait.outcome(told), told.message)
        waited = waited + (told.waits[1] == wait.reason and 1 or 0)
      end
      assert.is_true(waited >= wait.count - 1, ("only %d calls waited"):format(waited))
      is_quick(took)
    end)
  end)
end

describe("neap.sleep", function()
  it("lets the worker answer others", function()
    local talks = n:begin(20, "local began = neap.now() neap.sleep(0.6) return neap.now() - began")
    local took = durations({ "/plain" }, 0.4)
    none_has_ended(talks)
    for _, slept in ipairs(farm.finish(talks)) do
      assert.is_true(slept >= 0.6 and slept < 1.6, slept)
    end
    is_quick(took)
  end)

  it("can be as short as nothing", function()
    assert.is_true(n:run "neap.sleep(0) neap.sleep(0.0001) return true")
  end)
end)

-- -------------------------------------------------------------------------------------- tasks

describe("tasks of one request", function()
  it("run side by side: calls, ngx.sleep and cosockets", function()
    local told = n:run(([[
      local function fetch()
        local peer = ngx.socket.tcp()
        assert(peer:connect("127.0.0.1", %d))
        assert(peer:send("GET /status/200?after=0.3 HTTP/1.0\r\n\r\n"))
        local line = assert(peer:receive("*l"))
        peer:close()
        return line
      end
      local function call() return api:get("/status/200?after=0.3").status end
      local began = neap.now()
      local results = neap.all{ call, fetch, call, function() ngx.sleep(0.3) return "slept" end,
        fetch, function() neap.sleep(0.3) return "rested" end }
      return { results = results, seconds = neap.now() - began }
    ]]):format(s.ports.plain))
    assert.same({ { true, 200 }, { true, "HTTP/1.1 200 OK" }, { true, 200 }, { true, "slept" },
      { true, "HTTP/1.1 200 OK" }, { true, "rested" } }, told.results)
    assert.is_true(told.seconds >= 0.29 and told.seconds < 0.6, told.seconds)
  end)

  it("are awaited, with what they return", function()
    assert.same({ 200, "b", 3 }, n:run [[
      return { neap.run(function(path)
        local call = neap.spawn(function() return api:get(path).status, "b" end)
        local nested = neap.spawn(function()
          return neap.spawn(function() neap.sleep(0.01) return 3 end):await()
        end)
        local status, b = call:await()
        return status, b, nested:await()
      end, "/status/200?after=0.05") }
    ]])
  end)

  it("are waited for by neap.run, though nobody awaits them", function()
    assert.same({ 1, 2, 3 }, n:run [[
      local done = {}
      neap.run(function()
        for index = 1, 3 do
          neap.spawn(function() neap.sleep(0.02 * index) done[index] = index end)
        end
      end)
      return done
    ]])
  end)

  it("raise their errors where they are awaited, or where neap.run was called", function()
    assert.same({ false, "the task's", false, "nobody's" }, n:run [[
      local awaited = { pcall(neap.run, function()
        neap.spawn(function() neap.sleep(0.01) error("the task's", 0) end):await()
      end) }
      local unseen = { pcall(neap.run, function()
        neap.spawn(function() neap.sleep(0.01) error("nobody's", 0) end)
      end) }
      return { awaited[1], awaited[2], unseen[1], unseen[2] }
    ]])
  end)

  it("give up their calls when the function of neap.run raises", function()
    local in_flight = n:run [[
      pcall(neap.run, function()
        for _ = 1, 5 do
          neap.spawn(function() api:get("/status/200?after=20") end)
        end
        neap.sleep(0.1)
        error("enough")
      end)
      return api:stats().in_flight
    ]]
    assert.equal(0, in_flight)
    assert.is_truthy(s:settle())
  end)

  it("are there by the hundred", function()
    local told = n:run [[
      local functions, answered = {}, 0
      for index = 1, 200 do
        functions[index] = function() return api:get("/status/200?after=0.2").status end
      end
      local began = neap.now()
      for _, result in ipairs(neap.all(functions)) do
        answered = answered + (result[2] == 200 and 1 or 0)
      end
      return { answered = answered, seconds = neap.now() - began }
    ]]
    assert.equal(200, told.answered)
    assert.is_true(told.seconds < 2, told.seconds)
  end)

  it("belong to their request: two requests' tasks do not meet", function()
    local talks = n:begin(10, [[
      local token = {}
      local seen = neap.all{ function() neap.sleep(0.05) return token end,
        function() api:get("/status/200?after=0.05") return token end }
      return seen[1][2] == token and seen[2][2] == token
    ]])
    for _, alone in ipairs(farm.finish(talks)) do
      assert.is_true(alone)
    end
  end)
end)

-- --------------------------------------------------------------------------- wrapped functions

describe("a wrapped function", function()
  it("is retried, with its waits yielded", function()
    local talks = n:begin(10, [[
      local runs = 0
      local guarded = neap.wrap({ name = "plain", breaker = false,
        retry = { backoff = { kind = "fixed", base = 0.25, jitter = "none" } } }, function(x)
        runs = runs + 1
        if runs < 3 then error("not yet", 0) end
        return x, runs
      end)
      return { guarded("x") }
    ]])
    local took = durations({ "/plain" }, 0.4)
    none_has_ended(talks)
    for _, values in ipairs(farm.finish(talks)) do
      assert.same({ "x", 3 }, values)
    end
    is_quick(took)
  end)

  -- A client of the location's own, on nginx's sockets.
  local COSOCKET_CLIENT = [[
    local function fetch(port, path)
      local peer = ngx.socket.tcp()
      peer:settimeouts(1000, 1000, 5000)
      local connected, message = peer:connect("127.0.0.1", port)
      if not connected then return nil, message end
      assert(peer:send("GET " .. path .. " HTTP/1.0\r\n\r\n"))
      local line = peer:receive("*l")
      peer:close()
      if not line then error("no answer", 0) end
      return line
    end
    local function guard(policy)
      policy.name = policy.name or "cosocket"
      return neap.wrap(policy, fetch)
    end
  ]]

  it("may wait for a cosocket", function()
    local talks = n:begin(20, COSOCKET_CLIENT .. ([[
      return guard{}(%d, "/status/200?after=0.6")
    ]]):format(s.ports.plain))
    local took = durations({ "/plain" }, 0.4)
    none_has_ended(talks)
    for _, line in ipairs(farm.finish(talks)) do
      assert.equal("HTTP/1.1 200 OK", line)
    end
    is_quick(took)
  end)

  it("fails with what its cosocket says, and opens its breaker", function()
    local kinds = n:run(COSOCKET_CLIENT .. ([[
      local guarded = guard{ name = "opens", retry = false, breaker = { min_calls = 3 } }
      local kinds = {}
      for index = 1, 4 do
        local _, err = guarded(%d, "/")
        kinds[index] = err.kind .. " " .. tostring(err.cause)
      end
      return kinds
    ]]):format(s.ports.refused))
    local refused = "error connection refused"
    assert.same({ refused, refused, refused, "breaker_open nil" }, kinds)
  end)

  it("queues for its bulkhead beside tasks that run", function()
    local told = n:run(COSOCKET_CLIENT .. ([[
      local guarded = guard{ name = "queued", bulkhead = { max_concurrent = 2, max_wait = 5 } }
      local functions = {}
      for index = 1, 6 do
        functions[index] = function() return guarded(%d, "/status/200?after=0.1") end
      end
      return neap.all(functions)
    ]]):format(s.ports.plain))
    for _, result in ipairs(told) do
      assert.same({ true, "HTTP/1.1 200 OK" }, result)
    end
    assert.equal(2, s:ledger().max_in_flight)
  end)
end)
