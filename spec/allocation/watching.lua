--- What is told of clients, and what changes them.
local neap = require "neap"
local stage = require "spec.allocation.stage"

local scenarios = {}

local function add(name, set_up)
  scenarios[#scenarios + 1] = { name = name, set_up = set_up }
end

local OK = { { status = 200, ["repeat"] = true } }

add("statistics, metrics, the status page", function()
  local kit, client = stage.kit{ breaker = { key = "host" } }
  stage.run(kit, OK, function() return client:get("/") end)
  return function()
    local stats = client:stats()
    local text = neap.prometheus{ client }
    local page = neap.status{ client }
    return stats.calls > 0 and text:find("neap_", 1, true) ~= nil and #page > 1000
  end, function()
    return stage.at_rest(client)
  end
end)

add("events", function()
  local kit, client = stage.kit{ breaker = false }
  local told = 0
  for _, event in ipairs{ "attempt", "retry", "reject", "breaker", "fallback", "alert", "done" } do
    client:on(event, function() told = told + 1 end)
  end
  local script = { { status = 503 }, { status = 200, ["repeat"] = true } }
  return function()
    told = 0
    local well, err = stage.answered(200, "network", stage.run(kit, script, function()
      return client:get("/")
    end))
    if not well then
      return nil, err
    end
    return told == 4, ("not enough memory: told %d times"):format(told)
  end, function()
    return client:stats().in_flight == 0
  end
end)

add("alerts", function()
  local told = 0
  local kit, client = stage.kit{ retry = false, breaker = false, alerts = { window = 1,
    error_rate = 0.5, min_calls = 1, notify = function() told = told + 1 end } }
  local down = { { status = 503, ["repeat"] = true } }
  return function()
    told = 0
    local res, err = stage.run(kit, down, function()
      local res, err = client:get("/")
      neap.sleep(2.5)
      return res, err
    end)
    if not res then
      return nil, err
    end
    stage.run(kit, OK, function()
      client:get("/")
      neap.sleep(2.5)
    end)
    return told == 2, ("not enough memory: told %d times"):format(told)
  end, function()
    return client:stats().in_flight == 0
  end
end)

add("another policy", function()
  local kit, client = stage.kit()
  local round = 0
  return function()
    round = round + 1
    client:update(stage.policy{ timeout = { total = 10 + round % 2 }, cache = true,
      rate_limit = { rate = 1000 }, breaker = { window = { count = 10 + round % 2 } } })
    return stage.answered(200, "network", stage.run(kit, OK, function()
      return client:get("/" .. round)
    end))
  end, function()
    return stage.at_rest(client)
  end
end)

return scenarios
