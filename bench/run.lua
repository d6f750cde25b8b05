-- What a guarded call costs beside a bare easy handle: interleaved rounds, medians, their ratio. A
-- row of the floor against itself shows the noise of the machine.
-- Usage: run.lua EASY INTERPRETER [ROUNDS [CALLS]]
local nginx = require "spec.support.nginx"

local easy, interpreter = arg[1], arg[2]
local rounds, calls = tonumber(arg[3] or 5), tonumber(arg[4] or 5000)

local upstream = nginx.start{
  conf = [[location / { default_type application/json; return 200 '{"rates":{"EUR":1.08}}'; }]],
}

local subjects = {
  { name = "bare easy handle", command = easy },
  { name = "bare easy handle again", command = easy },
  { name = "neap, every policy", command = interpreter .. " bench/calls.lua" },
}

local function measure(subject)
  local pipe = assert(io.popen(("%s %s %d"):format(subject.command, upstream.url .. "/", calls)))
  local cpu, wall = pipe:read("*n", "*n")
  pipe:close()
  assert(cpu and wall, subject.name .. " failed")
  subject.cpu[#subject.cpu + 1] = cpu / calls * 1e6
  subject.wall[#subject.wall + 1] = wall / calls * 1e6
end

local function median(values)
  table.sort(values)
  return values[math.floor((#values + 1) / 2)]
end

for _, subject in ipairs(subjects) do
  subject.cpu, subject.wall = {}, {}
end
for round = 1, rounds do
  for i = 1, #subjects do
    measure(subjects[round % 2 == 0 and #subjects + 1 - i or i])
  end
end
upstream:stop()

print(("%-24s %12s %12s %10s %10s"):format("one call at a time", "CPU us", "wall us", "CPU x",
  "wall x"))
local floor_cpu, floor_wall = median(subjects[1].cpu), median(subjects[1].wall)
for _, subject in ipairs(subjects) do
  local cpu, wall = median(subject.cpu), median(subject.wall)
  print(("%-24s %12.1f %12.1f %10.2f %10.2f"):format(subject.name, cpu, wall, cpu / floor_cpu,
    wall / floor_wall))
end
