--- neap.run on neap's own loop: a function and all that it spawns, until every task has ended. The
--- engine's background goes on meanwhile.
local background = require "neap.background"
local compat = require "neap.compat"
local scheduler = require "neap.scheduler"
local waiting = require "neap.waiting"

local resume_all_ready, resume_background = scheduler.resume_all_ready, background.resume
local has_ready, has_waiting, turn = scheduler.has_ready, scheduler.has_waiting, scheduler.turn

local STUCK = "every task waits for something that cannot happen any more"

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

local function raise_unseen_failure(loop)
  for _, task in ipairs(loop.failures) do
    if not task.seen then
      error(task.results[2], 0)
    end
  end
end

--- Runs fn and all that it spawns on the engine; what it returns. A task's error that nobody
--- awaited is raised here.
---@param engine userdata
---@param fn function
---@return any ...
local function run(engine, fn, ...)
  local loop = scheduler.new(engine, note_failure)
  loop.failures = {}
  local main = scheduler.spawn(loop, fn, ...)
  local done, message = pcall(run_until, loop, function()
    return loop.live == 0 or main.failed
  end)
  if not done or main.failed then
    scheduler.abandon(loop)
    error(done and main.results[2] or message, 0)
  end
  background.settle(engine)
  raise_unseen_failure(loop)
  return compat.unpack(main.results, 2, main.results.n)
end

return run
