--- The client's cache: carries the steps of the store that the core asks for, and refreshes what
-- was answered stale.
--
-- What may be stored, how long it is fresh and under which key it lies is decided in the core
-- (src/client/exchange_cache.h). A store that fails is no error of the call.
local compat = require "neap.compat"
local core = require "neap.core"
local host = require "neap.host"
local store = require "neap.store"

local cache = {}

-- A refresh that failed is left alone for so many seconds.
local PAUSE = 1

-- Beside each answer lies the record of its URL.
local ENTRIES_PER_ANSWER = 2

local function memory_of(bounds)
  return store.constructor("memory"){
    max_bytes = bounds.max_bytes,
    max_entries = bounds.max_entries * ENTRIES_PER_ANSWER,
  }
end

-- Answers that a client has kept itself stay, where as much may be kept.
local function kept_memory(before, bounds)
  local had = before and before.bounds
  if had and had.max_bytes == bounds.max_bytes and had.max_entries == bounds.max_entries then
    return before.store
  end
end

--- What a client needs for its cache; nil where it has none, nil and a message where the policy is
--- wrong.
---@param made userdata the client of the core
---@param given? any the policy's cache.store
---@param before? table what the client has until now
---@return table? cache
---@return string? message
function cache.new(made, given, before)
  if given ~= nil and not store.is(given) then
    return nil, "policy.cache.store: expected a store"
  end
  local bounds = made:cache()
  if not bounds then
    return nil
  end
  return {
    store = given or kept_memory(before, bounds) or memory_of(bounds),
    bounds = not given and bounds,
    refreshing = setmetatable({}, { __mode = "v" }), -- key -> the call that does it, while it lives
    failed = {},                                     -- key -> when its last refresh failed
  }
end

-- A store that is down answers nil.
local function carry(flight)
  local exchange, engine = flight.exchange, flight.client._engine
  local op, arguments = exchange:cache_step()
  while op do
    exchange:cache_take((store.perform(flight.cache.store, engine, op, arguments)))
    op, arguments = exchange:cache_step()
  end
end

local function note_end(mine, key, now, succeeded)
  mine.refreshing[key] = nil
  for other, at in pairs(mine.failed) do
    if now - at >= PAUSE then
      mine.failed[other] = nil
    end
  end
  mine.failed[key] = not succeeded and now or nil
end

local function may_refresh(mine, key, now)
  local failed = mine.failed[key]
  return not mine.refreshing[key] and not (failed and now - failed < PAUSE)
end

-- The same request as a call of its own. It is made at once, since the caller's tables are the
-- caller's again when it has its answer.
local function repeat_call(flight)
  local done, again = compat.pcall(flight.client._prepare, flight.client, flight.method,
    flight.path, flight.given)
  if done and again then
    again.lone = true
    return again
  end
end

local function refresh(flight, run)
  local mine, engine = flight.cache, flight.client._engine
  local key = flight.exchange:cache_key()
  if not may_refresh(mine, key, engine:now()) then
    return
  end
  local again = repeat_call(flight)
  if not again then
    return note_end(mine, key, engine:now(), false)
  end
  mine.refreshing[key] = again
  local begun = host.background(engine, function()
    local done, res = compat.pcall(run, again)
    note_end(mine, key, engine:now(), done and res and not core.is_failing_status(res.status))
  end)
  if not begun then
    mine.refreshing[key] = nil
    again.exchange:free()
  end
end

--- Before a call begins: what has come to its attention where the cache has answered it, else nil.
---@param flight table
---@param run function carries a call out
---@return string? attention
function cache.begin(flight, run)
  local exchange = flight.exchange
  if not exchange:use_cache(flight.lone) then
    return nil
  end
  carry(flight)
  local answered = exchange:begin_by_cache()
  if answered == "background" then
    refresh(flight, run)
  end
  return answered and exchange:attention()
end

--- When a call is done: its answer is stored, or what it has changed is forgotten.
---@param flight table
function cache.conclude(flight)
  flight.exchange:conclude_cache()
  carry(flight)
end

return cache
