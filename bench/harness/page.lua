--- The results as they stand in docs/bench.md: ratios only.

local statistics = require "bench.harness.statistics"

local page = {}

local BEGIN, END = "<!-- results: written by `make bench KEEP=yes` -->", "<!-- end of results -->"

local unpack = table.unpack or unpack -- luacheck: ignore 143

local MEASURES = { { "rate", "calls a second" }, { "cpu", "CPU a call" }, { "p99", "p99" },
  { "peak", "peak of memory" }, { "ns", "time" }, { "bytes", "memory" } }

local function line(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

local function state_of(judged)
  if judged.skip then
    return "skipped"
  end
  return judged.met and "met" or "not met"
end

local function targets(verdicts)
  local lines = {
    line{ "row", "what", "target", "measured", "", "noise" }, "|---|---|---|---|---|---|",
  }
  for _, judged in ipairs(verdicts) do
    lines[#lines + 1] = line{
      tostring(judged.row), judged.what, judged.bound .. judged.unit,
      judged.measured and ("%.3g%s"):format(judged.measured, judged.unit) or "–", state_of(judged),
      judged.noise and ("%.0f %%"):format(judged.noise * 100) or "–",
    }
  end
  return lines
end

local function measures_of(results)
  local found = {}
  for _, measure in ipairs(MEASURES) do
    if results[1].values[measure[1]] then
      found[#found + 1] = measure
    end
  end
  return found
end

local function comparison(title, results)
  local measures = measures_of(results)
  local heading, rule = { title }, "|---"
  for i, measure in ipairs(measures) do
    heading[i + 1], rule = measure[2], rule .. "|---"
  end
  local lines = { "", line(heading), rule .. "|" }
  for _, result in ipairs(results) do
    local cells = { result.name }
    for i, measure in ipairs(measures) do
      local values = result.values[measure[1]]
      local ratio = values and statistics.ratio(values, results[1].values[measure[1]])
      cells[i + 1] = ratio and ("%.2f"):format(ratio) or "–"
    end
    lines[#lines + 1] = not result.skip and line(cells) or nil
  end
  return lines
end

-- A floor that was skipped leaves nothing to stand against.
local function has_floor(results)
  return results[1] and not results[1].skip
end

--- The section of results. `how` says in words how they were measured.
---@param how string
---@param verdicts table[]
---@param measured { title: string, results: table[] }[]
---@return string
function page.results(how, verdicts, measured)
  local lines = { how, "", unpack(targets(verdicts)) }
  for _, entry in ipairs(measured) do
    if has_floor(entry.results) then
      for _, written in ipairs(comparison(entry.title, entry.results)) do
        lines[#lines + 1] = written
      end
    end
  end
  return table.concat(lines, "\n")
end

--- A document with another section of results.
---@param document string
---@param results string
---@return string
function page.with_results(document, results)
  local first, begin_end = document:find(BEGIN, 1, true)
  local last = document:find(END, 1, true)
  assert(first and last, "the document has no place for results")
  return ("%s\n\n%s\n\n%s"):format(document:sub(1, begin_end), results, document:sub(last))
end

return page
