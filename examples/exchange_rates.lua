--- Exchange rates from whoever can give them: our provider, else what it told us within the last
--- ten minutes, else another provider, else the rates of this morning. The answer tells where it
--- came from.
local neap = require "neap"

local MORNING = '{"EUR":0.90}'

local function new_rates(base_url, other_base_url, fresh_for)
  local other = neap.client{ name = "other rates", base_url = other_base_url, retry = false }
  return neap.client{
    name = "rates",
    base_url = base_url,
    timeout = { read = 1, total = 3 }, -- 3 s for everything: attempts, waits, the other provider
    retry = { max_attempts = 2, backoff = { base = 0.05 } },
    cache = { ttl = fresh_for }, -- where the provider does not say how long its rates are good
    fallback = { -- in this order, until one answers
      { cache = true, max_stale = 600 },
      { service = other, request = function() return { path = "v2/usd" } end },
      { default = { status = 200, body = MORNING } },
    },
  }
end

local function euros(rates, dollars, day)
  local res = assert(rates:get("latest", { query = { day = day } }))
  return dollars * res:json().EUR, res.source, res.degraded
end

-- From here on: two providers that go down one after the other. Rates are good for two seconds.
local api = require("examples.support.server").start()
local answer = api.answer
local down = answer(503) .. " *"
local rates = new_rates(
  api:script("provider", { answer(200, '{"EUR":0.92}'), down }),
  api:script("other", { answer(200, '{"EUR":0.91}'), down }), 2)

local function ask(situation, day, expected_source)
  local amount, source, degraded = euros(rates, 100, day)
  print(("%-24s $100 = %.2f EUR   source: %-8s degraded: %s"):format(situation, amount, source,
    tostring(degraded)))
  assert(source == expected_source, "expected " .. expected_source)
end

ask("all is well:", "today", "network")
ask("a moment later:", "today", "cache")
neap.sleep(2.1)
ask("our provider is down:", "today", "stale")
ask("never asked before:", "yesterday", "service")
ask("both are down:", "yesterday", "default")
api:stop()
