-- Clients that hang up in the midst of a call: nginx drops their requests without a word, and what
-- the calls held is free again at once.
local socket = require "socket"

local farm = require "spec.support.farm"
local process = require "spec.support.process"
local server = require "spec.support.server"

local s, n

local PLACES = 300

local INIT = ([[
  local function make(name, policy)
    policy.name, policy.base_url = name, upstream
    if policy.retry == nil then policy.retry = false end
    policy.breaker, policy.gate = false, false
    policy.timeout = { read = 60, total = 120 }
    policy.pool = { max_connections = 1000, per_host = 1000 }
    return neap.client(policy)
  end
  local retry = { budget = false,
    backoff = { kind = "fixed", base = 60, max = 60, jitter = "none" } }
  clients = {
    api = make("api", { bulkhead = { max_concurrent = %d } }),
    retrying = make("retrying", { retry = retry, bulkhead = { max_concurrent = %d } }),
    narrow = make("narrow", { bulkhead = { max_concurrent = 1, max_wait = 60, max_queue = 100 } }),
    limited = make("limited", { rate_limit = { rate = 1, burst = 1, max_wait = 110 } }),
    watched = make("watched", { retry = retry, bulkhead = { max_concurrent = %d } }),
  }
  clients.watched:on("attempt", function() neap.sleep(60) end)
  upstream_port = tonumber(upstream:match("%%d+$"))
  wrapped = neap.wrap({ name = "wrapped", retry = false, breaker = false,
    bulkhead = { max_concurrent = %d } }, function(port)
    if not port then
      return
    end
    local peer = ngx.socket.tcp()
    peer:settimeouts(1000, 1000, 60000)
    assert(peer:connect("127.0.0.1", port))
    assert(peer:send("GET /status/200?after=50 HTTP/1.0\r\n\r\n"))
    return peer:receive("*l")
  end)
]]):format(PLACES, PLACES, PLACES, PLACES)

before_each(function()
  s = server.start()
  n = farm.start{ upstream = s.url, region = true, init = INIT }
end)

after_each(function()
  n:stop()
  s:stop()
end)

-- ----------------------------------------------------------------------------------- hanging up

local function hang_up(talks)
  for _, talk in ipairs(talks) do
    talk:close()
  end
end

local function in_flight(client)
  return n:run(("return neap.stats()[%q].in_flight"):format(client))
end

local function wait_for_flights(client, count, seconds)
  farm.wait(("%d calls of %s in flight"):format(count, client), function()
    return in_flight(client) == count
  end, seconds or 10)
end

-- Long before a collector would have come by everything that they left.
local SOON = 2

local function upstream_has(count, seconds)
  local held, last = s:settle(function(ledger)
    return ledger.in_flight == count
  end, seconds)
  assert.is_truthy(held, last.in_flight)
end

-- All places of the bulkhead can be had at once.
local function has_all_places(chunk)
  local talks = n:begin(PLACES, chunk)
  upstream_has(PLACES, 10)
  hang_up(talks)
  upstream_has(0)
end

describe("10,000 clients that hang up in mid-call", function()
  local CLIENTS, AT_ONCE = 10000, 250
  local CALL = "return told(clients.api:get('/status/200?after=50'))"

  local function worker()
    return n:workers()[1]
  end

  local function resident_kb()
    local status = process.read_file(("/proc/%d/status"):format(worker()))
    return tonumber(status:match("VmRSS:%s*(%d+)"))
  end

  local function come_and_go(count)
    for _ = 1, count / AT_ONCE do
      local talks = n:begin(AT_ONCE, CALL)
      upstream_has(AT_ONCE, 10)
      hang_up(talks)
      upstream_has(0, 10)
    end
  end

  it("leave no descriptor, permit, call in flight or request behind, and no memory", function()
    come_and_go(AT_ONCE)
    assert.equal(0, in_flight("api"))
    local descriptors, threads = farm.descriptors(worker()), farm.threads(worker())
    local pid = worker()
    come_and_go(CLIENTS / 2)
    local resident = resident_kb()
    come_and_go(CLIENTS / 2)
    assert.equal(pid, worker())
    farm.wait("as many descriptors as before", function()
      return farm.descriptors(pid) <= descriptors
    end)
    assert.equal(threads, farm.threads(pid))
    assert.equal(0, in_flight("api"))
    assert.equal(AT_ONCE + CLIENTS, s:ledger().requests)
    assert.is_true(resident_kb() < resident + 10000, resident_kb() .. " after " .. resident)
    has_all_places(CALL)
  end)

  -- nginx does not notice who left before its request was handled: such calls go on to their end.
  it("may leave before their calls have begun", function()
    for round = 1, 10 do
      local talks = n:begin(AT_ONCE, "return told(clients.api:get('/status/200?after=1'))")
      socket.sleep(0.002 * (round - 1)) -- each time at another moment
      hang_up(talks)
    end
    wait_for_flights("api", 0)
    upstream_has(0)
    has_all_places(CALL)
  end)
end)

-- What a call may be waiting for when its client leaves, and how many requests the upstream has
-- seen by then of so many calls.
local function each_sent(count)
  return count
end

local WAITS = {
  {
    name = "for its backoff", client = "retrying", sent = each_sent,
    chunk = "return told(clients.retrying:get('/status/503'))",
  },
  {
    name = "in a wrapped function, for a cosocket", client = "wrapped", sent = each_sent,
    chunk = "return { wrapped(upstream_port) }",
  },
  {
    name = "in a wrapped function that is called often, and no collector comes by",
    client = "wrapped", sent = each_sent,
    chunk = [[
      collectgarbage("stop")
      for _ = 1, 100 do wrapped() end
      return { wrapped(upstream_port) }
    ]],
  },
  {
    name = "for a listener that sleeps", client = "watched", sent = each_sent,
    chunk = "return told(clients.watched:get('/status/503'))",
  },
  {
    name = "in a task beside others that wait", client = "api", sent = each_sent,
    chunk = [[
      return neap.all{ function() return told(clients.api:get('/status/200?after=50')) end,
        function() neap.sleep(50) end, function() ngx.sleep(50) end }
    ]],
  },
  {
    name = "for its rate limit", client = "limited",
    chunk = "return told(clients.limited:get('/status/200?after=50'))",
    sent = function()
      return 1
    end,
  },
}

for _, wait in ipairs(WAITS) do
  describe("clients that hang up while their calls wait " .. wait.name, function()
    local function come_and_go(count)
      s:reset()
      local talks = n:begin(count, wait.chunk)
      wait_for_flights(wait.client, count)
      farm.wait("requests at the upstream", function()
        return s:ledger().requests >= wait.sent(count)
      end)
      hang_up(talks)
      wait_for_flights(wait.client, 0, SOON)
      upstream_has(0, SOON)
    end

    it("leave nothing behind", function()
      come_and_go(100)
      if wait.client == "limited" then -- who left has had its turn, as in plain Lua
        return
      end
      come_and_go(100)
      come_and_go(PLACES) -- all of them are free again
    end)
  end)
end

describe("clients that hang up in the queue of a bulkhead", function()
  it("leave their places in the queue, and those behind them move up", function()
    local holder = n:begin(1, "return told(clients.narrow:get('/status/200?gate=first'))")
    upstream_has(1)
    for _ = 1, 5 do
      local queued = n:begin(100, "return told(clients.narrow:get('/status/200?after=50'))")
      wait_for_flights("narrow", 101)
      hang_up(queued)
      wait_for_flights("narrow", 1, SOON)
    end
    local last = n:begin(100, "return told(clients.narrow:get('/status/200'))")
    wait_for_flights("narrow", 101)
    s:release("first")
    assert.equal(200, holder[1]:finish().status)
    for _, talk in ipairs(last) do
      assert.equal(200, talk:finish().status)
    end
    assert.equal(1, s:ledger().max_in_flight)
  end)

  it("and one that hangs up with the only place lets the queue have it", function()
    local holder = n:begin(1, "return told(clients.narrow:get('/status/200?after=50'))")
    upstream_has(1)
    local queued = n:begin(20, "return told(clients.narrow:get('/status/200'))")
    wait_for_flights("narrow", 21)
    hang_up(holder)
    for _, talk in ipairs(queued) do
      assert.equal(200, talk:finish().status)
    end
  end)
end)

describe("where nginx does not look for clients that leave", function()
  it("calls end as they would have, and leave nothing behind", function()
    n:stop()
    n = farm.start{ upstream = s.url, region = true, init = INIT,
      conf = "lua_check_client_abort off;" }
    local talks = n:begin(100, "return told(clients.api:get('/status/200?gate=all'))")
    upstream_has(100)
    hang_up(talks)
    assert.equal(100, in_flight("api"))
    s:release("all")
    wait_for_flights("api", 0)
    upstream_has(0)
  end)
end)
