--- Calls of clients that need nothing of Lua, made by a function or two of the core on each host.
--
-- Where C can be yielded across, the client's methods are C and do this themselves for blocking
-- programs and tasks of neap.run (src/binding/caller_methods.c). What is made here is the rest: all
-- of it on Lua 5.1, 5.2 and LuaJIT, and elsewhere calls on a loop that is not neap's, and those of
-- clients with alerts.
local background = require "neap.background"
local core = require "neap.core"
local Flight = require "neap.flight"
local drive = require "neap.drive"
local host = require "neap.host"
local tasks = require "neap.tasks"

local simple_call = {}

local call_in_core, start_call, finish_call = core.call, core.start_call, core.finish_call
local park_call, await = core.park_call, tasks.await
local running, backgrounds = tasks.running, background.of_engine

-- The whole call in the core, where the host does nothing but block: true and what it came to.
-- Nothing where it has to be driven.
local function call_at_once(client, simple_core, method, path, req)
  local made, res, err, message = call_in_core(client, method, path, req, simple_core)
  if client._alerts and made then
    client._alerts:look()
    host.settle(client._engine)
  end
  return made, res, err, message
end

local NO_FUNCTIONS = {}

--- Goes on with a call that is under way and has come to need Lua: listeners, say, that came
--- meanwhile. Its client's policy may be another one already, and what the call began under had
--- neither functions nor fallbacks nor a cache.
local function take_on(exchange, client, method, path, req)
  local flight = Flight.new(client, exchange, method, path, req)
  flight.functions, flight.fallbacks, flight.cache = NO_FUNCTIONS, false, false
  flight.is_under_way = true
  return drive.run(flight)
end

simple_call.take_on = take_on

-- What a call came to that was begun so and waits no more.
local function land(client, simple_core, exchange, method, path, req)
  if client._alerts then
    client._alerts:look()
  end
  local made, res, err = finish_call(simple_core, exchange)
  if not made then
    return true, take_on(exchange, client, method, path, req)
  end
  host.settle(client._engine)
  return true, res, err
end

-- The same in a task of neap's own loop, which goes on with others meanwhile.
local function call_in_task(client, simple_core, task, method, path, req)
  local exchange, id = start_call(client, method, path, req, simple_core, task.co)
  if not exchange then
    return exchange == false, nil, nil, id
  end
  if id then
    await(task, exchange, id)
  end
  return land(client, simple_core, exchange, method, path, req)
end

-- The same where the coroutine is parked on a loop that is not neap's.
local function call_parked(client, simple_core, method, path, req)
  local engine = client._engine
  local whom, park = host.whom_to_park(engine)
  if not whom or not park_call then
    return
  end
  local exchange, id, due, has_mail = park_call(client, method, path, req, simple_core, whom)
  if not exchange then
    return exchange == false, nil, nil, id
  end
  if id then
    park(engine, exchange, id, due, has_mail)
  end
  return land(client, simple_core, exchange, method, path, req)
end

--- True and what the call came to: a response, or nil and the error, or nil, nil and what is wrong
--- with the request. Nothing where it has to be driven.
---@param client neap.Client
---@param simple_core userdata the client's
---@param method? string
---@param path? string
---@param req? neap.Request
---@return true? made
---@return neap.Response? res
---@return neap.Error? err
---@return string? message
function simple_call.make(client, simple_core, method, path, req)
  local task = running.task
  if running.elsewhere then
    return call_parked(client, simple_core, method, path, req)
  end
  if not task and not backgrounds[client._engine] then
    return call_at_once(client, simple_core, method, path, req)
  end
  if task and start_call and task.loop.engine == client._engine then
    return call_in_task(client, simple_core, task, method, path, req)
  end
end

return simple_call
