-- Chaos: a share of the attempts is disturbed at the transport's edge.
local neap = require "neap"
local testing = require "neap.testing"

local FINE = { { status = 200, body = "real", ["repeat"] = true } }

local function kit_with(policy, entries)
  local kit = testing.new{ seed = 1 }
  policy.name, policy.base_url = "api", "https://api.example/"
  local api = kit:client(policy)
  kit:script(entries or FINE)
  return kit, api
end

-- What a single call comes to: response, error, and the virtual seconds that it took.
local function call(policy, req)
  local kit, api = kit_with(policy)
  local res, err
  kit:run(function()
    res, err = api:get("x", req)
  end)
  return res, err, kit, api
end

describe("chaos by error", function()
  for kind, sent in pairs{
    resolve = false, connect = false, tls = false, reset = true, protocol = true,
  } do
    it(("ends an attempt as %s, and nothing is sent"):format(kind), function()
      local _, err, kit = call{ retry = false, chaos = { rate = 1, error = kind } }
      assert.equal(kind, err.kind)
      assert.equal(0, #kit.requests)
      assert.truthy(err.message:find("policy.chaos", 1, true))
    end)

    it(("has a POST %s after %s"):format(sent and "given up" or "repeated", kind), function()
      local kit, api = kit_with{
        breaker = false, retry = { max_attempts = 2 }, chaos = { rate = 1, error = kind },
      }
      kit:run(function()
        local _, err = api:post("x", { body = "y" })
        assert.equal(sent and 1 or 2, err.attempts)
      end)
    end)
  end

  it("is a timeout of the phase read at that limit", function()
    local _, err, kit = call{
      retry = false, timeout = { read = 3 }, chaos = { rate = 1, error = "timeout" },
    }
    assert.equal("timeout", err.kind)
    assert.equal("read", err.phase)
    assert.equal(3, kit:now())
  end)

  it("comes after the latency", function()
    local _, err, kit = call{ retry = false, chaos = { rate = 1, error = "reset", latency = 0.5 } }
    assert.equal("reset", err.kind)
    assert.equal(0.5, kit:now())
  end)
end)

describe("chaos by status", function()
  it("answers in the server's place", function()
    local res, _, kit = call{ retry = false, chaos = { rate = 1, status = 503 } }
    assert.equal(503, res.status)
    assert.equal("", res.body)
    assert.equal(0, #kit.requests)
  end)

  it("opens the breaker like a real one", function()
    local kit, api = kit_with{
      retry = false, breaker = { min_calls = 2 }, chaos = { rate = 1, status = 500 },
    }
    kit:run(function()
      for _ = 1, 2 do assert(api:get("x")) end
      local _, err = api:get("x")
      assert.equal("breaker_open", err.kind)
    end)
  end)
end)

describe("chaos by latency", function()
  it("delays the real attempt", function()
    local res, _, kit = call{ chaos = { rate = 1, latency = 0.25 } }
    assert.equal("real", res.body)
    assert.equal(0.25, kit:now())
    assert.equal(0.25, kit.requests[1].at)
  end)

  it("that passes the limit of silence is a timeout", function()
    local _, err, kit = call{
      retry = false, timeout = { read = 1 }, chaos = { rate = 1, latency = 5 },
    }
    assert.equal("timeout", err.kind)
    assert.equal("read", err.phase)
    assert.equal(1, kit:now())
    assert.equal(0, #kit.requests)
  end)

  it("is cut by the attempt's limit, and the request is not sent later", function()
    local _, err, kit = call{
      retry = false, timeout = { attempt = 0.1 }, chaos = { rate = 1, latency = 2 },
    }
    assert.equal("attempt", err.phase)
    kit:advance(10)
    assert.equal(0, #kit.requests)
  end)

  it("tells the server what is left after it", function()
    local _, _, kit = call{
      timeout = { total = 3 }, deadline_header = "X-Left", chaos = { rate = 1, latency = 1 },
    }
    assert.equal("2000", kit.requests[1].headers["x-left"])
  end)
end)

describe("chaos", function()
  local function count_disturbed(rate, seed)
    local kit = testing.new{ seed = seed }
    local api = kit:client{
      name = "api", base_url = "https://api.example/", retry = false, breaker = false,
      chaos = { rate = rate, status = 500 },
    }
    kit:script(FINE)
    local disturbed = 0
    kit:run(function()
      for _ = 1, 1000 do
        disturbed = disturbed + (assert(api:get("x")).status == 500 and 1 or 0)
      end
    end)
    return disturbed, api:stats().chaos
  end

  it("disturbs the given share of attempts, and counts them", function()
    local disturbed, counted = count_disturbed(0.3, 7)
    assert.is_true(disturbed > 250 and disturbed < 350, disturbed)
    assert.equal(disturbed, counted)
  end)

  it("is the same for the same seed", function()
    assert.equal((count_disturbed(0.5, 3)), (count_disturbed(0.5, 3)))
  end)

  it("stands in the trace", function()
    local res = call{ chaos = { rate = 1, latency = 0.1 } }
    assert.is_true(res.trace[1].chaos)
    res = call{}
    assert.is_nil(res.trace[1].chaos)
  end)

  it("is told with the attempt", function()
    local kit, api = kit_with{ retry = false, chaos = { rate = 1, status = 500 } }
    local told = {}
    api:on("attempt", function(event) told[#told + 1] = event.chaos end)
    kit:run(function() assert(api:get("x")) end)
    assert.same({ true }, told)
  end)

  it("strikes only where the function says so, with the request", function()
    local kit, api = kit_with{
      retry = false,
      chaos = { rate = 1, status = 500, only = function(req) return req.path == "victim" end },
    }
    kit:run(function()
      assert.equal(200, assert(api:get("x")).status)
      assert.equal(500, assert(api:get("victim")).status)
    end)
  end)

  it("lets an answer of the cache be", function()
    local kit = testing.new{ seed = 1 }
    local api = kit:client{
      name = "api", base_url = "https://api.example/", retry = false, cache = { ttl = 60 },
      chaos = { rate = 1, status = 500, only = function(req) return req.path ~= "first" end },
    }
    kit:script(FINE)
    kit:run(function()
      assert.equal(200, assert(api:get("first")).status)
      assert.equal("cache", assert(api:get("first")).source)
    end)
  end)

  it("has no effect on a wrapped function", function()
    local ran = 0
    local fn = neap.wrap({ name = "f", chaos = { rate = 1, error = "reset" } }, function()
      ran = ran + 1
      return "value"
    end)
    assert.equal("value", fn())
    assert.equal(1, ran)
  end)

  it("is exposed for Prometheus where the policy has it", function()
    local _, _, _, api = call{ chaos = { rate = 1, latency = 0.1 } }
    local text = require("neap.survey").exposition{ api }
    assert.truthy(text:find('neap_chaos_attempts_total{client="api"} 1', 1, true))
  end)
end)

describe("the kill switch of chaos", function()
  it("of a client stops it, also for calls under way, and starts it again", function()
    local kit, api = kit_with{ retry = false, breaker = false, chaos = { rate = 1, status = 500 } }
    kit:run(function()
      assert.equal(500, assert(api:get("x")).status)
      assert.is_true(api:chaos(false))
      assert.equal(200, assert(api:get("x")).status)
      assert.is_false(api:chaos())
      assert.is_false(api:chaos(true))
      assert.equal(500, assert(api:get("x")).status)
    end)
  end)

  it("of the program stops all clients, and those made later", function()
    local policy = { name = "killed", chaos = { rate = 1, error = "reset" } }
    local before = neap.client(policy)
    neap.chaos(false)
    policy.name = "killed later"
    local later = neap.client(policy)
    assert.is_false(before:chaos())
    assert.is_false(later:chaos())
    neap.chaos(true)
    assert.is_true(before:chaos())
    assert.is_true(later:chaos())
    before:close()
    later:close()
  end)

  it("takes a boolean and nothing else", function()
    local client = neap.client{ name = "switch" }
    for _, switch in ipairs{ neap.chaos, function(on) client:chaos(on) end } do
      local done, message = pcall(switch, "off")
      assert.is_false(done)
      assert.truthy(message:find("on: expected a boolean, got a string", 1, true), message)
    end
    client:close()
  end)

  it("of the environment holds from the start", function()
    local program = [[
      local neap = require "neap"
      local client = neap.client{ name = "x", chaos = { rate = 1, error = "reset" } }
      io.write(tostring(client:chaos()))
    ]]
    local pipe = assert(io.popen(("NEAP_CHAOS=off '%s' -e '%s'"):format(
      os.getenv("NEAP_LUA"), program)))
    local said = pipe:read("*a")
    pipe:close()
    assert.equal("false", said)
  end)
end)

describe("a wrong policy of chaos", function()
  for message, chaos in pairs{
    ["policy.chaos.rate: required"] = { status = 500 },
    ["policy.chaos.rate: expected a number > 0 and <= 1, got 1.5"] = { rate = 1.5, status = 500 },
    ["policy.chaos.status: expected an integer from 200 to 599, got 99"] =
      { rate = 1, status = 99 },
    ["policy.chaos: expected either error or status, got both"] =
      { rate = 1, status = 500, error = "reset" },
    ["policy.chaos: expected latency, error or status, got none of them"] = { rate = 1 },
    ["policy.chaos.latencyy: unknown key"] = { rate = 1, latencyy = 1 },
  } do
    it("is refused: " .. message, function()
      local done, said = pcall(neap.client, { name = "x", chaos = chaos })
      assert.is_false(done)
      assert.truthy(said:find(message, 1, true), said)
    end)
  end
end)

describe("chaos on a real network", function()
  local calls = require "spec.support.calls"
  local server = require "spec.support.server"
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function() s:reset() end)

  local function client_with(chaos)
    return neap.client{ name = "real", base_url = s.url, retry = false, chaos = chaos }
  end

  it("sends late what it delays", function()
    local api = client_with{ rate = 1, latency = 0.05 }
    local began = neap.now()
    assert.equal(200, assert(api:get("status/200")).status)
    assert.is_true(neap.now() - began >= 0.05)
    assert.equal(1, #s:log())
    api:close()
  end)

  it("sends nothing where it answers itself", function()
    local api = client_with{ rate = 1, status = 502 }
    assert.equal(502, assert(api:get("status/200")).status)
    assert.equal(0, #s:log())
    api:close()
  end)

  it("is under way side by side", function()
    local api = client_with{ rate = 1, latency = 0.1 }
    local functions = {}
    for i = 1, 20 do
      functions[i] = function() return assert(api:get("status/200")) end
    end
    local seconds = calls.best_of(1, function()
      s:reset()
      local took = calls.timed(function() neap.run(neap.all, functions) end)
      assert.equal(20, #s:log())
      return took
    end)
    assert.is_true(seconds < 1)
    api:close()
  end)

  it("ends with the client, and sends nothing then", function()
    local api = client_with{ rate = 1, latency = 0.2 }
    neap.run(function()
      local task = neap.spawn(function() return api:get("status/200") end)
      neap.sleep(0.02)
      api:close()
      local _, err = task:await()
      assert.equal("cancelled", err.kind)
      neap.sleep(0.25)
    end)
    assert.equal(0, #s:log())
  end)
end)
