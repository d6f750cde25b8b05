--- What must happen once: payments under a key, orders behind guard and outbox.
local checks = {}

local function count_lines(lines)
  local counts = {}
  for _, line in ipairs(lines) do
    counts[line] = (counts[line] or 0) + 1
  end
  return counts
end

checks[#checks + 1] = { "payments once a key", function(e, tell)
  local ledger, keys, repeated = e.after.ledger, 0, 0
  for key, taken in pairs(ledger.keys) do
    keys = keys + 1
    repeated = repeated + (taken.attempts > 1 and 1 or 0)
    if taken.payments > 1 or taken.mismatched > 0 then
      tell("%s was paid %d times, with %d other bodies", key, taken.payments, taken.mismatched)
    end
  end
  for _, key in ipairs(e.load.paid_keys) do
    if (ledger.keys[key] or { payments = 0 }).payments ~= 1 then
      tell("%s was answered 201, and the upstream knows nothing of it", key)
    end
  end
  if ledger.payments_without_key > 0 then
    tell("%d payments without a key", ledger.payments_without_key)
  end
  return ("%d keys, %d asked for again"):format(keys, repeated), "1 each"
end }

checks[#checks + 1] = { "the guard has the work done once", function(e, tell)
  if not e.deliveries then
    return "built without SQLite", "-"
  end
  local runs = count_lines(e.lines.runs)
  for key, count in pairs(runs) do
    if count > 1 then
      tell("%s was worked on %d times", key, count)
    end
  end
  for _, key in ipairs(e.lines.accepted) do
    if not runs[key] then
      tell("%s was accepted, and never worked on", key)
    end
  end
  for status, count in pairs(e.deliveries.answers) do
    if status ~= "202" then
      tell("%d were answered %s", count, status)
    end
  end
  for _, what in ipairs(e.deliveries.wrong) do
    tell("%s", what)
  end
  return ("%d keys, %d asked"):format(#e.lines.accepted, e.deliveries.answers["202"] or 0), "1 each"
end }

local function arrived(e, key, orders)
  if key:find("^order") then
    return orders[key] or 0
  end
  return (e.after.ledger.keys[key] or { payments = 0 }).payments
end

checks[#checks + 1] = { "what the outbox took arrives once", function(e, tell)
  if not e.deliveries then
    return "built without SQLite", "-"
  end
  local orders, left = count_lines(e.lines.orders), e.deliveries.left
  for _, key in ipairs(e.lines.accepted) do
    if arrived(e, key, orders) ~= 1 then
      tell("%s arrived %d times", key, arrived(e, key, orders))
    end
  end
  if left.waiting + left.taken + left.dead > 0 then
    tell("%d wait, %d are taken, %d dead", left.waiting, left.taken, left.dead)
  end
  return ("%d delivered, %d retried"):format(e.deliveries.totals.delivered,
    e.deliveries.totals.retried), "1 each"
end }

return checks
