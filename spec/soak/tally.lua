--- What a caller can see of calls, in the words of `client:stats()`.
local tally = {}

--- Counts one more, or so many more, under that name.
function tally.count(counts, key, by)
  counts[key] = (counts[key] or 0) + (by or 1)
end

local UNSEEN = { resolve = true, connect = true, tls = true }

local function add_attempt(counts, entry)
  tally.count(counts, "attempts")
  if entry.error == "timeout" then
    tally.count(counts, "timeouts." .. entry.phase)
  end
  -- What never was connected has not been seen by the server.
  if UNSEEN[entry.error] or (entry.error == "timeout" and entry.phase == "connect") then
    tally.count(counts, "unseen." .. entry.error)
  end
end

-- A retry was decided if there is a wait for it; its attempt may then have been refused.
local RETRIES = { backoff = true, retry_after = true }

local function add_trace(counts, trace)
  local before
  for _, entry in ipairs(trace) do
    if entry.kind == "attempt" then
      add_attempt(counts, entry)
      before = entry
    elseif entry.kind == "wait" and RETRIES[entry.reason] then
      tally.count(counts, "retries." .. (before.error or before.status))
    elseif entry.kind == "reject" then
      tally.count(counts, "rejections." .. entry.error)
    end
  end
end

local function add_end(counts, res, err)
  if err then
    tally.count(counts, "errors." .. err.kind)
  elseif res.ok then
    tally.count(counts, "ok")
  else
    tally.count(counts, "failed." .. math.floor(res.status / 100) .. "xx")
  end
end

-- Those of the answers that are fallbacks, or the cache's.
local FALLBACKS = { default = true, service = true, ["function"] = true, queue = true }

--- Adds a call's result to counts such as { calls, ok, ["errors.reset"], ["retries.503"] }.
---@return table counts
function tally.add(counts, res, err)
  tally.count(counts, "calls")
  add_end(counts, res, err)
  if res and FALLBACKS[res.source] then
    tally.count(counts, "fallbacks." .. res.source)
  elseif res and res.source ~= "network" then
    tally.count(counts, "source." .. res.source)
  end
  add_trace(counts, (res or err).trace)
  return counts
end

--- Adds all counts of `from`, tables within included.
function tally.merge(into, from)
  for key, value in pairs(from) do
    if type(value) == "table" then
      into[key] = tally.merge(into[key] or {}, value)
    else
      into[key] = (into[key] or 0) + value
    end
  end
  return into
end

local GROUPS = { failed = true, errors = true, retries = true, timeouts = true, rejections = true,
  fallbacks = true }
local NUMBERS = { "calls", "ok", "attempts", "abandoned", "coalesced", "in_flight",
  "listener_errors" }

--- `client:stats()` in the same form.
---@return table<string, integer>
function tally.of_stats(stats)
  local counts = {}
  for _, key in ipairs(NUMBERS) do
    counts[key] = stats[key]
  end
  counts.latency = stats.latency and stats.latency.count
  for group in pairs(GROUPS) do
    for name, count in pairs(stats[group] or {}) do
      counts[group .. "." .. name] = count
    end
  end
  return counts
end

--- The sum of a group, "errors" say.
function tally.sum(counts, group)
  local sum = 0
  for key, count in pairs(counts) do
    if key:match("^(%w+)%.") == group then
      sum = sum + count
    end
  end
  return sum
end

return tally
