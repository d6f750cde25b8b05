-- An open breaker costs its callers next to nothing.
local calls = require "spec.support.calls"
local server = require "spec.support.server"

-- Runs in a fresh interpreter, whose collector has nothing but this to do. Prints the median of the
-- seconds that one refusal takes, and what the client counted.
local MEASURE = [[
  local neap = require "neap"
  local policy = { name = "open", base_url = (...), retry = false,
    breaker = { consecutive_failures = 1, open_for = 300 } }
  local call
  if select(2, ...) == "wrap" then
    call = neap.wrap(policy, function() error("never well") end)
  else
    local client = neap.client(policy)
    call = function() return client:get("/status/503") end
  end
  call()
  local seconds, refused = {}, 0
  for index = 1, 1000 do
    local began = neap.now()
    local res, err = call()
    seconds[index] = neap.now() - began
    refused = refused + (res == nil and err.kind == "breaker_open" and 1 or 0)
  end
  table.sort(seconds)
  local stats = neap.stats().open
  print(('{"median": %.9f, "refused": %d, "attempts": %d, "opened": %d}'):format(seconds[500],
    refused, stats.attempts, stats.pool.opened))
]]

-- AddressSanitizer is several times slower by itself.
local MOST = calls.sanitized and 500e-6 or 50e-6

describe("an open breaker", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  -- The median is robust against a machine that is busy for a moment, not against one that is busy
  -- all the time: the best of three.
  local function measure(...)
    local best
    local runs = 0
    for _ = 1, 3 do
      runs = runs + 1
      local figures = calls.child(nil, MEASURE, s.url, ...)
      assert.equal(1000, figures.refused)
      assert.equal(1, figures.attempts)
      if not best or figures.median < best.median then
        best = figures
      end
      if best.median < MOST then
        break
      end
    end
    assert.is_true(best.median < MOST, ("the median is %.1f µs"):format(best.median * 1e6))
    return best, runs
  end

  it("refuses a call in less than 50 µs, and makes no connection", function()
    local best, runs = measure("client")
    assert.equal(1, best.opened)
    assert.equal(runs, s:ledger().requests)
    assert.equal(runs, s:ledger().accepted)
  end)

  it("refuses a wrapped function in less than 50 µs", function()
    measure("wrap")
  end)
end)
