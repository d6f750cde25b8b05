-- Requests and responses on real sockets: what is sent, what comes back, over which connection.
local cjson = require "cjson"
local neap = require "neap"
local socket = require "socket"

local calls = require "spec.support.calls"
local nginx = require "spec.support.nginx"
local server = require "spec.support.server"

local client, echo, answered, sent = calls.client, calls.echo, calls.answered, calls.sent

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
  policy = policy or {}
  policy.base_url = policy.base_url or s.url
  return client(policy)
end

local function tls(name, options, policy)
  policy = policy or {}
  policy.base_url = s.tls[name]
  policy.tls = options or { ca_file = s.ca_file }
  return client(policy)
end

local function targets()
  local list = {}
  for index, request in ipairs(s:log()) do
    list[index] = request.target
  end
  return list
end

local function side_by_side(count, fn)
  local functions = {}
  for index = 1, count do
    functions[index] = function()
      return fn(index)
    end
  end
  local results = neap.all(functions)
  for index, result in ipairs(results) do
    assert(result[1], result[2])
    results[index] = answered(result[2], result[3])
  end
  return results
end

describe("a request", function()
  it("has its method", function()
    local c = api()
    for _, name in ipairs { "get", "post", "put", "patch", "delete", "options" } do
      assert.equal(name:upper(), echo(c[name](c, "/echo")).method)
    end
    assert.equal("GET", echo(c:request { path = "/echo" }).method)
    assert.equal("PROPFIND", echo(c:request { method = "PROPFIND", path = "/echo" }).method)
    assert.equal("GET", echo(c:request { method = "get", path = "/echo" }).method)
    assert.equal("propfind", echo(c:request { method = "propfind", path = "/echo" }).method)
    assert.equal("TRACE", echo(c:request { method = "TRACE", path = "/echo" }).method)
  end)

  it("gets no body in answer to HEAD, whose connection goes on", function()
    local c = api()
    local res = answered(c:head("/status/200?bytes=1000"))
    assert.equal("", res.body)
    assert.equal("1000", res.headers["Content-Length"])
    assert.equal(2, echo(c:get("/echo")).request_on_connection)
  end)

  it("gets no body with 204 and 304", function()
    local c = api()
    for _, status in ipairs { 204, 304 } do
      local res = answered(c:get("/status/" .. status))
      assert.equal(status, res.status)
      assert.equal("", res.body)
    end
    assert.equal(3, echo(c:get("/echo")).request_on_connection)
  end)

  it("writes its query percent-encoded, in the order of names", function()
    local query = { a = 1, b = { "x", "y" }, c = true, ["ö &="] = "é +/?#", n = 1.5, e = "" }
    assert.equal("/echo?a=1&b=x&b=y&c=true&e=&n=1.5&%C3%B6%20%26%3D=%C3%A9%20%2B%2F%3F%23",
      (echo(api():get("/echo", { query = query })).path:gsub("%%%x%x", string.upper)))
  end)

  it("adds its query to the one that its path has", function()
    assert.equal("/echo?x=1&a=2", echo(api():get("/echo?x=1", { query = { a = 2 } })).path)
    assert.equal("/echo?x=1", echo(api():get("/echo?x=1", { query = {} })).path)
  end)

  it("writes a form", function()
    local told = echo(api():post("/echo", { form = { a = { 1, 2 }, b = "x y", c = "é&=" } }))
    assert.equal("a=1&a=2&b=x+y&c=%C3%A9%26%3D", told.body)
    assert.same({ "application/x-www-form-urlencoded" }, sent(told, "Content-Type"))
  end)

  it("writes JSON", function()
    local value = { name = "é\n", list = { 1, 2.5, cjson.null }, deep = { yes = true } }
    local told = echo(api():post("/echo", { json = value }))
    assert.same(value, cjson.decode(told.body))
    assert.same({ "application/json" }, sent(told, "Content-Type"))
    local plain = { ["false"] = false, ["12"] = 12, ['"t"'] = "t", null = cjson.null }
    for text, written in pairs(plain) do
      assert.equal(text, echo(api():put("/echo", { json = written })).body)
    end
  end)

  it("says a content type of its own, or of the policy", function()
    local c = api { headers = { ["content-type"] = "application/vnd.api+json" } }
    assert.same({ "application/vnd.api+json" },
      sent(echo(c:post("/echo", { json = {} })), "Content-Type"))
    assert.same({ "text/x" }, sent(echo(c:post("/echo",
      { json = {}, headers = { ["CONTENT-TYPE"] = "text/x" } })), "Content-Type"))
  end)

  it("says no content type that nobody gave", function()
    assert.same({}, sent(echo(api():post("/echo", { body = "x" })), "Content-Type"))
    assert.same({}, sent(echo(api():post("/echo")), "Content-Type"))
  end)

  it("announces an empty body where one is expected", function()
    for _, method in ipairs { "post", "put", "patch" } do
      local c = api()
      for _, request in ipairs { { body = "" }, {} } do
        local told = echo(c[method](c, "/echo", request))
        assert.equal(0, told.body_bytes)
        assert.same({ "0" }, sent(told, "Content-Length"))
        assert.is_false(told.chunked)
      end
    end
    assert.same({}, sent(echo(api():get("/echo")), "Content-Length"))
    assert.same({}, sent(echo(api():delete("/echo")), "Content-Length"))
  end)

  it("has a body with DELETE, GET and OPTIONS if it is given one", function()
    local c = api()
    for _, method in ipairs { "delete", "get", "options" } do
      local told = echo(c[method](c, "/echo", { body = "abc" }))
      assert.equal(method:upper(), told.method)
      assert.equal("abc", told.body)
      assert.same({ "3" }, sent(told, "Content-Length"))
    end
  end)

  it("carries every byte", function()
    local bytes = {}
    for byte = 0, 255 do
      bytes[byte + 1] = string.char(byte)
    end
    local body = table.concat(bytes)
    local told = echo(api():post("/echo", { body = body }))
    assert.equal(256, told.body_bytes)
    assert.equal("29058c73", told.body_crc32)
  end)

  it("carries 10 MB there", function()
    local body = ("0123456789abcdef\0\r\n\255"):rep(524288)
    local told = echo(api():put("/echo", { body = body }))
    assert.equal(#body, told.body_bytes)
    -- gzip ends its file with the checksum.
    local crc32 = calls.with_file(body, function(path)
      return calls.output("gzip -1 -c " .. path .. " | tail -c 8 | head -c 4 | od -An -tx4")
    end)
    assert.equal(crc32:match("%x+"), told.body_crc32)
    assert.same({}, sent(told, "Expect"))
  end)

  it("carries 10 MB back", function()
    local c = api()
    local whole = ("0123456789"):rep(1048576)
    for _, how in ipairs { "1", "0", "close" } do
      local res = answered(c:get("/big?bytes=10485760&length=" .. how))
      assert.is_true(whole == res.body, how)
    end
  end)

  it("leaves nothing behind on the handle and the connection that the next one uses", function()
    local c = api()
    local forms = {
      { "POST", { json = { a = 1 } } }, { "GET" }, { "HEAD" }, { "GET" }, { "PUT", { body = "" } },
      { "GET" }, { "DELETE", { body = "abc" } }, { "DELETE" }, { "OPTIONS" }, { "HEAD" },
      { "POST", { form = { a = 1 } } }, { "POST" }, { "GET", { headers = { ["X-Once"] = "1" } } },
      { "GET" }, { "PATCH", { body = ("x"):rep(200000) } }, { "GET", { body = "y" } }, { "GET" },
      { "PROPFIND" }, { "HEAD" }, { "POST", { body = "zz" } }, { "GET", { query = { a = 1 } } },
      { "GET" },
    }
    for _, form in ipairs(forms) do
      local request = { method = form[1], path = "/echo" }
      for key, value in pairs(form[2] or {}) do
        request[key] = value
      end
      answered(c:request(request))
    end
    local log = s:log()
    assert.equal(#forms, #log)
    for index, form in ipairs(forms) do
      local request, said = form[2] or {}, log[index]
      local label = index .. " " .. form[1]
      local type_of = request.json and "application/json"
        or request.form and "application/x-www-form-urlencoded" or nil
      local body = request.json and '{"a":1}' or request.form and "a=1" or request.body or ""
      assert.equal(form[1], said.method, label)
      assert.equal(request.query and "/echo?a=1" or "/echo", said.target, label)
      assert.equal(#body, said.body_bytes, label)
      assert.same({ type_of }, sent(said, "Content-Type"), label)
      assert.equal(request.headers and 1 or 0, #sent(said, "X-Once"), label)
      assert.equal(index, said.request_on_connection, label)
    end
  end)

  it("is the same after a failure on the handle that it uses", function()
    local c = api { retry = false, timeout = { read = 0.1 } }
    for _, path in ipairs { "/reset?at=body", "/slow?headers=5", "/garbage", "/short", "/close" } do
      calls.failed(c:post(path, { body = "abc", headers = { ["X-Once"] = "1" } }))
      local told = echo(c:get("/echo"))
      assert.equal("GET", told.method)
      assert.equal(0, told.body_bytes)
      assert.same({}, sent(told, "X-Once"))
    end
  end)

  it("does not take what is left over of one answer for the next", function()
    local c = api()
    for _ = 1, 5 do
      assert.equal("01", answered(c:get("/short?declared=2&sent=5")).body)
      local res = answered(c:get("/status/200?body=mine"))
      assert.equal("mine", res.body)
    end
  end)

  it("takes a path that is given twice and is the same, long or short", function()
    local c = api()
    for _, bytes in ipairs { 3, 100 } do
      local tail = string.rep("x", bytes)
      assert.equal(200, answered(c:get("/echo/" .. tail, { path = "/echo/" .. tail })).status)
    end
  end)

  it("names one of path and url, and one body", function()
    local c = api()
    assert.equal("request.url: there is a path already; give one of both", calls.misuse(function()
      c:get("/echo", { url = s.url .. "/echo" })
    end))
    local twice = calls.misuse(function()
      c:get("/echo", { path = "/other" })
    end)
    assert.equal("request.path: there is a path already, before the request", twice)
    assert.equal("request.body: give one of body, json and form", calls.misuse(function()
      c:post("/echo", { body = "", json = {} })
    end))
    assert.matches("^request%.url: ", calls.misuse(function()
      client({}):request {}
    end))
    assert.equal(0, s:ledger().requests)
  end)

  it("goes to a url, whatever the base is", function()
    local res = answered(api { base_url = s.refused }:request { url = s.url .. "/echo?a#b" })
    assert.equal("/echo?a", echo(res).path)
    assert.equal(s.url .. "/echo?a", res.url)
  end)
end)

describe("headers", function()
  it("of the policy are sent, and those of the request win in any letter case", function()
    local c = api { headers = { ["X-Version"] = "1", ["X-Kept"] = { "a", "b" }, ["X-Number"] = 7 } }
    local told = echo(c:get("/echo",
      { headers = { ["x-version"] = "2", ["X-List"] = { 1, "2" } } }))
    assert.same({ "2" }, sent(told, "X-Version"))
    assert.same({ "a", "b" }, sent(told, "X-Kept"))
    assert.same({ "7" }, sent(told, "X-Number"))
    assert.same({ "1", "2" }, sent(told, "X-List"))
    told = echo(c:get("/echo", { headers = { ["X-KEPT"] = "c" } }))
    assert.same({ "c" }, sent(told, "X-Kept"))
    assert.same({ "1" }, sent(told, "X-Version"))
  end)

  it("may be empty", function()
    local told = echo(api():get("/echo", { headers = { ["X-Empty"] = "", ["X-Blank"] = " " } }))
    assert.same({ "" }, sent(told, "X-Empty"))
    assert.same({ "" }, sent(told, "X-Blank"))
  end)

  it("carry bytes above ASCII and tabs", function()
    local told = echo(api():get("/echo", { headers = { ["X-A"] = "a\tb", ["X-B"] = "é" } }))
    assert.same({ "a\tb" }, sent(told, "X-A"))
    assert.same({ "é" }, sent(told, "X-B"))
  end)

  it("tell who asks, unless the program says it", function()
    assert.same({ "neap/" .. neap._VERSION }, sent(echo(api():get("/echo")), "User-Agent"))
    local c = api { headers = { ["user-agent"] = "mine/1" } }
    assert.same({ "mine/1" }, sent(echo(c:get("/echo")), "User-Agent"))
    assert.same({ "own/2" }, sent(echo(c:get("/echo", { headers = { ["user-agent"] = "own/2" } })),
      "User-Agent"))
  end)

  it("hold no Expect, whatever the body", function()
    local told = echo(api():post("/echo", { body = ("x"):rep(2000000) }))
    assert.same({}, sent(told, "Expect"))
    told = echo(api():post("/echo", { body = "x", headers = { Expect = "100-continue" } }))
    assert.same({}, sent(told, "Expect"))
  end)

  it("do not say how the message is framed", function()
    local told = echo(api():post("/echo", { body = "12345",
      headers = { ["content-length"] = "2", ["Transfer-Encoding"] = "chunked" } }))
    assert.same({ "5" }, sent(told, "Content-Length"))
    assert.same({}, sent(told, "Transfer-Encoding"))
    assert.equal("12345", told.body)
  end)

  it("of a response are found in any letter case, and repeated ones are a list", function()
    local res = answered(api():get(
      "/status/200?header=Set-Cookie:a&header=set-cookie:b&header=X-One:%20%201%20&header=X-None:"))
    assert.same({ "a", "b" }, res.headers["Set-Cookie"])
    assert.same({ "a", "b" }, res.headers["SET-COOKIE"])
    assert.same({ "a", "b" }, res.headers["set-cookie"])
    assert.equal("1", res.headers["X-ONE"])
    assert.equal("", res.headers["x-none"])
    assert.is_nil(res.headers["X-Missing"])
  end)

  it("of a response come with its reason", function()
    assert.equal("Quite Fine", answered(api():get("/status/200?reason=Quite%20Fine")).reason)
  end)

  it("of interim responses and trailers are not the response's", function()
    local c = api()
    local res = answered(c:get("/informational?n=3&header=X-Final:1"))
    assert.equal(200, res.status)
    assert.equal("1", res.headers["X-Final"])
    assert.is_nil(res.headers.Link)
    res = answered(c:get("/chunked?bytes=2000&trailer=X-Late:1"))
    assert.equal(2000, #res.body)
    assert.is_nil(res.headers["X-Late"])
  end)
end)

describe("a base_url", function()
  -- RFC 3986 5.4, moved below one more directory: reference, what the server is asked for.
  local cases = {
    { "g", "/a/b/c/g" }, { "./g", "/a/b/c/g" }, { "g/", "/a/b/c/g/" }, { "/g", "/g" },
    { "?y", "/a/b/c/d;p?y" }, { "g?y", "/a/b/c/g?y" }, { "#s", "/a/b/c/d;p?q" },
    { "g#s", "/a/b/c/g" }, { "g?y#s", "/a/b/c/g?y" }, { ";x", "/a/b/c/;x" },
    { "g;x", "/a/b/c/g;x" }, { "g;x?y#s", "/a/b/c/g;x?y" }, { "", "/a/b/c/d;p?q" },
    { ".", "/a/b/c/" }, { "./", "/a/b/c/" }, { "..", "/a/b/" }, { "../", "/a/b/" },
    { "../g", "/a/b/g" }, { "../..", "/a/" }, { "../../", "/a/" }, { "../../g", "/a/g" },
    { "../../../../g", "/g" }, { "../../../../../g", "/g" }, { "/./g", "/g" }, { "/../g", "/g" },
    { "g.", "/a/b/c/g." }, { ".g", "/a/b/c/.g" }, { "g..", "/a/b/c/g.." },
    { "..g", "/a/b/c/..g" }, { "./../g", "/a/b/g" }, { "./g/.", "/a/b/c/g/" },
    { "g/./h", "/a/b/c/g/h" }, { "g/../h", "/a/b/c/h" }, { "g;x=1/./y", "/a/b/c/g;x=1/y" },
    { "g;x=1/../y", "/a/b/c/y" }, { "g?y/./x", "/a/b/c/g?y/./x" },
    { "g?y/../x", "/a/b/c/g?y/../x" }, { "g#s/./x", "/a/b/c/g" }, { "g#s/../x", "/a/b/c/g" },
  }

  it("is joined with a path by RFC 3986", function()
    local c = api { base_url = s.url .. "/a/b/c/d;p?q" }
    for index, case in ipairs(cases) do
      local res = answered(c:get(case[1]))
      assert.equal(case[2], s:log(1)[1].target, ("case %d: %q"):format(index, case[1]))
      assert.equal(s.url .. case[2], res.url, ("case %d: %q"):format(index, case[1]))
    end
    assert.equal(#cases, s:ledger().requests)
  end)

  it("is joined in its usual forms", function()
    for _, case in ipairs {
      { "", "/x", "/x" }, { "", "x", "/x" }, { "/", "x", "/x" }, { "/v1/", "users", "/v1/users" },
      { "/v1", "users", "/users" }, { "/v1/", "/users", "/users" }, { "/v1/", nil, "/v1/" },
    } do
      answered(api { base_url = s.url .. case[1] }:get(case[2]))
      assert.equal(case[3], s:log(1)[1].target)
    end
  end)

  it("is not left by a path", function()
    local c = api { base_url = s.url .. "/a/" }
    for _, path in ipairs {
      "//evil.example/", "//evil.example:80", "http://evil.example/", "HTTPS://evil.example",
      "http:g", "mailto:a@b.example", "ftp://evil.example/", "file:///etc/passwd",
      "//127.0.0.1:1/", "https://127.0.0.1:" .. s.ports.plain .. "/", "javascript:alert(1)",
    } do
      local message = calls.misuse(function()
        c:get(path)
      end)
      assert.matches("^request%.path: expected ", message, path)
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is http or https", function()
    for _, url in ipairs { "ftp://a.example", "a.example", "/path", "", "file:///x", "http://" } do
      assert.matches("^policy%.base_url: ", calls.misuse(function()
        client { base_url = url }
      end), url)
    end
  end)
end)

describe("the pool", function()
  before_each(function()
    calls.quiet(s)
  end)

  local function pool_of(c)
    return c:stats().pool
  end

  it("uses a connection again", function()
    local c = api()
    for index = 1, 5 do
      assert.equal(index, echo(c:get("/echo")).request_on_connection)
    end
    assert.same({ opened = 1, reused = 4 }, pool_of(c))
    assert.equal(1, s:ledger().accepted)
  end)

  it("uses a TLS connection again", function()
    local c = tls("good")
    for index = 1, 3 do
      assert.equal(index, echo(c:get("/echo")).request_on_connection)
    end
    assert.same({ opened = 1, reused = 2 }, pool_of(c))
    assert.equal(1, s:ledger().handshakes)
  end)

  it("is not shared by clients", function()
    answered(api():get("/status/200"))
    answered(api():get("/status/200"))
    assert.equal(2, s:ledger().accepted)
  end)

  it("takes any status that a server thinks of", function()
    for _, status in ipairs { 600, 640, 999 } do
      assert.equal(status, api():get("/status/" .. status).status)
    end
  end)

  it("lets a connection go that the server wants closed", function()
    local c = api()
    answered(c:get("/status/200?close=1"))
    answered(c:get("/status/200"))
    assert.same({ opened = 2, reused = 0 }, pool_of(c))
  end)

  for _, how in ipairs { "close_idle=1", "reset_idle=1" } do
    it("does not use a connection that the server has ended: " .. how, function()
      local c = api()
      answered(c:get("/keepalive?" .. how))
      assert(s:settle(function(ledger)
        return ledger.open == 0
      end))
      assert.equal(1, answered(c:get("/status/200")).attempts)
      assert.same({ opened = 2, reused = 0 }, pool_of(c))
    end)
  end

  it("does not use a connection again that was idle for `idle`", function()
    local c = api { pool = { idle = 0.2 } }
    answered(c:get("/status/200"))
    answered(c:get("/status/200"))
    assert.same({ opened = 1, reused = 1 }, pool_of(c))
    neap.sleep(0.4)
    answered(c:get("/status/200"))
    assert.same({ opened = 2, reused = 1 }, pool_of(c))
  end)

  describe("that was never made", function()
    -- libcurl 7.88 closes its descriptor without telling; the system gives the number to others.
    local function given_up()
      local c = client { retry = false, timeout = { connect = 0.05 }, pool = { idle = 0.1 } }
      calls.failed_as("timeout", c:request { url = s.stall })
      return c
    end

    it("leaves whoever gets its descriptor's number alone", function()
      local c, strangers = given_up(), {}
      for index = 1, 20 do
        strangers[index] = assert(socket.connect("127.0.0.1", s.ports.plain))
      end
      neap.sleep(0.2)
      answered(c:request { url = s.url .. "/status/200" })
      for _, stranger in ipairs(strangers) do
        stranger:settimeout(5)
        assert(stranger:send("GET /status/204 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert.equal("HTTP/1.1 204 No Content", (stranger:receive("*l")))
        stranger:close()
      end
    end)

    it("is not counted among the open ones", function()
      local text = neap.prometheus { given_up() }
      assert.equal("0", text:match("\nneap_pool_connections{[^}]*} (%d+)"))
    end)
  end)

  it("does not use a connection again that is older than `ttl`", function()
    local c = api { pool = { ttl = 0.2 } }
    calls.wait_for(function()
      answered(c:get("/status/200?after=0.05"))
      return pool_of(c).opened >= 2 and pool_of(c).reused >= 1
    end)
  end)

  it("has no more connections to a host than per_host, and waits for a place", function()
    local c = api { pool = { per_host = 2 }, timeout = { connect = 0.1 }, retry = false }
    local seconds = calls.timed(function()
      side_by_side(8, function()
        return c:get("/status/200?after=0.1")
      end)
    end)
    assert.is_true(seconds >= 0.4)
    assert.equal(2, s:ledger().accepted)
    assert.same({ opened = 2, reused = 6 }, pool_of(c))
  end)

  it("has no more connections in all than max_connections", function()
    local c = api { pool = { max_connections = 3 }, timeout = { connect = 0.1 }, retry = false }
    local seconds = calls.timed(function()
      side_by_side(9, function(index)
        local base = index % 2 == 0 and s.url or s.flaky
        return c:request { url = base .. "/status/200?after=0.05" }
      end)
    end)
    assert.is_true(seconds >= 0.15, "more than three at once")
  end)

  it("bounds the wait for a place by the call's own time", function()
    local c = api { pool = { per_host = 1 }, retry = false }
    neap.run(function()
      local first = neap.spawn(function()
        return c:get("/status/200?gate=place")
      end)
      calls.wait_for(function()
        return s:ledger().requests == 1
      end)
      local err = calls.failed_as("timeout", c:get("/echo", { timeout = { total = 0.1 } }))
      assert.equal("total", err.phase)
      assert.is_true(err.elapsed < 5)
      s:release("place")
      answered(first:await())
    end)
    assert.equal(1, s:ledger().requests)
    assert.equal(2, echo(c:get("/echo")).request_on_connection)
  end)

  it("closes its connections with the client", function()
    local c = api()
    answered(c:get("/status/200"))
    c:close()
    assert(s:settle(function(ledger)
      return ledger.open == 0
    end, 1), "the connection is still open")
  end)
end)

describe("a compressed body", function()
  it("is asked for, and decoded", function()
    local c = api()
    assert.matches("gzip", sent(echo(c:get("/echo")), "Accept-Encoding")[1])
    assert.same({ "identity" }, sent(echo(c:get("/echo", {
      headers = { ["accept-encoding"] = "identity" },
    })), "Accept-Encoding"))
    local res = answered(c:get("/gzip?bytes=5000"))
    assert.is_true(("0123456789"):rep(500) == res.body)
    assert.equal("gzip", res.headers["Content-Encoding"])
    assert.equal("", answered(c:get("/gzip?bytes=0")).body)
    assert.equal("", answered(c:head("/gzip?bytes=5000")).body)
  end)

  it("that is damaged is an error", function()
    local c = api { retry = false }
    for _, how in ipairs { "data", "crc" } do
      local res, err = c:get("/gzip?broken=" .. how)
      assert.is_nil(res, how)
      assert.equal("protocol", err.kind, how)
    end
  end)

  -- libcurl does not say that the end of the compressed stream never came.
  it("that was cut before it was sent is handed on as far as it goes", function()
    local res = answered(api():get("/gzip?broken=truncated"))
    assert.equal(("0123456789"):rep(100):sub(1, #res.body), res.body)
  end)
end)

describe("HTTP/2", function()
  local n

  setup(function()
    n = nginx.start {
      certs = s,
      http2 = true,
      http = ("upstream behind { server 127.0.0.1:%d; keepalive 16; }"):format(s.ports.plain),
      conf = [[
        location /connection { return 200 $connection; }
        location / {
          client_max_body_size 0;
          proxy_pass http://behind;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header X-Protocol $server_protocol;
        }
      ]],
    }
  end)

  teardown(function()
    n:stop()
  end)

  local function h2(policy)
    policy = policy or {}
    policy.base_url = n.tls_url
    policy.tls = { ca_file = s.ca_file }
    return client(policy)
  end

  it("is spoken over TLS", function()
    local res = answered(h2():get("/echo?a=1", { headers = { ["X-A"] = { "1", "2" } } }))
    assert.equal(2, res.http_version)
    local told = echo(res)
    assert.same({ "HTTP/2.0" }, sent(told, "X-Protocol"))
    assert.same({ "1", "2" }, sent(told, "X-A"))
    assert.equal("/echo?a=1", told.path)
  end)

  it("is not spoken without TLS, nor where it is turned off", function()
    assert.equal(1.1, answered(client { base_url = n.url }:get("/connection")).http_version)
    local res = answered(h2 { pool = { http2 = false } }:get("/echo"))
    assert.equal(1.1, res.http_version)
    assert.same({ "HTTP/1.1" }, sent(echo(res), "X-Protocol"))
  end)

  it("carries many calls over one connection", function()
    local c = h2()
    local first = answered(c:get("/connection")).body
    for _, res in ipairs(side_by_side(60, function()
      return c:get("/connection")
    end)) do
      assert.equal(first, res.body)
      assert.equal(2, res.http_version)
    end
    assert.same({ opened = 1, reused = 60 }, c:stats().pool)
  end)

  it("answers calls side by side, each with its own", function()
    local c = h2 { pool = { per_host = 1 } }
    local function twenty()
      for index, res in ipairs(side_by_side(20, function(index)
        return c:post("/slow?headers=0.2&status=" .. 200 + index, { body = ("x"):rep(index) })
      end)) do
        assert.equal(200 + index, res.status)
      end
    end
    local seconds = calls.best_of(2, function() return (calls.timed(twenty)) end)
    assert.is_true(seconds < 2, "one after another")
  end)

  it("carries bodies both ways", function()
    local c = h2()
    local body = ("0123456789"):rep(100000)
    assert.equal(#body, echo(c:put("/echo", { body = body })).body_bytes)
    assert.is_true(body == answered(c:get("/big?bytes=1000000")).body)
    local res = answered(c:head("/status/200?bytes=10"))
    assert.equal("", res.body)
    assert.equal(0, echo(c:post("/echo")).body_bytes)
  end)

  it("leaves the other streams alone when one is given up", function()
    local c = h2 { retry = false }
    answered(c:get("/connection"))
    neap.run(function()
      local others = {}
      for index = 1, 5 do
        others[index] = neap.spawn(function()
          return c:get("/slow?headers=0.3")
        end)
      end
      calls.failed_as("timeout", c:get("/slow?headers=5", { timeout = { attempt = 0.1 } }))
      for index = 1, 5 do
        assert.equal(200, answered(others[index]:await()).status)
      end
    end)
    assert.equal(1, c:stats().pool.opened)
  end)
end)

describe("a proxy", function()
  it("is asked for the absolute form of the URL", function()
    local c = client { base_url = "http://api.invalid/v1/", proxy = s.url }
    local res = answered(c:get("x?a=1"))
    local request = s:log(1)[1]
    assert.equal("http://api.invalid/v1/x?a=1", request.target)
    assert.same({ "api.invalid" }, sent(request, "Host"))
    assert.equal("http://api.invalid/v1/x?a=1", res.url)
  end)

  it("gets the credentials of its own URL, and the origin's server does not", function()
    local url = s.url:gsub("//", "//us%%40er:p:w@")
    answered(client { base_url = "http://api.invalid", proxy = url }:get("/echo"))
    assert.same({ "Basic dXNAZXI6cDp3" }, sent(s:log(1)[1], "Proxy-Authorization"))
    answered(api():get("/echo"))
    assert.same({}, sent(s:log(1)[1], "Proxy-Authorization"))
  end)

  it("is asked for a tunnel to a TLS server, and its refusal says that nothing was sent", function()
    local c = client { base_url = "https://api.invalid", proxy = s.url,
      retry = { max_attempts = 2 } }
    local err = calls.failed_as("connect", c:post("/echo", {
      body = "secret", headers = { Authorization = "secret" } }))
    assert.equal(2, err.attempts)
    for _, request in ipairs(s:log()) do
      assert.equal("CONNECT", request.method)
      assert.equal("api.invalid:443", request.target)
      assert.equal(0, request.body_bytes)
      assert.same({}, sent(request, "Authorization"))
      assert.same({ "neap/" .. neap._VERSION }, sent(request, "User-Agent"))
    end
  end)

  it("that cannot be reached, or found, is an error before anything is sent", function()
    calls.failed_as("connect", client { base_url = s.url, proxy = s.refused }:post("/echo"))
    calls.failed_as("resolve",
      client { base_url = s.url, proxy = "http://proxy.invalid:3128", retry = false }:post("/echo"))
    assert.equal(0, s:ledger().requests)
  end)

  it("that does not answer is a timeout", function()
    local c = client { base_url = s.url, proxy = s.stall, retry = false,
      timeout = { connect = 0.1 } }
    assert.equal("connect", calls.failed_as("timeout", c:get("/echo")).phase)
  end)

  describe("of the environment", function()
    local ASK = [[
      local neap = require "neap"
      local res, err = neap.client { name = "child", base_url = (...), proxy = select(2, ...),
        retry = false }:get("/echo")
      print(('{"status": %d, "kind": "%s"}'):format(res and res.status or 0,
        err and err.kind or ""))
    ]]

    local function ask(environment, ...)
      return calls.child(environment .. " ALL_PROXY= all_proxy=", ASK, ...)
    end

    it("is not used", function()
      assert.equal(200, ask("no_proxy= NO_PROXY= http_proxy=" .. s.refused, s.url).status)
      assert.same({ "/echo" }, targets())
    end)

    it("is used where the policy says so", function()
      local told = ask("no_proxy= NO_PROXY= http_proxy=" .. s.url, "http://api.invalid",
        "environment")
      assert.is_true(told.status >= 200)
      assert.same({ "http://api.invalid/echo" }, targets())
    end)

    it("has exceptions", function()
      local told = ask("no_proxy=127.0.0.1 http_proxy=" .. s.refused, s.url, "environment")
      assert.equal(200, told.status)
    end)

    it("makes no exception for a proxy of the policy", function()
      ask("no_proxy=* NO_PROXY=*", "http://api.invalid", s.url)
      assert.same({ "http://api.invalid/echo" }, targets())
    end)
  end)
end)

describe("a redirect", function()
  local function go(status, to)
    return ("/redirect?n=1&status=%d&to=%s"):format(status, to)
  end

  it("keeps or changes method and body as RFC 9110 says", function()
    local c = api()
    for _, case in ipairs {
      { 301, "GET", "GET" }, { 301, "POST", "GET" }, { 301, "PUT", "PUT" }, { 301, "HEAD", "HEAD" },
      { 302, "POST", "GET" }, { 302, "PATCH", "PATCH" }, { 302, "DELETE", "DELETE" },
      { 303, "POST", "GET" }, { 303, "PUT", "GET" }, { 303, "DELETE", "GET" },
      { 303, "HEAD", "HEAD" }, { 307, "POST", "POST" }, { 307, "PUT", "PUT" },
      { 307, "GET", "GET" }, { 308, "POST", "POST" }, { 308, "PATCH", "PATCH" },
    } do
      local status, method, becomes = case[1], case[2], case[3]
      local has_body = method ~= "GET" and method ~= "HEAD"
      local res = answered(c:request { method = method, path = go(status, "/echo/there"),
        body = has_body and "abc" or nil,
        headers = has_body and { ["Content-Type"] = "text/x" } or {} })
      local label = status .. " " .. method
      local request = s:log(1)[1]
      assert.equal(200, res.status, label)
      assert.equal(1, res.attempts, label)
      assert.equal(s.url .. "/echo/there", res.url, label)
      assert.equal("/echo/there", request.target, label)
      assert.equal(becomes, request.method, label)
      local keeps_body = has_body and becomes == method
      assert.equal(keeps_body and 3 or 0, request.body_bytes, label)
      assert.same(keeps_body and { "text/x" } or {}, sent(request, "Content-Type"), label)
      if becomes == "GET" then
        assert.same({}, sent(request, "Content-Length"), label)
      end
    end
  end)

  it("is resolved by RFC 3986", function()
    local c = api()
    for location, target in pairs {
      ["x"] = "/x", ["../y"] = "/y", ["%3Fn=0%26z"] = "/redirect?n=0&z",
      ["/echo/%25C3%25A9"] = "/echo/%C3%A9",
      ["/a%20b"] = "/a%20b", ["/%C3%A9"] = "/%C3%A9", ["/f%23part"] = "/f",
      [("//127.0.0.1:%d/same"):format(s.ports.plain)] = "/same",
    } do
      answered(c:get(go(302, location)))
      assert.equal(target, (s:log(1)[1].target:gsub("%%%x%x", string.upper)), location)
    end
  end)

  it("is followed as often as the policy says, and no oftener", function()
    local c = api { redirects = 2 }
    assert.equal(200, answered(c:get("/redirect?n=2")).status)
    assert.equal(3, s:ledger().requests)
    s:reset()
    local err = calls.failed_as("redirect", c:get("/redirect?n=3"))
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
    assert.equal(3, s:ledger().requests)
  end)

  it("in a loop ends, and is not tried again", function()
    local err = calls.failed_as("redirect", api():get("/redirect?loop=1"))
    assert.same({ "attempt redirect" }, calls.trace(err))
    assert.equal(6, s:ledger().requests)
  end)

  it("is an answer where following is off", function()
    local res = answered(api { redirects = 0 }:get(go(302, "/echo")))
    assert.equal(302, res.status)
    assert.is_true(res.ok)
    assert.equal("/echo", res.headers.Location)
    assert.equal(1, s:ledger().requests)
  end)

  it("is an answer where it does not say where to", function()
    for _, status in ipairs { 301, 302, 303, 307, 308, 300, 304 } do
      local res = answered(api():get("/status/" .. status))
      assert.equal(status, res.status)
    end
    local res = answered(api():get("/status/300?header=Location:/echo"))
    assert.equal(300, res.status)
  end)

  it("does not leave http and https", function()
    for _, location in ipairs {
      "ftp://a.example/x", "file:///etc/passwd", "gopher://a.example", "mailto:a@b.example",
      "data:text/plain,x", "http://", "http://[::1",
    } do
      local err = calls.failed_as("redirect", api():get(go(302, location)))
      assert.equal(1, err.attempts, location)
    end
  end)

  it("to an empty place is refused", function()
    calls.failed_as("redirect", api():get("/status/302?header=Location:"))
  end)

  it("with two places to go to is refused", function()
    calls.failed_as("redirect", api():get("/status/302?header=Location:/a&header=Location:/b"))
    assert.equal(1, s:ledger().requests)
  end)

  describe("and credentials", function()
    local SECRETS = { Authorization = "Bearer s3cret", Cookie = "sid=s3cret",
      ["X-Api-Key"] = "s3cret", ["X-Auth-Token"] = "s3cret", ["Proxy-Authorization"] = "s3cret" }

    local function secrets_in(request)
      local found = {}
      for name in pairs(SECRETS) do
        if #sent(request, name) > 0 then
          found[#found + 1] = name
        end
      end
      table.sort(found)
      return found
    end

    local EVERY = { "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token" }

    it("keeps them on the same origin", function()
      local told = echo(api { headers = { ["X-Api-Key"] = "s3cret" } }:get(
        go(307, s.url .. "/echo"), { headers = SECRETS }))
      assert.same(EVERY, secrets_in(told))
    end)

    it("drops them on another port", function()
      local c = api { headers = SECRETS }
      for _, status in ipairs { 301, 302, 303, 307, 308 } do
        local told = echo(c:get(go(status, s.flaky .. "/echo"),
          { headers = { ["X-Api-Key"] = "request", Accept = "text/x" } }))
        assert.equal("flaky", told.port)
        assert.same({}, secrets_in(told))
        assert.same({ "text/x" }, sent(told, "Accept"))
      end
    end)

    it("drops them on another host, and another scheme", function()
      local c = api { headers = SECRETS, tls = { ca_file = s.ca_file } }
      local told = echo(c:get(go(307, ("http://localhost:%d/echo"):format(s.ports.plain))))
      assert.same({}, secrets_in(told))
      told = echo(c:get(go(307, s.tls.good .. "/echo")))
      assert.equal("good", told.port)
      assert.same({}, secrets_in(told))
    end)

    it("lets no other origin close the gate of the one that was asked", function()
      local c = api { retry = false }
      local busy = s.flaky .. "/status/503%3Fheader=Retry-After:30"
      assert.equal(503, c:get(go(307, busy)).status)
      assert.equal(200, answered(c:get("/status/200")).status)
    end)

    it("does not take any from a Location", function()
      local to = s.flaky:gsub("//", "//user:s3cret@")
      local err = calls.failed_as("redirect", api():get(go(307, to .. "/echo")))
      assert.is_nil(tostring(err):find("s3cret", 1, true))
    end)

    it("does not give them back when the way leads home again", function()
      local home = s.url .. "/echo/home"
      local there = ("%s/redirect?n=1%%26status=307%%26to=%s"):format(s.flaky, home)
      local told = echo(api { headers = SECRETS }:get(go(307, there)))
      assert.equal("plain", told.port)
      assert.equal("/echo/home", told.path)
      assert.same({}, secrets_in(told))
    end)

    it("drops a Host of the request's own, which is not the other's", function()
      local c = api { headers = { Host = "virtual.example" } }
      assert.same({ "virtual.example" }, sent(echo(c:get("/echo")), "Host"))
      assert.same({ "virtual.example" }, sent(echo(c:get(go(307, "/echo"))), "Host"))
      assert.same({ "127.0.0.1:" .. s.ports.flaky },
        sent(echo(c:get(go(307, s.flaky .. "/echo"))), "Host"))
    end)

    it("takes no cookie from one answer to the next request", function()
      local c = api()
      local told = echo(c:get(go(302, "/echo") .. "&header=Set-Cookie:a=1"))
      assert.same({}, sent(told, "Cookie"))
      assert.same({}, sent(echo(c:get("/echo")), "Cookie"))
    end)

    it("keeps a body and its idempotency key where the method stays", function()
      local told = echo(api { idempotency = true }:post(go(307, s.flaky .. "/echo"),
        { json = { a = 1 }, idempotency_key = "k1" }))
      assert.equal('{"a":1}', told.body)
      assert.same({ "k1" }, sent(told, "Idempotency-Key"))
      told = echo(api { idempotency = true }:post(go(303, "/echo"), { body = "x" }))
      assert.same({}, sent(told, "Idempotency-Key"))
    end)

    it("shows no client certificate to another origin", function()
      local c = tls("clientauth", { ca_file = s.ca_file, cert = s.client_cert, key = s.client_key })
      assert.equal("client", echo(c:get("/echo")).client)
      local told = echo(c:get(go(307, s.tls.good .. "/echo")))
      assert.equal("good", told.port)
      assert.is_nil(told.client)
      assert.equal("client", echo(c:get("/echo")).client)
    end)
  end)
end)

describe("TLS", function()
  it("trusts the authority that it is told to", function()
    local told = echo(tls("good"):get("/echo"))
    assert.equal("good", told.port)
    assert.equal("TLSv1.3", told.tls)
  end)

  it("trusts a directory of authorities", function()
    local directory = s.dir .. "/authorities"
    os.execute(("mkdir -p %s && cp %s %s/$(openssl x509 -in %s -noout -hash).0"):format(
      directory, s.ca_file, directory, s.ca_file))
    assert.equal("good", echo(tls("good", { ca_path = directory }):get("/echo")).port)
    calls.failed_as("tls", tls("selfsigned", { ca_path = directory }):get("/echo"))
  end)

  it("does not trust an authority that nobody named", function()
    assert.equal(1, calls.failed_as("tls", tls("good", {}):get("/echo")).attempts)
  end)

  it("refuses wrong certificates, and does not try again", function()
    for _, name in ipairs { "selfsigned", "expired", "wrongname" } do
      local err = calls.failed_as("tls", tls(name):post("/echo", { replayable = true }))
      assert.same({ "attempt tls" }, calls.trace(err), name)
      assert.equal(1, err.attempts, name)
      assert.is_false(err.retryable, name)
      assert.matches("certificate", err.message, name)
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("takes any certificate where it is told not to verify", function()
    for _, name in ipairs { "selfsigned", "expired", "wrongname", "good" } do
      assert.equal(name, echo(tls(name, { verify = false }):get("/echo")).port)
    end
  end)

  it("shows a client certificate", function()
    local c = tls("clientauth", { ca_file = s.ca_file, cert = s.client_cert, key = s.client_key })
    assert.equal("client", echo(c:get("/echo")).client)
  end)

  it("fails without the client certificate that is wanted, and does not try again", function()
    for label, options in pairs {
      none = { ca_file = s.ca_file },
      stranger = { ca_file = s.ca_file, cert = s.stranger_cert, key = s.stranger_key },
      missing = { ca_file = s.ca_file, cert = s.dir .. "/no.pem", key = s.client_key },
      mixed = { ca_file = s.ca_file, cert = s.client_cert, key = s.stranger_key },
    } do
      local err = calls.failed_as("tls", tls("clientauth", options):get("/echo"))
      assert.equal(1, err.attempts, label)
      assert.is_false(err.retryable, label)
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("fails with a ca_file that is not there", function()
    local err = calls.failed_as("tls", tls("good", { ca_file = s.dir .. "/no.pem" }):get("/echo"))
    assert.equal(1, err.attempts)
  end)

  it("does not go below the version that the policy names", function()
    local old = nginx.start { certs = s, conf = [[
      ssl_protocols TLSv1.2;
      location / { return 200 $ssl_protocol; }
    ]] }
    local function ask(version)
      return client { base_url = old.tls_url, retry = false,
        tls = { ca_file = s.ca_file, min_version = version } }:get("/")
    end
    assert.equal("TLSv1.2", answered(ask(nil)).body)
    assert.equal("TLSv1.2", answered(ask("1.2")).body)
    calls.failed_as("tls", ask("1.3"))
    old:stop()
    local options = { ca_file = s.ca_file, min_version = "1.3" }
    assert.equal("TLSv1.3", echo(tls("good", options):get("/echo")).tls)
  end)
end)

describe("an idempotency key", function()
  local function keys(name)
    local list = {}
    for index, request in ipairs(s:log()) do
      list[index] = sent(request, name or "Idempotency-Key")[1] or ""
    end
    return list
  end

  local function digest(parts)
    local text = {}
    for index, part in ipairs(parts) do
      text[index] = ("%d:%s"):format(#part, part)
    end
    return calls.with_file(table.concat(text), function(path)
      return calls.output("openssl dgst -sha256 -r " .. path):match("^%x+")
    end)
  end

  it("is made for POST and PATCH, new for each call, the same for each attempt", function()
    local c = api { idempotency = true }
    local path = s:script("twice", { "/status/503", "/echo", "/echo *" })
    assert.equal(2, answered(c:post(path)).attempts)
    answered(c:patch(path))
    answered(c:put(path))
    answered(c:get(path))
    local list = keys()
    local uuid = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"
    assert.matches(uuid, list[1])
    assert.equal(list[1], list[2])
    assert.matches(uuid, list[3])
    assert.are_not.equal(list[1], list[3])
    assert.same({ "", "" }, { list[4], list[5] })
  end)

  it("is the caller's own where there is one", function()
    local c = api { idempotency = { prefix = "p-" } }
    answered(c:post("/echo", { idempotency_key = "mine" }))
    answered(c:post("/echo", { headers = { ["IDEMPOTENCY-KEY"] = "header" } }))
    answered(c:get("/echo", { idempotency_key = "got" }))
    assert.same({ "mine", "header", "got" }, keys())
    for _, request in ipairs(s:log()) do
      assert.equal(1, #sent(request, "Idempotency-Key"))
    end
  end)

  it("is bare, or quoted with escapes", function()
    answered(api { idempotency = true }:post("/echo", { idempotency_key = 'a"b\\c' }))
    answered(api { idempotency = { quoted = true } }:post("/echo", { idempotency_key = 'a"b\\c' }))
    assert.same({ 'a"b\\c', '"a\\"b\\\\c"' }, keys())
  end)

  it("has a prefix, a header and methods of the policy", function()
    local c = api { idempotency = { prefix = "shop-", header = "X-Request-Id",
      methods = { "PUT" } } }
    answered(c:put("/echo"))
    answered(c:post("/echo"))
    local list = keys("X-Request-Id")
    assert.matches("^shop%-%x+%-", list[1])
    assert.equal("", list[2])
    assert.same({ "", "" }, keys())
  end)

  it("is a digest of fields", function()
    local c = api { base_url = s.url .. "/echo/v1/",
      idempotency = { from = { "order.id", "amount", "gift", "note" }, prefix = "d-" } }
    answered(c:post("pay?x=1",
      { json = { order = { id = 17 }, amount = 1.1, gift = true, note = "é" } }))
    answered(c:post("pay",
      { form = { ["order.id"] = 17, amount = 1.1, gift = true, note = "é" } }))
    answered(c:patch("pay",
      { query = { ["order.id"] = "17", note = "" }, form = { amount = 2, gift = false } }))
    assert.same({
      "d-" .. digest { "POST", "/echo/v1/pay", "17", "1.1000000000000001", "true", "é" },
      "d-" .. digest { "POST", "/echo/v1/pay", "17", "1.1000000000000001", "true", "é" },
      "d-" .. digest { "PATCH", "/echo/v1/pay", "17", "2", "false", "" },
    }, keys())
  end)

  it("is what a function says", function()
    local c = api { idempotency = { quoted = true, prefix = "f-", from = function(req)
      return req.method .. req.json.id
    end } }
    answered(c:post("/echo", { json = { id = 5 } }))
    assert.same({ '"f-POST5"' }, keys())
  end)

  it("that lacks a field, or cannot be sent, is misuse", function()
    local c = api { idempotency = { from = { "id" } } }
    assert.matches("idempotency%.from", calls.misuse(function()
      c:post("/echo", { json = { other = 1 } })
    end))
    assert.matches("idempotency%.from", calls.misuse(function()
      c:post("/echo", { json = { id = {} } })
    end))
    for _, key in ipairs { "", ("x"):rep(256), "a\nb", "é", "a\0b" } do
      assert.matches("^request%.idempotency_key: ", calls.misuse(function()
        api():post("/echo", { idempotency_key = key })
      end))
    end
    assert.equal(0, s:ledger().requests)
  end)
end)

describe("the deadline header", function()
  it("tells the milliseconds that are left at each attempt", function()
    local c = api { deadline_header = "X-Time-Left", timeout = { total = 20 } }
    local path = s:script("late", { "/status/503?after=0.05", "/echo" })
    answered(c:get(path))
    local log = s:log()
    local first = assert(tonumber(sent(log[1], "X-Time-Left")[1]))
    local second = assert(tonumber(sent(log[2], "X-Time-Left")[1]))
    assert.is_true(first <= 20000 and first >= 19900, first)
    assert.is_true(second <= first - 55 and second >= first - 1000, second)
    assert.equal(math.floor(first), first)
  end)

  it("tells of the request's own deadline, and is the only one of its name", function()
    local c = api { deadline_header = "X-Time-Left", headers = { ["x-time-left"] = "9" } }
    local told = echo(c:get("/echo", { deadline = neap.now() + 3 }))
    local values = sent(told, "X-Time-Left")
    assert.equal(1, #values)
    assert.is_true(tonumber(values[1]) <= 3000 and tonumber(values[1]) >= 2900, values[1])
  end)
end)

describe("the limit of", function()
  it("a response's body lets exactly so much pass", function()
    local c = api { max_response_bytes = 50000 }
    for _, path in ipairs { "/big?bytes=%d", "/big?bytes=%d&length=0", "/big?bytes=%d&length=close",
      "/gzip?bytes=%d", "/chunked?bytes=%d" } do
      assert.equal(50000, #answered(c:get(path:format(50000))).body, path)
      local err = calls.failed_as("too_large", c:get(path:format(50001)))
      assert.same({ "attempt too_large" }, calls.trace(err), path)
      assert.is_false(err.retryable, path)
    end
  end)

  it("a response's body stops an endless one, and a bomb", function()
    local c = api()
    for _, path in ipairs { "/big?endless=1", "/big?endless=1&length=0",
      "/gzip?bytes=50000000", "/big?bytes=100000000000" } do
      calls.failed_as("too_large", c:get(path))
    end
    assert(s:settle())
  end)

  it("a response's body is not about HEAD", function()
    local res = answered(api { max_response_bytes = 10 }:head("/status/200?bytes=1000"))
    assert.equal("1000", res.headers["Content-Length"])
  end)

  it("a response's head stops a large one and an endless one", function()
    local c = api { max_header_bytes = 20000 }
    answered(c:get("/headers?bytes=15000"))
    for _, path in ipairs { "/headers?bytes=20001", "/headers?bytes=20001&one=1",
      "/headers?bytes=1000000&one=1", "/headers?endless=1", "/informational?endless=1" } do
      local err = calls.failed_as("too_large", c:get(path))
      assert.same({ "attempt too_large" }, calls.trace(err), path)
    end
    assert(s:settle())
  end)

  it("a response's head holds for the one after a redirect", function()
    local c = api { max_header_bytes = 20000 }
    calls.failed_as("too_large", c:get("/redirect?n=1&to=/headers%3Fendless=1"))
  end)

  it("a request's body is the program's own", function()
    local c = api { max_request_bytes = 5 }
    assert.equal(5, echo(c:post("/echo", { body = "12345" })).body_bytes)
    for _, request in ipairs { { body = "123456" }, { json = { a = "12345" } },
      { form = { a = "12345" } } } do
      assert.equal("request.body: longer than policy.max_request_bytes allows",
        calls.misuse(function()
          c:post("/echo", request)
        end))
    end
    assert.equal(1, s:ledger().requests)
  end)
end)

describe("what could smuggle something into a request", function()
  local EVIL = { "a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "a\1b", "a\127b", "\n" }

  it("is refused in a header's value", function()
    local c = api()
    for _, value in ipairs(EVIL) do
      assert.matches('^request%.headers%["X%-A"%]: ', calls.misuse(function()
        c:get("/echo", { headers = { ["X-A"] = value } })
      end))
      assert.matches('^request%.headers%["X%-A"%]: ', calls.misuse(function()
        c:get("/echo", { headers = { ["X-A"] = { "good", value } } })
      end))
      assert.matches("^policy%.headers", calls.misuse(function()
        api { headers = { ["X-A"] = value } }
      end))
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is refused in a header's name", function()
    local c = api()
    for _, name in ipairs { "", "X A", "X:A", "X\r\nY", "X\nY", "X\0Y", "Xé", "X\tY", "(X)",
      "X " } do
      assert.matches("^request%.headers", calls.misuse(function()
        c:get("/echo", { headers = { [name] = "1" } })
      end))
      assert.matches("^policy%.headers", calls.misuse(function()
        api { headers = { [name] = "1" } }
      end))
      assert.matches("^policy%.deadline_header", calls.misuse(function()
        api { deadline_header = name }
      end))
      assert.matches("^policy%.idempotency%.header", calls.misuse(function()
        api { idempotency = { header = name } }
      end))
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is refused in a method", function()
    local c = api()
    for _, method in ipairs { "", "GET /", "GE T", "GET\r\nX: y", "G\0T", "GET\n", "G:T", "é" } do
      assert.matches("^request%.method: ", calls.misuse(function()
        c:request { method = method, path = "/echo" }
      end))
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is refused in a path, a url and a base_url", function()
    local c = api()
    for _, bytes in ipairs { " ", "\r\n", "\n", "\t", "\1", "\127",
      " HTTP/1.1\r\nX-Evil: 1\r\n\r\n" } do
      for _, place in ipairs { "/echo/%s/a", "/echo?a=%s", "%s/echo", "/echo%s", "/echo#%s" } do
        local path = place:gsub("%%s", function()
          return bytes
        end)
        assert.matches("^request%.path: ", calls.misuse(function()
          c:get(path)
        end), ("%q"):format(path))
        assert.matches("^request%.url: ", calls.misuse(function()
          c:request { url = s.url .. path }
        end), ("%q"):format(path))
        assert.matches("^policy%.base_url: ", calls.misuse(function()
          client { base_url = s.url .. path }
        end), ("%q"):format(path))
      end
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is refused in a path, a url and a base_url that hold a NUL", function()
    for _, path in ipairs { "/echo\0", "/echo/a\0b", "/echo?a=\0", "/echo\0 HTTP/1.1\r\nX: y" } do
      assert.matches("^request%.path: ", calls.misuse(function()
        api():get(path)
      end), ("%q"):format(path))
      assert.matches("^request%.url: ", calls.misuse(function()
        client({}):request { url = s.url .. path }
      end), ("%q"):format(path))
      assert.matches("^policy%.base_url: ", calls.misuse(function()
        client { base_url = s.url .. path }
      end), ("%q"):format(path))
    end
    assert.equal(0, s:ledger().requests)
  end)

  it("is encoded in query and form", function()
    local told = echo(api():post("/echo", {
      query = { ["a\r\nb"] = "\0 \127" }, form = { ["a\r\nb"] = "\0&\n" } }))
    assert.equal("/echo?a%0D%0Ab=%00%20%7F", (told.path:gsub("%%%x%x", string.upper)))
    assert.equal("a%0D%0Ab=%00%26%0A", told.body)
  end)
end)

describe("unusual bytes", function()
  -- What a URL may hold stays; what it may not hold may be encoded, and means the same.
  it("in a path and a query arrive as what they mean", function()
    local c = api()
    for _, path in ipairs {
      "/echo//b", "/echo/a;b@c:d!$&'()*+,=~-._", "/echo/%2F/%41", "/echo/%zz", "/echo/%", "/echo/ü",
      "/echo/日本", '/echo/"<>{}|^`', "/echo/\\x", "/echo/[x]", "/echo?q=ü&r=/?:@!$'()*,;[]{}|",
      "/echo?a%26b=c%3Dd", "/echo?a=%00",
    } do
      local told = echo(c:get(path))
      local function meaning(text)
        return (text:gsub("%%(%x%x)", function(hex)
          return string.char(tonumber(hex, 16))
        end))
      end
      assert.equal(meaning(path), meaning(told.path), path)
    end
  end)

  it("that the caller has encoded stay encoded as they are", function()
    local c = api()
    for _, path in ipairs { "/echo/%2F%41%c3%A9", "/echo?a=%2F%26%c3%A9" } do
      assert.equal(path, echo(c:get(path)).path)
      assert.equal(path, echo(c:request { url = s.url .. path }).path)
    end
    assert.equal("/echo?a=%2F&b=1", echo(c:get("/echo?a=%2F", { query = { b = 1 } })).path)
  end)
end)
