--- What neap gives to a location of nginx: requests under idempotency keys, metrics, and the status
--- page.
--
--     content_by_lua_block {
--         require("neap.nginx").idempotency(guard, function(req)
--             return { status = 201, body = pay(req.body) }
--         end)
--     }
--
--     content_by_lua_block { require("neap.nginx").metrics() }
--     content_by_lua_block { require("neap.nginx").status() }
--
-- See docs/serving.md, docs/openresty.md and docs/status.md.
if not (ngx and ngx.req) then
  error("neap.nginx is for nginx with its Lua module, and there is none here", 0)
end

local answer = require "neap.answer"
local exchange = require "neap.nginx.exchange"
local idempotency = require "neap.idempotency"
local metrics = require "neap.nginx.metrics"
local status_page = require "neap.nginx.status"
local upstream = require "neap.nginx.upstream"

local nginx = {}

local function flaw_of(guard, handler)
  if not idempotency.is(guard) then
    return "guard: expected a guard, as neap.idempotency makes one"
  end
  if type(handler) == "function" then
    return nil
  end
  if type(handler) ~= "table" then
    return ("handler: expected a function or a table, got a %s"):format(type(handler))
  end
  local flaw = upstream.flaw(handler)
  return flaw and "handler." .. flaw
end

-- In the phases before these nginx has not decided yet who may see the location.
local PHASES = { access = true, content = true }

local function flaw_of_phase()
  local phase = ngx.get_phase()
  if not PHASES[phase] then
    return ("a request is answered in content_by_lua or access_by_lua, not in the phase %s")
      :format(phase)
  end
end

local function log(what)
  ngx.log(ngx.ERR, "neap: ", tostring(what))
end

local function end_request()
  if ngx.get_phase() == "access" then
    ngx.exit(ngx.HTTP_OK) -- or the content would come too
  end
end

local function send(res)
  if not exchange.send(res) then
    log "the handler has sent an answer by itself; it is to return it"
  end
  end_request()
end

local function send_given(given)
  local status, flat, body = answer.parts(given)
  if not status then
    error("the handler's answer: " .. flat, 0)
  end
  send(answer.new(status, flat, body))
end

local function serve(guard, handler)
  local req = exchange.head()
  local body, why = exchange.body()
  if not body then
    log("the request's body cannot be read: " .. tostring(why))
    return send_given(exchange.problem(500, "body", "Request failed",
      "The request was not carried out, because its body could not be read."))
  end
  req.body = body
  if guard:passes(req) then
    return send_given(handler(req))
  end
  local res, err = guard:handle(req, handler)
  if not res then
    error(tostring(err), 0)
  end
  if err then
    log(err)
  end
  send(res)
end

-- What passes the guard goes to the upstream as a stream, its body unread.
local function serve_for_upstream(guard, options)
  local req = exchange.head()
  if upstream.goes_round(options) then
    log(("no location stands for the prefix %s"):format(options.proxy))
    return send_given(upstream.unreached())
  end
  if guard:passes(req) then
    return upstream.hand_over(options)
  end
  local refusal, why = upstream.refusal(options, req.method)
  if refusal then
    log(why)
    return send_given(refusal)
  end
  return serve(guard, upstream.handler(options))
end

local function answer_request(guard, handler)
  if type(handler) == "table" then
    return serve_for_upstream(guard, handler)
  end
  return serve(guard, handler)
end

---@class neap.UpstreamOptions
---@field proxy string
---@field recovered? "run"|"refuse" "run"

--- Answers the request that nginx handles under its idempotency key: see Guard:handle for what
--- comes of it. What went wrong is in nginx's log of errors.
--
-- `handler` is a function that is called with { method, path, headers, body, recovered } and
-- returns { status, headers, body }; or { proxy = "/upstream" }: the request goes on to the
-- location of that prefix, which has proxy_pass, and what the guard lets pass goes there directly.
-- With `recovered = "refuse"` a request whose earlier owner ended without a result is answered 500,
-- and does not go to the upstream again.
--
-- For content_by_lua and access_by_lua; raises in any other phase, and for misuse.
---@param guard neap.Guard
---@param handler fun(req: neap.ServedRequest): table | neap.UpstreamOptions
function nginx.idempotency(guard, handler)
  local flaw = flaw_of(guard, handler) or flaw_of_phase()
  if flaw then
    error(flaw, 2)
  end
  return answer_request(guard, handler)
end

--- The same in two halves: what is wrong is raised here, in init_by_lua, before nginx starts; the
--- function that is returned is for content_by_lua.
--
--     init_by_lua_block { pay = require("neap.nginx").guarded(guard, { proxy = "/upstream" }) }
--     content_by_lua_block { pay() }
---@param guard neap.Guard
---@param handler fun(req: neap.ServedRequest): table | neap.UpstreamOptions
---@return fun()
function nginx.guarded(guard, handler)
  local flaw = flaw_of(guard, handler)
  if flaw then
    error(flaw, 2)
  end
  return function()
    local flaw_here = flaw_of_phase()
    if flaw_here then
      error(flaw_here, 2)
    end
    return answer_request(guard, handler)
  end
end

--- For header_filter_by_lua of the location that a guard's `proxy` names: where no server of the
--- upstream could be connected to, nothing was done, and the answer is a 503, which is not stored,
--- instead of nginx's 502 or 504.
function nginx.note_unreached()
  upstream.note_unreached()
end

--- Answers the request with what all clients have counted, as Prometheus scrapes it; of all workers
--- where they share their state (neap.shared), whichever worker is asked. Where they share nothing,
--- it is what this worker has counted, under a label `worker`.
--
--     location = /metrics {
--         allow 10.0.0.0/8;
--         deny all;
--         content_by_lua_block { require("neap.nginx").metrics() }
--     }
--
-- For content_by_lua and access_by_lua; raises in any other phase.
function nginx.metrics()
  local flaw = flaw_of_phase()
  if flaw then
    error(flaw, 2)
  end
  metrics.serve()
  end_request()
end

--- Answers the request with the status page: each API with its breaker, calls, latency, alerts and
--- a chart, kept fresh by itself. With neap.shared it has the clients of all workers and of other
--- processes; without, those of the worker that is asked, and says so.
--
--     location = /status {
--         allow 10.0.0.0/8;
--         deny all;
--         content_by_lua_block { require("neap.nginx").status() }
--     }
--
-- For content_by_lua and access_by_lua; raises in any other phase.
function nginx.status()
  local flaw = flaw_of_phase()
  if flaw then
    error(flaw, 2)
  end
  status_page.serve()
  end_request()
end

return nginx
