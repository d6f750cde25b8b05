-- A listener, or notify, that raises, blocks or yields never harms a call. In nginx:
-- spec/nginx/listeners_spec.lua.
local calls = require "spec.support.calls"
local kit = require "spec.support.kit"
local neap = require "neap"
local server = require "spec.support.server"

local EVENTS = { "attempt", "retry", "reject", "breaker", "fallback", "done", "alert" }

-- Blocks in plain Lua, without any means of neap.
local function block()
  local until_clock = os.clock() + 0.02
  while os.clock() < until_clock do
    math.sqrt(2)
  end
end

local BAD = {
  { "raises", function() error("boom") end, errors = true },
  { "raises nil", function() error(nil) end, errors = true },
  { "raises a table", function() error({}) end, errors = true },
  { "blocks", block },
  { "sleeps by neap", function() neap.sleep(0.02) end },
  { "spoils its event", function(event)
    for key in pairs(event) do
      event[key] = nil
    end
  end },
}

local YIELDS = {
  { "yields by itself", function() coroutine.yield() end },
  { "yields values, again and again", function()
    for index = 1, 20 do
      coroutine.yield(index, "x")
    end
  end },
  { "waits for a task", function() neap.spawn(neap.sleep, 0.01):await() end },
  { "waits, yields and raises", function()
    neap.sleep(0.01)
    coroutine.yield()
    error("boom")
  end, errors = true },
}

local function all_bad()
  local list = {}
  for _, each in ipairs(BAD) do
    list[#list + 1] = each
  end
  for _, each in ipairs(YIELDS) do
    list[#list + 1] = each
  end
  return list
end

local function listen(client, fn)
  for _, event in ipairs(EVENTS) do
    client:on(event, fn)
  end
end

describe("in neap.run a listener that", function()
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function() s:reset() end)

  for _, bad in ipairs(all_bad()) do
    it(bad[1] .. " harms no call", function()
      local client = calls.client { base_url = s.url, alerts = { notify = bad[2] },
        breaker = { consecutive_failures = 100 } }
      local calm = calls.client { base_url = s.url }
      listen(client, bad[2])
      local path = s:script("bad", { "/status/503", "/status/200" })
      local others = 0
      local res = neap.run(function()
        local beside = neap.spawn(function()
          for _ = 1, 5 do
            calls.answered(calm:get("/status/200"))
            others = others + 1
          end
        end)
        local answered = calls.answered(client:get(path))
        beside:await()
        return answered
      end)
      assert.equal(200, res.status)
      assert.same({ "attempt 503", "wait backoff", "attempt 200" }, kit.words(res.trace))
      assert.equal(5, others)
      local stats = client:stats()
      assert.same({ 1, 2, 0, 0 }, { stats.ok, stats.attempts, stats.in_flight, stats.abandoned })
      assert.equal(bad.errors and 4 or 0, stats.listener_errors)
    end)
  end

  it("waits for another call holds up none but its own", function()
    local client = calls.client { base_url = s.url, timeout = { read = 5 } }
    local calm = calls.client { base_url = s.url, timeout = { read = 5 } }
    local begun, ended
    client:on("attempt", function()
      begun = true
      calls.answered(calm:get("/status/200?gate=listener"))
      ended = true
    end)
    neap.run(function()
      local task = neap.spawn(client.get, client, "/status/200")
      calls.wait_for(function() return begun end)
      for _ = 1, 5 do
        calls.answered(calm:get("/status/200"))
      end
      assert.is_nil(ended)
      s:release("listener")
      assert.equal(200, (task:await()).status)
      calls.wait_for(function() return ended end)
    end)
  end)
end)

describe("in plain Lua a listener that", function()
  for _, bad in ipairs(BAD) do
    it(bad[1] .. " harms no call", function()
      local s = server.start()
      local client = calls.client { base_url = s.url }
      listen(client, bad[2])
      local res = calls.answered(client:get(s:script("bad", { "/status/503", "/status/200" })))
      assert.equal(200, res.status)
      assert.equal(2, res.attempts)
      assert.equal(bad.errors and 4 or 0, client:stats().listener_errors)
      s:stop()
    end)
  end
end)

describe("in a kit a listener that", function()
  for _, bad in ipairs(all_bad()) do
    it(bad[1] .. " harms no call, with fallback, breaker and alerts", function()
      local told = 0
      local t, client = kit.client { retry = { backoff = kit.waits_of(1) },
        breaker = { consecutive_failures = 2 },
        fallback = { { default = { status = 200, body = "later" } } },
        alerts = { min_calls = 1, notify = function(alert)
          told = told + 1
          bad[2](alert)
        end } }
      listen(client, bad[2])
      t:script { { status = 503, ["repeat"] = true } }
      local bodies = t:run(function()
        local got = {}
        for index = 1, 3 do
          got[index] = client:get("/").body
        end
        neap.sleep(130)
        return got
      end)
      assert.same({ "later", "later", "later" }, bodies)
      assert.equal(1, told) -- the breaker is open
      local stats = client:stats()
      assert.same({ 3, 2, 0 }, { stats.ok, stats.attempts, stats.in_flight })
      assert.equal(2, stats.rejections.breaker_open)
      assert.equal(bad.errors == true, stats.listener_errors > 0)
    end)
  end
end)
