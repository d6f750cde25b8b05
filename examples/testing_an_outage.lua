--- How to test what your program does while an API is down for an hour. The testing kit runs the
--- real pipeline on a virtual clock: the hour takes no time, and the same seed gives the same run.
local testing = require "neap.testing"
local neap = require "neap"

-- The code under test: a price, or the list price while the API is away.
local POLICY = {
  name = "prices",
  base_url = "https://prices.example",
  fallback = { { default = { status = 200, body = "9.99" } } },
}

local function price(prices)
  local res = assert(prices:get("/price"))
  return res.body, res.degraded, res.elapsed
end

-- A customer every ten seconds for an hour in which the API answers 503, and 200 ever after.
local function an_hour_of_outage(each_answer)
  local kit = testing.new{ seed = 1 }
  local prices = kit:client(POLICY)
  kit:script{ { ["repeat"] = true, answer = function()
    return kit:now() < 3600 and { status = 503 } or { status = 200, body = "7.49" }
  end } }
  kit:run(function()
    while neap.now() < 3600 do
      each_answer(price(prices))
      neap.sleep(10)
    end
  end)
  return kit, prices
end

-- `describe` and `it` are busted's: run this file by busted, or as a program of its own.
local describe = describe or function(name, body) print(name) body() end -- luacheck: ignore 113
local it = it or function(name, body) body() print("  ok: " .. name) end -- luacheck: ignore 113

describe("prices, when the API is down for an hour", function()
  it("always come, and nobody waits for six seconds", function()
    an_hour_of_outage(function(body, degraded, elapsed)
      assert(body == "9.99" and degraded and elapsed < 6)
    end)
  end)

  it("leave the API in peace: the breaker lets through less than half of the attempts", function()
    local customers = 0
    local kit = an_hour_of_outage(function() customers = customers + 1 end)
    print(("  %d customers, %d requests instead of %d"):format(customers, #kit.requests,
      customers * 3))
    assert(#kit.requests < customers * 3 / 2)
  end)

  it("are real again half a minute after it", function()
    local kit, prices = an_hour_of_outage(function() end)
    kit:advance(30)
    assert(kit:run(price, prices) == "7.49")
  end)
end)
