--- An nginx whose locations are guarded against repetition, in front of a store of any kind.
--
--     local g = guarded.start{ kind = "sqlite", workers = 4, lease = 1 }
--     g:post("k-1")                -> 201, "paid 1"      POST /pay under that key
--     g:count("runs")              -> 1                   how often the handler began
--     g:stop()
--
-- /pay runs a handler that takes `?seconds=` (none where an earlier one was lost), answers
-- `?status=` and raises with `?fails=1`. Takes what spec.support.farm takes, and `kind`, `lease`,
-- `redis` (arguments of redis-server), and `guard`, further options of the guard as Lua. The guard
-- is the global `guard` there, what it counts is in ngx.shared.counts.
local farm = require "spec.support.farm"
local process = require "spec.support.process"
local redis = require "spec.support.redis"

local guarded = {}

local Guarded = {}

function Guarded.__index(self, key)
  local known = Guarded[key]
  if known ~= nil then
    return known
  end
  local inner = rawget(self, "farm")
  return inner and inner[key]
end

local INIT = [[
  require "neap.nginx"
  counts = ngx.shared.counts
  store = assert(%s)
  guard = require("neap.idempotency").new{ store = store, lease = %s, %s }

  function pay(req)
    local number = counts:incr("runs", 1, 0)
    counts:set("pid", ngx.worker.pid())
    if req.recovered then
      counts:incr("recovered", 1, 0)
    end
    local args = ngx.req.get_uri_args()
    ngx.sleep(req.recovered and 0 or tonumber(args.seconds) or 0)
    counts:incr("ended", 1, 0)
    if args.fails then
      error("the till is on fire")
    end
    return {
      status = tonumber(args.status) or 201,
      headers = { { "Content-Type", "text/plain" }, { "X-Worker", tostring(ngx.worker.pid()) } },
      body = "paid " .. number,
    }
  end
]]

local CONF = [[
  location = /pay {
    content_by_lua_block { require("neap.nginx").idempotency(guard, pay) }
  }
]]

-- The store as Lua, and what keeps it, if that is a process.
local STORES = {
  memory = function()
    return 'require("neap.store.memory").new()'
  end,
  sqlite = function(_, path)
    return ('require("neap.store.sqlite").new{ path = %q, busy_timeout = 0.5 }'):format(path)
  end,
  redis = function(server)
    return ('require("neap.store.redis").new{ host = %q, timeout = 0.5 }'):format(server.path)
  end,
}

--- The kinds of store, each with the number of workers that can share one.
guarded.KINDS = { { "memory", 1 }, { "sqlite", 4 }, { "redis", 4 } }

--- Why there can be no store of that kind here; nil where there can.
function guarded.lacks(kind)
  return kind == "redis" and redis.lacks() or nil
end

--- What makes one test for each kind of store, by these functions of busted; where there can be no
--- store of the kind it is pending.
---@return fun(kinds: table, name: string, test: fun(kind: string, workers: integer))
function guarded.each_by(it, pending)
  return function(kinds, name, test)
    for _, kind in ipairs(kinds) do
      local full = ("%s (%s)"):format(name, kind[1])
      local lacks = guarded.lacks(kind[1])
      if lacks then
        pending(full .. ": " .. lacks)
      else
        it(full, function()
          test(kind[1], kind[2])
        end)
      end
    end
  end
end

local function database()
  local folder = process.temporary_directory()
  return folder, folder .. "/store.db"
end

function guarded.start(options)
  local self = setmetatable({}, Guarded)
  self.redis = options.kind == "redis" and redis.start{ options = options.redis } or nil
  self.folder, self.path = database()
  local given = {}
  for key, value in pairs(options) do
    given[key] = value
  end
  given.http = "lua_shared_dict counts 1m;\n" .. (options.http or "")
  given.conf = CONF .. (options.conf or "")
  given.init = INIT:format(STORES[options.kind](self.redis, self.path), options.lease or 60,
    options.guard or "") .. (options.init or "")
  self.farm = farm.start(given)
  return self
end

--- Works twice.
function Guarded:stop()
  self.farm:stop()
  if self.redis then
    self.redis:stop()
  end
  os.execute("rm -rf " .. process.quoted(self.folder))
end

--- The lines of a head that bring a key.
function guarded.keyed(key)
  return ("Idempotency-Key: %s\r\n"):format(key)
end

--- One request on a talk of its own: a POST, unless the method says otherwise.
---@return integer|nil status
---@return string body
---@return string[]|nil lines of the head
function Guarded:ask(path, body, headers, method)
  local talk = self.farm:talk()
  talk:send(path, body, headers, method or "POST")
  local status, answer, lines = talk:receive()
  talk:close()
  return status, answer, lines
end

local function path_of(query)
  return "/pay" .. (query or "")
end

--- Sends a POST under a key on that talk.
function guarded.send(talk, key, query)
  talk:send(path_of(query), "", guarded.keyed(key), "POST")
end

--- The same, and what guarded:ask returns.
function Guarded:post(key, query)
  return self:ask(path_of(query), "", guarded.keyed(key))
end

--- A number that the workers have counted: runs, ended, recovered; or the pid of who ran last.
function Guarded:count(name)
  return self.farm:run(("return counts:get(%q) or 0"):format(name))
end

--- Does a line of the head say that the answer is a stored one?
function guarded.is_replay(lines)
  for _, line in ipairs(lines) do
    if line == "Idempotent-Replayed: true" then
      return true
    end
  end
  return false
end

return guarded
