-- The guard in front of an upstream that knows nothing of keys.
local neap = require "neap"
local socket = require "socket"

local farm = require "spec.support.farm"
local guarded = require "spec.support.guarded"
local server = require "spec.support.server"

local s, g

local CONF = [[
  client_max_body_size 12m;
  location / {
    lua_check_client_abort off;
    content_by_lua_block {
      require("neap.nginx").idempotency(guard, { proxy = "/upstream", recovered = recovered })
    }
  }
  location /upstream/ {
    internal;
    proxy_pass ${upstream}$request_uri;
    proxy_set_header Idempotency-Key "";
    proxy_ignore_client_abort on;
    proxy_read_timeout 1s;
    header_filter_by_lua_block { require("neap.nginx").note_unreached() }
  }
  location /joined/ {
    content_by_lua_block { require("neap.nginx").idempotency(guard, { proxy = "/replaced" }) }
  }
  location /replaced/ {
    internal;
    proxy_pass ${upstream}/echo/;
  }
  location /gone/ {
    content_by_lua_block { require("neap.nginx").idempotency(guard, { proxy = "/nobody" }) }
  }
  location /nobody/ {
    internal;
    proxy_pass ${refused}$request_uri;
    header_filter_by_lua_block { require("neap.nginx").note_unreached() }
  }
  location /plainly-gone/ {
    content_by_lua_block { require("neap.nginx").idempotency(guard, { proxy = "/plainly-nobody" }) }
  }
  location /plainly-nobody/ {
    internal;
    proxy_pass ${refused}$request_uri;
  }
  location /missing {
    content_by_lua_block { require("neap.nginx").idempotency(guard, { proxy = "/missing" }) }
  }
]]

local function start(options)
  options = options or {}
  g = guarded.start{
    kind = "sqlite",
    workers = options.workers or 1,
    lease = options.lease,
    guard = options.guard,
    certs = options.certs,
    http2 = options.certs ~= nil,
    init = "recovered = " .. (options.recovered and ("%q"):format(options.recovered) or "nil"),
    conf = CONF:gsub("%${upstream}", s.url):gsub("%${refused}", s.refused),
  }
end

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local keyed = guarded.keyed

local function requests()
  return assert(s:settle()).requests
end

-- The head without what nginx writes anew for each answer.
local function own_lines(lines)
  local own = {}
  for _, line in ipairs(lines) do
    if not line:find("^Server:") and not line:find("^Date:") and not line:find("^Connection:")
      and line ~= "Idempotent-Replayed: true" then
      own[#own + 1] = line
    end
  end
  return own
end

local function assert_problem(status, kind, got, body)
  assert.equal(status, got)
  assert.equal("urn:neap:nginx:" .. kind, server.decode(body).type)
end

-- Asks twice: the second answer is the first one, and the upstream saw one request.
local function assert_once(path, body, headers, method)
  local before = requests()
  local status, answer, lines = g:ask(path, body, headers, method)
  local status_again, answer_again, lines_again = g:ask(path, body, headers, method)
  assert.equal(before + 1, requests())
  assert.equal(status, status_again)
  assert.is_true(answer == answer_again)
  assert.is_true(guarded.is_replay(lines_again))
  assert.same(own_lines(lines), own_lines(lines_again))
  return status, answer, lines
end

describe("a guarded upstream", function()
  setup(function()
    start()
  end)

  teardown(function()
    g:stop()
  end)

  it("sees one payment for a key, and has its answer replayed", function()
    local status, body = assert_once("/payments", '{"amount":5}', keyed("pay"))
    assert.equal(201, status)
    assert.same({ id = "pay_1", replayed = false }, server.decode(body))
    assert.equal(1, s:ledger().payments)
    assert.equal(1, s:ledger().payments_without_key)
  end)

  it("gets method, URI as it was sent, headers and body", function()
    local _, body = assert_once("/echo/a%2Fb%20c?x=%201&y=/../", "body", keyed("echo")
      .. "X-Twice: 1\r\nX-Twice: 2\r\nCookie: c=1\r\nIdempotency-Recovered: true\r\n", "PATCH")
    local echo = server.decode(body)
    assert.equal("PATCH", echo.method)
    assert.equal("/echo/a%2Fb%20c?x=%201&y=/../", echo.path)
    assert.equal("body", echo.body)
    local seen = {}
    for _, header in ipairs(echo.headers) do
      seen[#seen + 1] = table.concat(header, ": ")
    end
    local text = table.concat(seen, "\n")
    assert.matches("X%-Twice: 1\nX%-Twice: 2\n", text)
    assert.matches("Cookie: c=1", text)
    assert.is_nil(text:find("Idempotency", 1, true)) -- nobody says from outside what is recovered
  end)

  it("may have a path of its own in proxy_pass", function()
    local _, body = assert_once("/joined/a%20b?x=%2F", "", keyed("joined"))
    assert.equal("/echo/joined/a%20b?x=%2F", server.decode(body).path)
  end)

  for name, count in pairs{ ["no bytes"] = 0, ["10 MB"] = 10000000 } do
    it(("gets a body of %s, and gives one, byte for byte"):format(name), function()
      local _, echo = assert_once("/echo", ("0123456789"):rep(count / 10), keyed("to-" .. count))
      assert.equal(count, server.decode(echo).body_bytes)
      local _, body = assert_once("/big?bytes=" .. count, "", keyed("from-" .. count))
      assert.is_true(body == ("0123456789"):rep(count / 10))
      _, body = assert_once("/big?length=0&bytes=" .. count, "", keyed("chunks-" .. count))
      assert.is_true(body == ("0123456789"):rep(count / 10))
    end)
  end

  it("gets a body that came in chunks", function()
    local talk = g:talk()
    talk.connection:send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      .. keyed("chunked") .. "\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    local _, body = talk:receive()
    assert.equal("onetwo", server.decode(body).body)
  end)

  it("has each header that it repeats sent as often, in its order", function()
    local path = "/status/202?body=x&header=Set-Cookie:z%3D1&header=X-B:1&header=Set-Cookie:a%3D2"
      .. "&header=X-A:1&header=X-B:2&header=Trailer:x&header=Upgrade:h2c"
    local status, _, lines = assert_once(path, "", keyed("headers"))
    assert.equal(202, status)
    local own = own_lines(lines)
    local of = {}
    for _, line in ipairs(own) do
      local name, value = line:match("^([%w-]+): (.*)$")
      of[name] = of[name] and of[name] .. " " .. value or value
    end
    assert.equal("z=1 a=2", of["Set-Cookie"])
    assert.equal("1 2", of["X-B"])
    assert.equal("1", of["X-A"])
    assert.is_nil(of.Trailer)
    assert.is_nil(of.Upgrade)
  end)

  it("has a redirect, an error and an empty answer stored as they are", function()
    for _, status in ipairs{ 204, 404, 422, 500 } do
      assert.equal(status, (assert_once("/status/" .. status, "", keyed("s" .. status))))
    end
    local status, _, lines = assert_once("/status/303?header=Location:/there", "", keyed("303"))
    assert.equal(303, status)
    assert.matches("Location: .-/there", table.concat(lines, "\n"))
  end)

  it("that says that nothing was done is asked again", function()
    local path = s:script("busy", { "/status/503", "/status/429", "/status/201" })
    for _, status in ipairs{ 503, 429, 201, 201 } do
      assert.equal(status, (g:ask(path, "", keyed("busy"))))
    end
    assert.equal(3, requests())
  end)

  describe("that dies", function()
    it("in the middle of its answer is 502, and not asked again", function()
      for index, path in ipairs{ "/short?declared=1000&sent=500&end=close",
        "/short?declared=1000&sent=500&end=reset", "/chunked?broken=end" } do
        assert_problem(502, "no_answer", assert_once(path, "", keyed("short-" .. index)))
      end
    end)

    it("before its answer is 502, and not asked again", function()
      for _, path in ipairs{ "/reset", "/close", "/close?at=headers" } do
        assert_problem(502, "no_answer", assert_once(path, "", keyed("dies-" .. path)))
      end
    end)

    it("by silence is 504, and not asked again", function()
      assert_problem(504, "no_answer", assert_once("/slow?headers=30", "", keyed("silent")))
    end)

    it("by silence in the middle of its answer is 502, and not asked again", function()
      assert_problem(502, "no_answer", assert_once("/slow?body=30", "", keyed("drips")))
    end)

    it("before it was reached is 503, and asked again, where the location tells", function()
      for _ = 1, 2 do
        local status, body, lines = g:ask("/gone/x", "", keyed("gone"))
        assert_problem(503, "unreached", status, body)
        assert.is_false(guarded.is_replay(lines))
      end
    end)

    it("before it was reached is 502, stored, where the location does not", function()
      assert.equal(502, (g:ask("/plainly-gone/x", "", keyed("plainly"))))
      local status, _, lines = g:ask("/plainly-gone/x", "", keyed("plainly"))
      assert.equal(502, status)
      assert.is_true(guarded.is_replay(lines))
    end)
  end)

  it("has its answer stored for a client that left", function()
    local talk = g:talk()
    talk:send("/payments?delay=0.3", "x", keyed("left"), "POST")
    assert.is_truthy(s:settle(function(ledger) return ledger.payments == 1 end))
    talk:close()
    local status, lines
    farm.wait("the answer", function()
      local got, _, head = g:ask("/payments?delay=0.3", "x", keyed("left"))
      status, lines = got, head
      return status ~= 409
    end)
    assert.equal(201, status)
    assert.is_true(guarded.is_replay(lines))
    assert.equal(1, s:ledger().payments)
  end)

  it("has what is not guarded streamed to it and from it", function()
    local talk = g:talk()
    talk:send("/drip?bytes=5&every=0.2", nil, nil, "GET")
    local began = socket.gettime()
    assert.equal("HTTP/1.1 200 OK", (talk.connection:receive("*l")))
    repeat until talk.connection:receive("*l") == ""
    assert.is_true(socket.gettime() - began < 0.5)
    talk:close()
    for _, method in ipairs{ "GET", "PUT", "DELETE" } do
      local _, body, lines = g:ask("/echo/a%2Fb?x=1", method == "PUT" and "body" or "", nil, method)
      local echo = server.decode(body)
      assert.equal(method, echo.method)
      assert.equal("/echo/a%2Fb?x=1", echo.path)
      assert.equal(method == "PUT" and "body" or "", echo.body)
      assert.is_false(guarded.is_replay(lines))
    end
    local _, forged = g:ask("/echo", "", "Idempotency-Recovered: true\r\n", "PUT")
    assert.is_nil(forged:find("Recovered", 1, true))
    local _, body = g:ask("/joined/a%20b?x=%2F", "", nil, "GET")
    assert.equal("/echo/joined/a%20b?x=%2F", server.decode(body).path)
  end)

  it("answers 400 itself where the key is missing", function()
    local before = requests()
    assert.equal(400, (g:ask("/payments", "x")))
    assert.equal(before, requests())
  end)

  it("cannot be asked past the guard", function()
    assert.equal(404, (g:ask("/upstream/payments", "x")))
    assert.equal(0, requests())
  end)

  it("for which there is no location is 503, and the log says why", function()
    for _, method in ipairs{ "POST", "GET" } do
      assert.equal(503, (g:ask("/missing/x", "", keyed("missing"), method)))
    end
    assert.matches("%[error%].-neap: no location stands for the prefix /missing", g:error_log())
  end)
end)

describe("two hundred requests with one key at once, over four workers", function()
  it("are one payment", function()
    start{ workers = 4 }
    local talks, statuses = {}, { [201] = 0, [409] = 0 }
    for index = 1, 200 do
      talks[index] = g:talk()
    end
    for _, talk in ipairs(talks) do
      talk:send("/payments?delay=0.3", "x", keyed("k"), "POST")
    end
    for _, talk in ipairs(talks) do
      local status = talk:receive()
      statuses[status] = statuses[status] + 1
    end
    assert.equal(200, statuses[201] + statuses[409])
    assert.is_true(statuses[201] >= 1)
    assert.equal(1, s:ledger().payments)
    assert.equal(1, requests())
    g:stop()
  end)
end)

describe("a guarded upstream with methods that a subrequest cannot have", function()
  it("answers 501, and claims nothing", function()
    start{ guard = 'methods = { "POST", "PURGE" }' }
    assert_problem(501, "method", g:ask("/echo", "", keyed("k"), "PURGE"))
    assert.equal(200, (g:ask("/echo", "", keyed("k"), "POST")))
    g:stop()
  end)
end)

describe("a guarded upstream and a client that speaks HTTP/2", function()
  it("are kept apart before anything is claimed, where nginx has no subrequests for it", function()
    start{ certs = s }
    local client = neap.client{ name = "h2", base_url = g.tls_url, retry = false, gate = false,
      tls = { ca_file = s.ca_file } }
    local req = { headers = { ["Idempotency-Key"] = "h2" }, body = "x" }
    local res = assert(client:post("/payments", req))
    assert.equal(2, res.http_version)
    assert_problem(505, "http_version", res.status, res.body)
    assert.matches("%[error%].-neap: this nginx has no subrequests for HTTP/2", g:error_log())
    assert.equal(0, requests())
    assert.equal(201, (g:ask("/payments", "x", keyed("h2"))))
    assert.equal(200, assert(client:get("/echo")).status) -- what passes goes through
    req.headers["Idempotency-Key"] = "h2-pay"
    for _ = 1, 2 do
      assert.equal(201, assert(client:post("/pay", req)).status) -- as does what a function handles
    end
    assert.equal(1, g:count("runs"))
    client:close()
    g:stop()
  end)
end)

describe("a worker that is killed while the upstream works", function()
  after_each(function()
    g:stop()
  end)

  local function lose_one()
    local talk = g:talk()
    talk:send("/echo?gate=never", "x", keyed("k"), "POST")
    assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 1 end))
    assert(os.execute(("kill -KILL %d"):format(g:workers()[1])))
    talk:receive()
    s:release("never")
  end

  local function ask_until_free()
    local status, body
    farm.wait("the end of the lease", function()
      status, body = g:ask("/echo?gate=never", "x", keyed("k"))
      return status ~= 409
    end, 10)
    return status, body
  end

  it("lets it be asked again, and told so", function()
    start{ lease = 1 }
    lose_one()
    local status, body = ask_until_free()
    assert.equal(200, status)
    assert.matches('"Idempotency%-Recovered","true"', (body:gsub("%s", "")))
    assert.equal(2, requests())
  end)

  it("does not, where the guard is told to refuse", function()
    start{ lease = 1, recovered = "refuse" }
    lose_one()
    assert_problem(500, "recovered", ask_until_free())
    assert_problem(500, "recovered", g:ask("/echo?gate=never", "x", keyed("k")))
    assert.equal(1, requests())
  end)
end)
