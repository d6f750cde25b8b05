--- The guard in front of an upstream that knows nothing of keys: the handler is a subrequest to a
--- location of nginx with proxy_pass, and what the guard lets pass goes there as it is.
local exchange = require "neap.nginx.exchange"
local core = require "neap.core"

local upstream = {}

local METHODS = {}
for _, name in ipairs{ "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE",
  "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE" } do
  METHODS[name] = ngx["HTTP_" .. name]
end

-- Tells the upstream of a request that may have been carried out before. Nobody else may say so.
local RECOVERED = "Idempotency-Recovered"

-- The field of ngx.ctx of a subrequest in which the location tells that it reached nobody.
local UNREACHED = "neap_unreached"

local RECOVERIES = { run = true, refuse = true }

local function flaw_of_proxy(proxy)
  if type(proxy) ~= "string" then
    return ("expected a string, got a %s"):format(type(proxy))
  end
  if not proxy:find("^/[^%z\1- %%?#\127]*[^/%z\1- %%?#\127]$") then
    return ('expected the prefix of a location, such as "/upstream", got %q'):format(proxy)
  end
end

--- What is wrong with the options, or nil.
---@param options table
---@return string?
function upstream.flaw(options)
  for key in pairs(options) do
    if key ~= "proxy" and key ~= "recovered" then
      return ("%s: unknown key, expected proxy or recovered"):format(core.shown_key(key))
    end
  end
  local flaw = flaw_of_proxy(options.proxy)
  if flaw then
    return "proxy: " .. flaw
  end
  if options.recovered ~= nil and not RECOVERIES[options.recovered] then
    return ('recovered: expected "run" or "refuse", got %s'):format(
      type(options.recovered) == "string" and ("%q"):format(options.recovered)
        or "a " .. type(options.recovered))
  end
end

-- The request's place below the prefix. nginx takes escapes apart here, and proxy_pass with
-- $request_uri sends the path as the client did.
local function place(options)
  return options.proxy .. ngx.escape_uri(ngx.var.uri, 0)
end

--- Does the request come from ourselves, since no location stands for the prefix?
---@return boolean
function upstream.goes_round(options)
  local prefix = options.proxy .. "/"
  return ngx.var.uri:sub(1, #prefix) == prefix
end

--- The answer where nothing was carried out.
---@return table
function upstream.unreached()
  return exchange.problem(503, "unreached", "Upstream unavailable",
    "The request was not carried out, because its server cannot be reached at the moment.")
end

local function unknown_outcome()
  return exchange.problem(500, "recovered", "Outcome unknown",
    "An earlier request with this idempotency key ended without a result; it may have been carried "
      .. "out.")
end

-- The status is nginx's own where nothing came from the upstream, and the upstream's where the rest
-- did not.
local function no_answer(status)
  return exchange.problem(status == 504 and 504 or 502, "no_answer", "No answer",
    "The request may have been carried out, but its answer did not come, or broke off.")
end

local function answer_of(res, told)
  if told[UNREACHED] then
    return upstream.unreached()
  end
  if res.truncated then
    return no_answer(res.status)
  end
  return { status = res.status, headers = exchange.lasting(res.header), body = res.body }
end

--- The handler: the same request to the upstream.
---@param options table
---@return fun(req: neap.ServedRequest): table
function upstream.handler(options)
  return function(req)
    if req.recovered and options.recovered == "refuse" then
      return unknown_outcome()
    end
    local told = {}
    ngx.req.set_header(RECOVERED, req.recovered and "true" or nil)
    return answer_of(ngx.location.capture(place(options), {
      method = METHODS[req.method],
      args = ngx.var.args,
      always_forward_body = true,
      ctx = told,
    }), told)
  end
end

-- ngx_lua has none for HTTP/2 in most of its versions. It says so before it looks at what is asked
-- for, which here is nothing.
local function has_subrequests()
  if ngx.req.http_version() < 2 then
    return true
  end
  local _, message = pcall(ngx.location.capture_multi, { false })
  return not tostring(message):find("not supported", 1, true)
end

--- The answer to a request that cannot be carried out as a subrequest, and why, for the log; nil
--- where it can.
---@return table? answer
---@return string? why
function upstream.refusal(options, method)
  if not METHODS[method] then
    return exchange.problem(501, "method", "Not Implemented",
      "Requests of this method cannot be carried out under an idempotency key."),
      ("nginx has no subrequests of method %s for %s"):format(method, options.proxy)
  end
  if not has_subrequests() then
    return exchange.problem(505, "http_version", "HTTP Version Not Supported",
      "Requests under an idempotency key are carried out over HTTP/1.1 only."),
      ("this nginx has no subrequests for HTTP/2; put a server that speaks HTTP/1.1 in front of %s")
        :format(options.proxy)
  end
end

--- Hands the request over to the location; does not come back.
function upstream.hand_over(options)
  ngx.req.clear_header(RECOVERED)
  return ngx.exec(place(options), ngx.var.args)
end

-- nginx writes one time for each server that it tried, and "-" where no connection came about.
local function reached_nobody(times)
  return times ~= nil and times:find("-", 1, true) ~= nil and not times:find("%d")
end

local MADE_BY_NGINX = { [502] = true, [504] = true }

--- Runs in the header filter of that location.
function upstream.note_unreached()
  local is_failure = ngx.is_subrequest and MADE_BY_NGINX[ngx.status]
  if is_failure and reached_nobody(ngx.var.upstream_connect_time) then
    ngx.ctx[UNREACHED] = true
  end
end

return upstream
