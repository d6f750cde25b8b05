-- client:update in nginx: state that the workers share stays, and each worker changes for itself.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, workers = 2, region = true, init = [[
    function policy_with(total, breaker)
      return { name = "api", base_url = upstream, retry = false, timeout = { total = total },
        breaker = breaker or { min_calls = 2 } }
    end
    api = neap.client(policy_with(10))
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

local function in_each_worker(chunk)
  local results = {}
  for _, talks in ipairs((n:each_worker())) do
    results[#results + 1] = talks[1]:run(chunk)
  end
  return results
end

describe("client:update in nginx", function()
  it("lets a request under way end, and keeps its connections", function()
    assert.same({ 200, 200, 1 }, n:run [[
      api:update(policy_with(11))
      local first = ngx.thread.spawn(function()
        return assert(api:get("/status/200?after=0.2")).status
      end)
      ngx.sleep(0.05)
      api:update(policy_with(12))
      collectgarbage() collectgarbage()
      local _, status = ngx.thread.wait(first)
      return { status, assert(api:get("/status/200")).status, api:stats().pool.opened }
    ]])
  end)

  it("keeps a breaker that all workers share, whichever of them has changed", function()
    n:run "for _ = 1, 2 do api:get('/status/500') end"
    assert.same({ "open", "open" }, in_each_worker "return api.breaker:state()")
    n:run "api:update(policy_with(13))"
    assert.same({ "open", "open" }, in_each_worker "return api.breaker:state()")
    in_each_worker "api:update(policy_with(14))"
    assert.same({ "open", "open" }, in_each_worker "return api.breaker:state()")
  end)

  it("counts on for all workers", function()
    local before = n:run "return api:stats().calls"
    in_each_worker "api:update(policy_with(15)) api:get('/status/200')"
    assert.equal(before + 2, n:run "return api:stats().calls")
  end)
end)
