-- Shadow mode: a policy with `enforce = false` decides and counts, and admits everybody.
local testing = require "neap.testing"

local function kit_with(policy, entries)
  local kit = testing.new{ seed = 1 }
  policy.name = "api"
  policy.base_url = policy.base_url or "https://api.example/"
  local api = kit:client(policy)
  kit:script(entries)
  return kit, api
end

local FAILING = { { status = 500, ["repeat"] = true } }
local FINE = { { status = 200, ["repeat"] = true } }

local function rejects_of(trace)
  local found = {}
  for _, entry in ipairs(trace) do
    if entry.kind == "reject" then
      found[#found + 1] = entry
    end
  end
  return found
end

describe("a breaker in shadow mode", function()
  local policy
  before_each(function()
    policy = { retry = false, breaker = { min_calls = 2, open_for = 10, enforce = false } }
  end)

  local function call(kit, api, times)
    local last
    kit:run(function()
      for _ = 1, times do
        last = assert(api:get("x"))
      end
    end)
    return last
  end

  it("opens, and admits everybody", function()
    local kit, api = kit_with(policy, FAILING)
    call(kit, api, 5)
    assert.equal("open", api.breaker:state())
    assert.equal(5, #kit.requests)
  end)

  it("counts whom it would have refused", function()
    local kit, api = kit_with(policy, FAILING)
    call(kit, api, 5)
    local stats = api:stats()
    assert.same({ breaker = 3 }, stats.shadow_rejections)
    assert.same({}, stats.rejections)
  end)

  it("says in the trace what it would have done", function()
    local kit, api = kit_with(policy, FAILING)
    local res = call(kit, api, 3)
    local rejects = rejects_of(res.trace)
    assert.equal(1, #rejects)
    assert.equal("breaker_open", rejects[1].reason)
    assert.is_false(rejects[1].enforced)
    assert.equal("attempt", res.trace[2].kind)
  end)

  it("tells listeners with enforced = false", function()
    local kit, api = kit_with(policy, FAILING)
    local told = {}
    api:on("reject", function(event) told[#told + 1] = event.enforced end)
    call(kit, api, 3)
    assert.same({ false }, told)
  end)

  it("closes again by its probes", function()
    local kit, api = kit_with(policy, { { status = 500, times = 2 }, FINE[1] })
    call(kit, api, 2)
    kit:advance(10)
    call(kit, api, 2)
    assert.equal("closed", api.breaker:state())
  end)

  it("keeps nobody from a retry", function()
    policy.retry = { max_attempts = 4, backoff = { base = 0.1, jitter = "none" },
      statuses = { [500] = true } }
    local kit, api = kit_with(policy, { { status = 500, times = 3 }, FINE[1] })
    local res = call(kit, api, 1)
    assert.equal(200, res.status)
    assert.equal(4, res.attempts)
  end)

  it("admits also when it opens while a call waits", function()
    policy.rate_limit = { rate = 1, burst = 1, max_wait = 5 }
    policy.breaker.min_calls = 1
    local kit, api = kit_with(policy, { { status = 500, after = 0.5 }, FINE[1] })
    kit:run(function()
      local neap = require "neap"
      local results = neap.all{
        function() return api:get("a") end,
        function() return api:get("b") end,
      }
      assert.equal(500, results[1][2].status)
      assert.equal(200, results[2][2].status)
    end)
  end)
end)

describe("a rate limit in shadow mode", function()
  it("counts whom it would have refused, and admits at once", function()
    local kit, api = kit_with({ rate_limit = { rate = 1, burst = 2, enforce = false } }, FINE)
    kit:run(function()
      for _ = 1, 5 do
        assert(api:get("x"))
      end
    end)
    assert.equal(0, kit:now())
    assert.same({ rate_limit = 3 }, api:stats().shadow_rejections)
  end)

  it("counts who would have waited", function()
    local policy = { rate_limit = { rate = 1, burst = 2, max_wait = 1, enforce = false } }
    local kit, api = kit_with(policy, FINE)
    kit:run(function()
      for _ = 1, 5 do
        assert(api:get("x"))
      end
    end)
    assert.equal(0, kit:now())
    local stats = api:stats()
    assert.same({ rate_limit = 1 }, stats.shadow_waits)
    assert.same({ rate_limit = 2 }, stats.shadow_rejections)
  end)
end)

describe("a bulkhead in shadow mode", function()
  local function call_side_by_side(bulkhead)
    local kit, api = kit_with({ bulkhead = bulkhead }, { { status = 200, after = 1, times = 4 } })
    kit:run(function()
      local neap = require "neap"
      local calls = {}
      for i = 1, 4 do
        calls[i] = function() return assert(api:get("x")) end
      end
      neap.all(calls)
    end)
    return kit, api
  end

  it("counts whom it would have refused, and admits everybody", function()
    local kit, api = call_side_by_side{ max_concurrent = 1, enforce = false }
    assert.equal(1, kit:now())
    assert.same({ bulkhead = 3 }, api:stats().shadow_rejections)
  end)

  it("counts who would have queued", function()
    local _, api = call_side_by_side{ max_concurrent = 1, max_wait = 9, enforce = false }
    assert.same({ bulkhead = 3 }, api:stats().shadow_waits)
    assert.same({}, api:stats().shadow_rejections)
  end)

  it("has every place free in the end", function()
    local kit, api = call_side_by_side{ max_concurrent = 1, enforce = false }
    kit:script{ { status = 200 } }
    kit:run(function() assert(api:get("x")) end)
    assert.same({ bulkhead = 3 }, api:stats().shadow_rejections)
  end)
end)

describe("shadow mode", function()
  it("is on by false alone", function()
    local policies = {
      breaker = { enforce = 0 },
      rate_limit = { rate = 1, enforce = 0 },
      bulkhead = { max_concurrent = 1, enforce = 0 },
    }
    for key, value in pairs(policies) do
      local kit = testing.new{ seed = 1 }
      local done, message = pcall(kit.client, kit, { name = "x", [key] = value })
      assert.is_false(done)
      assert.truthy(message:find(("policy.%s.enforce: expected a boolean, got 0"):format(key), 1,
        true), message)
    end
  end)

  it("is exposed for Prometheus from the start", function()
    local kit, api = kit_with({ breaker = { enforce = false } }, FINE)
    kit:run(function() assert(api:get("x")) end)
    local text = require("neap.survey").exposition{ api }
    assert.truthy(text:find('neap_shadow_rejections_total{client="api",by="breaker"} 0', 1, true),
      text)
  end)

  it("holds for a wrapped function too", function()
    local neap = require "neap"
    local kit = testing.new{ seed = 1 }
    kit:run(function()
      local fail = neap.wrap({
        name = "f", retry = false, breaker = { min_calls = 1, enforce = false },
      }, function() return nil, "no" end)
      for _ = 1, 3 do
        local _, err = fail()
        assert.equal("error", err.kind)
      end
    end)
  end)
end)
