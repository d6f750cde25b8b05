--- luv as the loop: a call made in a coroutine parks it, and libuv's loop goes on meanwhile.
--
-- libuv watches the engine's own epoll descriptor, and before it waits it asks the engine when
-- something is due: no thread is needed. Its handles are active only while somebody is parked, so
-- that uv.run ends when the program has nothing else to do.
--
-- Coroutines are resumed once in a turn of libuv's loop, by an idle handle: never inside of whoever
-- unparks them, and never so often that libuv would not look at other descriptors. A timer of zero
-- that sets itself again fires again in the same turn.
local compat = require "neap.compat"
local host = require "neap.host"
local parking = require "neap.parking"
local raised_text = require "neap.raised"
local tasks = require "neap.tasks"

local found, uv = pcall(require, "luv")
if not found then
  error("neap.loop.luv needs luv (luarocks: luv, Debian: lua-luv): " .. tostring(uv), 0)
end

local loop = {}

-- Who is parked, or is to be resumed, by its coroutine: nobody else may hold that.
local runners = {}

-- Those who are to be resumed, in order. A runner is a parker or a task that was not begun yet; its
-- state goes from `parked` to `ready` to `running`, or from any to `ended`.
local queue, first, last = {}, 1, 0
local resumer

-- What is raised in a coroutine that nobody else resumes is raised in libuv's callback.
local function resume(runner)
  local co = runner.co
  if runner.state ~= "ready" or coroutine.status(co) ~= "suspended" then
    return
  end
  runner.state = "running"
  runners[co] = nil
  local done, raised = coroutine.resume(co)
  if not done then
    error(debug.traceback(co, raised_text(raised)), 0)
  end
end

-- Who becomes ready meanwhile waits for the next turn.
local function resume_ready()
  local limit = last
  while first <= limit do
    local runner = queue[first]
    queue[first] = nil
    first = first + 1
    resume(runner)
  end
  if first > last then
    resumer:stop()
  end
end

local function make_ready(runner)
  runner.state = "ready"
  last = last + 1
  queue[last] = runner
  if not resumer or resumer:is_closing() then
    resumer = uv.new_idle()
  end
  if not resumer:is_active() then
    resumer:start(resume_ready)
  end
end

-- libuv's handles for an engine, and how many are parked for something of it.
local Watch = {}
Watch.__index = Watch

local watch

local LONGEST_MS = 1000 -- were the descriptor to fail, the timer finds out

-- A coroutine that its owner has closed (coroutine.close) will not be resumed by anything.
local function forget_dead()
  for co, runner in pairs(runners) do
    if coroutine.status(co) == "dead" then
      loop.kill(runner)
    end
  end
end

-- Asked in each turn: in a loop that is busy the timer, which each turn sets anew, never fires.
function Watch:look_for_dead()
  if uv.now() - self.looked_ms >= LONGEST_MS then
    self.looked_ms = uv.now()
    forget_dead()
  end
end

-- Runs right before libuv waits. Stopping here, not with the last call, leaves the handles alone
-- between one call and the next of the same coroutine.
function Watch:prepare()
  local engine = self.engine
  self:look_for_dead()
  if self.parked == 0 then
    return self:stop()
  end
  if engine:is_pending() or engine:wait() == 0 then
    parking.pump(engine)
  end
  local wait = engine:wait()
  local wait_ms = wait and math.ceil(wait * 1000) or LONGEST_MS
  self.timer:start(math.min(wait_ms, LONGEST_MS), 0, self.on_timer)
end

function Watch:start()
  if not self.before:is_active() then
    self.readable:start("r", self.on_readable)
    self.before:start(self.on_before)
  end
end

function Watch:stop()
  for _, handle in ipairs(self.handles) do
    if not handle:is_closing() then
      handle:stop()
    end
  end
end

function Watch:close()
  for _, handle in ipairs(self.handles) do
    if not handle:is_closing() then
      handle:close()
    end
  end
end

local function new_watch(engine)
  local self = setmetatable({ engine = engine, descriptor = engine:descriptor(), parked = 0,
    looked_ms = uv.now() }, Watch)
  self.readable = assert(uv.new_poll(self.descriptor))
  self.before = uv.new_prepare()
  self.timer = uv.new_timer()
  self.handles = { self.readable, self.before, self.timer }
  function self.on_readable() parking.pump(engine) end
  function self.on_before() self:prepare() end
  function self.on_timer() parking.pump(engine) end
  return self
end

-- A forked child has another engine or descriptor; a program may close all handles of uv.walk.
local function is_good(engine)
  return watch and watch.engine == engine and watch.descriptor == engine:descriptor()
    and not watch.before:is_closing()
end

function loop.watch(engine)
  if not is_good(engine) then
    if watch then
      watch:close()
    end
    watch = new_watch(engine)
  end
  watch:start()
end

--- Any coroutine but the main one, where it can yield. Inside neap's own loop, which libuv's does
--- not run beside, nobody would resume it.
function loop.can_park()
  return compat.running() ~= nil and not tasks.engine() and compat.can_yield()
end

function loop.blocks()
  return true
end

local Parker = {}
Parker.__index = Parker

function loop.parker(engine)
  return setmetatable({ engine = engine, state = "running" }, Parker)
end

local function leave(runner)
  if runner.state == "parked" and runner.watch then
    runner.watch.parked = runner.watch.parked - 1
  end
end

--- Without a time of its own: whatever is timed is a timer of the engine.
function Parker:park()
  self.co = compat.running()
  self.watch = self.engine and watch
  if self.watch then
    self.watch.parked = self.watch.parked + 1
  end
  self.state = "parked"
  runners[self.co] = self
  repeat -- whoever else may resume the coroutine, only the loop ends the wait
    coroutine.yield()
  until self.state == "running"
end

function Parker:unpark()
  if self.state == "parked" then
    leave(self)
    make_ready(self)
  end
end

function Parker:retire() end

function loop.start(fn)
  local runner = { co = compat.coroutine(fn) }
  runners[runner.co] = runner
  make_ready(runner)
  return runner
end

function loop.detach(fn)
  loop.start(fn)
  return true
end

--- uv.run does not wait for it.
function loop.later(seconds, fn)
  local timer = uv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, function()
    timer:close()
    fn()
  end)
  timer:unref()
  return true
end

function loop.kill(started)
  local co = started.co
  local runner = runners[co] or started
  leave(runner)
  runner.state = "ended"
  runners[co] = nil
  if coroutine.close and coroutine.status(co) == "suspended" then
    coroutine.close(co)
  end
end

host.use(loop)

return loop
