--- Stores in Lua: what neap.store.memory, .sqlite and .redis have in common, and how a step of one
--- is made on each host.
--
-- A step of the memory kind is made at once. One that may wait for a disk or a network is made on
-- the store's own thread while the coroutine that asks yields; a plain program blocks.
local Error = require "neap.error"
local core = require "neap.core"
local env = require "neap.env"
local host = require "neap.host"

local store = {}

---@class neap.Store
local Store = {}
Store.__index = Store

--- Is the value a store?
---@param value any
---@return boolean
function store.is(value)
  return getmetatable(value) == Store
end

--- The constructor of one kind. Fails here where the library that it needs is missing.
---@param kind "memory"|"sqlite"|"redis"
---@param package? string
---@return fun(options?: table): neap.Store?, neap.Error?
function store.constructor(kind, package)
  if not core.has_store(kind) then
    error(("neap was built without the library for neap.store.%s: install %s and build neap again")
      :format(kind, package), 0)
  end
  return function(options)
    local flaw = env.flaw(options)
    if flaw then
      error(flaw, 2)
    end
    local made, err = core.store(kind, options == nil and {} or options)
    if type(err) == "string" then
      error(err, 2)
    end
    if not made then
      return nil, err
    end
    return setmetatable({ _core = made, _kind = kind, _env = (options or {}).env }, Store)
  end
end

-- How a step that failed is told; `lost` and `none` are answers.
local FAILED = { full = true, invalid = true, unavailable = true }

local function result_of(step)
  local status, value, more = step:result()
  step:free()
  if FAILED[status] then
    return nil, Error.new{
      kind = "store",
      message = value,
      retryable = status == "unavailable",
    }
  end
  return value, more
end

--- Makes one step of the store for the code that runs, by the clock of the engine, or at the
--- `now_time` among the arguments.
--
-- Operations and their arguments (all texts may hold any bytes; times are seconds since 1970):
--
--     get { key }                                  -> value | false
--     put { key, value, until_time }               -> true
--     remove { key }                               -> true
--     outbox_put { key, ordering_key, value }      -> id            (key: the outbox's name)
--     outbox_take { key, lease }                   -> { id, token, value, attempts, put_at }
--                                                     | false, next_time (nil where it is empty)
--     outbox_renew { id, token, lease }            -> true | false where it is another's
--     outbox_done { id, token }                    -> true | false
--     outbox_retry { id, token, until_time }       -> true | false
--     outbox_bury { id, token, value }             -> true | false  (value: the reason)
--     outbox_count { key }                         -> { waiting, taken, dead }
--     outbox_dead { key, id }                      -> { id, value, reason, attempts, put_at,
--                                                       died_at } | false   (the next after id)
--     outbox_revive { id }, outbox_drop { id }     -> true | false
--     sweep {}                                     -> is there more?
--
-- Nil and an error of kind `store` where the store failed, or of kind `phase` where the host cannot
-- wait; see src/store/store.h for what then is certain.
---@param self neap.Store
---@param engine userdata
---@param op string
---@param arguments table
---@return any result
---@return any more
function store.perform(self, engine, op, arguments)
  local step = core.store_step(self._core, engine, op, arguments)
  if self._core:is_quick() then
    step:perform()
  elseif host.can_yield_on(engine) and not engine:is_virtual() then
    step:send()
    host.wait(engine, step)
  elseif host.cannot_wait_on(engine) then
    step:free()
    return nil, Error.new{ kind = "phase", message = "a store cannot be waited for here" }
  else
    step:perform()
  end
  return result_of(step)
end

return store
