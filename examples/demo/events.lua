--- Turns the events of the shop's client into lines of the account.
local account = require "examples.demo.account"

local events = {
  breaker = "closed", -- the state that was told last
}

local BREAKER_MEANS = {
  open = "no request for 2 s",
  half_open = "this order is the probe",
  closed = "back to normal",
}

local function outcome(event)
  if event.error then
    return event.phase and ("%s (%s)"):format(event.error, event.phase) or event.error
  end
  return tostring(event.status)
end

local tell = {}

function tell.attempt(event, order)
  account.tell(order, "attempt " .. event.attempt, outcome(event))
end

function tell.retry(event, order)
  account.follow(order, "retry", ("in %.1f s (%s)"):format(event.delay, event.reason))
end

function tell.reject(event, order)
  account.tell(order, "reject", event.reason)
end

function tell.fallback(_, order)
  account.follow(order, "fallback", "accepted for later")
end

function tell.breaker(event, order)
  events.breaker = event.to
  account.tell(order, "breaker", ("%s -> %s"):format(event.from, event.to))
  account.explain(BREAKER_MEANS[event.to])
end

-- Settling is told as a whole: those calls carry no name of an order.
local function if_named(fn)
  return function(event)
    if event.tags and event.tags.order then
      fn(event, event.tags.order)
    end
  end
end

--- Listens to the client.
function events.listen(client)
  for name, fn in pairs(tell) do
    client:on(name, if_named(fn))
  end
end

--- A customer has an answer. One from the fallback was told by its event.
function events.answered(order)
  local res = order.answer
  if res and res.ok and not res.degraded then
    local payment = res:json()
    local again = payment.replayed and ", not charged twice" or ""
    account.follow(order.name, "paid", payment.id .. again)
  end
end

--- What became of the payments that the fallback had noted.
---@param settled { name: string, payment: table }[]
function events.settled(settled)
  local new = 0
  for _, one in ipairs(settled) do
    if one.payment.replayed then
      account.tell(one.name, "settled", one.payment.id)
      account.explain("already taken: no second charge")
    else
      new = new + 1
    end
  end
  account.tell(new .. " orders", "settled", "new payments")
  account.explain("taken now, once each")
end

return events
