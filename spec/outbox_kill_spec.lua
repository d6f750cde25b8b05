-- Processes that fill and drain one outbox in a SQLite file are killed where they stand, a hundred
-- times, at moments that a fixed seed chooses. Then nothing that was accepted may be missing, and
-- the receiver, which honours keys and loses answers, must have taken each of it exactly once.
local calls = require "spec.support.calls"
local outbox_module = require "neap.outbox"
local process = require "spec.support.process"
local server = require "spec.support.server"
local socket = require "socket"

local LUA = os.getenv("NEAP_LUA") or arg[-1]
local KILLS = 100
local SECONDS = 120 -- of a process that nobody kills

-- What both kinds of process begin with: `outbox`, and `is_over()`.
local HEAD = [[
  local url, database, accepted, generation = ...
  local neap = require "neap"
  local began = neap.now()
  local function is_over() return neap.now() - began > ]] .. SECONDS .. [[ end
  local outbox = require("neap.outbox").new{
    store = assert(require("neap.store.sqlite").new{ path = database, busy_timeout = 30 }),
    client = neap.client{
      name = "receiver", base_url = url, retry = false, breaker = false, gate = false,
      timeout = { total = 1 },
    },
    max_attempts = 1000,
    backoff = { base = 0.02, max = 0.1 },
  }
]]

-- The receiver takes some at once, takes some and loses the answer, and loses some beforehand.
local FILL = HEAD .. [[
  local PATHS = { "/payments", "/payments?lose=after", "/payments?fail=before",
    "/payments?lose=after&how=503", "/payments?delay=0.01" }
  local file = assert(io.open(accepted, "a"))
  file:setvbuf("no")
  for i = 1, math.huge do
    if is_over() then break end
    local key = generation .. "-" .. i
    local id, err = outbox:put({ method = "POST", path = PATHS[i % #PATHS + 1], body = key,
      idempotency_key = key }, { ordering_key = i % 3 == 0 and "order " .. i % 4 or nil })
    assert(id, tostring(err))
    file:write(key .. "\n")
    neap.sleep(0.004)
  end
]]

local DRAIN = HEAD .. [[
  neap.run(function()
    outbox:work{ concurrency = 4, interval = 0.02, stop = is_over }
  end)
]]

-- The same numbers on every Lua.
local function new_dice(seed)
  local state = seed
  return function(most)
    state = (state * 16807) % 2147483647
    return state % most + 1
  end
end

describe("an outbox whose processes are killed", function()
  local s, folder, running, generation

  setup(function()
    s = server.start()
    folder = process.temporary_directory()
    running, generation = {}, 0
  end)

  teardown(function()
    for _, child in pairs(running) do
      os.execute("kill -KILL " .. child.pid)
    end
    s:stop()
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  local function write_file(name, text)
    process.write_file(folder .. "/" .. name, text)
  end

  -- In the background; its words go to a file that all of them have.
  local function start(program)
    generation = generation + 1
    local pipe = assert(io.popen(("%s %s/%s.lua %s %s/outbox.db %s/accepted g%d >>%s/said 2>&1 & "
      .. "echo $!"):format(process.quoted(LUA), folder, program, s.url, folder, folder, generation,
        folder)))
    local pid = pipe:read("*l")
    pipe:close()
    return { pid = pid, program = program }
  end

  local function kill(child)
    os.execute("kill -KILL " .. child.pid)
  end

  local function lines_of(path)
    local lines = {}
    for line in (process.read_file(path) or ""):gmatch("([^\n]+)\n") do
      lines[#lines + 1] = line
    end
    return lines
  end

  it("loses nothing that it accepted, and the receiver takes each once", function()
    local dice = new_dice(20240601)
    write_file("fill.lua", FILL)
    write_file("drain.lua", DRAIN)
    running = { start("fill"), start("drain"), start("drain") }
    for _ = 1, KILLS do
      socket.sleep(dice(180) / 1000)
      local index = dice(#running)
      kill(running[index])
      running[index] = start(running[index].program)
    end
    kill(running[1])
    running[1] = start("drain")

    local outbox = outbox_module.new{
      store = assert(require("neap.store.sqlite").new{ path = folder .. "/outbox.db" }),
      client = calls.client{ base_url = s.url },
    }
    local empty = process.wait_until(function()
      socket.sleep(0.1)
      local counts = assert(outbox:counts())
      return counts.waiting + counts.taken == 0 and counts
    end, 60)
    assert.is_table(empty, "something stayed in the outbox")
    assert.equal(0, empty.dead)

    local ledger = s:settle()
    local accepted = lines_of(folder .. "/accepted")
    assert.is_true(#accepted > KILLS, #accepted .. " were accepted")
    for _, key in ipairs(accepted) do
      local taken = ledger.keys[key]
      assert.is_table(taken, key .. " is missing")
    end
    local repeated = 0
    for key, taken in pairs(ledger.keys) do
      assert.equal(1, taken.payments, key)
      assert.equal(0, taken.mismatched, key)
      repeated = repeated + (taken.attempts > 1 and 1 or 0)
    end
    assert.equal(0, ledger.payments_without_key)
    assert.is_true(repeated > 10, repeated .. " were delivered again")
    assert.equal("", process.read_file(folder .. "/said"))
  end)
end)
