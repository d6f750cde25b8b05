--- Whether a target was reached.

local statistics = require "bench.harness.statistics"

local verdict = {}

local function find(results, name)
  for _, result in ipairs(results) do
    if result.name == name then
      return result
    end
  end
  error(("a target names %q, which is not among the subjects"):format(name))
end

local function value_of(target, results)
  local subject = find(results, target.subject)
  if subject.skip then
    return nil, subject.skip
  end
  local values = subject.values[target.measure]
  if not target.against then
    return statistics.median(values) / (target.scale or 1)
  end
  local floor = find(results, target.against)
  if floor.skip then
    return nil, floor.skip
  end
  return statistics.ratio(values, floor.values[target.measure])
end

--- A target: `row` of the list in docs/bench.md, `what` in words, the names of the `subject` and of
--- what it stands `against` (none: the value itself counts, in units of `scale`, which are called
--- `unit`), the `measure`, and `at_least` or `at_most`.
---@param target table
---@param results table[] of rounds.run
---@return table { row, what, bound, measured, met } or { row, what, bound, skip }
function verdict.of(target, results)
  local measured, skip = value_of(target, results)
  local judged = {
    row = target.row,
    what = target.what,
    bound = (target.at_least and "at least %g" or "at most %g"):format(
      target.at_least or target.at_most),
    limit = target.at_least or target.at_most,
    unit = target.unit or "",
    rising = target.at_least ~= nil,
  }
  if not measured then
    judged.skip = skip
    return judged
  end
  judged.measured = measured
  if target.at_least then
    judged.met = measured >= target.at_least
  else
    judged.met = measured <= target.at_most
  end
  return judged
end

return verdict
