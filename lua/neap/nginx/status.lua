--- Serves the status page about the clients of all workers.
local survey = require "neap.survey"
local exchange = require "neap.nginx.exchange"
local page = require "neap.status"

local status = {}

-- What the page asks of a browser in itself, and what only a header can say.
local HEADERS = {
  ["Content-Security-Policy"] = page.security_policy(true) .. "; frame-ancestors 'none'",
  ["Cache-Control"] = "no-store",
  ["X-Content-Type-Options"] = "nosniff",
  ["Referrer-Policy"] = "no-referrer",
}

-- Clients that share nothing are of the worker that takes the request.
local function place_of_worker()
  if ngx.worker.count() > 1 then
    return ("worker %s only"):format(ngx.worker.id() or ngx.worker.pid())
  end
end

--- Answers the request that nginx handles.
function status.serve()
  for name, value in pairs(HEADERS) do
    ngx.header[name] = value
  end
  exchange.send_page("text/html; charset=utf-8", function()
    local clients, _, is_whole = survey.rows()
    return page.page(clients, { made_at = ngx.time(), live = true, place = place_of_worker(),
      is_partial = not is_whole })
  end)
end

return status
