-- Processes that fork after neap was loaded: workers of a pre-forking server. Only LuaJIT can fork
-- here, by its FFI; on other interpreters the same C code runs.
local found, ffi = pcall(require, "ffi")

local calls = require "spec.support.calls"
local host = require "neap.host"
local neap = require "neap"
local redis = require "spec.support.redis"
local server = require "spec.support.server"
local socket = require "socket"
local store = require "neap.store"
local stores = require "spec.support.stores"
local testing = require "neap.testing"

describe("after a fork", function()
  if not found then
    it("is watched on LuaJIT, which can fork", function()
      assert.is_nil(rawget(_G, "jit"))
    end)
    return
  end

  ffi.cdef [[
    int fork(void);
    int getpid(void);
    int waitpid(int pid, int *status, int options);
    void _exit(int status);
    unsigned alarm(unsigned seconds);
  ]]

  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)

  -- Runs fn in a child; true if it returned true there, within half a minute.
  local function in_child(fn)
    local pid = ffi.C.fork()
    if pid == 0 then
      ffi.C.alarm(30)
      local done, result = pcall(fn)
      ffi.C._exit(done and result and 0 or 1)
    end
    local status = ffi.new("int[1]")
    ffi.C.waitpid(pid, status, 0)
    return status[0] == 0
  end

  it("a child makes calls of its own, and the parent goes on", function()
    local before = neap.client{ name = "parent", base_url = s.url }
    assert.equal(200, before:get("/status/200").status)
    assert.is_true(in_child(function()
      local own = neap.client{ name = "child", base_url = s.url }
      return own:get("/status/200").status == 200
    end))
    neap.sleep(0.05)
    assert.equal(200, before:get("/status/200").status)
    before:close()
  end)

  it("a child closes no descriptor that has the number of a connection never made", function()
    local client = neap.client{ name = "stall", retry = false, gate = false,
      timeout = { connect = 0.05 } }
    assert.equal("timeout", select(2, client:request{ url = s.stall }).kind)
    local stranger = assert(socket.connect("127.0.0.1", s.ports.plain))
    stranger:settimeout(5)
    assert.is_true(in_child(function()
      local is_alive = client:request{ url = s.url .. "/status/200" }.status == 200
      stranger:send("GET /status/204 HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return is_alive and stranger:receive("*l") == "HTTP/1.1 204 No Content"
    end))
    stranger:close()
    client:close()
  end)

  it("a child puts into an outbox that the parent made, and both drain it", function()
    local path, remove = stores.scratch()
    local outbox = require("neap.outbox").new{
      store = assert(require("neap.store.sqlite").new{ path = path }),
      client = neap.client{ name = "outbox", base_url = s.url },
    }
    local function put()
      return assert(outbox:put{ method = "POST", path = "/payments" })
    end
    s:reset()
    put()
    assert.is_true(in_child(function()
      put()
      return assert(outbox:drain{ limit = 1 }).delivered == 1 and put() == 3
    end))
    assert.is_true(in_child(function()
      return assert(outbox:drain{ concurrency = 2 }).delivered == 2 and put() == 4
    end))
    assert.equal(1, assert(outbox:drain()).delivered)
    assert.equal(4, s:settle().payments)
    remove()
  end)

  -- The number that the server gave the connection, and of the request on it.
  local function connection_of(api)
    local told = server.decode(assert(api:get("/echo")).body)
    return told.connection, told.request_on_connection
  end

  for _, scheme in ipairs{ "http", "https" } do
    local function api()
      local url = scheme == "http" and s.url or s.tls.good
      return neap.client{ name = "api", base_url = url, tls = { ca_file = s.ca_file } }
    end

    it("a client of the parent goes on in the child with its own connection, " .. scheme, function()
      local before = api()
      local connection = connection_of(before)
      for round = 1, 3 do
        assert.is_true(in_child(function()
          local own, first = connection_of(before)
          local again, second = connection_of(before)
          return own ~= connection and first == 1 and again == own and second == 2
        end))
        assert.same({ connection, round + 1 }, { connection_of(before) })
      end
      assert.equal(1, before:stats().pool.opened)
      before:close()
    end)

    it("closing in the child leaves the parent's connection, " .. scheme, function()
      local before = api()
      local connection = connection_of(before)
      assert.is_true(in_child(function()
        before:close()
        return select(2, before:get("/echo")).kind == "cancelled"
      end))
      assert.is_true(in_child(function()
        before = nil
        collectgarbage()
        collectgarbage()
        return true
      end))
      assert.same({ connection, 2 }, { connection_of(before) })
      before:close()
    end)
  end

  it("the child has the state that policies had", function()
    local before = neap.client{ name = "opened", base_url = s.url, retry = false,
      breaker = { consecutive_failures = 1, open_for = 300 } }
    before:get("/status/503")
    assert.is_true(in_child(function()
      local _, err = before:get("/status/200")
      return err.kind == "breaker_open" and before.breaker:state() == "open"
        and before:stats().attempts == 1
    end))
    before:close()
  end)

  it("the parent does not feel what the child's calls come to", function()
    local before = neap.client{ name = "closed", base_url = s.url, retry = false,
      breaker = { consecutive_failures = 1, open_for = 300 } }
    before:get("/status/200")
    assert.is_true(in_child(function()
      before:get("/status/503")
      return before.breaker:state() == "open"
    end))
    assert.equal("closed", before.breaker:state())
    before:close()
  end)

  it("what the parent has not told is told by the parent, and a child tells its own", function()
    local told = {}
    local client = neap.client{ name = "alerts", base_url = s.url, retry = false, gate = false,
      breaker = false, alerts = { window = 0.1, min_calls = 1,
        notify = function(alert) told[#told + 1] = alert.state end } }
    local function fail_and_wait()
      client:get("/status/503")
      neap.run(function() neap.sleep(0.3) end)
    end
    client:get("/status/503")
    assert.is_true(in_child(function()
      neap.sleep(0.2)
      local of_parent = #told
      client:get("/status/200")
      fail_and_wait()
      return of_parent == 0 and #told >= 2 and told[#told] == "resolved"
    end))
    assert.same({}, told)
    neap.run(function() neap.sleep(0.25) end)
    assert.same({ "firing", "resolved" }, told)
    fail_and_wait()
    assert.equal(4, #told)
    client:close()
  end)

  it("a child goes on telling where its parent was just telling", function()
    local told = {}
    local client
    client = neap.client{ name = "alerts", base_url = s.url, retry = false, gate = false,
      breaker = { consecutive_failures = 1, open_for = 0.05, half_open = { permits = 1 } },
      alerts = { notify = function(alert)
        told[#told + 1] = alert.state
        if #told == 1 then
          neap.sleep(0.2)
        end
      end } }
    client:get("/status/503")
    assert.is_true(in_child(function()
      neap.sleep(0.1)
      client:get("/status/200")
      return told[2] == "resolved"
    end))
    assert.same({ "firing" }, told)
    client:close()
  end)

  it("a probe that the child took from a shared breaker is given back at its end", function()
    local region = "spec-fork-" .. ffi.C.getpid()
    finally(function() os.remove("/dev/shm/neap-" .. region) end)
    local report = calls.child(nil, [[
      local name = ...
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int);"
      local neap = require "neap"
      assert(neap.shared{ name = name, size = 262144 })
      local breaker = neap.client{ name = "api", base_url = "http://127.0.0.1:1/", gate = false,
        breaker = { consecutive_failures = 1, open_for = 0.01, half_open = { permits = 1 } },
      }.breaker
      breaker:record(assert(breaker:acquire()), "failure")
      neap.sleep(0.05)
      local pid = ffi.C.fork()
      if pid == 0 then
        ffi.C._exit(breaker:acquire() and 0 or 1)
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(pid, status, 0)
      local refused, permit = not breaker:acquire(), nil
      for _ = 1, 200 do
        neap.stats() -- looks for the dead
        permit = permit or breaker:acquire()
        if permit then break end
        neap.sleep(0.01)
      end
      print(require("cjson").encode{ taken = status[0] == 0, refused = refused,
        given_back = permit ~= nil })
    ]], region)
    assert.same({ taken = true, refused = true, given_back = true }, report)
  end)

  it("the child asks anew for a shared breaker of one key", function()
    local region = "spec-fork-key-" .. ffi.C.getpid()
    finally(function() os.remove("/dev/shm/neap-" .. region) end)
    local report = calls.child(nil, [[
      local name = ...
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int);"
      local neap = require "neap"
      assert(neap.shared{ name = name, size = 262144 })
      local api = neap.client{ name = "api", base_url = "http://127.0.0.1:1/", gate = false,
        retry = false, breaker = { key = "host" } }
      api:get("/")
      local view = assert(api:breaker_for("http://127.0.0.1:1"))
      local pid = ffi.C.fork()
      if pid == 0 then
        local known, message = pcall(view.state, view)
        local refused = not known and message:find("ask for the breaker again", 1, true)
        view = nil
        collectgarbage()
        local again = api:breaker_for("http://127.0.0.1:1")
        ffi.C._exit(refused and again:snapshot().calls == 1 and 0 or 1)
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(pid, status, 0)
      print(require("cjson").encode{ child = status[0] == 0, parent = view:state() })
    ]], region)
    assert.same({ child = true, parent = "closed" }, report)
  end)

  it("a function wrapped by the parent works in the child", function()
    local wrapped = neap.wrap({ name = "double" }, function(number) return number * 2 end)
    assert.equal(2, wrapped(1))
    assert.is_true(in_child(function() return wrapped(21) == 42 end))
    assert.equal(4, wrapped(2))
  end)

  it("the child sleeps and runs tasks of its own", function()
    local before = neap.client{ name = "tasks", base_url = s.url }
    before:get("/status/200")
    neap.sleep(0.001)
    assert.is_true(in_child(function()
      neap.sleep(0.001)
      local answers = neap.all{
        function() return before:get("/status/200").status end,
        function() return before:get("/status/201").status end,
      }
      return answers[1][2] == 200 and answers[2][2] == 201
    end))
    before:close()
  end)

  it("a grandchild does too", function()
    local before = neap.client{ name = "generations", base_url = s.url }
    local connection = connection_of(before)
    assert.is_true(in_child(function()
      local own = connection_of(before)
      local worked = in_child(function() return connection_of(before) > own end)
      return worked and select(2, connection_of(before)) == 2
    end))
    assert.same({ connection, 2 }, { connection_of(before) })
    before:close()
  end)

  it("a testing kit of the parent goes on in the child", function()
    local t = testing.new{ seed = 1 }
    local api = t:client{ name = "kit", base_url = "https://api.example", retry = false }
    t:script{ { status = 200 }, { status = 201 } }
    t:run(function() api:get("/") end)
    t:advance(5)
    local now = t:now()
    assert.is_true(in_child(function()
      local status
      t:run(function() status = api:get("/").status end)
      return status == 201 and t:now() >= now and t:now() < now + 1
    end))
    t:run(function() assert.equal(201, api:get("/").status) end)
  end)

  -- In a listener the call that it is told of is under way.
  local function while_calling(fn)
    local api = neap.client{ name = "busy", base_url = s.url, retry = false }
    local result
    api:on("attempt", function() result = fn() end)
    assert.equal(200, api:get("/status/200").status)
    api:close()
    return result
  end

  local REFUSAL = "client: this process was forked while calls were under way; "
    .. "make a client in each process"

  it("clients that a call was under way beside are refused in the child", function()
    local before = neap.client{ name = "beside", base_url = s.url }
    local wrapped = neap.wrap({ name = "wrapped" }, function() return true end)
    assert.is_true(while_calling(function()
      return in_child(function()
        local called, message = pcall(before.get, before, "/status/200")
        local ran, other = pcall(wrapped)
        return not called and not ran and message:find(REFUSAL, 1, true) ~= nil
          and other:find(REFUSAL, 1, true) ~= nil
      end)
    end))
    assert.equal(200, before:get("/status/200").status)
    assert.is_true(wrapped())
    before:close()
  end)

  it("the refusal is raised at the caller's line", function()
    local before = neap.client{ name = "line", base_url = s.url }
    local wrapped = neap.wrap({ name = "wrapped line" }, function() return true end)
    assert.is_true(while_calling(function()
      return in_child(function()
        local line = "fork_spec.lua:%d+: client: this process"
        local _, message = pcall(function() before:get("/status/200") end)
        local _, alone = pcall(function() wrapped() end)
        local _, within = pcall(coroutine.wrap(function() wrapped() end))
        return message:find(line) ~= nil and alone:find(line) ~= nil and within:find(line) ~= nil
      end)
    end))
    before:close()
  end)

  it("the child makes clients of its own while the parent's call is under way", function()
    assert.is_true(while_calling(function()
      return in_child(function()
        local own = neap.client{ name = "own", base_url = s.url }
        neap.sleep(0.001)
        return own:get("/status/200").status == 200
      end)
    end))
  end)

  describe("what was begun in the background", function()
    local rounds

    -- One call on the wire, one that waits to be repeated, one in a listener, and a sleep.
    local function begin(engine, fast, slow, watched)
      rounds = 0
      watched:on("attempt", function() neap.sleep(0.2) end)
      host.background(engine, function()
        fast:get("/status/200?after=0.3")
        rounds = rounds + 1
      end)
      host.background(engine, function()
        slow:get("/status/503")
        rounds = rounds + 1
      end)
      host.background(engine, function() watched:get("/status/200") end)
      host.background(engine, function()
        neap.sleep(0.1)
        rounds = rounds + 1
      end)
    end

    local function client(name, policy)
      policy = policy or {}
      policy.name, policy.base_url, policy.gate = name, s.url, false
      return neap.client(policy)
    end

    it("is not the child's, which makes calls with the parent's clients", function()
      local fast, watched = client "fast", client "watched"
      local slow = client("slow", { retry = { max_attempts = 2,
        backoff = { kind = "fixed", base = 0.1, jitter = "none" } } })
      fast:get("/status/200")
      begin(fast._engine, fast, slow, watched)
      neap.sleep(0.05)
      for _ = 1, 2 do
        assert.is_true(in_child(function()
          local statuses = {}
          for index, each in ipairs { fast, slow, watched } do
            statuses[index] = each:get("/status/200").status
          end
          neap.sleep(0.5)
          return statuses[1] == 200 and statuses[2] == 200 and statuses[3] == 200 and rounds == 0
            and fast:stats().in_flight == 0
        end))
      end
      calls.wait_for(function() return rounds == 3 end)
      for _, each in ipairs { fast, slow, watched } do
        each:close()
      end
    end)

    it("is not the child's, which sleeps, runs and wraps", function()
      local fast, slow, watched = client "fast", client("slow", { retry = false }), client "watched"
      local wrapped = neap.wrap({ name = "double" }, function(number) return number * 2 end)
      begin(fast._engine, fast, slow, watched)
      assert.is_true(in_child(function() return wrapped(2) == 4 end))
      assert.is_true(in_child(function()
        neap.sleep(0.5)
        return rounds == 0
      end))
      assert.is_true(in_child(function()
        neap.run(neap.sleep, 0.5)
        return rounds == 0
      end))
      calls.wait_for(function() return rounds == 3 end)
      for _, each in ipairs { fast, slow, watched } do
        each:close()
      end
    end)

    it("in a kit is not the child's", function()
      local t = testing.new()
      local api = t:client{ name = "kit", base_url = "https://api.example" }
      local ended
      t:script{ { status = 200, after = 1 }, { status = 201 } }
      t:run(host.background, api._engine, function() ended = api:get("/").status end)
      assert.is_true(in_child(function()
        t:advance(2)
        return ended == nil and t:run(api.get, api, "/").status == 201
      end))
      t:advance(1)
      assert.equal(200, ended)
    end)
  end)

  it("the parent's call goes on while a child closes the client", function()
    local api = neap.client{ name = "closing", base_url = s.url, retry = false }
    local closed
    api:on("attempt", function()
      closed = in_child(function()
        api:close()
        return true
      end)
    end)
    assert.equal(200, api:get("/status/200").status)
    assert.is_true(closed)
    api:close()
  end)

  local function perform(st, op, key, value)
    return store.perform(st, host.engine(), op, { key = key, value = value,
      until_time = os.time() + 600 })
  end

  local function in_task(fn)
    return neap.run(fn)
  end

  local function at_once(fn)
    return fn()
  end

  local function each_kind(fn)
    local path, remove = stores.scratch()
    local r = not redis.lacks() and redis.start() or nil
    finally(function()
      collectgarbage()
      remove()
      if r then
        r:stop()
      end
    end)
    fn(require("neap.store.memory").new(), false)
    if not stores.lacks_sqlite() then
      fn(require("neap.store.sqlite").new{ path = path }, true)
    end
    if r then
      fn(require("neap.store.redis").new{ host = r.path }, true)
    end
    return r
  end

  for name, run in pairs{ ["on its own thread"] = in_task, blocking = at_once } do
    it("a store works in parent, child and grandchild, " .. name, function()
      local r = each_kind(function(st, is_shared)
        local function writes(key)
          return run(function() return perform(st, "put", key, "of " .. key) end)
        end
        local function has(key)
          return run(function() return perform(st, "get", key) end) == "of " .. key
        end
        assert.is_true(in_child(function() return writes("unused before") end))
        assert.is_true(writes("parent"))
        for _ = 1, 3 do
          assert.is_true(in_child(function()
            return has("parent") and writes("child") and in_child(function()
              return has("child") and writes("grandchild")
            end) and has("grandchild") == is_shared
          end))
          assert.is_true(has("parent"))
          assert.equal(is_shared, has("child"))
          assert.equal(is_shared, has("grandchild"))
        end
      end)
      if not r then
        pending(redis.lacks())
      end
    end)
  end

  it("the parent's store is not closed by a child that drops it", function()
    each_kind(function(st)
      assert.is_true(neap.run(function() return perform(st, "put", "k", "v") end))
      local held = { st }
      assert.is_true(in_child(function()
        st, held[1] = nil, nil
        jit.flush()
        collectgarbage()
        collectgarbage()
        return true
      end))
      assert.equal("v", neap.run(function() return perform(held[1], "get", "k") end))
    end)
  end)

  it("a store that was at work is refused in the child, and the parent's step ends well", function()
    if stores.lacks() then
      return pending(stores.lacks())
    end
    local path, remove = stores.scratch()
    local st = require("neap.store.sqlite").new{ path = path, busy_timeout = 20 }
    local fresh = require("neap.store.memory").new()
    perform(st, "put", "before", "v")
    local lock = stores.lock(path)
    finally(function()
      lock:release()
      remove()
    end)
    neap.run(function()
      local step = neap.spawn(perform, st, "put", "k", "v")
      neap.sleep(0.01)
      for _ = 1, 3 do
        assert.is_true(in_child(function()
          local _, err = perform(st, "get", "before")
          return err.kind == "store"
            and err.message:find("was forked while the store was at work", 1, true) ~= nil
            and perform(fresh, "put", "k", "v")
        end))
      end
      lock:release()
      assert.is_true(step:await())
      assert.equal("v", perform(st, "get", "k"))
    end)
  end)

  it("children spread their waits differently", function()
    neap.now()
    local files = { os.tmpname(), os.tmpname() }
    for _, path in ipairs(files) do
      assert.is_true(in_child(function()
        local file = assert(io.open(path, "w"))
        local api = neap.client{ name = "c", base_url = s.url,
          retry = { backoff = { kind = "fixed", base = 0.02, jitter = "full" } } }
        for _, entry in ipairs(api:get("/status/503").trace) do
          if entry.kind == "wait" then
            file:write(("%.9f "):format(entry.elapsed))
          end
        end
        file:close()
        return true
      end))
    end
    local waits = {}
    for index, path in ipairs(files) do
      waits[index] = assert(io.open(path)):read("*a")
      os.remove(path)
    end
    assert.is_true(#waits[1] > 0)
    assert.are_not.equal(waits[1], waits[2])
  end)
end)
