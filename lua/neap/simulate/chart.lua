--- Runs as a chart for a terminal: panels over time, one column of them for each run, then the
--- figures. Lines are never wider than asked for.
local series = require "neap.simulate.series"
local words = require "neap.simulate.words"

local chart = {}

local LEAST_WIDTH, LEAST_BESIDE = 40, 72
local GUTTER = 9 -- what stands left of the curves
local BETWEEN = 2
local LOAD_ROWS = 6

-- A cell that is filled by so many eighths, from nothing to 8.
local BLOCKS = { [0] = " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local SIGNS = { [0] = " ", ".", ".", ":", ":", "|", "|", "#", "#" }

local COLOURS = { load = "36", ok = "32", degraded = "33", failed = "31", time = "35",
  incident = "33", title = "1", open = "31", backlog = "35" }

-- ------------------------------------------------------------------------------- lines

-- A line of exactly so many columns is a list of pieces; `text` of a piece is of one byte a column
-- unless `columns` says how many it has.
local function pad(text, width)
  text = text:sub(1, math.max(width, 0))
  return text .. (" "):rep(width - #text)
end

local function pad_left(text, width)
  return (" "):rep(width - #text) .. text:sub(1, width)
end

local function paint(pen, name, text)
  if not pen.colour then
    return text
  end
  return ("\27[%sm%s\27[0m"):format(COLOURS[name], text)
end

-- What is no printable ASCII would be of unknown width.
local function plain(text)
  return (text:gsub("[^\32-\126]", "?"))
end

-- ------------------------------------------------------------------------------- curves

local function fill_of(value, most, rows, row)
  local eighths = most > 0 and math.floor(value / most * rows * 8 + 0.5) or 0
  if value > 0 and eighths == 0 then
    eighths = 1
  end
  return math.max(0, math.min(8, eighths - (rows - row) * 8))
end

-- One row of a curve, counted from the top.
local function cells(pen, values, most, rows, row)
  local drawn = {}
  for column, value in ipairs(values) do
    drawn[column] = pen.signs[fill_of(value, most, rows, row)]
  end
  return table.concat(drawn)
end

local function add_row(pen, lines, label, colour, values, most)
  lines[#lines + 1] = pad_left(label, GUTTER - 1) .. " "
    .. paint(pen, colour, cells(pen, values, most, 1, 1))
end

local function add_heading(pen, lines, text)
  lines[#lines + 1] = paint(pen, "title", pad(text, pen.width))
end

-- ------------------------------------------------------------------------------- time

local function add_axis(pen, lines, setting)
  local columns, text = pen.columns, ""
  local marks = columns >= 60 and 5 or 2
  for mark = 0, marks do
    local moment = words.moment(setting.duration * mark / marks, setting.duration)
    local at = math.floor(columns * mark / marks)
    if mark == marks then
      at = columns - #moment
    end
    if at >= #text then
      text = pad(text, at) .. moment .. " "
    end
  end
  lines[#lines + 1] = (" "):rep(GUTTER) .. pad(text, columns)
end

-- Where an incident was, and what.
local function add_incident(pen, lines, setting, incident)
  local columns, duration = pen.columns, setting.duration
  local from = math.floor(columns * incident.from / duration)
  local to = math.ceil(columns * math.min(incident.from + incident.lasts, duration) / duration)
  if from >= columns then
    return
  end
  local length = math.max(to - from, 1)
  local name = words.incident(incident)
  local bar = ("="):rep(length)
  if #name + 2 <= length then
    local left = math.floor((length - #name - 2) / 2)
    bar = ("="):rep(left) .. " " .. name .. " " .. ("="):rep(length - left - #name - 2)
    name = ""
  end
  local before = pad("", from)
  if name ~= "" and from > #name then
    before, name = pad_left(name .. " ", from), ""
  end
  lines[#lines + 1] = (" "):rep(GUTTER)
    .. paint(pen, "incident", pad(before .. bar .. (name ~= "" and " " .. name or ""), columns))
end

local function add_time(pen, lines, setting)
  add_axis(pen, lines, setting)
  for _, incident in ipairs(setting.scenario) do
    add_incident(pen, lines, setting, incident)
  end
end

-- ------------------------------------------------------------------------------- panels

-- Each has `most(run)`, what its scale must hold, and `draw`, which adds lines. The scales are the
-- same for all runs.
local panels = {}

panels.load = {
  most = function(run) return run.peak end,
  draw = function(pen, lines, run, most)
    local values = series.columns(run.slots.attempts, pen.columns, 1 / run.slots.width)
    local top = series.round_up(most)
    add_heading(pen, lines, "load on the server, requests a second")
    for row = 1, LOAD_ROWS do
      local label = row == 1 and words.count(top) or row == LOAD_ROWS and "0" or ""
      lines[#lines + 1] = pad_left(label, GUTTER - 1) .. " "
        .. paint(pen, "load", cells(pen, values, top, LOAD_ROWS, row))
    end
    add_time(pen, lines, run.setting)
  end,
}

panels.calls = {
  most = function(run)
    local ok, degraded, failed = series.endings(run)
    return math.max(series.highest(ok), series.highest(degraded), series.highest(failed))
      / run.slots.width
  end,
  draw = function(pen, lines, run, most)
    local ok, degraded, failed = series.endings(run)
    add_heading(pen, lines, ("calls that end, a second (full %s)"):format(words.count(most)))
    for _, curve in ipairs{ { "ok", ok }, { "degraded", degraded }, { "failed", failed } } do
      add_row(pen, lines, curve[1], curve[1],
        series.columns(curve[2], pen.columns, 1 / run.slots.width), most)
    end
  end,
}

panels.latency = {
  most = function(run) return series.highest(run.slots.p99) end,
  draw = function(pen, lines, run, most)
    add_heading(pen, lines, ("latency of calls (full %s)"):format(words.seconds(most)))
    add_row(pen, lines, "p50", "time", series.columns(run.slots.p50, pen.columns, 1), most)
    add_row(pen, lines, "p99", "time", series.columns(run.slots.p99, pen.columns, 1), most)
  end,
}

local function instances(run)
  return run.setting.shared and 1 or run.setting.clients
end

panels.breakers = {
  most = instances,
  draw = function(pen, lines, run, most)
    add_heading(pen, lines, ("breakers (full %s)"):format(words.count(most)))
    add_row(pen, lines, "open", "open", series.columns(run.slots.open, pen.columns, 1), most)
    add_row(pen, lines, "half", "degraded", series.columns(run.slots.half_open, pen.columns, 1),
      most)
  end,
}

panels.backlog = {
  most = function(run) return series.highest(run.slots.backlog) end,
  draw = function(pen, lines, run, most)
    add_heading(pen, lines, ("wait for the server (full %s)"):format(words.seconds(most)))
    add_row(pen, lines, "wait", "backlog", series.columns(run.slots.backlog, pen.columns, 1),
      most)
  end,
}

local function scale_of(panel, runs)
  local most = 0
  for _, run in ipairs(runs) do
    most = math.max(most, panels[panel].most(run))
  end
  return most
end

-- ------------------------------------------------------------------------------- the whole

local function lines_of(pen, run, names, scales)
  local lines = { paint(pen, "title", pad(plain(run.label), pen.width)) }
  for index, name in ipairs(names) do
    lines[#lines + 1] = pad("", pen.width)
    panels[name].draw(pen, lines, run, scales[index])
  end
  return lines
end

local function beside(blocks)
  local lines = {}
  for index = 1, #blocks[1] do
    local parts = {}
    for at, block in ipairs(blocks) do
      parts[at] = block[index]
    end
    lines[index] = table.concat(parts, (" "):rep(BETWEEN))
  end
  return lines
end

local function add_all(lines, more)
  for _, line in ipairs(more) do
    lines[#lines + 1] = line
  end
end

local function wrap_into(lines, text, width)
  local line = ""
  for word in text:gmatch("%S+") do
    if line ~= "" and #line + 1 + #word > width then
      lines[#lines + 1] = line
      line = "  " .. word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line:sub(1, width)
end

local function add_figures(lines, runs, width)
  local label_width = math.min(26, width - 18)
  local cell = math.floor((width - label_width) / #runs)
  cell = math.min(cell, 24)
  local function add(label, texts)
    local line = pad(label, label_width)
    for _, text in ipairs(texts) do
      line = line .. pad_left(text, cell)
    end
    lines[#lines + 1] = line
  end
  if #runs > 1 then
    local labels = {}
    for index, run in ipairs(runs) do
      labels[index] = plain(run.label):sub(1, cell - 2)
    end
    add("", labels)
  end
  for _, row in ipairs(series.figures(runs)) do
    add(row.label, row.texts)
  end
end

local function new_pen(width, options)
  return {
    width = width,
    columns = width - GUTTER,
    colour = options.colour,
    signs = options.ascii and SIGNS or BLOCKS,
  }
end

local function draw_panels(lines, runs, width, options)
  local is_beside = #runs > 1 and width >= LEAST_BESIDE
  local each = is_beside and math.floor((width - BETWEEN * (#runs - 1)) / #runs) or width
  local names, scales, blocks = series.panels(runs, options.show), {}, {}
  for index, name in ipairs(names) do
    scales[index] = scale_of(name, runs)
  end
  for index, run in ipairs(runs) do
    blocks[index] = lines_of(new_pen(each, options), run, names, scales)
  end
  if is_beside then
    return add_all(lines, beside(blocks))
  end
  for index, block in ipairs(blocks) do
    add_all(lines, block)
    if blocks[index + 1] then
      lines[#lines + 1] = ""
    end
  end
end

--- The chart.
---@param runs neap.SimulationRun[]
---@param options { width: integer?, colour: boolean?, ascii: boolean?, show: string[]? }
---@return string
function chart.text(runs, options)
  local width = math.max(LEAST_WIDTH, math.floor(options.width or 80))
  local lines = {}
  wrap_into(lines, words.callers(runs[1].setting), width)
  wrap_into(lines, words.server(runs[1].setting), width)
  lines[#lines + 1] = ""
  draw_panels(lines, runs, width, options)
  lines[#lines + 1] = ""
  add_figures(lines, runs, width)
  for _, note in ipairs(series.notes(runs)) do
    wrap_into(lines, "note: " .. note, width)
  end
  for index, line in ipairs(lines) do
    lines[index] = line:gsub(" +$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

return chart
