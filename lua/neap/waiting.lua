--- Who waits for what on an engine, by the waiter's id.
--
-- One table serves all loops of the engine, since a coroutine of the program's own may run a loop
-- inside a task of another. What waits is a table with a method `wake`. Whoever waits holds it, and
-- whoever runs a loop on the engine holds the engine's table: LuaJIT would never let go of a value
-- that leads back to its weak key.
local waiting = {}

local of_engine = setmetatable({}, { __mode = "kv" })

--- The engine's table, to be held while it is in use. Who is dropped by its host while it waits,
--- with its coroutine, must not be kept by it.
---@param engine userdata
---@return table<integer, table>
function waiting.on(engine)
  local list = of_engine[engine]
  if not list then
    list = setmetatable({}, { __mode = "v" })
    of_engine[engine] = list
  end
  return list
end

local listening_of = setmetatable({}, { __mode = "kv" })

--- From now on `listener:wake()` is called each time that the waiter of that id is ready. Nobody
--- waits, and the listener is not held; it holds what is returned.
---@param engine userdata
---@param id integer
---@param listener table
---@return table held
function waiting.listen(engine, id, listener)
  local listening = listening_of[engine]
  if not listening then
    listening = setmetatable({}, { __mode = "v" })
    listening_of[engine] = listening
  end
  listening[id] = listener
  return listening
end

local function wake_listener(engine, id)
  local listening = listening_of[engine]
  local listener = listening and listening[id]
  if listener then
    listener:wake()
  end
end

--- Wakes all whose waiters are ready, in order. True if there was any who waited.
---@param engine userdata
---@param list table<integer, table> of waiting.on
---@return boolean
function waiting.wake_ready(engine, list)
  local found = false
  local id = engine:take()
  while id do
    local waits = list[id]
    if waits then
      list[id] = nil
      waits:wake()
      found = true
    else
      wake_listener(engine, id)
    end
    id = engine:take()
  end
  return found
end

return waiting
