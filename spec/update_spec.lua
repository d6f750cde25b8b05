-- client:update: the policy changes, state goes on where it fits, calls under way end as they
-- began.
local neap = require "neap"
local socket = require "socket"
local testing = require "neap.testing"

local FINE = { { status = 200, body = "real", ["repeat"] = true } }
local FAILING = { { status = 500, ["repeat"] = true } }

local function policy_with(given)
  local policy = { name = "api", base_url = "https://api.example/", retry = false }
  for key, value in pairs(given or {}) do
    policy[key] = value
  end
  return policy
end

local kit, api

local function begin(policy, entries)
  kit = testing.new{ seed = 1 }
  api = kit:client(policy_with(policy))
  kit:script(entries or FINE)
end

local function call(times)
  local res, err
  kit:run(function()
    for _ = 1, times or 1 do
      res, err = api:get("x")
    end
  end)
  return res, err
end

describe("client:update", function()
  it("has the calls that follow made under the new policy", function()
    begin({ headers = { ["X-A"] = "1" } })
    call()
    api:update(policy_with{ headers = { ["X-A"] = "2" } })
    call()
    assert.equal("1", kit.requests[1].headers["x-a"])
    assert.equal("2", kit.requests[2].headers["x-a"])
  end)

  it("turns parts on and off", function()
    begin()
    api:update(policy_with{ rate_limit = { rate = 1 }, breaker = false })
    assert.is_nil(api.breaker)
    local _, err = call(2)
    assert.equal("rate_limited", err.kind)
    api:update(policy_with())
    assert.equal(200, call(2).status)
    assert.equal("closed", api.breaker:state())
  end)

  it("lets a call under way end under the policy that it began with", function()
    local asked = {}
    begin({
      retry = { max_attempts = 2, backoff = { base = 5, jitter = "none" },
        when = function() asked[#asked + 1] = "old" end },
      fallback = { { default = { status = 299, body = "old" } } },
    }, { { status = 503, after = 1, ["repeat"] = true } })
    local res, other
    kit:run(function()
      local task = neap.spawn(function() res = assert(api:get("x")) end)
      neap.sleep(0.5)
      api:update(policy_with())
      other = assert(api:get("other"))
      task:await()
    end)
    assert.equal("old", res.body)
    assert.same({ "old", "old" }, asked)
    assert.equal(503, other.status)
    assert.equal(3, #kit.requests)
  end)

  it("goes on counting", function()
    begin()
    call(3)
    api:update(policy_with{ timeout = { total = 5 } })
    call(2)
    assert.equal(5, api:stats().calls)
    assert.equal(5, api:stats().latency.count)
  end)

  it("keeps listeners", function()
    begin()
    local told = 0
    api:on("done", function() told = told + 1 end)
    call()
    api:update(policy_with())
    call()
    assert.equal(2, told)
  end)

  it("is what neap.client takes: a wrong policy raises at the caller's line", function()
    begin()
    local done, message = pcall(function()
      api:update(policy_with{ retry = { max_attempts = 0 } })
    end)
    assert.is_false(done)
    assert.truthy(message:find("^spec/update_spec.lua:%d+: policy.retry.max_attempts: expected"),
      message)
  end)

  for what, given in pairs{
    ["a wrong key"] = { nonsense = 1 },
    ["a fallback that is none"] = { fallback = { { service = {} } } },
    ["a store that is none"] = { cache = { store = {} } },
    ["another name"] = { name = "other" },
  } do
    it("changes nothing where the policy has " .. what, function()
      begin({ breaker = { min_calls = 2 }, headers = { ["X-A"] = "1" } }, FAILING)
      call(1)
      assert.is_false(pcall(api.update, api, policy_with(given)))
      collectgarbage()
      collectgarbage()
      call(1)
      assert.equal("1", kit.requests[2].headers["x-a"])
      assert.equal("open", api.breaker:state())
      assert.equal(2, api:stats().calls)
    end)
  end

  it("refuses what is no policy", function()
    begin()
    for _, wrong in ipairs{ false, 1, "x" } do
      local done, message = pcall(api.update, api, wrong)
      assert.is_false(done)
      assert.truthy(message:find("policy: expected a table", 1, true), message)
    end
    assert.is_false(pcall(api.update, {}, policy_with()))
  end)

  it("leaves a closed client closed", function()
    begin()
    api:close()
    api:update(policy_with())
    local _, err = call()
    assert.equal("cancelled", err.kind)
  end)

  it("closes calls of former policies with the client", function()
    begin({}, { { status = 200, after = 10, times = 3 } })
    local errors = {}
    kit:run(function()
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = neap.spawn(function()
          local _, err = api:get("x")
          errors[i] = err.kind
        end)
        neap.sleep(0.1)
        api:update(policy_with{ timeout = { total = 20 + i } })
      end
      api:close()
      for _, task in ipairs(tasks) do task:await() end
    end)
    assert.same({ "cancelled", "cancelled", "cancelled" }, errors)
  end)

  it("does so a thousand times in a row, with a call under way, in steady memory", function()
    begin({}, { { status = 200, after = 1, ["repeat"] = true } })
    local function round()
      kit:run(function()
        local task = neap.spawn(function() return assert(api:get("x")) end)
        for _ = 1, 100 do
          api:update(policy_with{ rate_limit = { rate = 1000 } })
        end
        task:await()
      end)
      for _ = 1, #kit.requests do table.remove(kit.requests) end
      collectgarbage()
      collectgarbage()
    end
    round()
    local before = collectgarbage("count")
    for _ = 1, 10 do round() end
    assert.is_true(collectgarbage("count") - before < 100, collectgarbage("count") - before)
  end)
end)

describe("client:update goes on with", function()
  it("the window of a breaker of the same size", function()
    begin({ breaker = { min_calls = 4 } }, FAILING)
    call(3)
    api:update(policy_with{ breaker = { min_calls = 4, open_for = 7 } })
    local before = api.breaker:snapshot()
    assert.equal(3, before.failures)
    call(1)
    assert.equal("open", api.breaker:state())
    assert.equal(7, api.breaker:snapshot().retry_after)
  end)

  it("what a window of another size holds of it", function()
    begin({ breaker = { window = { count = 100 }, min_calls = 4 } }, FAILING)
    call(3)
    api:update(policy_with{ breaker = { window = { count = 10 }, min_calls = 4 } })
    assert.equal(3, api.breaker:snapshot().failures)
    call(1)
    assert.equal("open", api.breaker:state())
  end)

  it("an open breaker, whatever its window is", function()
    begin({ breaker = { min_calls = 2 } }, FAILING)
    call(2)
    api:update(policy_with{ breaker = { window = { seconds = 10 }, min_calls = 2 } })
    local _, err = call(1)
    assert.equal("breaker_open", err.kind)
  end)

  it("breakers of keys", function()
    local key = function(req) return req.path end
    begin({ breaker = { min_calls = 2, key = key } }, FAILING)
    call(2)
    api:update(policy_with{ breaker = { min_calls = 2, key = key, max_keys = 5 } })
    assert.equal("open", api:breaker_for("x"):state())
    local _, err = call(1)
    assert.equal("breaker_open", err.kind)
  end)

  it("the rate limit, and reckons by the new rate", function()
    begin({ rate_limit = { rate = 10, burst = 1 } })
    call(1)
    api:update(policy_with{ rate_limit = { rate = 2, burst = 1 } })
    local _, err = call(1)
    assert.equal("rate_limited", err.kind)
    kit:advance(0.5)
    assert.equal(200, call(1).status)
  end)

  it("the places of the bulkhead, and those who wait for them", function()
    local bulkhead = { max_concurrent = 1, max_wait = 10 }
    begin({ bulkhead = bulkhead }, { { status = 200, after = 1, ["repeat"] = true } })
    local ended = {}
    kit:run(function()
      local function get(name)
        return function()
          assert(api:get(name))
          ended[#ended + 1] = name .. " " .. kit:now()
        end
      end
      local first = neap.spawn(get "first")
      local second = neap.spawn(get "second")
      neap.sleep(0.5)
      api:update(policy_with{ bulkhead = bulkhead, timeout = { total = 60 } })
      local third = neap.spawn(get "third")
      first:await() second:await() third:await()
    end)
    assert.same({ "first 1", "second 2", "third 3" }, (function()
      for i, text in ipairs(ended) do ended[i] = text:gsub("%.0$", "") end
      return ended
    end)())
  end)

  it("the retry budget", function()
    local function with(ratio)
      return { breaker = false, retry = { max_attempts = 9, backoff = { base = 0, jitter = "none" },
        statuses = { [500] = true }, budget = { ratio = ratio, min_per_second = 0.1 } } }
    end
    begin(with(0), FAILING)
    assert.equal(2, call(1).attempts)
    api:update(policy_with(with(0)))
    assert.equal(1, call(1).attempts)
  end)

  it("stored answers", function()
    begin({ cache = { ttl = 60 } })
    call(1)
    api:update(policy_with{ cache = { ttl = 30 }, timeout = { total = 3 } })
    assert.equal("cache", call(1).source)
    assert.equal(1, #kit.requests)
  end)

  it("alerts, each told once", function()
    local told = {}
    local function with(total)
      return { timeout = { total = total }, breaker = { min_calls = 2 },
        alerts = { notify = function(alert)
          told[#told + 1] = alert.alert .. " " .. alert.state
        end } }
    end
    begin(with(10), FAILING)
    call(2)
    api:update(policy_with(with(20)))
    call(2)
    assert.same({ "breaker_open firing" }, told)
    kit:script(FINE)
    kit:advance(40)
    call(10)
    assert.same({ "breaker_open firing", "breaker_open resolved" }, told)
  end)

  it("alerts, whose window ends though no call follows", function()
    local told = {}
    local policy = policy_with{ breaker = false, alerts = { window = 5, min_calls = 1,
      notify = function(alert) told[#told + 1] = alert.state end } }
    begin(policy, FAILING)
    call()
    api:update(policy)
    kit:advance(11)
    assert.same({ "firing", "resolved" }, told)
  end)

  it("gates, which are the server's", function()
    begin({ gate = { max_wait = 0 } },
      { { status = 503, headers = { ["Retry-After"] = "9" } }, FINE[1] })
    call(1)
    api:update(policy_with{ gate = { max_wait = 0 }, timeout = { total = 5 } })
    local _, err = call(1)
    assert.equal("gate", err.kind)
  end)
end)

describe("client:update on a real network", function()
  local server = require "spec.support.server"
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function() s:reset() end)

  local function real(given)
    local policy = { name = "real update", base_url = s.url, retry = false }
    for key, value in pairs(given or {}) do policy[key] = value end
    return policy
  end

  it("keeps connections of the same settings", function()
    local client = neap.client(real())
    assert(client:get("status/200"))
    client:update(real{ timeout = { total = 5 } })
    collectgarbage()
    collectgarbage()
    assert(client:get("status/200"))
    assert.same({ opened = 1, reused = 1 }, client:stats().pool)
    client:close()
  end)

  it("may be called by a listener while alerts are asked for", function()
    for _, has_alerts in ipairs{ true, false } do
      local alerts = { window = 0.1, min_calls = 1 }
      local client = neap.client(real{ breaker = false, alerts = alerts })
      local told = 0
      client:on("alert", function()
        told = told + 1
        client:update(real{ breaker = false, alerts = has_alerts and alerts or nil })
      end)
      client:get("status/503")
      socket.sleep(0.12)
      assert.is_table(client:stats().alerts)
      assert.is_true(told >= 1)
      client:close()
    end
  end)

  it("opens others for other settings", function()
    local client = neap.client(real())
    assert(client:get("status/200"))
    client:update(real{ pool = { per_host = 3 } })
    collectgarbage()
    collectgarbage()
    assert(client:get("status/200"))
    assert.equal(2, client:stats().pool.opened)
    client:close()
  end)

  it("lets a transfer under way end", function()
    local client = neap.client(real())
    neap.run(function()
      local task = neap.spawn(function() return client:get("status/200?after=0.2") end)
      neap.sleep(0.05)
      client:update(real{ pool = { per_host = 3 } })
      collectgarbage()
      collectgarbage()
      assert.equal(200, assert(task:await()).status)
    end)
    client:close()
  end)
end)
