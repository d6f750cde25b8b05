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

-- As URLs may write them: short, octal, hexadecimal and mapped ones, and those that clouds have
-- their metadata at.
local INNER = {
  "127.0.0.1", "localhost", "LOCALHOST", "127.1", "127.0.1", "0", "2130706433", "0x7f.1",
  "0x7f000001", "0x7F.0x0.0x0.0x1", "017700000001", "0177.0.0.1", "%31%32%37.0.0.1", "0.0.0.0",
  "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.192",
  "169.254.169.254", "169.254.170.2", "0xa9fea9fe", "2852039166", "224.0.0.1", "255.255.255.255",
  "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]",
  "[0:0:0:0:0:ffff:0a00:0001]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]",
  "[::ffff:0:127.0.0.1]", "[fd00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25lo]",
  "[ff02::1]",
}

-- Whether these are hosts is the resolver's to say.
local PERHAPS_NONE = { "127.0.0.1.", "localhost.", "127\227\128\1300.0.1" }

describe("deny_private", function()
  local function there(host)
    return ("http://%s:%d/echo"):format(host, s.ports.plain)
  end

  local function refused(c, url)
    local err = calls.failed_as("connect", c:request{ url = url })
    assert.truthy(err.message:find("policy.deny_private", 1, true), url .. ": " .. tostring(err))
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
  end

  it("refuses addresses that lead inside, by whatever name", function()
    local c = api{ base_url = false, deny_private = true,
      retry = { when = function() return true end } }
    for _, host in ipairs(INNER) do
      refused(c, there(host))
    end
    for _, host in ipairs(PERHAPS_NONE) do
      local ok, res = pcall(c.request, c, { url = there(host) })
      assert.is_true(not ok or res == nil, host)
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

describe("deny_private and a name that changes its mind", function()
  -- The names are spec/support/names.c's. Clients of the same settings share what they have looked
  -- up.
  local ASK = [[
    local neap = require "neap"
    local base, path, reads, alike = ...
    local asked = {}
    for attempt = 1, 2 do
      local client = neap.client{ name = "ask-" .. attempt, base_url = base, deny_private = true,
        retry = false, max_response_bytes = 1e6 + (alike and 0 or attempt) }
      local function call() return client:get(path) end
      local res, err
      if reads == "run" then res, err = neap.run(call) else res, err = call() end
      asked[attempt] = res and res.status or err.kind .. (err.message:find("policy.deny_private",
        1, true) and " denied" or "")
    end
    print(require("cjson").encode{ asked = asked })
  ]]

  local function asked(name, path, ...)
    local base = ("http://%s:%d"):format(name, s.ports.plain)
    return calls.child("LD_PRELOAD=build/spec/names.so", ASK, base, path or "/echo", ...).asked
  end

  -- An interpreter under a sanitizer has that preloaded instead.
  local function preloaded(what, fn)
    if not calls.sanitized then
      it(what, fn)
    end
  end

  preloaded("lets it pass while it leads outside, and stops it once it leads inside", function()
    for _, host in ipairs{ "blocking", "run" } do
      s:reset()
      assert.same({ 200, "connect denied" }, asked("rebinding.invalid", "/echo", host))
      assert.equal(1, s:ledger().requests)
    end
  end)

  preloaded("is asked once for clients of the same settings", function()
    assert.same({ 200, 200 }, asked("rebinding.invalid", "/echo", "blocking", "alike"))
    assert.equal(2, s:ledger().requests)
  end)

  preloaded("looks again on the way of a redirect", function()
    local there = ("http://rebinding.invalid:%d/echo"):format(s.ports.flaky)
    assert.same({ "redirect denied", "connect denied" },
      asked("rebinding.invalid", redirect(there)))
    assert.equal(1, s:ledger().requests)
  end)

  preloaded("reaches one that has both addresses at the outer one", function()
    assert.same({ 200, 200 }, asked("mixed.invalid"))
  end)
end)

describe("allow_hosts and what another reader would take for the host", function()
  it("compares the host that is connected to", function()
    local c = calls.client{ allow_hosts = { "api.example" } }
    local port = s.ports.plain
    for _, url in ipairs{
      "http://127.0.0.1:%d\\@api.example/", "http://127.0.0.1:%d#@api.example/",
      "http://127.0.0.1:%d?@api.example/", "http://127.0.0.1:%d/@api.example/",
      "http://api.example@127.0.0.1:%d/", "http://api.example%%2f@127.0.0.1:%d/",
      "http://api.example%%00.127.0.0.1:%d/", "http://[::ffff:127.0.0.1]:%d/api.example",
      "http:///127.0.0.1:%d/api.example", "http:127.0.0.1:%d/", "http:\\\\127.0.0.1:%d/",
      "http://127.0.0.1:%d:80/", "http://api.example:80:%d/", "//127.0.0.1:%d/",
    } do
      local ok, res, err = pcall(c.request, c, { url = url:format(port) })
      assert.is_true(not ok or err.kind == "connect", url .. ": " .. tostring(res))
    end
    assert.equal(0, s:ledger().requests)
  end)
end)

describe("what is no http or https", function()
  local OTHERS = { "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "unix:///run/x",
    "http+unix://%2Frun%2Fx/", "dict://127.0.0.1/", "ldap://127.0.0.1/", "data:text/plain,x",
    "javascript:1", "ws://127.0.0.1/", "HTTPX://127.0.0.1/", "smb://127.0.0.1/" }

  it("is neither asked nor followed, and no proxy by which one asks", function()
    local c = api{}
    for _, url in ipairs(OTHERS) do
      calls.misuse(function() c:request{ url = url } end)
      misuse_of{ base_url = url }
      misuse_of{ proxy = url }
      local err = calls.failed_as("redirect", c:get(redirect((url:gsub("%p", function(char)
        return ("%%%02x"):format(char:byte())
      end)))))
      assert.equal(1, err.attempts, url)
    end
  end)
end)
