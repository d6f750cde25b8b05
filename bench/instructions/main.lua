-- Counts the instructions of some calls, and compares them with the kept file, or writes it.
-- Usage: main.lua check|write
local callgrind = require "bench.instructions.callgrind"
local ledger = require "bench.instructions.ledger"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local FILE = "bench/instructions/counts.txt"
local BUILD = os.getenv("BUILD") or "build"
local SECONDS = 60 -- for one workload

-- How often each is called. The upstream waits a little before it answers, so that a call always
-- has to wait for the answer, and always the same way.
local PATH = "/status/200?after=0.004"
local WORKLOADS = {
  { name = "success", times = 10000 },
  { name = "failing", times = 6000 },
  { name = "refused", times = 6000 },
  { name = "http", times = 300 },
  { name = "run", times = 300, kind = "http", way = "run" },
}

-- Each interpreter hashes its strings in another way: how often the keys of a table collide is the
-- luck of the process, and so, on LuaJIT, is what it compiles. The lowest of some counts is always
-- about the same.
local COUNTS_TO_KEEP = 8
local TRIES = 16 -- until one is not slower

local function exists(path)
  local file = io.open(path, "r")
  if file then
    file:close()
  end
  return file ~= nil
end

-- Begins to count; the answer is to be waited for.
local function started(variant, workload, url, directory)
  local profile = ("%s/%s.%s"):format(directory, variant, workload.name)
  local command = ("timeout -k 2 %d valgrind --tool=callgrind --trace-children=yes "
    .. "--toggle-collect=bench_counted --callgrind-out-file=%s %s/%s/lua "
    .. "bench/instructions/workload.lua %s %d %s %s 2>&1"):format(SECONDS,
    process.quoted(profile), BUILD, variant, workload.kind or workload.name, workload.times,
    process.quoted(url), workload.way or "")
  return {
    name = variant .. " " .. workload.name,
    times = workload.times,
    profile = profile,
    pipe = assert(io.popen(command)),
  }
end

local function ended(run)
  local output = run.pipe:read("*a")
  local ended_well = run.pipe:close()
  local profile = process.read_file(run.profile)
  if not ended_well or not profile then
    error(("%s failed:\n%s"):format(run.name, output), 0)
  end
  return { name = run.name, count = math.floor(callgrind.own(profile) / run.times + 0.5) }
end

-- Two at a time: on most machines there are two cores.
local function counted(runs, url, directory)
  local counts, pending = {}, nil
  for _, run in ipairs(runs) do
    local next_one = started(run[1], run[2], url, directory)
    counts[#counts + 1] = pending and ended(pending)
    pending = next_one
  end
  counts[#counts + 1] = pending and ended(pending)
  return counts
end

local function all_runs()
  local runs = {}
  for _, variant in ipairs{ "lua5.4", "luajit" } do
    if exists(("%s/%s/neap/core.so"):format(BUILD, variant)) then
      for _, workload in ipairs(WORKLOADS) do
        runs[#runs + 1] = { variant, workload }
      end
    end
  end
  return runs
end

local HINTS = {
  slower = "SLOWER; if it stays so: mend it, or say in the change why and run `make instructions`",
  faster = "faster: `make instructions` keeps that",
  new = "not kept yet: run `make instructions`",
  same = "",
}

local function show(before, entry)
  local change = before and ("%+.1f %%"):format((entry.count / before - 1) * 100) or ""
  print(("%-16s %8s -> %8d %9s  %s"):format(entry.name, before or "-", entry.count, change,
    HINTS[ledger.judge(before, entry.count)]))
end

local function slower_ones(runs, kept, url, directory)
  local slower = {}
  for i, entry in ipairs(counted(runs, url, directory)) do
    show(kept[entry.name], entry)
    if ledger.judge(kept[entry.name], entry.count) == "slower" then
      slower[#slower + 1] = runs[i]
    end
  end
  return slower
end

local function check(url, directory)
  local kept, runs = ledger.parsed(process.read_file(FILE) or ""), all_runs()
  for _ = 1, TRIES do
    runs = slower_ones(runs, kept, url, directory)
  end
  if #runs > 0 then
    error("a call takes more instructions than 5 % above what is kept in " .. FILE, 0)
  end
end

local function write(url, directory)
  local kept, runs = ledger.parsed(process.read_file(FILE) or ""), all_runs()
  local lowest = counted(runs, url, directory)
  for _ = 2, COUNTS_TO_KEEP do
    for i, entry in ipairs(counted(runs, url, directory)) do
      lowest[i].count = math.min(lowest[i].count, entry.count)
    end
  end
  for _, entry in ipairs(lowest) do
    show(kept[entry.name], entry)
  end
  local file = assert(io.open(FILE, "w"))
  file:write(ledger.text(lowest))
  file:close()
end

local function main(action)
  local server, directory = servers.start(), process.temporary_directory()
  local well, message = pcall(action, server.url .. PATH, directory)
  server:stop()
  os.execute("rm -rf " .. process.quoted(directory))
  if not well then
    io.stderr:write(tostring(message), "\n")
    os.exit(1)
  end
end

main(arg[1] == "write" and write or check)
