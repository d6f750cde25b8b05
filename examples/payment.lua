--- A payment whose answer is lost. The API took the money, and the connection broke before it could
--- say so. neap asks again under the same idempotency key: the API knows the payment, and takes the
--- money once.
local neap = require "neap"

local function new_payments(base_url)
  return neap.client{
    name = "payments",
    base_url = base_url,
    timeout = { read = 2, total = 10 },
    idempotency = true, -- each POST gets an Idempotency-Key, the same on every attempt
    retry = { max_attempts = 3, backoff = { base = 0.1 } },
  }
end

-- Without the key neap would not repeat a POST: nobody knows whether the first was carried out.
local function pay(payments, order, cents)
  return payments:post("payments", { json = { order = order, amount = cents } })
end

-- From here on: an API that loses the first answer, and what came of it.
local api = require("examples.support.server").start()
local show = require "examples.support.show"
local payments = new_payments(api:script("shop", { "/payments?lose=after", "/payments *" }))

local res = assert(pay(payments, "order-1001", 4999))
show.trace(res.trace)
print(("answer: %d %s"):format(res.status, res.body))

local ledger = api:ledger()
print(("the API's ledger: %d requests, %d payment"):format(ledger.requests, ledger.payments))
assert(res.status == 201 and res.attempts == 2, "the payment was not confirmed")
assert(ledger.payments == 1, "the money was not taken exactly once")
api:stop()
