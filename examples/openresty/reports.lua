--- A page that is dear to make, guarded against too many who want it: five a second, two at once.
local neap = require "neap"
local problem = require "problem"

local Reports = {}
Reports.__index = Reports

-- What takes long: a query, a rendering, or ngx.location.capture of a location that does it.
local function make_report()
  ngx.sleep(0.3)
  return ("report of %s\n"):format(ngx.localtime())
end

--- To be made once, in init_by_lua. The limits are those of all workers together.
function Reports.new()
  return setmetatable({
    make = neap.wrap({
      name = "report",
      rate_limit = { rate = 5, per = 1, burst = 5 },
      bulkhead = { max_concurrent = 2, max_wait = 0.2 }, -- the third waits a little for its turn
      retry = false,
      breaker = false,
    }, make_report),
  }, Reports)
end

-- 429: you ask too often. 503: we are busy.
local STATUS = { rate_limited = 429, bulkhead_full = 503 }

function Reports:serve()
  local report, err = self.make()
  if not report then
    local status = STATUS[err.kind] or 500
    return problem.answer(status, err.kind, err.retry_after or (status == 503 and 1 or nil))
  end
  ngx.header["Content-Type"] = "text/plain"
  ngx.header["X-Worker"] = ngx.worker.pid()
  ngx.print(report)
end

return Reports
