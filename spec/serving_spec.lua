-- The serving side of idempotency on real clocks: processes that are killed and stopped, stores
-- that fail, handlers that block, and each host.
local calls = require "spec.support.calls"
local idempotency = require "neap.idempotency"
local neap = require "neap"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local socket = require "socket"
local stores = require "spec.support.stores"
local testing = require "neap.testing"

local LUA = os.getenv("NEAP_LUA") or arg[-1]
local BOUND = 60 -- seconds, for anything

-- What each child process begins with. Whatever it waits for, it ends in two minutes.
local HEAD = [[
  local kind, path, folder = ...
  local neap = require "neap"
  local ends = neap.now() + 120
  local st = assert(require("neap.store." .. kind).new(
    kind == "redis" and { host = path } or { path = path, busy_timeout = 30 }))
  local function new(options)
    options.store = st
    return require("neap.idempotency").new(options)
  end
  local function request(key)
    return { method = "POST", path = "/payments", headers = { ["Idempotency-Key"] = key or "k" },
      body = "5" }
  end
  local function note(name, text)
    local file = assert(io.open(folder .. "/" .. name, "a"))
    file:write(text or "", "\n")
    file:close()
  end
  local function wait_for(name)
    repeat
      local file = io.open(folder .. "/" .. name)
      if file then return file:close() end
      os.execute("sleep 0.02")
    until neap.now() > ends
    os.exit(1)
  end
]]

local Child = {}
Child.__index = Child

local function start(place, text)
  local file = os.tmpname()
  local handle = assert(io.open(file, "w"))
  handle:write(HEAD, text)
  handle:close()
  local pipe = assert(io.popen(("%s %s %s %s %s >%s 2>&1 & echo $!"):format(process.quoted(LUA),
    file, place.kind, process.quoted(place.path), process.quoted(place.folder),
    process.quoted(place.folder .. "/output"))))
  local pid = pipe:read("*n")
  pipe:close()
  place.pids[#place.pids + 1] = pid
  return setmetatable({ pid = pid, file = file }, Child)
end

function Child:signal(name)
  os.execute(("kill -%s %d"):format(name, self.pid))
end

-- One that has ended may not yet have been asked for by whoever adopted it.
function Child:has_ended()
  local stat = process.read_file(("/proc/%d/stat"):format(self.pid))
  return not stat or stat:match("%) (%a)") == "Z"
end

function Child:wait()
  assert.is_truthy(process.wait_until(function() return self:has_ended() end, BOUND))
  os.remove(self.file)
end

local function note_of(place, name)
  return process.read_file(place.folder .. "/" .. name)
end

-- A file is there before what is written into it.
local function wait_for_note(place, name)
  local text = process.wait_until(function()
    local noted = note_of(place, name)
    return noted and noted:sub(-1) == "\n" and noted
  end, BOUND)
  return text or error("no " .. name .. ": " .. tostring(note_of(place, "output")))
end

local function leave_note(place, name)
  assert(io.open(place.folder .. "/" .. name, "w")):close()
end

local function lines_of(place, name)
  return select(2, (note_of(place, name) or ""):gsub("\n", "\n"))
end

local function request(key)
  return { method = "POST", path = "/payments", headers = { ["Idempotency-Key"] = key or "k" },
    body = "5" }
end

local function open_store(place, options)
  options = options or {}
  if place.kind == "redis" then
    options.host = place.path
  else
    options.path = place.path
  end
  return assert(require("neap.store." .. place.kind).new(options))
end

local function guard_on(place, options, store_options)
  options = options or {}
  options.store = open_store(place, store_options)
  return idempotency.new(options)
end

local function answer(body)
  return function() return { status = 201, body = body } end
end

local function sqlite_place()
  local path, remove = stores.scratch()
  return { kind = "sqlite", path = path, folder = path:match("^(.*)/"), pids = {},
    remove = remove }
end

local function redis_place(options)
  local server = redis.start(options)
  return { kind = "redis", path = server.path, folder = server.folder, pids = {}, server = server,
    remove = function() server:stop() end }
end

local function clear(place)
  for _, pid in ipairs(place.pids) do
    os.execute(("kill -KILL %d 2>/dev/null"):format(pid))
  end
  collectgarbage()
  place.remove()
end

for _, kind in ipairs{ "sqlite", "redis" } do
  describe("processes on one " .. kind, function()
    local lack = kind == "redis" and redis.lacks()
    if lack then
      pending(lack)
      return
    end

    local place

    before_each(function()
      place = kind == "redis" and redis_place() or sqlite_place()
    end)
    after_each(function() clear(place) end)

    local BLOCK = [[
      local res = new{ lease = %s }:handle(request(), function(req)
        note("runs", tostring(req.recovered))
        note("started")
        wait_for("go")
        return { status = 201, body = "late" }
      end)
      note("told", res.status .. " " .. res.body)
    ]]

    it("a key whose owner is killed is free when the lease ends, and not before", function()
      local child = start(place, BLOCK:format("1.5"))
      wait_for_note(place, "started")
      local guard = guard_on(place, { lease = 1.5 })
      local recovered
      local function try()
        local res = guard:handle(request(), function(req)
          recovered = req.recovered
          return { status = 201, body = "next" }
        end)
        return res.status
      end
      local held_until = socket.gettime() + 2 -- longer than the lease: it is renewed
      repeat
        assert.equal(409, try())
      until socket.gettime() > held_until
      child:signal("KILL")
      local killed = socket.gettime()
      child:wait()
      assert.equal(409, try())
      assert.equal(201, process.wait_until(function()
        local status = try()
        return status ~= 409 and status
      end, BOUND))
      assert.is_true(socket.gettime() - killed >= 0.9) -- it was renewed a third of it ago at most
      assert.is_true(recovered)
      assert.equal("next", guard:handle(request(), answer("again")).body)
    end)

    it("a late owner has its answer for its own caller, and overwrites nothing", function()
      local child = start(place, BLOCK:format("1"))
      wait_for_note(place, "started")
      child:signal("STOP")
      local guard = guard_on(place, { lease = 1 })
      assert.is_truthy(process.wait_until(function()
        return guard:handle(request(), answer("of the next")).status == 201
      end, BOUND))
      leave_note(place, "go")
      child:signal("CONT")
      assert.equal("201 late\n", wait_for_note(place, "told"))
      child:wait()
      local res = guard:handle(request(), answer("again"))
      assert.equal("of the next", res.body)
      assert.is_true(res.replayed)
    end)

    it("a hundred requests of two processes under one key run one handler", function()
      local text = [[
        local guard = new{ lease = 20, on_conflict = "wait" }
        neap.run(function()
          for _ = 1, 50 do
            neap.spawn(function()
              local res = guard:handle(request(), function()
                note("runs")
                neap.sleep(0.3)
                return { status = 201, body = "once" }
              end)
              note("told", res.status .. " " .. res.body)
            end)
          end
        end)
      ]]
      local first, second = start(place, text), start(place, text)
      first:wait()
      second:wait()
      assert.equal(1, lines_of(place, "runs"), note_of(place, "output"))
      assert.equal(("201 once\n"):rep(100), note_of(place, "told"))
    end)

    it("a handler that blocks its thread for longer than the lease keeps its key", function()
      local child = start(place, [[
        local res = new{ lease = 0.4 }:handle(request(), function()
          note("runs")
          note("started")
          os.execute("sleep 2")
          return { status = 201, body = "slow" }
        end)
        note("told", res.status .. " " .. res.body)
      ]])
      wait_for_note(place, "started")
      local guard, refused = guard_on(place, { lease = 0.4 }), 0
      local res = process.wait_until(function()
        local got = guard:handle(request(), answer("too early"))
        refused = refused + (got.status == 409 and 1 or 0)
        return got.status ~= 409 and got
      end, BOUND)
      child:wait()
      assert.equal("slow", res.body)
      assert.is_true(refused > 2)
      assert.equal(1, lines_of(place, "runs"))
    end)

    it("an answer is kept for later processes", function()
      local text = [[
        local res = new{}:handle(request(), function()
          note("runs")
          return { status = 200, headers = { { "X-A", "\255\1" }, { "x-a", "2" } }, body = "a\0b" }
        end)
        note("told", #res.body .. res.raw_headers[1][2]:byte() .. tostring(res.replayed))
      ]]
      start(place, text):wait()
      start(place, text):wait()
      assert.equal(1, lines_of(place, "runs"), note_of(place, "output"))
      assert.equal("3255nil\n3255true\n", note_of(place, "told"))
    end)
  end)
end

describe("a store that fails", function()
  local place

  before_each(function() place = sqlite_place() end)
  after_each(function() clear(place) end)

  local function refuses(guard)
    local ran = false
    local res, err = guard:handle(request("refused"), function()
      ran = true
      return { status = 201 }
    end)
    assert.equal(503, res.status)
    assert.equal("application/problem+json", res.headers["content-type"])
    assert.equal("store", err.kind)
    assert.is_true(err.retryable)
    assert.is_true(#err.message > 0)
    assert.is_nil(res.body:find(err.message, 1, true)) -- the caller is told nothing of our files
    assert.is_false(ran)
  end

  it("refuses while SQLite's file is locked, and works afterwards", function()
    if stores.lacks() then
      return pending(stores.lacks())
    end
    local guard = guard_on(place, nil, { busy_timeout = 0.05 })
    assert.equal(201, guard:handle(request("before"), answer("x")).status)
    local lock = stores.lock(place.path)
    refuses(guard)
    neap.run(function() refuses(guard) end)
    lock:release()
    assert.equal(201, guard:handle(request("refused"), answer("x")).status)
  end)

  it("refuses where SQLite's file is damaged", function()
    local file = assert(io.open(place.path, "wb"))
    file:write(("no database "):rep(1000))
    file:close()
    refuses(guard_on(place))
  end)

  it("refuses where SQLite's disk is read-only", function()
    local disk, lack = stores.disk("size=4m")
    if not disk then
      return pending(lack)
    end
    finally(function()
      collectgarbage()
      disk:remove()
    end)
    local there = { kind = "sqlite", path = disk.folder .. "/store.db" }
    assert.equal(201, guard_on(there):handle(request(), answer("x")).status)
    local function remounted()
      collectgarbage()
      return disk:remount("ro")
    end
    assert.is_truthy(process.wait_until(remounted))
    refuses(guard_on(there))
  end)

  -- The caller has its answer while the store is locked; later the store has it too.
  it("has the answer later where it fails when that is stored", function()
    if stores.lacks() then
      return pending(stores.lacks())
    end
    for _, run in ipairs{ neap.run, function(fn) fn() end } do
      local key = tostring(run)
      run(function()
        local guard = guard_on(place, nil, { busy_timeout = 0.05 })
        local lock
        local res, err = guard:handle(request(key), function()
          lock = stores.lock(place.path)
          return { status = 201, body = "paid" }
        end)
        assert.equal("paid", res.body)
        assert.is_nil(err)
        lock:release()
        assert.is_truthy(process.wait_until(function()
          local later = guard_on(place):handle(request(key), answer("twice"))
          assert.not_equal("twice", later.body)
          return later.replayed
        end, BOUND))
      end)
    end
  end)

  it("has the answer of a program that ends", function()
    if stores.lacks() then
      return pending(stores.lacks())
    end
    guard_on(place):handle(request("makes the file"), answer("x"))
    local lock = stores.lock(place.path)
    lock:release()
    start(place, [[
      new{}:handle(request(), function() return { status = 201, body = "paid" } end)
    ]]):wait()
    assert.equal("paid", guard_on(place):handle(request(), answer("twice")).body)
  end)

  describe("as Redis does", function()
    if redis.lacks() then
      pending(redis.lacks())
      return
    end

    local there

    before_each(function()
      there = redis_place{ options = "--appendonly yes --appendfsync always" }
    end)
    after_each(function() clear(there) end)

    it("refuses while it is down, and works afterwards", function()
      local guard = guard_on(there)
      assert.equal(201, guard:handle(request("before"), answer("x")).status)
      there.server:kill()
      refuses(guard)
      neap.run(function() refuses(guard) end)
      there.server:restart()
      assert.equal(201, guard:handle(request("refused"), answer("x")).status)
      assert.is_true(guard:handle(request("before"), answer("y")).replayed)
    end)

    it("has the answer later where it was down when that was stored", function()
      local guard = guard_on(there)
      local res, err = guard:handle(request(), function()
        there.server:kill()
        return { status = 201, body = "paid" }
      end)
      assert.equal("paid", res.body)
      assert.is_nil(err)
      there.server:restart()
      assert.is_truthy(process.wait_until(function()
        local later = guard:handle(request(), answer("twice"))
        assert.not_equal("twice", later.body)
        return later.replayed
      end, BOUND))
    end)

    it("is renewed again where it was down for a while", function()
      local guard, other = guard_on(there, { lease = 3 }), guard_on(there)
      local res = guard:handle(request(), function()
        there.server:kill()
        there.server:restart()
        local still = socket.gettime() + 4
        repeat
          assert.equal(409, other:handle(request(), answer("other")).status)
        until socket.gettime() > still
        return { status = 201, body = "paid" }
      end)
      assert.equal("paid", res.body)
      assert.equal("paid", guard:handle(request(), answer("other")).body)
    end)
  end)
end)

describe("a guard on", function()
  local place

  before_each(function() place = sqlite_place() end)
  after_each(function() clear(place) end)

  -- Twenty requests of five keys, whose handlers take a while: each handler runs once, and all go
  -- on side by side.
  local LOAD = [[
    local guard = new{ on_conflict = "wait" }
    local runs, told, inside, most = 0, 0, 0, 0
    for i = 1, 20 do
      go(function()
        local res = guard:handle(request("k" .. i % 5), function()
          runs, inside = runs + 1, inside + 1
          most = math.max(most, inside)
          neap.sleep(0.2)
          inside = inside - 1
          return { status = 201, body = "paid" }
        end)
        if res.status == 201 and res.body == "paid" then told = told + 1 end
      end)
    end
    run()
    note("told", runs .. " " .. told .. " " .. most)
  ]]

  local HOSTS = {
    ["neap.run"] = [[
      local fns = {}
      local function go(fn) fns[#fns + 1] = fn end
      local function run() neap.all(fns) end
    ]],
    luv = [[
      require "neap.loop.luv"
      local uv = require "luv"
      local function go(fn) coroutine.wrap(fn)() end
      local function run() uv.run() end
    ]],
    cqueues = [[
      require "neap.loop.cqueues"
      local controller = require("cqueues").new()
      local function go(fn) controller:wrap(fn) end
      local function run() assert(controller:loop()) end
    ]],
  }

  -- A neap.run in a task is a part of the outer one.
  local OUTSIDE = {
    ["neap.run"] = [[
      local function go(fn) fn() end
      local function run() end
    ]],
  }

  for name, head in pairs(HOSTS) do
    it(name .. " runs handlers side by side", function()
      start(place, head .. LOAD):wait()
      assert.equal("5 20 5\n", note_of(place, "told"), note_of(place, "output"))
    end)

    it(name .. " gives up what a task that is given up has begun", function()
      start(place, (OUTSIDE[name] or head) .. [[
        collectgarbage("stop")
        local guard, began, refused = new{ lease = 0.5 }, false, 0
        go(function()
          pcall(neap.run, function()
            neap.spawn(function()
              guard:handle(request(), function()
                began = true
                neap.sleep(600)
              end)
            end)
            while not began do neap.sleep(0.01) end
            error("enough")
          end)
          repeat
            local res = guard:handle(request(), function(req)
              note("told", tostring(req.recovered))
              return { status = 201 }
            end)
            refused = refused + (res.status == 409 and 1 or 0)
            neap.sleep(0.02)
          until res.status == 201 or neap.now() > ends - 90
          if refused == 0 then note("told", "too early") end
        end)
        run()
      ]]):wait()
      assert.equal("true\n", note_of(place, "told"), note_of(place, "output"))
    end)
  end

  it("plain Lua lets a handler yield to the program's own scheduler", function()
    local guard, res = guard_on(place), nil
    local co = coroutine.create(function()
      res = guard:handle(request(), function()
        local body = coroutine.yield("asks")
        return { status = 201, body = body }
      end)
    end)
    assert.equal("asks", select(2, coroutine.resume(co)))
    assert.equal(409, guard:handle(request(), answer("other")).status)
    coroutine.resume(co, "given")
    assert.equal("given", res.body)
    assert.equal("given", guard:handle(request(), answer("other")).body)
  end)

  for name, run in pairs{ ["plain Lua"] = function(fn) fn() end, ["neap.run"] = neap.run } do
    it(name .. " refuses a handler its own key, and gives it another", function()
      run(function()
        for _, on_conflict in ipairs{ "reject", "wait" } do
          local guard = guard_on(place, { lease = 0.3, on_conflict = on_conflict })
          local same, other
          local res = guard:handle(request(on_conflict), function()
            same = guard:handle(request(on_conflict), answer("same")).status
            other = guard:handle(request("inner " .. on_conflict), answer("other")).body
            return { status = 201, body = "outer" }
          end)
          assert.equal(409, same)
          assert.equal("other", other)
          assert.equal("outer", res.body)
        end
      end)
    end)

    it(name .. " passes an error in the handler on to the log only", function()
      run(function()
        local cause = {}
        local res, err = guard_on(place):handle(request(), function() error(cause) end)
        assert.equal(500, res.status)
        assert.equal("error", err.kind)
        assert.equal(cause, err.cause)
        assert.equal(500, guard_on(place):handle(request(), answer("x")).status)
      end)
    end)
  end
end)

describe("odd requests", function()
  local st, guard

  before_each(function()
    st = require("neap.store.memory").new()
    guard = idempotency.new{ store = st }
  end)

  local function with(headers, options)
    options = options or {}
    options.store = st
    return idempotency.new(options):handle({ method = "POST", path = "/", headers = headers },
      answer("x"))
  end

  it("may have headers of any bytes as pairs, in any number", function()
    local headers = { { "X-\0\255", "\0\r\n\255" }, { "", "" }, { "idempotency-KEY", "k" } }
    for i = 1, 5000 do
      headers[#headers + 1] = { "x-" .. i, ("v"):rep(100) }
    end
    assert.equal(201, with(headers).status)
    assert.is_true(with(headers).replayed)
  end)

  it("may have numbers as values", function()
    assert.equal(201, with({ ["Idempotency-Key"] = 17, other = 1.5 }).status)
    assert.is_true(with({ { "Idempotency-Key", "17" } }).replayed)
  end)

  it("have a key twice where it is written twice", function()
    assert.equal(400, with({ ["Idempotency-Key"] = "k", ["idempotency-key"] = "k" }).status)
    assert.equal(400, with({ { "Idempotency-Key", "k" }, { "idempotency-key", "k" } }).status)
  end)

  it("with what is no header raise at the caller's line", function()
    for _, headers in ipairs{ { a = true }, { [2] = "x" }, { "text" }, { { 1, "x" } },
      { { "a" } }, { { "a", {} } }, { a = { {} } }, "text", 5 } do
      local done, message = pcall(function()
        return (guard:handle({ method = "POST", path = "/", headers = headers }, answer("x")))
      end)
      assert.is_false(done)
      assert.matches("serving_spec%.lua:%d+: req%.headers", message)
    end
  end)

  it("of a scope that is too long raise, and claim nothing", function()
    local headers = { ["Idempotency-Key"] = "k" }
    local function scoped(bytes)
      return with(headers, { scope = function() return ("s"):rep(bytes) end })
    end
    assert.equal(201, scoped(3072).status)
    assert.has_error(function() scoped(3073) end,
      "options.scope: expected a string of at most 3072 bytes to be returned")
  end)

  it("whose scope or fingerprint raises raise that, and claim nothing", function()
    local headers = { ["Idempotency-Key"] = "k" }
    for _, name in ipairs{ "scope", "fingerprint" } do
      local cause = {}
      for _, fn in ipairs{ function() error(cause) end, function() end, function() return 5 end } do
        local done = pcall(with, headers, { [name] = fn })
        assert.is_false(done)
      end
      local done, raised = pcall(with, headers, { [name] = function() error(cause) end })
      assert.is_false(done)
      assert.equal(cause, raised)
    end
    assert.is_nil(with(headers).replayed)
  end)

  it("are stored by status where store_statuses raises", function()
    local function raise() error("in store_statuses") end
    local headers = { ["Idempotency-Key"] = "k" }
    assert.equal(201, with(headers, { store_statuses = raise }).status)
    assert.is_true(with(headers).replayed)
  end)

  it("of a method in any case are guarded", function()
    local req = { method = "post", path = "/", headers = { ["Idempotency-Key"] = "k" } }
    assert.equal(201, guard:handle(req, answer("x")).status)
    assert.is_true(guard:handle(req, answer("y")).replayed)
  end)

  it("go by one clock where only one is given", function()
    for _, name in ipairs{ "clock", "time" } do
      local now = 1000
      local own = { ttl = 10, env = { [name] = function() return now end } }
      local headers = { ["Idempotency-Key"] = name }
      assert.is_nil(with(headers, own).replayed)
      now = 1009.5
      own.store = nil
      assert.is_true(with(headers, own).replayed)
      now = 1010
      assert.is_nil(with(headers, own).replayed)
    end
  end)

  it("under a clock that says nonsense raise", function()
    for _, value in ipairs{ 0 / 0, math.huge, "5" } do
      local done, message = pcall(with, { ["Idempotency-Key"] = "k" },
        { env = { time = function() return value end } })
      assert.is_false(done)
      assert.matches("env%.clock: expected a number of seconds", message)
    end
  end)
end)

describe("kits of the same seed", function()
  it("have claims of their own in a store that they share", function()
    local place = sqlite_place()
    finally(function() clear(place) end)
    local guards = {}
    for i = 1, 2 do
      guards[i] = guard_on(place, { env = testing.new{ seed = 1 }.env })
    end
    local second
    local first = guards[1]:handle(request(), function()
      second = guards[2]:handle(request(), answer("second"))
      return { status = 201, body = "first" }
    end)
    assert.equal(409, second.status)
    assert.equal("first", first.body)
  end)
end)

-- What is raised at the caller's line must be found there.
describe("misuse of a guard", function()
  it("names the line", function()
    local guard = idempotency.new{ store = require("neap.store.memory").new() }
    assert.matches("^req: expected a table", calls.misuse(function() return (guard:handle()) end))
  end)
end)
