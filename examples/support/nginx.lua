--- Runs an example in nginx, that of examples/openresty unless another is named, on free ports of
--- this machine. It ends with this process.
--
--     local example = require("examples.support.nginx").start()
--     local payments = require("examples.support.nginx").start{
--       folder = "examples/payments-sqlite", ready = "/orders", environment = "PAYMENTS_REDIS=…" }
--     local res = example:ask("GET", "/rates/usd")
--     example:behave("down")
--     example:stop()
local neap = require "neap"
local socket = require "socket"

local Example = {}
Example.__index = Example

local START = [[trap '' INT; STOP_WITH_STDIN=1 %s %s/start.sh %d %d >%s 2>&1]]
local GATEWAY = { folder = "examples/openresty", ready = "/stats" }
local START_SECONDS = 20
local ATTEMPTS = 5

-- Both are held until both are known, or they could be the same.
local function two_free_ports()
  local first = assert(socket.bind("127.0.0.1", 0))
  local second = assert(socket.bind("127.0.0.1", 0))
  local _, port = first:getsockname()
  local _, other = second:getsockname()
  first:close()
  second:close()
  return port, other
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

-- Asks once and tells what it sees: a visitor, not a client that is careful.
local function new_visitor()
  return neap.client{
    name = "visitor",
    retry = false,
    breaker = false,
    gate = false,
    timeout = { total = 10 },
    headers = { Connection = "close" }, -- the next one may come to another worker
  }
end

local function start_once(options)
  local port, upstream_port = two_free_ports()
  local log = os.tmpname()
  local self = setmetatable({
    url = "http://127.0.0.1:" .. port,
    upstream_url = "http://127.0.0.1:" .. upstream_port,
    log = log,
    pipe = assert(io.popen(START:format(options.environment or "", options.folder, port,
      upstream_port, log), "w")),
    visitor = new_visitor(),
  }, Example)
  local give_up = neap.now() + START_SECONDS
  repeat
    neap.sleep(0.02)
    local output = read_file(log)
    if output:find("[emerg]", 1, true) or output:find("start.sh:", 1, true) then
      break
    end
    -- Ports that were free may be somebody else's by now: it is ours if our nginx says so too.
    self.pid = tonumber(output:match("nginx (%d+):"))
    local res = self.pid and self:ask("GET", options.ready)
    if res and res.status == 200 then
      return self
    end
  until neap.now() > give_up
  local output = read_file(log)
  self:stop()
  return nil, output
end

--- Starts it. Raises what nginx said where it cannot be started. `ready` is a page that is there as
--- soon as it has started.
---@param options? { folder: string, ready: string, environment?: string }
local function start(options)
  local example, output
  for _ = 1, ATTEMPTS do
    example, output = start_once(options or GATEWAY)
    if example or not output:find("Address already in use", 1, true) then
      break
    end
  end
  return example or error("nginx did not start:\n" .. output, 0)
end

--- One request to the gateway.
---@param headers? table
---@param body? string
---@return neap.Response? res
---@return neap.Error? err
function Example:ask(method, path, headers, body)
  return self.visitor:request{ method = method, url = self.url .. path, headers = headers,
    body = body }
end

local function ask_upstream(self, method, path)
  local res = assert(self.visitor:request{ method = method, url = self.upstream_url .. path })
  assert(res.status == 200, res.body)
  return res
end

--- From now on the API behaves so: well, flaky, slow or down; the bank well, losing, down or
--- refusing.
function Example:behave(how)
  ask_upstream(self, "POST", "/behaviour?is=" .. how)
end

--- What has reached the API: { requests, answered, failed }; or what the payments' back ends did:
--- { asked, charges, orders }.
function Example:counters()
  return assert(ask_upstream(self, "GET", "/counters"):json())
end

--- What neap has counted in the gateway.
function Example:stats()
  return assert(assert(self:ask("GET", "/stats")):json())
end

--- New workers take the place of the old ones.
function Example:reload()
  assert(os.execute(("kill -HUP %d"):format(self.pid)))
end

--- What nginx has printed so far.
function Example:output()
  return read_file(self.log)
end

--- Ends nginx and waits for its end. Works twice.
function Example:stop()
  if self.pipe then
    self.visitor:close()
    self.pipe:close()
    self.pipe = nil
    os.remove(self.log)
  end
end

return { start = start }
