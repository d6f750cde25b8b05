--- nginx as the loop: coroutines of ngx_lua are parked on its semaphores, and libcurl works on a
--- thread of its own, so that the worker never waits for it.
--
-- ngx_lua cannot wait for a descriptor. One coroutine, the notifier, which runs in a timer while
-- somebody waits, is connected to the helper's doorbell and pumps the engine when it rings; beside
-- it the keeper pumps when somebody's time has come. No timer is begun once a worker is exiting:
-- ngx_lua refuses those with a delay, and for those without leaves a connection open, of which
-- nginx complains. Who waits then listens at the doorbell itself.
local base = require "resty.core.base"
local core = require "neap.core"
local ffi = require "ffi"
local parking = require "neap.parking"
local semaphore = require "ngx.semaphore"
local waiting = require "neap.waiting"

local get_phase, get_request, can_yield = ngx.get_phase, base.get_request, core.can_yield

local loop = { needs_helper = true }

-- Where ngx_lua lets a coroutine wait for a socket and a semaphore.
local PARKING_PHASES = {
  rewrite = true,
  server_rewrite = true,
  access = true,
  content = true,
  timer = true,
  ssl_cert = true,
  ssl_session_fetch = true,
  ssl_client_hello = true,
}

--- Not inside a C function either, such as string.gsub. The request for which the code runs.
function loop.can_park()
  return PARKING_PHASES[get_phase()] and can_yield() and get_request()
end

-- As a light userdata, which LuaJIT has where OpenResty's own has a cdata, or a number.
local function address_of(request)
  if type(request) == "userdata" then
    return request
  end
  return tonumber(ffi.cast("uintptr_t", ffi.cast("void *", request)))
end

--- The same for what can yield: the request's address.
function loop.whom_to_park()
  local request = PARKING_PHASES[get_phase()] and get_request()
  return request and address_of(request)
end

--- A worker never blocks.
function loop.blocks()
  return false
end

--- A request that is abandoned takes its calls with it: nginx drops its coroutines without a word.
-- Where nothing can wait nothing can be dropped; in the phase of the log the end is already past.
function loop.tie(exchange, request)
  request = request or (PARKING_PHASES[get_phase()] and get_request())
  if request then
    exchange:tie(address_of(request))
  end
end

--- The request that what begins now is to be tied to, or nil: as the FFI takes it.
function loop.whom_to_tie()
  return PARKING_PHASES[get_phase()] and get_request()
end

-- Keepers of engines whose notifier is at work: { due, semaphore, courier }.
local notified = setmetatable({}, { __mode = "k" })

local RING_BYTES = 64 -- each ring is one byte; they are all the same

local function connect(engine, seconds)
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, seconds * 1000)
  return socket:connect("unix:/proc/self/fd/" .. engine:doorbell()) and socket
end

-- Waits for the bell, unless there is something already. Nil and why where nothing rang.
local function listen(engine, socket)
  if not engine:arm() then
    return true
  end
  return socket:receiveany(RING_BYTES)
end

-- Who was dropped while it waited is known to be gone only when it has been collected.
local function is_anybody_waiting(engine)
  if ngx.worker.exiting() then
    collectgarbage()
  end
  return next(waiting.on(engine)) ~= nil
end

-- The bell rings every half a second anyway: silence for so many seconds means that it is broken.
local SILENCE = 10

local SHORTEST = 0.001 -- what nginx's timers can tell from nothing

-- What a call has left to wait for changes while others pump: one that has failed on the wire is
-- to be retried in a moment, and its coroutine still sleeps for as long as the answer might have
-- taken. The keeper sleeps until the first of all these times. A socket's own limit would not do:
-- nginx logs each one that passes as an error.
local function keep_time(engine, keeper)
  while true do
    local seconds = engine:wait() or SILENCE
    keeper.due = engine:now() + seconds
    keeper.semaphore:wait(math.max(seconds, SHORTEST))
    parking.pump(engine)
  end
end

local function hurry(keeper, due)
  if due and due < keeper.due then
    keeper.due = 0 -- until it has looked
    keeper.semaphore:post(1)
  end
end

-- nginx resumes who waits for a semaphore only when it has handled all that this turn of its loop
-- has brought. So what requests send one after the other goes to the helper together.
local function carry_mail(engine, courier)
  while true do
    courier.is_called = false
    engine:flush()
    courier.semaphore:wait(SILENCE)
  end
end

local function call_courier(engine, courier)
  if not courier.thread then
    engine:flush()
  elseif not courier.is_called then
    courier.is_called = true
    courier.semaphore:post(1)
  end
end

-- Stays for a while when nobody waits any more, since it costs less than to begin anew.
local function pump_while_needed(engine, keeper)
  local socket = connect(engine, SILENCE)
  local rang, idle = socket, 0
  while rang and idle < (ngx.worker.exiting() and 1 or 3) do
    rang = listen(engine, socket)
    local found = parking.pump(engine)
    hurry(keeper, engine:due())
    idle = (found or is_anybody_waiting(engine)) and 0 or idle + 1
  end
end

local function pump_beside_keeper(engine)
  local keeper = notified[engine]
  local courier = keeper.courier
  local timekeeper = ngx.thread.spawn(keep_time, engine, keeper)
  courier.thread = ngx.thread.spawn(carry_mail, engine, courier)
  local done, message = pcall(pump_while_needed, engine, keeper)
  ngx.thread.kill(timekeeper)
  ngx.thread.kill(courier.thread)
  if not done then
    error(message, 0)
  end
end

-- However it ends, the next one that is parked starts another.
local function notify(_, engine)
  local done, message = pcall(pump_beside_keeper, engine)
  notified[engine] = nil
  engine:flush()
  if not done then
    error(message, 0)
  end
end

local function begin_notifying(engine)
  if not engine:doorbell() or ngx.worker.exiting() then
    return
  end
  notified[engine] = {
    due = 0,
    semaphore = semaphore.new(),
    courier = { semaphore = semaphore.new(), is_called = false, thread = false },
  }
  if not ngx.timer.at(0, notify, engine) then
    notified[engine] = nil
  end
end

function loop.watch(engine, due, has_mail)
  local keeper = notified[engine]
  if keeper then
    hurry(keeper, due)
  else
    begin_notifying(engine)
  end
  if not has_mail then
    return
  end
  if keeper then
    call_courier(engine, keeper.courier)
  else
    engine:flush()
  end
end

-- Parkers whose waits are over: nobody will unpark them.
local spare, spare_count = {}, 0

-- Asking a semaphore how many posts it has left costs more than to count them.
local Parker = {}
Parker.__index = Parker

function loop.parker(engine)
  local parker = spare[spare_count]
  if not parker then
    parker = { semaphore = semaphore.new(), engine = engine, alone = false, posts = 0 }
    return setmetatable(parker, Parker)
  end
  spare[spare_count] = nil
  spare_count = spare_count - 1
  parker.engine = engine
  return parker
end

-- How long until there is something to do on the engine, of which no keeper tells.
local function shorten(engine, seconds)
  return math.max(math.min(engine:wait() or seconds, seconds), SHORTEST)
end

local function park_alone(engine, seconds)
  local socket = connect(engine, seconds)
  if socket then
    listen(engine, socket)
    socket:close()
  else
    ngx.sleep(SHORTEST)
  end
end

function Parker:park(seconds)
  local engine = self.engine
  if engine and not notified[engine] then
    seconds = shorten(engine, seconds)
    if engine:doorbell() then
      self.alone = true
      park_alone(engine, seconds)
      self.alone = false
      return
    end
  end
  if self.semaphore:wait(seconds) then
    self.posts = self.posts - 1
  end
end

function Parker:unpark()
  self.posts = self.posts + 1
  self.semaphore:post(1)
  if self.alone then
    self.engine:nudge()
  end
end

function Parker:retire()
  while self.posts > 0 do
    self.semaphore:wait(0)
    self.posts = self.posts - 1
  end
  self.engine = nil
  spare_count = spare_count + 1
  spare[spare_count] = self
end

loop.start = ngx.thread.spawn
loop.kill = ngx.thread.kill

local function run_detached(is_too_late, fn)
  if not is_too_late then
    fn()
  end
end

--- In a timer, whose end is not the request's. There is none while nginx reads its configuration,
--- where no call can be made either.
function loop.detach(fn)
  if ngx.worker.exiting() then
    return false
  end
  local done, begun = pcall(ngx.timer.at, 0, run_detached, fn)
  return done and begun ~= nil and begun ~= false
end

local function call_unless_early(is_early, fn)
  if not is_early then -- the worker exits
    fn()
  end
end

function loop.later(seconds, fn)
  local done, begun = pcall(ngx.timer.at, seconds, call_unless_early, fn)
  return done and begun ~= nil and begun ~= false
end

return loop
