-- Guarded calls of neap with the full policy, nothing failing: one at a time, or side by side in
-- neap.run. Each client carries its share of those side by side.
-- Usage: calls.lua GET|POST URL BODY CALLS SIDE_BY_SIDE       (0: blocking, one at a time)
local here = arg[0]:match("^(.*)/")
local measure, policy = dofile(here .. "/measure.lua"), dofile(here .. "/policy.lua")
local neap = require "neap"

local method, url, body = arg[1], arg[2], arg[3]
local calls, side_by_side = tonumber(arg[4]), tonumber(arg[5])
local api = neap.client(policy.full(url, math.max(side_by_side, 1)))
local path, now = url, neap.now
local request = { method = method, url = path, body = method == "POST" and body or nil }

local function call()
  local res = assert(api:request(request))
  measure.check(res.status, res.body, body)
end

local function one_at_a_time()
  local latencies = {}
  call()
  local begun = measure.begin(now)
  local last = begun.wall
  for i = 1, calls do
    call()
    local moment = now()
    latencies[i] = moment - last
    last = moment
  end
  measure.print(begun, calls, latencies)
end

-- So many tasks, which share the calls.
local function tasks(count, latencies)
  local left, list = count, {}
  local function go_on()
    while left > 0 do
      left = left - 1
      local begun = now()
      call()
      latencies[#latencies + 1] = now() - begun
    end
  end
  for i = 1, side_by_side do
    list[i] = neap.spawn(go_on)
  end
  for i = 1, side_by_side do
    list[i]:await()
  end
end

if side_by_side == 0 then
  one_at_a_time()
else
  neap.run(function()
    tasks(side_by_side, {})
    local latencies, begun = {}, measure.begin(now)
    tasks(calls, latencies)
    measure.print(begun, calls, latencies)
  end)
end
