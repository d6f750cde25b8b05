--- Guarded functions.
local neap = require "neap"
local stage = require "spec.allocation.stage"
local testing = require "neap.testing"

local scenarios = {}

local function add(name, set_up)
  scenarios[#scenarios + 1] = { name = name, set_up = set_up }
end

local function policy(part)
  local made = stage.policy(part)
  made.base_url = nil
  return made
end

-- What a function raises for want of memory is its failure, and the breaker's business.
local FORGIVING = { min_calls = 100, enforce = false }

local function at_rest()
  for name, stats in pairs(neap.stats()) do
    if stats.in_flight ~= 0 then
      return false, ("%d calls of %s in flight"):format(stats.in_flight, name)
    end
  end
  return true
end

add("a function that succeeds", function()
  local guarded = neap.wrap(policy{ breaker = FORGIVING }, function(a, b) return a, b end)
  return function()
    local a, b = guarded(1, 2)
    return a == 1 and b == 2, b
  end, at_rest
end)

local function fails_as(wanted, err)
  return tostring(err.cause):find(wanted, 1, true) ~= nil, err
end

add("a function that fails", function()
  local guarded = neap.wrap(policy{ breaker = FORGIVING, retry = false }, function()
    error("wanted", 0)
  end)
  return function()
    local _, err = guarded()
    return fails_as("wanted", err)
  end, at_rest
end)

-- A function whose every third run succeeds, and which is repeated until it does.
local function repeated(backoff, fail)
  local count = 0
  local guarded = neap.wrap(policy{ breaker = FORGIVING,
    retry = { max_attempts = 5, backoff = backoff, budget = false } }, function()
    count = count + 1
    if count % 3 ~= 0 then
      return fail()
    end
    return count
  end)
  return function()
    count = 0
    local value, err = guarded()
    return value and true, err
  end, at_rest
end

add("a function that is repeated", function()
  return repeated({ base = 0 }, function()
    return nil, { message = "again" }
  end)
end)

add("a function that waits to be repeated", function()
  return repeated({ kind = "fixed", base = 0.0001, jitter = "none" }, function()
    error({ code = "again" })
  end)
end)

add("a function that is refused", function()
  local inner
  local guarded = neap.wrap(policy{ breaker = FORGIVING, retry = false }, function()
    return inner()
  end)
  inner = function()
    inner = function() return "in" end
    local value, err = guarded()
    inner = nil
    if value then
      return nil, "it was not refused"
    end
    return err
  end
  local first = inner
  return function()
    inner = first
    local refusal, err = guarded()
    if not refusal then
      return nil, err
    end
    return refusal.kind == "bulkhead_full", refusal
  end, at_rest
end)

add("functions in tasks, that sleep", function()
  local kit = testing.new{ seed = 1 }
  local made
  local function guarded(n)
    return made(n)
  end
  made = kit:run(function()
    return neap.wrap(policy{ breaker = FORGIVING,
      bulkhead = { max_concurrent = 2, max_wait = 100 } }, function(n)
      neap.sleep(0.1)
      return n
    end)
  end)
  return function()
    return kit:run(function()
      local tasks, failed = {}, nil
      for n = 1, 4 do
        tasks[n] = neap.spawn(guarded, n)
      end
      for _, task in ipairs(tasks) do
        local value, err = task:await()
        failed = failed or not value and err or nil
      end
      return not failed, failed
    end)
  end, at_rest
end)

add("a function whose policy asks Lua", function()
  local count = 0
  local guarded = neap.wrap(policy{
    breaker = { key = function(args) return args[1] end, failure = function() return "ignore" end },
    retry = { when = function() return true end, backoff = function() return 0 end,
      budget = false },
    fallback = { function(args) return "fallback for " .. args[1] end },
  }, function()
    count = count + 1
    error("always", 0)
  end)
  return function()
    local value, err = guarded("x")
    return value == "fallback for x", err
  end, at_rest
end)

return scenarios
