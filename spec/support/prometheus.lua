--- A real Prometheus that scrapes what it is told to, on a port that was free.
--
--     local prometheus = require "spec.support.prometheus"
--     local p = prometheus.start{ gateway = "127.0.0.1:8080" }
--     p:query 'sum(neap_calls_total{job="gateway"})'   --> { { labels = {}, value = 3 } }
--     p:stop()
--
-- It stops with this process, and removes its temporary directory.
local http = require "socket.http"
local socket = require "socket"

local process = require "spec.support.process"
local server = require "spec.support.server"

local prometheus = {}

local Prometheus = {}
Prometheus.__index = Prometheus

local BINARY = os.getenv("PROMETHEUS") or "/usr/bin/prometheus"
local ATTEMPTS = 5

--- Is it installed here?
function prometheus.is_here()
  return process.read_file(BINARY) ~= nil
end

local CONF = [[
global: { scrape_interval: 200ms, scrape_timeout: 200ms }
scrape_configs:
]]

local JOB = [[
  - { job_name: %s, metrics_path: /metrics, static_configs: [ { targets: [ "%s" ] } ] }
]]

local function configuration(jobs)
  local parts = { CONF }
  for name, address in pairs(jobs) do
    parts[#parts + 1] = JOB:format(name, address)
  end
  return table.concat(parts)
end

local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

local function write_file(path, content)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
end

local function launch(directory, port)
  local quoted = process.quoted(directory)
  return assert(io.popen((
    "trap '' INT; %s --config.file=%s/conf.yml --storage.tsdb.path=%s/data --log.level=warn "
    .. "--web.listen-address=127.0.0.1:%d >%s/output 2>&1 & prometheus=$!; "
    .. "read -r _; kill -TERM $prometheus 2>/dev/null; wait $prometheus; rm -rf %s")
    :format(process.quoted(BINARY), quoted, quoted, port, quoted, quoted), "w"))
end

local function start_once(jobs)
  local directory, port = process.temporary_directory(), free_port()
  write_file(directory .. "/conf.yml", configuration(jobs))
  local self = setmetatable({
    url = "http://127.0.0.1:" .. port,
    dir = directory,
    pipe = launch(directory, port),
  }, Prometheus)
  local is_ready = process.wait_until(function()
    local failed = self:output():find("level=error", 1, true)
    return failed and "failed" or select(2, http.request(self.url .. "/-/ready")) == 200 and "ready"
  end, 20)
  if is_ready == "ready" then
    return self
  end
  local output = self:output()
  self:stop()
  return nil, output
end

--- Starts it with a job for each name, that scrapes /metrics at the address five times a second.
---@param jobs table<string, string>
function prometheus.start(jobs)
  local self, output
  for _ = 1, ATTEMPTS do
    self, output = start_once(jobs)
    if self or not output:find("address already in use", 1, true) then
      break
    end
  end
  return self or error("Prometheus did not start:\n" .. output, 2)
end

--- What it has said so far.
function Prometheus:output()
  return process.read_file(self.dir .. "/output") or ""
end

local function escaped(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function ask(self, path)
  local body, status = http.request(self.url .. path)
  assert(status == 200, ("%s: %s %s"):format(path, status, body))
  return server.decode(body).data
end

--- What a PromQL query comes to now: a list of { labels, value }.
---@return table[]
function Prometheus:query(query)
  local list = {}
  for index, found in ipairs(ask(self, "/api/v1/query?query=" .. escaped(query)).result) do
    list[index] = { labels = found.metric, value = tonumber(found.value[2]) }
  end
  return list
end

--- The one value that a query comes to, as soon as it is this one; else what it came to last.
---@return number|nil
function Prometheus:value_when(query, expected)
  local value
  process.wait_until(function()
    local found = self:query(query)
    value = #found == 1 and found[1].value or nil
    return value == expected
  end, 10)
  return value
end

--- Of each job, why its last scrape failed; the empty text where it did not.
---@return table<string, string>
function Prometheus:scrape_errors()
  local errors = {}
  for _, target in ipairs(ask(self, "/api/v1/targets").activeTargets) do
    errors[target.labels.job] = target.lastError
  end
  return errors
end

--- Works twice.
function Prometheus:stop()
  if self.pipe then
    self.pipe:close()
    self.pipe = nil
  end
end

return prometheus
