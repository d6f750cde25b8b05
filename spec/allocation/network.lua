--- Calls over libcurl, to the misbehaving server.
local core = require "neap.core"
local host = require "neap.host"
local neap = require "neap"
local stage = require "spec.allocation.stage"

local scenarios = {}

local function add(name, set_up)
  scenarios[#scenarios + 1] = { name = name, set_up = set_up }
end

local function client_of(url, part)
  local policy = stage.policy(part)
  policy.base_url = url
  return neap.client(policy)
end

local function rest_of(client)
  return function() return stage.at_rest(client) end, function() client.breaker:reset() end
end

local function one_call(name, part, call, status)
  add(name, function(servers)
    local client = client_of(servers.plain, part)
    return function()
      return stage.answered(status or 200, "network", call(client))
    end, rest_of(client)
  end)
end

one_call("over the network: GET", nil, function(client)
  return client:get("/status/200?header=A:b&header=A:c", { query = { q = "x" } })
end)

one_call("over the network: POST of JSON with a key", { idempotency = true }, function(client)
  return client:post("/echo", { json = { a = 1 }, headers = { ["X-A"] = "b" } })
end)

one_call("over the network: redirects", nil, function(client)
  return client:get("/redirect?n=2")
end)

-- libcurl 7.88 frees an entry of its cache of TLS sessions twice where it cannot be added, so its
-- own allocations do not fail here.
add("over TLS: HTTP/2", function(servers)
  local client = client_of(servers.h2, { tls = { ca_file = servers.ca_file } })
  return function()
    return stage.answered(200, "network", client:get("/status/200"))
  end, function()
    return stage.at_rest(client)
  end, false
end)

add("over TLS: with a connection of its own", function(servers)
  local client
  return function()
    client = client_of(servers.h2, { tls = { ca_file = servers.ca_file },
      pool = { http2 = false } })
    local well, err = stage.answered(200, "network", client:get("/status/200"))
    client:close()
    return well, err
  end, function()
    return stage.at_rest(client)
  end, false
end)

one_call("over the network: a long body", nil, function(client)
  return client:get("/status/200?bytes=100000")
end)

local function call_them_all(client)
  local tasks, failed = {}, nil
  for index = 1, 10 do
    tasks[index] = neap.spawn(function() return client:get("/status/200") end)
  end
  for _, task in ipairs(tasks) do
    local well, err = stage.answered(200, "network", task:await())
    failed = failed or not well and err or nil
  end
  return not failed, failed
end

add("over the network: ten side by side", function(servers)
  local client = client_of(servers.plain, { bulkhead = { max_concurrent = 10 } })
  return function()
    return neap.run(call_them_all, client)
  end, rest_of(client)
end)

-- What a host does whose thread must not wait.
local function poll_until_done(engine, exchange)
  local attention = exchange:begin(false)
  while attention ~= "done" do
    engine:poll()
    attention = exchange:attention()
  end
  local kind, result = exchange:finish()
  if kind == "error" then
    return nil, result
  end
  return result
end

add("over the network: on the helper's thread, as in nginx", function(servers)
  local engine = host.default_engine()
  engine:use_helper()
  local client = client_of(servers.plain)
  return function()
    local exchange = assert(core.exchange(client._core, "GET", "/status/200"))
    return stage.answered(200, "network", poll_until_done(engine, exchange))
  end, rest_of(client)
end)

add("over the network: a client from its making to its closing", function(servers)
  return function()
    local client = client_of(servers.plain, {
      headers = { ["X-A"] = "b" }, timeout = { total = 5 }, rate_limit = { rate = 1000 },
      cache = true, coalesce = true, idempotency = { from = { "a" } }, deadline_header = "X-Left",
      alerts = { error_rate = 0.5 }, pool = { idle = 5 }, tls = { min_version = "1.3" },
      fallback = { { cache = true }, { default = { status = 200 } } },
      allow_hosts = { "127.0.0.1", "*.example" },
      retry = { statuses = { [500] = true }, when = function() return false end },
      breaker = { key = "host", failure = function() return "ignore" end },
      chaos = { rate = 0.1, status = 503, only = function() return false end },
    })
    local res, err = client:get("/status/200")
    client:close()
    if res and res.source == "default" then
      return nil, res.trace[1].message or "not enough memory"
    end
    return res and true, err
  end, function()
    return next(neap.stats()) == nil or neap.stats().api == nil, "the client is open"
  end
end)

add("shared memory: cells of a client", function(servers)
  local name = "allocation-" .. core.process_id()
  assert(neap.shared{ name = name, size = 1048576 })
  os.remove("/dev/shm/neap-" .. name)
  local round = 0
  return function()
    round = round + 1
    local client = client_of(servers.plain, { name = "shared" .. round % 5,
      breaker = { key = "host" }, rate_limit = { rate = 1000 } })
    local well, err = stage.answered(200, "network", client:get("/status/200"))
    client:close()
    return well, err
  end, function()
    return true
  end
end)

add("shared memory: attached", function()
  local name = "allocation-at-" .. core.process_id()
  return function()
    local region, err = neap.shared{ name = name, size = 1048576 }
    os.remove("/dev/shm/neap-" .. name)
    return region and region:stats() and true, err
  end, function()
    return true
  end
end)

return scenarios
