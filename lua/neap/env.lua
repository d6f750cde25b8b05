--- The `env` of stores, the guard and the outbox: the engine by whose clock they work.
--
-- That of a testing kit stands for the kit's own engine. Any other with a clock of its own gets a
-- virtual engine, which is put to the time that the functions say whenever something is asked of
-- it; what waits on it takes no time. `time`, the wall clock, counts where something must outlive a
-- process; where only one of the two clocks is given it is both.
local core = require "neap.core"
local host = require "neap.host"

local env = {}

-- By their env. A kit holds its engine, whose background may lead back to the kit: LuaJIT would
-- never let go of such a value.
local of_kits = setmetatable({}, { __mode = "kv" })
local private = setmetatable({}, { __mode = "k" })

--- The kit's env from now on stands for its engine.
---@param given neap.Env
---@param engine userdata
function env.stand_for(given, engine)
  of_kits[given] = engine
end

local KEYS = { clock = true, time = true, random = true }

--- What is wrong with the env among a user's options, or nil.
---@param options any
---@return string?
function env.flaw(options)
  local given = type(options) == "table" and options.env or nil
  if type(given) ~= "table" and given ~= nil then
    return ("options.env: expected a table, got a %s"):format(type(given))
  end
  for key, value in pairs(given or {}) do
    if not KEYS[key] then
      return ("options.env.%s: unknown key, expected clock, time or random"):format(
        core.shown_key(key))
    end
    if type(value) ~= "function" then
      return ("options.env.%s: expected a function, got a %s"):format(key, type(value))
    end
  end
end

local function read(given, name, other)
  local seconds = (given[name] or given[other])()
  if type(seconds) ~= "number" or seconds ~= seconds or math.abs(seconds) == math.huge then
    error(("env.%s: expected a number of seconds to be returned, got %s"):format(name,
      core.shown(seconds)), 0)
  end
  return seconds
end

--- The wall clock of an env that has one. Raises where it answers no number of seconds.
---@param given neap.Env
---@return number seconds since 1970
function env.time(given)
  return read(given, "time", "clock")
end

--- The engine that counts here and now for somebody with this env; its clocks are right.
---@param given? neap.Env
---@return userdata engine
function env.engine(given)
  if not given or not (given.clock or given.time) then
    return host.engine()
  end
  if of_kits[given] then
    return of_kits[given]
  end
  local engine = private[given] or core.virtual_engine(0, 0)
  private[given] = engine
  engine:place(read(given, "clock", "time"), read(given, "time", "clock"))
  engine:poll()
  return engine
end

return env
