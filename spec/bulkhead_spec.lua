local neap = require "neap"
local policy = require "spec.support.policy"

local misuse, refused = policy.misuse, policy.refused

describe("neap.bulkhead", function()
  it("has so many permits out at once and no more", function()
    local k = neap.bulkhead{ max_concurrent = 2 }
    assert.truthy(k:acquire())
    assert.truthy(k:acquire())
    local err = refused("bulkhead_full", k:acquire())
    assert.is_nil(err.retry_after)
    assert.equal("bulkhead_full: all places of the bulkhead are taken", tostring(err))
    assert.equal(2, k:in_use())
  end)

  it("takes a permit back", function()
    local k = neap.bulkhead{ max_concurrent = 1 }
    local permit = k:acquire()
    assert.is_true(k:release(permit))
    assert.equal(0, k:in_use())
    assert.truthy(k:acquire())
  end)

  it("hands out permits that are integers and differ", function()
    local k = neap.bulkhead{ max_concurrent = 100 }
    local seen = {}
    for _ = 1, 100 do
      local permit = k:acquire()
      assert.equal(math.floor(permit), permit)
      assert.is_nil(seen[permit])
      seen[permit] = true
    end
    if math.type then
      assert.equal("integer", math.type(next(seen)))
    end
  end)

  it("takes a permit back only once", function()
    local k = neap.bulkhead{ max_concurrent = 1 }
    local permit = k:acquire()
    assert.is_true(k:release(permit))
    assert.is_false(k:release(permit))
    local other = k:acquire()
    assert.is_false(k:release(permit))
    assert.equal(1, k:in_use())
    assert.is_true(k:release(other))
  end)

  it("takes no permit that it never gave", function()
    local k = neap.bulkhead{ max_concurrent = 3 }
    local permit = k:acquire()
    for _, other in ipairs{ 0, -1, 1, permit + 1, permit + 65536, 2 ^ 52, -2 ^ 60 } do
      assert.is_false(k:release(other))
    end
    assert.equal(1, k:in_use())
  end)

  it("asks no clock", function()
    local env, hand = policy.by_hand()
    local k = neap.bulkhead({ max_concurrent = 1 }, env)
    k:release(k:acquire())
    assert.equal(0, hand.readings + hand.draws)
  end)

  it("is told by tostring", function()
    local k = neap.bulkhead{ max_concurrent = 4 }
    k:acquire()
    assert.equal("neap.bulkhead (1 of 4 in use)", tostring(k))
  end)

  describe("misused", function()
    it("raises for what is no permit", function()
      local k = neap.bulkhead{ max_concurrent = 1 }
      misuse("bad argument #1 to 'release' (expected a permit, got no value)",
        function() k:release() end)
      misuse("bad argument #1 to 'release' (expected a permit, got string)",
        function() k:release("1") end)
    end)

    it("raises for a policy or an env that is wrong", function()
      misuse("policy: expected a table, got nil", function() neap.bulkhead() end)
      misuse("policy.max_concurrent: required, an integer from 1 to 65535",
        function() neap.bulkhead{} end)
      misuse("policy.max_concurrent: expected an integer from 1 to 65535, got 0",
        function() neap.bulkhead{ max_concurrent = 0 } end)
      misuse("policy.max_concurrent: expected an integer from 1 to 65535, got 1.5",
        function() neap.bulkhead{ max_concurrent = 1.5 } end)
      misuse('policy.max_concurent: unknown key, did you mean "max_concurrent"?',
        function() neap.bulkhead{ max_concurent = 1 } end)
      misuse("env.clock: expected a function, got true",
        function() neap.bulkhead({ max_concurrent = 1 }, { clock = true }) end)
    end)
  end)
end)
