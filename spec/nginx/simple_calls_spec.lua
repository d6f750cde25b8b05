-- Calls that need nothing of Lua are made by two functions of the core in nginx, one before they
-- are parked and one after. What could tell them from others is here.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, init = [[
    function simple_policy(changes)
      local policy = { name = "simple", base_url = upstream, breaker = false, gate = false,
        retry = { backoff = { kind = "fixed", base = 0.2, jitter = "none" }, budget = false } }
      for key, value in pairs(changes or {}) do policy[key] = value end
      return policy
    end
    api = neap.client(simple_policy())
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

describe("a simple call in nginx", function()
  it("keeps the body that it was given until its last attempt", function()
    s:script("first", { "/status/503", "/echo" })
    assert.same({ ("x"):rep(3000) .. "17", 2 }, n:run [[
      local req = { body = ("x"):rep(3000) .. tostring(17) }
      local mutator = ngx.thread.spawn(function()
        ngx.sleep(0.05)
        req.body = "another"
        for _ = 1, 100 do collectgarbage() local _ = ("y"):rep(3000) .. math.random() end
      end)
      local res = assert(api:put("/s/first", req))
      ngx.thread.wait(mutator)
      return { res:json().body, res.attempts }
    ]])
  end)

  it("lets go of the body at its end", function()
    assert.same({ false, "second" }, n:run [[
      local kept = setmetatable({}, { __mode = "v" })
      local function call(body)
        kept[1] = body
        return assert(api:put("/echo", { json = body })):json().body
      end
      call({ "first" })
      collectgarbage() collectgarbage()
      local last = assert(api:put("/echo", { body = "second" })):json().body
      collectgarbage() collectgarbage()
      return { kept[1] ~= nil, last }
    ]])
  end)

  it("sends a key once only, and the next one its own", function()
    local keys = n:run [[
      local function key_of(req)
        for _, pair in ipairs(assert(api:post("/echo", req)):json().headers) do
          if pair[1]:lower() == "idempotency-key" then return pair[2] end
        end
        return "none"
      end
      api:update(simple_policy{ idempotency = true })
      local keys = { key_of{}, key_of{ idempotency_key = "mine" } }
      api:update(simple_policy())
      keys[3] = key_of{}
      return keys
    ]]
    assert.equal(36, #keys[1])
    assert.equal("mine", keys[2])
    assert.equal("none", keys[3])
  end)

  it("is no longer simple once somebody listens", function()
    s:script("heard", { "/status/503?after=0.1", "/status/200", "/status/503", "/status/200" })
    assert.same({ 200, 200, { "retry", "done" } }, n:run [[
      local client, heard = neap.client(simple_policy{ name = "heard" }), {}
      local function get()
        return assert(client:get("/s/heard")).status
      end
      local thread = ngx.thread.spawn(get)
      for _, event in ipairs{ "retry", "done" } do
        client:on(event, function() heard[#heard + 1] = event end)
      end
      local _, status = ngx.thread.wait(thread)
      return { status, get(), heard }
    ]])
  end)

  it("is no longer simple once its policy is another", function()
    assert.same({ 200, "saved", 503 }, n:run [[
      local client = neap.client(simple_policy{ name = "changing", retry = false })
      local before = assert(client:get("/status/200")).status
      client:update(simple_policy{ name = "changing", retry = false,
        fallback = { { default = { body = "saved" } } } })
      local saved = assert(client:get("/status/503")).body
      client:update(simple_policy{ name = "changing", retry = false })
      return { before, saved, assert(client:get("/status/503")).status }
    ]])
  end)

  it("ends as cancelled when its client is closed", function()
    assert.same({ "cancelled", "cancelled" }, n:run [[
      local client = neap.client(simple_policy{ name = "closing" })
      local thread = ngx.thread.spawn(function()
        return select(2, client:get("/status/200?after=5"))
      end)
      ngx.sleep(0.05)
      client:close()
      local _, err = ngx.thread.wait(thread)
      return { err.kind, select(2, client:get("/status/200")).kind }
    ]])
  end)

  it("raises misuse where it was made, and goes on", function()
    local found = n:run [[
      local function misuse(...)
        return (select(2, pcall(api.request, api, ...)))
      end
      return { {
        misuse{ path = "/", nonsense = 1 },
        misuse{ path = "/", headers = { ["a b"] = "c" } },
        misuse{ path = "/", body = "x", json = {} },
        misuse{ path = "/", json = function() end },
        misuse("no table"),
        (select(2, pcall(api.get, api, {}))),
        (select(2, pcall(api.get, {}, "/"))),
      }, assert(api:get("/status/200")).status }
    ]]
    for index, expected in ipairs{ "request.nonsense", "a b", "request.body", "request.json",
      "request: expected", "request.path: expected", "client: expected" } do
      assert.truthy(found[1][index]:find(expected, 1, true), found[1][index])
    end
    assert.equal(200, found[2])
  end)

  it("may be made from inside of others that end meanwhile, by the hundred", function()
    assert.same({ 300, 300 }, n:run [[
      local threads, right = {}, 0
      for i = 1, 300 do
        threads[i] = ngx.thread.spawn(function()
          local path = ("/echo/%d?after=%.3f"):format(i, i % 7 / 100)
          local res = assert(api:put(path, { body = "body " .. i }))
          local echo = res:json()
          return echo.body == "body " .. i and echo.path == path
        end)
      end
      for _, thread in ipairs(threads) do
        local _, is_right = ngx.thread.wait(thread)
        right = right + (is_right and 1 or 0)
      end
      return { #threads, right }
    ]])
  end)
end)
