-- Stores in workers of a real nginx: their steps yield, whatever becomes of the request, the worker
-- and the file meanwhile.
local socket = require "socket"

local calls = require "spec.support.calls"
local farm = require "spec.support.farm"
local redis = require "spec.support.redis"
local stores = require "spec.support.stores"

if stores.lacks_sqlite() then
  pending("stores in nginx's workers: " .. stores.lacks_sqlite())
  return
end

local INIT = [[
  local store, host = require "neap.store", require "neap.host"
  sqlite = assert(require("neap.store.sqlite").new{ path = %q, busy_timeout = 30 })
  memory = require("neap.store.memory").new()
  redis = %q ~= "" and require("neap.store.redis").new{ host = %q } or nil
  function perform(st, op, key, value)
    return store.perform(st, host.engine(), op, { key = key, value = value or "v",
      until_time = os.time() + 600, lease = 600 })
  end
  function put(st, key, value) return assert(perform(st, "put", key, value)) end
  function get(st, key) return assert(perform(st, "get", key) or nil) end
  function in_word(st, key)
    local value, err = perform(st, "put", key)
    return value and "stored" or err and err.kind .. ": " .. err.message
  end
  seen = { init = { in_word(memory, "init"), in_word(sqlite, "init") } }
]]

local HTTP = [[
  init_worker_by_lua_block {
    seen.init_worker = { in_word(memory, "w"), in_word(sqlite, "w") }
  }
]]

local CONF = [[
  location = /rewrite {
    rewrite_by_lua_block { require("spec.support.chunk").serve("rewrite") }
  }
  location = /access {
    access_by_lua_block { require("spec.support.chunk").serve("access") }
  }
  location = /filters {
    header_filter_by_lua_block {
      seen.header_filter = { in_word(memory, "h"), in_word(sqlite, "h") }
    }
    body_filter_by_lua_block {
      seen.body_filter = { in_word(memory, "b"), in_word(sqlite, "b") }
    }
    log_by_lua_block {
      seen.log = { in_word(memory, "l"), in_word(sqlite, "l") }
    }
    return 200 ok;
  }
]]

local n, r, path, remove, lock

local function start(workers)
  local redis_path = r and r.path or ""
  n = farm.start{ workers = workers, init = INIT:format(path, redis_path, redis_path), http = HTTP,
    conf = CONF }
end

setup(function()
  r = not redis.lacks() and redis.start() or nil
end)

teardown(function()
  if r then
    r:stop()
  end
end)

before_each(function()
  path, remove = stores.scratch()
  if r then
    r:say("FLUSHALL")
  end
end)

after_each(function()
  local log = n:error_log()
  if lock then
    lock:release()
    lock = nil
  end
  n:stop()
  remove()
  for _, word in ipairs{ "[alert]", "[crit]", "[emerg]", "[error]", "exited on signal" } do
    assert.is_nil(log:find(word, 1, true), log)
  end
end)

local function it_locks(name, fn)
  if stores.lacks() then
    pending(name .. ": " .. stores.lacks())
  else
    it(name, fn)
  end
end

local function make_file()
  n:run "return put(sqlite, 'first')"
  assert(calls.output("ls " .. path) ~= "")
end

local function threads_of(pid)
  return farm.threads(pid)
end

-- ---------------------------------------------------------------------------------------- yielding

describe("a step in a worker", function()
  for _, kind in ipairs{ "memory", "sqlite", "redis" } do
    local why = kind == "redis" and redis.lacks()
    local try = why and pending or it
    try("works where it can wait, kind " .. kind .. (why and ": " .. why or ""), function()
      start(1)
      for location, phase in pairs{ rewrite = "rewrite", access = "access", run = "content" } do
        assert.same({ kind .. phase, phase }, n:run(([[
          put(%s, "%s", "%s%s")
          return { get(%s, "%s"), ngx.get_phase() }
        ]]):format(kind, phase, kind, phase, kind, phase), "/" .. location))
      end
      assert.is_true(n:run(([[
        ngx.timer.at(0, function() put(%s, "timer") seen.timer = true end)
        while not seen.timer do ngx.sleep(0.001) end
        return get(%s, "timer") == "v"
      ]]):format(kind, kind)))
    end)
  end

  it_locks("waits for a file that another process has locked, and nobody else does", function()
    start(1)
    make_file()
    lock = stores.lock(path)
    local waiting, other = {}, n:talk()
    for index = 1, 20 do
      waiting[index] = n:talk()
      waiting[index]:begin(("return put(sqlite, 'k%d')"):format(index))
    end
    local began, slowest = socket.gettime(), 0
    while socket.gettime() < began + 1 do
      local now = socket.gettime()
      assert.equal("v", other:run [[
        put(memory, "k")
        if redis then put(redis, "k") get(redis, "k") end
        return get(memory, "k")
      ]])
      assert.equal(200, (other:get("/plain")))
      slowest = math.max(slowest, socket.gettime() - now)
    end
    assert.is_true(slowest < 1, slowest)
    local answered = socket.select({ waiting[1].connection, waiting[20].connection }, nil, 0)
    assert.equal(0, #answered)
    lock:release()
    for _, talk in ipairs(waiting) do
      assert.is_true(talk:finish())
    end
  end)

  it("may be one of thousands, in threads of a request too", function()
    start(1)
    local talks = {}
    for index = 1, 20 do
      talks[index] = n:talk()
    end
    local values = farm.together(talks, [[
      local found = 0
      local function work(st, key)
        put(st, key, key)
        if get(st, key) == key then found = found + 1 end
      end
      local threads = {}
      for i = 1, 10 do
        threads[#threads + 1] = ngx.thread.spawn(work, sqlite, "s" .. i)
        threads[#threads + 1] = ngx.thread.spawn(work, redis or memory, "r" .. i)
      end
      for _, thread in ipairs(threads) do assert(ngx.thread.wait(thread)) end
      neap.all{ function() work(sqlite, "t") end, function() work(memory, "t") end }
      return found
    ]])
    for _, found in ipairs(values) do
      assert.equal(22, found)
    end
  end)
end)

describe("phases that cannot wait", function()
  local REFUSED = "phase: a store cannot be waited for here"

  it("have the store in memory, and refuse the others", function()
    start(1)
    assert.matches("200 OK", (calls.output("curl -sS -i -m 5 " .. n.url .. "/filters 2>&1")))
    for _, phase in ipairs{ "init", "init_worker", "header_filter", "body_filter", "log" } do
      local words = farm.wait("words of " .. phase, function()
        return n:run(("return seen[%q] or false"):format(phase))
      end)
      assert.same({ phase, "stored", REFUSED }, { phase, words[1], words[2] })
    end
    assert.same({ REFUSED, "stored" }, n:run [[
      local word
      string.gsub("x", "x", function() word = in_word(sqlite, "g") end)
      return { word, in_word(sqlite, "g") }
    ]])
  end)
end)

-- ---------------------------------------------------------------------------------- hanging up

describe("clients that hang up while their steps are out", function()
  local function begin_and_hang_up(count, chunk)
    local talks = {}
    for index = 1, count do
      talks[index] = n:talk()
      talks[index]:begin(chunk)
    end
    farm.wait("all of them to be under way", function()
      return n:run "return under_way or 0" >= count
    end)
    for _, talk in ipairs(talks) do
      talk:close()
    end
  end

  it_locks("leave nothing behind, and their steps are done all the same", function()
    start(1)
    make_file()
    local pid = n:workers()[1]
    local descriptors, threads, resident
    for round = 1, 6 do
      n:run "under_way = 0 return true"
      lock = stores.lock(path)
      begin_and_hang_up(200, [[
        under_way = under_way + 1
        perform(sqlite, "outbox_put", "o", ("x"):rep(1000))
      ]])
      n:run "collectgarbage() collectgarbage() return true"
      lock:release()
      -- Steps are done in order, so that this one is behind all of them.
      assert.equal(200 * round, n:run [[
        return perform(sqlite, "outbox_count", "o").waiting
      ]])
      n:run "collectgarbage() collectgarbage() return true"
      local status = require("spec.support.process").read_file(("/proc/%d/status"):format(pid))
      if round == 2 then
        descriptors, threads = farm.descriptors(pid), threads_of(pid)
        resident = tonumber(status:match("VmRSS:%s*(%d+)"))
      elseif round == 6 then
        farm.wait("as many descriptors as before", function()
          return farm.descriptors(pid) <= descriptors
        end)
        assert.equal(threads, threads_of(pid))
        assert.is_true(tonumber(status:match("VmRSS:%s*(%d+)")) < resident + 4000)
      end
    end
    assert.equal(pid, n:workers()[1])
    assert.equal(0, n:run [[
      collectgarbage() collectgarbage()
      local waiting, count = require("neap.waiting").on(require("neap.host").engine()), 0
      for _ in pairs(waiting) do count = count + 1 end
      return count
    ]])
  end)

  it_locks("and whose stores were their own do so too", function()
    start(1)
    make_file()
    lock = stores.lock(path)
    n:run "under_way = 0 return true"
    begin_and_hang_up(20, ([[
      local own = assert(require("neap.store.sqlite").new{ path = %q, busy_timeout = 30 })
      under_way = under_way + 1
      perform(own, "outbox_put", "o", "x")
    ]]):format(path))
    for _ = 1, 20 do -- as those that nobody has any more are collected, the worker does not wait
      n:run "jit.flush() collectgarbage() collectgarbage() return true"
    end
    lock:release()
    local pid = n:workers()[1]
    farm.wait("their threads to end", function()
      n:run "collectgarbage() collectgarbage() return put(sqlite, 'k')"
      return farm.threads(pid) <= 3 -- nginx's, the doorbell's, and that of the store of all
    end)
    assert.equal(200, (n:talk():get("/plain")))
  end)
end)

-- ------------------------------------------------------------------------- leaving and reloading

describe("a worker that is told to leave while steps are out", function()
  for _, signal in ipairs{ "QUIT", "HUP" } do
    it_locks("answers first, and then ends, " .. signal, function()
      start(1)
      make_file()
      local pid, talks = n:workers()[1], {}
      lock = stores.lock(path)
      for index = 1, 10 do
        talks[index] = n:talk()
        talks[index]:begin(([[
          seen[%d] = true
          put(sqlite, "k%d")
          put(memory, "k")
          return get(sqlite, "k%d")
        ]]):format(index, index, index))
      end
      farm.wait("all to be under way", function()
        return n:run "return #seen" == 10
      end)
      n:signal(signal)
      farm.wait("the worker to be leaving", function()
        return n:workers()[1] ~= pid
      end)
      if signal == "HUP" then
        farm.wait("another worker", function()
          return #n:workers() == 1
        end)
        assert.equal("v", n:run "put(memory, 'k') return get(memory, 'k')")
      end
      lock:release()
      for _, talk in ipairs(talks) do
        local value, by = talk:finish()
        assert.same({ "v", pid }, { value, by })
      end
      farm.wait("the end of the worker", function()
        return not farm.lives(pid)
      end, 10)
      if signal == "HUP" then
        assert.equal("v", n:run "return get(sqlite, 'k10')")
      end
    end)
  end

  it("by TERM, is gone at once and what it acknowledged is there", function()
    start(1)
    local pid = n:workers()[1]
    local talks = {}
    for index = 1, 10 do
      talks[index] = n:talk()
      talks[index]:begin(([[
        for i = 1, 1e9 do
          perform(sqlite, "outbox_put", "o")
          acknowledged = (acknowledged or 0) + 1
        end
      ]]):format(index))
    end
    local count = farm.wait("some entries", function()
      local found = n:run "return acknowledged or 0"
      return found > 50 and found
    end)
    os.execute("kill -TERM " .. pid)
    farm.wait("the end of the worker", function()
      return not farm.lives(pid)
    end, 10)
    farm.wait("another worker", function()
      return #n:workers() == 1
    end)
    assert.is_true(n:run "return perform(sqlite, 'outbox_count', 'o').waiting" >= count)
  end)
end)

-- -------------------------------------------------------------------------------- several workers

describe("four workers on one SQLite file", function()
  it("give each entry of an outbox to one of them", function()
    start(4)
    local lists, talks = n:each_worker(2), {}
    for _, list in ipairs(lists) do
      for _, talk in ipairs(list) do
        talks[#talks + 1] = talk
      end
    end
    assert.equal(8, #talks)
    for _, count in ipairs(farm.together(talks, [[
      for i = 1, 25 do
        assert(perform(sqlite, "outbox_put", "o", ngx.worker.pid() .. ":" .. i))
      end
      return 25
    ]])) do
      assert.equal(25, count)
    end
    local found, ids = 0, {}
    for _, taken in ipairs(farm.together(talks, [[
      local ids = {}
      while true do
        local entry, err = perform(sqlite, "outbox_take", "o")
        assert(entry ~= nil, err)
        if not entry then return { ids = ids, count = #ids } end
        ids[#ids + 1] = entry.id
      end
    ]])) do
      found = found + taken.count
      for _, id in ipairs(taken.count > 0 and taken.ids or {}) do
        assert.is_nil(ids[id], "an entry was given out twice")
        ids[id] = true
      end
    end
    assert.equal(200, found)
  end)
end)
