--- Is everything flat: memory, descriptors, threads, the shared region, what is out of it?
local series = require "spec.soak.series"

local checks = {}

-- A process's first seconds, in which pools fill and code is compiled, say nothing.
local WARM_UP = 0.2 -- of the time that is looked at
-- What a process may grow by over the time that is looked at; beneath lies what malloc and the
-- collectors do by themselves.
local ALLOWED_KB = { worker = 2048, malloc = 768, master = 512, nginx = 6144, plain = 1024,
  heap = 256, traces = 512, bare = 128 }
-- In so many seconds workers do not live long enough to have settled.
local SHORT = 180

local function allowed_kb(e, kind)
  return ALLOWED_KB[kind] * (e.seconds < SHORT and 3 or 1)
end

local function settled(points, from, to)
  return series.between(points or {}, from + (to - from) * WARM_UP, to)
end

-- The growth of one series, held against what its kind may grow by; in words.
local function judge(e, name, points, kind, tell)
  local growth, per_minute = series.growth(points)
  if growth > allowed_kb(e, kind) then
    tell("%s grew by %.0f kB, %.0f kB a minute", name, growth, per_minute)
  end
  return growth, per_minute
end

local function worst_of(e, list, kind, tell)
  local worst, rate, count = -math.huge, 0, 0
  for name, points in pairs(list) do
    local growth, per_minute = judge(e, name, points, kind, tell)
    count = count + 1
    if growth > worst then
      worst, rate = growth, per_minute
    end
  end
  if count == 0 then
    return "nothing to see", "-"
  end
  return ("%+.0f kB, %+.0f kB/min"):format(worst, rate), ("%d kB"):format(allowed_kb(e, kind))
end

-- Series of the workers that lived through the calm.
local function workers_in_calm(e, key)
  local list = {}
  for name, points in pairs(e.seen.series) do
    local calm = settled(points, e.seen.calm_from, e.seconds)
    if name:find("^worker") and name:find(key .. "$") and #calm > 2
      and calm[#calm][1] > e.seconds * 0.9 then
      list[name] = calm
    end
  end
  return list
end

local function whole(e, name)
  return settled(e.seen.series[name], 0, e.seconds)
end

-- In the unrest workers are of all ages at any time; in the calm they grow old together.
checks[#checks + 1] = { "memory of nginx in the unrest (PSS)", function(e, tell)
  local points = settled(e.seen.series["nginx pss_kb"], 0, e.seen.calm_from)
  return worst_of(e, { nginx = points }, "nginx", tell)
end }

checks[#checks + 1] = { "memory of the master (RSS)", function(e, tell)
  return worst_of(e, { master = whole(e, "master rss_kb") }, "master", tell)
end }

checks[#checks + 1] = { "memory of a worker in the calm (RSS)", function(e, tell)
  return worst_of(e, workers_in_calm(e, "rss_kb"), "worker", tell)
end }

checks[#checks + 1] = { "the same, of it what malloc has given out", function(e, tell)
  return worst_of(e, workers_in_calm(e, "malloc_kb"), "malloc", tell)
end }

checks[#checks + 1] = { "Lua's heap of a worker in the calm", function(e, tell)
  return worst_of(e, workers_in_calm(e, "heap_kb"), "traces", tell)
end }

checks[#checks + 1] = { "the same without compiled traces", function(e, tell)
  local worst = -math.huge
  for pid, kb in pairs(e.seen.bare_heaps) do
    local growth = (e.bare_heaps[pid] or kb) - kb
    worst = math.max(worst, growth)
    if growth > allowed_kb(e, "bare") then
      tell("worker %s had %.0f kB, and has %.0f kB", pid, kb, e.bare_heaps[pid])
    end
  end
  return ("%+.0f kB"):format(worst), ("%d kB"):format(allowed_kb(e, "bare"))
end }

local PLAIN = { "plain-lua5.4", "plain-luajit", "deliveries" }

checks[#checks + 1] = { "memory of plain programs (RSS)", function(e, tell)
  local list = {}
  for _, name in ipairs(PLAIN) do
    list[name] = e.seen.series[name .. " rss_kb"] and whole(e, name .. " rss_kb") or nil
  end
  return worst_of(e, list, "plain", tell)
end }

checks[#checks + 1] = { "Lua's heap of plain programs", function(e, tell)
  local list = {}
  for name, lines in pairs(e.heaps) do
    local points = {}
    for index, line in ipairs(lines) do
      local time, kb = line:match("^(%S+) (%S+)$")
      points[index] = { tonumber(time), tonumber(kb) }
    end
    list[name] = #points > 0 and settled(points, 0, e.seconds) or nil
  end
  return worst_of(e, list, "heap", tell)
end }

-- How many more there are at the end of a series than at its beginning, by their lows.
local function more_of(list)
  local worst = 0
  for _, points in pairs(list) do
    worst = math.max(worst, (series.growth(points)))
  end
  return worst
end

local function flat_count(key, allowed, allowed_in_short)
  return function(e, tell)
    local most = e.seconds < SHORT and allowed_in_short or allowed
    local list = workers_in_calm(e, key)
    for _, name in ipairs(PLAIN) do
      list[name] = e.seen.series[name .. " " .. key] and whole(e, name .. " " .. key) or nil
    end
    list.master = whole(e, "master " .. key)
    local more, before, after = more_of(list), e.before.rest[key], e.after.rest[key]
    if more > most then
      tell("%s grew by %.1f under load", key, more)
    end
    if after > before then
      tell("a worker at rest had %d %s before, and has %d", before, key, after)
    end
    return ("%+.1f; at rest %d, before %d"):format(more, after, before),
      ("%+d; at rest none"):format(most)
  end
end

checks[#checks + 1] = { "descriptors", flat_count("descriptors", 8, 12) }
checks[#checks + 1] = { "threads", flat_count("threads", 1, 1) }

checks[#checks + 1] = { "dead processes are buried", function(e, tell)
  if e.seen.zombies > 0 then
    tell("a zombie was there for %d samples", e.seen.zombies)
  end
  for pid, seconds in pairs(e.seen.stuck) do
    tell("worker %s was still shutting down after %.0f s", pid, seconds)
  end
  return ("%d zombies"):format(e.seen.zombies), "0, no old worker stays"
end }

checks[#checks + 1] = { "places and probes are back", function(e, tell)
  local places = { api = 16, payments = 20, guarded = 8 }
  for name, count in pairs(places) do
    if e.permits.places[name] ~= count then
      tell("%s: %d of %d places are free", name, e.permits.places[name], count)
    end
  end
  for name, told in pairs(e.permits.probes) do
    if told[1] ~= 3 or told[2] ~= "closed" then
      tell("%s: %d of 3 probes, and %s after them", name, told[1], told[2])
    end
  end
  return ("%d places, %d probes"):format(e.permits.places.api + e.permits.places.payments
    + e.permits.places.guarded, e.permits.probes.api[1] + e.permits.probes.gated[1]), "44, 6"
end }

checks[#checks + 1] = { "the shared region", function(e, tell)
  local before, after = e.before.region, e.after.region
  for _, key in ipairs{ "cells", "used", "evicted", "refused" } do
    if before[key] ~= after[key] then
      tell("%s were %d, and are %d", key, before[key], after[key])
    end
  end
  if after.processes > e.workers + 1 then
    tell("%d processes, of which %d live", after.processes, e.workers + 1)
  end
  return ("%d cells, %d processes"):format(after.cells, after.processes),
    ("%d, %d"):format(before.cells, e.workers + 1)
end }

local LEVELS = { error = true, crit = true, alert = true, emerg = true }

checks[#checks + 1] = { "nginx's log of errors", function(e, tell)
  local killed, errors, deaths = {}, 0, 0
  for _, kill in ipairs(e.seen.kills) do
    killed[kill.pid] = true
  end
  for line in e.error_log:gmatch("[^\n]+") do
    local level = line:match("^%S+ %S+ %[(%a+)%]")
    local pid = tonumber(line:match("worker process (%d+) exited on signal 9"))
    if pid and killed[pid] then
      deaths = deaths + 1
    elseif LEVELS[level] then
      errors = errors + 1
      tell("%s", line)
    end
  end
  return ("%d errors, %d deaths"):format(errors, deaths), ("0, %d kills"):format(#e.seen.kills)
end }

return checks
