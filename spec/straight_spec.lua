-- Random policies of guarded functions, each in two kits: in one of them nobody is asked anything,
-- in the other a function of the policy is, which leaves all as it is. So calls go the straight way
-- here and have states there, and come to the same.
local neap = require "neap"
local testing = require "neap.testing"

local plain = require "spec.support.plain"

local ROUNDS, CALLS = 60, 40

-- A generator of the spec's own: kits have theirs, and these numbers are the same on each Lua.
local function generator(seed)
  local state = seed
  return function(limit)
    state = (state * 16807) % 2147483647
    return state % limit
  end
end

local function one_of(random, choices)
  return choices[random(#choices) + 1]
end

local function some_policy(random)
  return {
    name = "some",
    timeout = { total = one_of(random, { 1, 30 }) },
    retry = {
      max_attempts = 1 + random(4),
      backoff = one_of(random, {
        { kind = "fixed", base = 0, jitter = "none" },
        { kind = "exponential", base = 0, jitter = "decorrelated" },
        { kind = "linear", base = 0.1, jitter = "full" },
      }),
      budget = one_of(random, { false, { ratio = 0.3, min_per_second = 0, ttl = 10 } }),
    },
    breaker = one_of(random, {
      { window = { count = 5 }, min_calls = 3, open_for = { base = 0.5, jitter = 0.5 } },
      { window = { seconds = 3 }, min_calls = 4, open_for = 1, ramp = { seconds = 1 } },
      { consecutive_failures = 2, open_for = 0.3, half_open = { permits = 1 } },
      false,
    }),
    rate_limit = one_of(random, { { rate = 20, burst = 3 }, { rate = 1e6, burst = 1e6 } }),
    bulkhead = one_of(random, { { max_concurrent = 1 }, { max_concurrent = 10 } }),
  }
end

-- What it does depends on how often it was called, and on nothing else.
local function some_function(seed)
  local random = generator(seed)
  local failing = one_of(random, { 2, 5, 9 })
  return function(nested)
    local share, waits = random(10), random(8)
    if waits == 0 then
      neap.sleep(0.02)
    end
    if nested then
      nested()
    end
    if share >= failing then
      return "well", share
    elseif share % 2 == 0 then
      error({ message = "raised " .. share }, 0)
    end
    return nil, "failure " .. share
  end
end

-- All that the calls came to, and in the end what was counted.
local function told_of(seed, part)
  local random = generator(seed)
  local policy = some_policy(random)
  part(policy)
  local kit = testing.new{ seed = seed }
  local told = {}
  kit:run(function()
    local guarded = neap.wrap(policy, some_function(seed))
    local function nested()
      local value, rest = guarded()
      told[#told + 1] = { "nested", plain(value), plain(rest) }
    end
    for _ = 1, CALLS do
      local value, rest = guarded(random(5) == 0 and nested or nil)
      told[#told + 1] = { neap.now(), plain(value), plain(rest) }
      neap.sleep(random(3) / 20)
    end
    told[#told + 1] = neap.stats().some
  end)
  return told
end

local function asks_nobody()
end

local function asks_on_failures(policy)
  policy.retry.when = function() return nil end
end

describe("the straight way", function()
  it("comes to what a call with states comes to", function()
    local kinds = {}
    for seed = 1, ROUNDS do
      local straight, asked = told_of(seed, asks_nobody), told_of(seed, asks_on_failures)
      assert.same(asked, straight)
      for _, entry in ipairs(straight) do
        local kind = type(entry[3]) == "table" and entry[3].kind or "well"
        kinds[kind] = (kinds[kind] or 0) + 1
      end
    end
    for _, kind in ipairs{ "well", "error", "breaker_open", "rate_limited", "bulkhead_full" } do
      assert.is_true((kinds[kind] or 0) > ROUNDS / 4, kind)
    end
  end)
end)
