-- Old versions of TLS, proven by servers that speak nothing else: OpenSSL's own. The interpreter
-- that asks runs with a configuration of OpenSSL that would allow them all.
local calls = require "spec.support.calls"
local process = require "spec.support.process"
local server = require "spec.support.server"

local LAX = [[
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
]]

-- Asks a URL and says what came of it. `curl` is told to do what neap must not.
local ASK = [[
local neap = require "neap"
local json = require "cjson"
local base, ca, version, proxy = ...
local client = neap.client{
  name = "old", base_url = base, retry = false, proxy = proxy ~= "" and proxy or nil,
  tls = { ca_file = ca, min_version = version ~= "" and version or nil },
}
local res, err = client:get("/")
print(json.encode{ status = res and res.status, kind = err and err.kind,
  protocol = res and res.body:match("Protocol *: (%S+)") })
]]

local REDIS = [[
local ca, port = ...
local store = require("neap.store.redis").new{ host = "127.0.0.1", port = tonumber(port),
  tls = true, ca_file = ca }
local neap = require "neap"
local client = neap.client{ name = "x", base_url = "http://a.invalid/" }
local outbox = require("neap.outbox").new{ store = store, client = client }
local _, err = outbox:size()
print(require("cjson").encode{ kind = err.kind, message = err.message })
]]

local s, environment, running
local started = 0

setup(function()
  s = server.start()
  environment = "OPENSSL_CONF=" .. process.quoted(process.write_file(s.dir .. "/lax.cnf", LAX))
end)

teardown(function()
  s:stop()
end)

before_each(function()
  running = {}
end)

after_each(function()
  for _, one in ipairs(running) do
    one.pipe:close() -- ends its input, and waits for its end
  end
end)

-- A server of one version, on a port that the system chose. It ends when its input does.
local function start(version)
  started = started + 1
  local output = ("%s/%s-%d"):format(s.dir, version, started)
  local pipe = assert(io.popen(("%s openssl s_server -accept 127.0.0.1:0 -cert %s/good.pem "
    .. "-key %s/good.key -%s -cipher ALL:@SECLEVEL=0 -www >%s 2>&1 & server=$!; "
    .. "read -r _; kill $server; wait $server 2>/dev/null"):format(environment, s.dir, s.dir,
    version, output), "w"))
  local port = assert(process.wait_until(function()
    return (process.read_file(output) or ""):match("ACCEPT %S+:(%d+)")
  end, 30), process.read_file(output))
  running[#running + 1] = { pipe = pipe }
  return { url = "https://localhost:" .. port, port = port }
end

local function asked(one, version, proxy)
  return calls.child(environment, ASK, one.url, s.ca_file, version or "", proxy or "")
end

-- What libcurl's own program makes of it, with nothing but its defaults.
local function spoken_by_curl(one)
  return calls.output(("%s curl -s --cacert %s %s/ 2>&1"):format(environment,
    process.quoted(s.ca_file), one.url)):match("Protocol *: (%S+)")
end

describe("a server that speaks only", function()
  for _, version in ipairs{ "tls1", "tls1_1" } do
    it(version .. " is not spoken to", function()
      local one = start(version)
      assert.matches("^TLSv1", spoken_by_curl(one)) -- it does answer those who take it
      assert.same({ kind = "tls" }, asked(one))
      assert.same({ kind = "tls" }, asked(one, "1.2"))
      assert.same({ kind = "tls" }, asked(one, "1.3"))
    end)
  end

  it("tls1_2 is spoken to, unless 1.3 is asked for", function()
    local one = start("tls1_2")
    assert.same({ status = 200, protocol = "TLSv1.2" }, asked(one))
    assert.same({ kind = "tls" }, asked(one, "1.3"))
  end)

  it("tls1_3 is spoken to", function()
    assert.same({ status = 200, protocol = "TLSv1.3" }, asked(start("tls1_3"), "1.3"))
  end)
end)

describe("a proxy by https that speaks only", function()
  local function through(version, least)
    local proxy = start(version)
    return asked({ url = s.url }, least, (proxy.url:gsub("//", "//user:word@")))
  end

  it("tls1_1 is not spoken to", function()
    assert.same({ kind = "tls" }, through("tls1_1"))
  end)

  it("tls1_2 is spoken to, unless 1.3 is asked for", function()
    assert.equal("TLSv1.2", through("tls1_2").protocol) -- of the proxy, which answers by itself
    assert.same({ kind = "tls" }, through("tls1_2", "1.3"))
  end)
end)

describe("a Redis that speaks only tls1_1", function()
  it("is not spoken to", function()
    if not pcall(require, "neap.store.redis") then
      return pending("no Redis in this build")
    end
    local told = calls.child(environment, REDIS, s.ca_file, start("tls1_1").port)
    assert.equal("store", told.kind)
    assert.matches("TLS", told.message)
  end)
end)
