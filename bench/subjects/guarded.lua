-- A function called bare, through the floors of bench/floors/calls.c, guarded by neap, or by
-- lua-circuit-breaker: nanoseconds a call.
-- Usage: guarded.lua WAY COUNT
local here = arg[0]:match("^(.*)/")
local policy = dofile(here .. "/policy.lua")
local neap = require "neap"

local way, count = arg[1], tonumber(arg[2])

local function identity(value)
  return value
end

local ways = {}

function ways.empty()
  return require("bench.calls").empty
end

function ways.pcall()
  return require("bench.calls").pcall, identity
end

function ways.success()
  return neap.wrap(policy.guard(), identity)
end

-- One attempt in 75 succeeds, so that the breaker stays closed.
function ways.failing()
  local attempts = 0
  return neap.wrap(policy.guard(policy.three_attempts), function()
    attempts = attempts + 1
    if attempts % 75 == 1 then
      return true
    end
    return nil, "busy"
  end)
end

function ways.refused()
  local guarded = neap.wrap(policy.guard(policy.opens_at_once), function()
    return nil, "busy"
  end)
  guarded()
  local value, err = guarded()
  assert(value == nil and err.kind == "breaker_open", "the breaker did not open")
  return guarded
end

-- The modules of a checkout of lua-circuit-breaker are in its src/.
local function search_in(checkout)
  table.insert(package.searchers or package.loaders, 2, function(name)
    local file = name:match("^lua%-circuit%-breaker%.(%w+)$")
    return file and assert(loadfile(("%s/src/%s.lua"):format(checkout, file)))
  end)
end

function ways.dream11()
  search_in(os.getenv "DREAM11")
  local breakers = require("lua-circuit-breaker.factory"):new()
  local breaker = assert(breakers:get_circuit_breaker("bench", "bench", { version = 1 }))
  return function(value)
    local admitted, refusal = breaker:_before()
    if not admitted then
      return nil, refusal
    end
    local generation = breaker._generation
    local ok, result = pcall(identity, value)
    breaker:_after(generation, ok)
    return result
  end
end

local function repeated(call, first, times)
  if first then
    for i = 1, times do
      call(first, i)
    end
    return
  end
  for i = 1, times do
    call(i)
  end
end

local call, first = assert(ways[way], "unknown way")()
repeated(call, first, math.floor(count / 10))
local begun = neap.now()
repeated(call, first, count)
print(("ns=%.2f"):format((neap.now() - begun) / count * 1e9))
