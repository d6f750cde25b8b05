-- What comes too late, from elsewhere, or while somebody gives up: nothing is lost and nobody else
-- is answered.
local neap = require "neap"
local testing = require "neap.testing"

local function kit(part)
  local t = testing.new()
  local policy = { name = "api", base_url = "https://api.example" }
  for key, value in pairs(part or {}) do
    policy[key] = value
  end
  return t, t:client(policy)
end

describe("a script function that sleeps", function()
  local once = { max_attempts = 2, backoff = { kind = "fixed", base = 1, jitter = "none" } }

  it("past the attempt's limit leaves the next attempt its own answer", function()
    local t, client = kit{ timeout = { attempt = 1 }, retry = once }
    local slow = true
    t:script{ { answer = function()
      if slow then
        slow = false
        neap.sleep(1.5)
        return { status = 201 }
      end
      return { status = 200 }
    end, ["repeat"] = true } }
    local res = t:run(function() return client:get("/") end)
    assert.equal(200, res.status)
    assert.equal(2, res.attempts)
    assert.equal(2, #t.requests)
    assert.equal("timeout", res.trace[1].error)
  end)

  it("past every limit ends in the timeout", function()
    local t, client = kit{ timeout = { attempt = 1 }, retry = once }
    t:script{ { answer = function()
      neap.sleep(1.5)
      return { status = 200 }
    end, ["repeat"] = true } }
    local _, err = t:run(function() return client:get("/") end)
    assert.equal("timeout", err.kind)
    assert.equal(2, err.attempts)
  end)
end)

describe("a run that fails", function()
  it("frees what a task holds that waits inside a guarded function", function()
    local guarded = neap.wrap({ name = "w", retry = false, bulkhead = { max_concurrent = 1 } },
      function(value)
        if value then
          return value
        end
        neap.all{ function() neap.sleep(60) end }
      end)
    local done = pcall(neap.run, function()
      neap.spawn(guarded)
      neap.sleep(0.01)
      error "enough"
    end)
    assert.is_false(done)
    assert.equal(7, guarded(7))
  end)

  it("frees the call whose policy function waits", function()
    local t, client = kit{ bulkhead = { max_concurrent = 1 },
      retry = { when = function() neap.sleep(60) end } }
    t:script{ { status = 503 }, { status = 200 } }
    pcall(t.run, t, function()
      neap.spawn(function() client:get("/") end)
      neap.sleep(1)
      error "enough"
    end)
    assert.equal(0, client:stats().in_flight)
    assert.equal(200, t:run(function() return client:get("/").status end))
  end)
end)

describe("a call inside a C function of Lua", function()
  it("blocks its task and wakes nobody else", function()
    local guarded = neap.wrap({ name = "w", retry = false }, function()
      neap.sleep(0.02)
      return "v"
    end)
    local text, slept = neap.run(function()
      local made = ("{x}"):gsub("{%w+}", function() return guarded() end)
      local began = neap.now()
      neap.sleep(0.1)
      return made, neap.now() - began
    end)
    assert.equal("v", text)
    assert.is_true(slept >= 0.1)
  end)
end)

describe("a wait that would end with the deadline", function()
  it("is not begun, and reserves nothing", function()
    local t, client = kit{ retry = false, rate_limit = { rate = 0.1, burst = 1, max_wait = 100 } }
    t:script{ { status = 200, ["repeat"] = true } }
    t:run(function()
      client:get("/")
      local _, err = client:get("/", { timeout = { total = 10 } })
      assert.equal("rate_limited", err.kind)
      assert.equal(0, t:now())
      client:get("/")
      assert.equal(10, t:now())
    end)
  end)
end)

describe("an idempotency key by a function", function()
  local function asked(part)
    local calls = 0
    local t, client = kit{ idempotency = { from = function(req)
      calls = calls + 1
      return req.json and req.json.id
    end }, headers = part }
    t:script{ { status = 200, ["repeat"] = true } }
    return t, client, function() return calls end
  end

  it("is asked for only where one is wanted", function()
    local t, client, calls = asked()
    t:run(function()
      client:get("/")
      client:post("/", { idempotency_key = "mine" })
      client:post("/", { headers = { ["idempotency-key"] = "mine" } })
      assert.equal(0, calls())
      client:post("/", { json = { id = "from the order" } })
    end)
    assert.equal(1, calls())
    assert.equal("from the order", t.requests[4].headers["Idempotency-Key"])
  end)

  it("is sent once", function()
    local t, client = asked{ ["Idempotency-Key"] = "of the policy" }
    t:run(function()
      client:post("/", { json = {} })
      client:post("/", { idempotency_key = "mine" })
    end)
    assert.equal("of the policy", t.requests[1].headers["Idempotency-Key"])
    assert.equal("mine", t.requests[2].headers["Idempotency-Key"])
    assert.error_matches(function()
      client:post("/", { idempotency_key = "a", headers = { ["Idempotency-Key"] = "b" } })
    end, "request.idempotency_key: the header Idempotency-Key is there already", 1, true)
  end)

  it("is made for a method in lower case too", function()
    local t, client = kit{ idempotency = true }
    t:script{ { status = 200 } }
    t:run(function() client:request{ method = "post", path = "/" } end)
    assert.equal("POST", t.requests[1].method)
    assert.is_string(t.requests[1].headers["Idempotency-Key"])
  end)
end)

describe("a fallback's malformed answer", function()
  it("is recorded, and the next entry is tried", function()
    for _, bad in ipairs{ { status = "503" }, { body = 42 }, { status = 200, headers = { "x" } },
      { status = 0 / 0 } } do
      local t, client = kit{ retry = false, fallback = {
        function() return bad end, { default = { status = 200, body = "last" } },
      } }
      t:script{ { status = 503 } }
      local res = t:run(function() return client:get("/") end)
      assert.equal("last", res.body)
      assert.equal("error", res.trace[2].error)
      assert.is_string(res.trace[2].message)
    end
  end)

  it("is misuse where it is constant", function()
    assert.error_matches(function()
      kit{ fallback = { { default = { status = "200" } } } }
    end, "policy.fallback[1].default.status: expected an integer from 100 to 599", 1, true)
  end)
end)

describe("one breaker of many", function()
  it("is told of with its key, and can be had by it", function()
    local t, client = kit{ retry = false, breaker = { consecutive_failures = 1,
      key = function(req) return req.path end } }
    local told = {}
    client:on("breaker", function(event) told[#told + 1] = event end)
    t:script{ { status = 503 } }
    t:run(function() client:get("/a") end)
    assert.equal("/a", told[1].key)
    assert.equal("open", client:breaker_for("/a"):state())
    assert.is_nil(client:breaker_for("/b"))
    client:breaker_for("/a"):reset()
    assert.equal("closed", client:breaker_for("/a"):state())
  end)
end)

describe("a refresh that raises", function()
  it("leaves the 401, and its message in the trace", function()
    local t, client = kit{ retry = { refresh = function() error("no token", 0) end } }
    t:script{ { status = 401 } }
    local res = t:run(function() return client:get("/") end)
    assert.equal(401, res.status)
    assert.equal("no token", res.trace[1].message)
  end)
end)
