--- Holds what was seen against what must hold, and prints a table of it.
local verdict = {}

local ROOMS = { require "spec.soak.checks.calls", require "spec.soak.checks.counters",
  require "spec.soak.checks.once", require "spec.soak.checks.resources" }
local EXAMPLES = 10
local REPEATED = 3

local function run_check(check, evidence)
  local problems = {}
  local function tell(...)
    problems[#problems + 1] = string.format(...)
  end
  local figure, bound = check[2](evidence, tell)
  return { name = check[1], figure = figure, bound = bound, problems = problems }
end

--- What each check has seen: { name, figure, bound, problems }.
---@return table[]
function verdict.judge(evidence)
  local results = {}
  for _, room in ipairs(ROOMS) do
    for _, check in ipairs(room) do
      results[#results + 1] = run_check(check, evidence)
    end
  end
  return results
end

local function tell_problems(result, most, print)
  for index, problem in ipairs(result.problems) do
    if index <= most then
      print("       - " .. problem)
    end
  end
  if #result.problems > most then
    print(("       - and %d more"):format(#result.problems - most))
  end
end

-- Of a long log often only that is seen which .ci/failures.awk repeats: a few lines behind these.
local function tell_failure(result, print)
  print(("[check] FAIL soak: %s: seen %s, allowed %s"):format(result.name, result.figure,
    result.bound))
  tell_problems(result, REPEATED, print)
end

--- Prints the table, and once more what does not hold; true if all does.
---@param evidence table
---@param print? fun(line: string) where to
---@return boolean
function verdict.report(evidence, print)
  print = print or _G.print
  local failed = {}
  print(("%-4s  %-37s %-48s %s"):format("", "what", "seen", "allowed"))
  for _, result in ipairs(verdict.judge(evidence)) do
    local word = #result.problems == 0 and "ok" or "FAIL"
    print(("%-4s  %-37s %-48s %s"):format(word, result.name, result.figure, result.bound))
    tell_problems(result, EXAMPLES, print)
    failed[#failed + 1] = #result.problems > 0 and result or nil
  end
  for _, result in ipairs(failed) do
    tell_failure(result, print)
  end
  return #failed == 0
end

return verdict
