--- The serving side's guard and the outbox, in memory, and in SQLite and Redis, which have a thread
--- of their own.
local memory = require "neap.store.memory"
local has_sqlite, sqlite = pcall(require, "neap.store.sqlite")
local has_redis, redis = pcall(require, "neap.store.redis")
local idempotency = require "neap.idempotency"
local neap = require "neap"
local outbox = require "neap.outbox"
local stage = require "spec.allocation.stage"

local scenarios = {}

local function add(name, set_up)
  scenarios[#scenarios + 1] = { name = name, set_up = set_up }
end

local function always() return true end

local function pay()
  return { status = 201, headers = { a = { "1", "2" } }, body = "paid" }
end

local function guards(store)
  local guard = idempotency.new{ store = store }
  local round = 0
  return function()
    round = round + 1
    local req = { method = "POST", path = "/pay", body = "{}",
      headers = { ["Idempotency-Key"] = "key" .. round } }
    local first = guard:handle(req, pay)
    if first.status ~= 201 then
      return nil, ("not enough memory: %s %s"):format(first.status, first.body)
    end
    local second = guard:handle(req, pay)
    if second.headers["Idempotent-Replayed"] ~= "true" then
      return nil, ("not enough memory: %s %s"):format(second.status, second.body)
    end
    return true
  end, always
end

local function delivers(store)
  local kit, client = stage.kit{ retry = false, idempotency = true }
  local box = outbox.new{ store = store, client = client, env = kit.env }
  return function()
    return stage.run(kit, { { status = 202, ["repeat"] = true } }, function()
      local id, err = box:put{ method = "POST", path = "sms", json = { to = 1 }, tags = { a = "b" },
        headers = { A = "b" } }
      if not id then
        return nil, err
      end
      neap.sleep(120)
      local report
      report, err = box:drain()
      if not report then
        return nil, err
      end
      local size = box:size()
      return report.delivered > 0 and size == 0,
        ("not enough memory: %d delivered, %s left"):format(report.delivered, tostring(size))
    end)
  end, function()
    return stage.at_rest(client)
  end
end

add("a guard, in memory", function() return guards(memory.new()) end)
add("an outbox, in memory", function() return delivers(memory.new()) end)

if has_sqlite then
  add("a guard, in SQLite", function(_, directory)
    return guards(assert(sqlite.new{ path = directory .. "/guard.db" }))
  end)
  add("a guard, in SQLite, in a task", function(_, directory)
    local round, rest = guards(assert(sqlite.new{ path = directory .. "/task.db" }))
    return function() return neap.run(round) end, rest
  end)
  add("an outbox, in SQLite", function(_, directory)
    return delivers(assert(sqlite.new{ path = directory .. "/outbox.db" }))
  end)
  add("a store of SQLite from its making to its closing", function(_, directory)
    return function()
      local store, err = sqlite.new{ path = directory .. "/open.db" }
      return store and true, err
    end, always
  end)
end

-- hiredis has malloc itself, which is not made to fail.
if has_redis and os.execute "command -v redis-server >/dev/null" then
  add("a guard, in Redis", function(servers)
    return guards(assert(redis.new{ host = servers.redis, prefix = "guard:" }))
  end)
  add("a guard, in Redis, in a task", function(servers)
    local round, rest = guards(assert(redis.new{ host = servers.redis, prefix = "task:" }))
    return function() return neap.run(round) end, rest
  end)
  add("an outbox, in Redis", function(servers)
    return delivers(assert(redis.new{ host = servers.redis, prefix = "outbox:" }))
  end)
  add("a store of Redis from its making to its closing", function(servers)
    return function()
      local store, err = redis.new{ host = servers.redis, prefix = "open:", db = 1 }
      return store and true, err
    end, always
  end)
end

return scenarios
