-- A reload loses no call and leaks nothing, and nginx ends when it is told to.
local neap = require "neap"
local socket = require "socket"

local farm = require "spec.support.farm"
local process = require "spec.support.process"
local server = require "spec.support.server"

local s, n

local INIT = [[
  api = neap.client{ name = "api", base_url = upstream, retry = false,
    pool = { max_connections = 200, per_host = 200 } }
  touchy = neap.client{ name = "touchy", base_url = upstream, retry = false,
    breaker = { min_calls = 3, open_for = 60 } }
]]

local CONF = [[
  location = /call { content_by_lua_block {
    local res, err = api:get("/status/200?after=0.05")
    ngx.status = res and res.status or 500
    ngx.header["Content-Length"] = 0
    ngx.send_headers()
  } }
]]

before_each(function()
  s = server.start()
  n = farm.start{ workers = 2, upstream = s.url, region = true, init = INIT, conf = CONF }
end)

after_each(function()
  n:stop()
  s:stop()
end)

local function upstream_has(count)
  assert.is_truthy(s:settle(function(ledger)
    return ledger.in_flight == count
  end))
end

local function is_among(list, wanted)
  for _, entry in ipairs(list) do
    if entry == wanted then
      return true
    end
  end
  return false
end

-- Waits until none of these workers takes connections any more and others have come.
local function wait_for_successors(old)
  farm.wait("new workers", function()
    local now = n:workers()
    for _, pid in ipairs(now) do
      if is_among(old, pid) then
        return false
      end
    end
    return #now == #old
  end)
end

local function wait_for_end(pids, seconds)
  return select(2, farm.wait("end of the old workers", function()
    for _, pid in ipairs(pids) do
      if farm.lives(pid) then
        return false
      end
    end
    return true
  end, seconds))
end

local function reload()
  local old = n:workers()
  n:signal("HUP")
  wait_for_successors(old)
  return old
end

-- nginx tells of each process that did not end by itself.
local function nothing_crashed()
  local log = n:error_log()
  for _, sign in ipairs{ "exited on signal", "signal 11", "signal 6", "[alert]", "[emerg]" } do
    assert.is_nil(log:find(sign, 1, true), log)
  end
end

describe("a reload", function()
  it("in the midst of 50 calls lets all of them end well, and the old workers end", function()
    local talks = n:begin(50, "return told(api:get('/status/200?after=' .. 1 + $index % 2))")
    upstream_has(50)
    local old = reload()
    assert.equal(200, n:run "return told(api:get('/status/200')).status")
    for _, talk in ipairs(talks) do
      local told, pid = talk:finish()
      assert.equal(200, told.status)
      assert.is_true(is_among(old, pid))
      talk:close() -- or nginx lingers until its client has closed
    end
    wait_for_end(old, 3)
    nothing_crashed()
  end)

  it("lets a call wait for its retry, its time limit, and neap.sleep", function()
    local chunk = [[
      local own = neap.client{ name = "own", base_url = upstream, timeout = { read = 1 },
        retry = { max_attempts = 2, backoff = { kind = "fixed", base = 0.5, jitter = "none" } } }
      local results = neap.all{
        function() return told(own:get("/status/503")) end,
        function() return told(own:get("/status/200?after=20", { timeout = { total = 0.7 } })) end,
        function() neap.sleep(0.8) return { status = "slept" } end,
      }
      return { results[1][2].attempts, results[2][2].kind, results[3][2].status }
    ]]
    local talks = n:begin(4, chunk)
    farm.wait("calls at the upstream", function()
      return s:ledger().requests >= 8
    end)
    local old = reload()
    for _, talk in ipairs(talks) do
      assert.same({ 2, "timeout", "slept" }, (talk:finish()))
      talk:close()
    end
    wait_for_end(old, 3)
    nothing_crashed()
  end)

  it("lets requests of before make their first calls after it", function()
    local talks = n:begin(20, [[
      ngx.sleep(1)
      local results = neap.all{
        function() return told(api:get("/status/200?after=0.2")) end,
        function() return told(touchy:get("/status/200")) end,
        function() neap.sleep(0.3) return { status = "slept" } end,
      }
      return { ngx.worker.exiting(), results[1][2].status, results[2][2].status,
        results[3][2].status }
    ]])
    local old = reload()
    for _, talk in ipairs(talks) do
      assert.same({ true, 200, 200, "slept" }, (talk:finish()))
      talk:close()
    end
    wait_for_end(old, 3)
    nothing_crashed()
  end)

  it("keeps the state of the breaker, and the counts", function()
    for _ = 1, 3 do
      n:run "return told(touchy:get('/status/500'))"
    end
    assert.equal("breaker_open", n:run "return told(touchy:get('/status/200'))".kind)
    wait_for_end(reload(), 3)
    for _, talks in ipairs((n:each_worker())) do
      assert.equal("breaker_open", talks[1]:run "return told(touchy:get('/status/200'))".kind)
    end
    assert.equal(3, s:ledger().requests)
    assert.equal(6, n:run "return touchy:stats().calls")
  end)

  it("of workers that made no call is as quick", function()
    local old = reload()
    wait_for_end(old, 2)
    nothing_crashed()
  end)

  it("ends workers that wait for nothing within 3 s of their last call", function()
    for _, talks in ipairs((n:each_worker())) do
      assert.equal(200, talks[1]:run "return told(api:get('/status/200'))".status)
      talks[1]:close()
    end
    wait_for_end(reload(), 3)
    nothing_crashed()
  end)
end)

-- How many mappings of the region a process has.
local function mappings(pid)
  local maps = process.read_file(("/proc/%d/maps"):format(pid)) or ""
  return select(2, maps:gsub("/neap%-" .. n.region:gsub("%-", "%%-"), ""))
end

describe("twenty reloads under load", function()
  local TASKS, RELOADS = 16, 20

  -- Makes calls until told to stop, each on a connection of its own: how many, and which failed.
  local function load_until(client, is_over)
    local answered, failed = 0, {}
    while not is_over() do
      local res, err = client:get("/call", { headers = { Connection = "close" } })
      if res and res.status == 200 then
        answered = answered + 1
      else
        failed[#failed + 1] = err and tostring(err) or res.status
      end
    end
    return answered, failed
  end

  local function run_load(client, during)
    local over, answered, failed = false, 0, {}
    neap.run(function()
      for _ = 1, TASKS do
        neap.spawn(function()
          local own, own_failed = load_until(client, function() return over end)
          answered = answered + own
          for _, what in ipairs(own_failed) do
            failed[#failed + 1] = what
          end
        end)
      end
      during()
      over = true
    end)
    return answered, failed
  end

  local function measure()
    local pids = n:workers(true)
    local told = { workers = #pids, descriptors = 0, threads = 0, mappings = 0,
      master = farm.descriptors(n.pid), master_mappings = mappings(n.pid) }
    for _, pid in ipairs(pids) do
      told.descriptors = math.max(told.descriptors, farm.descriptors(pid))
      told.threads = math.max(told.threads, farm.threads(pid))
      told.mappings = math.max(told.mappings, mappings(pid))
    end
    return told
  end

  it("lose no request, and leak neither descriptors nor threads nor memory", function()
    local client = neap.client{ name = "load", base_url = n.url, retry = false, breaker = false,
      gate = false, pool = { max_connections = 100, per_host = 100 } }
    run_load(client, function() neap.sleep(0.3) end)
    local before = measure()
    assert.equal(2, before.threads)

    local old = {}
    local answered, failed = run_load(client, function()
      for _ = 1, RELOADS do
        for _, pid in ipairs(n:workers()) do
          old[#old + 1] = pid
        end
        n:signal("HUP")
        neap.sleep(0.15)
      end
    end)
    client:close()
    assert.same({}, failed)
    assert.is_true(answered > 10 * RELOADS, answered)
    for index = #old, 1, -1 do
      if is_among(n:workers(), old[index]) then
        table.remove(old, index)
      end
    end
    wait_for_end(old, 5)

    for _, talks in ipairs((n:each_worker())) do
      assert.equal(200, talks[1]:run "return told(api:get('/status/200'))".status)
      talks[1]:close()
    end
    local function is_as_before()
      local after = measure()
      return after.workers == 2 and after.descriptors <= before.descriptors
        and after.master <= before.master
    end
    process.wait_until(is_as_before, 5)
    local after = measure()
    assert.equal(2, after.workers)
    assert.equal(2, after.threads)
    assert.is_true(after.descriptors <= before.descriptors, after.descriptors)
    assert.equal(before.master, after.master)
    assert.equal(before.master_mappings, after.master_mappings)
    assert.equal(before.mappings, after.mappings)
    nothing_crashed()
  end)
end)

describe("with transfers in flight", function()
  local function wait_for_master(seconds)
    return select(2, farm.wait("end of nginx", function()
      return not farm.lives(n.pid)
    end, seconds))
  end

  it("TERM ends nginx within a second, without a crash", function()
    local talks = n:begin(50, "return told(api:get('/status/200?gate=never'))")
    upstream_has(50)
    local old = n:workers()
    n:signal("TERM")
    wait_for_master(1)
    wait_for_end(old, 0.1)
    for _, talk in ipairs(talks) do
      assert.is_nil((talk:receive()))
    end
    nothing_crashed()
    assert.is_truthy(s:settle())
  end)

  it("QUIT ends nginx when all are answered, without a crash", function()
    local talks = n:begin(50, "return told(api:get('/status/200?after=1'))")
    upstream_has(50)
    n:signal("QUIT")
    for _, talk in ipairs(talks) do
      assert.equal(200, talk:finish().status)
      talk:close()
    end
    wait_for_master(3)
    nothing_crashed()
  end)

  it("TERM in the midst of work does not crash, over and over", function()
    for round = 1, 10 do
      n:stop()
      n = farm.start{ workers = 2, upstream = s.url, region = true, init = INIT, conf = CONF }
      local talks = {}
      for index = 1, 30 do
        talks[index] = n:talk()
        talks[index]:send("/call")
      end
      socket.sleep(0.006 * round) -- each time at another moment of the calls
      n:signal("TERM")
      wait_for_master(2)
      nothing_crashed()
    end
  end)
end)
