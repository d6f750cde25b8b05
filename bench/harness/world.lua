--- What all rows share: how much is measured, where programs are, the upstream.

local cores = require "bench.harness.cores"
local nginx = require "spec.support.nginx"
local subject = require "bench.harness.subject"

local world = {}

local World = {}
World.__index = World

-- About 200 bytes, as many an API answers.
local BODY = '{"base":"USD","date":"2026-01-02","rates":{"EUR":0.91643,"GBP":0.79218,"JPY":'
  .. '147.2375,"CHF":0.86194,"SEK":10.4417,"NOK":10.6921,"DKK":6.8347,"PLN":3.9821,"CZK":22.7713,'
  .. '"HUF":351.9448}}'

-- Connections are kept for ever, or closing them would be measured.
local HTTP = "keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;"

local function exists(path)
  local file = io.open(path, "r")
  if file then
    file:close()
  end
  return file ~= nil
end

-- A quick bench leaves out that client and upstream have cores of their own.
local function pinnings(quick)
  local list = cores.pinnings()
  return quick and { list[1] } or list
end

--- `kind` is "full" or "quick": a quick one has 3 rounds and a tenth of the calls.
---@param kind string
function world.new(kind)
  local quick, build, root = kind == "quick", os.getenv("BUILD") or "build", os.getenv("PWD")
  return setmetatable({
    quick = quick,
    rounds = quick and 3 or 5,
    share = quick and 0.1 or 1,
    build = build,
    root = root,
    build_path = build:sub(1, 1) == "/" and build or root .. "/" .. build,
    body = BODY,
    pinnings = pinnings(quick),
    other_core = (cores.pinnings()[2] or {}).upstream,
    servers = {},
  }, World)
end

--- So many calls of a full bench, as they are in this one; no fewer than `least`.
---@param calls integer
---@param least integer|nil 1
function World:calls(calls, least)
  return math.max(math.floor(calls * self.share), least or 1)
end

--- A program of bench/floors.
function World:floor(name)
  return self.build .. "/bench/" .. name
end

--- The interpreter of a variant with this tree's neap; nil where that was not built.
---@param variant string "lua5.4" or "luajit"
function World:lua(variant)
  local path = self.build .. "/" .. variant .. "/lua"
  return exists(self.build .. "/" .. variant .. "/neap/core.so") and path or nil
end

--- The same of another tree, which the environment variable AGAINST names.
function World:other_lua(variant)
  local tree = os.getenv("AGAINST") or ""
  local path = ("%s/build/%s/"):format(tree, variant)
  return tree ~= "" and exists(path .. "neap/core.so") and path .. "lua" or nil
end

--- A subject that is a script of bench/subjects, run by the interpreter of a variant of this tree.
function World:script(name, variant, core, script, ...)
  local interpreter = self:lua(variant)
  if not interpreter then
    return subject.skipped(name, variant .. " is not built")
  end
  return subject.program(name, { interpreter, "bench/subjects/" .. script, ... }, core)
end

--- The same by the tree to be compared with.
function World:other_script(name, variant, core, script, ...)
  local interpreter = self:other_lua(variant)
  if not interpreter then
    return subject.skipped(name, "AGAINST names no built tree")
  end
  return subject.program(name, { interpreter, "bench/subjects/" .. script, ... }, core)
end

--- Is a module of Debian's there, for Lua 5.4 or, where it is pure Lua, for an older one?
---@param module string
function World:has(module)
  local file = module:gsub("%.", "/")
  for _, version in ipairs{ "5.4", "5.3", "5.1" } do
    local path = ("/usr/share/lua/%s/%s"):format(version, file)
    if exists(path .. ".lua") or exists(path .. "/init.lua") then
      return true
    end
  end
  return false
end

--- Starts an nginx that is stopped with this world.
---@param options table of spec.support.nginx
function World:nginx(options)
  local server = nginx.start(options)
  table.insert(self.servers, server)
  return server
end

--- The upstream of all rows: one worker that answers each request with `body`.
---@param core integer|nil where it is to run from now on
---@return string url
function World:upstream(core)
  if not self.upstream_server then
    self.upstream_server = self:nginx{
      http = HTTP,
      conf = ("location / { default_type application/json; return 200 '%s'; }"):format(BODY),
    }
  end
  cores.pin(self.upstream_server.pid, core)
  return self.upstream_server.url .. "/rates"
end

--- Stops what was started. Works twice.
function World:close()
  for _, server in ipairs(self.servers) do
    server:stop()
  end
  self.servers = {}
  self.upstream_server = nil
end

return world
