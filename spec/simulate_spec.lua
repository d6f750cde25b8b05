-- What a simulation from Lua answers, and the laws that hold for each. The core's own tests are in
-- spec/c/simulation.
local neap = require "neap"
local simulate = require "neap.simulate"
local testing = require "neap.testing"

-- A small world, and an outage that never ends if `outage` is given.
local function world(more)
  local setting = { clients = 100, duration = 60 }
  for key, value in pairs(more or {}) do
    setting[key] = value
  end
  return setting
end

local function outage(more)
  local setting = world(more)
  setting.scenario = { { outage = true } }
  return setting
end

local function policy(more)
  local made = { name = "api" }
  for key, value in pairs(more or {}) do
    made[key] = value
  end
  return made
end

local function sum_of(counts)
  local sum = 0
  for _, count in pairs(counts) do
    sum = sum + count
  end
  return sum
end

local function highest(list)
  local most = 0
  for _, number in ipairs(list) do
    most = math.max(most, number)
  end
  return most
end

describe("a simulation", function()
  it("answers every call by the network where all is well", function()
    local run = simulate.run(policy(), world())
    assert.is_true(run.calls > 5500 and run.calls < 6500)
    assert.equal(run.calls, run.answers.network)
    assert.equal(run.calls, run.attempts)
    assert.equal(1, run.amplification)
    assert.equal(0, run.unfinished)
    assert.is_true(run.latency.max <= 0.15 + 1e-6)
  end)

  it("ends each call in exactly one way", function()
    local run = simulate.run(policy{ bulkhead = { max_concurrent = 1 } }, outage{ capacity = 50 })
    assert.equal(run.calls, sum_of(run.answers) + sum_of(run.errors))
  end)

  it("sees each attempt of each call in an outage without breaker and budget", function()
    local run = simulate.run(policy{ breaker = false, retry = { budget = false } }, outage())
    assert.equal(3 * run.calls, run.attempts)
    assert.equal(run.calls, run.answers["5xx"])
    assert.equal(2 * run.calls, run.retries["503"])
  end)

  it("sees no more than the budget allows", function()
    local without_reserve = simulate.run(policy{ breaker = false,
      retry = { budget = { ratio = 0.2, min_per_second = 0 } } }, outage{ shared = true })
    assert.is_true(without_reserve.amplification <= 1.2)
    assert.is_true(without_reserve.amplification > 1.19)
    local with_reserve = simulate.run(policy{ breaker = false }, outage{ shared = true })
    assert.is_true(with_reserve.attempts <= 1.2 * with_reserve.calls + 10 * (60 + 10))
  end)

  it("sees breakers open and close", function()
    local run = simulate.run(policy(), world{ duration = 120,
      scenario = { { outage = true, from = 20, lasts = 30 } } })
    assert.equal(0, run.slots.open[math.floor(19 / run.slots.width)])
    assert.is_true(highest(run.slots.open) > 90)
    assert.equal(0, run.slots.open[run.slots.count])
    assert.is_true(run.errors.breaker_open > 0)
    assert.is_true(run.transitions.open >= 90)
  end)

  it("has one breaker for all where state is shared", function()
    local run = simulate.run(policy(), outage{ shared = true })
    assert.equal(1, highest(run.slots.open))
  end)

  it("sees a herd that jitter flattens", function()
    local together = { clients = 1000, arrival = "together", rate = 1 / 60, latency = 0 }
    local function busiest(jitter)
      local run = simulate.run(policy{ breaker = false, retry = { backoff = { jitter = jitter } } },
        outage(together))
      local most = 0
      for index = 2, run.slots.count do
        most = math.max(most, run.slots.attempts[index])
      end
      return most
    end
    assert.equal(1000, busiest("none"))
    assert.is_true(busiest(0.5) < 200)
  end)

  it("has the server serve its capacity and no more", function()
    local run = simulate.run(policy{ breaker = false }, world{ capacity = 50 })
    local width = run.slots.width
    for index = 1, run.slots.count do
      assert.is_true(run.slots.served[index] <= 50 * width + 1)
    end
    assert.is_true(highest(run.slots.backlog) > 9)
    assert.is_true(run.refused > 0)
  end)

  it("retries 429 after what the server says", function()
    local run = simulate.run(policy(), world{ scenario = { { rate_limit = 20 } } })
    assert.is_true(run.retries["429"] > 0)
    assert.is_true(run.answers["4xx"] > 0)
  end)

  it("fails a share of requests in a brownout", function()
    local run = simulate.run(policy{ retry = false, breaker = false },
      world{ scenario = { { brownout = 0.3 } } })
    assert.is_true(math.abs(run.answers["5xx"] / run.calls - 0.3) < 0.03)
  end)

  it("is slow where the server is", function()
    local run = simulate.run(policy(), world{ spread = 0, scenario = { { slow = 2 } } })
    assert.is_true(math.abs(run.latency.p50 - 2) < 0.1)
  end)

  it("does not repeat what may not be repeated", function()
    local run = simulate.run(policy{ breaker = false }, outage{ method = "POST" })
    assert.equal(run.calls, run.attempts)
    run = simulate.run(policy{ breaker = false, idempotency = true }, outage{ method = "POST" })
    assert.is_true(run.attempts > run.calls)
    run = simulate.run(policy{ breaker = false }, outage{ method = "POST", replayable = true })
    assert.is_true(run.attempts > run.calls)
  end)

  it("answers from the cache, and with what is stale in need", function()
    local run = simulate.run(policy{ cache = { ttl = 5, stale_if_error = 60 } },
      world{ scenario = { { outage = true, from = 30 } } })
    assert.is_true(run.answers.cache > run.calls / 3)
    assert.is_true(run.answers.stale > 0)
    assert.is_nil(run.answers["5xx"])
  end)

  it("falls back", function()
    local run = simulate.run(policy{ fallback = { { default = { status = 200 } } } }, outage())
    assert.equal(run.calls, run.answers.default)
  end)

  it("asks functions of the policy", function()
    local asked, retried = 0, {}
    simulate.run(policy{
      breaker = { failure = function(outcome)
        asked = asked + 1
        assert(outcome.status == 503 and outcome.response.status == 503)
        return "ignore"
      end },
      retry = {
        when = function(outcome) return outcome.attempt < 3 end,
        backoff = function(n, outcome)
          retried[#retried + 1] = n
          return outcome.elapsed
        end,
      },
    }, outage{ clients = 1, duration = 10 })
    assert.is_true(asked > 0)
    assert.equal(1, retried[1])
    assert.equal(2, highest(retried))
  end)

  it("gives functions an error where no answer came", function()
    local kinds = {}
    simulate.run(policy{ retry = { when = function(outcome)
      kinds[outcome.kind] = tostring(outcome.error)
      return false
    end } }, world{ clients = 5, scenario = { { outage = true, answer = "refused" } } })
    assert.is_truthy(kinds.connect)
  end)

  it("raises what a function of the policy raises", function()
    assert.has_error(function()
      simulate.run(policy{ retry = { when = function() error({ "mine" }) end } }, outage())
    end, { "mine" })
  end)

  it("says what of the policy it cannot carry", function()
    local run = simulate.run(policy{
      coalesce = true,
      retry = { refresh = function() end },
      fallback = { function() return { status = 200 } end },
    }, world{ duration = 1 })
    local notes = table.concat(run.notes, "\n")
    assert.is_truthy(notes:find("coalesce", 1, true))
    assert.is_truthy(notes:find("retry.refresh", 1, true))
    assert.is_truthy(notes:find("fallback[1]", 1, true))
    assert.same({}, simulate.run(policy(), world{ duration = 1 }).notes)
  end)

  it("tells what was not given", function()
    local setting = simulate.run(policy(), { duration = 1, clients = 2 }).setting
    assert.equal(1, setting.rate)
    assert.equal("random", setting.arrival)
    assert.equal(0.1, setting.latency)
    assert.is_nil(setting.capacity)
  end)

  it("tells how far it is", function()
    local shares = {}
    simulate.run(policy(), world{ progress = function(share) shares[#shares + 1] = share end })
    assert.equal(1, shares[#shares])
    assert.is_true(#shares > 10)
  end)

  it("takes the collector's work in the middle of it", function()
    local run = simulate.run(policy{ retry = { when = function()
      collectgarbage()
      return nil
    end } }, outage{ clients = 3, duration = 5 })
    assert.is_true(run.calls > 0)
  end)
end)

-- The kit runs a client of the library, with its exchange; the simulation has a driver of its own.
describe("a simulation and the testing kit", function()
  local CALLS = 90

  -- A call a second on the kit, against a server that is down from the 20th to the 40th second.
  local function by_the_kit(made, answer)
    local kit = testing.new{ seed = 1 }
    made.base_url = "https://api.example/"
    local client = kit:client(made)
    kit:script{ { answer = function()
      local is_down = kit:now() >= 20 and kit:now() < 40
      return is_down and answer or { status = 200, after = 0.25 }
    end, ["repeat"] = true } }
    kit:run(function()
      for _ = 1, CALLS do
        neap.spawn(client.get, client, "/")
        neap.sleep(1)
      end
    end)
    return client:stats()
  end

  local function by_simulation(made, incident)
    incident.outage, incident.from, incident.lasts = true, 20, 20
    return simulate.run(made, { clients = 1, arrival = "together", duration = CALLS,
      latency = 0.25, spread = 0, scenario = { incident } })
  end

  local POLICIES = {
    defaults = {},
    ["a quick breaker"] = { breaker = { min_calls = 3, window = { seconds = 10 },
      open_for = { base = 4, factor = 2 }, half_open = { permits = 1 } } },
    ["a small budget"] = { breaker = false, retry = { budget = { ratio = 0.1,
      min_per_second = 0.1 } } },
    ["a bulkhead"] = { breaker = false, bulkhead = { max_concurrent = 2, max_wait = 3 } },
    ["a rate limit"] = { rate_limit = { rate = 0.5, burst = 3, max_wait = 4 } },
    ["short timeouts"] = { timeout = { read = 0.5, attempt = 0.4, total = 2 }, breaker = false },
  }
  local ANSWERS = {
    ["503"] = { status = 503, after = 0.25 },
    silence = { error = "timeout", phase = "read" },
  }
  for name, part in pairs(POLICIES) do
    for answer, entry in pairs(ANSWERS) do
      it(("agree on %s and %s"):format(name, answer), function()
        local made = policy(part)
        made.retry = made.retry or {}
        made.retry.backoff = { jitter = "none" }
        local simulated = by_simulation(made, { answer = answer })
        local real = by_the_kit(made, entry)
        assert.equal(CALLS, simulated.calls)
        assert.equal(real.attempts, simulated.attempts)
        assert.equal(real.ok, simulated.answers.network or 0)
        assert.equal(real.failed["5xx"] or 0, simulated.answers["5xx"] or 0)
        assert.same(real.errors, simulated.errors)
        assert.same(real.retries, simulated.retries)
        assert.same(real.rejections, simulated.rejections)
        assert.same(real.transitions, simulated.transitions)
      end)
    end
  end
end)

describe("the same seed", function()
  local function text_of(seed)
    local setting = world{ seed = seed, capacity = 90,
      scenario = { { brownout = 0.4, from = 10 }, { rate_limit = 80 } } }
    return simulate.json{ simulate.run(policy(), setting) }
  end

  it("gives the same output to the byte", function()
    assert.equal(text_of(7), text_of(7))
  end)

  it("gives it whether progress is told or not", function()
    local function of(progress)
      return simulate.json{ simulate.run(policy(), world{ progress = progress }) }
    end
    assert.equal(of(nil), of(function() end))
  end)

  it("is another one than the next", function()
    assert.are_not.equal(text_of(7), text_of(8))
  end)

  -- The same numbers on each Lua: whoever changes the model changes them here.
  it("gives these numbers on every Lua", function()
    local run = simulate.run(policy(), world{ seed = 1, capacity = 90,
      scenario = { { outage = true, from = 20, lasts = 10 } } })
    assert.equal("6068 4996 1911 3085", ("%d %d %d %d"):format(run.calls, run.attempts, run.refused,
      run.answers.network))
  end)

  it("has two policies meet the same calls", function()
    local one = simulate.run(policy(), outage())
    local other = simulate.run(policy{ retry = false, breaker = false }, outage())
    assert.same(one.slots.calls, other.slots.calls)
  end)
end)

describe("docs/simulate.md", function()
  local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
  end

  local page = read("docs/simulate.md")

  -- As it is written in the column of defaults.
  local function written(value)
    local texts = { [600] = "10m", [10] = "10s", [0.1] = "0.1s" }
    return value == nil and "no limit" or value == false and "no" or texts[value] or tostring(value)
  end

  it("has each setting with its default", function()
    local setting = simulate.run(policy(), { duration = 600, clients = 1000, rate = 0.001 }).setting
    setting.rate = "1/s" -- its default would take its time
    local documented = {}
    for keys, default in page:gmatch("\n| `%-%-[^|]* | ([^|]+) | ([^|]+) |") do
      for key in keys:gmatch("`([%w_]+)`") do
        documented[key] = default
      end
    end
    for key, value in pairs(setting) do
      if key ~= "scenario" and key ~= "resolution" then
        assert.is_truthy(documented[key], key)
        local default = key == "replayable" and "`GET`" or documented[key]
        value = key == "replayable" and "GET" or value
        assert.equal(written(value), (default:gsub("`", "")), key)
      end
    end
    assert.equal("no limit", documented.capacity)
  end)

  it("has each option of the command, and so has its help", function()
    local command = require "neap.program.simulate"
    for name in pairs(command.options) do
      assert.is_truthy(command.help:find("--" .. name, 1, true), name)
      assert.is_truthy(page:find("--" .. name, 1, true), name)
    end
  end)
end)

describe("misuse of a simulation", function()
  local function refusal(made, setting)
    local done, message = pcall(function() simulate.run(made, setting) end)
    assert.is_false(done)
    return message
  end

  it("raises at the caller's line", function()
    assert.is_truthy(refusal(policy(), { clients = 0 }):match("^[^:]*spec/simulate_spec.lua:%d+: "))
  end)

  local CASES = {
    { { client = 1 }, 'simulation.client: unknown key, did you mean "clients"?' },
    { { clients = 0 }, "simulation.clients: expected an integer from 1 to 1000000, got 0" },
    { { rate = 0 }, "simulation.rate: expected a number" },
    { { arrival = "never" }, "simulation.arrival: expected one of" },
    { { resolution = 0.001 }, "simulation.resolution: expected one that divides" },
    { { progress = 1 }, "simulation.progress: expected a function, got a number" },
    { { label = 1 }, "simulation.label: expected a string, got a number" },
    { { scenario = { {} } }, "simulation.scenario[1]: expected exactly one of outage" },
    { { scenario = { { outage = true, slow = 1 } } }, "simulation.scenario[1]: expected exactly" },
    { { scenario = { { outage = false } } }, "simulation.scenario[1].outage: expected true" },
    { { scenario = { { slow = 1, answer = "503" } } }, "answer only together with outage" },
    { { scenario = { { slow = 1, retry_after = 1 } } }, "retry_after only where the server" },
    { { scenario = { { outage = true, answer = "silence", retry_after = 1 } } },
      "simulation.scenario[1]: expected retry_after only where" },
    { { scenario = { { brownout = 1.5 } } }, "simulation.scenario[1].brownout: expected" },
  }
  for _, case in ipairs(CASES) do
    it("is told: " .. case[2], function()
      local message = refusal(policy(), case[1])
      assert.is_truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("is told of a setting that is no table", function()
    assert.is_truthy(refusal(policy(), 5):find("simulation: expected a table, got a number", 1,
      true))
  end)

  it("is told of more incidents than there may be", function()
    local scenario = {}
    for index = 1, 33 do scenario[index] = { outage = true } end
    assert.is_truthy(refusal(policy(), { scenario = scenario }):find("at most 32", 1, true))
  end)

  it("of the policy is told as a client tells it", function()
    assert.is_truthy(refusal({ name = "x", retri = 1 }):find(
      'policy.retri: unknown key, did you mean "retry"?', 1, true))
  end)
end)
