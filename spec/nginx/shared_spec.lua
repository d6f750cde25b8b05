-- State in memory that the workers share: what one of them has learnt, all know, and a limit is one
-- limit for all.
local socket = require "socket"

local calls = require "spec.support.calls"
local farm = require "spec.support.farm"
local process = require "spec.support.process"
local server = require "spec.support.server"

local s, n
local talks -- twelve with each of the four workers

local WORKERS, EACH = 4, 12

-- Both nginx and plain Lua make their clients from this text.
local CLIENTS = [[
  local function make(name, policy)
    policy.name, policy.base_url = name, upstream
    if policy.retry == nil then policy.retry = false end
    if policy.breaker == nil then policy.breaker = false end
    if policy.gate == nil then policy.gate = false end
    policy.timeout = { read = 20 }
    return neap.client(policy)
  end
  clients = {
    breaking = make("breaking", { breaker = { open_for = 60 } }),
    probing = make("probing", { breaker = { min_calls = 4, open_for = 0.3,
      half_open = { permits = 3, lease = 60 } } }),
    limited = make("limited", { rate_limit = { rate = 1, per = 1000, burst = 10 } }),
    narrow = make("narrow", { bulkhead = { max_concurrent = 5 } }),
    queueing = make("queueing", { bulkhead = { max_concurrent = 5, max_wait = 10 } }),
    thrifty = make("thrifty", { retry = { max_attempts = 2,
      backoff = { kind = "fixed", base = 0.001, jitter = "none" },
      budget = { ratio = 0.25, min_per_second = 0, ttl = 60 } } }),
    gated = make("gated", { gate = { max_wait = 0 } }),
    patient = make("patient", { gate = { max_wait = 10 } }),
    counted = make("counted", {}),
  }
]]

setup(function()
  s = server.start()
  n = farm.start{ workers = WORKERS, upstream = s.url, region = true, init = CLIENTS }
  talks = n:each_worker(EACH)
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

-- ----------------------------------------------------------------------------------- steering

-- The call number `index` goes to the next worker.
local function next_talk(index)
  return talks[(index - 1) % WORKERS + 1][1]
end

local function get(client, path)
  return ("return told(clients.%s:get(%q))"):format(client, path)
end

local function every_talk()
  local all = {}
  for place = 1, EACH do
    for worker = 1, WORKERS do
      all[#all + 1] = talks[worker][place]
    end
  end
  return all
end

-- How many calls came to each status or kind.
local function tally(values)
  local counts = {}
  for _, told in ipairs(values) do
    local word = told.kind or told.status
    counts[word] = (counts[word] or 0) + 1
  end
  return counts
end

local function sent()
  return s:ledger().requests
end

-- How many of these talks have an answer, or a part of one, to be read.
local function answered(all)
  local connections = {}
  for index, talk in ipairs(all) do
    connections[index] = talk.connection
  end
  return #socket.select(connections, nil, 0)
end

-- Makes the call on every talk at once, lets go of those that wait at the upstream's gate when all
-- the others have been answered, and says what they came to.
local function rush(client, path, waiting)
  local all, values = every_talk(), {}
  for _, talk in ipairs(all) do
    talk:begin(get(client, path .. "?gate=rush"))
  end
  farm.wait("refusals of all others", function()
    return answered(all) == #all - waiting and sent() == waiting
  end)
  s:release("rush")
  for index, talk in ipairs(all) do
    values[index] = talk:finish()
  end
  return values
end

-- Calls, worker after worker, until one is refused: how many got through, and the kind.
local function calls_until_refused(client, path)
  for made = 0, 1000 do
    local told = next_talk(made + 1):run(get(client, path))
    if told.kind then
      return made, told.kind
    end
  end
end

-- The same in one process of plain Lua, whose state is its own or the region's.
local function in_plain_lua(chunk, region)
  return calls.child(nil, ([[
    neap, upstream = require "neap", %q
    local region = %q
    if region ~= "" then assert(neap.shared{ name = region }) end
    %s
    local function run() %s end
    print(require("cjson").encode(run()))
  ]]):format(s.url, region or "", CLIENTS, chunk))
end

-- ------------------------------------------------------------------------------------ breaker

describe("failures that are spread over four workers", function()
  it("open the breaker at the same count as in one process", function()
    local alone = in_plain_lua [[
      local made = 0
      while not select(2, clients.breaking:get("/status/500")) do made = made + 1 end
      return { made = made }
    ]].made
    s:reset()
    local made, kind = calls_until_refused("breaking", "/status/500")
    assert.equal("breaker_open", kind)
    assert.equal(10, alone)
    assert.equal(10, made)
    assert.equal(10, sent())
  end)

  it("are known to all workers, which send nothing more", function()
    for _, told in ipairs(farm.together(every_talk(), get("breaking", "/status/200"))) do
      assert.equal("breaker_open", told.kind)
    end
    assert.equal(0, sent())
  end)

  it("are known within 50 ms of the failure that opened it", function()
    n:run "clients.breaking.breaker:reset() return true"
    for made = 1, 9 do
      assert.equal(500, next_talk(made):run(get("breaking", "/status/500")).status)
    end
    local began = socket.gettime()
    assert.equal(500, next_talk(10):run(get("breaking", "/status/500")).status)
    for worker = 1, WORKERS do
      assert.equal("breaker_open", talks[worker][1]:run(get("breaking", "/status/200")).kind)
    end
    local took = socket.gettime() - began
    assert.is_true(took < 0.05, ("%.1f ms"):format(took * 1000))
  end)

  it("are known to a plain program that joins the region", function()
    local seen = in_plain_lua([[
      local _, err = clients.breaking:get("/status/200")
      return { state = clients.breaking.breaker:state(), kind = err and err.kind }
    ]], n.region)
    assert.same({ state = "open", kind = "breaker_open" }, seen)
    assert.equal(0, sent())
  end)

  it("that a plain program meets are known to the workers", function()
    n:run "clients.breaking.breaker:reset() return true"
    in_plain_lua([[
      for _ = 1, 10 do clients.breaking:get("/status/500") end
      return {}
    ]], n.region)
    for worker = 1, WORKERS do
      assert.equal("breaker_open", talks[worker][1]:run(get("breaking", "/status/200")).kind)
    end
  end)
end)

describe("a half-open breaker", function()
  local function open_it()
    for made = 1, 4 do
      assert.equal(500, next_talk(made):run(get("probing", "/status/500")).status)
    end
    assert.equal("breaker_open", next_talk(1):run(get("probing", "/status/200")).kind)
    farm.wait("the end of open_for", function()
      return n:run "return clients.probing.breaker:snapshot().retry_after" == 0
    end)
    s:reset()
  end

  it("admits exactly its permits in all workers together, and closes when they succeed", function()
    open_it()
    local values = rush("probing", "/status/200", 3)
    assert.same({ [200] = 3, breaker_open = WORKERS * EACH - 3 }, tally(values))
    assert.equal(3, sent())
    for worker = 1, WORKERS do
      assert.equal("closed", talks[worker][1]:run "return clients.probing.breaker:state()")
    end
  end)

  it("opens again for all when its probes fail", function()
    open_it()
    local values = rush("probing", "/status/500", 3)
    assert.same({ [500] = 3, breaker_open = WORKERS * EACH - 3 }, tally(values))
    assert.equal(3, sent())
    for worker = 1, WORKERS do
      assert.equal("open", talks[worker][1]:run "return clients.probing.breaker:state()")
    end
  end)
end)

-- ------------------------------------------------------------------------------------- limits

describe("a rate limit", function()
  it("is one for all workers", function()
    local values = farm.together(every_talk(), get("limited", "/status/200"))
    assert.same({ [200] = 10, rate_limited = WORKERS * EACH - 10 }, tally(values))
    assert.equal(10, sent())
  end)
end)

describe("a bulkhead", function()
  it("never lets more through than its places, from all workers together", function()
    local values = rush("narrow", "/status/200", 5)
    assert.same({ [200] = 5, bulkhead_full = WORKERS * EACH - 5 }, tally(values))
    assert.equal(5, s:ledger().max_in_flight)
  end)

  it("lets all through in turn who may wait, and never more than its places at once", function()
    local values = farm.together(every_talk(), get("queueing", "/status/200?after=0.05"))
    assert.same({ [200] = WORKERS * EACH }, tally(values))
    assert.equal(5, s:ledger().max_in_flight)
    assert.equal(WORKERS * EACH, sent())
  end)
end)

describe("a retry budget", function()
  it("allows all workers together what it allows one process", function()
    in_plain_lua [[
      for _ = 1, 40 do clients.thrifty:get("/status/503") end
      return {}
    ]]
    local alone = sent()
    s:reset()
    for index = 1, 40 do
      next_talk(index):run(get("thrifty", "/status/503"))
    end
    assert.equal(50, alone)
    assert.equal(50, sent())
  end)
end)

-- --------------------------------------------------------------------------------------- gate

describe("a server's Retry-After", function()
  for _, status in ipairs{ 429, 503 } do
    it(("on %d holds back all workers"):format(status), function()
      local path = ("/status/%d?header=Retry-After:1"):format(status)
      local began = socket.gettime()
      assert.equal(status, talks[1][1]:run(get("gated", path)).status)
      for _, told in ipairs(farm.together(every_talk(), get("gated", "/status/200"))) do
        assert.equal("gate", told.kind)
      end
      assert.equal(1, sent())
      assert.is_true(socket.gettime() - began < 1)
      farm.wait("the gate's end", function()
        return talks[2][1]:run(get("gated", "/status/200")).status == 200
      end)
      assert.is_true(socket.gettime() - began >= 1)
    end)
  end

  it("lets those in all workers wait who may, and none of them comes early", function()
    local began = socket.gettime()
    talks[1][1]:run(get("patient", "/status/429?header=Retry-After:1"))
    local values = farm.together(every_talk(), get("patient", "/status/200"))
    assert.same({ [200] = WORKERS * EACH }, tally(values))
    for _, told in ipairs(values) do
      assert.same({ "gate" }, told.waits)
    end
    assert.is_true(socket.gettime() - began >= 1)
  end)
end)

-- -------------------------------------------------------------------------------------- stats

describe("client:stats()", function()
  it("counts the calls of all workers", function()
    farm.together(every_talk(), get("counted", "/status/200"))
    farm.together({ talks[1][1], talks[2][1], talks[3][1] }, get("counted", "/reset"))
    for worker = 1, WORKERS do
      local stats = talks[worker][1]:run [[
        local stats = clients.counted:stats()
        return { calls = stats.calls, ok = stats.ok, resets = stats.errors.reset,
          in_flight = stats.in_flight, latency = stats.latency.count }
      ]]
      assert.same({ calls = WORKERS * EACH + 3, ok = WORKERS * EACH, resets = 3, in_flight = 0,
        latency = WORKERS * EACH + 3 }, stats)
    end
  end)

  it("tells what all workers have in flight", function()
    local all = every_talk()
    local asking = n:talk()
    for _, talk in ipairs(all) do
      talk:begin(get("counted", "/status/200?gate=flight"))
    end
    assert.is_truthy(s:settle(function(ledger)
      return ledger.in_flight == #all
    end))
    assert.equal(#all, asking:run "return clients.counted:stats().in_flight")
    s:release("flight")
    for _, talk in ipairs(all) do
      talk:finish()
    end
    assert.equal(0, asking:run "return clients.counted:stats().in_flight")
  end)
end)

-- ------------------------------------------------------------------------------------ regions

describe("a region that cannot be joined", function()
  local name, path

  before_each(function()
    name = farm.region_name()
    path = farm.region_path(name)
    calls.child(nil, ([[
      assert(require("neap").shared{ name = %q, size = 65536 })
      print("{}")
    ]]):format(name))
  end)

  after_each(function()
    os.remove(path)
  end)

  local function overwrite(at, bytes)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", at)
    file:write(bytes)
    file:close()
  end

  -- What init_by_lua is told, in an nginx that starts all the same.
  local function refusal()
    local other = farm.start{ upstream = s.url, init = ([[
      local region, err = neap.shared{ name = %q }
      refused = { none = region == nil, kind = err and err.kind, message = err and err.message }
    ]]):format(name) }
    local refused = other:run "return refused"
    other:stop()
    assert.is_true(refused.none)
    assert.equal("store", refused.kind)
    return refused.message
  end

  it("is told in init_by_lua: another version's", function()
    overwrite(8, "\99\0\0\0")
    local message = refusal()
    assert.is_truthy(message:find("made by another version of neap (layout 99, this one is", 1,
      true), message)
    assert.is_truthy(message:find(path, 1, true), message)
  end)

  it("is told in init_by_lua: no region at all", function()
    overwrite(0, "something else")
    assert.equal(path .. " is no region of neap", refusal())
  end)

  it("is told in init_by_lua: open to other users", function()
    os.execute("chmod 0644 " .. process.quoted(path))
    assert.equal(('the shared region "%s" is open to other users (mode 0644)'):format(name),
      refusal())
  end)

  it("is told in init_by_lua: another user's", function()
    if calls.output("id -u"):match("%d+") ~= "0" then
      pending("only root can give a file away")
      return
    end
    os.execute("chown 65534 " .. process.quoted(path))
    assert.equal(('the shared region "%s" belongs to another user'):format(name), refusal())
  end)

  it("raises where it is misused", function()
    local message = n:run [[
      local _, raised = pcall(neap.shared, { name = "not/a name" })
      return raised
    ]]
    assert.is_truthy(message:find("shared.name: expected a name of 1 to 64 letters", 1, true),
      message)
  end)
end)
