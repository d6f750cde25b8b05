--- The testing kit: the real pipeline on a virtual clock and a scripted network.
--
-- A kit has state of its own: clock, random numbers, gates. Its clients are ordinary clients whose
-- attempts are answered by a script; an hour of outage passes in a millisecond.
--
--     local t = require("neap.testing").new{ seed = 1 }
--     local api = t:client{ name = "api", base_url = "https://api.example" }
--     t:script{ { status = 503 }, { error = "timeout", phase = "read" }, { status = 200 } }
--     local res = t:run(function() return api:get("/") end)
--     assert.equal(3, res.attempts)
local Client = require "neap.client"
local Script = require "neap.script"
local background = require "neap.background"
local core = require "neap.core"
local env = require "neap.env"
local run = require "neap.run"
local tasks = require "neap.tasks"
local waiting = require "neap.waiting"

-- Nanoseconds in 64 bits reach a little further, both in the future and in the past.
local LONGEST = 9e9

local DEFAULT_EPOCH = 1767225600 -- 2026-01-01T00:00:00Z

---@class neap.Kit
---@field requests table[] what was sent: at, n, call, attempt, client, method, url, path, query, …
---@field env neap.Env clock, time and random for stand-alone policies, stores, guard and outbox
local Kit = {}
Kit.__index = Kit

local MESSAGES = {
  resolve = "the name of the host could not be resolved (scripted)",
  connect = "the connection was refused (scripted)",
  tls = "the TLS handshake failed (scripted)",
  reset = "the connection was reset (scripted)",
}

local function message_of(entry)
  if entry.error == "timeout" then
    return ("the %s time limit has passed"):format(entry.phase)
  end
  return MESSAGES[entry.error] or ("%s (scripted)"):format(entry.error)
end

-- The call as the user counts it: the first call of the kit is 1.
local function number_of_call(kit, id)
  if not kit._calls[id] then
    kit._last_call = kit._last_call + 1
    kit._calls[id] = kit._last_call
  end
  return kit._calls[id]
end

local function record(kit, exchange)
  local request = exchange:sent()
  request.call = number_of_call(kit, request.call)
  request.n = #kit.requests + 1
  kit.requests[request.n] = request
  return request
end

local function next_entry(kit, client, request)
  local script = kit._scripts[client] or kit._script
  if script then
    return script:next(request)
  end
end

local function name_request(request)
  return ("%s %s (client %s, call %d, attempt %d)"):format(request.method, request.url,
    request.client, request.call, request.attempt)
end

-- The program under test may swallow the error, so the kit's run raises it once more.
local function fail(kit, message)
  if kit._running or tasks.engine() == kit._engine then
    kit._failure = kit._failure or message
  end
  error(message, 0)
end

local function carry(kit, flight)
  local exchange = flight.exchange
  local request = record(kit, exchange)
  local entry, message = next_entry(kit, flight.client, request)
  if not entry then
    fail(kit, message or ("neap.testing: the script has no entry for %s"):format(
      name_request(request)))
  end
  if entry.error then
    request.error = entry.error
    exchange:reply_error(request.attempt, entry.after, entry.error, entry.phase, entry.unsent,
      entry.certificate, message_of(entry))
    return
  end
  request.status = entry.status
  exchange:reply(request.attempt, entry.after, entry.status, entry.headers, entry.body)
end

local function check_options(options)
  if type(options) ~= "table" and options ~= nil then
    error(("options: expected a table, got a %s"):format(type(options)), 3)
  end
  for key, value in pairs(options or {}) do
    if key ~= "seed" and key ~= "epoch" then
      error(("options.%s: unknown key, expected seed or epoch"):format(core.shown_key(key)), 3)
    end
    if type(value) ~= "number" then
      error(("options.%s: expected a number, got a %s"):format(key, type(value)), 3)
    end
    if value ~= value or math.abs(value) > LONGEST then
      error(("options.%s: expected a number up to %g, got %g"):format(key, LONGEST, value), 3)
    end
  end
  return options or {}
end

--- A kit: `seed` (1) decides every random number, `epoch` (2026-01-01) is the wall clock's start.
--- The same seed and scripts give the same traces to the last digit.
---@param options? { seed?: number, epoch?: number }
---@return neap.Kit
function Kit.new(options)
  options = check_options(options)
  local engine = core.virtual_engine(options.seed or 1, options.epoch or DEFAULT_EPOCH)
  local kit_env = {
    clock = function() return engine:now() end,
    time = function() return engine:time() end,
    random = function() return engine:random() end,
  }
  env.stand_for(kit_env, engine)
  return setmetatable({
    requests = {},
    env = kit_env,
    _engine = engine,
    _clients = setmetatable({}, { __mode = "k" }),
    _scripts = setmetatable({}, { __mode = "k" }),
    _calls = {},
    _last_call = 0,
  }, Kit)
end

local function check_self(kit)
  if getmetatable(kit) ~= Kit then
    error("kit: expected a kit; its methods are called with a colon", 3)
  end
end

--- Virtual monotonic seconds, 0 at first.
---@return number
function Kit:now()
  check_self(self)
  return self._engine:now()
end

--- The virtual wall clock: epoch + now. Retry-After dates are measured against it.
---@return number
function Kit:time()
  check_self(self)
  return self._engine:time()
end

--- A client whose attempts are answered by the script.
---@param policy neap.Policy as for neap.client
---@return neap.Client
function Kit:client(policy)
  check_self(self)
  local client, message = Client.make(policy, "script", self._engine)
  if not client then
    error(message, 2)
  end
  client._carry = function(flight)
    carry(self, flight)
  end
  self._clients[client] = true
  return client
end

--- Replaces what is left of the script, or of that client's own. One entry an attempt: `{ status
--- =, headers =, body =, after = }`, `{ error = kind, phase =, after =, sent = }`, a function of
--- the request that returns such an entry, or `{ answer = function }`; `times = n` uses an entry
--- n times, `["repeat"] = true` the last one for ever. A response is the attempt's last word:
--- redirects are followed by the real transport only.
---@param entries table[]
---@param client? neap.Client
function Kit:script(entries, client)
  check_self(self)
  if client ~= nil and not self._clients[client] then
    error(("client: expected a client of this kit, got %s"):format(tostring(client)), 2)
  end
  local script, message = Script.new(entries)
  if not script then
    error(message, 2)
  end
  if client then
    self._scripts[client] = script
  else
    self._script = script
  end
end

local function raise_failure(kit)
  local failure = kit._failure
  kit._failure = nil
  if failure then
    error(failure, 0)
  end
end

-- Calls fn; what the script had no entry for is raised at its end, whoever has swallowed it.
local function watched(kit, fn, ...)
  local outer = kit._running
  kit._running = true
  local function ended(done, ...)
    kit._running = outer
    raise_failure(kit)
    if not done then
      error((...), 0)
    end
    return ...
  end
  return ended(pcall(fn, ...))
end

local function advance(engine, until_time)
  local list = waiting.on(engine)
  background.go_on(engine)
  while engine:turn(until_time) do
    waiting.wake_ready(engine, list)
    background.go_on(engine)
  end
end

--- Runs fn on the virtual loop and returns what it returns. Time moves by itself while everything
--- waits; neap.run, spawn, all, sleep and now work inside. Raises if an attempt found no entry in
--- the script, and names its request.
---@param fn function
---@return any ...
function Kit:run(fn, ...)
  check_self(self)
  if type(fn) ~= "function" then
    error(("fn: expected a function, got a %s"):format(type(fn)), 2)
  end
  return watched(self, run, self._engine, fn, ...)
end

--- Outside of run: lets so many seconds pass, and does all that falls due, in order.
---@param seconds number
function Kit:advance(seconds)
  check_self(self)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error(("seconds: expected a number >= 0, got %s"):format(core.shown(seconds)), 2)
  end
  if seconds > LONGEST then
    error(("seconds: expected a number up to %g, got %g"):format(LONGEST, seconds), 2)
  end
  if tasks.current() then
    error("advance: inside run time moves by itself; use neap.sleep", 2)
  end
  watched(self, advance, self._engine, self._engine:now() + seconds)
end

return { new = Kit.new }
