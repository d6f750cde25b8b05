--- The background of an engine: one more loop of the scheduler, whose tasks belong to no run.
--- Nobody waits for it; it goes on whenever somebody turns the engine.
local core = require "neap.core"
local scheduler = require "neap.scheduler"
local tasks = require "neap.tasks"
local waiting = require "neap.waiting"

local background = {}

local running = tasks.running

-- Those that have tasks, by their engines; held by what the engine keeps.
local of_engine = setmetatable({}, { __mode = "kv" })

--- The engines that have a background, as keys.
background.of_engine = of_engine

local function note(engine, loop)
  of_engine[engine] = loop
  engine:have_background(loop ~= nil)
end

-- What a fork left of the parent's is given up: the child has no part in it.
local function forsake(engine, loop)
  note(engine, nil)
  engine:kept().background = nil
  scheduler.abandon(loop)
  loop.tasks, loop.first, loop.last = {}, false, false
  collectgarbage() -- also calls that nobody but their coroutines knew of
end

--- In a forked child: gives up what the parent had in the background of the engine. True if there
--- was anything.
---@param engine userdata
---@return boolean
function background.forsake(engine)
  local loop = engine:is_inherited() and of_engine[engine]
  if not loop or loop.process == core.process_id() then
    return false
  end
  forsake(engine, loop)
  return true
end

--- Resumes the tasks that are ready. True if there was anything to go on with.
---@param engine userdata
---@return boolean
function background.resume(engine)
  local loop = of_engine[engine]
  if not loop then
    return false
  end
  if loop.process ~= core.process_id() then
    forsake(engine, loop)
    return false
  end
  local found = scheduler.has_ready(loop)
  scheduler.resume_all_ready(loop)
  if loop.live == 0 then
    note(engine, nil)
  end
  return found
end

-- Of what fails in the background nobody is told.
local function forget_failure() end

local function loop_of(engine)
  local kept = engine:kept()
  local loop = kept.background
  if loop and loop.process ~= core.process_id() then
    forsake(engine, loop)
    loop = nil
  end
  if not loop then
    loop = scheduler.new(engine, forget_failure)
    loop.process = core.process_id()
    kept.background = loop
  end
  return loop
end

--- Begins fn in the engine's background, at once.
---@param engine userdata
---@param fn function
function background.begin(engine, fn)
  local loop = loop_of(engine)
  scheduler.spawn(loop, fn)
  note(engine, loop)
  background.resume(engine)
  if not running.task then
    engine:poll() -- what it sends goes out, whenever the engine is turned next
  end
end

--- Outside of all runs, where the engine has been turned: what has become ready in its background
--- goes on. True if there was anything.
---@param engine userdata
---@return boolean
function background.go_on(engine)
  local loop = not running.task and of_engine[engine]
  if not loop then
    return false
  end
  waiting.wake_ready(engine, loop.waiting)
  return background.resume(engine)
end

-- A task that sleeps for no time, again and again, must not hold up the end of a run.
local MOST_ROUNDS = 100

--- Outside of all runs: does what is due now in the background, without waiting.
---@param engine userdata
function background.settle(engine)
  local rounds, did = 0, true
  while did and rounds < MOST_ROUNDS and of_engine[engine] and not running.task do
    did = engine:poll()
    did = background.go_on(engine) or did
    rounds = rounds + 1
  end
end

local Blocked = {}
Blocked.__index = Blocked

function Blocked:wake()
  self.ready = true
end

--- Outside of all runs, before the thread blocks for the waiter (a call or a sleeper): turns the
--- engine until it is ready, with the background going on meanwhile, for as long as there is any.
---@param engine userdata
---@param waiter userdata
function background.block(engine, waiter)
  local list, id = waiting.on(engine), waiter:id()
  local blocked = setmetatable({}, Blocked)
  list[id] = blocked
  repeat
    background.go_on(engine)
  until blocked.ready or running.task or not of_engine[engine] or not engine:turn()
  list[id] = nil
end

return background
