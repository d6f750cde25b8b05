-- An outbox in nginx: requests put into it, a timer drains it, and no worker is ever blocked.
local farm = require "spec.support.farm"
local server = require "spec.support.server"
local stores = require "spec.support.stores"

local s, n, path, remove

local function start(workers, conf)
  return farm.start{ workers = workers, upstream = s.url, init = ([[
    outbox = require("neap.outbox").new{
      store = assert(require("neap.store.sqlite").new{ path = %q, busy_timeout = 30 }),
      backoff = { base = 0.05, max = 0.1 },
    }
    api = neap.client{ name = "api", base_url = upstream, retry = false, gate = false,
      breaker = false, idempotency = true, fallback = { { queue = outbox } } }
    seen = {}
    function in_word(value, err)
      return value and tostring(value) or err.kind
    end
  ]]):format(path), conf = conf }
end

setup(function()
  s = server.start()
  path, remove = stores.scratch()
  n = start(2, [[
    location = /log {
      log_by_lua_block {
        seen.put = in_word(outbox:put{ method = "POST", path = "/payments" })
        seen.drain = in_word(outbox:drain())
        seen.work = in_word(outbox:work())
        seen.queue = in_word(api:post("/payments"))
      }
      return 200 ok;
    }
  ]])
end)

teardown(function()
  n:stop()
  s:stop()
  remove()
end)

before_each(function()
  s:reset()
end)

describe("an outbox in nginx", function()
  it("may be the first thing that a worker does", function()
    local fresh = start(1)
    finally(function() fresh:stop() end)
    assert.equal(200, fresh:run [[
      local accepts = ngx.thread.spawn(outbox.put, outbox, { method = "POST", path = "/payments" })
      local status = assert(api:get("/status/200")).status
      local _, id = ngx.thread.wait(accepts)
      assert(outbox:drain().delivered == 1 and id)
      return status
    ]])
  end)

  it("accepts in one worker what another one delivers, side by side", function()
    local workers = {}
    for _, talks in ipairs((n:each_worker())) do
      workers[#workers + 1] = talks[1]
    end
    assert.equal(2, #workers)
    workers[1]:run([[
      for i = 1, 10 do
        assert(outbox:put{ method = "POST", path = "/payments?gate=held", body = tostring(i) })
      end
    ]])
    workers[2]:begin("return assert(outbox:drain{ concurrency = 5 }).delivered")
    assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 5 end, 20))
    assert.equal(10, workers[1]:run("return outbox:size()"))
    s:release("held")
    assert.equal(10, workers[2]:finish())
    assert.equal(10, s:settle().payments)
    assert.equal(0, workers[1]:run("return outbox:size()"))
  end)

  it("takes what a call could not deliver, which a timer delivers", function()
    local down = s:script("down", { "/status/503", "/status/503", "/payments *" })
    assert.same({ 202, "queue" }, n:run(([[
      local res = assert(api:post(%q))
      return { res.status, res.source }
    ]]):format(down)))
    n:run [[
      assert(ngx.timer.at(0, function()
        outbox:work{ interval = 0.05, stop = function() return outbox:size() == 0 end }
      end))
    ]]
    assert.is_truthy(s:settle(function(ledger) return ledger.payments == 1 end, 20))
  end)

  it("says where it cannot wait", function()
    n:talk():get("/log")
    local seen
    for _, talks in ipairs((n:each_worker())) do
      local one = talks[1]:run("return seen")
      seen = one.put and one or seen
    end
    assert.same({ put = "phase", drain = "phase", work = "phase", queue = "phase" }, seen)
  end)
end)
