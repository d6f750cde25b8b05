--- Push notifications through a provider that allows ten a second. Callers need not know: neap lets
--- two go at once and makes the others wait for their turn, so that the provider never says 429.
local neap = require "neap"

local function new_pushes(base_url)
  return neap.client{
    name = "notifications",
    base_url = base_url,
    -- A caller who would have to wait longer than max_wait is refused at once: kind `rate_limited`.
    rate_limit = { rate = 10, per = 1, burst = 2, max_wait = 5 },
  }
end

local function notify(pushes, user)
  return pushes:post("push", { form = { user = user, text = "Your parcel is here" } })
end

-- From here on: eight users who are to be told at the same moment.
local api = require("examples.support.server").start()
local pushes = new_pushes(api:script("push", { "/status/202 *" }))

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
api:stop()
