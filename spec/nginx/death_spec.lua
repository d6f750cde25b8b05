-- A worker that is killed leaks nothing of what it shared: permits and probes are free again for
-- the others, and its calls in flight are counted no more.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

local SOON = 2 -- seconds
local PLACES = 4

local INIT = [[
  local function make(name, policy)
    policy.name, policy.base_url, policy.retry = name, upstream, false
    policy.timeout = { read = 30 }
    return neap.client(policy)
  end
  clients = {
    narrow = make("narrow", { breaker = false, bulkhead = { max_concurrent = 4 } }),
    queueing = make("queueing", { breaker = false,
      bulkhead = { max_concurrent = 4, max_wait = 10 } }),
    probing = make("probing", { breaker = { min_calls = 2, open_for = 0.05,
      half_open = { permits = 1, lease = 60 } } }),
    steady = make("steady", {}),
  }
]]

before_each(function()
  s = server.start()
  n = farm.start{ workers = 3, upstream = s.url, region = true, init = INIT }
end)

after_each(function()
  n:stop()
  s:stop()
end)

local function get(client, path)
  return ("return told(clients.%s:get(%q))"):format(client, path)
end

local function begin(talks, client, path)
  for _, talk in ipairs(talks) do
    talk:begin(get(client, path))
  end
end

local function in_flight(talk, client)
  return talk:run(("return clients.%s:stats().in_flight"):format(client))
end

local function upstream_has(count)
  assert.is_truthy(s:settle(function(ledger)
    return ledger.in_flight == count
  end))
end

-- nginx runs its children by itself: only the process of that number is hit.
local function kill(pid)
  os.execute(("kill -9 %d"):format(pid))
  farm.wait("death of the worker, and its successor", function()
    return not farm.lives(pid) and #n:workers() == 3
  end)
end

describe("when a worker is killed", function()
  it("the bulkhead's places that it held are free within 2 s", function()
    local talks, pids = n:each_worker(PLACES)
    begin(talks[1], "narrow", "/status/200?gate=never")
    upstream_has(PLACES)
    assert.equal("bulkhead_full", talks[2][1]:run(get("narrow", "/status/200")).kind)
    kill(pids[1])
    farm.wait("places for others", function()
      return talks[2][1]:run(get("narrow", "/status/200")).status == 200
    end, SOON)
    begin(talks[3], "narrow", "/status/200?gate=all")
    upstream_has(PLACES)
    assert.equal("bulkhead_full", talks[2][1]:run(get("narrow", "/status/200")).kind)
    s:release("all")
    for _, talk in ipairs(talks[3]) do
      assert.equal(200, talk:finish().status)
    end
  end)

  it("those who queue for its places in other workers get them within 2 s", function()
    local talks, pids = n:each_worker(PLACES)
    begin(talks[1], "queueing", "/status/200?gate=never")
    upstream_has(PLACES)
    begin(talks[2], "queueing", "/status/200")
    begin(talks[3], "queueing", "/status/200")
    farm.wait("all in the queue", function()
      return in_flight(n:talk(), "queueing") == 3 * PLACES
    end)
    kill(pids[1])
    local _, seconds = farm.wait("their answers", function()
      for worker = 2, 3 do
        for _, talk in ipairs(talks[worker]) do
          assert.equal(200, talk:finish().status)
        end
      end
      return true
    end)
    assert.is_true(seconds < SOON, seconds)
  end)

  it("the probe that it held is free within 2 s", function()
    local talks, pids = n:each_worker()
    local victim, other = talks[1][1], talks[2][1]
    for _ = 1, 2 do
      assert.equal(500, other:run(get("probing", "/status/500")).status)
    end
    farm.wait("the end of open_for", function()
      return other:run "return clients.probing.breaker:snapshot().retry_after" == 0
    end)
    begin({ victim }, "probing", "/status/200?gate=never")
    upstream_has(1)
    assert.equal("breaker_open", other:run(get("probing", "/status/200")).kind)
    kill(pids[1])
    farm.wait("a probe for others", function()
      return other:run(get("probing", "/status/200")).status == 200
    end, SOON)
    assert.equal("closed", talks[3][1]:run "return clients.probing.breaker:state()")
  end)

  it("calls of the other workers go on undisturbed", function()
    local talks, pids = n:each_worker(5)
    for worker = 1, 3 do
      begin(talks[worker], "steady", "/status/200?gate=all")
    end
    upstream_has(15)
    kill(pids[1])
    upstream_has(10)
    s:release("all")
    for worker = 2, 3 do
      for _, talk in ipairs(talks[worker]) do
        local told = talk:finish()
        assert.same({ 200, 1 }, { told.status, told.attempts })
      end
    end
    for _, talk in ipairs(talks[1]) do
      assert.is_nil((talk:receive()))
    end
  end)

  it("what it had in flight is counted no more within 2 s", function()
    local talks, pids = n:each_worker(5)
    for worker = 1, 2 do
      begin(talks[worker], "steady", "/status/200?gate=all")
    end
    upstream_has(10)
    local asking = talks[3][1]
    assert.equal(10, in_flight(asking, "steady"))
    kill(pids[1])
    farm.wait("a right count", function()
      return in_flight(asking, "steady") == 5
    end, SOON)
    s:release("all")
    for _, talk in ipairs(talks[2]) do
      assert.equal(200, talk:finish().status)
    end
    assert.equal(0, in_flight(asking, "steady"))
  end)

  it("its successor takes part", function()
    local talks, pids = n:each_worker()
    for _ = 1, 2 do
      talks[1][1]:run(get("probing", "/status/500"))
    end
    kill(pids[1])
    local _, later = n:each_worker()
    assert.equal(3, #later)
    for _, list in ipairs((n:each_worker())) do
      assert.equal(2, list[1]:run "return clients.probing:stats().calls")
    end
  end)
end)

describe("when one worker after another is killed in the midst of calls", function()
  it("nothing is left of them", function()
    for _ = 1, 8 do
      local talks, pids = n:each_worker(PLACES)
      for worker = 1, 3 do
        begin(talks[worker], "queueing", "/status/200?after=0.02")
      end
      kill(pids[1])
      for worker = 2, 3 do
        for _, talk in ipairs(talks[worker]) do
          assert.equal(200, talk:finish().status)
        end
      end
      for worker = 1, 3 do
        for _, talk in ipairs(talks[worker]) do
          talk:close()
        end
      end
    end
    farm.wait("nothing in flight, and only the living in the region", function()
      local told = n:run [[
        return { flying = clients.queueing:stats().in_flight, processes = region:stats().processes }
      ]]
      return told.flying == 0 and told.processes <= 4
    end, SOON)
    begin(n:each_worker(PLACES)[1], "narrow", "/status/200?gate=all")
    upstream_has(PLACES)
  end)
end)
