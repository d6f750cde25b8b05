--- A plain program with a guard and an outbox in SQLite: orders come in, some more than once, the
--- guard has each of them put into the outbox once, and a loop delivers them.
--
-- Usage: deliveries.lua RESULT FOLDER UPSTREAM NGINX SEED SECONDS
--
-- Half of them go to the misbehaving server's payments, half to the orders of nginx, whose workers
-- are killed. What came of all is written to RESULT as JSON, when all are delivered. What was
-- accepted, for which keys the work was done, and what is left of Lua's heap after whole
-- collections, goes to FOLDER all the while: lists in memory would grow.
local cjson = require "cjson"
local neap = require "neap"

local dice = require "spec.soak.dice"
local tally = require "spec.soak.tally"

local path, folder, upstream, nginx, seed, seconds = arg[1], arg[2], arg[3], arg[4],
  tonumber(arg[5]), tonumber(arg[6])

local PAUSE = 0.15 -- seconds between two orders
local HEAP_EVERY = 20 -- orders between two looks at the heap
local PATIENCE = 60 -- seconds for the last deliveries

local sqlite = require "neap.store.sqlite"
local outbox = require("neap.outbox").new{
  store = assert(sqlite.new{ path = folder .. "/outbox.db" }),
  client = neap.client{
    name = "deliveries", base_url = upstream, retry = false, breaker = false, gate = false,
    timeout = { connect = 0.5, read = 1, total = 2 }, pool = { idle = 1 },
  },
  max_attempts = 1000,
  backoff = { base = 0.05, max = 0.5 },
}
local guard = require("neap.idempotency").new{
  store = assert(sqlite.new{ path = folder .. "/guard.db" }), on_conflict = "wait",
}

local roll = dice.new(seed, 3)
local result = { answers = {}, totals = {}, wrong = {} }
local recent = {} -- keys that may be asked for once more

local function writer(name)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  file:setvbuf("line")
  return file
end

local accepted, runs, heap = writer "accepted", writer "runs", writer "heap"

-- The work: once a key, whoever asks however often.
local function put(req)
  local key = req.headers["Idempotency-Key"]
  runs:write(key .. "\n")
  neap.sleep(roll(20) / 1000)
  local request = { method = "POST", body = key, idempotency_key = key }
  if key:find("^order") then
    request.url = nginx .. "/orders"
  else
    request.path = "s/deliveries"
  end
  local id, err = outbox:put(request)
  return id and { status = 202, body = key } or { status = 503, body = tostring(err) }
end

local function ask(key)
  local res = guard:handle({ method = "POST", path = "/deliveries", body = key,
    headers = { ["Idempotency-Key"] = key } }, put)
  tally.count(result.answers, tostring(res.status))
  if res.status == 202 and res.body ~= key then
    result.wrong[#result.wrong + 1] = ("%s was answered with %s"):format(key, res.body)
  end
end

-- Two who ask at the same time, and now and then one who asks later.
local function take_in(number, key)
  local askers = {}
  for _ = 1, roll(3) do
    askers[#askers + 1] = function() ask(key) end
  end
  neap.all(askers)
  accepted:write(key .. "\n")
  recent[number % 50 + 1] = key
  local earlier = recent[roll(50)]
  if roll(4) == 1 and earlier then
    ask(earlier)
  end
end

local function is_empty()
  local counts = outbox:counts()
  return counts and counts.waiting + counts.taken == 0
end

-- Until all has arrived, or nobody believes any more that it will.
local function see_it_through(give_up)
  while not is_empty() and neap.now() < give_up do
    neap.sleep(0.1)
  end
end

neap.run(function()
  local began, is_over = neap.now(), false
  local drain = neap.spawn(function()
    return outbox:work{ concurrency = 4, interval = 0.05, stop = function() return is_over end }
  end)
  local number = 0
  while neap.now() < began + seconds do
    number = number + 1
    take_in(number, ("%s-%d-%d"):format(number % 2 == 0 and "order" or "payment", seed, number))
    if number % HEAP_EVERY == 0 then
      collectgarbage()
      collectgarbage()
      heap:write(("%f %f\n"):format(neap.now() - began, collectgarbage("count")))
    end
    neap.sleep(PAUSE)
  end
  see_it_through(neap.now() + PATIENCE)
  is_over = true
  result.totals = assert(drain:await())
end)
result.left = outbox:counts()

local file = assert(io.open(path, "w"))
file:write(cjson.encode(result))
file:close()
