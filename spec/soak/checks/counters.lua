--- Do the counters add up: what the callers have got, what neap counted, what the upstream saw?
--
-- Between what was heard of and what was counted stand the calls of which nobody heard the end:
-- their callers hung up, or their workers were killed. They may count, and need not.
local exposition = require "spec.support.exposition"
local tally = require "spec.soak.tally"

local checks = {}

local MOST_ATTEMPTS = 3

-- Those whose answers the load has looked at, one by one.
local HEARD = { "api", "payments", "items", "gated", "nowhere", "streams", "guarded" }

local function counted(e, client)
  local before, delta = e.before.stats[client], {}
  for key, value in pairs(e.after.stats[client]) do
    delta[key] = value - (before[key] or 0)
  end
  return delta
end

local function cuts_of(e, client)
  local count = 0
  for _, cut in ipairs(e.load.cuts) do
    count = count + (cut.kind == client and 1 or 0)
  end
  return count
end

-- Calls whose end nobody heard. Of the cache's own, which refresh what was answered stale, there is
-- one at most for each such answer.
local function unheard(e, client)
  local refreshes = client == "items" and (e.load.counts.items or {})["source.stale"] or 0
  return (e.load.hung_up[client] or 0) + cuts_of(e, client) + refreshes
end

local ONCE_A_CALL = { calls = true, ok = true, failed = true, errors = true, fallbacks = true }

local function most_of(key, calls)
  return ONCE_A_CALL[key:match("^%w+")] and calls or calls * MOST_ATTEMPTS
end

-- What the callers can see of stats(). The results of a function bring no trace along.
local function is_visible(client, key)
  local group = key:match("^%w+")
  return ONCE_A_CALL[group] or client ~= "guarded" and (group == "attempts" or group == "retries"
    or group == "timeouts" or group == "rejections")
end

local function compare_key(client, key, heard, counts, most, tell)
  if counts < heard or counts > heard + most then
    tell("%s %s: the callers know of %d, %d more can be, and %d were counted", client, key, heard,
      most, counts)
  end
end

local function compare(client, heard, delta, calls, tell)
  for _, keys in ipairs{ heard, delta } do
    for key in pairs(keys) do
      if is_visible(client, key) then
        compare_key(client, key, heard[key] or 0, delta[key] or 0, most_of(key, calls), tell)
      end
    end
  end
end

checks[#checks + 1] = { "counted as heard", function(e, tell)
  local calls, most = 0, 0
  for _, client in ipairs(HEARD) do
    local heard = e.load.counts[client] or {}
    local delta = counted(e, client)
    compare(client, heard, delta, unheard(e, client), tell)
    compare_key(client, "abandoned", 0, delta.abandoned, e.load.hung_up[client] or 0, tell)
    calls, most = calls + (heard.calls or 0), most + unheard(e, client)
  end
  return ("%d calls in each of their counters"):format(calls),
    ("+ %d unheard of"):format(most)
end }

-- How a call may be counted as ended.
local function ends_of(delta)
  return delta.ok + tally.sum(delta, "failed") + tally.sum(delta, "errors") + delta.abandoned
end

local NEAR = 0.15 -- seconds, on a busy machine

-- Whose caller hung up when a worker was killed: it may have been that one's, and not yet ended.
local function goodbyes_at_kills(e, client)
  local count = 0
  for _, goodbye in ipairs(e.load.goodbyes) do
    local is_near = false
    for _, kill in ipairs(e.seen.kills) do
      is_near = is_near or (goodbye.at > kill.before - NEAR and goodbye.at < kill.after + NEAR)
    end
    count = count + (goodbye.kind == client and is_near and 1 or 0)
  end
  return count
end

-- The call of a killed worker stays a call, and is none in flight any more.
local function most_lost(e, client)
  local caller = client == "spare" and "nowhere" or client
  return cuts_of(e, caller) + goodbyes_at_kills(e, caller)
    + (client == "items" and #e.seen.kills or 0)
end

checks[#checks + 1] = { "calls = ok + failed + errors + gone", function(e, tell)
  local lost, most = 0, 0
  for client in pairs(e.after.stats) do
    local delta = counted(e, client)
    local missing = delta.calls - ends_of(delta) - e.after.stats[client].in_flight
    if missing < 0 or missing > most_lost(e, client) then
      tell("%s: of %d calls %d have no end, and %d at most were cut", client, delta.calls, missing,
        most_lost(e, client))
    end
    lost, most = lost + missing, most + most_lost(e, client)
  end
  return ("%d without an end"):format(lost), ("%d were cut"):format(most)
end }

checks[#checks + 1] = { "nothing in flight when quiet", function(e, tell)
  local flying = 0
  for client, stats in pairs(e.after.stats) do
    flying = flying + stats.in_flight
    if stats.in_flight ~= 0 then
      tell("%s: %d in flight", client, stats.in_flight)
    end
  end
  if not e.is_quiet then
    tell("there was no rest after the load")
  end
  return tostring(flying), "0"
end }

local function seen_of(e, client)
  local function requests(ledger)
    if client == "streams" then
      return ledger.h2.streams
    end
    return ledger.paths["/s/" .. client] or 0
  end
  return requests(e.after.ledger) - requests(e.before.ledger)
end

-- Attempts that may have been counted and not been seen, besides those that are known: the last
-- ones of calls that nobody heard the end of, and what a limit has stopped before it was sent.
local function most_unseen(client, heard, delta, calls)
  local unheard_of = client == "nowhere" and calls * MOST_ATTEMPTS or calls
  return unheard_of + (delta["timeouts.attempt"] or 0) + (delta["timeouts.total"] or 0)
    + (delta["timeouts.write"] or 0) + (heard.broken or 0)
end

-- On a connection of HTTP/2 that is going away streams are refused before anything was sent.
local function broken_streams(delta)
  return tally.sum(delta, "retries") + tally.sum(delta, "errors")
end

local function compare_with_ledger(e, client, heard, delta, calls, tell)
  heard.broken = client == "streams" and broken_streams(delta) or nil
  local seen, unseen = seen_of(e, client), tally.sum(heard, "unseen")
  local missing = delta.attempts - unseen - seen
  if missing < 0 or missing > most_unseen(client, heard, delta, calls) then
    tell("%s: %d attempts, of which %d never were connected, and %d seen by the upstream; %d at "
      .. "most can be missing", client, delta.attempts, unseen, seen,
      most_unseen(client, heard, delta, calls))
  end
  return seen, missing
end

checks[#checks + 1] = { "attempts as the upstream saw them", function(e, tell)
  local seen, missing = 0, 0
  local function add(...)
    local more, unknown = compare_with_ledger(...)
    seen, missing = seen + more, missing + unknown
  end
  for _, client in ipairs{ "api", "payments", "items", "gated", "nowhere", "streams" } do
    add(e, client, e.load.counts[client] or {}, counted(e, client), unheard(e, client), tell)
  end
  for name, program in pairs(e.plain) do
    add(e, name, program.counts, program.stats, 0, tell)
  end
  return ("%d seen"):format(seen), ("%d not sent"):format(missing)
end }

checks[#checks + 1] = { "faults before there is a connection", function(e, tell)
  local words = {}
  for _, kind in ipairs{ "resolve", "connect", "tls", "timeout" } do
    local count = (e.load.counts.nowhere or {})["unseen." .. kind] or 0
    words[#words + 1] = ("%s %d"):format(kind, count)
    if count == 0 then
      tell("no attempt came to %s", kind)
    end
  end
  return table.concat(words, ", "), "some of each"
end }

checks[#checks + 1] = { "plain programs count exactly", function(e, tell)
  local calls = 0
  for name, program in pairs(e.plain) do
    compare(name, program.counts, program.stats, 0, tell)
    local ended = ends_of(program.stats)
    if program.stats.calls ~= ended or program.stats.in_flight ~= 0 then
      tell("%s: %d calls, %d ends, %d in flight", name, program.stats.calls, ended,
        program.stats.in_flight)
    end
    calls = calls + program.stats.calls
  end
  return ("%d calls"):format(calls), "equal"
end }

-- A family's samples of that client, added up.
local function prometheus_sum(families, metric, client)
  local sum = 0
  for _, sample in ipairs(families[metric] and families[metric].samples or {}) do
    sum = sum + (sample.labels.client == client and sample.value or 0)
  end
  return sum
end

local function expected_metrics(stats)
  return {
    neap_calls_total = ends_of(stats),
    neap_attempts_total = stats.attempts,
    neap_retries_total = tally.sum(stats, "retries"),
    neap_rejections_total = tally.sum(stats, "rejections"),
    neap_fallbacks_total = tally.sum(stats, "fallbacks"),
    neap_timeouts_total = tally.sum(stats, "timeouts"),
    neap_in_flight = 0,
    neap_listener_errors_total = 0,
  }
end

checks[#checks + 1] = { "Prometheus has the same", function(e, tell)
  local families, compared = exposition.read(e.metrics), 0
  for client, stats in pairs(e.after.stats) do
    for metric, wanted in pairs(expected_metrics(stats)) do
      local value = prometheus_sum(families, metric, client)
      compared = compared + 1
      if value ~= wanted then
        tell("%s of %s is %g, and stats() says %g", metric, client, value, wanted)
      end
    end
  end
  return ("%d figures"):format(compared), "equal"
end }

return checks
