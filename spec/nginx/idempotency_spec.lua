-- A guarded location as its clients see it.
local socket = require "socket"

local farm = require "spec.support.farm"
local guarded = require "spec.support.guarded"
local server = require "spec.support.server"

local g

local INIT = [[
  current = {} -- what answers, set by a chunk
  counts:set("given", 0)
  function answer(req)
    counts:incr("given", 1)
    return current.handler(req)
  end
  lenient = require("neap.idempotency").new{ store = store, required = false }
  os.execute("mkdir ${dir}/home") -- which is gone when the file is to be opened
  homeless = require("neap.idempotency").new{
    store = require("neap.store.sqlite").new{ path = "${dir}/home/store.db" } }
  os.execute("rmdir ${dir}/home")
]]

local CONF = [[
  client_max_body_size 12m;
  location = /answer {
    content_by_lua_block { require("neap.nginx").idempotency(guard, answer) }
  }
  location = /lenient {
    content_by_lua_block { require("neap.nginx").idempotency(lenient, answer) }
  }
  location = /homeless {
    content_by_lua_block { require("neap.nginx").idempotency(homeless, answer) }
  }
  location = /access {
    access_by_lua_block { require("neap.nginx").idempotency(guard, answer) }
    content_by_lua_block { counts:incr("content", 1, 0) ngx.say("content") }
  }
  location = /lost-body {
    client_body_in_file_only on;
    rewrite_by_lua_block { ngx.req.read_body() os.remove(ngx.req.get_body_file()) }
    content_by_lua_block { require("neap.nginx").idempotency(guard, answer) }
  }
  location = /unwatched {
    lua_check_client_abort off;
    content_by_lua_block { require("neap.nginx").idempotency(guard, pay) }
  }
]]

local function start(options)
  g = guarded.start{ kind = "sqlite", workers = 1, init = INIT, conf = CONF,
    lease = options and options.lease, guard = options and options.guard }
end

-- From now on this handles what comes to the locations; a chunk that returns a function.
local function handle_by(chunk)
  g:run("current.handler = " .. chunk .. " return true")
end

local function header_of(lines, name)
  for _, line in ipairs(lines) do
    local value = line:match("^" .. name:gsub("%-", "%%-") .. ": (.*)$")
    if value then
      return value
    end
  end
end

-- The lines of the head, without those that nginx writes.
local function own_lines(lines)
  local own = {}
  for _, line in ipairs(lines) do
    if not line:find("^Server:") and not line:find("^Date:") and not line:find("^Connection:") then
      own[#own + 1] = line
    end
  end
  return own
end

local keyed = guarded.keyed

-- Bytes of every kind, the same for the same seed.
local function bytes_of(count, seed)
  local piece = {}
  for index = 1, 4099 do
    piece[index] = string.char((index * index + seed * index) % 256)
  end
  local text = table.concat(piece)
  return text:rep(math.ceil(count / #text)):sub(1, count)
end

local function assert_problem(status, reason, got, body, lines)
  assert.equal(status, got, body)
  assert.equal("application/problem+json", header_of(lines, "Content-Type"))
  local problem = server.decode(body)
  assert.equal(status, problem.status)
  assert.equal("urn:neap:" .. reason, problem.type)
  assert.is_string(problem.title)
  assert.is_string(problem.detail)
end

describe("a guarded location", function()
  setup(function()
    start()
  end)

  teardown(function()
    g:stop()
  end)

  local TEN_MB = 10 * 1024 * 1024

  for name, count in pairs{ ["no bytes"] = 0, ["one byte"] = 1, ["10 MB"] = TEN_MB } do
    it(("takes and gives a body of %s, and replays it byte for byte"):format(name), function()
      handle_by(([[function(req)
        return { headers = { { "X-Crc", tostring(ngx.crc32_long(req.body)) } },
          body = req.body:reverse() }
      end]]))
      local sent = bytes_of(count, 7)
      for round = 1, 2 do
        local status, body, lines = g:ask("/answer", sent, keyed("body-" .. count))
        assert.equal(200, status)
        assert.is_true(body == sent:reverse())
        assert.equal(tostring(count), header_of(lines, "Content-Length"))
        assert.equal(round == 2, guarded.is_replay(lines))
      end
    end)
  end

  it("sends headers in their order, each as often as it was given", function()
    handle_by [[function()
      return { status = 202, body = "x", headers = { { "X-One", "1" }, { "Set-Cookie", "a=1" },
        { "X-Two", "2" }, { "Set-Cookie", "b=2; Path=/" }, { "x-one", "1b" },
        { "Content-Type", "text/x; charset=koi8-r" } } }
    end]]
    local expected = { "Content-Type: text/x; charset=koi8-r", "X-One: 1", "Set-Cookie: a=1",
      "X-Two: 2", "Set-Cookie: b=2; Path=/", "x-one: 1b", "Content-Length: 1" }
    local status, _, lines = g:ask("/answer", "", keyed("headers"))
    assert.equal(202, status)
    assert.same(expected, own_lines(lines))
    table.insert(expected, 7, "Idempotent-Replayed: true")
    status, _, lines = g:ask("/answer", "", keyed("headers"))
    assert.equal(202, status)
    assert.same(expected, own_lines(lines))
  end)

  it("adds no type of its own, and has nothing of a connection", function()
    handle_by [[function()
      return { headers = { Connection = "close, X-Gone", ["X-Gone"] = "1", Trailer = "a",
        ["Keep-Alive"] = "5", ["Transfer-Encoding"] = "chunked", ["Content-Length"] = "99",
        ["X-Stays"] = "1" }, body = "12" }
    end]]
    local _, _, lines = g:ask("/answer", "", keyed("hops"))
    assert.same({ "X-Stays: 1", "Content-Length: 2" }, own_lines(lines))
  end)

  it("lets no header be made of another's value", function()
    handle_by [[function()
      return { headers = { ["X-Told"] = "a\r\nX-Evil: 1\r\n\r\nbody" } }
    end]]
    local status, body, lines = g:ask("/answer", "", keyed("evil"))
    assert.equal(200, status)
    assert.equal("", body)
    assert.is_nil(header_of(lines, "X-Evil"))
  end)

  it("answers 204 and 304 without a body", function()
    for _, status in ipairs{ 204, 304 } do
      handle_by(("function() return { status = %d } end"):format(status))
      for _ = 1, 2 do
        local got, _, lines = g:ask("/answer", "", keyed("status-" .. status))
        assert.equal(status, got)
        assert.is_nil(header_of(lines, "Content-Type"))
      end
    end
  end)

  it("gives the handler method, path as sent, headers and body", function()
    handle_by [[function(req)
      local cookie = req.headers["X-Twice"]
      return { body = require("cjson").encode{ req.method, req.path, req.body,
        req.headers["content-type"], req.headers["CONTENT-TYPE"], type(cookie) == "table"
        and table.concat(cookie, "+") or cookie } }
    end]]
    local _, body = g:ask("/answer?b=%20&a=1&b=%2f", "{}", keyed("req")
      .. "Content-Type: text/x\r\nX-Twice: 1\r\nx-twice: 2\r\n", "PATCH")
    assert.same({ "PATCH", "/answer?b=%20&a=1&b=%2f", "{}", "text/x", "text/x", "1+2" },
      server.decode(body))
  end)

  it("hands a request that is not guarded to the handler, each time", function()
    handle_by [[function(req)
      return { status = 200, headers = { ["X-Handled"] = req.method }, body = "free" }
    end]]
    local before = g:count("given")
    for _, case in ipairs{ { "/answer", "GET" }, { "/answer", "PUT" }, { "/lenient", "POST" } } do
      for _ = 1, 2 do
        local status, body, lines = g:ask(case[1], "", nil, case[2])
        assert.equal(200, status)
        assert.equal("free", body)
        assert.equal(case[2], header_of(lines, "X-Handled"))
        assert.is_false(guarded.is_replay(lines))
      end
    end
    assert.equal(before + 6, g:count("given"))
  end)

  it("answers in access_by_lua too, and the content does not come", function()
    handle_by "function() return { status = 201, body = 'early' } end"
    for round = 1, 2 do
      local status, body, lines = g:ask("/access", "", keyed("access"))
      assert.equal(201, status)
      assert.equal("early", body)
      assert.equal(round == 2, guarded.is_replay(lines))
    end
    assert.equal(0, g:count("content"))
  end)

  describe("answers with a problem", function()
    it("400 for keys that are none", function()
      handle_by "function() return {} end"
      local before = g:count("given")
      for key, reason in pairs{ ["\r\n"] = "empty", ['"open\r\n'] = "malformed",
        ["caf\195\169\r\n"] = "not_printable", ["a\1b\r\n"] = "not_printable",
        [("x"):rep(256) .. "\r\n"] = "too_long",
        ["a\r\nIdempotency-Key: a\r\n"] = "repeated" } do
        assert_problem(400, "idempotency:key_" .. reason,
          g:ask("/answer", "", "Idempotency-Key: " .. key))
      end
      assert_problem(400, "idempotency:key_missing", g:ask("/answer", ""))
      assert.equal(before, g:count("given"))
    end)

    it("422 for another request under the same key, also while the first runs", function()
      assert.equal(201, (g:post("other-work")))
      assert_problem(422, "idempotency:other_request", g:post("other-work", "?status=202"))
      local talk = g:talk()
      guarded.send(talk, "other-running", "?seconds=0.3")
      farm.wait("the handler", function()
        return g:count("runs") == g:count("ended") + 1
      end)
      assert_problem(422, "idempotency:other_request", g:post("other-running"))
      local status, body, lines = g:post("other-running", "?seconds=0.3")
      assert_problem(409, "idempotency:running", status, body, lines)
      assert.equal("1", header_of(lines, "Retry-After"))
      assert.equal(201, (talk:receive()))
    end)

    it("503 where the store cannot be reached, and the handler does not run", function()
      local before = g:count("given")
      assert_problem(503, "idempotency:store", g:ask("/homeless", "", keyed("k")))
      assert.equal(before, g:count("given"))
      assert.matches("%[error%].-neap: store: ", g:error_log())
    end)

    it("500 where the body is in a file that cannot be read, and nothing is claimed", function()
      local before = g:count("given")
      assert_problem(500, "nginx:body", g:ask("/lost-body", "x", keyed("lost")))
      assert.equal(before, g:count("given"))
      assert.matches("%[error%].-neap: the request's body cannot be read: ", g:error_log())
    end)

    it("500 where the handler raises: the text is in the log alone", function()
      assert_problem(500, "idempotency:failed", g:post("raises", "?fails=1"))
      local before = g:count("runs")
      local status, body = g:post("raises", "?fails=1")
      assert.equal(500, status)
      assert.is_nil(body:find("till", 1, true))
      assert.equal(before, g:count("runs"))
      assert.matches("%[error%].-neap: error: .-the till is on fire", g:error_log())
    end)

    it("500 where the handler returns none", function()
      handle_by "function() return { status = 'good' } end"
      assert_problem(500, "idempotency:failed", g:ask("/answer", "", keyed("none")))
      assert.equal(500, (g:ask("/answer", "", nil, "GET")))
    end)
  end)

  it("takes a bare key and the same one in quotes as one, whatever printable bytes", function()
    handle_by "function() return { status = 201 } end"
    local key = [[ !#$%&'()*+,-./:;<=>?@[]^_`{|}~]]
    assert.equal(201, (g:ask("/answer", "", "Idempotency-Key: a" .. key .. "\r\n")))
    local _, _, lines = g:ask("/answer", "", 'Idempotency-Key: "a' .. key .. '"\r\n')
    assert.is_true(guarded.is_replay(lines))
  end)

  it("leaves it to nginx to refuse a body that is too large", function()
    handle_by "function() return { status = 201 } end"
    local before = g:count("given")
    local talk = g:talk()
    talk.connection:send("POST /answer HTTP/1.1\r\nHost: x\r\nContent-Length: 13000000\r\n"
      .. keyed("big") .. "\r\n")
    assert.equal(413, (talk:receive()))
    talk = g:talk()
    talk.connection:send("POST /answer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      .. keyed("big") .. "\r\n")
    local chunk = ("%x\r\n%s\r\n"):format(1048576, ("x"):rep(1048576))
    for _ = 1, 13 do
      talk.connection:send(chunk)
    end
    assert.equal(413, (talk:receive()))
    assert.equal(before, g:count("given"))
    assert.equal(201, (g:ask("/answer", "", keyed("big")))) -- nothing was claimed
  end)

  it("claims nothing for a client that leaves before its body has come", function()
    handle_by "function() return { status = 201 } end"
    local talk = g:talk()
    talk.connection:send("POST /answer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
      .. keyed("half") .. "\r\nhalf")
    socket.sleep(0.05)
    talk:close()
    local status, _, lines = g:ask("/answer", "other", keyed("half"))
    assert.equal(201, status)
    assert.is_false(guarded.is_replay(lines))
  end)

  it("takes a body in chunks", function()
    handle_by "function(req) return { body = req.body } end"
    local talk = g:talk()
    talk.connection:send("POST /answer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      .. keyed("chunks") .. "\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    local _, body = talk:receive()
    assert.equal("onetwo", body)
  end)

  it("tells in the log where the handler has sent something itself", function()
    handle_by "function() ngx.say('mine') return { status = 201 } end"
    g:run([[ngx.location.capture("/answer", { method = ngx.HTTP_POST }) return true]])
    g:ask("/answer", "", keyed("itself"))
    assert.matches("%[error%].-neap: the handler has sent an answer by itself", g:error_log())
  end)

  it("goes together with a guard in light threads of a page", function()
    assert.same({ 201, 201 }, g:run [[
      local first = ngx.thread.spawn(function()
        return guard:handle({ method = "POST", path = "/t",
          headers = { ["Idempotency-Key"] = "t1" } }, function()
            ngx.sleep(0.05)
            return { status = 201 }
          end)
      end)
      local second = guard:handle({ method = "POST", path = "/t",
        headers = { ["Idempotency-Key"] = "t2" } }, function() return { status = 201 } end)
      local _, res = ngx.thread.wait(first)
      return { res.status, second.status }
    ]])
  end)
end)

describe("misuse of a guarded location", function()
  setup(function()
    start()
  end)

  teardown(function()
    g:stop()
  end)

  for chunk, message in pairs{
    ["idempotency(nil, pay)"] = "guard: expected a guard, as neap.idempotency makes one",
    ["idempotency({}, pay)"] = "guard: expected a guard, as neap.idempotency makes one",
    ["idempotency(guard)"] = "handler: expected a function or a table, got a nil",
    ["idempotency(guard, {})"] = "handler.proxy: expected a string, got a nil",
    ["idempotency(guard, { proxy = '/' })"] = "handler.proxy: expected the prefix of a location, "
      .. 'such as "/upstream", got "/"',
    ["idempotency(guard, { proxy = '/a/' })"] = "handler.proxy: expected the prefix of a location, "
      .. 'such as "/upstream", got "/a/"',
    ["idempotency(guard, { proxy = '@up' })"] = "handler.proxy: expected the prefix of a location, "
      .. 'such as "/upstream", got "@up"',
    ["idempotency(guard, { proxy = '/up', prox = 1 })"] = "handler.prox: unknown key, expected "
      .. "proxy or recovered",
    ["idempotency(guard, { proxy = '/up', recovered = 'no' })"] =
      'handler.recovered: expected "run" or "refuse", got "no"',
    ["guarded(guard, { proxy = '/up', recovered = true })"] =
      'handler.recovered: expected "run" or "refuse", got a boolean',
    ["guarded(1, pay)"] = "guard: expected a guard, as neap.idempotency makes one",
  } do
    it("raises at the caller's line: " .. chunk, function()
      assert.equal("chunk:1: " .. message, g:run(([[
        local done, raised = pcall(function() require("neap.nginx").%s end) return raised
      ]]):format(chunk)))
    end)
  end

  it("in another phase raises", function()
    assert.equal("chunk:2: a request is answered in content_by_lua or access_by_lua, not in the "
      .. "phase timer", g:run [[
        local raised ngx.timer.at(0, function() local _ _, raised = pcall(function()
          require("neap.nginx").idempotency(guard, pay) end) current.raised = raised end)
        ngx.sleep(0.1)
        return current.raised
      ]])
  end)

  it("inside a C function raises, and nothing is handled", function()
    assert.matches("a store cannot be waited for here", (g:run [[
      ngx.req.set_method(ngx.HTTP_POST)
      ngx.req.set_header("Idempotency-Key", "inside")
      local raised
      ("x"):gsub("x", function()
        local _
        _, raised = pcall(require("neap.nginx").idempotency, guard, pay)
      end)
      return raised
    ]]))
    assert.equal(0, g:count("runs"))
  end)

  it("is none where it is right: the same location in two halves", function()
    local other = guarded.start{ kind = "memory", workers = 1,
      init = 'serve = require("neap.nginx").guarded(guard, pay)',
      conf = "location = /halves { content_by_lua_block { serve() } }" }
    local talk = other:talk()
    talk:send("/halves", "", keyed("k"), "POST")
    assert.equal(201, (talk:receive()))
    other:stop()
  end)
end)

describe("clients that hang up", function()
  before_each(function()
    start{ lease = 1, guard = 'on_conflict = "wait"' }
  end)

  after_each(function()
    g:stop()
  end)

  local function begin(path, key)
    local talk, before = g:talk(), g:count("runs")
    talk:send(path, "", keyed(key), "POST")
    farm.wait("the handler", function()
      return g:count("runs") == before + 1
    end)
    return talk
  end

  it("while the handler runs: it is dropped, and the key free when the lease ends", function()
    begin("/pay?seconds=3", "k"):close()
    local began = socket.gettime()
    local status, body = g:post("k", "?seconds=3") -- waits
    local seconds = socket.gettime() - began
    assert.equal(201, status)
    assert.equal("paid 2", body)
    assert.equal(1, g:count("recovered"))
    assert.is_true(seconds > 0.6 and seconds < 2.5, seconds)
    assert.equal(1, g:count("ended")) -- the second one's
  end)

  it("where nginx does not look: it ends, and its answer is stored", function()
    begin("/unwatched?seconds=0.5", "k"):close()
    local status, body, lines = g:ask("/unwatched?seconds=0.5", "", keyed("k"))
    assert.equal(201, status)
    assert.equal("paid 1", body)
    assert.is_true(guarded.is_replay(lines))
    assert.equal(1, g:count("runs"))
  end)

  it("while they wait for another's answer leave nothing behind", function()
    local pid = g:workers()[1]
    local function come_and_go()
      local holder = begin("/pay?seconds=0.5", "k" .. socket.gettime())
      holder:receive()
      holder:close()
      local key = "w" .. socket.gettime()
      local first, waiting = begin("/pay?seconds=0.5", key), {}
      for index = 1, 100 do
        waiting[index] = g:talk()
        waiting[index]:send("/pay?seconds=0.5", "", keyed(key), "POST")
      end
      socket.sleep(0.1)
      for _, talk in ipairs(waiting) do
        talk:close()
      end
      assert.equal(201, (first:receive()))
      first:close()
    end
    come_and_go()
    local descriptors, threads = farm.descriptors(pid), farm.threads(pid)
    come_and_go()
    come_and_go()
    farm.wait("as many descriptors as before", function()
      return farm.descriptors(pid) <= descriptors
    end)
    assert.equal(threads, farm.threads(pid))
    assert.equal(pid, g:workers()[1])
    assert.equal(g:count("runs"), g:count("ended"))
  end)

  it("by the hundred, at any moment, do not disturb the worker", function()
    local pid = g:workers()[1]
    for round = 1, 20 do
      local talks = {}
      for index = 1, 20 do
        talks[index] = g:talk()
        guarded.send(talks[index], ("r%d-%d"):format(round, index % 7), "?seconds=0.01")
      end
      socket.sleep(0.001 * (round - 1))
      for _, talk in ipairs(talks) do
        talk:close()
      end
    end
    assert.equal(201, (g:post("after")))
    for index = 0, 6 do -- all keys come free
      assert.equal(201, (g:post(("r1-%d"):format(index), "?seconds=0.01")))
    end
    assert.equal(pid, g:workers()[1])
  end)
end)
