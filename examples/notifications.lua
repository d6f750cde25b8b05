--- Push notifications through a provider that allows ten a second, and is down at times. neap lets
--- two go at once and makes the others wait for their turn, so that the provider never says 429.
--- What it cannot take goes to an outbox, on disk, and arrives when the provider is back.
local neap = require "neap"

local function new_outbox(path)
  return require("neap.outbox").new{
    store = assert(require("neap.store.sqlite").new{ path = path }),
  }
end

local function new_pushes(base_url, outbox)
  return neap.client{
    name = "notifications",
    base_url = base_url,
    -- A caller who would have to wait longer than max_wait is refused at once: kind `rate_limited`.
    rate_limit = { rate = 10, per = 1, burst = 2, max_wait = 5 },
    retry = false,               -- the outbox has the patience
    idempotency = true,          -- each try of one notification under one key
    fallback = { { queue = outbox } },
  }
end

local function notify(pushes, user)
  return pushes:post("push", { form = { user = user, text = "Your parcel is here" } })
end

-- From here on: eight users who are to be told at the same moment, then three while the provider is
-- down. The first of these three it takes in spite of its 503.
local api = require("examples.support.server").start()
local path = os.tmpname()
local outbox = new_outbox(path)
local pushes = new_pushes(api:script("push", {
  "/payments x8", "/payments?lose=after&how=503", "/status/503 x2", "/payments *",
}), outbox)

local began = neap.now()
local sends = {}
for user = 1, 8 do
  sends[user] = function()
    local res = assert(notify(pushes, "user-" .. user))
    local wait = res.trace[1].kind == "wait" and res.trace[1] or nil
    print(("%.1f s  user %d  %d%s"):format(neap.now() - began, user, res.status,
      wait and ("  waited %.1f s (%s)"):format(wait.elapsed, wait.reason) or ""))
    return wait ~= nil
  end
end

local waited = 0
for _, result in ipairs(neap.all(sends)) do
  assert(result[1], result[2])
  waited = waited + (result[2] and 1 or 0)
end
print(("8 notifications, %d of them waited, none was refused"):format(waited))
assert(waited == 6, "six were to wait")
assert(neap.now() - began >= 0.55, "faster than the provider allows")

for user = 9, 11 do
  local res = assert(notify(pushes, "user-" .. user))
  print(("user %d  %d  source: %s, in the outbox as %d"):format(user, res.status, res.source,
    res.value))
end
assert(outbox:size() == 3)

-- A worker does this all day: outbox:work(), or the program `neap drain`.
local counts = assert(outbox:drain{ concurrency = 2 })
print(("the provider is back: %d delivered, %d left"):format(counts.delivered, outbox:size()))
assert(counts.delivered == 3 and outbox:size() == 0)

local ledger = api:ledger()
print(("%d requests, %d notifications: none is missing, none came twice"):format(ledger.requests,
  ledger.payments))
assert(ledger.requests == 14 and ledger.payments == 11)
api:stop()
for _, suffix in ipairs{ "", "-wal", "-shm" } do
  os.remove(path .. suffix)
end
