--- Inside nginx: clients with every policy, and the locations that make calls with them.
-- luacheck: globals ngx
local cjson = require "cjson"
local neap = require "neap"

local tally = require "spec.soak.tally"

local Gateway = {}
Gateway.__index = Gateway

local BACKOFF = { base = 0.02, max = 0.2 }
local TIMES = { connect = 0.3, write = 0.5, read = 0.4, attempt = 0.8, total = 1.5 }
-- Connections that nobody uses go at once: descriptors are to be back where they were.
local POOL = { max_connections = 60, per_host = 40, idle = 1 }

local function policy(name, base_url, given)
  local whole = { name = name, base_url = base_url, timeout = TIMES, pool = POOL, gate = false,
    max_response_bytes = 200000, -- or how many bombs come together is seen in memory for ever
    retry = { max_attempts = 3, backoff = BACKOFF },
    breaker = { window = { count = 40 }, min_calls = 20, failure_rate = 0.6,
      open_for = { base = 0.1, factor = 2, max = 0.5, jitter = 0.2 },
      half_open = { permits = 3, lease = 2 } } }
  for key, value in pairs(given) do
    whole[key] = value
  end
  return neap.client(whole)
end

local function api(where)
  return policy("api", where.plain, {
    bulkhead = { max_concurrent = 16, max_wait = 0.1 },
    rate_limit = { rate = 300, burst = 60, max_wait = 0.2 },
    deadline_header = "X-Milliseconds-Left",
    headers = { ["User-Agent"] = "soak" },
    alerts = { window = 5, p99 = 0.3, notify = function() end },
    trace = function(_, attempt) return { ["X-Attempt"] = attempt.attempt } end,
    fallback = { { when = { "breaker_open" }, default = { status = 200, body = "later" } } },
  })
end

local function payments(where)
  return policy("payments", where.plain, {
    idempotency = true,
    bulkhead = { max_concurrent = 20, max_wait = 0.2 },
    breaker = { window = { seconds = 5 }, min_calls = 30, failure_rate = 0.7, open_for = 0.2,
      ramp = { seconds = 0.5 } },
  })
end

local function items(where)
  return policy("items", where.plain, {
    cache = { stale_if_error = 3, stale_while_revalidate = 1 },
    coalesce = true,
    fallback = { { cache = true, max_stale = 30 }, { default = { status = 203, body = "none" } } },
  })
end

local function gated(where)
  return policy("gated", where.flaky, { gate = { max_wait = 0.3 } })
end

-- Most of its calls never have a connection; another service stands in.
local function nowhere(where, spare)
  return policy("nowhere", where.refused, {
    tls = { ca_file = where.ca_file },
    timeout = { connect = 0.1, total = 1.5 },
    retry = { max_attempts = 2, backoff = BACKOFF },
    fallback = {
      { service = spare, request = function(req)
        return { path = "s/spare", query = req.query }
      end },
      function(_, err) return err and { status = 502, body = err.kind } end,
    },
  })
end

local function streams(where)
  return policy("streams", where.h2, { tls = { ca_file = where.ca_file }, breaker = false })
end

-- A function of one's own: by its number it waits, fails or raises.
local function work(number)
  local kind = number % 10
  if kind == 0 then
    error("raised on purpose")
  elseif kind == 1 then
    return nil, "failed on purpose"
  elseif kind < 5 then
    ngx.sleep(0.01 * kind)
  end
  return number
end

local function guarded()
  return neap.wrap({ name = "guarded", timeout = { total = 1.5 },
    retry = { max_attempts = 2, backoff = BACKOFF }, bulkhead = { max_concurrent = 8 },
    breaker = { failure_rate = 0.6, open_for = 0.2 } }, work)
end

local function listen(client)
  for _, event in ipairs{ "attempt", "retry", "reject", "breaker", "fallback", "done" } do
    client:on(event, function(e) assert(e.client == client.name) end)
  end
end

--- To be made in init_by_lua, after neap.shared. `where` has the addresses plain, flaky, refused,
--- good and h2, the list dead_ends, and ca_file.
function Gateway.new(where)
  local self = setmetatable({ where = where, clients = {} }, Gateway)
  local spare = policy("spare", where.plain, {})
  self.clients.spare = spare
  for name, make in pairs{ api = api, payments = payments, items = items, gated = gated,
    nowhere = nowhere, streams = streams } do
    self.clients[name] = make(where, spare)
    listen(self.clients[name])
  end
  self.guarded = guarded()
  return self
end

-- How each kind of call is made; returns its result, and what the upstream said whom it is for.
local CALLS = {}

local function echoed(res)
  return res and res.headers and res.headers["X-Token"]
end

local function call(self, name, request)
  local res, err = self.clients[name]:request(request)
  return res, err, echoed(res)
end

local function token_header(token)
  return { header = "X-Token:" .. token }
end

function CALLS.api(self, token)
  return call(self, "api", { method = "GET", path = "s/api", query = token_header(token) })
end

function CALLS.gated(self, token)
  return call(self, "gated", { method = "GET", path = "s/gated", query = token_header(token) })
end

-- Of two payments one has a key of its own making.
function CALLS.payments(self, token, number)
  return call(self, "payments", { method = "POST", path = "s/payments", body = token,
    query = token_header(token), idempotency_key = number % 2 == 0 and token or nil })
end

-- Several ask for the same: whose answer it is, the number of the item says.
function CALLS.items(self, _, number)
  local res, err = self.clients.items:get(("s/items?header=X-Token:item%d&"
    .. "header=Cache-Control:max-age%%3D1"):format(number % 50))
  return res, err, echoed(res), "item" .. number % 50
end

-- A handshake that goes well stands between those that do not.
function CALLS.nowhere(self, token, number)
  local dead_ends = self.where.dead_ends
  local place = dead_ends[number % (#dead_ends + 1)] or self.where.good
  return call(self, "nowhere", { method = "GET", url = place .. "/s/nowhere",
    query = token_header(token) })
end

-- The server tells how long the body was: each call's is of a length of its own.
function CALLS.streams(self, token, number)
  local bytes = 1 + number % 9973
  local res, err = self.clients.streams:post("x", { body = ("x"):rep(bytes), replayable = true })
  local seen = res and res.body and res.body:match('"body_bytes":(%d+)')
  if seen and tonumber(seen) == bytes then
    seen = token
  end
  return res, err, seen
end

local function answer(told)
  local body = cjson.encode(told)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
  return ngx.exit(200)
end

-- A function's results bring no trace along.
function Gateway:serve_guarded(token, number)
  local value, err = self.guarded(number)
  local counts = { calls = 1 }
  tally.count(counts, value and "ok" or "errors." .. err.kind)
  return answer{ token = token, counts = counts, seen = value and (value == number and token
    or "another call's"), wanted = token }
end

--- content_by_lua: makes the call that the arguments name, and tells what became of it.
function Gateway:serve()
  local args = ngx.req.get_uri_args()
  local token, number = args.t, tonumber(args.n)
  if args.c == "guarded" then
    return self:serve_guarded(token, number)
  end
  local res, err, seen, wanted = CALLS[args.c](self, token, number)
  return answer{ token = token, counts = tally.add({}, res, err), seen = seen,
    wanted = wanted or token, source = res and res.source, status = res and res.status,
    elapsed = (res or err).elapsed, pid = ngx.worker.pid() }
end

--- content_by_lua: takes an order under its key, once; the ledger is a file.
function Gateway:take_order(guard, ledger)
  require("neap.nginx").idempotency(guard, function(req)
    local key = req.headers["Idempotency-Key"]
    local file = assert(io.open(ledger, "a+"))
    -- Who took it before has died before it could tell: was it done?
    if not (req.recovered and (file:read("*a") or ""):find(key .. "\n", 1, true)) then
      file:write(key .. "\n")
    end
    file:close()
    return { status = 201, body = key }
  end)
end

return Gateway
