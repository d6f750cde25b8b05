-- One kind of call, so often within the frame that callgrind counts.
-- Usage: workload.lua success|failing|refused|http TIMES [URL [run]]      (run: within neap.run)
local counted = require("bench.calls").counted
local neap = require "neap"
local policy = dofile("bench/subjects/policy.lua")

local workload, times, url, way = arg[1], tonumber(arg[2]), arg[3], arg[4]
-- Calls that are not counted, to an upstream that does not wait: the first ones make what later
-- ones find, and LuaJIT compiles; what happens in few of them, later.
local WARM = workload == "failing" and 3000 or 600

local function identity(value)
  return value
end

local function failing()
  return nil, "busy"
end

local workloads = {}

function workloads.success()
  local guarded = neap.wrap(policy.guard(), identity)
  return function()
    guarded(1)
  end
end

-- One attempt in 75 succeeds, so that the breaker stays closed.
function workloads.failing()
  local attempts = 0
  local guarded = neap.wrap(policy.guard(policy.three_attempts), function()
    attempts = attempts + 1
    if attempts % 75 == 1 then
      return true
    end
    return nil, "busy"
  end)
  return function()
    guarded()
  end
end

function workloads.refused()
  local guarded = neap.wrap(policy.guard(policy.opens_at_once), failing)
  guarded()
  return function()
    guarded()
  end
end

function workloads.http()
  local api = neap.client(policy.full(url, 1))
  local request = { method = "GET", url = url:gsub("%?.*", "") }
  return function()
    local res = assert(api:request(request))
    assert(res.status == 200 and res.body ~= "")
  end, function()
    request.url = url
  end
end

-- So many times `call`, in one neap.run where that is wanted, and then `last`.
local function repeated(call, count, last)
  local function all()
    for _ = 1, count do
      call()
    end
    last()
  end
  return way == "run" and function()
    neap.run(all)
  end or all
end

local call, begin = workloads[workload]()
repeated(call, WARM, collectgarbage)()
if begin then
  begin()
end
-- One whole collection of what all of them leave: how many the collector would begin meanwhile
-- depends on the heap of the day.
collectgarbage()
collectgarbage "stop"
counted(repeated(call, times, collectgarbage), 1)
