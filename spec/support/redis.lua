--- A Redis for the specs, in a new folder, on a unix socket there and no port.
--
--     local redis = require "spec.support.redis"
--     local r = redis.start{ options = "--appendonly yes --appendfsync always" }
--     r.path   r:say("PING")   r:kill()   r:restart()   r:stop()
--
-- It ends with this process, and its folder with it. redis.lacks() says why there can be none.
local process = require "spec.support.process"

local redis = {}

local Redis = {}
Redis.__index = Redis

--- Why no Redis can be started here; nil where one can.
---@return string|nil
function redis.lacks()
  local done = os.execute("command -v redis-server >/dev/null && command -v redis-cli >/dev/null")
  if done ~= true and done ~= 0 then
    return "there is no redis-server (Debian: redis-server)"
  end
  if not require("neap.core").has_store("redis") then
    return "neap was built without hiredis"
  end
end

-- The shell outlives the server and removes the folder: an end of file on its input, or a line,
-- ends both.
local LAUNCH = "trap '' INT; redis-server --port 0 --unixsocket %s --dir %s --save '' "
  .. "--daemonize no --loglevel warning %s >%s/log 2>&1 & echo $! >%s/pid; read -r keep; "
  .. 'kill -KILL $! 2>/dev/null; wait; [ "$keep" = keep ] || rm -rf %s'

local function quoted(self)
  return process.quoted(self.folder)
end

function Redis:launch()
  local folder = quoted(self)
  os.remove(self.folder .. "/pid")
  self.pipe = assert(io.popen(LAUNCH:format(process.quoted(self.path), folder, self.options, folder,
    folder, folder), "w"))
end

--- What it answers to a command, through redis-cli; "" where it is not there.
---@param words string
---@return string
function Redis:say(words)
  local pipe = assert(io.popen(("redis-cli -s %s %s 2>/dev/null")
    :format(process.quoted(self.path), words)))
  local answer = pipe:read("*a")
  pipe:close()
  return (answer:gsub("%s+$", ""))
end

-- One that wants a password is up too.
local function wait_until_up(self)
  local up = process.wait_until(function()
    local answer = self:say("PING")
    return answer == "PONG" or answer:find("^NOAUTH")
  end, 20)
  if not up then
    local log = process.read_file(self.folder .. "/log")
    self:stop()
    error("redis-server did not start:\n" .. tostring(log), 3)
  end
  self.pid = tonumber(process.read_file(self.folder .. "/pid"))
end

---@param options { options?: string }|nil further arguments of redis-server
function redis.start(options)
  local folder = process.temporary_directory()
  local self = setmetatable({ folder = folder, path = folder .. "/socket",
    options = options and options.options or "" }, Redis)
  self:launch()
  wait_until_up(self)
  return self
end

local function end_launch(self, word)
  if self.pipe then
    self.pipe:write(word, "\n")
    self.pipe:close() -- waits for its end
    self.pipe = nil
  end
end

--- Kills it where it stands, as a crash would. What it wrote stays.
function Redis:kill()
  end_launch(self, "keep")
end

--- Starts it again, with what it wrote.
function Redis:restart()
  self:launch()
  wait_until_up(self)
end

--- Kills it and removes its folder. Works twice, and after a kill.
function Redis:stop()
  end_launch(self, "")
  os.execute("rm -rf " .. quoted(self))
end

return redis
