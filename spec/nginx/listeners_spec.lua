-- In nginx too a listener, or notify, that raises, blocks or yields never harms a call.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local INIT = [[
  local BAD = {
    raises = function() error("boom") end,
    ["raises nil"] = function() error(nil) end,
    blocks = function()
      local until_clock = os.clock() + 0.02
      while os.clock() < until_clock do math.sqrt(2) end
    end,
    ["yields by itself"] = function() for _ = 1, 10 do coroutine.yield() end end,
    ["sleeps by neap"] = function() neap.sleep(0.02) end,
    ["sleeps by nginx"] = function() ngx.sleep(0.02) end,
    ["waits for a thread"] = function()
      ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.01) end))
    end,
    calls = function() calm:get("/status/200") end,
    ["yields and raises"] = function() ngx.sleep(0.01) coroutine.yield() error("boom") end,
  }
  calm = neap.client{ name = "calm", base_url = upstream }
  notified, clients = {}, {}
  for name, bad in pairs(BAD) do
    local client = neap.client{ name = name, base_url = upstream, gate = false,
      trace = name ~= "calls" and bad or nil,
      retry = { max_attempts = 2, backoff = { base = 0.001 }, budget = false },
      breaker = { window = { seconds = 60 }, min_calls = 10000 },
      alerts = { min_calls = 1, window = 1, error_rate = 0.01, notify = function(alert)
        notified[name] = (notified[name] or 0) + 1
        bad(alert)
      end } }
    for _, event in ipairs{ "attempt", "retry", "reject", "breaker", "fallback", "done",
      "alert" } do
      client:on(event, bad)
    end
    clients[name] = client
  end
]]

local NAMES = { "raises", "raises nil", "blocks", "yields by itself", "sleeps by neap",
  "sleeps by nginx", "waits for a thread", "calls", "yields and raises" }

local RAISING = { raises = true, ["raises nil"] = true, ["yields and raises"] = true }

local s, n

setup(function()
  s = server.start()
  n = farm.start{ workers = 1, upstream = s.url, init = INIT }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

describe("in nginx a listener, a trace and notify, of which each", function()
  for _, name in ipairs(NAMES) do
    it(name .. ", harm no call", function()
      local talks = {}
      for index = 1, 5 do
        talks[index] = n:talk()
        talks[index]:begin(([[
          local bad = told(clients[%q]:get("/status/503"))
          local good = told(clients[%q]:get("/status/200"))
          return { bad.status, bad.attempts, good.status, good.attempts }
        ]]):format(name, name))
      end
      local calm = n:talk()
      for _ = 1, 5 do -- beside them
        assert.equal(200, calm:run 'return calm:get("/status/200").status')
        assert.equal(200, (calm:get("/plain")))
      end
      for _, talk in ipairs(talks) do
        assert.same({ 503, 2, 200, 1 }, (talk:finish()))
        talk:close()
      end
      local stats = calm:run(("return clients[%q]:stats()"):format(name))
      calm:close()
      assert.same({ 10, 15, 5, 0, 0 }, { stats.calls, stats.attempts, stats.ok, stats.in_flight,
        stats.abandoned })
      -- three events of a call that is repeated, one of each attempt and end, one of each trace
      local told = 5 * (2 + 1 + 1) + 5 * (1 + 1) + 15
      if RAISING[name] then
        assert.is_true(stats.listener_errors >= told, stats.listener_errors)
      else
        assert.equal(0, stats.listener_errors)
      end
    end)
  end

  it("told all of the alerts that began", function()
    local talk = n:talk()
    farm.wait("alerts of all", function()
      for _, name in ipairs(NAMES) do
        talk:run(("clients[%q]:get('/status/503') return true"):format(name))
      end
      local count = 0
      for _, times in pairs((talk:run "return notified")) do
        count = count + (times > 0 and 1 or 0)
      end
      return count == #NAMES
    end, 10)
    talk:close()
  end)
end)
