--- A gateway to an API that fails now and then: retries, a breaker, and the last answer that was
--- good.
local neap = require "neap"
local problem = require "problem"

local Gateway = {}
Gateway.__index = Gateway

local last_known = ngx.shared.last_known

-- An old rate is better than none. Nil where there is none: the caller then gets the failure.
local function answer_from_memory(request)
  local body = last_known:get(request.path)
  return body and { status = 200, body = body }
end

--- To be made once, in init_by_lua: all workers inherit it.
function Gateway.new(base_url)
  return setmetatable({
    api = neap.client{
      name = "rates",
      base_url = base_url,
      timeout = { connect = 0.5, read = 1, total = 3 },
      retry = { max_attempts = 3, backoff = { base = 0.05 } },
      breaker = {
        window = { count = 20 },
        min_calls = 10,
        failure_rate = 0.6,
        open_for = 3, -- short, for trying it out; the default is 30 s
        half_open = { permits = 2 },
      },
      fallback = { answer_from_memory },
    },
  }, Gateway)
end

-- The status that tells our own clients whose fault it was.
local STATUS = { timeout = 504, deadline = 504, breaker_open = 503, gate = 503 }

function Gateway:serve()
  local path = ngx.var.uri:sub(2) -- relative to the base_url
  local res, err = self.api:get(path)
  if not res then
    return problem.answer(STATUS[err.kind] or 502, err.kind, err.retry_after)
  end
  if not res.degraded and res.status == 200 then
    last_known:set(path, res.body)
  end
  ngx.status = res.status
  ngx.header["Content-Type"] = res.headers["Content-Type"] or "application/json"
  ngx.header["X-Source"] = res.source -- network, or function: the fallback's
  ngx.header["X-Attempts"] = res.attempts
  ngx.header["X-Worker"] = ngx.worker.pid()
  ngx.print(res.body)
end

return Gateway
