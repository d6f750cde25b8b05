--- The targets as a small SVG: for each a bar that shows how far it was reached.

local chart = {}

local ROW, LABEL, BAR, VALUE = 20, 430, 240, 150
-- A bar ends where something is this many times better than its target.
local MOST = 2

local STYLE = [[
<style>
text { font: 12px sans-serif; fill: #222 }
.met { fill: #2e8b57 }
.missed { fill: #d2691e }
.skipped { fill: #888 }
.line { stroke: #222; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd }
  .line { stroke: #ddd }
}
</style>]]

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escaped(text)
  return (text:gsub('[&<>"]', ENTITIES))
end

--- How far a target was reached: 1 is reached, 2 twice as good, 0.5 half as good.
---@param judged table of verdict.of
---@return number
function chart.reached(judged)
  if judged.rising then
    return judged.measured / judged.limit
  end
  return judged.measured > 0 and judged.limit / judged.measured or MOST
end

local function text(x, y, words, anchor)
  return ('<text x="%d" y="%d"%s>%s</text>'):format(x, y,
    anchor and (' text-anchor="%s"'):format(anchor) or "", escaped(words))
end

local function row(judged, top)
  local label = text(LABEL, top + 14, ("%d  %s"):format(judged.row, judged.what), "end")
  if judged.skip then
    return label .. text(LABEL + 8, top + 14, "skipped")
  end
  local width = math.min(chart.reached(judged), MOST) / MOST * BAR
  local bar = ('<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>'):format(
    judged.met and "met" or "missed", LABEL + 8, top + 3, width, ROW - 6)
  return label .. bar .. text(LABEL + 16 + BAR, top + 14, ("%.3g%s (%s%s)"):format(judged.measured,
    judged.unit, judged.bound, judged.unit))
end

--- The whole picture.
---@param verdicts table[] of verdict.of
---@return string svg
function chart.svg(verdicts)
  local width, height = LABEL + BAR + VALUE + 24, ROW * (#verdicts + 1) + 8
  local target = LABEL + 8 + BAR / MOST
  local parts = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">'):format(width,
      height),
    "<title>Targets of neap's bench, and how far each was reached</title>",
    STYLE,
    text(target, 14, "target", "middle"),
  }
  for i, judged in ipairs(verdicts) do
    parts[#parts + 1] = row(judged, i * ROW)
  end
  parts[#parts + 1] = ('<line class="line" x1="%d" y1="%d" x2="%d" y2="%d"/>'):format(target, ROW,
    target, height - 4)
  parts[#parts + 1] = "</svg>"
  return table.concat(parts, "\n") .. "\n"
end

return chart
