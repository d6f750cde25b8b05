--- neap's own loop, a run or a background: resumes the tasks that are ready, and while all of them
--- wait has one turn of the engine's loop made. Plain programs have the real clock there, testing
--- kits a virtual one.
local compat = require "neap.compat"
local core = require "neap.core"
local tasks = require "neap.tasks"
local waiting = require "neap.waiting"

local scheduler = {}

local resume_coroutine, status = coroutine.resume, coroutine.status
local make_ready, take_ready = tasks.make_ready, tasks.take_ready
local running = tasks.running

-- Where C can be yielded across, tasks wait for most calls in C, which resumes them then: a list of
-- these calls for each loop, and what resumes a coroutine so that it may wait so.
local new_calls, resume_in_core, sweep, turn_in_core, runner
if core.tasks then
  new_calls, resume_in_core, sweep, turn_in_core, runner = core.tasks(running)
end

--- What the client's methods in C know of the tasks that run; nil where there are none.
scheduler.runner = runner

--- From now on there is a loop that is not neap's.
function scheduler.leave()
  running.elsewhere = true
  if runner then
    runner:leave()
  end
end

--- A loop without tasks; on_failure(loop, task) is told of each task that raises.
---@param engine userdata
---@param on_failure fun(loop: table, task: neap.Task)
---@return table loop
function scheduler.new(engine, on_failure)
  local of_coroutine = {} -- all tasks that have not ended
  return {
    engine = engine,
    first = false,
    last = false,
    live = 0,
    waiting = waiting.on(engine),
    calls = new_calls and new_calls(engine, of_coroutine) or false,
    tasks = of_coroutine,
    waits = 0,
    on_failure = on_failure,
  }
end

--- A task of the loop that calls fn; it is begun with those that are ready.
---@param loop table
---@param fn function
---@return neap.Task
function scheduler.spawn(loop, fn, ...)
  local task = tasks.new(loop, fn, ...)
  loop.tasks[task.co] = task
  loop.live = loop.live + 1
  make_ready(loop, task)
  return task
end

-- What a task has come to whose results there is no memory for.
local LOST = { false, "not enough memory", n = 2 }

local function finish(loop, task, ...)
  task.results, task.failed = LOST, true
  loop.live = loop.live - 1
  loop.tasks[task.co] = nil
  task.call = false
  for _, waits in ipairs(task.awaiting) do
    make_ready(loop, waits)
  end
  task.results = compat.pack(...)
  task.failed = not task.results[1]
  if task.failed then
    loop.on_failure(loop, task)
  end
end

-- What the coroutine came back with is packed only where it has ended: a wait costs no table.
-- Nothing where it waits for a call in C.
local function take_back(loop, task, outer, is_good, ...)
  running.task = outer
  if is_good == nil then
    return
  end
  if status(task.co) == "dead" then
    finish(loop, task, is_good, ...)
  elseif task.listens and not task.waits and not task.awaits then
    tasks.pause(task)
  end
end

local function enter(loop, task, ...)
  if loop.calls then
    return resume_in_core(loop.calls, task.co, ...)
  end
  return resume_coroutine(task.co, ...)
end

local function resume(loop, task)
  if task.results then -- its wait ended by an error: PUC's Lua 5.1 could not yield there
    return
  end
  if task.is_paused then
    tasks.end_pause(task)
  end
  local outer, arguments = running.task, task.arguments
  running.task = task
  if not arguments then
    return take_back(loop, task, outer, enter(loop, task))
  end
  task.arguments = nil
  take_back(loop, task, outer, enter(loop, task, compat.unpack(arguments, 1, arguments.n)))
end

-- True if there was a task that has ended, or has yielded for something else than a call in C.
local function take_swept(loop, task, ...)
  if task then
    take_back(loop, task, running.task, ...)
  end
  return task ~= nil
end

--- Resumes tasks until none is ready.
---@param loop table
function scheduler.resume_all_ready(loop)
  repeat
    while loop.first do
      resume(loop, take_ready(loop))
    end
  until not loop.calls or not take_swept(loop, sweep(loop.calls))
end

--- Is there a task that can go on?
---@param loop table
---@return boolean
function scheduler.has_ready(loop)
  return loop.first ~= false or (loop.calls and select(2, loop.calls:count()))
end

--- Is there a task that something of the engine can wake?
---@param loop table
---@return boolean
function scheduler.has_waiting(loop)
  return loop.waits > 0 or (loop.calls and loop.calls:count() > 0)
end

local function after_turn(loop, did, ...)
  take_swept(loop, ...)
  return did
end

--- Turns the engine; false where nothing was done.
---@param loop table
---@return boolean did
function scheduler.turn(loop)
  if loop.calls then
    return after_turn(loop, turn_in_core(loop.calls, loop))
  end
  return loop.engine:turn()
end

--- What the tasks that are left are doing is given up: their calls end, from the inside out, and
--- their permits are free.
---@param loop table
function scheduler.abandon(loop)
  if loop.calls then
    loop.calls:give_up()
  end
  for _, task in pairs(loop.tasks) do
    if task.waiter then
      loop.waiting[task.waiter:id()] = nil
      task.waiter:free()
    end
    for index = #task.flights, 1, -1 do
      task.flights[index].exchange:free()
    end
    task.call = false
    core.give_up_calls(loop.engine, task.co)
  end
end

return scheduler
