-- The bench: measures each row in interleaved rounds and prints medians, ranges, ratios and how
-- they stand to the targets.
-- Usage: run.lua full|quick [ROW...]      (calls, functions, …: all of them by default)
local report = require "bench.harness.report"
local rounds = require "bench.harness.rounds"
local verdict = require "bench.harness.verdict"
local worlds = require "bench.harness.world"

local ROWS = { "calls", "functions", "decisions", "memory", "growth", "gateway" }

local function chosen(words)
  return #words > 0 and words or ROWS
end

local function say(text)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

local function measured(world, comparison, verdicts)
  if comparison.upstream_core then
    world:upstream(comparison.upstream_core)
  end
  local results = rounds.run(comparison.subjects, world.rounds)
  for _, target in ipairs(comparison.targets or {}) do
    table.insert(verdicts, verdict.of(target, results))
  end
  say(report.comparison(comparison, results))
end

local function bench(world, names)
  local verdicts = {}
  say(("%d interleaved rounds each; ratios of medians to the first row\n"):format(world.rounds))
  for _, name in ipairs(names) do
    for _, comparison in ipairs(require("bench.rows." .. name)(world)) do
      measured(world, comparison, verdicts)
    end
  end
  table.sort(verdicts, function(a, b)
    return a.row < b.row
  end)
  say(report.targets(verdicts))
end

local world = worlds.new(arg[1])
local ended_well, message = xpcall(bench, debug.traceback, world, chosen{ table.unpack(arg, 2) })
world:close()
if not ended_well then
  io.stderr:write("bench: ", tostring(message), "\n")
  os.exit(1)
end
