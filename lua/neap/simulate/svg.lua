--- Runs as a picture: an SVG document with the panels of each run below each other, and the runs
--- side by side on equal scales. It needs nothing from elsewhere: no script, no font, no image.
local html = require "neap.status.html"
local series = require "neap.simulate.series"
local words = require "neap.simulate.words"

local svg = {}

-- Pixels.
local PLOT_WIDTH, PLOT_HEIGHT = { 640, 340 }, 120
local LEFT, RIGHT, TOP, GAP = 56, 12, 64, 46
local INCIDENT_HEIGHT = 14
local MOST_COLUMNS = 320

local COLOURS = {
  served = "#2b6cb0", refused = "#e07a5f", ok = "#3a9d5d", degraded = "#e0a82e",
  failed = "#c8443a", p50 = "#2b6cb0", p99 = "#7b4fa3", open = "#c8443a", half_open = "#e0a82e",
  backlog = "#7b4fa3", incident = "#777777",
}

-- ------------------------------------------------------------------------------- pieces

local function add(parts, format, ...)
  parts[#parts + 1] = format:format(...)
end

-- A length in pixels without needless digits.
local function px(number)
  return (words.fixed(number, 1):gsub("%.0$", ""))
end

local function text_at(parts, x, y, anchor, class, text)
  add(parts, '<text x="%s" y="%s" text-anchor="%s" class="%s">%s</text>\n', px(x), px(y), anchor,
    class, html.text(text))
end

-- The curve over the width of a plot as orders of a path, each column a step; first to its height.
local function steps_of(plot, values, most)
  local orders, columns, last = {}, #values, nil
  for index, value in ipairs(values) do
    local y = px(plot.y + plot.height * (1 - math.min(value / most, 1)))
    if y ~= last then
      local x = px(plot.x + plot.width * (index - 1) / columns)
      orders[#orders + 1] = (last and "H" .. x or "") .. "V" .. y
      last = y
    end
  end
  return table.concat(orders) .. "H" .. px(plot.x + plot.width)
end

local function add_area(parts, plot, values, most, colour)
  local bottom = px(plot.y + plot.height)
  add(parts, '<path fill="%s" d="M%s,%s%sV%sZ"/>\n', colour, px(plot.x), bottom,
    steps_of(plot, values, most), bottom)
end

local function add_line(parts, plot, values, most, colour)
  add(parts, '<path fill="none" stroke="%s" stroke-width="1.5" d="M%s,%s%s"/>\n', colour,
    px(plot.x), px(plot.y + plot.height * (1 - math.min(values[1] / most, 1))),
    steps_of(plot, values, most))
end

-- ------------------------------------------------------------------------------- panels

local function sum_lists(first, second)
  local sum = {}
  for index, number in ipairs(first) do
    sum[index] = number + second[index]
  end
  return sum
end

local function difference(first, second)
  local rest = {}
  for index, number in ipairs(first) do
    rest[index] = number - second[index]
  end
  return rest
end

-- Each has a title, `most(run)`, and what is drawn: areas from the largest to the smallest, which
-- covers it, or lines; each of a colour, a name and a list for the slots.
local panels = {}

panels.load = {
  title = "load, requests a second",
  is_rate = true,
  curves = function(run)
    local slots = run.slots
    return {
      { "refused", "refused", slots.attempts },
      { "served", "accepted", difference(slots.attempts, slots.refused) },
    }
  end,
}

panels.calls = {
  title = "calls that end, a second",
  is_rate = true,
  curves = function(run)
    local ok, degraded, failed = series.endings(run)
    local answered = sum_lists(ok, degraded)
    return {
      { "failed", "failed", sum_lists(answered, failed) },
      { "degraded", "degraded", answered },
      { "ok", "ok", ok },
    }
  end,
}

panels.latency = {
  title = "latency of calls, s",
  is_line = true,
  curves = function(run)
    return { { "p99", "p99", run.slots.p99 }, { "p50", "p50", run.slots.p50 } }
  end,
}

panels.breakers = {
  title = "breakers",
  curves = function(run)
    return {
      { "half_open", "half open", sum_lists(run.slots.open, run.slots.half_open) },
      { "open", "open", run.slots.open },
    }
  end,
}

panels.backlog = {
  title = "wait for the server, s",
  curves = function(run) return { { "backlog", "wait", run.slots.backlog } } end,
}

local function factor_of(panel, run)
  return panel.is_rate and 1 / run.slots.width or 1
end

-- The end of the axis that all runs share.
local function scale_of(panel, runs)
  local most = 0
  for _, run in ipairs(runs) do
    for _, curve in ipairs(panel.curves(run)) do
      most = math.max(most, series.highest(curve[3]) * factor_of(panel, run))
    end
  end
  return series.round_up(most)
end

local function add_legend(parts, plot, curves)
  local x = plot.x + plot.width
  for index = #curves, 1, -1 do
    local curve = curves[index]
    x = x - 6.2 * #curve[2] - 21
    add(parts, '<rect x="%s" y="%s" width="9" height="9" fill="%s"/>\n', px(x), px(plot.y - 14),
      COLOURS[curve[1]])
    text_at(parts, x + 13, plot.y - 6, "start", "small", curve[2])
  end
end

local function add_frame(parts, plot, most)
  for share = 0, 2 do
    local y = plot.y + plot.height * share / 2
    add(parts, '<line x1="%s" x2="%s" y1="%s" y2="%s" class="grid"/>\n', px(plot.x),
      px(plot.x + plot.width), px(y), px(y))
    text_at(parts, plot.x - 6, y + 4, "end", "small", words.axis(most * (2 - share) / 2))
  end
end

local function add_moments(parts, plot, duration)
  local marks = plot.width >= 500 and 5 or 4
  for mark = 0, marks do
    local anchor = mark == 0 and "start" or mark == marks and "end" or "middle"
    text_at(parts, plot.x + plot.width * mark / marks, plot.y + plot.height + 14, anchor, "small",
      words.moment(duration * mark / marks, duration))
  end
end

local function add_shades(parts, plot, setting)
  for _, incident in ipairs(setting.scenario) do
    local from = math.min(incident.from / setting.duration, 1)
    local to = math.min((incident.from + incident.lasts) / setting.duration, 1)
    if to > from then
      add(parts, '<rect x="%s" y="%s" width="%s" height="%s" class="incident"/>\n',
        px(plot.x + plot.width * from), px(plot.y), px(plot.width * (to - from)),
        px(plot.height))
    end
  end
end

local function add_panel(parts, plot, panel, run, most)
  local curves = panel.curves(run)
  local columns = math.min(MOST_COLUMNS, run.slots.count)
  add_shades(parts, plot, run.setting)
  for _, curve in ipairs(curves) do
    local values = series.columns(curve[3], columns, factor_of(panel, run))
    local draw = panel.is_line and add_line or add_area
    draw(parts, plot, values, most, COLOURS[curve[1]])
  end
  add_frame(parts, plot, most)
  add_moments(parts, plot, run.setting.duration)
  text_at(parts, plot.x, plot.y - 6, "start", "name", panel.title)
  add_legend(parts, plot, curves)
end

-- One line for each incident below the runs' names.
local function add_incidents(parts, plot, setting)
  for index, incident in ipairs(setting.scenario) do
    local from = plot.width * math.min(incident.from / setting.duration, 1)
    local anchor = from > plot.width / 2 and "end" or "start"
    text_at(parts, plot.x + from, plot.y + (index - 1) * INCIDENT_HEIGHT, anchor, "small",
      words.incident(incident))
  end
end

-- ------------------------------------------------------------------------------- the whole

local STYLE = [[
<style>
text { font-family: system-ui, sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: 600 }
.name { font-size: 12px; font-weight: 600 }
.small { font-size: 11px; fill: #555 }
.grid { stroke: #000; stroke-opacity: 0.12 }
.incident { fill: #777; fill-opacity: 0.13 }
</style>
]]

local function layout_of(runs, names, options)
  local incidents = #runs[1].setting.scenario
  local layout = {
    width = PLOT_WIDTH[#runs] or PLOT_WIDTH[2],
    height = options.height or PLOT_HEIGHT,
    top = TOP + incidents * INCIDENT_HEIGHT,
  }
  layout.whole_width = #runs * (LEFT + layout.width + RIGHT)
  layout.whole_height = layout.top + #names * (layout.height + GAP) + 4
  return layout
end

local function add_run(parts, layout, run, at, names, scales)
  local x = (at - 1) * (LEFT + layout.width + RIGHT) + LEFT
  text_at(parts, x, 40, "start", "title", run.label)
  add_incidents(parts, { x = x, y = 58, width = layout.width }, run.setting)
  for index, name in ipairs(names) do
    local plot = { x = x, y = layout.top + (index - 1) * (layout.height + GAP) + 8,
      width = layout.width, height = layout.height }
    add_panel(parts, plot, panels[name], run, scales[index])
  end
end

--- The document.
---@param runs neap.SimulationRun[]
---@param options { show: string[]?, height: integer? }
---@return string
function svg.document(runs, options)
  local names, scales, parts = series.panels(runs, options.show), {}, {}
  for index, name in ipairs(names) do
    scales[index] = scale_of(panels[name], runs)
  end
  local layout, setting = layout_of(runs, names, options), runs[1].setting
  add(parts, '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %d %d" '
    .. 'width="%d" height="%d">\n', layout.whole_width, layout.whole_height, layout.whole_width,
    layout.whole_height)
  add(parts, "<title>%s</title>\n<desc>%s</desc>\n", html.text(words.callers(setting)),
    html.text(words.server(setting)))
  parts[#parts + 1] = STYLE
  parts[#parts + 1] = '<rect width="100%" height="100%" fill="#fff"/>\n'
  text_at(parts, LEFT, 18, "start", "small",
    words.callers(setting) .. "; " .. words.server(setting))
  for at, run in ipairs(runs) do
    add_run(parts, layout, run, at, names, scales)
  end
  parts[#parts + 1] = "</svg>\n"
  return table.concat(parts)
end

return svg
