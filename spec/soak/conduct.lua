--- Conducts the soak: when workers are killed and nginx reloads, and what is seen of all processes
--- meanwhile, once a second.
--
-- Three parts: unrest, with kills and reloads; a calm, in which workers live long enough for a leak
-- to show, while the load and the upstream's faults go on; and quiet, when the load is over.
local farm = require "spec.support.farm"
local socket = require "socket"

local dice = require "spec.soak.dice"
local processes = require "spec.soak.processes"

local conduct = {}

local UNREST = 0.5 -- share of the load's time
local SETTLED = 0.6 -- from this share on workers are no longer young
local LONGEST_GOODBYE = 20 -- seconds after which a worker that is shutting down stays for ever

-- What is left after a whole collection, without what the first one has finalized; and without the
-- traces of the compiler, which takes minutes to see all of the code.
local HEAP = "collectgarbage() collectgarbage() return collectgarbage('count')"
local BARE_HEAP = "jit.flush() " .. HEAP

-- That, and what is in use of malloc's, of all its arenas and of its larger pieces.
local USED = [[
  local ffi = require "ffi"
  pcall(ffi.cdef, "struct neap_mallinfo { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks,"
    .. "fsmblks, uordblks, fordblks, keepcost; }; struct neap_mallinfo mallinfo2(void);")
  collectgarbage() collectgarbage()
  local info = ffi.C.mallinfo2()
  return { heap = collectgarbage "count", malloc = tonumber(info.uordblks + info.hblkhd) / 1024 }
]]

local function clamp(value, low, high)
  return math.max(low, math.min(high, value))
end

-- A random time around that many seconds.
local function around(roll, seconds)
  return seconds * (50 + roll(100)) / 100
end

local function kill_one(state)
  local workers = state.world.nginx:workers(true)
  if #workers == 0 then
    return
  end
  local pid = workers[state.roll(#workers)]
  local before = socket.gettime()
  processes.signal("KILL", pid)
  table.insert(state.seen.kills, { pid = pid, before = before, after = socket.gettime() })
end

local function reload(state)
  state.world.nginx:signal("HUP")
  state.seen.reloads = state.seen.reloads + 1
end

local function append(series, key, time, value)
  series[key] = series[key] or {}
  table.insert(series[key], { time, value })
end

local KEYS = { "pss_kb", "rss_kb", "descriptors", "threads" }

local function add_look(state, name, look, time)
  for _, key in ipairs(KEYS) do
    append(state.seen.series, name .. " " .. key, time, look[key])
  end
end

local function note_age(state, time, workers)
  local leaving, is_working = {}, {}
  for _, pid in ipairs(state.world.nginx:workers()) do
    is_working[pid] = true
  end
  for _, pid in ipairs(workers) do
    if not is_working[pid] then
      leaving[pid] = state.leaving[pid] or time
      if time - leaving[pid] > LONGEST_GOODBYE then
        state.seen.stuck[pid] = time - leaving[pid]
      end
    end
  end
  state.leaving = leaving
end

-- A dead process that was there a sample ago, too, is one that nobody buries.
local function note_zombies(state, zombies)
  local now = {}
  for _, pid in ipairs(zombies) do
    now[pid] = (state.zombies[pid] or 0) + 1
    state.seen.zombies = math.max(state.seen.zombies, now[pid] > 2 and now[pid] or 0)
  end
  state.zombies = now
end

-- Of nginx as a whole only where it has as many workers as it should, and no others.
local function sample_nginx(state, time)
  local nginx = state.world.nginx
  local workers, zombies = processes.children(nginx.pid)
  local master = processes.look(nginx.pid)
  local sum, count = master and master.pss_kb or 0, 0
  for _, pid in ipairs(workers) do
    local look = processes.look(pid)
    if look then
      add_look(state, "worker " .. pid, look, time)
      sum, count = sum + look.pss_kb, count + 1
    end
  end
  if master then
    add_look(state, "master", master, time)
  end
  if count == #workers and count == state.worker_count then
    append(state.seen.series, "nginx pss_kb", time, sum)
  end
  note_age(state, time, workers)
  note_zombies(state, zombies)
end

local function sample(state)
  local time = socket.gettime() - state.began
  sample_nginx(state, time)
  for name, program in pairs(state.world.programs) do
    local look = name ~= "load" and processes.look(program.pid)
    if look and time < state.world.seconds then
      add_look(state, name, look, time)
    end
  end
  if time > state.seen.calm_from then
    local used, pid = state.world.nginx:run(USED)
    append(state.seen.series, ("worker %d heap_kb"):format(pid), time, used.heap)
    append(state.seen.series, ("worker %d malloc_kb"):format(pid), time, used.malloc)
  end
end

-- Those that will live until the end open what they open once.
local function begin_calm(state)
  for _, talks in ipairs((state.world.nginx:each_worker())) do
    state.world:order(talks[1], 0)
    talks[1]:close()
  end
end

--- How large Lua's heap is in each worker, without traces: by the workers' numbers.
function conduct.bare_heaps(world)
  local heaps = {}
  for _, talks in ipairs((world.nginx:each_worker())) do
    local kb, pid = talks[1]:run(BARE_HEAP)
    heaps[tostring(pid)] = kb
    talks[1]:close()
  end
  return heaps
end

local function note_heaps(state)
  state.seen.bare_heaps = conduct.bare_heaps(state.world)
end

local function never()
  return math.huge
end

local function schedule(state)
  local seconds, roll = state.world.seconds, state.roll
  return {
    { at = 1, every = function() return 1 end, run = sample },
    { at = seconds * 0.05, every = function() return around(roll, clamp(seconds / 60, 1.5, 5)) end,
      run = kill_one, is_unrest = true },
    { at = seconds * 0.1, every = function() return around(roll, clamp(seconds / 20, 3, 13)) end,
      run = reload, is_unrest = true },
    { at = state.seen.calm_from + 1, every = never, run = begin_calm },
    { at = seconds * SETTLED + 1, every = never, run = note_heaps },
  }
end

local function run_due(state, events, time)
  for _, event in ipairs(events) do
    local is_due = time >= event.at
    if is_due and not (event.is_unrest and time > state.seen.calm_from) then
      event.run(state)
      event.at = math.max(time, event.at) + event.every()
    end
  end
end

--- Runs until the load is over; what was seen.
---@return table { kills, reloads, series, zombies, stuck, calm_from, worker_count }
function conduct.run(world, worker_count)
  local state = { world = world, roll = dice.new(world.seed, 4), began = socket.gettime(),
    zombies = {}, leaving = {}, worker_count = worker_count,
    seen = { kills = {}, reloads = 0, series = {}, zombies = 0, stuck = {},
      calm_from = world.seconds * UNREST } }
  local events = schedule(state)
  while farm.lives(world.programs.load.pid) do
    run_due(state, events, socket.gettime() - state.began)
    socket.sleep(0.02)
  end
  return state.seen
end

--- { descriptors, threads, kinds } of each worker at rest, the most of them.
function conduct.at_rest(world)
  local most = { descriptors = 0, threads = 0 }
  for _, pid in ipairs(world.nginx:workers(true)) do
    local look = processes.look(pid) or most
    if look.descriptors > most.descriptors then
      most.descriptors, most.kinds = look.descriptors, processes.kinds_of_descriptors(pid)
    end
    most.threads = math.max(most.threads, look.threads)
  end
  return most
end

return conduct
