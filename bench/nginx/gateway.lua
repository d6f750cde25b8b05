--- A gateway's location, once for each way to ask the upstream: request headers are set, the
-- answer's are read, and some of them are passed on with the body.

local gateway = {}

-- What a gateway adds to a request.
local function headers_of()
  local var = ngx.var
  return {
    ["Authorization"] = var.http_authorization,
    ["Accept"] = var.http_accept,
    ["X-Request-Id"] = var.request_id,
    ["X-Forwarded-For"] = var.remote_addr,
  }
end

local function answer(status, body, content_type, etag, cache_control)
  if status ~= 200 or not content_type or not etag or not cache_control then
    ngx.log(ngx.ERR, "a wrong answer of the upstream: ", tostring(status), " ", tostring(body))
    return ngx.exit(502)
  end
  local header = ngx.header
  header["Content-Type"] = content_type
  header["ETag"] = etag
  header["Cache-Control"] = cache_control
  header["Content-Length"] = #body
  ngx.print(body)
end

local function fail(err)
  ngx.log(ngx.ERR, tostring(err))
  return ngx.exit(502)
end

-- ------------------------------------------------------------------------------------------ neap

local function neap_policy(url, ca_file)
  local policy = require("bench.subjects.policy").full(url, 64)
  policy.tls = ca_file and { ca_file = ca_file } or nil
  return policy
end

--- A handler that goes through neap with the full policy.
function gateway.neap(url, ca_file)
  local api
  return function()
    api = api or require("neap").client(neap_policy(url, ca_file))
    local res, err = api:request{ url = url, headers = headers_of() }
    if not res then
      return fail(err)
    end
    local headers = res.headers
    return answer(res.status, res.body, headers["Content-Type"], headers["ETag"],
      headers["Cache-Control"])
  end
end

-- ----------------------------------------------------------------------------------------- peers

-- OpenResty brings resty.string, Debian does not. It is used for client certificates only.
local function stand_in_for_resty_string()
  if not pcall(require, "resty.string") then
    package.preload["resty.string"] = function()
      return {}
    end
  end
end

--- lua-resty-http, without any policy.
function gateway.resty(url)
  local http
  return function()
    if not http then
      stand_in_for_resty_string()
      http = require "resty.http"
    end
    local res, err = http.new():request_uri(url, {
      headers = headers_of(),
      keepalive_timeout = 60000,
      keepalive_pool = 64,
      ssl_server_name = "localhost",
    })
    if not res then
      return fail(err)
    end
    local headers = res.headers
    return answer(res.status, res.body, headers["Content-Type"], headers["ETag"],
      headers["Cache-Control"])
  end
end

local function request_text(host, path)
  local lines = { "GET " .. path .. " HTTP/1.1", "Host: " .. host }
  for name, value in pairs(headers_of()) do
    lines[#lines + 1] = name .. ": " .. value
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function read_head(sock)
  local line, err = sock:receive("*l")
  local status, headers = tonumber((line or ""):match("^HTTP/1%.1 (%d+)")), {}
  while line and line ~= "" do
    line, err = sock:receive("*l")
    local name, value = (line or ""):match("^([^:]+):%s*(.-)%s*$")
    if name then
      headers[name:lower()] = value
    end
  end
  return line and status, headers, err
end

--- A bare cosocket with the least that can be called a client.
function gateway.cosocket(host, port, path)
  return function()
    local sock = ngx.socket.tcp()
    local connected, err = sock:connect(host, port)
    if not connected then
      return fail(err)
    end
    sock:send(request_text(host, path))
    local status, headers, failure = read_head(sock)
    if not status then
      return fail(failure)
    end
    local body = sock:receive(tonumber(headers["content-length"]))
    sock:setkeepalive(60000, 64)
    return answer(status, body, headers["content-type"], headers["etag"], headers["cache-control"])
  end
end

return gateway
