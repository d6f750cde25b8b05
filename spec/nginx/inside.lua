-- Real calls from within a timer of nginx. `make test-in-nginx` runs this file there, beside specs
-- that are not about nginx.
local neap = require "neap"
local calls = require "spec.support.calls"
local server = require "spec.support.server"

local s

setup(function()
  assert(ngx and ngx.get_phase() == "timer", "this file is for nginx: make test-in-nginx")
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  s:reset()
end)

-- How often another coroutine came round while fn ran, once in 10 ms, and what fn returned.
local function rounds_beside(fn)
  local rounds = 0
  local other = ngx.thread.spawn(function()
    while true do
      ngx.sleep(0.01)
      rounds = rounds + 1
    end
  end)
  local res, err = fn()
  ngx.thread.kill(other)
  return rounds, res, err
end

describe("a call in a timer of nginx", function()
  it("lets the worker go on while it waits", function()
    local c = calls.client { base_url = s.url }
    local rounds, res, err = rounds_beside(function()
      return c:get("/slow?headers=0.3")
    end)
    assert.equal(200, calls.answered(res, err).status)
    assert.is_true(rounds >= 10, rounds .. " rounds")
  end)

  it("has the whole of a long answer", function()
    local c = calls.client { base_url = s.url }
    assert.equal(3000000, #calls.answered(c:get("/big?bytes=3000000")).body)
  end)

  it("is repeated as soon as its backoff says", function()
    local c = calls.client { base_url = s.refused, retry = { max_attempts = 5 } }
    local seconds = calls.timed(function()
      assert.equal(5, calls.failed_as("connect", c:get("/")).attempts)
    end)
    assert.is_true(seconds < 0.25, seconds .. " s") -- four times 5 ms
  end)

  it("is repeated in time beside calls that wait for long", function()
    local slow, flaky = calls.client { base_url = s.url }, calls.client { base_url = s.url }
    local path = s:script("flaky", { "/status/503 x2", "/status/200" })
    local other = ngx.thread.spawn(function()
      slow:get("/slow?headers=2")
    end)
    local seconds = calls.timed(function()
      assert.equal(3, calls.answered(flaky:get(path)).attempts)
    end)
    ngx.thread.kill(other)
    assert.is_true(seconds < 0.25, seconds .. " s")
  end)

  it("ends when its time is over", function()
    local c = calls.client { base_url = s.url, timeout = { read = 0.1 }, retry = false }
    local seconds = calls.timed(function()
      assert.equal("read", calls.failed_as("timeout", c:get("/slow?headers=5")).phase)
    end)
    assert.is_true(seconds >= 0.1 and seconds < 0.35, seconds .. " s")
  end)

  it("is refused where the breaker is open", function()
    local c = calls.client { base_url = s.url, retry = false,
      breaker = { consecutive_failures = 2 } }
    for _ = 1, 2 do
      calls.answered(c:get("/status/503"))
    end
    calls.failed_as("breaker_open", c:get("/status/200"))
    assert.equal(2, s:ledger().requests)
  end)

  it("falls back to a service", function()
    local other = calls.client { base_url = s.url }
    local c = calls.client { base_url = s.refused, retry = false,
      fallback = { { service = other, request = function() return { path = "/status/200" } end } } }
    assert.equal("service", calls.answered(c:get("/")).source)
  end)

  it("cannot wait inside a C function of Lua, and leaves nothing behind", function()
    local c = calls.client { base_url = s.url }
    local res, err
    string.gsub("{x}", "{%w}", function()
      res, err = c:get("/status/200")
    end)
    assert.is_nil(res)
    assert.equal("phase", err.kind)
    collectgarbage()
    collectgarbage()
    assert.equal(0, c:stats().in_flight)
    assert.equal(200, calls.answered(c:get("/status/200")).status)
  end)
end)

describe("in a timer of nginx", function()
  it("neap.all makes its calls side by side", function()
    local c = calls.client { base_url = s.url }
    local functions = {}
    for index = 1, 20 do
      functions[index] = function()
        return c:get("/slow?headers=0.2")
      end
    end
    local seconds = calls.timed(function()
      for _, result in ipairs(neap.all(functions)) do
        assert.is_true(result[1], tostring(result[2]))
        assert.equal(200, calls.answered(result[2], result[3]).status)
      end
    end)
    assert.is_true(seconds < 1, seconds .. " s")
  end)

  it("neap.sleep lets the worker go on", function()
    local rounds = rounds_beside(function()
      neap.sleep(0.3)
    end)
    assert.is_true(rounds >= 10, rounds .. " rounds")
  end)

  it("a guarded function may wait by means of nginx", function()
    local tries = 0
    local guarded = neap.wrap({ name = "w", retry = { backoff = { base = 0.01 } } }, function()
      tries = tries + 1
      ngx.sleep(0.01)
      return tries == 3 or nil, "not yet"
    end)
    assert.is_true(guarded())
    assert.equal(3, tries)
  end)

  it("a testing kit's hour takes no time", function()
    local kit = require("neap.testing").new { seed = 1 }
    local c = kit:client { name = "api", base_url = "https://api.example/" }
    kit:script { { status = 200, after = 1, ["repeat"] = true } }
    local seconds = calls.timed(function()
      kit:run(function()
        neap.sleep(3600)
        assert.equal(200, c:get("x").status)
      end)
    end)
    assert.equal(3601, kit:now())
    assert.is_true(seconds < 0.5, seconds .. " s")
  end)
end)
