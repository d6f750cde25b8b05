--- Proves from the API's own ledger that each order was paid exactly once.
local account = require "examples.demo.account"

local proof = {}

-- How many orders the ledger knows more than once, and how many not at all.
local function compare(orders, ledger)
  local twice, never = 0, 0
  for _, order in ipairs(orders) do
    local entry = ledger.keys[order.key]
    local payments = entry and entry.payments or 0
    twice = twice + (payments > 1 and 1 or 0)
    never = never + (payments < 1 and 1 or 0)
  end
  return twice, never
end

local function look_at_answers(orders)
  local later, unanswered, longest = 0, 0, 0
  for _, order in ipairs(orders) do
    local res = order.answer
    if not res or not res.ok then
      unanswered = unanswered + 1
    else
      later = later + (res.degraded and 1 or 0)
      longest = math.max(longest, res.elapsed)
    end
  end
  return later, unanswered, longest
end

local function promise(kept, text)
  local word = kept and "yes" or "NO"
  account.say(("  %-3s  %s"):format(word, text), word)
  return kept and 0 or 1
end

--- Tells the summary; false if a promise was broken, or if there was no outage to survive.
---@param orders table[] each with key and answer
---@param ledger table of the server
---@param breaker table its snapshot
---@param left integer notes that were not settled
---@return boolean
function proof.tell(orders, ledger, breaker, left)
  local twice, never = compare(orders, ledger)
  local later, unanswered, longest = look_at_answers(orders)
  local once = twice == 0 and ledger.payments_without_key == 0
    and ledger.payments == #orders - never
  account.heading("Was it safe? The API's own ledger says")
  account.say(("  %d orders, %d payments; %d were accepted in the outage and settled after it")
    :format(#orders, ledger.payments, later))
  local broken = promise(once, "no payment was made twice")
    + promise(never == 0 and left == 0, "no payment was lost")
    + promise(unanswered == 0,
      ("every customer had an answer, the slowest in %.1f s"):format(longest))
    + promise(breaker.opened > 0 and breaker.state == "closed" and later > 0,
      ("the breaker opened %d times, spared the API %d calls, and closed again")
        :format(breaker.opened, breaker.not_permitted))
  return broken == 0
end

return proof
