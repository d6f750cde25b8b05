--- One client of the status page: a row, or a card where there is little room.
local html = require "neap.status.html"

local row = {}

-- Columns in their order: what reads them aloud and what narrow screens show.
row.COLUMNS = { "API", "Breaker", "Calls", "Error rate", "p50", "p95", "p99", "Retries", "Timeouts",
  "In flight", "Alerts", "Last 5 minutes" }

-- Words for people, the worst state first, and how bad each is.
local STATES = {
  { "open", "open", "bad" },
  { "forced_open", "forced open", "bad" },
  { "half_open", "half open", "warn" },
  { "metrics_only", "metrics only", "good" },
  { "disabled", "disabled", "good" },
  { "closed", "closed", "good" },
}

local MARKS = { bad = "\226\156\150 ", warn = "\226\150\178 ", good = "\226\151\143 ", none = "" }

local NOTHING = '<span aria-hidden="true">\226\128\147</span>'

local KEYS_SHOWN = 5
local KEY_BYTES = 200 -- of a key or a name; more would push away all else

-- ------------------------------------------------------------------------------------- numbers

local function count(number)
  return ("%d"):format(number)
end

local function share(part, whole)
  return ("%.1f\194\160%%"):format(100 * part / whole)
end

local function seconds(length)
  if length < 0.001 then
    return ("%.0f\194\160\194\181s"):format(length * 1e6)
  elseif length < 1 then
    return ("%.1f\194\160ms"):format(length * 1e3)
  end
  return ("%.2f\194\160s"):format(length)
end

local function lasting(length)
  if length < 100 then
    return ("%d\194\160s"):format(math.floor(length))
  elseif length < 6000 then
    return ("%d\194\160min"):format(math.floor(length / 60))
  end
  return ("%d\194\160h"):format(math.floor(length / 3600))
end

local function sum(counts)
  local total = 0
  for _, number in pairs(counts) do
    total = total + number
  end
  return total
end

-- Outer text, shortened; no sign is cut in two.
local function outer(text)
  if #text > KEY_BYTES then
    text = text:sub(1, KEY_BYTES):gsub("[\192-\255][\128-\191]*$", "") .. "\226\128\166"
  end
  return "<bdi>" .. html.text(text) .. "</bdi>"
end

-- -------------------------------------------------------------------------------------- breaker

-- How many breakers are in each state, and how many there are.
local function states_of(stats)
  if stats.breaker then
    return { [stats.breaker.state] = 1 }, 1
  elseif stats.breaker_states then
    return stats.breaker_states, sum(stats.breaker_states)
  elseif not stats.breakers then
    return {}, 0
  end
  local states, named = {}, 0
  for _, snapshot in pairs(stats.breakers) do
    states[snapshot.state] = (states[snapshot.state] or 0) + 1
    named = named + 1
  end
  -- Of many keys those without a name are closed, or come after the first hundred that are not.
  states.closed = (states.closed or 0) + stats.breaker_keys - named
  return states, stats.breaker_keys
end

local function worst_of(states)
  for _, state in ipairs(STATES) do
    if (states[state[1]] or 0) > 0 then
      return state
    end
  end
  return { nil, "none", "none" }
end

local function keys_in(stats, state)
  local keys = {}
  for key, snapshot in pairs(stats.breakers or {}) do
    if snapshot.state == state then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  return keys
end

local function keys_text(stats, state)
  local parts = {}
  if state ~= "closed" then
    for index, key in ipairs(keys_in(stats, state)) do
      if index > KEYS_SHOWN then
        parts[index] = "\226\128\166"
        break
      end
      parts[index] = outer(key)
    end
  end
  return table.concat(parts, ", ")
end

local function details_of(stats, state, states, total)
  local lines = {}
  if stats.breaker_keys then
    lines[1] = total == 0 and "no keys yet"
      or ("%d of %d keys %s"):format(states[state[1]], total, keys_text(stats, state[1]))
  elseif total > 1 then
    lines[1] = ("%d of %d breakers"):format(states[state[1]], total)
  end
  local retry_after = stats.breaker and stats.breaker.retry_after
  if retry_after then
    lines[#lines + 1] = "next probe in " .. lasting(math.ceil(retry_after))
  end
  local text = ""
  for _, line in ipairs(lines) do
    text = text .. "<small>" .. line .. "</small>"
  end
  return text
end

local function breaker_of(stats)
  local states, total = states_of(stats)
  local state = worst_of(states)
  local mark = ('<span aria-hidden="true">%s</span>'):format(MARKS[state[3]])
  return state, ('<span class="word %s">%s%s</span>%s'):format(state[3], mark, state[2],
    details_of(stats, state, states, total))
end

-- --------------------------------------------------------------------------------------- alerts

-- Not %d: what a damaged region holds may be no whole number, and is no reason to show nothing.
local ALERT_VALUES = {
  p99 = seconds,
  error_rate = function(value) return share(value, 1) end,
  retry_surge = function(value) return ("%.0f retries"):format(value) end,
  timeout_surge = function(value) return ("%.0f timeouts"):format(value) end,
  breaker_open = function(value) return ("%.0f open"):format(value) end,
}

local function alert_text(alert, now)
  local value = ALERT_VALUES[alert.alert]
  return ('<li><span class="word warn">%s</span> <small>%s, for %s</small></li>'):format(
    html.text(alert.alert), value and value(alert.value) or "",
    lasting(math.max(0, now - alert.since)))
end

local function alerts_of(stats, now)
  local lines, names = {}, {}
  for index, alert in ipairs(stats.alerts or {}) do
    lines[index] = alert_text(alert, now)
    names[index] = alert.alert
  end
  if #lines > 0 then
    return "<ul>" .. table.concat(lines) .. "</ul>", names
  end
  return stats.alerts and "none" or "not watched", names
end

-- ---------------------------------------------------------------------------------------- chart

-- Units of the drawing: whole numbers, which look the same in every locale.
local STEP, WIDTH, HEIGHT = 10, 8, 100

local function bars(counts, most)
  local parts = {}
  for index, number in ipairs(counts) do
    if number > 0 then
      local height = math.max(2, math.floor(HEIGHT * number / most))
      parts[#parts + 1] = ("M%d %dv-%dh%dv%dz"):format((index - 1) * STEP, HEIGHT, height, WIDTH,
        height)
    end
  end
  return table.concat(parts)
end

local function most_of(counts)
  local most = 0
  for _, number in ipairs(counts) do
    most = math.max(most, number)
  end
  return most
end

local function chart_of(history)
  local most = most_of(history.calls)
  local label = ("%d calls in the last 5 minutes, %d failed; at most %d calls in %d seconds")
    :format(sum(history.calls), sum(history.failures), most, history.seconds)
  return ('<svg role="img" aria-label="%s" viewBox="0 0 %d %d" preserveAspectRatio="none">'
    .. '<path class="calls" d="%s"/><path class="failures" d="%s"/></svg>'):format(label,
    #history.calls * STEP, HEIGHT, bars(history.calls, most), bars(history.failures, most))
end

-- ------------------------------------------------------------------------------------ the whole

local function by_reason(counts)
  local names = {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  if #names == 0 then
    return "0"
  end
  table.sort(names)
  for index, name in ipairs(names) do
    names[index] = ("%s:\194\160%d"):format(html.text(name), counts[name])
  end
  return count(sum(counts)) .. "<small>" .. table.concat(names, ", ") .. "</small>"
end

local function error_rate(history)
  local calls = sum(history.calls)
  return calls > 0 and share(sum(history.failures), calls) or NOTHING
end

local function quantile(latency, name)
  return latency.count > 0 and seconds(latency[name]) or NOTHING
end

local function cells_of(client, breaker, alerts)
  local stats = client.stats
  local latency = stats.latency
  return {
    breaker,
    count(stats.calls),
    error_rate(stats.history),
    quantile(latency, "p50"),
    quantile(latency, "p95"),
    quantile(latency, "p99"),
    by_reason(stats.retries),
    by_reason(stats.timeouts),
    count(stats.in_flight),
    alerts,
    chart_of(stats.history),
  }
end

--- The row of a client, as neap.survey tells of it; `place` says whose figures they are that are
--- not shared.
---@param client table
---@param place? string
---@return string html
---@return string severity "bad", "warn", "good", "none"
---@return integer firing alerts
function row.of(client, place)
  local state, breaker = breaker_of(client.stats)
  local alerts, names = alerts_of(client.stats, client.now)
  local severity = state[3]
  if #names > 0 and severity ~= "bad" then
    severity = "warn"
  end
  local parts = { ('<tr role="row" class="%s" data-client="%s" data-state="%s" data-alerts="%s">')
    :format(severity, html.text(client.name), state[2], html.text(table.concat(names, " "))) }
  local whose = place and not client.is_shared and "<small>" .. html.text(place) .. "</small>" or ""
  parts[2] = ('<th role="rowheader" scope="row">%s%s</th>'):format(outer(client.name), whose)
  for index, cell in ipairs(cells_of(client, breaker, alerts)) do
    parts[#parts + 1] = ('<td role="cell" data-label="%s"><div>%s</div></td>')
      :format(row.COLUMNS[index + 1], cell)
  end
  parts[#parts + 1] = "</tr>\n"
  return table.concat(parts), severity, #names
end

return row
