--- Runs as one page: the picture, the figures, what was simulated. It needs nothing from elsewhere.
local html = require "neap.status.html"
local series = require "neap.simulate.series"
local svg = require "neap.simulate.svg"
local words = require "neap.simulate.words"

local page = {}

local HEAD = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%s</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em;
  color: #222; background: #fff }
svg { max-width: 100%%; height: auto }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: 0.15em 1em 0.15em 0; text-align: right; border-bottom: 1px solid #ddd }
th:first-child { text-align: left; white-space: pre; font-weight: normal }
</style>
</head>
<body>
]]

local function add(parts, format, ...)
  parts[#parts + 1] = format:format(...)
end

local function labels_of(runs)
  local labels = {}
  for index, run in ipairs(runs) do
    labels[index] = run.label
  end
  return table.concat(labels, " and ")
end

local function add_table(parts, runs)
  add(parts, "<table>\n<thead><tr><th></th>")
  for _, run in ipairs(runs) do
    add(parts, '<th scope="col">%s</th>', html.text(run.label))
  end
  add(parts, "</tr></thead>\n<tbody>\n")
  for _, row in ipairs(series.figures(runs)) do
    add(parts, '<tr><th scope="row">%s</th>', html.text(row.label))
    for _, text in ipairs(row.texts) do
      add(parts, "<td>%s</td>", html.text(text))
    end
    add(parts, "</tr>\n")
  end
  add(parts, "</tbody>\n</table>\n")
end

local function add_notes(parts, runs)
  local notes = series.notes(runs)
  if #notes == 0 then
    return
  end
  add(parts, "<h2>Not simulated as it is</h2>\n<ul>\n")
  for _, note in ipairs(notes) do
    add(parts, "<li>%s</li>\n", html.text(note))
  end
  add(parts, "</ul>\n")
end

--- The page.
---@param runs neap.SimulationRun[]
---@param options { show: string[]? }
---@return string
function page.html(runs, options)
  local parts, setting = {}, runs[1].setting
  add(parts, HEAD, html.text("neap simulate: " .. labels_of(runs)))
  add(parts, "<h1>%s</h1>\n", html.text(labels_of(runs)))
  add(parts, "<p>%s<br>%s</p>\n", html.text(words.callers(setting)),
    html.text(words.server(setting)))
  parts[#parts + 1] = svg.document(runs, options)
  add_table(parts, runs)
  add_notes(parts, runs)
  parts[#parts + 1] = "</body>\n</html>\n"
  return table.concat(parts)
end

return page
