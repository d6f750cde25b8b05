--- A plain program: tasks side by side in one neap.run, for the whole soak. Runs on Lua 5.4 and on
--- LuaJIT.
--
-- Usage: side_by_side.lua RESULT NAME URL SEED SECONDS TASKS CA_FILE [DEAD_END …]
--
-- NAME is the script of the upstream that its calls go to, and its client's name; a few go where no
-- connection comes about. What came of all
-- is written to RESULT as JSON, at the end; what is left of Lua's heap after whole collections goes
-- to RESULT.heap all the while.
local cjson = require "cjson"
local neap = require "neap"

local dice = require "spec.soak.dice"
local tally = require "spec.soak.tally"

local path, name, url, seed, seconds, tasks = arg[1], arg[2], arg[3], tonumber(arg[4]),
  tonumber(arg[5]), tonumber(arg[6])
local FIRST_DEAD_END = 8

local TOTAL = 1.5
local PAUSE = 3 -- seconds between the calls of a task, on the average
local EXAMPLES = 20
local LOST = 20 -- one call of so many goes to a dead end
local HEAPS = 30 -- how often the heap is looked at

local roll = dice.new(seed, 2)
local result = { counts = {}, wrong = {}, worst = 0, stall = 0 }

local client = neap.client{
  name = name, base_url = url, gate = false, max_response_bytes = 200000,
  timeout = { connect = 0.3, write = 0.5, read = 0.4, attempt = 0.8, total = TOTAL },
  retry = { max_attempts = 3, backoff = { base = 0.02, max = 0.2 } },
  breaker = { window = { count = 40 }, min_calls = 20, failure_rate = 0.6, open_for = 0.3,
    half_open = { permits = 3, lease = 2 } },
  bulkhead = { max_concurrent = 50, max_wait = 0.2 },
  pool = { max_connections = 60, per_host = 60, idle = 1 },
  tls = { ca_file = arg[FIRST_DEAD_END - 1] },
  fallback = { { when = { "breaker_open" }, default = { status = 200, body = "later" } } },
}

local function note(what)
  if #result.wrong < EXAMPLES then
    result.wrong[#result.wrong + 1] = what
  end
end

local function look(token, res)
  local seen = res and res.headers["X-Token"]
  if seen and seen ~= token then
    note(("%s has what is for %s"):format(token, seen))
  elseif res and res.source == "network" and res.status == 200 and not seen then
    note(token .. ": from the network, for nobody")
  end
end

local function place()
  local dead_end = roll(LOST) == 1 and arg[FIRST_DEAD_END - 1 + roll(#arg - FIRST_DEAD_END + 1)]
  return (dead_end and dead_end .. "/" or url) .. "s/" .. name
end

local function call(number, base)
  local token = ("%s-%d"):format(name, number)
  local began = neap.now()
  local res, err = client:request{ url = base or place(),
    query = { header = "X-Token:" .. token } }
  result.worst = math.max(result.worst, neap.now() - began)
  look(token, res)
  tally.add(result.counts, res, err)
end

local made = 0

local function work(over)
  while true do
    local at = neap.now() + roll(2000 * PAUSE) / 1000
    if at >= over then
      return
    end
    neap.sleep(at - neap.now())
    made = made + 1
    call(made)
  end
end

-- What resolving and TLS take for themselves, they take at their first use: all of it before memory
-- is looked at, however few calls a short soak makes.
local function meet_dead_ends()
  for index = FIRST_DEAD_END, #arg do
    made = made + 1
    neap.spawn(call, made, arg[index] .. "/s/" .. name)
  end
end

local function note_heap(heap, time)
  collectgarbage()
  collectgarbage() -- what was finalized by the first one
  heap:write(("%f %f\n"):format(time, collectgarbage("count")))
end

-- A whole collection now and then, and how long the program has stood still.
local function watch(over)
  local heap = assert(io.open(path .. ".heap", "w"))
  local began = neap.now()
  local last, every = began, seconds / HEAPS
  while last < over do
    neap.sleep(0.1)
    local now = neap.now()
    result.stall = math.max(result.stall, now - last - 0.1)
    if math.floor((now - began) / every) > math.floor((last - began) / every) then
      note_heap(heap, now - began)
    end
    last = now
  end
  heap:close()
end

neap.run(function()
  local over = neap.now() + seconds
  meet_dead_ends()
  for _ = 1, tasks do
    neap.spawn(work, over)
  end
  watch(over)
end)
result.stats = tally.of_stats(client:stats())

local file = assert(io.open(path, "w"))
file:write(cjson.encode(result))
file:close()
