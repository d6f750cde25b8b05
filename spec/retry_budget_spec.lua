local neap = require "neap"
local policy = require "spec.support.policy"

local misuse = policy.misuse

describe("neap.retry_budget", function()
  local env, hand

  before_each(function()
    env, hand = policy.by_hand()
  end)

  local function times(count, fn)
    for _ = 1, count do
      fn()
    end
  end

  it("begins with its reserve: min_per_second * ttl", function()
    assert.equal(100, neap.retry_budget({}, env):balance())
    assert.equal(6, neap.retry_budget({ min_per_second = 0.5, ttl = 13 }, env):balance())
  end)

  it("grows by ratio at each deposit", function()
    local g = neap.retry_budget({ ratio = 0.2, min_per_second = 0 }, env)
    times(4, function() g:deposit() end)
    assert.equal(0, g:balance())
    assert.is_false(g:withdraw())
    g:deposit()
    assert.equal(1, g:balance())
    assert.is_true(g:withdraw())
    assert.is_false(g:withdraw())
    assert.equal(0, g:balance())
  end)

  it("has whole retries where ratio is no binary fraction", function()
    local g = neap.retry_budget({ ratio = 0.1, min_per_second = 0 }, env)
    times(30, function() g:deposit() end)
    assert.equal(3, g:balance())
  end)

  it("pays no more than it has", function()
    local g = neap.retry_budget({ ratio = 0, min_per_second = 1, ttl = 3 }, env)
    times(3, function() assert.is_true(g:withdraw()) end)
    assert.is_false(g:withdraw())
  end)

  it("forgets a deposit after ttl seconds", function()
    local g = neap.retry_budget({ ratio = 1, min_per_second = 0, ttl = 5 }, env)
    hand.now = 100.9
    g:deposit()
    hand.now = 104.999
    assert.equal(1, g:balance())
    hand.now = 105
    assert.equal(0, g:balance())
  end)

  it("forgets a withdrawal after ttl seconds", function()
    local g = neap.retry_budget({ ratio = 0, min_per_second = 1, ttl = 2 }, env)
    times(2, function() g:withdraw() end)
    hand.now = 1
    assert.is_false(g:withdraw())
    hand.now = 2
    assert.is_true(g:withdraw())
    assert.equal(1, g:balance())
  end)

  it("gives nothing for a clock that steps back", function()
    local g = neap.retry_budget({ ratio = 0, min_per_second = 1, ttl = 2 }, env)
    hand.now = 50
    times(2, function() g:withdraw() end)
    hand.now = 10
    assert.is_false(g:withdraw())
  end)

  it("reads the clock once in each step, and draws nothing", function()
    local g = neap.retry_budget({}, env)
    g:deposit()
    g:withdraw()
    g:balance()
    assert.equal(3, hand.readings)
    assert.equal(0, hand.draws)
  end)

  it("runs on the machine's clock without env", function()
    local g = neap.retry_budget{ ratio = 1, min_per_second = 0, ttl = 3600 }
    g:deposit()
    assert.is_true(g:withdraw())
    assert.is_false(g:withdraw())
  end)

  it("answers an integer, and is told by tostring", function()
    local g = neap.retry_budget({ ratio = 0.2 }, env)
    if math.type then
      assert.equal("integer", math.type(g:balance()))
    end
    assert.equal("neap.retry_budget (ratio 0.2)", tostring(g))
  end)

  it("raises for a policy or an env that is wrong", function()
    misuse("policy: expected a table, got nil", function() neap.retry_budget() end)
    misuse("policy.ratio: expected a number >= 0, got -1",
      function() neap.retry_budget{ ratio = -1 } end)
    misuse("policy.min_per_second: expected a number >= 0, got -1",
      function() neap.retry_budget{ min_per_second = -1 } end)
    misuse("policy.ttl: expected an integer from 1 to 3600 (seconds), got 0",
      function() neap.retry_budget{ ttl = 0 } end)
    misuse('policy.ration: unknown key, did you mean "ratio"?',
      function() neap.retry_budget{ ration = 1 } end)
    misuse("env.clock: expected a function, got 1",
      function() neap.retry_budget({}, { clock = 1 }) end)
  end)
end)
