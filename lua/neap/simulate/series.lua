--- What a run has seen, as curves over time and as rows of figures: what all charts draw.
local words = require "neap.simulate.words"

local series = {}

-- In the order in which people are told.
series.ANSWERS = { "network", "cache", "stale", "service", "default", "function", "queue", "4xx",
  "5xx" }
series.ERRORS = { "resolve", "connect", "tls", "timeout", "reset", "protocol", "too_large",
  "breaker_open", "gate", "rate_limited", "bulkhead_full", "deadline", "cancelled", "redirect",
  "conflict", "store", "phase", "error" }

local OK = { network = true, cache = true }
local FAILED = { ["4xx"] = true, ["5xx"] = true }

local function add_to(sum, list)
  for index, number in ipairs(list) do
    sum[index] = (sum[index] or 0) + number
  end
end

local function zeros(count)
  local list = {}
  for index = 1, count do
    list[index] = 0
  end
  return list
end

--- How many calls ended well, by something that stood in, or not well, in each slot.
---@param run neap.SimulationRun
---@return number[] ok
---@return number[] degraded
---@return number[] failed
function series.endings(run)
  local count = run.slots.count
  local ok, degraded, failed = zeros(count), zeros(count), zeros(count)
  for name, list in pairs(run.slots.answers) do
    add_to(OK[name] and ok or FAILED[name] and failed or degraded, list)
  end
  for _, list in pairs(run.slots.errors) do
    add_to(failed, list)
  end
  return ok, degraded, failed
end

--- The list in so many columns: of the slots of a column the highest, or by `mean` their mean.
---@param list number[]
---@param columns integer
---@param factor number each is multiplied with
---@param mean? boolean
---@return number[]
function series.columns(list, columns, factor, mean)
  local drawn = {}
  for column = 1, columns do
    local from = math.floor((column - 1) * #list / columns) + 1
    local to = math.max(from, math.floor(column * #list / columns))
    local sum, most = 0, 0
    for index = from, to do
      sum = sum + list[index]
      most = math.max(most, list[index])
    end
    drawn[column] = (mean and sum / (to - from + 1) or most) * factor
  end
  return drawn
end

--- The highest number of a list.
---@param list number[]
---@return number
function series.highest(list)
  local most = 0
  for _, number in ipairs(list) do
    most = math.max(most, number)
  end
  return most
end

--- A number to end an axis with, not below this one: 1, 2 or 5 times a power of ten, or between.
---@param number number
---@return number
function series.round_up(number)
  if number <= 0 then
    return 1
  end
  local power = 1
  while power < number do power = power * 10 end
  while power >= number do power = power / 10 end
  for _, step in ipairs{ 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 } do
    if step * power >= number * (1 - 1e-9) then
      return step * power
    end
  end
  return 10 * power
end

--- Is there anything to see in a panel?
local HAS = {
  load = function() return true end,
  calls = function() return true end,
  latency = function() return true end,
  breakers = function(run) return series.highest(run.slots.open) > 0
    or (run.transitions.open or 0) > 0 end,
  backlog = function(run) return run.setting.capacity ~= nil end,
}

series.PANELS = { "load", "calls", "latency", "breakers", "backlog" }

--- The panels to draw: those that were asked for, else those with something to see.
---@param runs neap.SimulationRun[]
---@param show? string[]
---@return string[]
function series.panels(runs, show)
  if show then
    return show
  end
  local found = {}
  for _, panel in ipairs(series.PANELS) do
    for index = 1, #runs do
      if HAS[panel](runs[index]) then
        found[#found + 1] = panel
        break
      end
    end
  end
  return found
end

local function sum_of(counts)
  local sum = 0
  for _, count in pairs(counts) do
    sum = sum + count
  end
  return sum
end

local function has_any(runs, get)
  for _, run in ipairs(runs) do
    if (get(run) or 0) > 0 then
      return true
    end
  end
  return false
end

-- Label, and one text for each run.
local function row(rows, runs, label, text_of)
  local texts = {}
  for index, run in ipairs(runs) do
    texts[index] = text_of(run)
  end
  rows[#rows + 1] = { label = label, texts = texts }
end

local function row_of_calls(rows, runs, label, get)
  if has_any(runs, get) then
    row(rows, runs, label, function(run)
      local count = get(run) or 0
      return ("%s (%s)"):format(words.count(count), words.share(count, run.calls))
    end)
  end
end

local function row_of_count(rows, runs, label, get)
  if has_any(runs, get) then
    row(rows, runs, label, function(run) return words.count(get(run) or 0) end)
  end
end

--- The figures of the runs: { label, texts = one for each run }.
---@param runs neap.SimulationRun[]
---@return { label: string, texts: string[] }[]
function series.figures(runs)
  local rows = {}
  row(rows, runs, "calls", function(run) return words.count(run.calls) end)
  row(rows, runs, "requests to the server", function(run) return words.count(run.attempts) end)
  row(rows, runs, "  for each call", function(run) return words.fixed(run.amplification, 3) end)
  row(rows, runs, "  highest load, a second", function(run) return words.count(run.peak) end)
  row_of_count(rows, runs, "  refused by the server", function(run) return run.refused end)
  for _, name in ipairs(series.ANSWERS) do
    row_of_calls(rows, runs, FAILED[name] and "ended with " .. name or "answered by " .. name,
      function(run) return run.answers[name] end)
  end
  for _, name in ipairs(series.ERRORS) do
    row_of_calls(rows, runs, "error " .. name, function(run) return run.errors[name] end)
  end
  row_of_calls(rows, runs, "never ended", function(run) return run.unfinished end)
  for _, name in ipairs{ "p50", "p90", "p99", "max" } do
    row(rows, runs, "latency " .. name, function(run) return words.seconds(run.latency[name]) end)
  end
  row_of_count(rows, runs, "retries", function(run) return sum_of(run.retries) end)
  row_of_count(rows, runs, "breakers opened", function(run) return run.transitions.open end)
  return rows
end

--- The notes of all runs, each one once.
---@param runs neap.SimulationRun[]
---@return string[]
function series.notes(runs)
  local found, seen = {}, {}
  for _, run in ipairs(runs) do
    for _, note in ipairs(run.notes) do
      if not seen[note] then
        seen[note] = true
        found[#found + 1] = note
      end
    end
  end
  return found
end

return series
