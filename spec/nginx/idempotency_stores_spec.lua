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
  each(SHARED, "gives its own caller its own answer, and overwrites nothing", function(kind, workers)
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
