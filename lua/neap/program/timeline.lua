--- A trace as a picture of lines, one an entry, over one axis of time.
local terminal = require "neap.program.terminal"

local timeline = {}

local WIDTH = 40 -- of the axis, in characters

local SIGNS = { attempt = "#", wait = ".", fallback = "=" }

local function is_number(value)
  return type(value) == "number" and value == value and math.abs(value) ~= math.huge
end

-- Longer than any clock has run: what is beyond would not fit into its column.
local MOST_SECONDS = 1e12

local function is_length(value)
  return is_number(value) and value >= 0 and value <= MOST_SECONDS
end

local function flaw_of_entry(entry)
  if type(entry) ~= "table" or type(entry.kind) ~= "string" then
    return "expected an object with `kind`"
  end
  if not is_length(entry.at) or (entry.elapsed ~= nil and not is_length(entry.elapsed)) then
    return "expected numbers of seconds in `at` and `elapsed`"
  end
end

--- What is wrong with a trace that came from elsewhere, or nil.
---@param trace any
---@return string? flaw
function timeline.flaw(trace)
  if type(trace) ~= "table" then
    return "expected a trace, a list of entries"
  end
  for index, entry in ipairs(trace) do
    local flaw = flaw_of_entry(entry)
    if flaw then
      return ("entry %d: %s"):format(index, flaw)
    end
  end
  return #trace == 0 and "the trace has no entries" or nil
end

local function plain(value)
  if is_number(value) and value % 1 == 0 then -- JSON's 503 may be read as 503.0
    return ("%d"):format(value)
  end
  return terminal.plain(tostring(value))
end

--- What an entry came to: "503", "timeout (read)", "backoff".
---@param entry neap.TraceEntry
---@return string
function timeline.outcome(entry)
  local text = entry.error or entry.status or entry.reason or "?"
  if entry.error and entry.phase then
    text = ("%s (%s)"):format(entry.error, entry.phase)
  end
  return plain(text)
end

local function colour_of(entry)
  if entry.kind == "wait" then
    return "faint"
  end
  local is_failure = entry.error or (tonumber(entry.status) or 0) >= 400
  return is_failure and "red" or "green"
end

-- At least one character, and none beyond the axis.
local function bar(entry, began, total)
  local scale = total > 0 and WIDTH / total or 0
  local from = math.min(math.floor((entry.at - began) * scale), WIDTH - 1)
  local length = math.max(math.floor((entry.elapsed or 0) * scale + 0.5), 1)
  local sign = entry.kind == "reject" and "|" or SIGNS[entry.kind] or "?"
  return (" "):rep(from) .. sign:rep(math.min(length, WIDTH - from))
end

local function last_moment(trace)
  local last = trace[1].at
  for _, entry in ipairs(trace) do
    last = math.max(last, entry.at + (entry.elapsed or 0))
  end
  return last
end

--- "attempt 1", "wait", … for each entry: attempts are counted.
---@param trace neap.TraceEntry[]
---@return string[]
function timeline.labels(trace)
  local labels, attempts = {}, 0
  for index, entry in ipairs(trace) do
    labels[index] = plain(entry.kind)
    if entry.kind == "attempt" then
      attempts = attempts + 1
      labels[index] = "attempt " .. attempts
    end
  end
  return labels
end

--- The lines of the picture, for stdout (1) or stderr (2). The trace must have no flaw.
---@param trace neap.TraceEntry[]
---@param stream? 1|2
---@return string[]
function timeline.draw(trace, stream)
  local lines, labels, began = {}, timeline.labels(trace), trace[1].at
  local total = last_moment(trace) - began
  for index, entry in ipairs(trace) do
    lines[index] = ("%9.3f s  %-11s %s %8.3f s  %s"):format(entry.at - began, labels[index],
      terminal.coloured(colour_of(entry), ("%-18s"):format(timeline.outcome(entry)), stream),
      entry.elapsed or 0, bar(entry, began, total))
  end
  return lines
end

return timeline
