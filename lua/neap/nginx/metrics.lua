--- Serves what the clients of all workers have counted, as Prometheus scrapes it.
local Client = require "neap.client"

local metrics = {}

local CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

local METHODS = { GET = true, HEAD = true }

-- Where workers share nothing, each scrape gets the figures of the one that takes it: under one
-- name they would jump from worker to worker, and every jump down would look like a restart.
local function label_of_worker()
  if ngx.worker.count() > 1 then
    return "worker", tostring(ngx.worker.id() or ngx.worker.pid())
  end
end

local function refuse_method()
  ngx.header["Allow"] = "GET, HEAD"
  ngx.header["Content-Type"] = "text/plain"
  ngx.status = 405
  ngx.print("GET or HEAD\n")
end

--- Answers the request that nginx handles.
function metrics.serve()
  if not METHODS[ngx.req.get_method()] then
    return refuse_method()
  end
  local text = Client.exposition(nil, label_of_worker())
  ngx.header["Content-Type"] = CONTENT_TYPE
  ngx.header["Content-Length"] = #text
  ngx.print(text)
end

return metrics
