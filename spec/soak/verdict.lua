--- Holds what was seen against what must hold, and prints a table of it.
local verdict = {}

local ROOMS = { require "spec.soak.checks.calls", require "spec.soak.checks.counters",
  require "spec.soak.checks.once", require "spec.soak.checks.resources" }
local EXAMPLES = 10

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

local function print_problems(result)
  for index, problem in ipairs(result.problems) do
    if index <= EXAMPLES then
      print("       - " .. problem)
    end
  end
  if #result.problems > EXAMPLES then
    print(("       - and %d more"):format(#result.problems - EXAMPLES))
  end
end

--- Prints the table; true if all holds.
---@return boolean
function verdict.report(evidence)
  local held = true
  print(("%-4s  %-37s %-48s %s"):format("", "what", "seen", "allowed"))
  for _, result in ipairs(verdict.judge(evidence)) do
    local word = #result.problems == 0 and "ok" or "FAIL"
    print(("%-4s  %-37s %-48s %s"):format(word, result.name, result.figure, result.bound))
    print_problems(result)
    held = held and #result.problems == 0
  end
  return held
end

return verdict
