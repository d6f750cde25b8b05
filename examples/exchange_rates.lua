--- Exchange rates from whoever can give them: our provider, else another one, else the rates of
--- this morning. The answer tells where it came from.
local neap = require "neap"

local MORNING = '{"EUR":0.90}'

local function new_rates(base_url, other_base_url)
  local other = neap.client{ name = "other rates", base_url = other_base_url, retry = false }
  return neap.client{
    name = "rates",
    base_url = base_url,
    timeout = { read = 1, total = 3 }, -- 3 s for everything: attempts, waits, the other provider
    retry = { max_attempts = 2, backoff = { base = 0.05 } },
    fallback = { -- in this order, until one answers
      { service = other, request = function() return { path = "v2/usd" } end },
      { default = { status = 200, body = MORNING } },
    },
  }
end

local function euros(rates, dollars)
  local res = assert(rates:get("latest"))
  return dollars * res:json().EUR, res.source, res.degraded
end

-- From here on: two providers that go down one after the other.
local api = require("examples.support.server").start()
local answer = api.answer
local down = answer(503) .. " *"
local rates = new_rates(
  api:script("provider", { answer(200, '{"EUR":0.92}'), down }),
  api:script("other", { answer(200, '{"EUR":0.91}'), down }))

local function ask(situation, expected_source)
  local amount, source, degraded = euros(rates, 100)
  print(("%-22s $100 = %.2f EUR   source: %-8s degraded: %s"):format(situation, amount, source,
    tostring(degraded)))
  assert(source == expected_source, "expected " .. expected_source)
end

ask("all is well:", "network")
ask("our provider is down:", "service")
ask("both are down:", "default")
api:stop()
