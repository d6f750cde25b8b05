--- Hosts: who waits while a call waits.
--
-- Plain Lua blocks; inside `neap.run`, and inside a testing kit, the task yields to neap's own loop
-- (lua/neap/run.lua). On a loop that is not ours, which nginx brings along and the modules
-- neap.loop.luv and neap.loop.cqueues put in place, the coroutine is parked (lua/neap/parking.lua).
local background = require "neap.background"
local compat = require "neap.compat"
local core = require "neap.core"
local parking = require "neap.parking"
local run = require "neap.run"
local scheduler = require "neap.scheduler"
local tasks = require "neap.tasks"
local waiting = require "neap.waiting"

local host = {}

-- The loop that is not ours, and the engine of ordinary clients, made at first use. A forked child
-- goes on with it where it can, since clients that were made before the fork belong to it.
local loop
local default_engine

-- Who was dropped while it waited is known to be gone only when it has been collected.
local function is_anybody_waiting()
  local list = default_engine and waiting.on(default_engine)
  if list and next(list) then
    collectgarbage()
  end
  return list and (next(list) ~= nil or default_engine:is_awaited())
end

local function check_replaceable()
  if loop.needs_helper then
    error("neap waits on the loop of nginx here, and can use no other", 0)
  end
  if is_anybody_waiting() then
    error("neap cannot change its loop while calls are waiting on another one", 0)
  end
end

--- Puts a loop in place; see lua/neap/parking.lua for what it is. Raises where that cannot be.
function host.use(new_loop)
  if new_loop == loop then
    return
  end
  if loop then
    check_replaceable()
  end
  loop = new_loop
  scheduler.leave()
  if default_engine and loop.needs_helper then
    default_engine:use_helper()
  end
end

--- In a forked child: the parent's background is none of its business. True if there was any, and
--- what it stood in the way of may be tried again.
host.forsake_background = background.forsake

local function is_lost(engine)
  if not engine:is_inherited() then
    return false
  end
  background.forsake(engine)
  return not engine:adopt()
end

--- The engine of this process's ordinary clients.
function host.default_engine()
  local lost = default_engine and is_lost(default_engine)
  if not default_engine or lost then
    default_engine = core.engine()
    if loop and loop.needs_helper then
      default_engine:use_helper()
    end
  end
  return default_engine
end

--- The engine whose clock counts here and now.
function host.engine()
  return tasks.engine() or host.default_engine()
end

local running, now = tasks.running, core.now

--- Monotonic seconds: the clock of a request's `deadline`. Virtual inside a testing kit's run.
---@return number
function host.now()
  local task = running.task
  local engine = task and task.loop.engine or default_engine
  return engine and now(engine) or host.engine():now()
end

local function park(engine, waiter, id, due, has_mail)
  parking.wait(loop, engine, waiter, id, due, has_mail)
  return true
end

--- How the code that runs is parked, on a loop that is not neap's, for something of this engine: a
--- function as host.wait; and on whose behalf, for host.tie. Nil where it cannot be. Who waits may
--- be the first in a forked child to do anything with the engine.
---@param engine userdata
---@return (fun(engine: userdata, waiter: userdata): boolean)?
---@return any whom
function host.way_to_park(engine)
  if not loop or engine ~= default_engine or tasks.current() then
    return nil
  end
  local whom = loop.can_park()
  if whom and not is_lost(engine) then
    return park, whom
  end
end

--- Where host.way_to_park has one, but for code that cannot yield and for what a parent made: on
--- whose behalf the code is parked, as core.park_call wants it; and a function that parks it,
--- as parking.wait, without a loop. Nil where it cannot be, or the loop has no use for that.
---@param engine userdata
---@return any whom
---@return function park
function host.whom_to_park(engine)
  if not loop or not loop.whom_to_park or engine ~= default_engine or tasks.current() then
    return nil
  end
  return loop.whom_to_park(), park
end

--- Can the code that runs wait for something of this engine without blocking?
function host.can_yield_on(engine)
  return tasks.can_yield_on(engine) or host.way_to_park(engine) ~= nil
end

--- Must the code that runs not wait for anything, since it can neither yield nor block?
function host.cannot_wait_on(engine)
  return loop and engine == default_engine and not loop.blocks() and not host.can_yield_on(engine)
end

--- Waits until the waiter (a call or a sleeper) is ready. False at once where the code that runs
--- cannot, see host.can_yield_on.
---@return boolean waited
function host.wait(engine, waiter)
  return tasks.wait(engine, waiter)
    or (host.way_to_park(engine) ~= nil and park(engine, waiter))
end

local backgrounds = background.of_engine

--- Blocks until the waiter is ready; what is in the background goes on meanwhile.
function host.block(engine, waiter)
  if backgrounds[engine] then
    background.block(engine, waiter)
  end
  return waiter:run()
end

--- Sees to it that what a call has left to do, for others too, is done.
function host.settle(engine)
  if loop and engine == default_engine then
    parking.settle(loop, engine)
  end
  if backgrounds[engine] then
    background.go_on(engine)
  end
end

--- Runs fn beside the code that runs, and beside all else on this host: nobody waits for it, and
--- what it raises is nobody's. It is begun now, or where the loop is not ours, at its next turn; on
--- neap's own loop, in a kit and in plain Lua it goes on whenever the engine is turned. False where
--- the host begins nothing any more, as a worker of nginx that is exiting.
---@param engine userdata
---@param fn function
---@return boolean begun
function host.background(engine, fn)
  local begun
  if loop and engine == default_engine then
    begun = loop.detach(function()
      compat.pcall(parking.run, loop, engine, fn)
    end)
  end
  if begun == nil then
    background.begin(engine, fn)
    begun = true
  end
  return begun
end

-- What a loop counts in milliseconds must not be done a little early.
local MARGIN = 0.001

--- Does the loop do what is due on the engine, where host.poll_later asks it to? On neap's own
--- whoever turns the engine does.
---@param engine userdata
---@return boolean
function host.polls_later(engine)
  return loop ~= nil and loop.later ~= nil and engine == default_engine
end

--- Does what will be due on the engine in so many seconds, also if nobody is parked then, and calls
--- fn; only where host.polls_later. The loop is not kept going for it. False where the loop begins
--- nothing any more.
---@param engine userdata
---@param seconds number
---@param fn function
---@return boolean awaited
function host.poll_later(engine, seconds, fn)
  return loop.later(seconds + MARGIN, function()
    if not engine:is_inherited() then
      parking.pump(engine)
    end
    fn()
  end)
end

--- The call is to end when the host drops the code that runs; `whom` if host.way_to_park has said
--- on whose behalf it does.
function host.tie(engine, exchange, whom)
  if loop and loop.tie and engine == default_engine then
    loop.tie(exchange, whom)
  end
end

--- Where host.tie has something to do: on whose behalf the code runs.
---@param engine userdata
---@return any whom
function host.whom_to_tie(engine)
  return loop and loop.whom_to_tie and engine == default_engine and loop.whom_to_tie()
end

local function current_task()
  return tasks.current() or parking.current_task()
end

--- True where the code that runs is a task's own coroutine.
function host.in_task()
  return current_task() ~= nil
end

--- Notes that the task that runs drives a call, until host.leave is called with what is returned.
function host.enter(flight)
  local task = current_task()
  if loop and loop.enter then
    loop.enter()
  end
  if task then
    task.flights[#task.flights + 1] = flight
  end
  return task
end

--- The end of what host.enter began, with the task that it returned.
function host.leave(task)
  if task then
    task.flights[#task.flights] = nil
  end
end

--- Lets so many seconds pass for the caller. False where that cannot be.
function host.sleep(seconds)
  local engine = host.engine()
  if host.cannot_wait_on(engine) then
    return false
  end
  local sleeper = engine:sleeper(seconds)
  if not host.wait(engine, sleeper) then
    host.block(engine, sleeper)
    waiting.wake_ready(engine, waiting.on(engine))
    host.settle(engine)
  end
  sleeper:free()
  return true
end

--- Runs fn and all that it spawns; what it returns. Raises what a task raised and nobody awaited.
function host.run(fn, ...)
  local engine = host.engine()
  if host.way_to_park(engine) then
    return parking.run(loop, engine, fn, ...)
  end
  return run(engine, fn, ...)
end

--- A task beside the one that runs.
function host.spawn(fn, ...)
  local task = tasks.current()
  if task then
    return scheduler.spawn(task.loop, fn, ...)
  end
  return parking.spawn(fn, ...)
end

local nginx = rawget(_G, "ngx")
if type(nginx) == "table" and nginx.config and nginx.config.subsystem == "http" then
  host.use(require "neap.loop.nginx")
end

return host
