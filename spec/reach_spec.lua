-- allow_hosts and deny_private: which hosts and which addresses a client may reach.
local neap = require "neap"
local testing = require "neap.testing"

local calls = require "spec.support.calls"
local server = require "spec.support.server"

local FINE = { { status = 200, body = "real", ["repeat"] = true } }

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local function api(policy)
  policy.base_url = policy.base_url ~= false and (policy.base_url or s.url) or nil
  return calls.client(policy)
end

local function redirect(location)
  return "/redirect?n=1&status=307&to=" .. location
end

local function misuse_of(policy)
  policy.name = policy.name or "api"
  return calls.misuse(function() neap.client(policy) end)
end

describe("allow_hosts", function()
  it("lets the hosts through that it names, in any letter case", function()
    local c = api{ allow_hosts = { "127.0.0.1", "LocalHost" } }
    assert.equal(200, calls.answered(c:get("/echo")).status)
    local res, err = c:request{ url = ("http://localHOST:%d/echo"):format(s.ports.plain) }
    assert.equal(200, calls.answered(res, err).status)
  end)

  it("refuses others before anything is sent, and tries only once", function()
    local c = api{ base_url = false, allow_hosts = { "api.example" } }
    local err = calls.failed_as("connect", c:request{ url = s.url .. "/echo" })
    assert.truthy(err.message:find("policy.allow_hosts", 1, true))
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
    assert.same({ "attempt connect" }, calls.trace(err))
    assert.equal(0, s:ledger().requests)
    assert.equal(0, c:stats().pool.opened)
  end)

  it("follows no redirect to another host", function()
    local c = api{ allow_hosts = { "127.0.0.1" } }
    local there = ("http://localhost:%d/echo"):format(s.ports.plain)
    local err = calls.failed_as("redirect", c:get(redirect(there)))
    assert.truthy(err.message:find("policy.allow_hosts", 1, true))
    assert.is_false(err.retryable)
    assert.equal(1, s:ledger().requests)
    assert.equal(200, calls.answered(c:get(redirect("/echo"))).status)
  end)

  it("is not overruled by retry.when", function()
    local c = api{ base_url = false, allow_hosts = { "api.example" },
      retry = { when = function() return true end } }
    assert.equal(1, calls.failed_as("connect", c:request{ url = s.url }).attempts)
  end)

  it("does not count against the server", function()
    local c = api{ base_url = false, allow_hosts = { "api.example" },
      breaker = { consecutive_failures = 1 } }
    for _ = 1, 3 do
      calls.failed_as("connect", c:request{ url = s.url })
    end
    assert.equal("closed", c.breaker:state())
  end)

  it("wants a list of host names", function()
    assert.equal("policy.allow_hosts: expected a list of host names, got an empty one",
      misuse_of{ allow_hosts = {} })
    for _, host in ipairs{
      "*", "*.", "a b", "http://a", "a:80", "a/b", ".a", "a.", "a.*.b", "[::1",
    } do
      local message = misuse_of{ allow_hosts = { host } }
      assert.truthy(message:find("policy.allow_hosts[1]: ", 1, true), host)
    end
  end)

  it("has to name the host of base_url", function()
    assert.equal("policy.allow_hosts: expected the host of base_url among them",
      misuse_of{ base_url = "https://api.example/", allow_hosts = { "*.api.example" } })
  end)

  it("holds after an update", function()
    local c = api{ name = "updated" }
    assert.equal(200, calls.answered(c:get(redirect(s.flaky .. "/echo"))).status)
    c:update{ name = "updated", breaker = false, gate = false, allow_hosts = { "localhost" },
      base_url = ("http://localhost:%d"):format(s.ports.plain) }
    calls.failed_as("redirect", c:get(redirect(s.url .. "/echo")))
  end)
end)

describe("allow_hosts on the testing kit", function()
  local function kinds(hosts, urls)
    local kit = testing.new{ seed = 1 }
    local c = kit:client{ name = "api", allow_hosts = hosts }
    local found = {}
    kit:script(FINE)
    kit:run(function()
      for index, url in ipairs(urls) do
        local res, err = c:request{ url = url }
        found[index] = res and res.status or err.kind
      end
    end)
    return found, #kit.requests
  end

  it("holds as on the network", function()
    local found, sent = kinds({ "api.example" },
      { "https://api.example/", "https://other.example/" })
    assert.same({ 200, "connect" }, found)
    assert.equal(1, sent)
  end)

  it("takes *. for sub-domains of any depth, and for nothing else", function()
    assert.same({ 200, 200, "connect", "connect", "connect", "connect" },
      (kinds({ "*.example.com" }, { "https://a.example.com/", "https://a.b.EXAMPLE.com:8443/",
        "https://example.com/", "https://evilexample.com/", "https://a.example.com.evil.net/",
        "https://evil.net/a.example.com" })))
  end)

  it("takes an address of IPv6 in brackets", function()
    assert.same({ 200, "connect" },
      (kinds({ "[2001:db8::1]" }, { "http://[2001:db8::1]/", "http://[2001:db8::2]/" })))
  end)
end)

describe("deny_private", function()
  local function refused(c, url)
    local err = calls.failed_as("connect", c:request{ url = url })
    assert.truthy(err.message:find("policy.deny_private", 1, true), url .. ": " .. tostring(err))
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
  end

  it("refuses addresses that lead inside, by whatever name", function()
    local c = api{ base_url = false, deny_private = true,
      retry = { when = function() return true end } }
    for _, host in ipairs{ "127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "10.1.2.3",
      "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "[::1]", "[::]",
      "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]", "[ff02::1]" } do
      refused(c, ("http://%s:%d/echo"):format(host, s.ports.plain))
    end
    assert.equal(0, s:ledger().requests)
    assert.equal(0, c:stats().pool.opened)
  end)

  it("holds for calls side by side", function()
    local c = api{ deny_private = true }
    neap.run(function()
      local function get() return c:get("/") end
      for _, result in ipairs(neap.all{ get, get }) do
        calls.failed_as("connect", result[2], result[3])
      end
    end)
  end)

  it("does not count against the server", function()
    local c = api{ deny_private = true, breaker = { consecutive_failures = 1 } }
    for _ = 1, 3 do
      calls.failed_as("connect", c:get("/"))
    end
  end)

  it("takes no connection that was made before it held", function()
    local c = api{ name = "tightened" }
    assert.equal(200, calls.answered(c:get("/echo")).status)
    c:update{ name = "tightened", base_url = s.url, breaker = false, gate = false,
      deny_private = true }
    calls.failed_as("connect", c:get("/echo"))
  end)

  it("is misuse beside a proxy, whose connections nobody here sees", function()
    for _, proxy in ipairs{ "http://127.0.0.1:3128", "environment" } do
      local message = misuse_of{ deny_private = true, proxy = proxy }
      assert.truthy(message:find("policy.deny_private: expected no proxy", 1, true), message)
    end
    assert.truthy(neap.client{ name = "api", deny_private = false, proxy = "environment" })
  end)
end)
