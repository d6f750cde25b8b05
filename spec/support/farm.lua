--- An nginx with neap in its workers, talked to from outside, worker by worker.
--
--     local n = farm.start{ workers = 4, upstream = s.url, region = true, init = "api = …" }
--     n:run "return api:get('/status/200').status"
--     for pid, worker in pairs(n:each_worker()) do worker:run "return …" end
--     n:stop()
--
-- Takes what spec.support.openresty takes. `init` finds `neap`, `told` (see spec.support.chunk) and
-- `upstream` as globals; with `region = true` the state of policies is shared by the workers, in a
-- region that goes when nginx does. Chunks go to the location /run, which each server has.

local lfs = require "lfs"
local socket = require "socket"

local openresty = require "spec.support.openresty"
local process = require "spec.support.process"
local server = require "spec.support.server"

local farm = {}

local Farm = {}

function Farm.__index(self, key)
  return Farm[key] or self.nginx[key]
end

--- One connection, which is kept: all its requests are handled by one worker.
local Talk = {}
Talk.__index = Talk

-- ------------------------------------------------------------------------------------ starting

local INIT = [[
neap = require "neap"
told = require("spec.support.chunk").told
upstream = %q
%s
%s
]]

local CONF = [[
client_body_buffer_size 1m;
keepalive_requests 1000000;
location = /run { content_by_lua_block { require("spec.support.chunk").serve() } }
location = /plain { return 200 plain; }
]]

-- This process's number: names in memory that all share must be its own.
local OWN_PID = tonumber((process.read_file("/proc/self/stat"):match("^%d+")))

local named = 0

--- A name for a region that nobody else uses.
---@return string
function farm.region_name()
  named = named + 1
  return ("spec-%d-%d"):format(OWN_PID, named)
end

function farm.region_path(name)
  return "/dev/shm/neap-" .. name
end

--- Can an nginx be started that has neap in it?
farm.is_here = openresty.is_here

local function sharing(region)
  return region and ("region = assert(neap.shared{ name = %q, size = 1048576 })"):format(region)
    or ""
end

function farm.start(options)
  local region = options.region == true and farm.region_name() or options.region
  local given = { listen = "reuseport", workers = 1,
    remove = region and farm.region_path(region) or nil }
  for key, value in pairs(options) do
    given[key] = value
  end
  given.init = INIT:format(options.upstream or "", sharing(region), options.init or "")
  given.conf = CONF .. (options.conf or "")
  local self = setmetatable({ nginx = openresty.start(given), region = region, talks = {} }, Farm)
  farm.wait("all workers", function() -- the port is open before they are there
    return #self:workers() == given.workers
  end)
  return self
end

--- Works twice.
function Farm:stop()
  for _, talk in ipairs(self.talks) do
    talk:close()
  end
  self.nginx:stop()
end

-- ------------------------------------------------------------------------------------- talking

--- A connection to whichever worker takes it.
function Farm:talk()
  local connection = assert(socket.connect("127.0.0.1", self.nginx.port))
  connection:settimeout(30)
  connection:setoption("tcp-nodelay", true)
  local talk = setmetatable({ connection = connection }, Talk)
  self.talks[#self.talks + 1] = talk
  return talk
end

--- Sends a request without waiting for its answer. `headers` are lines that end in CRLF.
function Talk:send(path, body, headers, method)
  body = body or ""
  return assert(self.connection:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: "
    .. "%d\r\n\r\n%s"):format(method or (body == "" and "GET" or "POST"), path, headers or "",
    #body, body)))
end

--- The answer to what was sent; nil and why there is none.
---@return integer|nil status
---@return string body
---@return string[]|nil lines of its head, as they came
function Talk:receive()
  local line, why = self.connection:receive("*l")
  if not line then
    return nil, why
  end
  local status, length, lines = tonumber(line:match("^HTTP/1%.1 (%d+)")), 0, {}
  repeat
    line = assert(self.connection:receive("*l"))
    length = tonumber(line:lower():match("^content%-length: (%d+)")) or length
    lines[#lines + 1] = line ~= "" and line or nil
  until line == ""
  return status, length > 0 and assert(self.connection:receive(length)) or "", lines
end

--- GETs a path.
function Talk:get(path)
  self:send(path)
  return self:receive()
end

--- Begins to run a chunk.
function Talk:begin(chunk, path)
  self:send(path or "/run", chunk)
end

--- What the chunk that was begun returned; raises what it raised.
---@return any value
---@return integer pid of the worker
function Talk:finish()
  local status, body = self:receive()
  if status ~= 200 then
    error(("the chunk got %s: %s"):format(tostring(status), tostring(body)), 2)
  end
  local answer = server.decode(body)
  if answer.raised then
    error(answer.raised, 2)
  end
  return answer.value, answer.pid
end

--- Runs a chunk and waits for its end.
function Talk:run(chunk, path)
  self:begin(chunk, path)
  return self:finish()
end

function Talk:close()
  self.connection:close()
end

--- Runs a chunk in whichever worker takes it.
function Farm:run(chunk, path)
  local talk = self:talk()
  local value, pid = talk:run(chunk, path)
  talk:close()
  return value, pid
end

--- Begins the chunk in so many requests, each on a talk of its own. `$index` in it is the request's
--- number.
---@return table[] talks
function Farm:begin(count, chunk, path)
  local talks = {}
  for index = 1, count do
    talks[index] = self:talk()
    talks[index]:begin((chunk:gsub("%$index", index)), path)
  end
  return talks
end

--- What the chunks returned that were begun on these talks, in order; the talks are closed.
---@return any[]
function farm.finish(talks)
  local values = {}
  for index, talk in ipairs(talks) do
    values[index] = talk:finish()
    talk:close()
  end
  return values
end

--- Runs a chunk once on each of these talks, all at the same time; what they returned, in order.
---@return any[]
function farm.together(talks, chunk)
  local values = {}
  for _, talk in ipairs(talks) do
    talk:begin(chunk)
  end
  for index, talk in ipairs(talks) do
    values[index] = talk:finish()
  end
  return values
end

-- Lists of talks by the numbers of the workers, as many as are wanted with each.
local function gather(self, pids, count)
  local talks, missing = {}, #pids * count
  for _, pid in ipairs(pids) do
    talks[pid] = {}
  end
  for _ = 1, 1000 do
    local talk = self:talk()
    local _, pid = talk:run("return true")
    if talks[pid] and #talks[pid] < count then
      table.insert(talks[pid], talk)
      missing = missing - 1
    else
      talk:close()
    end
    if missing == 0 then
      return talks
    end
  end
  error("some worker takes no connections", 3)
end

--- So many talks (1) with each worker: a list for each, and the workers' numbers in that order.
---@return table[][]
---@return integer[]
function Farm:each_worker(count)
  local pids, lists = self:workers(), {}
  local talks = gather(self, pids, count or 1)
  for index, pid in ipairs(pids) do
    lists[index] = talks[pid]
  end
  return lists, pids
end

-- ----------------------------------------------------------------------------------- processes

local function numbers(text)
  local list = {}
  for number in (text or ""):gmatch("%d+") do
    list[#list + 1] = tonumber(number)
  end
  return list
end

local function is_leaving(pid)
  local title = process.read_file(("/proc/%d/cmdline"):format(pid)) or ""
  return title:find("shutting down", 1, true) ~= nil
end

--- Does that process exist?
---@return boolean
function farm.lives(pid)
  local stat = process.read_file(("/proc/%d/stat"):format(pid))
  return stat ~= nil and stat:match("%) (%u)") ~= "Z"
end

--- The workers' numbers, without those that are shutting down unless `all`.
---@return integer[]
function Farm:workers(all)
  local pid = self.nginx.pid
  local children = process.read_file(("/proc/%d/task/%d/children"):format(pid, pid))
  local list = {}
  for _, child in ipairs(numbers(children)) do
    if farm.lives(child) and (all or not is_leaving(child)) then
      list[#list + 1] = child
    end
  end
  return list
end

local function entries(directory)
  local count = 0
  local found, next_entry, state = pcall(lfs.dir, directory)
  if not found then
    return 0
  end
  for _ in next_entry, state do
    count = count + 1
  end
  return count - 2 -- . and ..
end

--- The number of descriptors that a process has open.
---@return integer
function farm.descriptors(pid)
  return entries(("/proc/%d/fd"):format(pid))
end

--- The number of its threads.
---@return integer
function farm.threads(pid)
  return entries(("/proc/%d/task"):format(pid))
end

--- Waits until the predicate holds; raises where it does not within so many seconds.
---@return any answer of the predicate
---@return number seconds that it took
function farm.wait(what, predicate, seconds)
  local began = socket.gettime()
  local answer = process.wait_until(predicate, seconds)
  if not answer then
    error(("not within %g s: %s"):format(seconds or 5, what), 2)
  end
  return answer, socket.gettime() - began
end

return farm
