--- What the soak runs: the misbehaving upstream, nginx with neap in four workers, the load, and the
--- plain programs, each told the seed.
local cjson = require "cjson"

local farm = require "spec.support.farm"
local process = require "spec.support.process"
local processes = require "spec.soak.processes"
local server = require "spec.support.server"
local stores = require "spec.support.stores"
local weather = require "spec.soak.weather"

local world = {}

local World = {}
World.__index = World

world.WORKERS = 4

local RATE = 200 -- calls a second
local TASKS = 100 -- of a plain program
local LUA = assert(os.getenv("NEAP_LUA"))
local LUAJIT = LUA:gsub("/[^/]+/lua$", "/luajit/lua")

-- The upstream's scripts, and whose weather they have.
local SCRIPTS = { api = "api", payments = "payments", items = "items", gated = "gated",
  nowhere = "spare", spare = "spare", deliveries = "payments",
  ["plain-lua5.4"] = "api", ["plain-luajit"] = "api" }

local INIT = [[
  gateway = require("spec.soak.gateway").new(require("cjson").decode(%q))
]]

local ORDERS_INIT = [[
  orders = require("neap.idempotency").new{
    store = assert(require("neap.store.sqlite").new{ path = %q }), lease = 2,
  }
]]

local CONF = [[
  location = /call { content_by_lua_block { gateway:serve() } }
  location = /metrics { content_by_lua_block { require("neap.nginx").metrics() } }
  location = /orders {
    lua_check_client_abort off;
    content_by_lua_block { gateway:take_order(orders, "%s/orders") }
  }
]]

local function start_upstream(self)
  local s = server.start()
  local stream = 100
  for name, kind in pairs(SCRIPTS) do
    s:script(name, weather.script(kind, self.seed, stream))
  end
  s:h2(weather.script("streams", self.seed, stream))
  return s
end

local function start_nginx(self)
  local s = self.upstream
  local init = INIT:format(cjson.encode{ plain = s.plain, flaky = s.flaky, refused = s.refused,
    good = s.tls.good, h2 = s.tls.h2, dead_ends = weather.dead_ends(s), ca_file = s.ca_file })
  if self.has_sqlite then
    init = init .. ORDERS_INIT:format(self.folder .. "/orders.db")
  end
  return farm.start{ workers = world.WORKERS, upstream = s.url, region = true, init = init,
    conf = CONF:format(self.folder) }
end

--- Starts upstream and nginx. `settings` has seed, seconds and folder, which is there.
function world.start(settings)
  local self = setmetatable({ seed = settings.seed, seconds = settings.seconds,
    folder = settings.folder, programs = {} }, World)
  self.has_sqlite = stores.lacks_sqlite() == nil
  self.upstream = start_upstream(self)
  self.nginx = start_nginx(self)
  return self
end

local function start_program(self, name, lua, script, ...)
  local program = processes.start(self.folder, name, lua, "spec/soak/" .. script, ...)
  self.programs[name] = program
  return program
end

--- Starts the load and the plain programs.
function World:start_programs()
  local url = self.upstream.url .. "/"
  start_program(self, "load", LUA, "load.lua", self.nginx.port, self.seed, RATE, self.seconds)
  for name, lua in pairs{ ["plain-lua5.4"] = LUA, ["plain-luajit"] = LUAJIT } do
    start_program(self, name, lua, "side_by_side.lua", name, url, self.seed, self.seconds, TASKS,
      self.upstream.ca_file, table.unpack(weather.dead_ends(self.upstream)))
  end
  if self.has_sqlite then
    start_program(self, "deliveries", LUA, "deliveries.lua", self.folder, url, self.nginx.url,
      self.seed, self.seconds)
  end
end

--- Waits until the programs have ended by themselves.
function World:wait_for_programs(seconds)
  for name, program in pairs(self.programs) do
    farm.wait("end of " .. name, function() return not farm.lives(program.pid) end, seconds)
  end
end

--- What a program has left; raises with what it said where it left nothing.
function World:result_of(name)
  local program = self.programs[name]
  local text = program and process.read_file(program.result)
  if program and not text then
    error(("%s has left no result; it said:\n%s"):format(name,
      process.read_file(self.folder .. "/" .. name .. ".said") or ""), 0)
  end
  return text and server.decode(text)
end

--- The lines of a file in the folder.
---@return string[]
function World:lines(name)
  local lines = {}
  for line in (process.read_file(self.folder .. "/" .. name) or ""):gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

-- Names of what the gateway has, as Lua inside nginx has to write them.
local NAMES = { "api", "payments", "items", "gated", "nowhere", "streams", "spare", "guarded" }
world.CLIENTS = NAMES

--- Statistics of all clients of the gateway by name, from whichever worker answers.
function World:stats()
  return self.nginx:run "return neap.stats()"
end

function World:region()
  return self.nginx:run "return region:stats()"
end

--- The page for Prometheus.
function World:metrics()
  local talk = self.nginx:talk()
  local status, text = talk:get "/metrics"
  talk:close()
  assert(status == 200, "no page for Prometheus")
  return text
end

--- One call of each kind, on that connection.
function World:call_each(talk, number)
  for index, kind in ipairs{ "api", "payments", "items", "gated", "nowhere", "streams",
    "guarded" } do
    local status = talk:get(("/call?c=%s&t=warm-%d-%d&n=%d"):format(kind, number, index, number))
    assert(status == 200, "a call to warm up failed")
  end
  self:order(talk, number)
end

--- An order of no consequence: has the worker open the guard's store.
function World:order(talk, number)
  if self.has_sqlite then
    local key = ("warm-%d-%d"):format(self.seed, number)
    talk:send("/orders", key, ("Idempotency-Key: %s\r\n"):format(key))
    talk:receive() -- whichever worker was the first to take it
  end
end

--- Waits until nothing is in flight any more; false where that does not come.
function World:is_quiet(seconds)
  return process.wait_until(function()
    for _, stats in pairs(self:stats()) do
      if stats.in_flight ~= 0 then
        return false
      end
    end
    return self.upstream:ledger().in_flight == 0
  end, seconds)
end

--- Puts a value into the folder, for people.
function World:keep(name, value)
  local file = assert(io.open(self.folder .. "/" .. name, "w"))
  file:write(type(value) == "string" and value or cjson.encode(value))
  file:close()
end

--- Works twice. Programs that still run are ended.
function World:stop()
  for _, program in pairs(self.programs) do
    if farm.lives(program.pid) then
      processes.signal("KILL", program.pid)
    end
  end
  if self.nginx then
    self:keep("nginx-error.log", self.nginx:error_log())
    self.nginx:stop()
  end
  self.upstream:stop()
end

return world
