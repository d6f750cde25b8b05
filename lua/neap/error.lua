--- The errors of neap: what the outside world causes and a call answers with, as `nil, err`.
--
-- The core makes such tables too, with the metatable that it is given here.
local core = require "neap.core"

---@class neap.Error
---@field kind neap.ErrorKind
---@field message string for people; holds no credential
---@field phase? "connect"|"write"|"read"|"attempt"|"total" which limit ran out; kind `timeout`
---@field retryable boolean the same call may be made again
---@field attempts integer attempts made, 0 where none was allowed
---@field elapsed number seconds since the call began
---@field retry_after? number seconds until asking again makes sense
---@field cause? any what a wrapped function raised, or the error behind this one
---@field at? number when the call ended, on the clock of `neap.now()`
---@field trace? table[] one entry an attempt or wait
---@field status? integer of the last response, where there was one

---@alias neap.ErrorKind
---| "resolve" | "connect" | "tls" | "timeout" | "reset" | "protocol" | "too_large"
---| "breaker_open" | "gate" | "rate_limited" | "bulkhead_full" | "deadline" | "cancelled"
---| "redirect" | "conflict" | "store" | "phase" | "error"

local Error = {}

local metatable = { __name = "neap.error" }

-- A call that an open breaker refused at once, and has left nothing but its error.
local function trace_of_refusal(err)
  local kind, at = rawget(err, "kind"), rawget(err, "at")
  if kind ~= "breaker_open" or rawget(err, "attempts") ~= 0 or not at then
    return nil
  end
  return { { at = at, elapsed = 0.0, kind = "reject", error = kind, reason = kind } }
end

-- Of the failures of lua/neap/compiled.lua: the number that a trace is made from, as
-- src/binding/guarded_ffi.c has it, by the error, which it does not hold.
local history_of = setmetatable({}, { __mode = "k" })

local NANO = 1e9

local function nanoseconds(seconds)
  return math.floor(seconds * NANO + 0.5)
end

-- How long each attempt took, in nanoseconds, and why the last one was the last.
local function attempts_of(history, elapsed)
  local numbers = core.guarded_ffi
  local count = history % numbers.COUNTS
  local rest = math.floor(history / numbers.COUNTS)
  local stop = numbers.stops[rest % numbers.STOPS]
  rest = math.floor(rest / numbers.STOPS)
  local list = {}
  for index = 1, count - 1 do
    list[index] = rest % numbers.ELAPSEDS
    elapsed = elapsed - list[index]
    rest = math.floor(rest / numbers.ELAPSEDS)
  end
  list[count] = elapsed
  return list, stop
end

local function trace_of_failure(err)
  local history, at, elapsed = history_of[err], rawget(err, "at"), rawget(err, "elapsed")
  if not history or type(at) ~= "number" or type(elapsed) ~= "number" then
    return nil
  end
  local attempts, stop = attempts_of(history, nanoseconds(elapsed))
  local trace, began = {}, nanoseconds(at) - nanoseconds(elapsed)
  for index, took in ipairs(attempts) do
    if index > 1 then
      trace[#trace + 1] = { at = began / NANO, elapsed = 0.0, kind = "wait", reason = "backoff" }
    end
    trace[#trace + 1] = {
      at = began / NANO, elapsed = took / NANO, kind = "attempt", error = "error",
    }
    began = began + took
  end
  trace[#trace].reason = stop
  return trace
end

-- The list is made when it is first asked for, and is an ordinary field from then on.
function metatable.__index(err, key)
  if key ~= "trace" then
    return nil
  end
  local trace = core.error_trace(err) or trace_of_failure(err) or trace_of_refusal(err)
  rawset(err, "trace", trace)
  return trace
end

-- LuaJIT and Lua 5.1 have no such hook: there, whoever goes through all fields meets the trace once
-- it has been asked for.
function metatable.__pairs(err)
  local _ = err.trace
  return next, err, nil
end

local function seconds_text(seconds)
  local text = ("%.3f"):format(seconds):gsub("%.?0+$", "")
  return text
end

function metatable.__tostring(err)
  local text = tostring(err.kind)
  if err.phase then
    text = ("%s (%s)"):format(text, err.phase)
  end
  if err.message and err.message ~= "" then
    text = ("%s: %s"):format(text, err.message)
  end
  if err.retry_after then
    text = ("%s (retry after %s s)"):format(text, seconds_text(err.retry_after))
  end
  return text
end

-- What guarded functions come to, the first while a circuit breaker is open. Whoever calls these
-- sets the metatable.
local function refusal(why, at, retry_after)
  return {
    kind = "breaker_open", message = why, retryable = true, attempts = 0, elapsed = 0.0, at = at,
    retry_after = retry_after,
  }
end

local function failure(message, retryable, attempts, elapsed, at, cause)
  return {
    kind = "error", message = message, retryable = retryable, attempts = attempts,
    elapsed = elapsed, at = at, cause = cause,
  }
end

core.set_error_class(metatable, refusal, failure)

-- For lua/neap/compiled.lua.
function Error._refusal(why, at, retry_after)
  return setmetatable(refusal(why, at, retry_after), metatable)
end

function Error._failure(message, retryable, attempts, elapsed, at, cause, history)
  local err = setmetatable(failure(message, retryable, attempts, elapsed, at, cause), metatable)
  history_of[err] = history
  return err
end

--- Makes an error of a table with its fields. The table itself becomes the error. `retryable`,
--- `attempts` and `elapsed` have the defaults false, 0 and 0. Raises for an unknown kind.
---
---     return nil, Error.new{ kind = "store", message = "the database is locked" }
---@param fields table with `kind`, `message` and what else is known
---@return neap.Error
function Error.new(fields)
  if type(fields) ~= "table" then
    error(("expected a table of fields, got %s"):format(type(fields)), 2)
  end
  if not core.kinds[fields.kind] then
    error(("kind: expected a kind of error, got %s"):format(core.shown_key(fields.kind)), 2)
  end
  fields.retryable = fields.retryable or false
  fields.attempts = fields.attempts or 0
  fields.elapsed = fields.elapsed or 0
  return setmetatable(fields, metatable)
end

--- Is the value an error of neap?
---
---     local res, err = client:get("/users")
---     if not res and Error.is(err) and err.kind == "breaker_open" then … end
---@param value any
---@return boolean
function Error.is(value)
  return type(value) == "table" and getmetatable(value) == metatable
end

return Error
