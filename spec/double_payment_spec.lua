-- Money is taken once: what is repeated, what is not, and what the server's ledger says of it.
local calls = require "spec.support.calls"
local server = require "spec.support.server"

local client, answered, failed_as = calls.client, calls.answered, calls.failed_as

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  calls.quiet(s)
end)

local PAYMENT = { json = { amount = 100 } }

local function shop(policy)
  policy = policy or {}
  policy.base_url = policy.base_url or s.url
  policy.timeout = { read = 0.2 }
  if policy.base_url:find("^https") then
    policy.tls = { ca_file = s.ca_file }
  end
  return client(policy)
end

local function with_key(policy)
  policy = policy or {}
  policy.idempotency = true
  return shop(policy)
end

local function only_key(ledger)
  local name, counts = next(ledger.keys)
  assert.is_string(name)
  assert.is_nil(next(ledger.keys, name))
  return counts
end

describe("a payment whose response is lost after the money was taken", function()
  it("is repeated with the same key, and taken once", function()
    for _, how in ipairs { "reset", "close", "stall&for=1", "503" } do
      local res = answered(with_key():post("/payments?lose=after&how=" .. how, PAYMENT))
      assert.equal(201, res.status)
      assert.is_true(res:json().replayed)
      assert.equal(2, res.attempts)
      local ledger = s:ledger()
      assert.equal(1, ledger.payments, how)
      assert.equal(0, ledger.payments_without_key, how)
      assert.same({ attempts = 2, payments = 1, mismatched = 0 }, only_key(ledger))
      s:reset()
    end
  end)

  it("is repeated over TLS and with every way to make a key", function()
    for _, idempotency in ipairs {
      true, { quoted = true }, { from = { "amount" } }, { from = function() return "k" end },
    } do
      local c = shop { base_url = s.tls.good, idempotency = idempotency }
      assert.equal(2, answered(c:post("/payments?lose=after", PAYMENT)).attempts)
      assert.same({ attempts = 2, payments = 1, mismatched = 0 }, only_key(s:ledger()))
      s:reset()
    end
    local res = answered(shop():post("/payments?lose=after",
      { json = PAYMENT.json, idempotency_key = "own" }))
    assert.equal(2, res.attempts)
    assert.same({ own = { attempts = 2, payments = 1, mismatched = 0 } }, s:ledger().keys)
  end)

  it("is taken once however often the response is lost", function()
    local path = s:script("unlucky", { "/payments?lose=after", "/reset", "/close", "/status/502",
      "/payments" })
    local res = answered(with_key { retry = { max_attempts = 5 } }:post(path, PAYMENT))
    assert.equal(201, res.status)
    assert.same({ "attempt reset", "wait backoff", "attempt reset", "wait backoff",
      "attempt reset", "wait backoff", "attempt 502", "wait backoff", "attempt 201" },
      calls.trace(res))
    assert.same({ attempts = 2, payments = 1, mismatched = 0 }, only_key(s:ledger()))
  end)

  it("is taken once for each call", function()
    local c = with_key()
    answered(c:post("/payments?lose=after", PAYMENT))
    answered(c:post("/payments?lose=after", PAYMENT))
    assert.equal(2, s:ledger().payments)
  end)

  it("is not repeated without a key", function()
    for _, how in ipairs { "reset", "close", "stall&for=1" } do
      local _, err = shop():post("/payments?lose=after&how=" .. how, PAYMENT)
      local attempt = how:find("stall") and "attempt timeout/read" or "attempt reset"
      assert.same({ attempt .. " not_replayable" }, calls.trace(err))
      assert.is_false(err.retryable)
      assert.equal(1, s:ledger().requests)
      assert.equal(1, s:ledger().payments)
      s:reset()
    end
    local res = answered(shop():post("/payments?lose=after&how=503", PAYMENT))
    assert.same({ "attempt 503 not_replayable" }, calls.trace(res))
    assert.equal(1, s:ledger().payments)
  end)

  it("is not repeated without a key though retry.when wants it", function()
    local c = shop { retry = { when = function() return true end } }
    failed_as("reset", c:post("/payments?lose=after", PAYMENT))
    assert.equal(1, s:ledger().requests)
  end)

  it("is taken twice only where the program said that it may be", function()
    answered(shop():post("/payments", { json = PAYMENT.json, replayable = true }))
    s:reset()
    local path = s:script("twice", { "/payments?lose=after", "/payments" })
    answered(shop():post(path, { json = PAYMENT.json, replayable = true }))
    assert.equal(2, s:ledger().payments)
  end)
end)

describe("a payment that is lost before the money was taken", function()
  it("is repeated with a key", function()
    local res = answered(with_key():post("/payments?fail=before", PAYMENT))
    assert.is_false(res:json().replayed)
    assert.equal(1, s:ledger().payments)
  end)

  it("is not repeated without one, since nobody can tell", function()
    failed_as("reset", shop():post("/payments?fail=before", PAYMENT))
    assert.equal(0, s:ledger().payments)
    assert.equal(1, s:ledger().requests)
  end)
end)

describe("a connection that ends when it is used again", function()
  -- A warm connection whose other end leaves as soon as the next request begins to come.
  local function stale(base_url, how, policy)
    policy = policy or {}
    policy.base_url = base_url
    local c = shop(policy)
    answered(c:get("/keepalive?next=" .. how))
    return c
  end

  local places = { "plain", "good" }

  local function base_of(place)
    return place == "plain" and s.url or s.tls[place]
  end

  it("does not make libcurl repeat a payment behind the caller's back", function()
    for _, place in ipairs(places) do
      for _, how in ipairs { "reset", "close" } do
        local label = place .. " " .. how
        local c = stale(base_of(place), how)
        local err = failed_as("reset", c:post("/payments", PAYMENT))
        assert.same({ "attempt reset not_replayable" }, calls.trace(err), label)
        assert.is_false(err.retryable)
        local ledger = s:ledger()
        assert.equal(1, ledger.requests, label) -- the one that warmed the connection
        assert.equal(1, ledger.accepted, label)
        assert.equal(0, ledger.payments, label)
        assert.equal(201, answered(c:post("/payments", PAYMENT)).status)
        s:reset()
      end
    end
  end)

  it("does not make libcurl repeat a payment without a body, or a large one", function()
    for _, request in ipairs { {}, { body = ("x"):rep(3000000) } } do
      local c = stale(s.url, "reset")
      failed_as("reset", c:post("/payments", request))
      assert.equal(1, s:ledger().requests)
      s:reset()
    end
  end)

  it("shows how a payment with a key is repeated", function()
    for _, place in ipairs(places) do
      local c = stale(base_of(place), "reset", { idempotency = true })
      local res = answered(c:post("/payments", PAYMENT))
      assert.same({ "attempt reset", "wait backoff", "attempt 201" }, calls.trace(res))
      assert.same({ attempts = 1, payments = 1, mismatched = 0 }, only_key(s:ledger()))
      s:reset()
    end
  end)

  it("shows how a GET is repeated", function()
    for _, place in ipairs(places) do
      for _, how in ipairs { "reset", "close" } do
        local c = stale(base_of(place), how)
        local res = answered(c:get("/echo"))
        assert.same({ "attempt reset", "wait backoff", "attempt 200" }, calls.trace(res))
        assert.equal(2, res.attempts)
        assert.same({ opened = 2, reused = 1 }, c:stats().pool)
        assert.equal(2, s:ledger().requests)
        assert.equal(2, s:ledger().accepted)
        s:reset()
      end
    end
  end)

  it("is not repeated where retry is off", function()
    local c = stale(s.url, "reset", { retry = false })
    failed_as("reset", c:get("/echo"))
    assert.equal(1, s:ledger().requests)
  end)

  for _, how in ipairs { "close_idle=1", "reset_idle=1", "idle=0.01" } do
    it("while it is idle takes no payment with it: " .. how, function()
      local c = shop()
      answered(c:get("/keepalive?" .. how))
      assert(s:settle(function(ledger)
        return ledger.open == 0
      end))
      local res = answered(c:post("/payments", PAYMENT))
      assert.equal(201, res.status)
      assert.equal(1, res.attempts)
      assert.equal(1, s:ledger().payments)
    end)
  end

  it("once shows how the attempts and the requests of the server agree", function()
    local c = shop { retry = { max_attempts = 4 } }
    local path = s:script("mixed", { "/keepalive?next=reset", "/keepalive?next=close", "/reset",
      "/keepalive?next=reset", "/status/503", "/echo *" })
    local attempts = 0
    for _ = 1, 4 do
      attempts = attempts + answered(c:get(path)).attempts
    end
    -- Each `next` swallows a request before it can be counted.
    assert.equal(attempts, s:ledger().requests + 3)
    assert.equal(attempts, c:stats().attempts)
  end)
end)

describe("an HTTP/2 stream of a payment", function()
  local function h2()
    return shop { base_url = s.tls.h2 }
  end

  local function warm()
    local c = h2()
    answered(c:get("/warm"))
    s:reset()
    return c
  end

  it("that the server refused is repeated, since it did nothing", function()
    s:h2("refuse 1")
    local res = answered(h2():post("/payments", PAYMENT))
    assert.same({ "attempt reset", "wait backoff", "attempt 200" }, calls.trace(res))
    local ledger = s:ledger().h2
    assert.equal(1, ledger.refused)
    assert.equal(1, ledger.answered)
    assert.equal(2, ledger.streams)
  end)

  it("that the server refuses again and again ends as a reset that may be repeated", function()
    s:h2("refuse *")
    local err = failed_as("reset", h2():post("/payments", PAYMENT))
    assert.is_true(err.retryable)
    assert.equal(3, err.attempts)
    assert.equal(3, s:ledger().h2.streams)
  end)

  -- libcurl 7.88 does not tell such a refusal from a connection that died, which proves nothing.
  it("is not repeated where it was refused on a connection that had been used", function()
    local c = warm()
    s:h2("refuse 1")
    local err = failed_as("reset", c:post("/payments", PAYMENT))
    assert.is_false(err.retryable)
    assert.same({ "attempt reset not_replayable" }, calls.trace(err))
    assert.equal(1, s:ledger().h2.streams)
  end)

  it("is repeated under its key where it was refused on a used connection", function()
    local c = shop { base_url = s.tls.h2, idempotency = true }
    answered(c:get("/warm"))
    s:h2("refuse 1")
    assert.equal(2, answered(c:post("/payments", PAYMENT)).attempts)
  end)

  it("above the last one of a GOAWAY is repeated", function()
    for _, c in ipairs { h2(), warm() } do
      s:h2("goaway 1")
      local res = answered(c:post("/payments", PAYMENT))
      assert.same({ "attempt reset", "wait backoff", "attempt 200" }, calls.trace(res))
      assert.equal(2, s:ledger().h2.streams)
      s:reset()
    end
  end)

  it("that is the last one of a GOAWAY is answered", function()
    local c = warm()
    s:h2("graceful 1")
    assert.equal(1, answered(c:post("/payments", PAYMENT)).attempts)
    assert.equal(1, answered(c:post("/payments", PAYMENT)).attempts)
    assert.equal(2, s:ledger().h2.streams)
  end)

  it("that was reset or lost is not repeated", function()
    for _, action in ipairs { "reset", "partial", "calm", "drop", "kill", "garbage" } do
      for _, c in ipairs { h2(), warm() } do
        s:h2(action .. " 1")
        local err = failed_as("reset", c:post("/payments", PAYMENT))
        assert.same({ "attempt reset not_replayable" }, calls.trace(err), action)
        assert.is_false(err.retryable, action)
        assert.equal(1, s:ledger().h2.streams, action)
        s:reset()
      end
    end
  end)

  it("that was reset is repeated with a key", function()
    local c = with_key { base_url = s.tls.h2 }
    s:h2("reset 1")
    assert.equal(2, answered(c:post("/payments", PAYMENT)).attempts)
    assert.equal(2, s:ledger().h2.streams)
  end)

  it("that was reset after a refusal of another is not repeated", function()
    local c = warm()
    for _ = 1, 3 do
      s:h2 { "refuse 1", "answer 1", "reset 1" }
      answered(c:get("/warm"))
      local err = failed_as("reset", c:post("/payments", PAYMENT))
      assert.same({ "attempt reset not_replayable" }, calls.trace(err))
    end
    assert.equal(9, s:ledger().h2.streams)
  end)
end)
