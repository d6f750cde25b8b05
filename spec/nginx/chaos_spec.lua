-- Chaos in nginx: a delay blocks no worker, and the kill switch is that of all workers.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, workers = 2, region = true, init = [[
    local function client_with(name, chaos)
      return neap.client{ name = name, base_url = upstream, retry = false, breaker = false,
        chaos = chaos }
    end
    late = client_with("late", { rate = 1, latency = 0.1 })
    failing = client_with("failing", { rate = 1, status = 502 })
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function() s:reset() end)

local function status_in_each_worker()
  local statuses = {}
  for _, talks in ipairs((n:each_worker())) do
    statuses[#statuses + 1] = talks[1]:run "return assert(failing:get('/status/200')).status"
  end
  return statuses
end

describe("chaos in nginx", function()
  it("delays many requests side by side", function()
    local took = n:run [[
      local began, calls = ngx.now(), {}
      for i = 1, 20 do
        calls[i] = ngx.thread.spawn(function() return assert(late:get("/status/200")) end)
      end
      for i = 1, 20 do assert(ngx.thread.wait(calls[i])) end
      ngx.update_time()
      return ngx.now() - began
    ]]
    assert.is_true(took >= 0.09 and took < 1, took)
    assert.equal(20, #s:log())
  end)

  it("is switched off and on for all workers by one of them", function()
    assert.same({ 502, 502 }, status_in_each_worker())
    n:run "failing:chaos(false)"
    assert.same({ 200, 200 }, status_in_each_worker())
    n:run "failing:chaos(true)"
    assert.same({ 502, 502 }, status_in_each_worker())
  end)
end)
