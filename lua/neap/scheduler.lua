--- neap's own loop: tasks are coroutines, and while all of them wait one turn of the engine's loop
--- is made. Plain programs use it with the real clock, testing kits with a virtual one.
--
-- A coroutine that the program made itself inside a task cannot yield to the loop, so a call in it
-- blocks its task's loop; the rest works.
--
-- Beside its runs an engine may have a background: one more loop whose tasks belong to no run.
-- Nobody waits for it; it goes on whenever somebody turns the engine.
local compat = require "neap.compat"
local core = require "neap.core"
local waiting = require "neap.waiting"

local scheduler = {}

local yield, resume_coroutine, status = coroutine.yield, coroutine.resume, coroutine.status

--- `task`: the one that was resumed last and has not come back. `elsewhere`: is there a loop that
--- is not neap's? Every call asks.
local running = { task = false, elsewhere = false }
scheduler.running = running

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

---@class neap.Task
local Task = {}
Task.__index = Task

local function current_task()
  local task = running.task
  if task and task.co == compat.running() then
    return task
  end
end

--- The engine of the loop that runs; nil outside.
function scheduler.engine()
  local task = running.task
  return task and task.loop.engine or nil
end

--- True where the code that runs is a task's own coroutine.
function scheduler.in_task()
  return current_task() ~= nil
end

-- The tasks that are ready are linked by fields that they have from the beginning: to wake one must
-- not need memory.
local function make_ready(loop, task)
  if task.is_ready then
    return
  end
  task.is_ready = true
  if loop.last then
    loop.last.next = task
  else
    loop.first = task
  end
  loop.last = task
end

local function take_ready(loop)
  local task = loop.first
  loop.first = task.next
  loop.last = loop.first and loop.last
  task.next, task.is_ready = false, false
  return task
end

--- What it waited for has come.
function Task:wake()
  self.waits = false
  self.loop.waits = self.loop.waits - 1
  make_ready(self.loop, self)
end

local function spawn(loop, fn, ...)
  local task = setmetatable({
    loop = loop,
    co = compat.coroutine(fn),
    arguments = compat.pack(...),
    awaiting = {},
    flights = {},
    next = false,
    is_ready = false,
    call = false, -- in C: its coroutine may be closed, and nobody else would hold it
    results = false,
    failed = false,
  }, Task)
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

local function await_waiter(task, waiter, id)
  local loop = task.loop
  loop.waiting[id] = task
  loop.waits = loop.waits + 1
  task.waits = true
  task.waiter = waiter
end

-- A listener has yielded by itself: the others have their turn, and the call goes on.
local function pause(task)
  task.is_paused = true
  local sleeper = task.loop.engine:sleeper(0)
  await_waiter(task, sleeper, sleeper:id())
end

local function end_pause(task)
  task.waiter:free()
  task.waiter, task.is_paused = nil, nil
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
    pause(task)
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
    end_pause(task)
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

local function resume_all_ready(loop)
  repeat
    while loop.first do
      resume(loop, take_ready(loop))
    end
  until not loop.calls or not take_swept(loop, sweep(loop.calls))
end

local function has_ready(loop)
  return loop.first ~= false or (loop.calls and select(2, loop.calls:count()))
end

local function has_waiting(loop)
  return loop.waits > 0 or (loop.calls and loop.calls:count() > 0)
end

-- The backgrounds that have tasks, by their engines; held by what the engine keeps.
local backgrounds = setmetatable({}, { __mode = "kv" })

-- What a fork left of the parent's background is given up: the child has no part in it.
local abandon

local function note_background(engine, background)
  backgrounds[engine] = background
  engine:have_background(background ~= nil)
end

local function forsake(engine, background)
  note_background(engine, nil)
  engine:kept().background = nil
  abandon(background)
  background.tasks, background.first, background.last = {}, false, false
  collectgarbage() -- also calls that nobody but their coroutines knew of
end

-- True if there was anything to go on with.
local function resume_background(engine)
  local background = backgrounds[engine]
  if not background then
    return false
  end
  if background.process ~= core.process_id() then
    forsake(engine, background)
    return false
  end
  local found = has_ready(background)
  resume_all_ready(background)
  if background.live == 0 then
    note_background(engine, nil)
  end
  return found
end

local STUCK = "every task waits for something that cannot happen any more"

local function after_turn(loop, did, ...)
  take_swept(loop, ...)
  return did
end

-- Turns the engine; false where nothing was done.
local function turn(loop)
  if loop.calls then
    return after_turn(loop, turn_in_core(loop.calls, loop))
  end
  return loop.engine:turn()
end

local function run_until(loop, done)
  local engine = loop.engine
  while true do
    resume_all_ready(loop)
    if done() then
      return
    end
    waiting.wake_ready(engine, loop.waiting)
    if not resume_background(engine) and not has_ready(loop) then
      local did = has_waiting(loop) and turn(loop)
      waiting.wake_ready(engine, loop.waiting)
      if not did and not has_ready(loop) then
        error(STUCK, 0)
      end
    end
  end
end

local function note_failure(loop, task)
  loop.failures[#loop.failures + 1] = task
end

local function new_loop(engine)
  local tasks = {} -- by their coroutines
  return {
    engine = engine,
    first = false,
    last = false,
    live = 0,
    waiting = waiting.on(engine),
    calls = new_calls and new_calls(engine, tasks) or false,
    tasks = tasks,
    waits = 0,
    failures = {},
    on_failure = note_failure,
  }
end

-- What the tasks that are left are doing is given up: their calls end, from the inside out, and
-- their permits are free.
function abandon(loop)
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

local function raise_unseen_failure(loop)
  for _, task in ipairs(loop.failures) do
    if not task.seen then
      error(task.results[2], 0)
    end
  end
end

--- Runs fn and all that it spawns on the engine; what it returns. A task's error that nobody
--- awaited is raised here.
function scheduler.run(engine, fn, ...)
  local loop = new_loop(engine)
  local main = spawn(loop, fn, ...)
  local done, message = pcall(run_until, loop, function()
    return loop.live == 0 or main.failed
  end)
  if not done or main.failed then
    abandon(loop)
    error(done and main.results[2] or message, 0)
  end
  scheduler.settle(engine)
  raise_unseen_failure(loop)
  return compat.unpack(main.results, 2, main.results.n)
end

-- Of what fails in the background nobody is told.
local function forget_failure() end

local function background_of(engine)
  local kept = engine:kept()
  local background = kept.background
  if background and background.process ~= core.process_id() then
    forsake(engine, background)
    background = nil
  end
  if not background then
    background = new_loop(engine)
    background.process = core.process_id()
    background.on_failure = forget_failure
    kept.background = background
  end
  return background
end

--- Begins fn in the engine's background, at once.
function scheduler.background(engine, fn)
  local background = background_of(engine)
  spawn(background, fn)
  note_background(engine, background)
  resume_background(engine)
  if not running.task then
    engine:poll() -- what it sends goes out, whenever the engine is turned next
  end
end

--- The engines that have a background, as keys.
scheduler.backgrounds = backgrounds

--- Outside of all runs, where the engine has been turned: what has become ready in its background
--- goes on. True if there was anything.
function scheduler.go_on(engine)
  local background = not running.task and backgrounds[engine]
  if not background then
    return false
  end
  waiting.wake_ready(engine, background.waiting)
  return resume_background(engine)
end

-- A task that sleeps for no time, again and again, must not hold up the end of a run.
local MOST_ROUNDS = 100

--- Outside of all runs: does what is due now in the background, without waiting.
function scheduler.settle(engine)
  local rounds, did = 0, true
  while did and rounds < MOST_ROUNDS and backgrounds[engine] and not running.task do
    did = engine:poll()
    did = scheduler.go_on(engine) or did
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
function scheduler.block(engine, waiter)
  local list, id = waiting.on(engine), waiter:id()
  local blocked = setmetatable({}, Blocked)
  list[id] = blocked
  repeat
    scheduler.go_on(engine)
  until blocked.ready or running.task or not backgrounds[engine] or not engine:turn()
  list[id] = nil
end

--- In a forked child: gives up what the parent had in the background of the engine. True if there
--- was anything.
function scheduler.forsake(engine)
  local background = engine:is_inherited() and backgrounds[engine]
  if not background or background.process == core.process_id() then
    return false
  end
  forsake(engine, background)
  return true
end

--- Can the task that runs wait for something of this engine without blocking? Inside a C function,
--- such as string.gsub, it cannot, and what it waits for blocks.
function scheduler.can_yield_on(engine)
  local task = current_task()
  return task ~= nil and task.loop.engine == engine and compat.can_yield()
end

--- The task, which runs and can yield, does so until the waiter of that number is ready.
function scheduler.await(task, waiter, id)
  await_waiter(task, waiter, id)
  repeat -- whoever else may resume a task, only its loop ends the wait
    yield()
  until not task.waits and running.task == task
  task.waiter = nil
end

local await = scheduler.await

--- The task that runs yields until the waiter (a call or a sleeper) is ready. False at once where
--- it cannot, see scheduler.can_yield_on.
---@return boolean waited
function scheduler.wait(engine, waiter)
  local task = current_task()
  if not task or task.loop.engine ~= engine or not compat.can_yield() then
    return false
  end
  await(task, waiter, waiter:id())
  return true
end

local function has_listened(task, outer, ...)
  task.listens = outer
  return ...
end

--- pcall for what only watches a call. In a task its bare yields come back, unlike those of others:
--- who watches must not be able to leave a call hanging.
function scheduler.listen(fn, ...)
  local task = current_task()
  if not task then
    return compat.pcall(fn, ...)
  end
  local outer = task.listens
  task.listens = true
  return has_listened(task, outer, compat.pcall(fn, ...))
end

--- A task beside the one that runs.
function scheduler.spawn(fn, ...)
  return spawn(running.task.loop, fn, ...)
end

--- The task that runs, or nil.
scheduler.current_task = current_task

--- Waits until the task has ended and returns what its function returned; raises what it raised.
---
---     local task = neap.spawn(fetch, "EUR")
---     local rate = task:await()
---@return any ...
function Task:await()
  local listed = false
  self.seen = true
  while not self.results do
    local task = current_task()
    if not task or task.loop ~= self.loop then
      error("await: only a task of the same neap.run can wait for this one", 2)
    end
    if not compat.can_yield() then
      error("await: not inside a C function, such as string.gsub or table.sort", 2)
    end
    if task == self then
      error("await: a task cannot wait for itself", 2)
    end
    if not listed then
      self.awaiting[#self.awaiting + 1] = task
      listed = true
    end
    task.awaits = true
    yield()
    task.awaits = nil
  end
  if self.failed then
    error(self.results[2], 0)
  end
  return compat.unpack(self.results, 2, self.results.n)
end

return scheduler
