local server = require("spec.support.server")
local socket = require("socket")

local s
local connections = {} -- of the test that runs

-- A connection to a port of the server, and a request on it.
local function connect(port)
   local connection = assert(socket.connect("127.0.0.1", port or s.ports.plain))
   connection:settimeout(5)
   connections[#connections + 1] = connection
   return connection
end

local function send(connection, method, target, body, headers)
   local head = ("%s %s HTTP/1.1\r\nHost: localhost\r\n%s"):format(method, target, headers or "")
   if body then
      head = head .. ("Content-Length: %d\r\n"):format(#body)
   end
   return connection:send(head .. "\r\n" .. (body or ""))
end

-- Status, body and headers (lower case, the last of each name) of a response with Content-Length.
local function receive(connection)
   local line, why = connection:receive("*l")
   if not line then
      return nil, why
   end
   local status, headers = tonumber(line:match("^HTTP/1%.1 (%d+) ")), {}
   line, why = connection:receive("*l")
   while line and line ~= "" do
      local name, value = line:match("^([^:]+): (.*)$")
      headers[name:lower()] = value
      line, why = connection:receive("*l")
   end
   if not line then
      return nil, why
   end
   local bytes = tonumber(headers["content-length"] or 0)
   local body = bytes > 0 and connection:receive(bytes) or ""
   return status, body, headers
end

local function request(method, target, body, headers)
   local connection = connect()
   assert(send(connection, method, target, body, headers))
   local status, answer, fields = receive(connection)
   connection:close()
   return status, answer, fields
end

local function get(target)
   return request("GET", target)
end

local function echo(...)
   local status, body = request(...)
   assert.equal(200, status)
   return server.decode(body)
end

-- All that comes until the end of the connection, and how it ended.
local function read_to_end(target)
   local connection = connect()
   assert(send(connection, "GET", target))
   local all = {}
   while true do
      local piece, why, rest = connection:receive(65536)
      all[#all + 1] = piece or rest
      if not piece then
         connection:close()
         return table.concat(all), why
      end
   end
end

local function seconds_of(fn)
   local start = socket.gettime()
   fn()
   return socket.gettime() - start
end

local function curl(arguments)
   local command = ("curl -sS -m 5 --cacert %s %s 2>&1"):format(s.ca_file, arguments)
   local pipe = assert(io.popen(command))
   local output = pipe:read("*a")
   pipe:close()
   return output
end

describe("spec.support.server", function()
   setup(function()
      s = server.start()
   end)
   teardown(function()
      s:stop()
   end)
   before_each(function()
      s:reset()
   end)
   after_each(function()
      for index = #connections, 1, -1 do
         table.remove(connections, index):close()
      end
   end)

   describe("answers", function()
      it("has any status, headers and body", function()
         local status, body, headers =
            get("/status/503?header=Retry-After:1&header=X-A:b%20c&body=busy%21")
         assert.equal(503, status)
         assert.equal("busy!", body)
         assert.equal("1", headers["retry-after"])
         assert.equal("b c", headers["x-a"])
      end)

      it("has no body with 204, 304 and HEAD", function()
         local connection = connect()
         for _, case in ipairs({ { "GET", 204 }, { "GET", 304 }, { "HEAD", 200 } }) do
            send(connection, case[1], "/status/" .. case[2] .. "?body=none")
            if case[1] == "HEAD" then
               local line = connection:receive("*l")
               assert.equal("HTTP/1.1 200 OK", line)
               connection:settimeout(0.05)
               local rest, why, partial = connection:receive("*a")
               assert.is_nil(rest)
               assert.equal("timeout", why)
               assert.equal("\r\n\r\n", partial:sub(-4))
            else
               assert.equal(case[2], (receive(connection)))
            end
         end
      end)

      it("puts dates and times into headers", function()
         local _, _, headers =
            get("/status/429?header=Retry-After:{date%2B90}&header=X-Reset:{epoch-5}")
         assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", headers["retry-after"])
         assert.is_true(math.abs(os.time() - 5 - tonumber(headers["x-reset"])) <= 2)
      end)

      it("echoes the request as it came", function()
         local told = echo("POST", "/echo?a=%20b", "hej\n\"å\"", "X-One: 1\r\nx-one: 2\r\n")
         assert.equal("POST", told.method)
         assert.equal("/echo?a=%20b", told.path)
         assert.equal("hej\n\"å\"", told.body)
         assert.equal(8, told.body_bytes)
         assert.same({ { "Host", "localhost" }, { "X-One", "1" }, { "x-one", "2" },
            { "Content-Length", "8" } }, told.headers)
      end)

      it("tells connections and requests on them apart", function()
         local connection = connect()
         local first, second
         send(connection, "GET", "/echo")
         first = server.decode(select(2, receive(connection)))
         send(connection, "GET", "/echo")
         second = server.decode(select(2, receive(connection)))
         assert.equal(first.connection, second.connection)
         assert.equal(1, first.request_on_connection)
         assert.equal(2, second.request_on_connection)
         assert.are_not.equal(first.connection, echo("GET", "/echo").connection)
      end)

      it("reads chunked bodies", function()
         local connection = connect()
         connection:send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            .. "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: 1\r\n\r\n")
         assert.equal("hello!", server.decode(select(2, receive(connection))).body)
      end)

      it("counts large bodies without returning them", function()
         local told = echo("POST", "/echo", ("x"):rep(3000000))
         assert.equal(3000000, told.body_bytes)
         assert.is_nil(told.body)
      end)

      it("refuses what is not HTTP", function()
         for _, wrong in ipairs({
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         }) do
            local connection = connect()
            connection:send(wrong)
            assert.equal(400, (receive(connection)), wrong)
            connection:close()
         end
      end)

      it("redirects so many times, and where it is told to", function()
         local _, _, headers = get("/redirect?n=2&to=file:///etc/passwd")
         assert.equal("/redirect?n=1&status=302&to=file:///etc/passwd", headers.location)
         local status
         status, _, headers = get("/redirect?n=1&status=307&to=file:///etc/passwd")
         assert.equal(307, status)
         assert.equal("file:///etc/passwd", headers.location)
         assert.equal("/redirect?loop=1", select(3, get("/redirect?loop=1")).location)
         assert.equal(200, (get("/redirect?n=0&status=302")))
      end)

      it("knows its tag, and a token", function()
         assert.equal(200, (get("/etag?tag=a")))
         assert.equal(304, (request("GET", "/etag?tag=a", nil, 'If-None-Match: "a"\r\n')))
         assert.equal(401, (get("/auth?token=t")))
         assert.equal(200, (request("GET", "/auth?token=t", nil, "Authorization: Bearer t\r\n")))
      end)
   end)

   describe("bodies", function()
      it("waits before the head, before the body and between bytes", function()
         assert.is_true(seconds_of(function()
            get("/slow?headers=0.05&body=0.05&byte=0.01&bytes=5")
         end) >= 0.14) -- the fifth byte comes after four waits
         assert.is_true(seconds_of(function()
            get("/status/200?after=0.05")
         end) >= 0.05)
      end)

      it("streams large ones with a length, in chunks, and to the end", function()
         for _, length in ipairs({ "1", "0", "close" }) do
            local all = read_to_end("/big?bytes=5000000&close=1&length=" .. length)
            assert.is_true(#all > 5000000 and #all < 5002000)
         end
      end)

      it("has chunks, dripping and broken ones", function()
         assert.matches("\r\n5\r\n01234\r\n3\r\n567\r\n0\r\nA: b\r\n\r\n$",
            (read_to_end("/chunked?bytes=8&chunk=5&trailer=A:+b&close=1")))
         assert.matches("1\r\n0\r\n1\r\n1\r\n0\r\n\r\n$",
            (read_to_end("/drip?bytes=2&every=0&close=1")))
         assert.matches("zz\r\n", (read_to_end("/chunked?broken=size")))
         assert.not_matches("\r\n0\r\n\r\n$", (read_to_end("/chunked?broken=end")))
         assert.matches("5\r\n0123456789", (read_to_end("/chunked?bytes=0&broken=data")))
      end)

      it("compresses well, or wrongly", function()
         assert.equal("01234567890123456789", curl("--compressed '" .. s.url .. "/gzip?bytes=20'"))
         local _, bomb = get("/gzip?bytes=20000000")
         assert.is_true(#bomb < 100000)
         for _, broken in ipairs({ "data", "crc" }) do
            local target = s.url .. "/gzip?bytes=9&broken=" .. broken
            assert.matches("curl: %(61%)", curl("--compressed '" .. target .. "'"))
         end
      end)
   end)

   describe("faults", function()
      -- LuaSocket says "closed" for both; curl tells FIN (52, 18) from RST (56).
      local function curl_code(target)
         return curl("-o /dev/null '" .. s.url .. target .. "'"):match("curl: %((%d+)%)")
      end

      it("resets and closes at each point", function()
         for _, at in ipairs({ "accept", "request", "headers", "body" }) do
            assert.equal("56", curl_code("/reset?at=" .. at), at)
         end
         assert.equal("52", curl_code("/close?at=accept"))
         assert.equal("52", curl_code("/close"))
         assert.equal("18", curl_code("/close?at=body"))
         assert.not_matches("\r\n\r\n", (read_to_end("/close?at=headers")))
      end)

      it("lies about lengths", function()
         assert.equal("18", curl_code("/short?declared=10&sent=5"))
         assert.equal("56", curl_code("/short?declared=10&sent=5&end=reset"))
         local connection = connect()
         send(connection, "GET", "/short?declared=2&sent=5")
         assert.equal("01", (select(2, receive(connection))))
         assert.equal("234", (connection:receive(3)))
         send(connection, "GET", "/status/200")
         assert.equal(200, (receive(connection)))
      end)

      it("says too much, in one piece", function()
         for target, all in pairs({
            ["?body=abc"] = "Content%-Length: 3\r\n\r\nabcabc$",
            ["?status=204&body=abc"] = "\r\n\r\nabc$",
            ["?status=204&kind=answer"] = "\r\n\r\nHTTP/1.1 200 OK\r\n.*\r\n\r\nstolen$",
            ["?chunked=1&kind=answer"] = "\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n.*stolen$",
         }) do
            assert.matches(all, (read_to_end("/surplus" .. target .. "&close=1")), target)
         end
      end)

      it("sends headers of a size, and without end", function()
         local all = read_to_end("/headers?bytes=50000&close=1")
         assert.is_true(#all > 50000 and #all < 50500)
         assert.matches("\r\n\r\nok$", all)
         all = read_to_end("/headers?bytes=50000&one=1&close=1")
         assert.is_true(#all > 50000 and #all < 50500)
         assert.equal(2, select(2, all:gsub("X%-Filler", "")) + 1)
         local connection = connect()
         send(connection, "GET", "/headers?endless=1")
         assert.equal(1000000, #connection:receive(1000000))
         connection:close()
         assert(s:settle())
      end)

      it("is informative before it answers", function()
         local all = read_to_end("/informational?n=3&close=1")
         assert.equal(3, select(2, all:gsub("HTTP/1.1 103", "")))
      end)

      it("says what is not HTTP", function()
         assert.not_matches("HTTP", (read_to_end("/garbage")))
         assert.equal(512, #read_to_end("/garbage"))
         assert.matches("^HTTP/1.1 2x0", (read_to_end("/garbage?kind=code")))
         assert.matches("^<html>", (read_to_end("/http09")))
      end)

      it("answers before it has read the body", function()
         local connection = connect()
         connection:send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
         assert.equal(413, (receive(connection)))
         assert.equal("closed", select(2, connection:receive(1)))
      end)

      it("stops reading a body", function()
         local connection = connect()
         connection:settimeout(0.2)
         connection:send("POST /stallread?for=1 HTTP/1.1\r\nHost: a\r\n"
            .. "Content-Length: 99999999\r\n\r\n")
         local sent, why = connection:send(("x"):rep(20000000))
         assert.is_nil(sent)
         assert.equal("timeout", why)
         connection:close()
         assert(s:settle())
      end)

      it("reads a body slowly", function()
         local body = ("x"):rep(500000)
         assert.is_true(seconds_of(function()
            assert.equal(500000, echo("POST", "/slowread?piece=100000&every=0.02", body).body_bytes)
         end) >= 0.1)
      end)

      it("ends a kept connection after the answer, when idle, or at the next request", function()
         for _, how in ipairs({ "close_idle=1", "reset_idle=1", "idle=0.02" }) do
            local connection = connect()
            send(connection, "GET", "/keepalive?" .. how)
            local status, _, headers = receive(connection)
            assert.equal(200, status)
            assert.is_nil(headers.connection)
            assert.equal("closed", select(2, connection:receive(1)), how)
         end
         for _, how in ipairs({ "close", "reset" }) do
            local connection = connect()
            send(connection, "GET", "/keepalive?next=" .. how)
            assert.equal(200, (receive(connection)))
            connection:settimeout(0.05)
            assert.equal("timeout", select(2, connection:receive(1)))
            send(connection, "GET", "/echo")
            assert.equal("closed", select(2, connection:receive(1)))
         end
         assert.equal(5, s:ledger().requests)
      end)
   end)

   describe("ports", function()
      it("refuses, and stalls, connecting", function()
         assert.matches("^curl: %(7%)", curl(s.refused))
         assert.matches("^curl: %(28%)", curl("--connect-timeout 0.1 " .. s.stall))
      end)

      it("does to connections of the flaky one what it is told", function()
         s:accept({ "reset 1", "close 1" })
         local url = s.flaky .. "/status/200"
         -- Right after the handshake an end may reach curl before it has seen the connection, while
         -- it sends, or while it waits.
         local function ended(told)
            return told:match("^curl: %(7%)") or told:match("^curl: %(5[256]%)")
         end
         for _ = 1, 2 do
            local told = curl(url)
            assert.is_truthy(ended(told), told)
         end
         assert.equal("200", curl(url))
      end)

      it("has a certificate that is right, and some that are wrong", function()
         local told = server.decode(curl(s.tls.good .. "/echo"))
         assert.equal("good", told.port)
         assert.equal("TLSv1.3", told.tls)
         for _, name in ipairs({ "selfsigned", "expired", "wrongname" }) do
            assert.matches("^curl: %(60%)", curl(s.tls[name]), name)
            assert.equal("200", curl("-k " .. s.tls[name] .. "/status/200"))
         end
      end)

      it("demands a client certificate of its own authority", function()
         local with = "--cert %s --key %s " .. s.tls.clientauth .. "/echo"
         assert.matches("^curl", curl(s.tls.clientauth))
         assert.matches("^curl", curl(with:format(s.stranger_cert, s.stranger_key)))
         local told = server.decode(curl(with:format(s.client_cert, s.client_key)))
         assert.equal("client", told.client)
      end)

      it("stalls the handshake, or says nonsense in it", function()
         assert.matches("^curl: %(28%)", curl("--connect-timeout 0.1 " .. s.tls.tlsstall))
         assert.matches("^curl: %(35%)", curl(s.tls.tlsgarbage))
      end)

      it("resets the handshake", function()
         assert.matches("^curl: %(35%)", curl(s.tls.tlscut))
      end)

      it("speaks no TLS newer than 1.1", function()
         assert.matches("^curl: %(35%)", curl(s.tls.tls11))
         local old = curl("--tlsv1.0 --ciphers DEFAULT@SECLEVEL=0 " .. s.tls.tls11 .. "/echo")
         assert.equal("TLSv1.1", server.decode(old).tls)
      end)
   end)

   describe("scripts", function()
      it("consumes a line for each request", function()
         local path = s:script("a",
            { "# twice", "/status/503?header=Retry-After:1 x2", "", "/echo" })
         assert.equal("/s/a", path)
         local status, _, headers = get(path)
         assert.equal(503, status)
         assert.equal("1", headers["retry-after"])
         assert.equal(503, (get(path .. "/below?and=query")))
         assert.equal("/s/a?x=1", echo("POST", path .. "?x=1", "b").path)
         assert.equal(599, (get(path)))
         assert.same({ consumed = 3, remaining = 0, exhausted = 1, endless = false },
            s:script_state("a"))
      end)

      it("repeats a line for ever", function()
         local path = s:script("b", { "/status/500", "/status/204 *" })
         assert.equal(500, (get(path)))
         for _ = 1, 5 do
            assert.equal(204, (get(path)))
         end
         assert.is_true(s:script_state("b").endless)
      end)

      it("begin anew where they say so", function()
         local path = s:script("c", { "/status/500 x2", "/status/204", "again" })
         local statuses = {}
         for index = 1, 7 do
            statuses[index] = get(path)
         end
         assert.same({ 500, 500, 204, 500, 500, 204, 500 }, statuses)
         assert.same({ consumed = 7, remaining = 2, exhausted = 0, endless = true },
            s:script_state("c"))
         s:script("empty", { "again" })
         assert.equal(599, (get("/s/empty")))
      end)

      it("put the request's own query where a line says so", function()
         local path = s:script("d", { "/status/503?reason=a&{query}&header=X-B:b", "/status/200" })
         local status, _, headers = get(path .. "?header=X-A:a")
         assert.same({ 503, "a", "b" }, { status, headers["x-a"], headers["x-b"] })
         status, _, headers = get(path .. "?header=X-A:a")
         assert.same({ 200 }, { status, headers["x-a"] })
      end)

      it("does not know a script that was not set", function()
         assert.equal(599, (get("/s/none")))
         assert.has_error(function()
            s:script_state("none")
         end)
      end)
   end)

   describe("payments", function()
      local function pay(query, key)
         local status, body = request("POST", "/payments" .. query, "amount=1",
            key and ("Idempotency-Key: %s\r\n"):format(key))
         return status, status == 201 and server.decode(body) or nil
      end

      it("takes money each time without a key, once with one", function()
         local _, first = pay("")
         local _, second = pay("")
         assert.are_not.equal(first.id, second.id)
         local status, third = pay("", "k")
         assert.equal(201, status)
         assert.is_false(third.replayed)
         local _, fourth = pay("", '"k"')
         assert.is_true(fourth.replayed)
         assert.equal(third.id, fourth.id)
         local ledger = s:ledger()
         assert.equal(3, ledger.payments)
         assert.equal(2, ledger.payments_without_key)
         assert.same({ k = { attempts = 2, payments = 1, mismatched = 0 } }, ledger.keys)
      end)

      it("takes the money and loses the answer, once a key", function()
         assert.is_nil((pay("?lose=after", "k")))
         local status, payment = pay("?lose=after", "k")
         assert.equal(201, status)
         assert.is_true(payment.replayed)
         assert.is_nil((pay("?lose=after")))
         assert.is_nil((pay("?lose=after")))
         assert.equal(3, s:ledger().payments)
      end)

      it("fails before it takes the money, once a key", function()
         assert.is_nil((pay("?fail=before", "k")))
         assert.equal(0, s:ledger().payments)
         local _, payment = pay("?fail=before", "k")
         assert.is_false(payment.replayed)
         assert.equal(1, s:ledger().payments)
      end)

      it("loses answers in other ways, and behind a script", function()
         assert.equal(503, (pay("?lose=after&how=503", "k")))
         s:script("p", { "/status/503", "/payments?lose=after&how=close", "/payments" })
         local statuses = {}
         for i = 1, 3 do
            statuses[i] = request("POST", "/s/p", "", "Idempotency-Key: k2\r\n") or "lost"
         end
         assert.same({ 503, "lost", 201 }, statuses)
         assert.same({ attempts = 2, payments = 1, mismatched = 0 }, s:ledger().keys.k2)
      end)
   end)

   describe("the ledger", function()
      it("counts requests and connections, but not its own", function()
         get("/status/200?a=1")
         request("POST", "/status/200", "x")
         local ledger = assert(s:settle(function(now)
            return now.open == 0
         end))
         assert.equal(2, ledger.requests)
         assert.same({ GET = 1, POST = 1 }, ledger.methods)
         assert.same({ ["/status/200"] = 2 }, ledger.paths)
         assert.equal(2, ledger.accepted)
         assert.equal(2, ledger.ports.plain)
         assert.equal(0, ledger.in_flight)
      end)

      it("keeps the last requests", function()
         get("/status/200?a=1")
         request("PUT", "/echo", "1234", "X-A: b\r\n")
         local log = s:log()
         assert.equal(2, #log)
         assert.equal("/status/200?a=1", log[1].target)
         assert.equal("PUT", log[2].method)
         assert.equal(4, log[2].body_bytes)
         assert.same({ "X-A", "b" }, log[2].headers[2])
         assert.is_true(log[2].at >= log[1].at)
         assert.equal("/echo", s:log(1)[1].target)
      end)

      it("notices clients that leave", function()
         local clients = {}
         for i, target in ipairs({ "/slow?headers=60", "/slow?body=60", "/slow?byte=60",
            "/status/200?after=60", "/status/200?gate=never", "/drip?every=60", "/big?endless=1",
            "/short?end=stall", "/payments?delay=60" }) do
            clients[i] = connect()
            send(clients[i], "POST", target, "x")
         end
         assert(s:settle(function(ledger)
            return ledger.in_flight == #clients
         end))
         for _, client in ipairs(clients) do
            client:close()
         end
         local ledger = assert(s:settle(function(now)
            return now.in_flight == 0 and now.open == 0
         end))
         assert.equal(#clients, ledger.max_in_flight)
         assert.equal(#clients, ledger.max_open)
      end)

      it("holds requests at a gate until it is released", function()
         local first, second = connect(), connect()
         send(first, "GET", "/status/200?gate=g")
         send(second, "GET", "/status/201?gate=g")
         assert(s:settle(function(ledger)
            return ledger.in_flight == 2
         end))
         s:release("g")
         assert.equal(200, (receive(first)))
         assert.equal(201, (receive(second)))
         assert.equal(202, (get("/status/202?gate=g")))
      end)
   end)

   describe("HTTP/2", function()
      local function h2(arguments)
         return curl("-w ' %{http_code} %{http_version}' " .. (arguments or "") .. " "
            .. s.tls.h2 .. "/x")
      end

      it("answers streams, and counts their bodies", function()
         local body = s.dir .. "/body"
         local file = assert(io.open(body, "wb"))
         file:write(("x"):rep(300000))
         file:close()
         assert.matches('"stream":1,.*"body_bytes":0} 200 2$', h2())
         assert.matches('"body_bytes":300000} 200 2$', h2("--data-binary @" .. body))
         local streams = s:ledger().h2
         assert.equal(2, streams.streams)
         assert.equal(2, streams.answered)
      end)

      it("answers in HTTP/1.1 whoever does not offer more", function()
         assert.matches("no such behaviour 404 1.1$", h2("--http1.1"))
      end)

      it("answers with a status, a body, and late", function()
         s:h2({ "status 1 503", "body 1 5000", "slow 1 0.05" })
         assert.matches(" 503 2$", h2())
         assert.equal(5000 + #" 200 2", #h2())
         assert.is_true(seconds_of(h2) >= 0.05)
      end)

      it("refuses streams that the client may repeat", function()
         s:h2("refuse 1")
         assert.matches(" 200 2$", h2())
         assert.equal(1, s:ledger().h2.refused)
      end)

      it("breaks streams", function()
         s:h2({ "reset 1", "calm 1", "partial 1" })
         assert.matches("INTERNAL_ERROR", h2())
         assert.matches("ENHANCE_YOUR_CALM", h2())
         local cut = h2()
         assert.matches("half of ", cut)
         assert.matches("INTERNAL_ERROR", cut)
         assert.equal(3, s:ledger().h2.reset)
      end)

      it("breaks connections", function()
         s:h2({ "goaway 1", "drop 1", "kill 1", "garbage 1", "graceful 1" })
         for _ = 1, 4 do
            assert.matches("curl: %(%d+%)", h2())
         end
         assert.matches(" 200 2$", h2())
         local streams = s:ledger().h2
         assert.equal(1, streams.goaway)
         assert.equal(3, streams.dropped)
      end)

      it("stalls streams, until the client leaves", function()
         s:h2("stall 1")
         assert.matches("curl: %(28%)", h2("-m 0.1"))
         assert.equal(1, assert(s:settle()).h2.cancelled)
      end)

      it("sends a head without end, until the client leaves", function()
         s:h2("flood 1")
         assert.matches("curl: %(%d+%)", h2())
         assert.equal(1, assert(s:settle()).h2.dropped)
      end)

      -- That it comes late is seen by who goes on with the connection: the fault matrix.
      it("keeps an answer back for as long as the client waits", function()
         s:h2("late 1")
         assert.matches("curl: %(28%)", h2("-m 0.1"))
         assert.matches(" 200 2$", h2())
      end)
   end)

   it("stops, and takes its files with it", function()
      local another = server.start()
      assert.is_truthy(io.open(another.ca_file)):close()
      another:stop()
      another:stop()
      assert.is_nil(io.open(another.ca_file))
      assert.is_nil((socket.connect("127.0.0.1", another.ports.plain)))
   end)
end)
