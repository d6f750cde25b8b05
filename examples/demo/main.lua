--- A shop keeps taking payments while the payment API loses an answer, says 429, goes down and
--- comes back. In the end the API's ledger proves that none was made twice and none was lost.
local neap = require "neap"
local account = require "examples.demo.account"
local events = require "examples.demo.events"
local notebook = require("examples.demo.notebook").open()
local proof = require "examples.demo.proof"
local server = require "examples.support.server"

-- All that the shop has to say about an API that it cannot trust.
local function policy(base_url)
  return {
    name = "payments",
    base_url = base_url,
    timeout = { read = 1, total = 4 },
    retry = { max_attempts = 3, backoff = { base = 0.4, jitter = 0.2 } },
    breaker = {
      window = { count = 10 },
      min_calls = 5,
      failure_rate = 0.5,
      open_for = 2,
      half_open = { permits = 1 },
    },
    fallback = {
      function(req)
        notebook:add(req.idempotency_key, req.json.cents)
        return { status = 202, body = "accepted, will be settled later" }
      end,
    },
  }
end

local function pay(payments, order)
  return payments:post("payments", {
    json = { cents = order.cents },
    idempotency_key = order.key, -- the same on every attempt, and when it is settled later
    tags = { order = order.name },
  })
end

-- From here on: the story. The API does what the lines of its script say.
local WELL = { "/payments *" }
local LOSES_AN_ANSWER = { "/payments?lose=after", "/payments *" }
local BUSY = { "/status/429?header=Retry-After:1", "/payments *" }
-- Its last deed before the outage: it takes the money and falls silent.
local DOWN = { "/payments?lose=after&how=stall&for=3", "/status/503", "/reset", "/status/503 *" }

local OUTAGE_S = 6.5
local BETWEEN_CUSTOMERS_S = 0.9
local LAST_CUSTOMER_S = 18
local LAST_SETTLEMENT_S = 22
local SERVER_LIFE_S = 27

local orders = {}

local function serve_customer(payments)
  local number = #orders + 1
  local order = {
    name = "order " .. number,
    key = "order-" .. number,
    cents = 1000 + number,
  }
  orders[number] = order
  order.answer = pay(payments, order)
  events.answered(order)
  neap.sleep(BETWEEN_CUSTOMERS_S)
end

local function serve_until(payments, breaker_state)
  while events.breaker ~= breaker_state and account.now() < LAST_CUSTOMER_S do
    serve_customer(payments)
  end
end

-- Takes the API down, and brings it back later, whatever the shop does meanwhile.
local function begin_outage(api)
  account.heading("The API goes down: silence, 503, broken connections")
  api:script("pay", DOWN)
  neap.spawn(function()
    neap.sleep(OUTAGE_S)
    account.heading("The API is back; nobody tells the shop")
    api:script("pay", WELL)
  end)
end

-- A payment that fails once more is noted once more, by the same fallback.
local function settle(payments)
  local settled = {}
  local notes = notebook:take()
  while #notes > 0 and account.now() < LAST_SETTLEMENT_S do
    for _, note in ipairs(notes) do
      local res = pay(payments, { key = note.key, cents = note.cents })
      if res and res.ok and not res.degraded then
        settled[#settled + 1] = { name = note.key:gsub("-", " "), payment = res:json() }
      end
    end
    notes = notebook:take()
  end
  return settled
end

local function story(api, payments)
  serve_customer(payments)
  serve_customer(payments)
  account.heading("The API takes the money, but its answer gets lost")
  api:script("pay", LOSES_AN_ANSWER)
  serve_customer(payments)
  account.heading("The API is busy: 429, Retry-After: 1")
  api:script("pay", BUSY)
  serve_customer(payments)
  begin_outage(api)
  serve_until(payments, "open")
  serve_until(payments, "closed")
  serve_customer(payments)
  account.heading("The shop settles what it had accepted, under the same idempotency keys")
  events.settled(settle(payments))
end

local function main(api)
  local payments = neap.client(policy(api:script("pay", WELL)))
  events.listen(payments)
  account.say[[
A shop takes payments through an API that is about to fail. Between them: neap,
with 3 attempts a payment, a read timeout of 1 s, a breaker that opens for 2 s,
and a fallback that accepts the order now and settles it later.

    s  order     what happened              what neap did about it]]
  neap.run(story, api, payments)
  return proof.tell(orders, api:ledger(), payments.breaker:snapshot(), #notebook:take())
end

local api = server.start(SERVER_LIFE_S)
local ran, safe = pcall(main, api)
api:stop()
notebook:remove()
if not ran then
  io.stderr:write("\n", tostring(safe), "\n")
end
os.exit(ran and safe and 0 or 1, true)
