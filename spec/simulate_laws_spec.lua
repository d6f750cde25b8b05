-- Laws that every simulation keeps, whatever policy and scenario: random ones are tried, always the
-- same. They hold the worst case of neap.check against what the pipeline does, too.
local neap = require "neap"
local simulate = require "neap.simulate"

local COUNT = 60

-- The same numbers on each Lua.
local function new_chance(seed)
  local state = seed
  local chance = {}
  function chance.number()
    state = (state * 1103515245 + 12345) % 2147483648
    return state / 2147483648
  end
  function chance.pick(list)
    return list[math.floor(chance.number() * #list) + 1]
  end
  -- One of them, or nothing.
  function chance.maybe(list)
    return chance.number() < 0.4 and chance.pick(list) or nil
  end
  return chance
end

local function random_retry(chance)
  local pick = chance.pick
  return {
    max_attempts = pick{ 1, 2, 3, 6 },
    backoff = { kind = pick{ "fixed", "linear", "exponential" }, base = pick{ 0, 0.1, 1 },
      max = pick{ 0.5, 10 },
      jitter = pick{ "none", "full", "equal", "additive", "decorrelated", 0.3 } },
    budget = pick{ false, {}, { ratio = 0.1, min_per_second = 0.2 } },
    honor_retry_after = pick{ true, false },
  }
end

local function random_breaker(chance)
  local pick, maybe = chance.pick, chance.maybe
  return {
    window = pick{ { count = 5 }, { seconds = 3 } },
    min_calls = pick{ 1, 3, 5 },
    open_for = { base = pick{ 0.1, 2 }, factor = 2, max = 10, jitter = pick{ 0, 0.5 } },
    half_open = { permits = pick{ 1, 3 }, lease = pick{ 0.1, 60 } },
    slow_call = maybe{ { duration = 0.1, rate = 0.5 } },
    ramp = maybe{ { seconds = 2 } },
    consecutive_failures = maybe{ 2 },
  }
end

local function random_policy(chance)
  local pick, maybe = chance.pick, chance.maybe
  return {
    name = "random",
    timeout = { read = pick{ 0.05, 0.5, 5 }, attempt = maybe{ 0.1, 1 },
      total = pick{ 0.3, 3, 30 } },
    retry = pick{ false, random_retry(chance), random_retry(chance) },
    breaker = pick{ false, random_breaker(chance), random_breaker(chance) },
    gate = pick{ false, { max_wait = 1 }, {} },
    rate_limit = maybe{ { rate = 1 }, { rate = 20, max_wait = 5 } },
    bulkhead = maybe{ { max_concurrent = 1, max_wait = 5 }, { max_concurrent = 3, max_queue = 1,
      max_wait = 0.5 } },
    cache = maybe{ { ttl = 0.5, stale_if_error = 5, stale_while_revalidate = 2 } },
    idempotency = maybe{ true },
    fallback = maybe{ { { cache = true }, { default = { status = 200 }, when = { "timeout" } } } },
  }
end

local function random_incident(chance)
  local pick = chance.pick
  local incident = pick{
    { outage = true }, { outage = true, answer = "refused" },
    { outage = true, answer = "silence" }, { brownout = 0.5 }, { slow = 0.6 }, { slow = 6 },
    { rate_limit = 10, retry_after = 0.3 }, { rate_limit = 1 },
  }
  return { outage = incident.outage, answer = incident.answer, brownout = incident.brownout,
    slow = incident.slow, rate_limit = incident.rate_limit, retry_after = incident.retry_after,
    from = 10 * chance.number(), lasts = 0.1 + 10 * chance.number() }
end

local function random_setting(chance, seed)
  local pick, maybe = chance.pick, chance.maybe
  local scenario = {}
  for index = 1, pick{ 0, 1, 2, 4 } do
    scenario[index] = random_incident(chance)
  end
  return {
    clients = pick{ 1, 10, 30 }, rate = pick{ 0.5, 3 }, duration = 20, resolution = 0.5,
    arrival = pick{ "random", "steady", "together" }, seed = seed, shared = pick{ true, false },
    method = pick{ "GET", "POST" }, resources = pick{ 1, 3 }, capacity = maybe{ 3, 50 },
    queue = pick{ 0, 0.5, 10 }, latency = pick{ 0, 0.05, 0.3 }, scenario = scenario,
  }
end

local function sum_of(counts)
  local sum = 0
  for _, count in pairs(counts) do
    sum = sum + count
  end
  return sum
end

-- policy, setting, run of each.
local function each_random(look)
  for seed = 1, COUNT do
    local chance = new_chance(seed * 7919)
    local policy, setting = random_policy(chance), random_setting(chance, seed)
    look(policy, setting, simulate.run(policy, setting), "random policy " .. seed)
  end
end

describe("in every simulation", function()
  it("each call ends once, and in time", function()
    each_random(function(policy, _, run, name)
      assert.equal(run.calls, sum_of(run.answers) + sum_of(run.errors), name)
      assert.equal(0, run.unfinished, name)
      assert.is_true(run.latency.max <= policy.timeout.total + 1e-6, name)
    end)
  end)

  it("no call takes longer, and none more attempts, than neap.check says", function()
    each_random(function(policy, _, run, name)
      local report = neap.check(policy)
      local refreshes = policy.cache and run.answers.stale or 0
      assert.is_true(run.latency.max <= report.worst_case + 1e-6, name)
      assert.is_true(run.attempts <= (run.calls + refreshes) * report.attempts, name)
    end)
  end)

  it("the server serves what it does not refuse, and no more than its capacity", function()
    each_random(function(_, setting, run, name)
      assert.equal(run.attempts, run.served + run.refused, name)
      for index = 1, setting.capacity and run.slots.count or 0 do
        assert.is_true(run.slots.served[index] <= setting.capacity * run.slots.width + 1, name)
      end
    end)
  end)

  it("slots have what was counted until the duration ended", function()
    each_random(function(_, _, run, name)
      assert.equal(run.calls, sum_of(run.slots.calls), name)
      assert.is_true(sum_of(run.slots.attempts) <= run.attempts, name)
    end)
  end)

  it("the same seed gives the same", function()
    each_random(function(policy, setting, run, name)
      assert.equal(simulate.json{ run }, simulate.json{ simulate.run(policy, setting) }, name)
    end)
  end)
end)
