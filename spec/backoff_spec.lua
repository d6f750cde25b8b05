local neap = require "neap"
local policy = require "spec.support.policy"

local misuse = policy.misuse

describe("neap.backoff", function()
  local env, hand

  before_each(function()
    env, hand = policy.by_hand()
  end)

  -- The longest delay before the first retries; without jitter the only one.
  local function undelayed(options, count)
    options.jitter = "none"
    local o, delays = neap.backoff(options, env), {}
    for n = 1, count do
      delays[n] = o:delay(n)
    end
    return delays
  end

  local function bounds(options, n, previous)
    return { neap.backoff(options, env):bounds(n, previous) }
  end

  describe("without jitter", function()
    it("is base if fixed", function()
      assert.same({ 3, 3, 3 }, undelayed({ kind = "fixed", base = 3 }, 3))
    end)

    it("is base * n if linear", function()
      assert.same({ 2, 4, 6, 7, 7 }, undelayed({ kind = "linear", base = 2, max = 7 }, 5))
    end)

    it("is base * factor^(n-1) if exponential", function()
      assert.same({ 1, 2, 4, 8, 10, 10 }, undelayed({ kind = "exponential" }, 6))
      assert.same({ 0.5, 1.5, 4.5, 10 }, undelayed({ base = 0.5, factor = 3 }, 4))
    end)

    it("is never above max, nor infinite or no number, however large n is", function()
      for _, kind in ipairs{ "fixed", "linear", "exponential" } do
        local o = neap.backoff({ kind = kind, base = 5, factor = 1e300, max = 7, jitter = "none" })
        assert.equal(kind == "fixed" and 5 or 7, o:delay(2 ^ 53))
      end
      local o = neap.backoff{ base = 0, factor = 1e300, jitter = "none" }
      assert.equal(0, o:delay(2 ^ 31))
    end)

    it("is at most max if base is more", function()
      assert.same({ 2, 2 }, undelayed({ kind = "fixed", base = 3, max = 2 }, 2))
    end)

    it("draws nothing", function()
      undelayed({}, 5)
      assert.equal(0, hand.draws)
      assert.equal(0, hand.readings)
    end)
  end)

  describe("with jitter", function()
    it("is exponential from 1 to 10 seconds, plus or minus a half, by default", function()
      assert.same({ 0.5, 1.5 }, bounds({}, 1))
      assert.same({ 1, 3 }, bounds({}, 2))
      assert.same({ 5, 10 }, bounds({}, 5))
    end)

    it("ranges as each form says", function()
      local d, max = 4, 10
      local rows = {
        none = { d, d },
        full = { 0, d },
        equal = { d / 2, d },
        additive = { d, 2 * d },
        [0.25] = { d * (1 - 0.25), d * (1 + 0.25) },
      }
      for jitter, range in pairs(rows) do
        assert.same(range, bounds({ max = max, jitter = jitter }, 3))
      end
    end)

    it("stays spread at the cap, and below it", function()
      local rows = {
        full = { 0, 10 },
        equal = { 5, 10 },
        additive = { 5, 10 },
        [0.25] = { 7.5, 10 },
        [1] = { 0, 10 },
      }
      for jitter, range in pairs(rows) do
        assert.same(range, bounds({ jitter = jitter }, 50))
      end
    end)

    it("gives exactly the doubles of the formulas", function()
      assert.same({ 0.1 * (1 - 0.3), 0.1 * (1 + 0.3) }, bounds({ base = 0.1, jitter = 0.3 }, 1))
      assert.same({ 0.1 * 1.7 ^ 2 / 2, 0.1 * 1.7 ^ 2 },
        bounds({ base = 0.1, factor = 1.7, jitter = "equal" }, 3))
    end)

    it("decorrelated, goes by the delay before", function()
      local options = { base = 1, max = 10, jitter = "decorrelated" }
      assert.same({ 1, 3 }, bounds(options, 1))
      assert.same({ 1, 3 }, bounds(options, 7))
      assert.same({ 1, 6 }, bounds(options, 2, 2))
      assert.same({ 1, 10 }, bounds(options, 3, 4))
      assert.same({ 1, 1 }, bounds(options, 2, 0.1))
      assert.same({ 1, 10 }, bounds(options, 2, math.huge))
    end)

    it("is low + r * (high - low), and draws once", function()
      local o = neap.backoff({ jitter = "equal" }, env)
      for r, delay in pairs{ [0] = 2, [0.25] = 2.5, [0.5] = 3, [0.75] = 3.5 } do
        hand.r = r
        assert.equal(delay, o:delay(3))
      end
      assert.equal(4, hand.draws)
    end)

    it("draws nothing for bounds, and where they are the same", function()
      local o = neap.backoff({ jitter = "decorrelated" }, env)
      o:bounds(1)
      assert.equal(1, o:delay(2, 0.1))
      assert.equal(0, hand.draws)
    end)

    it("stays within its bounds by the machine's chance", function()
      local o = neap.backoff{ jitter = "full" }
      local shortest, longest = 10, 0
      for _ = 1, 1000 do
        local delay = o:delay(9)
        shortest, longest = math.min(shortest, delay), math.max(longest, delay)
      end
      assert.is_true(shortest >= 0 and longest <= 10)
      assert.is_true(shortest < 1 and longest > 9)
    end)
  end)

  it("is told by tostring", function()
    assert.matches("^neap%.backoff %(0%.5 s up to 2%.5 s%)$",
      tostring(neap.backoff{ base = 0.5, max = 2.5 }))
  end)

  describe("misused", function()
    it("raises for an n or a previous delay that cannot be", function()
      local o = neap.backoff({}, env)
      misuse("bad argument #1 to 'delay' (expected an integer >= 1)", function() o:delay() end)
      misuse("bad argument #1 to 'delay' (expected an integer >= 1)", function() o:delay(0) end)
      misuse("bad argument #1 to 'bounds' (expected an integer >= 1)",
        function() o:bounds(1.5) end)
      misuse("bad argument #2 to 'delay' (expected a number >= 0 (seconds))",
        function() o:delay(1, -1) end)
      misuse("bad argument #2 to 'bounds' (expected a number >= 0 (seconds))",
        function() o:bounds(1, "2") end)
    end)

    it("raises for a policy or an env that is wrong", function()
      misuse("policy: expected a table, got nil", function() neap.backoff() end)
      misuse("policy.base: expected a number >= 0 (seconds), got -1",
        function() neap.backoff{ base = -1 } end)
      misuse("policy.factor: expected a number >= 1, got 0.5",
        function() neap.backoff{ factor = 0.5 } end)
      misuse("policy.max: expected a number >= 0 (seconds), got -1",
        function() neap.backoff{ max = -1 } end)
      misuse('policy.bas: unknown key, did you mean "base"?',
        function() neap.backoff{ bas = 1 } end)
      misuse("env.random: expected a function, got 1",
        function() neap.backoff({}, { random = 1 }) end)
      for key, wrong in pairs{ kind = "cubic", jitter = "some" } do
        local ok, message = pcall(neap.backoff, { [key] = wrong })
        assert.is_false(ok)
        assert.matches(("policy.%s: expected "):format(key), message, 1, true)
      end
    end)

    it("raises for a random number that is none", function()
      local o = neap.backoff({}, { random = function() return -0.5 end })
      misuse("env.random: expected a number in [0,1), got -0.5", function() o:delay(1) end)
    end)
  end)
end)
