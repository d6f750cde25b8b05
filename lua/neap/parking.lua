--- Waiting on a loop that is not neap's: nginx, luv, cqueues. The coroutine that waits is parked
--- there, and tasks of neap.run are what that loop has for running side by side.
--
-- A loop (lua/neap/loop/*.lua) is a table of these functions:
--
--     can_park()          may the code that runs be parked here? What is true may be anything
--                         that says for whom it runs, for tie
--     whom_to_park()      optional: where code that can yield may be parked: for whom it runs, as
--                         core.park_call wants it
--     blocks()            where it may not: may it block the thread instead?
--     parker([engine])    something for one wait, of something of that engine: park(seconds)
--                         returns when unpark() has been called, or after so long (a loop that
--                         wakes for all that is timed on the engine may leave that out), or
--                         earlier for no reason, and when something timed on the engine is due;
--                         retire() says that the wait is over
--     start(fn)           runs fn beside the code that runs; what it returns is for kill
--     kill(started)       ends what was started, where it stands
--     detach(fn)          runs fn, which raises nothing, beside all else, for nobody: true; false
--                         where that is not to be had any more; nil where the code that runs is
--                         outside of the loop
--     later(seconds, fn)  optional: calls fn after so many seconds, once, if the loop goes on for
--                         that long, which this does not see to. False where it cannot be had
--     watch(engine, due, has_mail)
--                         somebody is about to be parked: parking.pump is to be called when the
--                         engine has something to do, and at that moment of neap.now() if not nil.
--                         Where it has mail, engine:flush() is to be called before the loop waits
--     tie(exchange, whom) optional: the call is to be given up when its coroutine is dropped; what
--                         can_park answered, or nil
--     enter()             optional: the coroutine that runs begins a call
--     rearm(engine)       optional: others have turned the engine; it may have something to do
--                         earlier than was known
local compat = require "neap.compat"
local core = require "neap.core"
local waiting = require "neap.waiting"

local parking = {}

-- One who waits for a call or a sleeper of the engine.
local Place = {}
Place.__index = Place

function Place:wake()
  self.ready = true
  if not self.is_running then
    self.parker:unpark()
  end
end

--- Does what is due on the engine, and unparks those for whom it came.
function parking.pump(engine)
  engine:poll()
  return waiting.wake_ready(engine, waiting.on(engine))
end

--- Sees to it that what has ended leaves to be done, for others too, is done.
function parking.settle(loop, engine)
  if engine:is_pending() then
    parking.pump(engine)
  end
  if loop.rearm then
    loop.rearm(engine)
  end
end

-- Nobody may wait longer at a time: were a loop's watch to fail, this finds out.
local LONGEST = 1

-- Tasks by their coroutines, and whether there may be any: most programs have none.
local tasks = setmetatable({}, { __mode = "kv" })
local has_tasks = false

--- The task that runs, or nil.
function parking.current_task()
  if not has_tasks then
    return nil
  end
  local co = compat.running()
  local task = co and tasks[co]
  has_tasks = task ~= nil or next(tasks) ~= nil
  return task
end

-- Who gives up the task is told what it waits for.
local function note_wait(waiter)
  local task = parking.current_task()
  if task then
    task.waiter = waiter
  end
end

-- Places of waits that are over, to be used again: nobody else knows of them any more.
local spare_places, spare_count = {}, 0

local function take_place(parker)
  local place = spare_places[spare_count]
  if place then
    spare_places[spare_count] = nil
    spare_count = spare_count - 1
    place.ready, place.is_running, place.parker = false, true, parker
    return place
  end
  return setmetatable({ ready = false, is_running = true, parker = parker }, Place)
end

local function leave_place(place)
  place.parker:retire()
  place.parker = false
  spare_count = spare_count + 1
  spare_places[spare_count] = place
end

--- Parks the coroutine that runs until the waiter is ready. Whoever knows its id says what
--- engine:due() does, too.
function parking.wait(loop, engine, waiter, id, due, has_mail)
  local list = waiting.on(engine)
  local place = take_place(loop.parker(engine))
  if not id then
    id, due, has_mail = waiter:id(), engine:due()
  end
  list[id] = place
  note_wait(waiter)
  if due == 0 then
    parking.pump(engine)
    due, has_mail = engine:due()
  end
  while not place.ready do
    loop.watch(engine, due, has_mail)
    place.is_running = false
    place.parker:park(LONGEST)
    place.is_running = true
    if not place.ready then
      parking.pump(engine)
      due, has_mail = engine:due()
    end
  end
  note_wait(nil)
  leave_place(place)
end

---@class neap.ParkedTask: neap.Task
local Task = {}
Task.__index = Task

local function finish(task, results)
  local group = task.group
  task.results = results
  group.live = group.live - 1
  group.tasks[task] = nil
  if not results[1] then
    group.failures[#group.failures + 1] = task
  end
  for parker in pairs(task.awaiting) do
    parker:unpark()
  end
  if group.live == 0 and group.parker then
    group.parker:unpark()
  end
end

local function new_task(group)
  local task = setmetatable({ group = group, awaiting = {}, flights = {} }, Task)
  group.tasks[task] = true
  group.live = group.live + 1
  return task
end

local function run_task(task, fn, arguments)
  local co = compat.running()
  local outer = tasks[co]
  tasks[co], has_tasks = task, true
  task.co = co
  local results = compat.pack(compat.pcall(fn, compat.unpack(arguments, 1, arguments.n)))
  tasks[co] = outer
  finish(task, results)
end

--- A task beside the one that runs.
function parking.spawn(fn, ...)
  local group, arguments, task = parking.current_task().group, compat.pack(...), nil
  local function body()
    run_task(task, fn, arguments)
  end
  task = new_task(group) -- only now: who is counted must begin
  task.started = group.loop.start(body)
  return task
end

local function wait_for_all(group)
  while group.live > 0 do
    group.parker = group.loop.parker()
    group.parker:park(LONGEST)
    group.parker:retire()
    group.parker = nil
  end
end

-- What the tasks that are left are doing is given up, from the inside out.
local function abandon(group, engine)
  for task in pairs(group.tasks) do
    if task.waiter then
      task.waiter:free()
    end
    for index = #task.flights, 1, -1 do
      task.flights[index].exchange:free()
    end
    if task.co then
      core.give_up_calls(engine, task.co)
    end
    group.loop.kill(task.started)
  end
end

--- Runs fn in the coroutine that runs, and all that it spawns beside it; what it returns. A task's
--- error that nobody awaited is raised here.
function parking.run(loop, engine, fn, ...)
  local group = { loop = loop, live = 0, tasks = {}, failures = {} }
  local main = new_task(group)
  run_task(main, fn, compat.pack(...))
  if not main.results[1] then
    abandon(group, engine)
    parking.settle(loop, engine)
    error(main.results[2], 0)
  end
  wait_for_all(group)
  for _, task in ipairs(group.failures) do
    if not task.seen then
      error(task.results[2], 0)
    end
  end
  return compat.unpack(main.results, 2, main.results.n)
end

--- Waits until the task has ended and returns what its function returned; raises what it raised.
---@return any ...
function Task:await()
  local current = parking.current_task()
  self.seen = true
  if not self.results then
    if not current or current.group ~= self.group then
      error("await: only a task of the same neap.run can wait for this one", 2)
    end
    if current == self then
      error("await: a task cannot wait for itself", 2)
    end
    if not self.group.loop.can_park() then
      error("await: not inside a C function, such as string.gsub or table.sort", 2)
    end
  end
  while not self.results do
    local parker = self.group.loop.parker()
    self.awaiting[parker] = true
    parker:park(LONGEST)
    self.awaiting[parker] = nil
    parker:retire()
  end
  if not self.results[1] then
    error(self.results[2], 0)
  end
  return compat.unpack(self.results, 2, self.results.n)
end

return parking
