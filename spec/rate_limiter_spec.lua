local neap = require "neap"
local policy = require "spec.support.policy"

local misuse, refused = policy.misuse, policy.refused

describe("neap.rate_limiter", function()
  local env, hand

  before_each(function()
    env, hand = policy.by_hand()
  end)

  -- The waits of `count` units asked for one by one.
  local function waits(l, count)
    local answers = {}
    for i = 1, count do
      answers[i] = l:acquire()
    end
    return answers
  end

  it("lets a burst go at once, and then one each interval", function()
    local l = neap.rate_limiter({ rate = 10, per = 1, burst = 10 }, env)
    assert.same({ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.2, 0.3 }, waits(l, 13))
  end)

  it("has a burst of rate and a second as per by default", function()
    assert.same({ 0, 0, 0, 0, 0.25 }, waits(neap.rate_limiter({ rate = 4 }, env), 5))
  end)

  it("reserves: a wait that was answered counts for those who come later", function()
    local l = neap.rate_limiter({ rate = 1, burst = 1 }, env)
    assert.same({ 0, 1, 2 }, waits(l, 3))
    hand.now = 1
    assert.equal(2, l:acquire())
    hand.now = 100
    assert.same({ 0, 1 }, waits(l, 2))
  end)

  it("answers when the last of n units may go", function()
    local l = neap.rate_limiter({ rate = 1, per = 10, burst = 3 }, env)
    assert.equal(0, l:acquire(3))
    assert.equal(20, l:acquire(2))
    assert.equal(30, l:acquire())
    hand.now = 1000
    assert.equal(20, l:acquire(5))
  end)

  it("does not save up more than a burst", function()
    local l = neap.rate_limiter({ rate = 1, burst = 2 }, env)
    hand.now = 1e6
    assert.same({ 0, 0, 1 }, waits(l, 3))
  end)

  it("refuses what would wait longer than max_wait, and changes nothing", function()
    local l = neap.rate_limiter({ rate = 2, burst = 1, max_wait = 1 }, env)
    assert.same({ 0, 0.5, 1 }, waits(l, 3))
    for _ = 1, 3 do
      local err = refused("rate_limited", l:acquire())
      assert.equal(1.5, err.retry_after)
      assert.matches("^rate_limited: .* %(retry after 1%.5 s%)$", tostring(err))
    end
    hand.now = 0.5
    assert.equal(1, l:acquire())
  end)

  it("never waits with max_wait = 0", function()
    local l = neap.rate_limiter({ rate = 1, burst = 1, max_wait = 0 }, env)
    assert.equal(0, l:acquire())
    assert.equal(1, refused("rate_limited", l:acquire()).retry_after)
    hand.now = 1
    assert.equal(0, l:acquire())
  end)

  it("takes a clock that steps back as one that stands still, at worst", function()
    local l = neap.rate_limiter({ rate = 1, burst = 1 }, env)
    hand.now = 100
    assert.equal(0, l:acquire())
    hand.now = 90
    assert.equal(11, l:acquire())
  end)

  it("takes more units than the burst, and as many as fit in a number", function()
    local l = neap.rate_limiter({ rate = 1000, burst = 1, max_wait = 10 }, env)
    assert.equal(4294967.295, refused("rate_limited", l:acquire(2 ^ 32)).retry_after)
    assert.equal(0, l:acquire())
  end)

  it("counts each of more units than 32 bits hold, and refuses what never could go", function()
    local l = neap.rate_limiter({ rate = 2 ^ 33, burst = 1 }, env)
    assert.equal(4, l:acquire(2 ^ 35 + 1))
    l = neap.rate_limiter({ rate = 1, burst = 1 }, env)
    assert.is_nil(refused("rate_limited", l:acquire(2 ^ 53)).retry_after)
    assert.equal(0, l:acquire())
  end)

  it("reads the clock once, and draws nothing", function()
    neap.rate_limiter({ rate = 1 }, env):acquire()
    assert.equal(1, hand.readings)
    assert.equal(0, hand.draws)
  end)

  it("runs on the machine's clock without env", function()
    local l = neap.rate_limiter{ rate = 1, per = 1000, burst = 1 }
    assert.equal(0, l:acquire())
    local wait = l:acquire()
    assert.is_true(wait > 990 and wait <= 1000)
  end)

  it("is told by tostring", function()
    assert.equal("neap.rate_limiter (one in 0.25 s)", tostring(neap.rate_limiter{ rate = 4 }))
  end)

  describe("misused", function()
    it("raises for a number of units that is no integer >= 1", function()
      local l = neap.rate_limiter({ rate = 1 }, env)
      misuse("bad argument #1 to 'acquire' (expected an integer >= 1)",
        function() l:acquire(0) end)
      misuse("bad argument #1 to 'acquire' (expected an integer >= 1)",
        function() l:acquire(1.5) end)
      misuse("bad argument #1 to 'acquire' (expected an integer >= 1)",
        function() l:acquire("1") end)
    end)

    it("raises for a policy or an env that is wrong", function()
      misuse("policy: expected a table, got nil", function() neap.rate_limiter() end)
      misuse("policy.rate: required, a number > 0", function() neap.rate_limiter{} end)
      misuse("policy.rate: expected a number > 0, got 0",
        function() neap.rate_limiter{ rate = 0 } end)
      misuse("policy.per: expected a number > 0 (seconds), got -1",
        function() neap.rate_limiter{ rate = 1, per = -1 } end)
      misuse("policy.burst: expected a number >= 1, got 0.5",
        function() neap.rate_limiter{ rate = 1, burst = 0.5 } end)
      misuse("policy.max_wait: expected a number >= 0 (seconds), got -1",
        function() neap.rate_limiter{ rate = 1, max_wait = -1 } end)
      misuse('policy.brust: unknown key, did you mean "burst"?',
        function() neap.rate_limiter{ rate = 1, brust = 1 } end)
      misuse("env.random: expected a function, got 1",
        function() neap.rate_limiter({ rate = 1 }, { random = 1 }) end)
    end)

    it("raises for a clock that gives no number", function()
      local l = neap.rate_limiter({ rate = 1 }, { clock = function() return {} end })
      misuse("env.clock: expected a finite number of seconds, got table",
        function() l:acquire() end)
    end)
  end)
end)
