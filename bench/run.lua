-- The bench: measures each row in interleaved rounds and prints medians, ranges, ratios and how
-- they stand to the targets; text and picture are left below $BUILD/bench, and with KEEP=yes in
-- docs. docs/bench.md says how to read it.
-- Usage: run.lua full|quick [ROW...]      (calls, functions, ...: all of them by default)
local chart = require "bench.harness.chart"
local page = require "bench.harness.page"
local process = require "spec.support.process"
local report = require "bench.harness.report"
local rounds = require "bench.harness.rounds"
local verdict = require "bench.harness.verdict"
local worlds = require "bench.harness.world"

local ROWS = { "calls", "functions", "decisions", "memory", "growth", "gateway" }

local kind, names = arg[1], { table.unpack(arg, 2) }
local said, measured, verdicts = {}, {}, {}

local function say(text)
  said[#said + 1] = text .. "\n"
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

local function measure(world, comparison)
  if comparison.upstream_core then
    world:upstream(comparison.upstream_core)
  end
  local results = rounds.run(comparison.subjects, world.rounds)
  for _, target in ipairs(comparison.targets or {}) do
    table.insert(verdicts, verdict.of(target, results))
  end
  table.insert(measured, { title = comparison.title, results = results })
  say(report.comparison(comparison, results))
end

-- By row; those of one row in the order in which they were measured.
local function sort_verdicts()
  for i, judged in ipairs(verdicts) do
    judged.place = i
  end
  table.sort(verdicts, function(a, b)
    return a.row < b.row or a.row == b.row and a.place < b.place
  end)
end

local function bench(world)
  say(("%d interleaved rounds each; ratios of medians to the first row\n"):format(world.rounds))
  for _, name in ipairs(#names > 0 and names or ROWS) do
    for _, comparison in ipairs(require("bench.rows." .. name)(world)) do
      measure(world, comparison)
    end
  end
  sort_verdicts()
  say(report.targets(verdicts))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function keep(world)
  if #names > 0 then
    error("KEEP=yes wants all rows", 0)
  end
  local how = ("Measured by `make bench%s`, in %d rounds."):format(world.quick and "-quick" or "",
    world.rounds)
  local document = assert(process.read_file "docs/bench.md")
  write("docs/bench.md", page.with_results(document, page.results(how, verdicts, measured)))
  write("docs/bench.svg", chart.svg(verdicts))
end

local function main(world)
  bench(world)
  write(world.build .. "/bench/results.txt", table.concat(said))
  write(world.build .. "/bench/bench.svg", chart.svg(verdicts))
  if os.getenv("KEEP") == "yes" then
    keep(world)
  end
end

local world = worlds.new(kind)
local ended_well, message = xpcall(main, function(err)
  return type(err) == "string" and err:find("^[^\n]+failed:") and err or debug.traceback(err)
end, world)
world:close()
if not ended_well then
  io.stderr:write("bench: ", tostring(message), "\n")
  os.exit(1)
end
