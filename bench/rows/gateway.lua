--- Row 7: an nginx that asks an upstream for each of its requests, 64 connections at once.

local cores = require "bench.harness.cores"
local openresty = require "bench.harness.openresty"
local process = require "spec.support.process"
local subject = require "bench.harness.subject"

local CONNECTIONS = 64
-- Headers as an API sends them.
local UPSTREAM = [[
location / {
  default_type application/json;
  add_header ETag '"7f3a9c"';
  add_header Cache-Control "private, max-age=0";
  add_header Vary "Accept, Authorization";
  add_header X-Request-Id $request_id;
  add_header X-RateLimit-Limit 5000;
  add_header Strict-Transport-Security "max-age=31536000";
  return 200 '%s';
}]]

local PROXIED = [[
upstream api { server 127.0.0.1:%d; keepalive 64; keepalive_requests 1000000000; }
]]
local PROXY_PASS = [[
location / {
  proxy_pass http://api/rates;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Authorization $http_authorization;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header X-Forwarded-For $remote_addr;
}]]

local HTTP = "keepalive_requests 1000000000; keepalive_timeout 600s; "

-- A certificate of our own for localhost and 127.0.0.1, below the build directory.
local function certificate(world)
  local directory = world.build_path .. "/bench"
  local made = os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt "
    .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext "
    .. "subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null")
    :format(process.quoted(directory)))
  return made and { server_cert = directory .. "/cert.pem", server_key = directory .. "/key.pem" }
end

-- CPU time of all threads of a process, in seconds. The ticks of /proc/PID/stat are too coarse.
local function cpu_seconds(pid)
  local sum = 0
  local pipe = assert(io.popen(("cat /proc/%d/task/*/schedstat"):format(pid)))
  for line in pipe:lines() do
    sum = sum + tonumber(line:match("^%d+")) / 1e9
  end
  pipe:close()
  return sum
end

-- A gateway is an nginx of its own, so that no other leaves it its garbage, and a new one each
-- round: which traces LuaJIT makes is a matter of chance, and worth a tenth of a whole gateway.
local function measured(world, name, start, core, calls)
  local function load(server, count)
    return subject.run({ world:floor "load", server.port, "/", world.body, count, CONNECTIONS },
      core.upstream)
  end
  return {
    name = name,
    measure = function()
      local server = start()
      cores.pin(server.pid, core.gateway)
      cores.pin(world.api.pid, core.upstream)
      load(server, math.max(math.floor(calls / 2), CONNECTIONS)) -- connections and traces are made
      local before = cpu_seconds(server.pid)
      local values = load(server, calls)
      local cpu = cpu_seconds(server.pid) - before
      server:stop()
      -- A fifth more was asked before the count began.
      local all = calls + math.max(math.floor(calls / 5), CONNECTIONS)
      return {
        rate = values.rate,
        p99 = values.p99,
        cpu = cpu / all * 1e6,
      }
    end,
  }
end

-- What starts one; `part` takes the location's handler out of bench.nginx.gateway.
local function gateway(world, part, tree, build)
  local checkout = os.getenv("RESTY_HTTP") or ""
  local ca_file = world.certs and world.certs.server_cert
  return function()
    return openresty.start(world, {
      module = "bench.nginx.gateway",
      part = part,
      tree = tree,
      build = build,
      more = checkout ~= "" and checkout .. "/lib/?.lua;" or "",
      http = ca_file and ("lua_ssl_trusted_certificate %s;"):format(ca_file) or "",
    })
  end
end

local function proxy(world)
  return function()
    return world:nginx{
      http = HTTP .. PROXIED:format(world.api.port), conf = PROXY_PASS, log_level = "error",
    }
  end
end

local function neap(world, url, ca_file, tree, build)
  return gateway(world, (".neap(%q, %s)"):format(url, ca_file and ("%q"):format(ca_file) or "nil"),
    tree, build)
end

local function resty(world, name, url, measure)
  if (os.getenv("RESTY_HTTP") or "") == "" then
    return subject.skipped(name, "RESTY_HTTP names no checkout of it")
  end
  return measure(name, gateway(world, (".resty(%q)"):format(url)))
end

local function against(world, url, ca_file, measure)
  local name = "neap of AGAINST"
  if not world:other_lua("luajit") then
    return subject.skipped(name, "AGAINST names no built tree")
  end
  local tree = os.getenv("AGAINST")
  return measure(name, neap(world, url, ca_file, tree, tree .. "/build"))
end

local RESTY = "lua-resty-http, no policy"

local function plain(world, calls, measure)
  local api = world.api
  local url = api.url .. "/rates"
  return {
    title = ("gateway, 64 connections, %d calls"):format(calls),
    subjects = {
      resty(world, RESTY, url, measure),
      resty(world, RESTY .. ", again", url, measure),
      measure("neap, full", neap(world, url)),
      against(world, url, nil, measure),
      measure("bare cosocket", gateway(world,
        (".cosocket(%q, %d, %q)"):format("127.0.0.1", api.port, "/rates"))),
      measure("proxy_pass", proxy(world)),
    },
    targets = {
      {
        row = 7, what = "nginx: requests a second / lua-resty-http", subject = "neap, full",
        against = RESTY, measure = "rate", at_least = 1.2,
      },
      {
        row = 7, what = "nginx: CPU of the gateway / lua-resty-http", subject = "neap, full",
        against = RESTY, measure = "cpu", at_most = 0.82,
      },
    },
  }
end

local function tls(world, calls, measure)
  local url = ("https://127.0.0.1:%d/rates"):format(world.api.tls_port)
  local ca_file = world.certs.server_cert
  return {
    title = ("gateway to an upstream with TLS, 64 connections, %d calls"):format(calls),
    subjects = {
      resty(world, RESTY, url, measure),
      resty(world, RESTY .. ", again", url, measure),
      measure("neap, full, HTTP/2", neap(world, url, ca_file)),
      against(world, url, ca_file, measure),
    },
    targets = {
      {
        row = 7, what = "nginx, TLS and HTTP/2: requests a second / lua-resty-http over TLS",
        subject = "neap, full, HTTP/2", against = RESTY, measure = "rate", at_least = 1.15,
      },
    },
  }
end

local function start_upstream(world)
  world.certs = certificate(world)
  world.api = world:nginx{
    certs = world.certs,
    http2 = world.certs ~= nil,
    http = HTTP .. "http2_max_requests 1000000000;",
    conf = UPSTREAM:format(world.body),
    log_level = "error",
  }
end

local function placed(comparison, name)
  comparison.title = comparison.title .. ", " .. name
  return comparison
end

-- One core for all; then the gateway, with its helper thread, on a core of its own: only there it
-- is what limits the rate, so targets are judged there, and a quick bench has no other.
local function pinnings_of(world)
  local all = cores.pinnings()
  return world.quick and { all[#all] } or all
end

return function(world)
  local comparisons = {}
  if not openresty.is_here(world) then
    return comparisons
  end
  start_upstream(world)
  local calls, pinnings = world:calls(10000, 2000), pinnings_of(world)
  for i, pinning in ipairs(pinnings) do
    local core = { gateway = pinning.client, upstream = pinning.upstream }
    local function measure(name, start)
      return measured(world, name, start, core, calls)
    end
    local list = { plain(world, calls, measure) }
    list[2] = world.certs and tls(world, calls, measure)
    for _, comparison in ipairs(list) do
      comparison.targets = i == #pinnings and comparison.targets or {}
      table.insert(comparisons, placed(comparison, pinning.name))
    end
  end
  return comparisons
end
