--- neap: calls to other people's APIs, made safe.
--
-- Timeouts for each phase and a total deadline, retry with backoff that knows methods, statuses
-- and Retry-After, circuit breaker, gate, rate limit, bulkhead, idempotency keys and an ordered
-- chain of fallbacks, around each call.
local Client = require "neap.client"
local Error = require "neap.error"
local check = require "neap.check"
local compat = require "neap.compat"
local core = require "neap.core"
local host = require "neap.host"
local policies = require "neap.policies"
local survey = require "neap.survey"
local wrap = require "neap.wrap"
require "neap.response"

local neap = {
  _VERSION = core.version,
  client = Client.new,
  breaker = policies.breaker,
  bulkhead = policies.bulkhead,
  rate_limiter = policies.rate_limiter,
  retry_budget = policies.retry_budget,
  backoff = policies.backoff,
  retry_after = policies.retry_after,
  wrap = wrap,
  now = host.now,
  chaos = Client.switch_chaos,
  check = check,
  Error = Error,
}

-- A host that can neither yield nor block here could not run anything side by side.
local function check_can_wait(name)
  if host.cannot_wait_on(host.engine()) then
    error(name .. ": the host cannot wait here, in this phase or inside a C function", 3)
  end
end

--- Runs fn, and all that it spawns, on neap's own loop: calls in them run side by side in one
--- thread. Returns what fn returns once everything has ended; raises what a task raised and
--- nobody awaited.
---
---     neap.run(function() for _, id in ipairs(ids) do neap.spawn(fetch, id) end end)
---@param fn function
---@return any ...
function neap.run(fn, ...)
  if type(fn) ~= "function" then
    error(("fn: expected a function, got a %s"):format(type(fn)), 2)
  end
  if host.in_task() then
    return host.spawn(fn, ...):await()
  end
  check_can_wait("run")
  return host.run(fn, ...)
end

--- Starts fn beside the task that runs; only inside neap.run.
---@param fn function
---@return neap.Task
function neap.spawn(fn, ...)
  if type(fn) ~= "function" then
    error(("fn: expected a function, got a %s"):format(type(fn)), 2)
  end
  if not host.in_task() then
    error("spawn: only inside neap.run", 2)
  end
  return host.spawn(fn, ...)
end

local function settle(task)
  return { compat.pcall(task.await, task) }
end

--- Runs the functions side by side and waits for all: an array of { ok, results… } in their order,
--- where ok is false and the next what was raised, if one raised.
---
---     local answers = neap.all{ ask_first_bank, ask_second_bank }
---@param functions function[]
---@return table[]
function neap.all(functions)
  if type(functions) ~= "table" then
    error(("functions: expected a list of functions, got a %s"):format(type(functions)), 2)
  end
  local count = 0
  for _ in pairs(functions) do
    count = count + 1
  end
  for index = 1, count do
    if type(functions[index]) ~= "function" then
      error(("functions[%d]: expected a function, got a %s"):format(index,
        type(functions[index])), 2)
    end
  end
  check_can_wait("all")
  return neap.run(function()
    local tasks, results = {}, {}
    for index, fn in ipairs(functions) do
      tasks[index] = host.spawn(fn)
    end
    for index, task in ipairs(tasks) do
      results[index] = settle(task)
    end
    return results
  end)
end

--- Lets so many seconds pass: other tasks of neap.run go on, a plain program blocks.
---@param seconds number
function neap.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 or seconds == math.huge then
    error(("seconds: expected a number >= 0, got %s"):format(core.shown(seconds)), 2)
  end
  if not host.sleep(seconds) then
    error("sleep: this phase of the host cannot wait", 2)
  end
end

--- Puts the state of all policies that are made afterwards into memory shared by the machine's
--- processes: breakers, gates, rate limits, bulkheads, budgets and counters of clients of one name
--- are then one. See docs/shared.md. Nil and an error of kind `store` where the region cannot be
--- had: it is another user's, was made by another version, or there is no memory.
---
---     local region, err = neap.shared{ name = "neap", size = 8388608 }
---     if not region then error(tostring(err)) end
---@param options? table name ("neap"), size in bytes (8388608; of a new region)
---@return neap.Region? region with name() and stats()
---@return neap.Error? err
function neap.shared(options)
  local region, err = core.shared(host.default_engine(), options == nil and {} or options)
  if type(err) == "string" then
    error(err, 2)
  end
  return region, err
end

--- A snapshot of every open client by its name.
---@return table<string, table>
function neap.stats()
  return survey.stats()
end

--- What every open client has counted, as the text that Prometheus scrapes: serve it as
--- `text/plain; version=0.0.4`. In nginx use neap.nginx's `metrics`. All metrics are in
--- docs/watching.md. A list of clients, those of a testing kit say, takes the place of all.
---
---     file:write(neap.prometheus())
---@param clients? neap.Client[]
---@return string
function neap.prometheus(clients)
  local text, message = survey.exposition(clients)
  if not text then
    error(message, 2)
  end
  return text
end

--- The status page: one HTML document about every open client, and those that other processes of
--- the same shared memory have. It keeps itself fresh where it is served at an address of its own,
--- as `text/html; charset=utf-8`. In nginx use neap.nginx's `status`. See docs/status.md. A list of
--- clients, those of a testing kit say, takes the place of all.
---
---     socket:send(neap.status())
---@param clients? neap.Client[]
---@return string
function neap.status(clients)
  local rows, message, is_whole = survey.rows(clients)
  if not rows then
    error(message, 2)
  end
  return require("neap.status").page(rows, { made_at = os.time(), live = true,
    is_partial = not is_whole })
end

return neap
