--- The status page: one HTML document about all clients that needs nothing else.
--
-- It is whole without its script, which only keeps it fresh: a browser without it loads the page
-- anew. Nothing in it comes from another place, and the Content-Security-Policy, which the page has
-- in itself for servers that send no headers of ours, lets nothing else run. See docs/status.md.
local html = require "neap.status.html"
local row = require "neap.status.row"
local script = require "neap.status.script"
local style = require "neap.status.style"

local status = {}

--- Seconds between two looks of a browser.
local EVERY = 3

-- Of a browser without script, which loads the whole page and may lose its place.
local EVERY_WITHOUT_SCRIPT = 10

local DATE = "!%Y-%m-%dT%H:%M:%SZ"

--- What the page may do.
---@param is_live boolean
---@return string
function status.security_policy(is_live)
  local rules = ("default-src 'none'; img-src data:; style-src '%s'; base-uri 'none'; "
    .. "form-action 'none'"):format(style.hash)
  if is_live then
    rules = rules .. ("; script-src '%s'; connect-src 'self'"):format(script.hash)
  end
  return rules
end

local PAGE = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${style}</style>
${without_script}</head>
<body>
<main>
<h1>neap status</h1>
${controls}<div id="live" data-every="${every}">
<p>${summary}</p>
<p class="faint">${made}</p>
<div class="scroll" role="region" aria-labelledby="caption" tabindex="0">
<table role="table" aria-labelledby="caption">
<caption id="caption">APIs: calls, retries, timeouts and latency since the counting began, error
rate of the last 5 minutes</caption>
<thead role="rowgroup"><tr role="row">${heads}</tr></thead>
<tbody role="rowgroup">
${rows}</tbody>
</table>
</div>
</div>
</main>
${script}</body>
</html>
]]

local CONTROLS = [[
<p><button id="pause" type="button" hidden>Pause updates</button></p>
<p id="late" class="late" role="status" hidden></p>
<p id="news" role="status" aria-live="polite"></p>
]]

local function heads()
  local parts = {}
  for index, name in ipairs(row.COLUMNS) do
    parts[index] = ('<th role="columnheader" scope="col">%s</th>'):format(name)
  end
  return table.concat(parts)
end

local function counted(number, one, many)
  return ("%d %s"):format(number, number == 1 and one or many)
end

-- The rows, and what the whole comes to in words.
local function rows_of(clients, place)
  local parts, bad, firing = {}, 0, 0
  for index, client in ipairs(clients) do
    local text, severity, alerts = row.of(client, place)
    parts[index] = text
    bad = bad + (severity == "bad" and 1 or 0)
    firing = firing + alerts
  end
  if #parts == 0 then
    parts[1] = ('<tr role="row"><td role="cell" colspan="%d">No client yet</td></tr>\n')
      :format(#row.COLUMNS)
  end
  local summary = ("%s, %s with an open breaker, %s"):format(counted(#clients, "API", "APIs"),
    bad == 0 and "none" or tostring(bad), counted(firing, "alert firing", "alerts firing"))
  return table.concat(parts), summary, bad
end

local function made_text(options)
  local date = os.date(DATE, options.made_at)
  local text = ('<time datetime="%s">%s</time>'):format(date, date:gsub("T", " "):gsub("Z", " UTC"))
  return (options.live and "As of " or "A snapshot, made at ") .. text
    .. (options.source and ", " .. html.text(options.source) or "")
    .. (options.is_partial and ". The shared memory cannot be read now: clients that only other "
      .. "processes have are missing" or "")
end

--- The page about these clients.
---@param clients table[] rows as neap.survey gives them
---@param options table made_at (epoch), live (does it keep itself fresh?), place (whose figures
--- those are that are not shared), source (a text, where they come from), is_partial (clients of
--- other processes could not be read)
---@return string
function status.page(clients, options)
  local rows, summary, bad = rows_of(clients, options.place)
  local live = options.live
  local values = {
    policy = html.text(status.security_policy(live)),
    title = (bad > 0 and ("(%d open) "):format(bad) or "") .. "neap status",
    style = style.text,
    without_script = live and ('<noscript><meta http-equiv="refresh" content="%d"></noscript>\n')
      :format(EVERY_WITHOUT_SCRIPT) or "",
    controls = live and CONTROLS or "",
    every = tostring(EVERY),
    summary = summary,
    made = made_text(options),
    heads = heads(),
    rows = rows,
    script = live and "<script>" .. script.text .. "</script>\n" or "",
  }
  return (PAGE:gsub("%${([%w_]+)}", values))
end

return status
