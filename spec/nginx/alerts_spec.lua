-- Alerts in nginx: told by a timer where no more calls come, and by one worker for all.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n
local WORKERS = 3

setup(function()
  s = server.start()
  n = farm.start{ workers = WORKERS, upstream = s.url, region = true, init = [[
    local hook = neap.client{ name = "hook", base_url = upstream, retry = false }
    local function make(name, alerts, breaker)
      alerts.notify = function(alert)
        local status = hook:post("/status/204").status
        ngx.log(ngx.NOTICE, ("alert: %s %s %s %d"):format(name, alert.alert, alert.state, status))
      end
      return neap.client{ name = name, base_url = upstream, retry = false, gate = false,
        breaker = breaker, alerts = alerts }
    end
    windows = make("windows", { window = 0.4, min_calls = 2 }, false)
    breaking = make("breaking", {}, { consecutive_failures = 3, open_for = 0.2,
      half_open = { permits = 1 } })
    slow = make("slow", { window = 3600, min_calls = 1 }, false)
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

-- How often the log says so.
local function count(words)
  local _, found = n:error_log():gsub("alert: " .. words, "")
  return found
end

local function wait_for(words)
  farm.wait(words, function() return count(words) > 0 end)
end

describe("an alert of a window", function()
  it("is told once for all workers, and ends without another call", function()
    for _, talks in ipairs((n:each_worker())) do
      for _ = 1, 3 do
        assert.equal(503, talks[1]:run "return windows:get('/status/503').status")
      end
    end
    wait_for("windows error_rate firing 204")
    wait_for("windows error_rate resolved 204")
    assert.equal(count("windows error_rate firing"), count("windows error_rate resolved"))
  end)
end)

describe("the alert of a breaker", function()
  it("is told by the workers that open and close it", function()
    local talk = n:talk()
    for _ = 1, 3 do
      talk:run "breaking:get('/status/503')"
    end
    wait_for("breaking breaker_open firing 204")
    for _, talks in ipairs((n:each_worker())) do
      assert.same({ "breaker_open" },
        talks[1]:run "return { breaking:stats().alerts[1].alert }")
    end
    talk:run "neap.sleep(0.3) breaking:get('/status/200')"
    wait_for("breaking breaker_open resolved 204")
    assert.equal(1, count("breaking breaker_open firing"))
    assert.equal(1, count("breaking breaker_open resolved"))
    talk:close()
  end)
end)

describe("a worker that waits for the end of a window", function()
  it("leaves at once, and without a complaint", function()
    local talk = n:talk()
    talk:run "slow:get('/status/503')"
    talk:close()
    local before = n:workers()
    n:signal("HUP")
    farm.wait("the workers to leave", function()
      local alive = {}
      for _, pid in ipairs(n:workers()) do
        alive[pid] = true
      end
      for _, pid in ipairs(before) do
        if alive[pid] then return false end
      end
      return next(alive) ~= nil
    end)
    assert.is_nil(n:error_log():find("%[error%]"))
    assert.is_nil(n:error_log():find("%[alert%]"))
    assert.equal(0, count("slow"))
  end)
end)
