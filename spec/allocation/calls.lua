--- Calls on the testing kit: the pipeline without a network.
local memory = require "neap.store.memory"
local neap = require "neap"
local outbox = require "neap.outbox"
local stage = require "spec.allocation.stage"

local OK = { status = 200, body = "fine", ["repeat"] = true }

-- A scenario of one client: `call(client, kit)` under `script` answers with this status and source.
local function one_call(name, part, script, call, status, source)
  return {
    name = name,
    set_up = function()
      local kit, client = stage.kit(part)
      return function()
        return stage.answered_or_told(status or 200, source or "network",
          stage.run(kit, script, function() return call(client, kit) end))
      end, function() return stage.at_rest(client) end
    end,
  }
end

local function get(client)
  return client:get("item/7", { query = { q = "a b" }, headers = { Accept = "text/plain" } })
end

local function asked(part)
  part.breaker = { failure = function() return "ignore" end, window = { count = 1 }, min_calls = 1 }
  return part
end

local scenarios = {
  one_call("a GET", nil, { OK }, get),
  one_call("a POST of JSON with a key", { idempotency = { from = { "a.b" } } }, { OK },
    function(client) return client:post("pay", { json = { a = { b = "1" }, c = { 1, 2 } } }) end),
  one_call("a retry after 503", asked{}, { { status = 503 }, { status = 503 }, OK }, get),
  one_call("a token that is refreshed",
    { retry = { refresh = function() return { Authorization = "Bearer 2" } end } },
    { { status = 401 }, OK }, get),
  one_call("functions of the policy that are asked", asked{
    retry = { when = function() return true end, backoff = function() return 0.01 end,
      budget = false },
    gate = { key = function() return "tenant" end },
    trace = function() return { traceparent = "x" } end,
  }, { { status = 503 }, OK }, get),
  one_call("chaos", { chaos = { rate = 1, latency = 0.1, status = 503 }, breaker = false },
    { OK }, get, 503),
  one_call("a default after all else", asked{
    name = "defaults",
    fallback = {
      { when = { "connect" }, default = { status = 201 } },
      { cache = true },
      function() error("no") end,
      { default = function() return { status = 200, headers = { a = "b" }, body = "x" } end },
    },
  }, { { status = 404, times = 1 }, OK }, function(client)
    local first, err = client:get("other")
    if not first then
      return nil, err
    end
    return get(client)
  end),
}

local function add(name, set_up)
  scenarios[#scenarios + 1] = { name = name, set_up = set_up }
end

local DOWN = { { status = 503, ["repeat"] = true } }

add("a chain of fallbacks: function, default, service", function()
  local kit, service = stage.kit{ name = "service", retry = false, breaker = false }
  local kept = memory.new{ env = kit.env }
  local box = outbox.new{ store = kept, env = kit.env, name = "box" }
  local client = kit:client(stage.policy(asked{ retry = false, fallback = {
    { cache = true },
    function() end,
    { service = service },
    { when = { "timeout" }, queue = box },
    { default = { status = 200, body = "x" } },
  } }))
  return function()
    return stage.answered_or_told(200, "default", stage.run(kit, DOWN, function()
      return get(client)
    end))
  end, function()
    return stage.at_rest(client)
  end
end)

add("a queue as fallback", function()
  local kit, service = stage.kit{ name = "service", retry = false }
  local kept = memory.new{ env = kit.env }
  local box = outbox.new{ store = kept, env = kit.env, client = service }
  local client = kit:client(stage.policy(asked{ retry = false, idempotency = true,
    fallback = { { queue = box } } }))
  return function()
    local well, err = stage.answered_or_told(202, "queue", stage.run(kit, DOWN, function()
      return client:post("sms", { json = { to = 1 }, tags = { a = 1 } })
    end))
    if not well then
      return nil, err
    end
    local report = stage.run(kit, { OK }, function() return box:drain() end)
    return report.delivered > 0, "not enough memory: nothing was delivered"
  end, function()
    return stage.at_rest(client)
  end
end)

add("a stored answer, stale and revalidated", function()
  local kit, client = stage.kit{ cache = { stale_if_error = 60, stale_while_revalidate = 10 } }
  local fresh = { status = 200, body = "x", headers = { ["Cache-Control"] = "max-age=60",
    ETag = '"1"', Vary = "Accept" } }
  local same = { status = 304, headers = { ETag = '"1"', ["Cache-Control"] = "max-age=60" } }
  local function answer(request)
    return request.headers["If-None-Match"] and same or fresh
  end
  local round = 0
  return function()
    round = round + 1
    local path = "p" .. round
    return stage.run(kit, { answer, answer }, function()
      local well, err = stage.answered(200, "network", client:get(path))
      if not well then
        return nil, err
      end
      kit.requests = {}
      neap.sleep(120)
      local res
      res, err = client:get(path)
      if not res then
        return nil, err
      end
      if res.source == "network" and res.status == 200 then
        return nil, "not enough memory: it was not stored"
      end
      return stage.answered(200, "cache", res)
    end)
  end, function()
    return stage.at_rest(client)
  end
end)

-- Three calls of one client side by side, of which each must come to something.
local function three_at_once(policy, path, script)
  local kit, client = stage.kit(policy)
  local function call()
    local res, err = client:get(path)
    return res or error(tostring(err), 0)
  end
  return function()
    local results = stage.run(kit, script, function()
      return neap.all{ call, call, call }
    end)
    for _, result in ipairs(results) do
      if not result[1] then
        return nil, result[2]
      end
    end
    return true
  end, function()
    return stage.at_rest(client)
  end
end

add("calls that coalesce", function()
  return three_at_once({ coalesce = true }, "same",
    { { status = 200, after = 1, ["repeat"] = true } })
end)

add("calls that wait for one another's place", function()
  return three_at_once({ bulkhead = { max_concurrent = 1, max_wait = 5, max_queue = 5 },
    rate_limit = { rate = 100, max_wait = 5 } }, "queue",
    { { status = 200, after = 0.1, ["repeat"] = true } })
end)

local SLOW = { { status = 200, after = 1, ["repeat"] = true } }

add("a client that is closed under its calls", function()
  local kit = stage.kit()
  local client
  return function()
    client = kit:client(stage.policy{ name = "closed" })
    return stage.run(kit, SLOW, function()
      local task = neap.spawn(function() return client:get("x") end)
      neap.sleep(0.5)
      client:close()
      local res, err = task:await()
      return not res and err.kind == "cancelled", err
    end)
  end, function()
    return client:stats().in_flight == 0
  end
end)

add("tasks that a run leaves behind when it fails", function()
  local kit, client = stage.kit()
  return function()
    local done, err = pcall(stage.run, kit, SLOW, function()
      neap.spawn(function() return client:get("x") end)
      neap.sleep(0.5)
      error("wanted", 0)
    end)
    return not done and err == "wanted", err
  end, function()
    return stage.at_rest(client)
  end
end)

add("a breaker for each key, with eviction", function()
  local kit, client = stage.kit{ breaker = { key = function(req) return req.path end,
    max_keys = 2 } }
  local round = 0
  return function()
    return stage.run(kit, { OK }, function()
      for _ = 1, 3 do
        round = round + 1
        local well, err = stage.answered(200, "network", client:get("k" .. round % 7))
        if not well then
          return nil, err
        end
      end
      return client:stats().breaker_keys == 2
    end)
  end, function()
    return stage.at_rest(client)
  end
end)

return scenarios
