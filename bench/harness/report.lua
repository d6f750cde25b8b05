--- What was measured, as text.

local statistics = require "bench.harness.statistics"

local report = {}

-- The columns, in their order: name of the value, heading, format.
local COLUMNS = {
  { "rate", "calls a second", "%.0f" },
  { "cpu", "CPU a call, us", "%.1f" },
  { "p99", "p99, us", "%.0f" },
  { "peak", "peak, KB", "%.0f" },
  { "ns", "ns", "%.1f" },
  { "bytes", "bytes", "%.0f" },
}

local NAME_WIDTH, VALUE_WIDTH = 46, 30

local function cell(format, values, floor)
  if not values then
    return (" "):rep(VALUE_WIDTH)
  end
  local least, most = statistics.range(values)
  local ratio = floor and statistics.ratio(values, floor)
  return ("%9s %-14s %5s"):format(format:format(statistics.median(values)),
    ("%s-%s"):format(format:format(least), format:format(most)),
    ratio and ("%.2f"):format(ratio) or "")
end

local function columns_of(results)
  local columns = {}
  for _, column in ipairs(COLUMNS) do
    for _, result in ipairs(results) do
      if result.values[column[1]] then
        columns[#columns + 1] = column
        break
      end
    end
  end
  return columns
end

local function line_of(result, columns, floor)
  if result.skip then
    return ("  %-" .. NAME_WIDTH .. "s skipped: %s"):format(result.name, result.skip)
  end
  local cells = {}
  for i, column in ipairs(columns) do
    cells[i] = cell(column[3], result.values[column[1]], floor.values[column[1]])
  end
  return ("  %-" .. NAME_WIDTH .. "s%s"):format(result.name, table.concat(cells, " "))
end

--- One comparison: a line for each subject with median, range, and ratio to the first one.
---@param comparison { title: string }
---@param results table[] of rounds.run
---@return string
function report.comparison(comparison, results)
  local columns = columns_of(results)
  local heading = ("%-" .. (NAME_WIDTH + 2) .. "s"):format("")
  for _, column in ipairs(columns) do
    heading = heading .. ("%9s %-20s "):format("median", "range, ratio: " .. column[2])
  end
  local lines = { "== " .. comparison.title, (heading:gsub("%s+$", "")) }
  for _, result in ipairs(results) do
    lines[#lines + 1] = (line_of(result, columns, results[1]):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function state_of(judged)
  if judged.skip then
    return "skipped: " .. judged.skip
  end
  local noise = judged.noise and ("  noise %.0f %%"):format(judged.noise * 100) or ""
  return ("%8.3g%s  %-7s%s"):format(judged.measured, judged.unit, judged.met and "met" or "NOT MET",
    noise)
end

--- The targets, each with what was measured and whether it was met.
---@param verdicts table[] of verdict.of
---@return string
function report.targets(verdicts)
  local lines = { "== targets" }
  for _, judged in ipairs(verdicts) do
    lines[#lines + 1] = ("  %2d  %-68s %-14s %s"):format(judged.row, judged.what, judged.bound
      .. judged.unit, state_of(judged))
  end
  return table.concat(lines, "\n") .. "\n"
end

return report
