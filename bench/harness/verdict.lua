--- Whether a target was reached.

local statistics = require "bench.harness.statistics"

local verdict = {}

--- A row of this name after that of the floor is the floor once more.
verdict.AGAIN = ", again"

local function look(results, name)
  for _, result in ipairs(results) do
    if result.name == name then
      return result
    end
  end
end

local function find(results, name)
  return look(results, name)
    or error(("a target names %q, which is not among the subjects"):format(name))
end

-- How far two rows of the same are from each other; nil where there is only one.
local function noise_of(target, results)
  local name = target.against or target.subject
  local again, floor = look(results, name .. verdict.AGAIN), look(results, name)
  if not again or again.skip then
    return nil
  end
  local ratio = statistics.ratio(again.values[target.measure], floor.values[target.measure])
  return math.abs(math.log(ratio))
end

local function ratio_of(pair, measure, results)
  local subject, floor = find(results, pair.subject), find(results, pair.against)
  if subject.skip or floor.skip then
    return nil, subject.skip or floor.skip
  end
  return statistics.ratio(subject.values[measure], floor.values[measure])
end

local function value_of(target, results)
  if not target.against then
    local subject = find(results, target.subject)
    if subject.skip then
      return nil, subject.skip
    end
    return statistics.median(subject.values[target.measure]) / (target.scale or 1)
  end
  local ratio, skip = ratio_of(target, target.measure, results)
  local beside = target.beside and ratio_of(target.beside, target.measure, results) or 1
  return ratio and ratio / beside, skip
end

--- A target: `row` of the list in docs/bench.md, `what` in words, the names of the `subject` and of
--- what it stands `against` (none: the value itself counts, in units of `scale`, which are called
--- `unit`), the `measure`, and `at_least` or `at_most`. `beside`, another pair of `subject` and
--- `against`, has its ratio taken out: what nobody can help.
---@param target table
---@param results table[] of rounds.run
--- `noise` is how far the floor was from itself: 0.1 is some 10 %.
---@return table { row, what, bound, limit, unit, rising, measured, met, noise } or with `skip`
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
  judged.noise = noise_of(target, results)
  if target.at_least then
    judged.met = measured >= target.at_least
  else
    judged.met = measured <= target.at_most
  end
  return judged
end

return verdict
