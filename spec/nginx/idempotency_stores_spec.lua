-- Guarded locations of several workers on one store: a key is handled once, whatever befalls the
-- workers and the store.
local socket = require "socket"

local farm = require "spec.support.farm"
local guarded = require "spec.support.guarded"
local stores = require "spec.support.stores"

local each = guarded.each_by(it, pending)
local g

after_each(function()
  if g then
    g:stop()
    g = nil
  end
end)

local SHARED = { { "sqlite", 4 }, { "redis", 4 } } -- kinds that several processes can share

local function start(options)
  g = guarded.start(options)
  return g
end

-- Status and body, in a list.
local function told(status, body)
  return { status, body }
end

local function kill(pid, signal)
  assert(os.execute(("kill -%s %d"):format(signal, pid)))
end

-- So many requests under one key, all of them sent before the first answer is read: how many had
-- each status, and all different bodies with 201.
local function storm(count, key, query)
  local talks, statuses, bodies, replays = {}, {}, {}, 0
  for index = 1, count do
    talks[index] = g:talk()
  end
  for _, talk in ipairs(talks) do
    guarded.send(talk, key, query)
  end
  for _, talk in ipairs(talks) do
    local status, body, lines = talk:receive()
    statuses[status] = (statuses[status] or 0) + 1
    if status == 201 then
      bodies[body] = true
      replays = replays + (guarded.is_replay(lines) and 1 or 0)
    end
    talk:close()
  end
  return statuses, bodies, replays
end

describe("two hundred requests with one key at once", function()
  each(guarded.KINDS, "are handled once, and have one answer or 409", function(kind, workers)
    start{ kind = kind, workers = workers }
    local statuses, bodies = storm(200, "k", "?seconds=0.3")
    assert.equal(1, g:count("runs"))
    assert.same({ ["paid 1"] = true }, bodies)
    assert.equal(200, statuses[201] + (statuses[409] or 0))
    assert.is_true((statuses[409] or 0) > 0)

    local later, same, replays = storm(200, "k", "?seconds=0.3")
    assert.same({ [201] = 200 }, later)
    assert.same({ ["paid 1"] = true }, same)
    assert.equal(200, replays)
    assert.equal(1, g:count("runs"))
  end)

  each(guarded.KINDS, "all have the answer where they wait for it", function(kind, workers)
    start{ kind = kind, workers = workers, guard = 'on_conflict = "wait"' }
    local statuses, bodies, replays = storm(200, "k", "?seconds=0.3")
    assert.same({ [201] = 200 }, statuses)
    assert.same({ ["paid 1"] = true }, bodies)
    assert.equal(199, replays)
    assert.equal(1, g:count("runs"))
  end)
end)

-- Posts until the answer is no 409: the status, the body, and when it was sent.
local function post_until_free(key, query, seconds)
  local at, status, body
  farm.wait("the key is free", function()
    at = socket.gettime()
    status, body = g:post(key, query)
    return status ~= 409
  end, seconds)
  return status, body, at
end

-- A request whose handler runs: its talk.
local function begin(key, query, talk)
  talk = talk or g:talk()
  local before = g:count("runs")
  guarded.send(talk, key, query)
  farm.wait("the handler", function()
    return g:count("runs") == before + 1
  end)
  return talk
end

describe("a worker that is killed while its handler runs", function()
  local LEASE = 2

  each(SHARED, "leaves the key to the end of its lease", function(kind, workers)
    start{ kind = kind, workers = workers, lease = LEASE }
    local talk = begin("k", "?seconds=30")
    socket.sleep(LEASE) -- it is renewed meanwhile
    assert.equal(409, (g:post("k", "?seconds=30")))
    kill(g:count("pid"), "KILL")
    local killed = socket.gettime()
    assert.is_nil((talk:receive()))

    local status, body, at = post_until_free("k", "?seconds=30", 10)
    assert.same({ 201, "paid 2" }, { status, body })
    assert.equal(1, g:count("recovered"))
    -- It had been renewed a third of the lease ago at most.
    local seconds = at - killed
    assert.is_true(seconds > LEASE * 2 / 3 - 0.3 and seconds < LEASE + 1, seconds)
    assert.same({ 201, "paid 2" }, told(g:post("k", "?seconds=30")))
  end)
end)

describe("a worker that is stopped past its lease", function()
  each(SHARED, "gives its caller its own answer, and overwrites nothing", function(kind, workers)
    start{ kind = kind, workers = workers, lease = 1 }
    local lists = g:each_worker()
    local talk = begin("k", "?seconds=0.5", lists[1][1])
    local pid = g:count("pid")
    kill(pid, "STOP")
    local status, body
    farm.wait("the key is free", function() -- not over the one that sleeps
      guarded.send(lists[2][1], "k", "?seconds=0.5")
      status, body = lists[2][1]:receive()
      return status ~= 409
    end)
    assert.same({ 201, "paid 2" }, { status, body })
    kill(pid, "CONT")
    assert.same({ 201, "paid 1" }, told(talk:receive()))
    for _, list in ipairs(lists) do
      guarded.send(list[1], "k", "?seconds=0.5")
      local later, same, lines = list[1]:receive()
      assert.same({ 201, "paid 2" }, { later, same })
      assert.is_true(guarded.is_replay(lines))
    end
    assert.equal(1, g:count("recovered"))
  end)
end)

describe("a store that goes down under load", function()
  local lacks = guarded.lacks("redis")

  if lacks then
    pending("refuses with 503, and runs nothing without a claim: " .. lacks)
    return
  end

  -- Posts under keys of its own as long as `predicate` says so: what it got by status.
  local function load_while(predicate)
    local statuses, number = {}, 0
    while predicate(statuses) do
      number = number + 1
      local status = g:post(("load-%f-%d"):format(socket.gettime(), number))
      statuses[status] = (statuses[status] or 0) + 1
    end
    return statuses
  end

  local function seen(status, count)
    return function(statuses)
      return (statuses[status] or 0) < count
    end
  end

  it("refuses with 503, runs nothing without a claim, and works again when it is back", function()
    start{ kind = "redis", workers = 4 }
    assert.same({ [201] = 40 }, load_while(seen(201, 40)))
    assert.equal(201, (g:post("before")))
    g.redis:kill()
    load_while(seen(503, 1))
    local runs = g:count("runs")
    local began = socket.gettime()
    assert.same({ [503] = 40 }, load_while(seen(503, 40)))
    assert.is_true(socket.gettime() - began < 20)
    local status, body, lines = g:post("before")
    assert.equal(503, status)
    assert.matches('"urn:neap:idempotency:store"', body)
    assert.is_truthy(table.concat(lines, "\n"):find("application/problem+json", 1, true))
    assert.equal(runs, g:count("runs"))
    assert.matches("%[error%].-neap: store: ", g:error_log())

    g.redis:restart()
    load_while(seen(201, 1))
    assert.same({ [201] = 40 }, load_while(seen(201, 40)))
    assert.equal(g:count("runs"), g:count("ended"))
  end)

  it("and that comes back within the lease learns what was done meanwhile", function()
    start{ kind = "redis", workers = 4, lease = 10,
      redis = "--appendonly yes --appendfsync always" }
    local talk = begin("k", "?seconds=0.5")
    g.redis:kill()
    local status, body = talk:receive()
    assert.same({ 201, "paid 1" }, { status, body })
    g.redis:restart()
    local later, same = post_until_free("k", "?seconds=0.5", 10)
    assert.same({ 201, "paid 1" }, { later, same })
    assert.equal(1, g:count("runs"))
  end)
end)

describe("a store whose password is refused", function()
  local lacks = guarded.lacks("redis")

  if lacks then
    pending("is 503, and the log has neither password nor key: " .. lacks)
    return
  end

  it("is 503, and the log has neither password nor key", function()
    start{ kind = "redis", workers = 1, init = [[
      local open_redis = require("neap.store.redis").new
      function strange(path)
        strangers = strangers or require("neap.idempotency").new{
          store = open_redis{ host = path, user = "shop", password = "hush-hush" } }
        return strangers
      end
    ]], conf = [[
      location = /strange { content_by_lua_block {
        require("neap.nginx").idempotency(strange(ngx.var.http_x_path), pay)
      } }
    ]] }
    local talk = g:talk()
    talk:send("/strange", "", ("X-Path: %s\r\n%s"):format(g.redis.path, guarded.keyed("my-key")),
      "POST")
    assert.equal(503, (talk:receive()))
    local log = g:error_log()
    assert.matches("%[error%].-neap: store: Redis cannot be used", log)
    assert.is_nil(log:find("hush-hush", 1, true))
    assert.is_nil(log:find("my-key", 1, true))
    assert.equal(0, g:count("runs"))
  end)
end)

-- The statuses of those that were sent on these talks, counted.
local function statuses_of(talks)
  local statuses = {}
  for _, talk in ipairs(talks) do
    local status = talk:receive()
    statuses[status] = (statuses[status] or 0) + 1
    talk:close()
  end
  return statuses
end

local function send_all(count, name, query)
  local talks = {}
  for index = 1, count do
    talks[index] = g:talk()
    guarded.send(talks[index], name .. index, query)
  end
  return talks
end

describe("a store that does not answer any more", function()
  local lacks = guarded.lacks("redis")

  if lacks then
    pending("is 503 for all at once: " .. lacks)
    return
  end

  it("is 503 for all who wait for it, not for one after the other", function()
    start{ kind = "redis", workers = 1 }
    assert.equal(201, (g:post("before")))
    kill(g.redis.pid, "STOP")
    local began = socket.gettime()
    assert.same({ [503] = 50 }, statuses_of(send_all(50, "during-")))
    local seconds = socket.gettime() - began
    kill(g.redis.pid, "CONT")
    assert.is_true(seconds < 4, seconds) -- two tries of half a second
    assert.equal(1, g:count("runs"))
    farm.wait("Redis", function()
      return g:post("after") == 201
    end)
    assert.same({ [201] = 50 }, statuses_of(send_all(50, "after-")))
  end)

  it("holds up no answer of handlers that have run", function()
    start{ kind = "redis", workers = 1, lease = 6 }
    local talks = send_all(20, "k-", "?seconds=1.5")
    farm.wait("all handlers", function()
      return g:count("runs") == 20
    end)
    kill(g.redis.pid, "STOP")
    local began = socket.gettime()
    assert.same({ [201] = 20 }, statuses_of(talks))
    local seconds = socket.gettime() - began
    assert.is_true(seconds < 5, seconds)
    kill(g.redis.pid, "CONT")
    farm.wait("the store knows all", function() -- none is done again
      return statuses_of(send_all(20, "k-", "?seconds=1.5"))[201] == 20
    end, 10)
    assert.equal(20, g:count("runs"))
  end)
end)

describe("a SQLite file that somebody has locked", function()
  local lacks = stores.lacks()

  if lacks then
    pending("is 503 after the busy time: " .. lacks)
    return
  end

  it("is 503 after the busy time, and the worker serves others meanwhile", function()
    start{ kind = "sqlite", workers = 1 }
    assert.equal(201, (g:post("before")))
    local lock = stores.lock(g.path)
    local talks, began = send_all(20, "during-"), socket.gettime()
    local slowest, rounds, other = 0, 0, g:talk()
    while socket.gettime() - began < 0.4 do
      local sent = socket.gettime()
      assert.equal(200, (other:get("/plain")))
      slowest = math.max(slowest, socket.gettime() - sent)
      rounds = rounds + 1
    end
    assert.is_true(slowest < 0.1, slowest)
    assert.is_true(rounds > 20, rounds)
    assert.same({ [503] = 20 }, statuses_of(talks))
    local seconds = socket.gettime() - began
    assert.is_true(seconds > 0.45 and seconds < 3, seconds) -- once half a second, or a few times
    assert.equal(1, g:count("runs"))
    lock:release()
    assert.same({ [201] = 20 }, statuses_of(send_all(20, "during-")))
    assert.equal(21, g:count("runs"))
  end)
end)

local function wait_for_end(pids)
  farm.wait("end of the workers", function()
    for _, pid in ipairs(pids) do
      if farm.lives(pid) then
        return false
      end
    end
    return true
  end, 10)
end

local function nothing_crashed()
  local log = g:error_log()
  for _, sign in ipairs{ "exited on signal", "[alert]", "[emerg]" } do
    assert.is_nil(log:find(sign, 1, true), log)
  end
end

describe("while handlers run", function()
  local HANDLERS = 20

  local function begin_all()
    local talks = {}
    for index = 1, HANDLERS do
      talks[index] = g:talk()
      guarded.send(talks[index], "k-" .. index, "?seconds=1.5")
    end
    farm.wait("all handlers", function()
      return g:count("runs") == HANDLERS
    end)
    return talks
  end

  local function finish_all(talks)
    for _, talk in ipairs(talks) do
      assert.equal(201, (talk:receive()))
      talk:close()
    end
  end

  each(SHARED, "HUP lets them end, and new workers replay their answers", function(kind, workers)
    start{ kind = kind, workers = workers, lease = 1 } -- which the old ones go on renewing
    local old = g:workers()
    local talks = begin_all()
    g:signal("HUP")
    farm.wait("new workers", function()
      local now = g:workers()
      return #now == workers and now[1] ~= old[1]
    end)
    assert.equal(409, (g:post("k-1", "?seconds=1.5")))
    finish_all(talks)
    for index = 1, HANDLERS do
      local status, _, lines = g:post("k-" .. index, "?seconds=1.5")
      assert.equal(201, status)
      assert.is_true(guarded.is_replay(lines))
    end
    wait_for_end(old)
    assert.equal(HANDLERS, g:count("runs"))
    nothing_crashed()
  end)

  each(guarded.KINDS, "QUIT lets them end", function(kind, workers)
    start{ kind = kind, workers = workers, lease = 1 }
    local old = g:workers()
    local talks = begin_all()
    g:signal("QUIT")
    finish_all(talks)
    wait_for_end(old)
    nothing_crashed()
  end)

  each(guarded.KINDS, "TERM ends nginx at once, without a crash", function(kind, workers)
    start{ kind = kind, workers = workers }
    local old = g:workers()
    begin_all()
    g:signal("TERM")
    wait_for_end(old)
    nothing_crashed()
  end)

  each(guarded.KINDS, "and others wait for them, the worker serves the rest at once",
    function(kind)
      start{ kind = kind, workers = 1, guard = 'on_conflict = "wait"' }
      local talks = begin_all()
      for index = HANDLERS + 1, 5 * HANDLERS do
        talks[index] = g:talk()
        guarded.send(talks[index], "k-" .. index % HANDLERS + 1, "?seconds=1.5")
      end
      local times, other = {}, g:talk()
      for index = 1, 100 do
        local sent = socket.gettime()
        assert.equal(200, (other:get("/plain")))
        times[index] = socket.gettime() - sent
        socket.sleep(0.002)
      end
      table.sort(times)
      assert.is_true(times[50] < 0.01 and times[100] < 0.2, times[50] .. " " .. times[100])
      finish_all(talks)
      assert.equal(HANDLERS, g:count("runs"))
    end)
end)
