--- The client of one API: what a policy makes of it, and its methods.
local core = require "neap.core"
local Alerts = require "neap.alerts"
local Flight = require "neap.flight"
local cache = require "neap.cache"
local drive = require "neap.drive"
local fallback = require "neap.fallback"
local host = require "neap.host"
local listeners = require "neap.listeners"
local request = require "neap.request"
local scheduler = require "neap.scheduler"
local simple_call = require "neap.simple_call"

---@class neap.Client
---@field name string
---@field breaker? neap.Breaker the client's breaker as a stand-alone object; nil if off or keyed
local Client = {}
Client.__index = Client

-- Every client that is not a testing kit's by its name, for neap.stats.
local registry = setmetatable({}, { __mode = "v" })

-- The cores of clients whose calls need nothing of Lua, by client, who holds it; nil for all else,
-- whatever a method was called with.
local simple = setmetatable({}, { __mode = "kv" })

-- The kill switch of clients that are yet to be made, see Client.switch_chaos.
local chaos_allowed = os.getenv("NEAP_CHAOS") ~= "off"

-- What most clients have stands here once: programs may have thousands of them.
Client._carrier = "network"
Client._listeners = {}

-- The network carries attempts in C: Lua is never asked to.
function Client._carry()
  error("neap: the network carries its attempts itself", 0)
end

local NO_FUNCTIONS = {}

--- Is the value a client?
---@param value any
---@return boolean
function Client.is(value)
  return getmetatable(value) == Client
end

-- An outbox without a client is from now on the first one's that queues with it.
local function serve_outboxes(client)
  for _, entry in ipairs(client._fallbacks or {}) do
    if entry.kind == "queue" then
      entry.value:_serve(client)
    end
  end
end

local function functions_of(kept)
  local functions = {}
  for path, value in pairs(kept) do
    if type(value) == "function" and path ~= "alerts.notify" then -- which no call asks
      functions[path] = value
    end
  end
  return next(functions) and functions or NO_FUNCTIONS
end

-- What a policy makes of a client, in its fields; or nil and what is wrong with the policy. With
-- the client whose policy it is to be, a core that may take over.
local function compile(policy, carrier, engine, before)
  local made, kept = core.client(engine, policy, carrier, before and before._core)
  if not made then
    return nil, kept
  end
  local functions, fallbacks = functions_of(kept), kept.fallback
  local message = fallback.flaw(fallbacks, carrier ~= "function", Client.is)
  if message then
    return nil, message
  end
  local kept_answers
  kept_answers, message = cache.new(made, kept["cache.store"], before and before._cache)
  if message then
    return nil, message
  end
  local coalesces = rawget(policy, "coalesce") == true and carrier ~= "function"
  local is_plain = next(functions) == nil and not fallbacks and not kept_answers
    and carrier == "network"
  if is_plain then
    core.may_call(made)
  end
  return {
    name = policy.name,
    breaker = made:breaker() or false,
    _core = made,
    _functions = functions,
    _fallbacks = fallbacks or false,
    _cache = kept_answers or false,
    _plain = is_plain,
    _coalesces = coalesces,
    _asks = functions["breaker.key"] ~= nil or functions["gate.key"] ~= nil
      or functions["idempotency.from"] ~= nil or functions["chaos.only"] ~= nil,
  }, kept["alerts.notify"]
end

-- The client is as the compiled policy has it from now on.
local function adopt(client, compiled, notify)
  for key, value in pairs(compiled) do
    client[key] = value or nil
  end
  client._alerts = Alerts.new(client, notify)
  simple[client] = client._plain and not client._coalesces and client._core or nil
  serve_outboxes(client)
end

--- Makes the Lua half of a client around one of the core. `message` where the policy is wrong.
---@param policy table
---@param carrier "network"|"script"|"function"
---@param engine userdata
---@return table? client
---@return string? message
function Client.make(policy, carrier, engine)
  local compiled, notify = compile(policy, carrier, engine)
  if not compiled then
    return nil, notify
  end
  local client = setmetatable({
    _engine = engine,
    _carrier = carrier ~= Client._carrier and carrier or nil,
  }, Client)
  if not chaos_allowed and carrier == "network" then
    compiled._core:chaos(false)
  end
  adopt(client, compiled, notify)
  if carrier ~= "script" then
    registry[policy.name] = client
  end
  return client
end

--- A client for the policy. Raises at the caller's line if the policy is misused.
---
---     local payments = neap.client{ name = "payments", base_url = "https://pay.example" }
---@param policy neap.Policy see docs/policy.md
---@return neap.Client
function Client.new(policy)
  local client, message = Client.make(policy, "network", host.default_engine())
  if not client then
    error(message, 2)
  end
  return client
end

local NO_CLIENT = "client: expected a client; its methods are called with a colon"

-- Raises at the line of the caller of a method whose self is something else.
local function check_self(client)
  if not Client.is(client) then
    error(NO_CLIENT, 3)
  end
end

-- A call that has not begun, or nil and what is wrong with the request.
local function prepare(client, method, path, req, without_fallbacks)
  local exchange, message = request.exchange(client, method, path, req, without_fallbacks)
  return exchange and Flight.new(client, exchange, method, path, req), message
end

Client._prepare = prepare

local call_simply = simple_call.make

-- What a call came to; or nil, nil and what is wrong with the request.
local function call(client, method, path, req)
  local simple_core = simple[client]
  if simple_core then
    local made, res, err, message = call_simply(client, simple_core, method, path, req)
    if made then
      return res, err, message
    end
  end
  if not Client.is(client) then
    return nil, nil, NO_CLIENT
  end
  local flight, message = prepare(client, method, path, req)
  if not flight then
    return nil, nil, message
  end
  return drive.run(flight)
end

--- Makes a call through the whole pipeline. A response with any status is a response; what the
--- outside world causes is `nil, err`. Raises at the caller's line if the request is misused.
---
---     local res, err = client:request{ method = "POST", path = "/payments", json = payment }
---@param req neap.Request
---@return neap.Response? res
---@return neap.Error? err
function Client:request(req)
  local res, err, message = call(self, nil, nil, req or {})
  if message then
    error(message, 2)
  end
  return res, err
end

local METHODS = { "get", "head", "post", "put", "patch", "delete", "options" }

--- `client:get(path [, req])` and its like: client:request with that method and path.
for _, method in ipairs(METHODS) do
  local upper = method:upper()
  Client[method] = function(self, path, req)
    local res, err, message = call(self, upper, path, req)
    if message then
      error(message, 2)
    end
    return res, err
  end
end

-- The same in C, where C can be yielded across; what Lua is needed for comes back to it.
if core.method then
  local function in_core(verb)
    return core.method(scheduler.runner, simple, call, simple_call.take_on, verb)
  end
  Client.request = in_core(nil)
  for _, method in ipairs(METHODS) do
    Client[method] = in_core(method:upper())
  end
end

-- For the outbox: a call as client:request makes it, that ends as its own attempts did, and neither
-- as a cache, a fallback nor another call.
function Client:_deliver(req)
  local flight, message = prepare(self, nil, nil, req, true)
  if not flight then
    error(message, 0)
  end
  flight.lone, flight.follows_nobody = true, true
  return drive.run(flight)
end

--- Calls fn with one table at each event: attempt, retry, reject, breaker, fallback, alert, done. A
--- listener that raises is counted (stats().listener_errors) and never felt by the call.
---
---     client:on("breaker", function(event) print(event.client, event.from, event.to) end)
---@param event string
---@param fn fun(event: table)
function Client:on(event, fn)
  check_self(self)
  local message = listeners.check(event, fn)
  if message then
    error(message, 2)
  end
  self._listeners = rawget(self, "_listeners") or {}
  local registered = self._listeners[event] or {}
  registered[#registered + 1] = fn
  self._listeners[event] = registered
  if event ~= "alert" then
    self._core:watch(event, true)
  end
end

--- Changes the policy of the client. Calls under way end under the one that they began with; state
--- goes on where it fits: counters, breakers with their windows, the rate limit, places in the
--- bulkhead, the budget, stored answers, connections (docs/update.md). Listeners stay. Raises at
--- the caller's line if the policy is misused or has another name; then nothing has changed.
---
---     payments:update(require "payments_policy")
---@param policy neap.Policy the whole policy, as for neap.client
function Client:update(policy)
  check_self(self)
  if type(policy) == "table" and rawget(policy, "name") ~= self.name then
    error(("policy.name: expected %q, the client's name, got %s"):format(self.name,
      core.shown_key(rawget(policy, "name"))), 2)
  end
  local compiled, notify = compile(policy, self._carrier, self._engine, self)
  if not compiled then
    error(notify, 2)
  end
  if self._alerts then
    self._alerts:look()
  end
  compiled._core:take_over(self._core)
  adopt(self, compiled, notify)
end

--- The kill switch of `chaos`: false lets the attempts of this client be, in all processes that
--- share its state, until it is switched on again. Without an argument it only tells.
---
---     client:chaos(false)
---@param on? boolean
---@return boolean before was it on?
function Client:chaos(on)
  check_self(self)
  if on ~= nil and type(on) ~= "boolean" then
    error(("on: expected a boolean, got a %s"):format(type(on)), 2)
  end
  return self._core:chaos(on)
end

--- The kill switch of `chaos` for all open clients of the process, and for those that are made
--- later. Those that share their state are switched in every process. The environment variable
--- `NEAP_CHAOS=off` is the same from the start.
---
---     neap.chaos(false)
---@param on boolean
function Client.switch_chaos(on)
  if type(on) ~= "boolean" then
    error(("on: expected a boolean, got a %s"):format(type(on)), 2)
  end
  chaos_allowed = on
  for _, client in pairs(registry) do
    client:chaos(on)
  end
end

function Client:_tell(event, flight)
  listeners.tell(self, event, flight:about())
end

--- The breaker that calls of one key have, where `breaker.key` is "host" (the key is the origin,
--- `https://api.example:443`) or a function; nil where no call has used that key lately.
---
---     local breaker = client:breaker_for("tenant-7")
---     if breaker and breaker:state() == "open" then … end
---@param key string
---@return neap.Breaker?
function Client:breaker_for(key)
  check_self(self)
  if type(key) ~= "string" then
    error(("key: expected a string, got a %s"):format(type(key)), 2)
  end
  return self._core:breaker(key)
end

--- What has been counted since the client was made; see docs/watching.md.
---@return table
function Client:stats()
  check_self(self)
  local stats = self._core:stats()
  stats.breaker = self.breaker and self.breaker:snapshot()
  stats.alerts = self._alerts and self._alerts:firing()
  stats.breakers, stats.breaker_keys = self._core:breakers()
  return stats
end

--- Waits for nothing: calls in flight end with an error of kind `cancelled`, and so do later ones.
function Client:close()
  check_self(self)
  self._core:close()
  host.settle(self._engine)
  if registry[self.name] == self then
    registry[self.name] = nil
  end
end

--- The clients that are open, but for those of testing kits, by their names.
---@return table<string, neap.Client>
function Client.open_clients()
  return registry
end

return Client
