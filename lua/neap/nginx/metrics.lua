--- Serves what the clients of all workers have counted, as Prometheus scrapes it.
local survey = require "neap.survey"
local exchange = require "neap.nginx.exchange"

local metrics = {}

local CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

-- Where workers share nothing, each scrape gets the figures of the one that takes it: under one
-- name they would jump from worker to worker, and every jump down would look like a restart.
local function label_of_worker()
  if ngx.worker.count() > 1 then
    return "worker", tostring(ngx.worker.id() or ngx.worker.pid())
  end
end

--- Answers the request that nginx handles.
function metrics.serve()
  exchange.send_page(CONTENT_TYPE, function()
    return (survey.exposition(nil, label_of_worker()))
  end)
end

return metrics
