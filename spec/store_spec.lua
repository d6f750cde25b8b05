-- Stores as Lua sees them: making one, steps that are made at once or on the store's thread, and
-- what becomes of them where disk and server fail.
local neap = require "neap"
local calls = require "spec.support.calls"
local host = require "neap.host"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local server_of_certificates = require "spec.support.server"
local socket = require "socket"
local store = require "neap.store"
local stores = require "spec.support.stores"

local function perform(st, op, arguments)
  return store.perform(st, host.engine(), op, arguments)
end

local function put(st, key, value)
  return perform(st, "put", { key = key, value = value, until_time = os.time() + 60 })
end

local function get(st, key)
  return perform(st, "get", { key = key })
end

-- A store that fails says so by an error of kind store, and in these words.
local function expect_failure(words, value, err)
  assert.is_nil(value)
  assert.is_table(err)
  assert.equal("store", err.kind)
  assert.is_truthy(err.message:find(words, 1, true), err.message)
  return err
end

local function collect()
  collectgarbage()
  collectgarbage()
end

local function open_sqlite(path, busy_timeout)
  return assert(require("neap.store.sqlite").new{ path = path, busy_timeout = busy_timeout })
end

-- One kind: how a new and empty store is made, and why there can be none here.
local server
local KINDS = {
  {
    name = "memory",
    open = function() return require("neap.store.memory").new(), function() end end,
    lacks = function() end,
  },
  {
    name = "sqlite",
    open = function()
      local path, remove = stores.scratch()
      return open_sqlite(path), remove
    end,
    lacks = stores.lacks_sqlite,
  },
  {
    name = "redis",
    open = function()
      server = server or redis.start()
      server:say("FLUSHALL")
      return require("neap.store.redis").new{ host = server.path }, function() end
    end,
    lacks = redis.lacks,
  },
}

teardown(function()
  if server then
    server:stop()
  end
end)

for _, kind in ipairs(KINDS) do
  describe("a store of kind " .. kind.name, function()
    local missing, st, remove = kind.lacks(), nil, nil

    -- What cannot be tried here is seen not to have been.
    local function it_does(name, fn)
      if missing then
        pending(name .. ": " .. missing)
      else
        it(name, fn)
      end
    end

    before_each(function()
      if not missing then
        st, remove = kind.open()
      end
    end)

    after_each(function()
      if not missing then
        st = nil
        collect()
        remove()
      end
    end)

    it_does("is a store", function()
      assert.is_true(store.is(st))
      assert.is_false(store.is{})
      assert.is_false(store.is(st._core))
    end)

    it_does("keeps any bytes", function()
      assert.is_true(put(st, "a\0b", "x\0\255"))
      assert.equal("x\0\255", get(st, "a\0b"))
      assert.is_false(get(st, "a"))
      assert.is_true(put(st, "", ""))
      assert.equal("", get(st, ""))
      assert.is_true(perform(st, "remove", { key = "a\0b" }))
      assert.is_false(get(st, "a\0b"))
      assert.is_true(perform(st, "remove", { key = "a\0b" }))
    end)

    it_does("keeps what is large", function()
      local large = ("neap\0"):rep(200000)
      assert.is_true(put(st, "large", large))
      assert.is_true(large == get(st, "large"))
    end)

    it_does("forgets what has expired", function()
      assert.is_true(perform(st, "put", { key = "k", value = "v", until_time = os.time() - 1 }))
      assert.is_false(get(st, "k"))
      assert.is_false(perform(st, "sweep", {}))
    end)

    it_does("gives the entries of an outbox out in order", function()
      local first = perform(st, "outbox_put", { key = "o", value = "one" })
      local second = perform(st, "outbox_put", { key = "o", value = "two" })
      assert.is_true(first < second)
      local entry = perform(st, "outbox_take", { key = "o", lease = 60 })
      assert.equal("one", entry.value)
      assert.is_true(perform(st, "outbox_done", { id = entry.id, token = entry.token }))
      assert.is_false(perform(st, "outbox_done", { id = entry.id, token = entry.token }))
      assert.same({ waiting = 1, taken = 0, dead = 0 }, perform(st, "outbox_count", { key = "o" }))
    end)

    it_does("keeps the lanes of an outbox, renews, retries, buries and revives", function()
      local now = os.time()
      local given = { key = "o", ordering_key = "lane", lease = 60 }
      for _, value in ipairs{ "one", "two" } do
        given.value = value
        assert.is_number(perform(st, "outbox_put", given))
      end
      local entry = perform(st, "outbox_take", given)
      local none, due = perform(st, "outbox_take", given) -- its lane is taken
      assert.is_false(none)
      assert.is_true(due > now + 50 and due < now + 70, due)
      local held = { id = entry.id, token = entry.token, lease = 60, until_time = now - 1,
        value = "no such shop" }
      assert.is_true(perform(st, "outbox_renew", held))
      assert.is_true(perform(st, "outbox_retry", held))
      entry = perform(st, "outbox_take", given)
      assert.same({ "one", 1 }, { entry.value, entry.attempts })
      assert.is_true(math.abs(entry.put_at - now) < 10, entry.put_at)
      held.token = entry.token
      assert.is_true(perform(st, "outbox_bury", held))
      assert.same({ waiting = 1, taken = 0, dead = 1 }, perform(st, "outbox_count", given))
      local letter = perform(st, "outbox_dead", { key = "o", id = 0 })
      assert.same({ entry.id, "one", "no such shop" }, { letter.id, letter.value, letter.reason })
      assert.is_true(math.abs(letter.died_at - now) < 10, letter.died_at)
      assert.is_false(perform(st, "outbox_dead", { key = "o", id = letter.id }))
      assert.is_true(perform(st, "outbox_revive", { id = letter.id }))
      assert.is_false(perform(st, "outbox_drop", { id = letter.id }))
      assert.equal("one", perform(st, "outbox_take", given).value)
    end)

    it_does("says of an empty outbox that nothing is to be waited for", function()
      local none, due = perform(st, "outbox_take", { key = "o", lease = 1 })
      assert.is_false(none)
      assert.is_nil(due)
    end)

    it_does("refuses what is out of its bounds, and says that trying again is no use", function()
      local err = expect_failure("out of the store's bounds", get(st, ("k"):rep(4097)))
      assert.is_false(err.retryable)
      assert.is_true(put(st, ("k"):rep(4096), "v"))
    end)

    it_does("does the steps of many tasks side by side", function()
      local values = neap.run(function()
        local tasks, found = {}, {}
        for i = 1, 20 do
          tasks[i] = neap.spawn(function()
            put(st, "k" .. i, "v" .. i)
            return get(st, "k" .. i)
          end)
        end
        for i, task in ipairs(tasks) do
          found[i] = task:await()
        end
        return found
      end)
      for i = 1, 20 do
        assert.equal("v" .. i, values[i])
      end
    end)

    it_does("works in a coroutine of the program's inside a task, which blocks", function()
      assert.equal("v", neap.run(function()
        return coroutine.wrap(function()
          put(st, "k", "v")
          return get(st, "k")
        end)()
      end))
    end)

    it_does("works in a testing kit, without its clock moving", function()
      local t = require("neap.testing").new{ seed = 1 }
      t:run(function()
        assert.is_true(perform(st, "put",
          { key = "k", value = "v", until_time = t:now() + 1e9 + 60 }))
      end)
      assert.equal(0, t:now())
    end)

    it_does("may be dropped in the midst of its steps, and with the interpreter", function()
      local path, remove_path = stores.scratch()
      finally(remove_path)
      local report = calls.child(nil, [[
        local kind, path = ...
        local neap, host, store = require "neap", require "neap.host", require "neap.store"
        local function open()
          local options = { sqlite = { path = path }, redis = { host = path } }
          return require("neap.store." .. kind).new(options[kind])
        end
        local function put(st, key)
          return store.perform(st, host.engine(), "put",
            { key = key, value = "v", until_time = os.time() + 60 })
        end
        for round = 1, 20 do
          local st = open()
          pcall(neap.run, function()
            for i = 1, 10 do neap.spawn(put, st, "k" .. i) end
            neap.sleep(round % 2 / 1000)
            error "enough"
          end)
          st = nil
          if round % 3 == 0 then collectgarbage() collectgarbage() end
        end
        print(require("cjson").encode{ ended = true })
        pcall(neap.run, function()
          local st = open()
          for i = 1, 10 do neap.spawn(put, st, "k" .. i) end
          neap.sleep(0)
          os.exit(0, true)
        end)
      ]], kind.name, kind.name == "redis" and server.path or path)
      assert.is_true(report.ended)
    end)
  end)
end

-- Specs of a kind of store that may not be here: where it is not, that is seen.
local function needing(lacks)
  return function(name, fn)
    local why = lacks()
    if why then
      pending(name .. ": " .. why)
    else
      it(name, fn)
    end
  end
end

local needs_sqlite, needs_redis = needing(stores.lacks_sqlite), needing(redis.lacks)
local needs_lock, needs_tls = needing(stores.lacks), needing(function()
  return redis.lacks() or stores.lacks_sqlite()
end)

describe("making a store", function()
  needs_sqlite("answers with an error of kind store where its file cannot be", function()
    expect_failure("No such file or directory",
      require("neap.store.sqlite").new{ path = "/no/such/directory/x.db" })
  end)

  needs_redis("of kind redis needs no Redis, and its steps tell that there is none", function()
    local st = require("neap.store.redis").new{ port = 1 }
    assert.is_true(expect_failure("Redis", get(st, "x")).retryable)
    st = require("neap.store.redis").new{ host = "/nowhere/socket" }
    assert.is_true(neap.run(function() return expect_failure("Redis", get(st, "x")) end).retryable)
  end)

  needs_tls("raises at the caller's line for a wrong option", function()
    local done, message = pcall(function()
      return (require("neap.store.sqlite").new{ pth = "x" })
    end)
    assert.is_false(done)
    assert.matches([[store_spec%.lua:%d+: options%.pth: unknown key, did you mean "path"%?$]],
      message)
    assert.has_error(function() require("neap.store.sqlite").new{} end)
    assert.has_error(function() require("neap.store.memory").new{ max_bytes = -1 } end)
    assert.has_error(function() require("neap.store.redis").new{ timeout = 0 } end)
  end)

  it("raises at the caller's line for an env that cannot be one", function()
    for env, expected in pairs{
      [{ clokc = os.time }] = "options%.env%.clokc: unknown key",
      [{ time = 5 }] = "options%.env%.time: expected a function, got a number",
    } do
      local done, message = pcall(function()
        return (require("neap.store.memory").new{ env = env })
      end)
      assert.is_false(done)
      assert.matches("store_spec%.lua:%d+: " .. expected, message)
    end
  end)

  needs_tls("raises for options of Redis that contradict each other", function()
    for expected, options in pairs{
      ["options%.user: expected only together with password$"] = { user = "u" },
      ["options%.tls: expected only where host is not the path of a socket$"] =
        { host = "/s", tls = true },
      ["options%.host: expected the name or address of a host, or the path of a socket, "
        .. "not a URL$"] = { host = "redis://u:secret@h:6379/0" },
    } do
      local done, message = pcall(function()
        return (require("neap.store.redis").new(options))
      end)
      assert.is_false(done)
      assert.matches("store_spec%.lua:%d+: " .. expected, message)
    end
  end)
end)

describe("a store in memory", function()
  it("is bounded: cached answers go first, and what counts is refused", function()
    local st = require("neap.store.memory").new{ max_bytes = 65536 }
    for i = 1, 1000 do
      assert.is_true(put(st, "k" .. i, ("v"):rep(1000)))
    end
    assert.is_false(get(st, "k1"))
    assert.is_string(get(st, "k1000"))
    local err, count = nil, 0
    while not err do
      local _
      _, err = perform(st, "outbox_put", { key = "o", value = ("v"):rep(1000) })
      count = count + (err and 0 or 1)
    end
    expect_failure("no room", nil, err)
    assert.is_false(err.retryable)
    assert.is_true(count > 30 and count < 66, count)
    assert.equal(count, perform(st, "outbox_count", { key = "o" }).waiting)
  end)
end)

-- ------------------------------------------------------------------------------ SQLite in trouble

describe("a store in an SQLite file", function()
  local path, remove, disk

  before_each(function()
    path, remove = stores.scratch()
  end)

  after_each(function()
    collect()
    remove()
    if disk then
      disk:remove()
      disk = nil
    end
  end)

  -- Puts into the outbox until that fails: how many were acknowledged, and the error.
  local function put_until_it_fails(st, most)
    for i = 1, most do
      local id, err = perform(st, "outbox_put", { key = "o", value = ("v"):rep(10000) .. i })
      if not id then
        return i - 1, err
      end
    end
    return most
  end

  -- The entries that a new store finds in the file.
  local function stored(at)
    local st, count = open_sqlite(at), 0
    while true do
      local entry, err = perform(st, "outbox_take", { key = "o", lease = 60 })
      assert.is_not_nil(entry, tostring(err))
      if not entry then
        return count
      end
      count = count + 1
      assert.equal(10000 + #tostring(count), #entry.value)
      assert.equal(tostring(count), entry.value:sub(10001))
    end
  end

  local function mounted(options)
    local why
    disk, why = stores.disk(options)
    if not disk then
      pending(why)
    end
    return disk and disk.folder .. "/store.db"
  end

  needs_sqlite("on a full disk tells that it is full, and has what it acknowledged", function()
    local at = mounted("size=1m")
    if not at then
      return
    end
    local count, err = put_until_it_fails(open_sqlite(at), 1000)
    expect_failure("the disk of the SQLite file is full", nil, err)
    assert.is_true(err.retryable)
    assert.is_true(count > 10, count)
    collect()
    disk:remount("size=8m")
    assert.equal(count, stored(at))
  end)

  needs_sqlite("goes on where a full disk has room again", function()
    local at = mounted("size=1m")
    if not at then
      return
    end
    local st = open_sqlite(at)
    local count = put_until_it_fails(st, 1000)
    disk:remount("size=64m")
    local id, err = perform(st, "outbox_put",
      { key = "o", value = ("v"):rep(10000) .. count + 1 })
    assert.is_number(id, err and tostring(err))
    st = nil -- luacheck: ignore
    collect()
    assert.equal(count + 1, stored(at))
  end)

  needs_sqlite("whose process may write no more fails, and has what it acknowledged", function()
    local report = calls.child("ulimit -f 512; trap '' XFSZ;", [[
      local host, store = require "neap.host", require "neap.store"
      local st = assert(require("neap.store.sqlite").new{ path = ... })
      for i = 1, 1000 do
        local id, err = store.perform(st, host.engine(), "outbox_put",
          { key = "o", value = ("v"):rep(10000) .. i })
        if not id then
          print(require("cjson").encode{ count = i - 1, kind = err.kind, message = err.message })
          os.exit(0)
        end
      end
    ]], path)
    assert.equal("store", report.kind)
    assert.is_truthy(report.message:find("SQLite file", 1, true), report.message)
    assert.is_true(report.count > 5)
    assert.equal(report.count, stored(path))
  end)

  needs_sqlite("in a file system that cannot be written tells so", function()
    local at = mounted("size=8m")
    if not at then
      return
    end
    assert.equal(5, (put_until_it_fails(open_sqlite(at), 5)))
    collect()
    assert.is_true(disk:remount("ro"))
    local st = open_sqlite(at)
    local _, err = put_until_it_fails(st, 1)
    expect_failure("cannot be opened: Read-only file system", nil, err)
    expect_failure("cannot be made: Read-only file system",
      get(open_sqlite(disk.folder .. "/other.db"), "k"))
    assert.is_true(disk:remount("rw"))
    assert.is_number((perform(st, "outbox_put", { key = "o", value = ("v"):rep(10000) .. 6 })))
    assert.equal(6, stored(at))
  end)

  needs_lock("locked for longer than busy_timeout tells so, and works afterwards", function()
    local st = open_sqlite(path, 0.05)
    assert.equal(3, (put_until_it_fails(st, 3)))
    local lock = stores.lock(path)
    finally(function() lock:release() end)
    for _, run in ipairs{ neap.run, function(fn) return fn() end } do
      local seconds, _, err = calls.timed(function()
        return run(function() return put_until_it_fails(st, 1) end)
      end)
      expect_failure("locked by another process, longer than this one may wait", nil, err)
      assert.is_true(err.retryable)
      assert.is_true(seconds >= 0.05, seconds)
    end
    assert.equal("table", type(perform(st, "outbox_count", { key = "o" }))) -- reading goes on
    lock:release()
    assert.is_number((perform(st, "outbox_put", { key = "o", value = ("v"):rep(10000) .. 4 })))
    assert.equal(4, stored(path))
  end)

  needs_lock("that is locked holds up nobody but who asks for it", function()
    local st = open_sqlite(path, 20)
    put(st, "before", "v")
    local lock = stores.lock(path)
    finally(function() lock:release() end)
    neap.run(function()
      local stored_at, ticks = nil, 0
      local step = neap.spawn(function()
        assert.is_true(put(st, "k", "v"))
        stored_at = ticks
      end)
      repeat
        neap.sleep(0.001)
        ticks = ticks + 1
        assert.is_nil(stored_at)
      until ticks == 100
      lock:release()
      step:await()
      assert.is_true(stored_at >= 100)
    end)
  end)

  needs_sqlite("that is no database is said to be none", function()
    local file = assert(io.open(path, "wb"))
    file:write(("garbage "):rep(1000))
    file:close()
    expect_failure("not an SQLite database", get(open_sqlite(path), "k"))
  end)

  needs_sqlite("that is damaged is said to be", function()
    assert.equal(100, (put_until_it_fails(open_sqlite(path), 100)))
    collect()
    local size = #process.read_file(path)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", 4096)
    file:write(("\85"):rep(size - 4096))
    file:close()
    local st = open_sqlite(path)
    expect_failure("damaged", perform(st, "outbox_take", { key = "o", lease = 1 }))
    expect_failure("damaged", perform(st, "outbox_put", { key = "o", value = "v" }))
  end)

  needs_sqlite("that was deleted is made anew", function()
    local st = open_sqlite(path)
    put(st, "k", "v")
    for _, suffix in ipairs{ "", "-wal", "-shm" } do
      os.remove(path .. suffix)
    end
    assert.is_false(get(st, "k"))
    assert.is_true(put(st, "k", "w"))
    st = nil -- luacheck: ignore
    collect()
    assert.equal("w", get(open_sqlite(path), "k"))
  end)

  needs_sqlite("can only be read by its owner", function()
    put(open_sqlite(path), "k", "v")
    assert.equal("600", calls.output("stat -c %a " .. process.quoted(path)):match("%d+"))
  end)
end)

-- ------------------------------------------------------------------------------- Redis in trouble

describe("a store in Redis", function()
  local r

  after_each(function()
    if r then
      r:stop()
      r = nil
    end
  end)

  needs_redis("survives that it is killed under load: all that it acknowledged is there", function()
    r = redis.start{ options = "--appendonly yes --appendfsync always" }
    local st = require("neap.store.redis").new{ host = r.path }
    local acknowledged, failures, kinds, ends = {}, 0, {}, false
    local count = 0

    local function work(task)
      local number = 0
      while not ends do
        number = number + 1
        local value = task .. ":" .. number
        local id, err = perform(st, "outbox_put", { key = "o", value = value })
        if id then
          acknowledged[value] = true
          count = count + 1
        else
          failures = failures + 1
          kinds[err.kind .. (err.retryable and " retryable" or "")] = true
          neap.sleep(0.001)
        end
      end
    end

    neap.run(function()
      for task = 1, 10 do
        neap.spawn(work, task)
      end
      for _ = 1, 3 do
        local before, failed = count, failures
        calls.wait_for(function() return count > before + 200 end)
        r:kill()
        calls.wait_for(function() return failures > failed + 20 end)
        r:restart()
      end
      local before = count
      calls.wait_for(function() return count > before + 200 end)
      ends = true
    end)
    assert.same({ ["store retryable"] = true }, kinds)

    r:kill()
    r:restart()
    local found = {}
    neap.run(function()
      while true do
        local entry, err = perform(st, "outbox_take", { key = "o", lease = 60 })
        assert.is_not_nil(entry, tostring(err))
        if not entry then
          break
        end
        found[entry.value] = true
      end
    end)
    for value in pairs(acknowledged) do
      assert.is_true(found[value], value .. " was acknowledged and is gone")
    end
  end)

  needs_redis("that does not answer within the timeout fails, and works afterwards", function()
    r = redis.start()
    local st = require("neap.store.redis").new{ host = r.path, timeout = 0.1,
      connect_timeout = 0.1 }
    assert.is_true(put(st, "k", "v"))
    os.execute("kill -STOP " .. r.pid)
    finally(function() os.execute("kill -CONT " .. r.pid) end)
    neap.run(function()
      local err
      local step = neap.spawn(function() err = select(2, get(st, "k")) end)
      local ticks = 0
      repeat
        neap.sleep(0.001)
        ticks = ticks + 1
      until err
      step:await()
      expect_failure("did not answer within the time limit", nil, err)
      assert.is_true(ticks > 20, ticks)
    end)
    os.execute("kill -CONT " .. r.pid)
    assert.equal("v", get(st, "k"))
  end)

  needs_redis("logs in by its password, and tells of a wrong one without saying it", function()
    r = redis.start{ options = "--requirepass opensesame" }
    local function open(password)
      return require("neap.store.redis").new{ host = r.path, password = password }
    end
    assert.is_true(put(open("opensesame"), "k", "v"))
    assert.equal("v", get(open("opensesame"), "k"))
    for _, password in ipairs{ "wrong one", false } do
      local err = expect_failure("password", get(open(password or nil), "k"))
      assert.is_nil(err.message:find("wrong one", 1, true))
      assert.is_nil(tostring(err):find("wrong one", 1, true))
    end
  end)

  needs_redis("logs in as a user, who needs no more rights than docs/stores.md says", function()
    r = redis.start{ options = "--user alice on '>pass' '~neap:*' "
      .. assert(process.read_file("docs/stores.md"):match("needs `(%+@[^`]*)`"))
      .. " --user default off" }
    local function open(user, password)
      return require("neap.store.redis").new{ host = r.path, user = user, password = password }
    end
    local st = open("alice", "pass")
    assert.is_true(put(st, "k", "v"))
    assert.equal("v", get(st, "k"))
    assert.is_number((perform(st, "outbox_put", { key = "o", ordering_key = "l", value = "v" })))
    local held = perform(st, "outbox_take", { key = "o", lease = 60 })
    held.until_time, held.value, held.lease = 0, "why", 60
    for _, op in ipairs{ "outbox_renew", "outbox_bury", "outbox_revive" } do
      assert.is_true(perform(st, op, held))
    end
    assert.equal(1, perform(st, "outbox_count", { key = "o" }).waiting)
    assert.is_false(perform(st, "outbox_dead", { key = "o", id = 0 }))
    expect_failure("Redis", get(open("alice", "no"), "k"))
    expect_failure("Redis", get(open("bob", "pass"), "k"))
  end)

  -- At exit() OpenSSL takes itself down, under a thread that may be in the midst of using it.
  needs_tls("may be in the midst of steps over TLS when the process exits", function()
    local s = server_of_certificates.start()
    local free = assert(socket.bind("127.0.0.1", 0))
    local _, port = free:getsockname()
    free:close()
    r = redis.start{ options = ("--tls-port %d --tls-cert-file %s --tls-key-file %s "
      .. "--tls-ca-cert-file %s --tls-auth-clients no"):format(port, s.server_cert, s.server_key,
      s.ca_file) }
    local path, remove = stores.scratch()
    finally(function()
      s:stop()
      remove()
    end)
    calls.with_file([[
      local port, ca_file, path, delay = ...
      local neap, host, store = require "neap", require "neap.host", require "neap.store"
      local function step(st, op)
        return assert(store.perform(st, host.engine(), op,
          { key = "k", value = "v", until_time = os.time() + 60 }) ~= nil)
      end
      local sqlite = require("neap.store.sqlite").new{ path = path }
      neap.run(step, sqlite, "get") -- the first thread begins before OpenSSL does
      neap.run(function()
        neap.spawn(function()
          while true do
            step(require("neap.store.redis").new{ host = "localhost", port = tonumber(port),
              tls = true, ca_file = ca_file }, "put")
          end
        end)
        neap.sleep(tonumber(delay))
        os.exit(0)
      end)
    ]], function(program)
      for delay = 1, 30 do
        local output = calls.output(("timeout 10 %s %s %d %s %s %g 2>&1; echo status $?"):format(
          os.getenv("NEAP_LUA"), program, port, s.ca_file, path, delay / 1000))
        assert.equal("status 0\n", output)
      end
    end)
  end)

  needs_redis("keeps data bases and prefixes apart", function()
    r = redis.start()
    local function open(options)
      options.host = r.path
      return require("neap.store.redis").new(options)
    end
    put(open{}, "k", "default")
    put(open{ db = 3 }, "k", "third")
    put(open{ prefix = "other:" }, "k", "other")
    assert.equal("default", get(open{}, "k"))
    assert.equal("third", get(open{ db = 3 }, "k"))
    assert.equal("other", get(open{ prefix = "other:" }, "k"))
  end)

  needs_redis("that has no memory left refuses, and keeps what it has", function()
    r = redis.start{ options = "--maxmemory-policy noeviction" }
    local st = require("neap.store.redis").new{ host = r.path }
    assert.is_number((perform(st, "outbox_put", { key = "o", value = "one" })))
    r:say("CONFIG SET maxmemory 1")
    expect_failure("memory", perform(st, "outbox_put", { key = "o", value = "two" }))
    r:say("CONFIG SET maxmemory 0")
    assert.equal(1, perform(st, "outbox_count", { key = "o" }).waiting)
  end)
end)
