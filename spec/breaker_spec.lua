local neap = require "neap"
local policy = require "spec.support.policy"

local misuse, refused = policy.misuse, policy.refused

describe("neap.breaker", function()
  local env, hand

  before_each(function()
    env, hand = policy.by_hand()
  end)

  -- Calls one after the other: "S" a success, "F" a failure, "I" ignored.
  local verdicts = { S = "success", F = "failure", I = "ignore" }

  local function calls(b, results, elapsed)
    for result in results:gmatch(".") do
      b:record(assert(b:acquire()), verdicts[result], elapsed)
    end
  end

  -- Open from now on, for `open_for` seconds.
  local function opened(options)
    options.window = { count = 10 }
    options.min_calls = options.min_calls or 1
    local b = neap.breaker(options, env)
    calls(b, ("F"):rep(options.min_calls))
    assert.equal("open", b:state())
    return b
  end

  local function half_opened(options)
    local b = opened(options)
    hand.now = hand.now + 30
    return b, assert(b:acquire())
  end

  describe("closed", function()
    it("begins so, with nothing counted", function()
      local b = neap.breaker({}, env)
      assert.equal("closed", b:state())
      assert.same({
        state = "closed",
        calls = 0,
        failures = 0,
        slow = 0,
        not_permitted = 0,
        opened = 0,
      }, b:snapshot())
    end)

    it("hands out permits that are integers", function()
      local permit = neap.breaker({}, env):acquire()
      assert.equal("number", type(permit))
      assert.equal(math.floor(permit), permit)
      if math.type then
        assert.equal("integer", math.type(permit))
      end
    end)

    it("opens at min_calls results with the failure rate", function()
      local b = neap.breaker({}, env)
      calls(b, "SSSSSFFFF")
      assert.equal("closed", b:state())
      assert.is_nil(b:snapshot().failure_rate)
      calls(b, "F")
      assert.equal("open", b:state())
      assert.equal(1, b:snapshot().opened)
    end)

    it("stays closed below the failure rate", function()
      local b = neap.breaker({}, env)
      calls(b, "SSSSSSFFFF")
      assert.equal("closed", b:state())
      assert.equal(0.4, b:snapshot().failure_rate)
      assert.equal(0, b:snapshot().slow_rate)
    end)

    it("evaluates the rate after a success too", function()
      local b = neap.breaker({ min_calls = 4 }, env)
      calls(b, "FFS")
      assert.equal("closed", b:state())
      calls(b, "S")
      assert.equal("open", b:state())
    end)

    it("counts nothing that is ignored", function()
      local b = neap.breaker({ min_calls = 2 }, env)
      calls(b, "IIIIFI")
      assert.equal("closed", b:state())
      assert.equal(1, b:snapshot().calls)
    end)

    it("remembers the last results of a count window", function()
      local b = neap.breaker({ window = { count = 4 }, min_calls = 4, failure_rate = 0.75 }, env)
      calls(b, "FFSSSS")
      assert.equal(4, b:snapshot().calls)
      assert.equal(0, b:snapshot().failures)
      calls(b, "FF")
      assert.equal(0.5, b:snapshot().failure_rate)
      calls(b, "F")
      assert.equal("open", b:state())
    end)

    it("takes min_calls above the count window as the window's size", function()
      local b = neap.breaker({ window = { count = 4 }, min_calls = 50 }, env)
      calls(b, "FFF")
      assert.equal("closed", b:state())
      calls(b, "F")
      assert.equal("open", b:state())
    end)

    it("forgets a result of second s of a time window at s + N", function()
      local b = neap.breaker({ window = { seconds = 10 } }, env)
      hand.now = 100.9
      calls(b, "F")
      hand.now = 109.999
      assert.equal(1, b:snapshot().failures)
      hand.now = 110
      assert.equal(0, b:snapshot().failures)
    end)

    it("never opens on a read", function()
      local b = neap.breaker({ window = { seconds = 10 }, min_calls = 2, failure_rate = 0.6 }, env)
      calls(b, "SF")
      hand.now = 5
      calls(b, "SFF")
      assert.equal("open", b:state())
      b:reset()
      calls(b, "S")
      hand.now = 9
      calls(b, "F")
      hand.now = 15
      assert.equal(1, b:snapshot().failures)
      assert.equal("closed", b:state())
    end)

    it("calls slow what lasts strictly longer", function()
      local b = neap.breaker({ min_calls = 4, slow_call = { duration = 1, rate = 0.5 } }, env)
      calls(b, "SSS", 1)
      assert.equal(0, b:snapshot().slow)
      calls(b, "S", 1.001)
      assert.equal(1, b:snapshot().slow)
      assert.equal(0.25, b:snapshot().slow_rate)
      calls(b, "S", 2)
      assert.equal("closed", b:state())
      calls(b, "S", 2)
      assert.equal("open", b:state())
    end)

    it("takes no or a negative duration as none", function()
      local b = neap.breaker({ slow_call = { duration = 0.5, rate = 1 } }, env)
      calls(b, "S")
      calls(b, "S", -3)
      assert.equal(0, b:snapshot().slow)
      assert.equal(2, b:snapshot().calls)
    end)

    it("opens after consecutive failures, whatever the rate", function()
      local b = neap.breaker({ consecutive_failures = 3 }, env)
      calls(b, "SSSSSSSSSSFFSFF")
      assert.equal("closed", b:state())
      calls(b, "F")
      assert.equal("open", b:state())
    end)

    it("takes a result once the clock has stepped back", function()
      local b = neap.breaker({ window = { seconds = 10 } }, env)
      hand.now = 50
      calls(b, "F")
      hand.now = 20
      calls(b, "F")
      assert.equal(2, b:snapshot().failures)
    end)
  end)

  describe("on a ramp", function()
    local b

    before_each(function()
      local probe
      hand.r = 0
      b, probe = half_opened{ half_open = { permits = 1 }, ramp = { seconds = 10, from = 0.1 } }
      b:record(probe, "success")
      assert.equal("closed", b:state())
    end)

    it("admits a growing share", function()
      hand.r = 0.0999
      assert.truthy(b:acquire())
      hand.r = 0.1
      refused("breaker_open", b:acquire())
      hand.now = hand.now + 5
      hand.r = 0.5499
      assert.truthy(b:acquire())
      hand.r = 0.55
      local err = refused("breaker_open", b:acquire())
      assert.equal(5, err.retry_after)
      assert.matches("share", err.message)
    end)

    it("admits all at its end", function()
      hand.now = hand.now + 10
      hand.r = 0.999999
      assert.truthy(b:acquire())
    end)
  end)

  describe("open", function()
    it("refuses, and says how long", function()
      local b = opened{}
      hand.now = 17.5
      local err = refused("breaker_open", b:acquire())
      assert.equal(12.5, err.retry_after)
      assert.equal("breaker_open: the circuit breaker is open (retry after 12.5 s)", tostring(err))
      assert.equal(12.5, b:snapshot().retry_after)
      assert.equal(1, b:snapshot().not_permitted)
    end)

    it("tells what made it open", function()
      local b = neap.breaker({ min_calls = 4 }, env)
      calls(b, "SFSF")
      assert.equal(4, b:snapshot().calls)
      assert.equal(2, b:snapshot().failures)
      assert.equal(0.5, b:snapshot().failure_rate)
    end)

    it("ends at its end, by the next that asks", function()
      local b = opened{}
      hand.now = 29.999999999
      refused("breaker_open", b:acquire())
      hand.now = 30
      assert.equal("open", b:state())
      assert.equal(0, b:snapshot().retry_after)
      assert.truthy(b:acquire())
      assert.equal("half_open", b:state())
    end)

    it("stays open while the clock steps back", function()
      hand.now = 1000
      local b = opened{}
      hand.now = 10
      refused("breaker_open", b:acquire())
      hand.now = 1030
      assert.truthy(b:acquire())
    end)

    it("lasts longer at each re-opening, up to max, and base after a close", function()
      local b = opened{
        open_for = { base = 10, factor = 3, max = 60 },
        half_open = { permits = 1 },
      }
      for _, wait in ipairs{ 10, 30, 60, 60 } do
        assert.equal(wait, b:snapshot().retry_after)
        hand.now = hand.now + wait
        b:record(assert(b:acquire()), "failure")
      end
      hand.now = hand.now + 60
      b:record(assert(b:acquire()), "success")
      assert.equal("closed", b:state())
      calls(b, "F")
      assert.equal(10, b:snapshot().retry_after)
      assert.equal(6, b:snapshot().opened)
    end)

    it("takes a number for open_for as its base", function()
      assert.equal(7, opened{ open_for = 7 }:snapshot().retry_after)
      assert.equal(600, opened{ open_for = 600 }:snapshot().retry_after)
    end)

    it("spreads its length by plus or minus the jitter", function()
      for r, wait in pairs{ [0] = 24, [0.5] = 30, [0.75] = 33 } do
        hand.r = r
        assert.near(wait, opened{ open_for = { jitter = 0.2 } }:snapshot().retry_after, 1e-9)
      end
    end)

    it("takes no result of the time before", function()
      local b = neap.breaker({ min_calls = 2 }, env)
      local late = b:acquire()
      calls(b, "FF")
      b:record(late, "success")
      assert.equal(2, b:snapshot().calls)
      hand.now = 30
      assert.truthy(b:acquire())
      b:record(late, "failure")
      assert.equal("half_open", b:state())
      assert.equal(0, b:snapshot().calls)
    end)
  end)

  describe("half open", function()
    it("admits its probes and no more", function()
      local b = half_opened{ half_open = { permits = 3 } }
      assert.truthy(b:acquire())
      assert.truthy(b:acquire())
      local err = refused("breaker_open", b:acquire())
      assert.is_nil(err.retry_after)
      assert.matches("half open", err.message)
    end)

    it("closes with an empty window after enough successes", function()
      local b, probe = half_opened{ min_calls = 10, half_open = { permits = 2 } }
      local other = b:acquire()
      b:record(probe, "success")
      assert.equal("half_open", b:state())
      b:record(other, "success")
      assert.equal("closed", b:state())
      assert.equal(0, b:snapshot().calls)
    end)

    it("opens again at the failure rate", function()
      local b, probe = half_opened{ min_calls = 10, half_open = { permits = 2 } }
      local other = b:acquire()
      b:record(probe, "success")
      b:record(other, "failure")
      assert.equal("open", b:state())
    end)

    it("is decided by the first evaluation", function()
      local b, probe = half_opened{ min_calls = 2, half_open = { permits = 4 } }
      local second, third = b:acquire(), b:acquire()
      b:record(probe, "success")
      b:record(second, "success")
      assert.equal("closed", b:state())
      b:record(third, "failure")
      assert.equal(0, b:snapshot().failures)
    end)

    it("opens again for slow probes", function()
      local b, probe = half_opened{
        half_open = { permits = 1 },
        slow_call = { duration = 1, rate = 1 },
      }
      b:record(probe, "success", 1.5)
      assert.equal("open", b:state())
    end)

    it("gets an ignored probe's permit back", function()
      local b, probe = half_opened{ half_open = { permits = 1 } }
      refused("breaker_open", b:acquire())
      b:record(probe, "ignore")
      assert.truthy(b:acquire())
    end)

    it("counts a probe as failed when its lease ends", function()
      local b, probe = half_opened{ half_open = { permits = 1, lease = 60 } }
      hand.now = hand.now + 59.999
      refused("breaker_open", b:acquire())
      assert.equal("half_open", b:state())
      hand.now = hand.now + 0.001
      local err = refused("breaker_open", b:acquire())
      assert.equal("open", b:state())
      assert.near(30, err.retry_after, 1e-9)
      b:record(probe, "success")
      assert.equal("open", b:state())
    end)

    it("counts each probe once", function()
      local b, probe = half_opened{ min_calls = 2, half_open = { permits = 2 } }
      b:record(probe, "success")
      b:record(probe, "failure")
      assert.equal(1, b:snapshot().calls)
      assert.equal("half_open", b:state())
    end)
  end)

  describe("forced open", function()
    it("refuses until it is changed by hand", function()
      local b = neap.breaker({}, env)
      b:force_open()
      hand.now = 1e9
      local err = refused("breaker_open", b:acquire())
      assert.is_nil(err.retry_after)
      assert.equal("breaker_open: the circuit breaker is held open by hand", tostring(err))
      assert.equal("forced_open", b:state())
      assert.is_nil(b:snapshot().retry_after)
      b:reset()
      assert.equal("closed", b:state())
      assert.truthy(b:acquire())
    end)
  end)

  describe("disabled", function()
    it("admits all and records nothing", function()
      local b = neap.breaker({ min_calls = 1 }, env)
      b:disable()
      calls(b, "FFFF")
      assert.equal("disabled", b:state())
      assert.equal(0, b:snapshot().calls)
    end)

    it("comes out of an open state", function()
      local b = opened{}
      b:disable()
      assert.truthy(b:acquire())
    end)
  end)

  describe("metrics only", function()
    it("admits all and records", function()
      local b = neap.breaker({ min_calls = 2 }, env)
      b:metrics_only()
      calls(b, "FFFS")
      assert.equal("metrics_only", b:state())
      assert.equal(4, b:snapshot().calls)
      assert.equal(0.75, b:snapshot().failure_rate)
    end)
  end)

  describe("reset", function()
    it("closes with an empty window, counters and openings", function()
      local b = opened{ open_for = { base = 10, factor = 2 } }
      refused("breaker_open", b:acquire())
      b:reset()
      local snapshot = b:snapshot()
      assert.equal("closed", snapshot.state)
      assert.equal(0, snapshot.calls + snapshot.not_permitted + snapshot.opened)
      calls(b, "F")
      assert.equal(10, b:snapshot().retry_after)
    end)

    it("empties the window of a closed breaker", function()
      local b = neap.breaker({}, env)
      calls(b, "SF")
      b:reset()
      assert.equal(0, b:snapshot().calls)
    end)
  end)

  describe("exported", function()
    it("goes on in another breaker, on another clock", function()
      local exported = opened{ open_for = { base = 10, factor = 2 } }:export()
      local other_env, other_hand = policy.by_hand()
      other_hand.now = 5000
      local b = neap.breaker({ min_calls = 1, open_for = { base = 10, factor = 2 } }, other_env)
      assert.is_true(b:import(exported))
      assert.equal("open", b:state())
      assert.equal(10, b:snapshot().retry_after)
      other_hand.now = 5010
      b:record(assert(b:acquire()), "failure")
      assert.equal(20, b:snapshot().retry_after)
      assert.equal(2, b:snapshot().opened)
    end)

    it("keeps the window of either kind", function()
      for _, window in ipairs{ { count = 5 }, { seconds = 20 } } do
        local a = neap.breaker({ window = window }, env)
        local b = neap.breaker({ window = window }, env)
        calls(a, "SFS")
        assert.is_true(b:import(a:export()))
        assert.equal(3, b:snapshot().calls)
        assert.equal(1, b:snapshot().failures)
        assert.equal(a:export(), b:export())
      end
    end)

    it("lets a probe go at once if it was half open", function()
      local exported = half_opened({}):export()
      local b = neap.breaker({}, env)
      assert.is_true(b:import(exported))
      assert.equal("open", b:state())
      assert.equal(0, b:snapshot().retry_after)
      assert.truthy(b:acquire())
    end)

    it("refuses any other text and stays as it was", function()
      local b = neap.breaker({}, env)
      calls(b, "SF")
      local exported = b:export()
      for text, told in pairs{
        [""] = "the text is empty",
        ["closed"] = "the text was not made by export",
        [exported:gsub("/1", "/2")] = "the text has another version",
        [exported:sub(1, -3) .. "9"] = "the text is damaged or cut short",
        [exported:gsub("closed", "clozed")] = "the text is damaged or cut short",
        [exported .. "\0"] = "the text is damaged or cut short",
      } do
        local err = refused("error", b:import(text))
        assert.equal(1, err.message:find("import: " .. told, 1, true), err.message)
      end
      assert.equal(exported, b:export())
    end)
  end)

  describe("by env", function()
    it("draws a random number only where one matters", function()
      local b = half_opened{}
      calls(b, "I")
      b:export()
      b:snapshot()
      assert.equal(0, hand.draws)
      opened{ open_for = { jitter = 0.5 } }
      assert.equal(2, hand.draws)
      opened{ ramp = { seconds = 1 } }
      assert.equal(4, hand.draws)
    end)

    it("reads the clock once in each step", function()
      local b = neap.breaker({}, env)
      b:record(b:acquire(), "success")
      b:snapshot()
      b:import(b:export())
      assert.equal(5, hand.readings)
      b:state()
      b:force_open()
      assert.equal(5, hand.readings)
    end)

    it("does without: the machine's clock and chance", function()
      local b = neap.breaker{ min_calls = 1, open_for = { base = 100, jitter = 0.5 } }
      calls(b, "F")
      local left = b:snapshot().retry_after
      assert.is_true(left > 49 and left <= 150)
    end)

    it("takes a testing kit's env, which has the wall clock too", function()
      env.time = os.time
      assert.truthy(neap.breaker({}, env):acquire())
    end)

    it("keeps its functions as long as the breaker, and no longer", function()
      local held = setmetatable({}, { __mode = "v" })
      local b
      do
        local now = 3
        local function clock()
          return now
        end
        held[1] = clock
        b = neap.breaker({}, { clock = clock })
      end
      collectgarbage()
      collectgarbage()
      assert.truthy(held[1])
      assert.truthy(b:acquire())
      b = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      assert.is_nil(held[1])
    end)

    it("raises what the clock raises", function()
      local b = neap.breaker({}, { clock = function() error("stopped", 0) end })
      assert.has_error(function() b:acquire() end, "stopped")
      assert.equal("closed", b:state())
    end)

    it("raises for a clock that gives no number", function()
      local given
      local b = neap.breaker({}, { clock = function() return given end })
      misuse("env.clock: expected a finite number of seconds, got nil", function() b:acquire() end)
      given = "12"
      misuse("env.clock: expected a finite number of seconds, got string",
        function() b:acquire() end)
      given = 0 / 0
      misuse("env.clock: expected a finite number of seconds, got nan", function() b:acquire() end)
      given = math.huge
      misuse("env.clock: expected a finite number of seconds, got inf", function() b:acquire() end)
    end)

    it("raises for a random number that is none", function()
      local options = { ramp = { seconds = 1 } }
      local b = neap.breaker(options, { random = function() return 1.5 end })
      misuse("env.random: expected a number in [0,1), got 1.5", function() b:acquire() end)
      b = neap.breaker(options, { random = function() return "0" end })
      misuse("env.random: expected a number in [0,1), got string", function() b:acquire() end)
    end)
  end)

  it("is told by tostring", function()
    local b = neap.breaker({}, env)
    assert.equal("neap.breaker (closed)", tostring(b))
    assert.equal("neap", getmetatable(b))
  end)

  it("survives a finalizer that asks it, and one that exports beside an export", function()
    local b = neap.breaker({}, env)
    local runs = 0
    local function finalizer()
      runs = runs + 1
      return b:export()
    end
    for _ = 1, 200 do
      if newproxy then
        getmetatable(newproxy(true)).__gc = finalizer
      else
        setmetatable({}, { __gc = finalizer })
      end
      assert.matches("^neap%-breaker/1 state=closed", b:export())
    end
    collectgarbage()
    assert.is_true(runs > 0)
  end)

  describe("misused", function()
    it("raises for what is no permit, no verdict, no duration, no text", function()
      local b = neap.breaker({}, env)
      local permit = b:acquire()
      misuse("bad argument #1 to 'record' (expected a permit, got nil)",
        function() b:record(nil, "success") end)
      misuse("bad argument #1 to 'record' (expected a permit, got number)",
        function() b:record(1.5, "success") end)
      misuse([[bad argument #2 to 'record' (expected "success", "failure" or "ignore")]],
        function() b:record(permit, "ok") end)
      misuse([[bad argument #2 to 'record' (expected "success", "failure" or "ignore")]],
        function() b:record(permit) end)
      misuse("bad argument #3 to 'record' (number expected, got string)",
        function() b:record(permit, "success", "1") end)
      misuse("bad argument #1 to 'import' (string expected, got number)",
        function() b:import(1) end)
    end)

    it("raises for a policy that is no table", function()
      misuse("policy: expected a table, got nil", function() neap.breaker() end)
      misuse("policy: expected a table, got 5", function() neap.breaker(5) end)
    end)

    it("raises for each option that is wrong", function()
      misuse('policy.min_cals: unknown key, did you mean "min_calls"?',
        function() neap.breaker{ min_cals = 1 } end)
      misuse("policy.window: expected either count or seconds, got both",
        function() neap.breaker{ window = { count = 1, seconds = 1 } } end)
      misuse("policy.window.count: expected an integer from 1 to 16383, got 1000000000",
        function() neap.breaker{ window = { count = 1e9 } } end)
      misuse("policy.window.seconds: expected an integer from 1 to 3600 (seconds), got 0.5",
        function() neap.breaker{ window = { seconds = 0.5 } } end)
      misuse("policy.min_calls: expected an integer >= 1, got 0",
        function() neap.breaker{ min_calls = 0 } end)
      misuse("policy.failure_rate: expected a number > 0 and <= 1, got 0",
        function() neap.breaker{ failure_rate = 0 } end)
      misuse("policy.slow_call.rate: required, a number > 0 and <= 1",
        function() neap.breaker{ slow_call = { duration = 1 } } end)
      misuse("policy.slow_call.duration: expected a number > 0 (seconds), got false",
        function() neap.breaker{ slow_call = { duration = false, rate = 1 } } end)
      misuse("policy.consecutive_failures: expected an integer >= 1, got 0",
        function() neap.breaker{ consecutive_failures = 0 } end)
      misuse("policy.open_for: expected a number > 0 (seconds), got 0",
        function() neap.breaker{ open_for = 0 } end)
      misuse("policy.open_for.factor: expected a number >= 1, got 0.5",
        function() neap.breaker{ open_for = { factor = 0.5 } } end)
      misuse("policy.open_for.jitter: expected a number from 0 to 1, got 2",
        function() neap.breaker{ open_for = { jitter = 2 } } end)
      misuse("policy.half_open.permits: expected an integer from 1 to 1023, got 0",
        function() neap.breaker{ half_open = { permits = 0 } } end)
      misuse("policy.half_open.lease: expected a number > 0 (seconds), got 0",
        function() neap.breaker{ half_open = { lease = 0 } } end)
      misuse("policy.ramp.seconds: required, a number > 0 (seconds)",
        function() neap.breaker{ ramp = {} } end)
      misuse("policy.ramp.from: expected a number from 0 to 1, got 1.5",
        function() neap.breaker{ ramp = { seconds = 1, from = 1.5 } } end)
    end)

    it("raises for an env that is wrong", function()
      misuse("env: expected a table, got 5", function() neap.breaker({}, 5) end)
      misuse("env.clock: expected a function, got 5",
        function() neap.breaker({}, { clock = 5 }) end)
      misuse('env.clok: unknown key, did you mean "clock"?',
        function() neap.breaker({}, { clok = os.clock }) end)
      misuse("env.random: expected a function, got a table",
        function() neap.breaker({}, { random = {} }) end)
    end)

    it("raises for another object as self", function()
      local b = neap.breaker({}, env)
      assert.has_error(function() b.acquire(neap.backoff({}, env)) end)
      assert.has_error(function() b.acquire(io.stdout) end)
      assert.has_error(function() b.acquire() end)
    end)
  end)
end)
