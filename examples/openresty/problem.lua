--- Failures as RFC 9457 wants them: application/problem+json.
local cjson = require "cjson.safe"

local problem = {}

local TITLES = {
  [429] = "Too Many Requests",
  [500] = "Internal Server Error",
  [502] = "Bad Gateway",
  [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

--- Answers the request that is being handled.
---@param status integer
---@param reason string neap's kind of error; its message may name hosts, and stays in the house
---@param retry_after? number seconds
function problem.answer(status, reason, retry_after)
  ngx.status = status
  ngx.header["Content-Type"] = "application/problem+json"
  ngx.header["X-Worker"] = ngx.worker.pid()
  if retry_after then
    ngx.header["Retry-After"] = math.max(math.ceil(retry_after), 1) -- whole seconds, not too early
  end
  ngx.print(cjson.encode{ status = status, title = TITLES[status], detail = reason }, "\n")
end

return problem
