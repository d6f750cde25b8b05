--- Tasks of neap's own loop (lua/neap/scheduler.lua): which of them runs, which are ready, and how
--- one waits for something of its engine or for another task.
--
-- A coroutine that the program made itself inside a task cannot yield to the loop, so a call in it
-- blocks its task's loop; the rest works.
local compat = require "neap.compat"

local tasks = {}

local yield = coroutine.yield

--- `task`: the one that was resumed last and has not come back. `elsewhere`: is there a loop that
--- is not neap's? Every call asks.
local running = { task = false, elsewhere = false }
tasks.running = running

---@class neap.Task
local Task = {}
Task.__index = Task

--- A task of the loop, which is yet to be made ready.
---@param loop table of the scheduler
---@param fn function
---@return neap.Task
function tasks.new(loop, fn, ...)
  return setmetatable({
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
end

local function current_task()
  local task = running.task
  if task and task.co == compat.running() then
    return task
  end
end

--- The task that runs, if the code that runs is its own coroutine, or nil.
---@type fun(): neap.Task?
tasks.current = current_task

--- The engine of the loop that runs; nil outside.
---@return userdata?
function tasks.engine()
  local task = running.task
  return task and task.loop.engine or nil
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

--- The task is the last of its loop to go on, unless it is to go on already.
---@type fun(loop: table, task: neap.Task)
tasks.make_ready = make_ready

--- The task that has been ready for longest, which there is.
---@param loop table
---@return neap.Task
function tasks.take_ready(loop)
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

local function await_waiter(task, waiter, id)
  local loop = task.loop
  loop.waiting[id] = task
  loop.waits = loop.waits + 1
  task.waits = true
  task.waiter = waiter
end

--- Can the task that runs wait for something of this engine without blocking? Inside a C function,
--- such as string.gsub, it cannot, and what it waits for blocks.
function tasks.can_yield_on(engine)
  local task = current_task()
  return task ~= nil and task.loop.engine == engine and compat.can_yield()
end

local function await(task, waiter, id)
  await_waiter(task, waiter, id)
  repeat -- whoever else may resume a task, only its loop ends the wait
    yield()
  until not task.waits and running.task == task
  task.waiter = nil
end

--- The task, which runs and can yield, does so until the waiter of that number is ready.
---@type fun(task: neap.Task, waiter: userdata, id: integer)
tasks.await = await

--- The task that runs yields until the waiter (a call or a sleeper) is ready. False at once where
--- it cannot, see tasks.can_yield_on.
---@return boolean waited
function tasks.wait(engine, waiter)
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
function tasks.listen(fn, ...)
  local task = current_task()
  if not task then
    return compat.pcall(fn, ...)
  end
  local outer = task.listens
  task.listens = true
  return has_listened(task, outer, compat.pcall(fn, ...))
end

--- A task has yielded in tasks.listen, for nothing that would wake it: the others have their turn,
--- and it goes on.
---@param task neap.Task
function tasks.pause(task)
  task.is_paused = true
  local sleeper = task.loop.engine:sleeper(0)
  await_waiter(task, sleeper, sleeper:id())
end

--- Before a task goes on that is paused.
---@param task neap.Task
function tasks.end_pause(task)
  task.waiter:free()
  task.waiter, task.is_paused = nil, nil
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

return tasks
