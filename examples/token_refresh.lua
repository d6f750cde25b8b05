--- An access token that has run out. On 401 neap asks the policy for new headers, once, and repeats
--- the request with them. A second 401 is the caller's to see.
local neap = require "neap"

local token = "yesterday's"
local refreshes = 0

local function new_accounts(base_url, logins)
  return neap.client{
    name = "accounts",
    base_url = base_url,
    retry = {
      refresh = function()
        refreshes = refreshes + 1
        local res = logins:post("token", { form = { grant_type = "client_credentials" } })
        if not res or not res.ok then
          return nil -- no new token: the caller gets the 401
        end
        token = res.body
        return { Authorization = "Bearer " .. token }
      end,
    },
  }
end

local function account(accounts)
  return accounts:get("me", { headers = { Authorization = "Bearer " .. token } })
end

-- From here on: an API that wants the token "today's", and a login server that gives it.
local api = require("examples.support.server").start()
local show = require "examples.support.show"
local logins = neap.client{
  name = "logins",
  base_url = api:script("login", { api.answer(200, "today's") }),
}
local accounts = new_accounts(api:script("accounts", { "/auth?token=today's *" }), logins)

for call = 1, 2 do
  local res = assert(account(accounts))
  print(("call %d: %d after %d refresh"):format(call, res.status, refreshes))
  show.trace(res.trace)
  assert(res.status == 200 and refreshes == 1, "the token was not refreshed exactly once")
end
api:stop()
