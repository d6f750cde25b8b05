-- Guarded calls, one at a time: every policy on, nothing failing. Prints the seconds of processor
-- time and of the wall for COUNT calls of URL.
-- Usage: calls.lua URL COUNT
local neap = require "neap"

local url, count = arg[1], tonumber(arg[2])
local api = neap.client{
  name = "bench",
  timeout = { attempt = 10 },
  rate_limit = { rate = 1000000 },
  bulkhead = { max_concurrent = 100 },
}

local wall, cpu = neap.now(), os.clock()
for _ = 1, count do
  local res = assert(api:request{ url = url })
  assert(res.status == 200 and #res.body > 0)
end
print(("%.6f %.6f"):format(os.clock() - cpu, neap.now() - wall))
