--- Hosts: who waits while a call waits.
--
-- Plain Lua blocks. Inside `neap.run` each task is a coroutine, and while all of them wait one
-- turn of the engine's loop is made. A testing kit is the same with an engine whose clock is
-- virtual. A coroutine that the program made itself inside a task cannot yield to the loop, so a
-- call in it blocks its task's loop; the rest works.
local compat = require "neap.compat"
local core = require "neap.core"

local host = {}

-- The scheduler whose task runs now, and the engine of plain programs, made at first use and anew
-- in each process, since a loop cannot be shared with a parent.
local active
local default_engine

--- The engine of this process's ordinary clients.
function host.default_engine()
  if not default_engine or default_engine:is_inherited() then
    default_engine = core.engine()
  end
  return default_engine
end

--- The engine whose clock counts here and now.
function host.engine()
  return active and active.engine or host.default_engine()
end

---@class neap.Task
local Task = {}
Task.__index = Task

local Scheduler = {}
Scheduler.__index = Scheduler

local function current_task()
  local task = active and active.task
  if task and task.co == compat.running() then
    return task
  end
end

--- True where the code that runs is a task's own coroutine.
function host.in_task()
  return current_task() ~= nil
end

-- Who waits for what on an engine, by the waiter's id: one table for all schedulers of the engine,
-- since a coroutine of the program's own may run a loop inside a task of another. Its schedulers
-- hold it; LuaJIT would never let go of a value that leads back to its weak key.
local waiting_on = setmetatable({}, { __mode = "kv" })

local function make_ready(scheduler, task)
  scheduler.last = scheduler.last + 1
  scheduler.queue[scheduler.last] = task
end

local function spawn(scheduler, fn, ...)
  local task = setmetatable({
    scheduler = scheduler,
    co = coroutine.create(fn),
    arguments = compat.pack(...),
    awaiting = {},
    flights = {},
  }, Task)
  scheduler.live = scheduler.live + 1
  scheduler.tasks[task] = true
  make_ready(scheduler, task)
  return task
end

local function finish(scheduler, task, results)
  task.results = results
  scheduler.live = scheduler.live - 1
  scheduler.tasks[task] = nil
  if not results[1] then
    task.failed = true
    scheduler.failures[#scheduler.failures + 1] = task
  end
  for _, waiting in ipairs(task.awaiting) do
    make_ready(scheduler, waiting)
  end
end

local function resume(scheduler, task)
  local arguments = task.arguments or compat.pack()
  local outer = active
  task.arguments = nil
  active = { engine = scheduler.engine, scheduler = scheduler, task = task }
  local results = compat.pack(coroutine.resume(task.co, compat.unpack(arguments, 1, arguments.n)))
  active = outer
  if coroutine.status(task.co) == "dead" then
    finish(scheduler, task, results)
  end
end

local function resume_all_ready(scheduler)
  while scheduler.first <= scheduler.last do
    local task = scheduler.queue[scheduler.first]
    scheduler.queue[scheduler.first] = nil
    scheduler.first = scheduler.first + 1
    resume(scheduler, task)
  end
end

local function collect_ready(scheduler)
  local found = false
  local id = scheduler.engine:take()
  while id do
    local task = scheduler.waiting[id]
    if task then
      scheduler.waiting[id] = nil
      task.scheduler.waits = task.scheduler.waits - 1
      make_ready(task.scheduler, task)
      found = found or task.scheduler == scheduler
    end
    id = scheduler.engine:take()
  end
  return found
end

local STUCK = "every task waits for something that cannot happen any more"

local function run_until(scheduler, done)
  while true do
    resume_all_ready(scheduler)
    if done() then
      return
    end
    if not collect_ready(scheduler) then
      local did = scheduler.waits > 0 and scheduler.engine:turn()
      if not did and not collect_ready(scheduler) then
        error(STUCK, 0)
      end
    end
  end
end

local function new_scheduler(engine)
  local waiting = waiting_on[engine] or {}
  waiting_on[engine] = waiting
  return setmetatable({
    engine = engine,
    queue = {},
    first = 1,
    last = 0,
    live = 0,
    waiting = waiting,
    tasks = {},
    waits = 0,
    failures = {},
  }, Scheduler)
end

-- What the tasks that are left are doing is given up: their calls end, from the inside out, and
-- their permits are free.
local function abandon(scheduler)
  for task in pairs(scheduler.tasks) do
    if task.waiter then
      scheduler.waiting[task.waiter:id()] = nil
      task.waiter:free()
    end
    for index = #task.flights, 1, -1 do
      task.flights[index].exchange:free()
    end
  end
end

local function raise_unseen_failure(scheduler)
  for _, task in ipairs(scheduler.failures) do
    if not task.seen then
      error(task.results[2], 0)
    end
  end
end

--- Runs fn and all that it spawns on the engine; what it returns. A task's error that nobody
--- awaited is raised here.
function host.run_on(engine, fn, ...)
  local scheduler = new_scheduler(engine)
  local main = spawn(scheduler, fn, ...)
  local done, message = pcall(run_until, scheduler, function()
    return scheduler.live == 0 or main.failed
  end)
  if not done or main.failed then
    abandon(scheduler)
    error(done and main.results[2] or message, 0)
  end
  raise_unseen_failure(scheduler)
  return compat.unpack(main.results, 2, main.results.n)
end

--- Waits until the waiter (a call or a sleeper) is ready: the task yields, or the thread blocks.
function host.wait(waiter)
  local task = current_task()
  if not task then
    return waiter:run()
  end
  local scheduler = task.scheduler
  local id = waiter:id()
  scheduler.waiting[id] = task
  scheduler.waits = scheduler.waits + 1
  task.waiter = waiter
  repeat -- whoever else may resume a task, only its loop ends the wait
    coroutine.yield()
  until scheduler.waiting[id] ~= task
  task.waiter = nil
end

--- Can the task that runs wait for something of this engine without blocking? Inside a C function,
--- such as string.gsub, it cannot, and what it waits for blocks.
function host.can_yield_on(engine)
  local task = current_task()
  return task ~= nil and task.scheduler.engine == engine and compat.can_yield()
end

--- Notes that the task that runs drives a call, until host.leave is called with what is returned.
function host.enter(flight)
  local task = current_task()
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

--- Lets so many seconds pass for the caller.
function host.sleep(seconds)
  local engine = host.engine()
  local sleeper = engine:sleeper(seconds)
  if host.can_yield_on(engine) then
    host.wait(sleeper)
  else
    sleeper:run()
  end
  sleeper:free()
end

--- A task beside the one that runs.
function host.spawn(fn, ...)
  return spawn(active.scheduler, fn, ...)
end

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
    if not task or task.scheduler ~= self.scheduler then
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
    coroutine.yield()
  end
  if self.failed then
    error(self.results[2], 0)
  end
  return compat.unpack(self.results, 2, self.results.n)
end

return host
