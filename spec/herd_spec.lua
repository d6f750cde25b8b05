-- The thundering herd: a thousand callers meet one outage at the same instant. Do they come back at
-- the same instant? (Where the answer does not depend on it, a smaller herd does.)

local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"

local HERD = 1000
local FEW = 200

-- This is about moments, not about memory: under a collector that never rests a thousand callers
-- would take minutes, so it goes at its usual pace here.
local function at_usual_pace()
  local pause, step
  setup(function()
    pause = collectgarbage("setpause", 200)
    step = collectgarbage("setstepmul", 200)
  end)
  teardown(function()
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
  end)
end

-- A server that is down from 0 on and for so many seconds.
local function down_for(t, seconds, answer)
  t:script { { answer = function()
    return t:now() < seconds and (answer or { status = 503 }) or { status = 200 }
  end, ["repeat"] = true } }
end

local function client_in(t, index, part)
  local policy = { name = "caller " .. index, base_url = kit.ORIGIN }
  for key, value in pairs(part) do
    policy[key] = value
  end
  return t:client(policy)
end

-- So many clients, each with policies and a budget of its own, that call at 0.
local function herd_of_clients(count, part, outage, answer)
  local t = testing.new { seed = 20260101 }
  down_for(t, outage, answer)
  t:run(function()
    for index = 1, count do
      local client = client_in(t, index, part)
      neap.spawn(client.get, client, "/")
    end
  end)
  return t
end

-- One client of which so many tasks make a call at 0.
local function herd_of_tasks(count, part, outage)
  local t = testing.new { seed = 20260101 }
  down_for(t, outage)
  local client = client_in(t, 1, part)
  t:run(function()
    for _ = 1, count do
      neap.spawn(client.get, client, "/")
    end
  end)
  return t, client
end

-- The moments of the retries, in order; of those with that number of attempt if one is given.
local function retries(t, attempt)
  local moments = {}
  for _, request in ipairs(t.requests) do
    if request.attempt > 1 and (not attempt or request.attempt == attempt) then
      moments[#moments + 1] = request.at
    end
  end
  return moments
end

-- How many of the moments lie in the busiest span of so many seconds.
local function busiest(moments, seconds)
  local most, first = 0, 1
  for last = 1, #moments do
    while moments[last] - moments[first] >= seconds do
      first = first + 1
    end
    most = math.max(most, last - first + 1)
  end
  return most
end

local function share_of_busiest(moments)
  assert.is_true(#moments > 0)
  return busiest(moments, 0.1) / #moments
end

local function with_jitter(jitter)
  return { breaker = false, retry = { backoff = { base = 1, max = 10, jitter = jitter } } }
end

describe("a thousand clients in an outage", function()
  at_usual_pace()

  it("without jitter come back in the same instant, every time", function()
    local t = herd_of_clients(HERD, with_jitter("none"), 100)
    local second, third = retries(t, 2), retries(t, 3)
    assert.equal(HERD, busiest(second, 1e-9))
    assert.equal(HERD, busiest(third, 1e-9))
    assert.equal(1, second[1])
    assert.equal(3, third[1])
  end)

  it("with the default jitter never bring a fifth of their retries into 100 ms", function()
    local t = herd_of_clients(HERD, { breaker = false }, 100)
    assert.equal(HERD, #retries(t, 2))
    assert.is_true(share_of_busiest(retries(t)) < 0.2)
    assert.is_true(share_of_busiest(retries(t, 2)) < 0.2)
    assert.is_true(share_of_busiest(retries(t, 3)) < 0.2)
    assert.is_true(busiest(retries(t), 1e-9) < 5)
  end)

  for _, jitter in ipairs { "full", "additive", "decorrelated", 1 } do
    it("with jitter " .. jitter .. " do not either", function()
      local t = herd_of_clients(FEW, with_jitter(jitter), 100)
      assert.is_true(share_of_busiest(retries(t)) < 0.2)
    end)
  end

  it("stay spread at the longest delay", function()
    local t = herd_of_clients(FEW, { breaker = false, timeout = { total = 100 }, retry = {
      max_attempts = 5, backoff = { base = 10, max = 10 } } }, 1000)
    for attempt = 2, 5 do
      assert.is_true(share_of_busiest(retries(t, attempt)) < 0.2)
    end
  end)

  it("are spread when a server names the moment for all", function()
    local t = herd_of_clients(FEW, {}, 5, { status = 503, headers = { ["Retry-After"] = "10" } })
    local moments = retries(t)
    assert.equal(FEW, #moments)
    assert.is_true(moments[1] >= 10 and moments[FEW] <= 11)
    assert.is_true(share_of_busiest(moments) < 0.2)
  end)

  it("are spread when they come while the gate is closed", function()
    local t = testing.new { seed = 20260101 }
    t:script { { status = 503, headers = { ["Retry-After"] = "10" } }, kit.OK }
    t:run(function()
      for index = 0, FEW do
        local client = client_in(t, index, { retry = false })
        neap.spawn(client.get, client, "/")
        neap.sleep(index == 0 and 0.001 or 0)
      end
    end)
    local moments = {}
    for index = 2, #t.requests do
      moments[index - 1] = t.requests[index].at
    end
    assert.equal(FEW, #moments)
    assert.is_true(moments[1] >= 10 and moments[FEW] <= 11)
    assert.is_true(share_of_busiest(moments) < 0.2)
  end)

  it("are served after it", function()
    local t = herd_of_clients(FEW, { breaker = false }, 1.4)
    local served = 0
    for _, request in ipairs(t.requests) do
      served = served + (request.status == 200 and 1 or 0)
    end
    assert.equal(FEW, served)
  end)

  it("do the same again with the same seed", function()
    local function history()
      local lines = {}
      for index, request in ipairs(herd_of_clients(FEW, {}, 100).requests) do
        lines[index] = ("%.17g %s"):format(request.at, request.client)
      end
      return table.concat(lines, "\n")
    end
    assert.equal(history(), history())
  end)
end)

describe("many calls of one client in an outage", function()
  at_usual_pace()

  it("triple themselves without a budget", function()
    local t = herd_of_tasks(FEW, { breaker = false, retry = { budget = false } }, 100)
    assert.equal(3 * FEW, #t.requests)
  end)

  it("stay within the default budget: a fifth, and ten a second", function()
    local t, client = herd_of_tasks(HERD, { breaker = false }, 100)
    local made = retries(t)
    assert.is_true(made[#made] < 10)
    assert.equal(0.2 * HERD + 10 * 10, #made)
    assert.equal(#made, client:stats().retries["503"])
    assert.equal(HERD, client:stats().calls)
  end)

  it("stay within a budget that is a share of them alone", function()
    local t = herd_of_tasks(FEW, { breaker = false, retry = {
      budget = { ratio = 0.1, min_per_second = 0, ttl = 10 } } }, 100)
    assert.equal(0.1 * FEW, #retries(t))
  end)

  it("without jitter bring what the budget leaves in one instant", function()
    local part = with_jitter("none")
    part.retry.budget = { ratio = 0.5, min_per_second = 0 }
    local t = herd_of_tasks(FEW, part, 100)
    assert.equal(0.5 * FEW, busiest(retries(t), 1e-9))
  end)

  it("end at the breaker, and its probes find the end of the outage", function()
    local t = testing.new { seed = 20260101 }
    down_for(t, 60)
    local client = client_in(t, 1, { retry = { budget = false }, breaker = { open_for = 10 } })
    local answered
    t:run(function()
      for index = 1, 500 do
        neap.spawn(function()
          neap.sleep(index * 0.2)
          local res = client:get("/")
          if res and res.ok then
            answered = answered or neap.now()
          end
        end)
      end
    end)
    local during = 0
    for _, request in ipairs(t.requests) do
      during = during + (request.at < 60 and 1 or 0)
    end
    assert.is_true(during < 100, during .. " attempts in the outage")
    assert.is_true(answered >= 60 and answered < 75, "answered at " .. answered)
    assert.equal("closed", client.breaker:state())
    assert.equal(0, client:stats().in_flight)
  end)

  it("wait in line at the bulkhead, and all go", function()
    local t = testing.new { seed = 20260101 }
    t:script { { status = 200, after = 0.01, ["repeat"] = true } }
    local client = client_in(t, 1, { bulkhead = { max_concurrent = 10, max_wait = 20 } })
    t:run(function()
      for _ = 1, FEW do
        neap.spawn(client.get, client, "/")
      end
    end)
    assert.equal(FEW, client:stats().ok)
    assert.near(FEW / 10 * 0.01, t:now(), 1e-6)
  end)
end)
