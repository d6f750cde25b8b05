--- cqueues as the loop: a call made in a coroutine of a controller parks it on a condition, and the
--- controller goes on meanwhile.
--
-- In each controller where somebody is parked one more coroutine, the pump, polls the engine's own
-- epoll descriptor until the moment when the engine has something to do: no thread is needed. It
-- ends when nobody is parked there any more, so that the controller's loop can end.
local compat = require "neap.compat"
local host = require "neap.host"
local parking = require "neap.parking"
local raised_text = require "neap.raised"
local tasks = require "neap.tasks"

local found, cqueues = pcall(require, "cqueues")
if not found then
  error("neap.loop.cqueues needs cqueues (luarocks: cqueues, Debian: lua-cqueues): "
    .. tostring(cqueues), 0)
end
local condition = require "cqueues.condition"

local POLL = cqueues._POLL -- what cqueues.poll yields first

local loop = {}

-- Coroutines whose yields are known to reach a controller.
local carried = setmetatable({}, { __mode = "k" })

-- Where Lua cannot yield across pcall, neap calls functions in coroutines of their own, and the one
-- that counts must have been seen before.
local function is_carried(is_its_own)
  local co = compat.running()
  if is_its_own and compat.pcall ~= pcall then
    carried[co] = true
  end
  return is_its_own or carried[co]
end

if compat.pcall ~= pcall then
  function loop.enter()
    is_carried(select(2, cqueues.running()))
  end
end

--- A coroutine that a controller runs, where it can yield. In one that the program made inside of
--- it, cqueues.poll would yield to whoever resumed that; and neap's own loop runs no controller.
function loop.can_park()
  local controller, is_its_own = cqueues.running()
  return controller ~= nil and not tasks.engine() and is_carried(is_its_own)
    and compat.can_yield()
end

function loop.blocks()
  return true
end

-- Pumps by their controllers, to which they do not lead back: LuaJIT would never let go of both.
local pumps = setmetatable({}, { __mode = "k" })

local LONGEST = 1 -- seconds; were the descriptor to fail, the timeout finds out

--- Wakes the pumps that would wait for too long, after somebody else has turned the engine.
function loop.rearm(engine)
  local wait = engine:wait()
  local due = wait and cqueues.monotime() + wait
  for _, pump in pairs(pumps) do
    if due and pump.engine == engine and due < pump.waits_until then
      pump.waits_until = due
      pump.changed:signal()
    end
  end
end

local function wait_for(pump, seconds)
  pump.waits_until = cqueues.monotime() + seconds
  cqueues.poll(pump.readable, pump.changed, seconds)
  pump.waits_until = 0
end

-- When nobody is left, those who were unparked last may be about to begin another call.
local function work(pump)
  local engine = pump.engine
  pump.co = compat.running()
  while pump.parked > 0 do
    wait_for(pump, math.min(engine:wait() or LONGEST, LONGEST))
    parking.pump(engine)
    loop.rearm(engine)
    if pump.parked == 0 then
      cqueues.poll(0)
    end
  end
  pump.is_working = false
end

local function new_pump(engine)
  return {
    engine = engine,
    readable = { pollfd = engine:descriptor(), events = "r" },
    changed = condition.new(),
    waits_until = 0,
    parked = 0,
  }
end

function loop.watch(engine)
  local controller = cqueues.running()
  local pump = pumps[controller]
  if not pump or pump.engine ~= engine or pump.readable.pollfd ~= engine:descriptor() then
    pump = new_pump(engine)
    pumps[controller] = pump
  end
  if not pump.is_working or (pump.co and coroutine.status(pump.co) == "dead") then
    pump.is_working, pump.co = true, nil
    controller:wrap(work, pump)
  end
  loop.rearm(engine)
end

-- Who is parked, by its coroutine.
local parked = setmetatable({}, { __mode = "k" })

local Parker = {}
Parker.__index = Parker

function loop.parker(engine)
  return setmetatable({ condition = condition.new(), engine = engine }, Parker)
end

--- Without a time of its own: whatever is timed is a timer of the engine.
function Parker:park()
  local co = compat.running()
  self.pump = self.engine and pumps[cqueues.running()]
  if self.pump then
    self.pump.parked = self.pump.parked + 1
  end
  parked[co] = self
  self.is_parked = true
  repeat
    cqueues.poll(self.condition)
  until not self.is_parked
  parked[co] = nil
end

function Parker:leave()
  local pump = self.pump
  self.is_parked = false
  if pump then
    pump.parked = pump.parked - 1
    if pump.parked == 0 then
      pump.changed:signal()
    end
  end
end

function Parker:unpark()
  if self.is_parked then
    self:leave()
    self.condition:signal()
  end
end

function Parker:retire() end

-- A task is a coroutine inside of the controller's, so that it can be dropped. What it polls for
-- goes on to the controller, together with its end.
local resume

local function hand_on(started, done, first, ...)
  local co = started.co
  if not done then
    error(debug.traceback(co, raised_text(first)), 0)
  end
  if coroutine.status(co) == "dead" then
    return
  end
  if first == POLL then
    return resume(started, coroutine.yield(POLL, started.ended, ...))
  end
  return resume(started, coroutine.yield(first, ...))
end

function resume(started, ...)
  if not started.is_killed then
    return hand_on(started, coroutine.resume(started.co, ...))
  end
end

function loop.start(fn)
  local started = { co = compat.coroutine(fn), ended = condition.new() }
  carried[started.co] = true
  cqueues.running():wrap(resume, started)
  return started
end

function loop.detach(fn)
  if not cqueues.running() then
    return nil
  end
  loop.start(fn)
  return true
end

function loop.kill(started)
  local co = started.co
  local parker = parked[co]
  if parker and parker.is_parked then
    parker:leave()
  end
  started.is_killed = true
  started.ended:signal()
  if coroutine.close and coroutine.status(co) == "suspended" then
    coroutine.close(co)
  end
end

host.use(loop)

return loop
