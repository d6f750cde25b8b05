-- Identical calls in one worker of nginx share the attempts of the first, whatever becomes of it.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, region = true, init = [[
    local retry = { backoff = { kind = "fixed", base = 0.05, jitter = "none" } }
    api = neap.client{ name = "api", base_url = upstream, coalesce = true, breaker = false,
      gate = false, retry = retry, timeout = { read = 30 } }
    falling = neap.client{ name = "falling", base_url = upstream, coalesce = true, breaker = false,
      gate = false, retry = false, fallback = { function(req)
        ngx.sleep(req.tags.seconds)
        return { status = 203 }
      end } }
    watched = neap.client{ name = "watched", base_url = upstream, coalesce = true, breaker = false,
      gate = false, retry = retry }
    watched:on("done", function() end)
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local function wait_for_flights(name, count)
  farm.wait(count .. " calls", function()
    return n:run(("return %s:stats().in_flight"):format(name)) == count
  end)
end

local function count(name)
  local stats = n:run(([[
    local stats = %s:stats()
    return { stats.calls, stats.attempts, stats.coalesced }
  ]]):format(name))
  return { calls = stats[1], attempts = stats[2], coalesced = stats[3] }
end

local function since(before, name)
  local now = count(name)
  return { now.calls - before.calls, now.attempts - before.attempts,
    now.coalesced - before.coalesced }
end

for _, name in ipairs{ "api", "watched" } do
  describe("identical calls of many requests, by " .. name, function()
    local CHUNK = ([[
      local res, err = %s:get("/status/200?gate=all&header=X-A:1")
      return { status = res and res.status, a = res and res.headers["x-a"], kind = err and err.kind,
        reason = res and res.trace[1].reason }
    ]]):format(name)

    it("are one request to the server", function()
      local before = count(name)
      local talks = n:begin(50, CHUNK)
      wait_for_flights(name, 50)
      s:release("all")
      for index, told in ipairs(farm.finish(talks)) do
        assert.same({ status = 200, a = "1", reason = index > 1 and "coalesced" or nil }, told)
      end
      assert.same({ 50, 1, 49 }, since(before, name))
      assert.equal(1, s:ledger().requests)
    end)

    it("outlive the first one's client that hangs up", function()
      local before = count(name)
      local first = n:begin(1, CHUNK)
      assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 1 end))
      local others = n:begin(20, CHUNK)
      wait_for_flights(name, 21)
      first[1]:close()
      wait_for_flights(name, 20)
      assert.is_truthy(s:settle(function(ledger) return ledger.requests == 2 end))
      s:release("all")
      for _, told in ipairs(farm.finish(others)) do
        assert.equal(200, told.status)
      end
      assert.same({ 21, 2, 19 }, since(before, name))
    end)

    it("outlive one after the other", function()
      local talks = n:begin(10, CHUNK)
      wait_for_flights(name, 10)
      for index = 1, 9 do
        talks[index]:close()
        wait_for_flights(name, 10 - index)
      end
      s:release("all")
      assert.equal(200, talks[10]:finish().status)
      talks[10]:close()
    end)

    it("leave nothing behind when all hang up", function()
      local talks = n:begin(30, CHUNK)
      wait_for_flights(name, 30)
      for _, talk in ipairs(talks) do
        talk:close()
      end
      wait_for_flights(name, 0)
      assert.is_truthy(s:settle())
      assert.equal(200, n:run(("return %s:get('/status/200').status"):format(name)))
    end)
  end)
end

describe("a first call in nginx", function()
  it("whose coroutine is killed leaves its answer to the others", function()
    local value = n:run [[
      local statuses, threads = {}, {}
      for index = 1, 3 do
        threads[index] = ngx.thread.spawn(function()
          statuses[index] = api:get("/status/200?after=0.3").status
        end)
      end
      ngx.sleep(0.05)
      ngx.thread.kill(threads[1])
      for index = 2, 3 do ngx.thread.wait(threads[index]) end
      return { statuses[2], statuses[3], statuses[1] }
    ]]
    assert.same({ 200, 200 }, value)
  end)

  it("whose coroutine is killed before its listener is told does not hold up the others", function()
    local value = n:run [[
      local own = neap.client{ name = "killed", base_url = upstream, coalesce = true, gate = false,
        retry = { backoff = { kind = "fixed", base = 0.1, jitter = "none" } } }
      own:on("attempt", function() end)
      local statuses, threads, began = {}, {}, neap.now()
      for index = 1, 3 do
        threads[index] = ngx.thread.spawn(function()
          statuses[index] = own:get("/status/200?after=0.2").status
        end)
      end
      ngx.sleep(0.05)
      ngx.thread.kill(threads[1])
      for index = 2, 3 do ngx.thread.wait(threads[index]) end
      return { statuses[2], statuses[3], neap.now() - began }
    ]]
    assert.same({ 200, 200 }, { value[1], value[2] })
    assert.is_true(value[3] < 3, value[3])
  end)

  it("whose coroutine is killed in its listener does not hold up the others", function()
    local value = n:run [[
      local own = neap.client{ name = "killed within", base_url = upstream, coalesce = true,
        gate = false, retry = { backoff = { kind = "fixed", base = 0.1, jitter = "none" } } }
      local told = 0
      own:on("attempt", function(event)
        told = told + 1
        if told == 1 then ngx.sleep(20) end
      end)
      local statuses, threads, began = {}, {}, neap.now()
      for index = 1, 3 do
        threads[index] = ngx.thread.spawn(function()
          statuses[index] = own:get("/status/503?after=0.2").status
        end)
      end
      ngx.sleep(0.3)
      ngx.thread.kill(threads[1])
      for index = 2, 3 do ngx.thread.wait(threads[index]) end
      return { statuses[2], statuses[3], neap.now() - began }
    ]]
    assert.same({ 503, 503 }, { value[1], value[2] })
    assert.is_true(value[3] < 5, value[3])
  end)

  it("whose time is over is followed by another", function()
    local value = n:run [[
      local results = neap.all{
        function() return api:get("/status/200?after=0.4", { timeout = { total = 0.2 } }) end,
        function() return api:get("/status/200?after=0.4").status end,
        function() return api:get("/status/200?after=0.4").status end,
      }
      return { results[1][3].kind, results[2][2], results[3][2] }
    ]]
    assert.same({ "timeout", 200, 200 }, value)
    assert.equal(2, s:ledger().requests)
  end)

  it("that falls back slowly does not hold up the others", function()
    local value = n:run [[
      local began, seconds = neap.now(), {}
      local function get(index, sleep)
        return function()
          falling:get("/status/503?after=0.1", { tags = { seconds = sleep } })
          seconds[index] = neap.now() - began
        end
      end
      neap.all{ get(1, 2), get(2, 0), get(3, 0) }
      return seconds
    ]]
    assert.is_true(value[1] >= 2)
    assert.is_true(value[2] < 1, value[2])
    assert.is_true(value[3] < 1, value[3])
  end)

  it("asked for from its own listener does not wait for itself", function()
    assert.same({ 200, 200 }, n:run [[
      local own = neap.client{ name = "own", base_url = upstream, coalesce = true }
      local inner
      own:on("attempt", function()
        if inner == nil then
          inner = false
          inner = own:get("/status/200?after=0.1").status
        end
      end)
      local status = own:get("/status/200?after=0.1").status
      return { status, inner }
    ]])
  end)

  it("runs in the background, and one in a request shares it", function()
    assert.same({ 200, 1 }, n:run [[
      local host = require "neap.host"
      local before = api:stats().attempts
      host.background(api._engine, function() api:get("/status/200?after=0.3") end)
      ngx.sleep(0.1)
      return { api:get("/status/200?after=0.3").status, api:stats().attempts - before }
    ]])
  end)
end)
