-- A planted secret: it is sent to where it belongs, and stands in nothing else that neap gives out.
local neap = require "neap"

local calls = require "spec.support.calls"
local process = require "spec.support.process"
local program = require "spec.support.program"
local server = require "spec.support.server"

local SECRET = "pl4nted"

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

-- All texts in a value: its keys, its values, what it makes of itself when it is printed, and what
-- it has only when it is asked for.
local function collect(value, texts, seen)
  if type(value) == "string" then
    texts[#texts + 1] = value
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    texts[#texts + 1] = tostring(value)
    collect(value.trace, texts, seen)
    for key, member in pairs(value) do
      collect(key, texts, seen)
      collect(member, texts, seen)
    end
  end
  return texts
end

local function assert_clean(label, ...)
  for index = 1, select("#", ...) do
    local text = table.concat(collect(select(index, ...), {}, {}), "\n")
    local at = text:find(SECRET, 1, true)
    assert(not at, at and ("%s: %s"):format(label, text:sub(math.max(1, at - 80), at + 20)))
  end
end

-- With a secret wherever a request may have one.
local function request_to(path)
  return {
    method = "POST", path = path, replayable = true,
    query = { token = SECRET },
    headers = { Cookie = "sid=" .. SECRET, ["X-Api-Key"] = SECRET },
    body = SECRET,
  }
end

local EVENTS = { "attempt", "retry", "reject", "breaker", "fallback", "alert", "done" }

local function watched(policy)
  policy.headers = { Authorization = "Bearer " .. SECRET }
  policy.base_url = policy.base_url or s.url
  policy.retry = policy.retry or { max_attempts = 2 }
  policy.timeout = { read = 0.1, connect = 0.1, total = 3 }
  policy.max_response_bytes = 1000
  local client, told = calls.client(policy), {}
  for _, event in ipairs(EVENTS) do
    client:on(event, function(what) told[#told + 1] = what end)
  end
  return client, told
end

local function assert_all_clean(label, client, told, err)
  assert.is_true(#told > 0)
  assert_clean(label .. ", error", err or "")
  assert_clean(label .. ", events", told)
  assert_clean(label .. ", statistics", client:stats(), neap.stats())
  assert_clean(label .. ", metrics", neap.prometheus())
  assert_clean(label .. ", status page", neap.status())
end

-- What goes wrong, by its path or its policy.
local FAULTS = {
  ["a reset"] = { path = "/reset" },
  ["a reset in the body"] = { path = "/reset?at=body" },
  ["garbage"] = { path = "/garbage?kind=binary" },
  ["a broken header"] = { path = "/garbage?kind=header" },
  ["silence"] = { path = "/slow?headers=1" },
  ["too large an answer"] = { path = "/big?bytes=100000" },
  ["a broken encoding"] = { path = "/gzip?bytes=100&broken=data" },
  ["a loop of redirects"] = { path = "/redirect?loop=1" },
  ["a redirect to another scheme"] = { path = "/redirect?n=1&to=ftp://a.invalid/" .. SECRET },
  ["a redirect with a password"] = {
    path = "/redirect?n=1&to=http://u:" .. SECRET .. "@a.invalid/",
  },
  ["a redirect to a forbidden host"] = { path = "/redirect?n=1&to=http://a.invalid/" .. SECRET,
    policy = { allow_hosts = { "127.0.0.1" } } },
  ["an inner address"] = { path = "/echo", policy = { deny_private = true } },
  ["a busy server"] = { path = "/status/503?header=Retry-After:1", policy = { gate = {} } },
  ["an open breaker"] = {
    path = "/status/500", policy = { breaker = { consecutive_failures = 1 } },
  },
  ["a full limit"] = { path = "/echo", policy = { rate_limit = { rate = 0.01, burst = 1 } } },
  ["a fallback that raises"] = {
    path = "/reset", policy = { fallback = { function() error("no") end } },
  },
}

describe("a secret of the request", function()
  for label, fault in pairs(FAULTS) do
    it("is in nothing that is told of " .. label, function()
      local client, told = watched(fault.policy or {})
      local err
      for _ = 1, 2 do
        local res
        res, err = client:request(request_to(fault.path))
        if res then assert_clean(label .. ", trace", res.trace) end
      end
      assert_all_clean(label, client, told, err)
    end)
  end

  it("is in nothing that is told of a server that cannot be reached", function()
    for kind, base in pairs{ connect = s.refused, resolve = "http://nobody.invalid/" } do
      local client, told = watched{ base_url = base }
      local _, err = client:request(request_to("/x"))
      assert_all_clean(kind, client, told, calls.failed_as(kind, nil, err))
    end
  end)

  it("is in nothing that is told of a handshake that fails", function()
    local client, told = watched{ base_url = s.tls.selfsigned }
    local _, err = client:request(request_to("/x"))
    assert_all_clean("handshake", client, told, calls.failed_as("tls", nil, err))
  end)

  it("is in nothing that is told of success, though a path has it in its query", function()
    local client, told = watched{}
    local told_server = calls.echo(client:request(request_to("/echo?more=" .. SECRET)))
    assert.same({ "Bearer " .. SECRET }, calls.sent(told_server, "Authorization"))
    assert.equal(SECRET, told_server.body)
    assert_all_clean("success", client, told)
  end)
end)

describe("a secret of the policy", function()
  local function refuses(label, policy)
    local ok, message = pcall(neap.client, policy)
    assert.is_false(ok, label)
    assert_clean(label, message)
  end

  it("is in no message about what is wrong with it", function()
    refuses("base_url", { name = "x", base_url = "http://u:" .. SECRET .. "@a.invalid/" })
    refuses("base_url without scheme", { name = "x", base_url = "u:" .. SECRET .. "@a.invalid" })
    refuses("proxy", { name = "x", proxy = "u:" .. SECRET .. "@a.invalid" })
    refuses("header", { name = "x", headers = { Authorization = SECRET .. "\r\nX: y" } })
    refuses("header list", { name = "x", headers = { Cookie = { SECRET .. "\n" } } })
    refuses("header of another type", { name = "x", headers = { Cookie = { { SECRET } } } })
    refuses("headers as a text", { name = "x", headers = "Authorization: " .. SECRET })
    refuses("hosts", { name = "x", base_url = "http://a.invalid/" .. SECRET,
      allow_hosts = { "b.invalid" } })
  end)

  it("is in no message about a text in a wrong place", function()
    refuses("policy as a URL", "http://u:" .. SECRET .. "@a.invalid/")
    refuses("header as a name", { name = "x", headers = { ["Authorization: " .. SECRET] = "x" } })
    refuses("key and value", { name = "x", ["token=" .. SECRET] = true })
    for label, text in pairs{
      ["header with a URL"] = "Authorization: Bearer " .. SECRET .. " http://x/",
      ["query with a URL"] = "token=" .. SECRET .. "&u=http://x",
      ["password with a slash"] = "https://u:" .. SECRET .. "/x@a.invalid/",
      ["user with a question mark"] = "https://" .. SECRET .. "?x@a.invalid/",
      ["no scheme"] = "://" .. SECRET,
    } do
      refuses(label, { name = "x", headers = text })
      refuses(label .. ", as a key", { name = "x", [text] = true })
      refuses(label .. ", as a header", { name = "x", headers = { [text] = { {} } } })
    end
    local ok, store = pcall(require, "neap.store.redis")
    local url = "redis://u:" .. SECRET .. "@h:6379/0"
    for label, options in pairs(ok and { url, { host = url }, { [url] = true } } or {}) do
      local done, message = pcall(store.new, options)
      assert.is_false(done, label)
      assert_clean("store " .. label, message)
    end
  end)

  -- A credential as people write it into the wrong line.
  local MISPLACED = {
    SECRET, "Basic " .. SECRET, "sk_live_" .. SECRET, SECRET .. "==", "https://u:" .. SECRET,
    "https://hooks.example/" .. SECRET, "key " .. SECRET .. "\n", "\0" .. SECRET, "1" .. SECRET,
  }

  -- A table with the value at that path.
  local function nested(path, value)
    local first, rest = path:match("^([^.]+)%.?(.*)$")
    return { [first] = rest == "" and value or nested(rest, value) }
  end

  local MAKERS = {
    policy = neap.client, breaker = neap.breaker, bulkhead = neap.bulkhead, shared = neap.shared,
    rate_limiter = neap.rate_limiter, retry_budget = neap.retry_budget, backoff = neap.backoff,
    idempotency = require("neap.idempotency").new, outbox = require("neap.outbox").new,
  }

  it("is in no message about a text in the place of whichever option", function()
    local tried = 0
    local function try(label, make, options)
      local done, message = pcall(make, options)
      if not done then
        tried = tried + 1
        assert_clean(label, message)
      end
    end
    for _, listed in ipairs(require("neap.core").option_rows()) do
      local found, store = pcall(require, "neap." .. listed.of)
      local make = MAKERS[listed.of] or (found and store.new) or nil
      for _, row in ipairs(make and listed.rows or {}) do
        for _, text in ipairs(MISPLACED) do
          local label = ("%s.%s = %q"):format(listed.of, row.path, text)
          -- A name is what statistics are told under, and a path is a file that would be made.
          if row.path ~= "name" and row.path ~= "path" then
            try(label, make, nested(row.path, text))
            try(label .. " in a list", make, nested(row.path, { text }))
          end
          try(label .. " as a key", make, nested(row.path, { [text] = true }))
          try(label .. " as a key in a list", make, nested(row.path, { { [text] = text } }))
        end
      end
    end
    assert.is_true(tried > 1000, tried)
  end)

  it("is in no message about a text in the place of whichever part of a request", function()
    local client = calls.client{ base_url = s.refused, retry = false }
    local tried = 0
    for _, field in ipairs{ "method", "query", "headers", "body", "json", "form", "timeout",
      "deadline", "idempotency_key", "replayable", "tags", "timeout.read", "token" } do
      for _, text in ipairs(MISPLACED) do
        for _, value in ipairs{ text, { text }, { [text] = {} }, { [text] = { { text } } } } do
          local done, message = pcall(client.request, client, nested(field, value))
          tried = tried + (done and 0 or 1)
          assert_clean(field .. " = " .. text, done and "" or message)
        end
      end
    end
    assert.is_true(tried > 300, tried)
  end)

  it("is in no message about what is slept for, or what a function returns", function()
    local kit = require("neap.testing").new()
    local function raised(fn)
      local done, message = pcall(fn)
      assert.is_false(done)
      assert_clean("raised", message)
    end
    local told = setmetatable({}, { __tostring = function() return "Bearer " .. SECRET end })
    raised(function() neap.sleep(SECRET) end)
    raised(function() kit:advance(SECRET) end)
    raised(function() require("neap.error").new{ kind = SECRET } end)
    for _, policy in ipairs{
      { breaker = { failure = function() return SECRET end } },
      { retry = { backoff = function() return SECRET end } },
      { breaker = { key = function() return told end } },
      { gate = { key = function() return told end } },
      { idempotency = { methods = { "GET" }, from = function() return told end } },
    } do
      policy.name, policy.base_url = "x", "http://a.invalid/"
      local client = kit:client(policy)
      kit:script{ { status = 503, ["repeat"] = true } }
      raised(function() kit:run(client.get, client, "/") end)
      raised(function() client:update{ name = SECRET } end)
      raised(function() client:on(SECRET, print) end)
    end
    local client = kit:client{ name = "x", base_url = "http://a.invalid/",
      retry = false, fallback = { function() return { status = SECRET } end } }
    local res, err = kit:run(client.get, client, "/")
    assert_clean("fallback", (res or err).trace)
  end)

  it("is in no message about a request", function()
    local client = calls.client{ base_url = s.url }
    for label, request in pairs{
      userinfo = { url = "http://u:" .. SECRET .. "@a.invalid/" },
      header = { path = "/", headers = { Authorization = SECRET .. "\n" } },
      ["header as a name"] = { path = "/", headers = { ["Authorization: " .. SECRET] = "x" } },
      ["header as a name of a table"] = { path = "/",
        headers = { ["Authorization: " .. SECRET] = { {} } } },
      body = { path = "/", body = SECRET, form = { a = SECRET } },
      query = { path = "/", query = { a = { { SECRET } } } },
      ["headers as a text"] = { path = "/", headers = "Authorization: " .. SECRET },
      ["query as a text"] = { path = "/", query = "token=" .. SECRET },
      ["form as a text"] = { path = "/", form = "password=" .. SECRET },
      json = { path = "/", json = { SECRET, print } },
    } do
      local ok, message = pcall(client.request, client, request)
      assert.is_false(ok, label)
      assert_clean(label, message)
    end
  end)

  it("is in no error of a proxy that has a password", function()
    local client, told = watched{ proxy = s.refused:gsub("//", "//u:" .. SECRET .. "@") }
    local _, err = client:request(request_to("/x"))
    assert_all_clean("proxy", client, told, calls.failed(nil, err))
  end)

  it("is in no error of a proxy of the environment", function()
    local told = calls.child("ALL_PROXY= all_proxy= no_proxy= NO_PROXY= http_proxy="
      .. s.refused:gsub("//", "//u:" .. SECRET .. "@"), [[
        local neap = require "neap"
        local client = neap.client{ name = "x", base_url = "http://a.invalid/", retry = false,
          proxy = "environment" }
        local _, err = client:get("/")
        print(require("cjson").encode{ kind = err.kind, text = tostring(err) .. neap.prometheus()
          .. neap.status() })
      ]])
    assert.equal("connect", told.kind)
    assert_clean("proxy of the environment", told)
  end)

  it("is in no error of a certificate and key that cannot be used", function()
    for _, files in ipairs{
      { cert = "/none/cert.pem", key = "/none/key.pem" },
      { cert = s.client_cert, key = s.stranger_key },
      { cert = s.client_cert, key = s.ca_file },
    } do
      files.ca_file = s.ca_file
      local client, told = watched{ base_url = s.tls.clientauth, tls = files }
      local _, err = client:request(request_to("/x"))
      assert_all_clean("certificate", client, told, calls.failed_as("tls", nil, err))
      assert.is_nil(tostring(err):find("PRIVATE", 1, true))
    end
  end)

  it("is in no error of a store that has a password", function()
    local ok, store = pcall(require, "neap.store.redis")
    if not ok then
      return
    end
    local _, message = pcall(store.new, { host = "127.0.0.1", password = SECRET,
      user = "", db = -1 })
    local box = require("neap.outbox").new{ client = calls.client{},
      store = store.new{ host = "127.0.0.1", port = s.ports.refused, password = SECRET } }
    local _, err = box:size()
    local plain = require("neap.outbox").new{ client = calls.client{},
      store = store.new{ host = "127.0.0.1", port = s.ports.plain, password = SECRET } }
    local _, other = plain:size()
    assert_clean("store", message, calls.failed_as("store", nil, err), other)
  end)

  it("is in no memory that is shared, but as a digest", function()
    local name = "secrets-" .. s.ports.plain
    local told = calls.child(nil, [[
      local name, url, secret = ...
      local neap = require "neap"
      assert(neap.shared{ name = name, size = 1048576 })
      local client = neap.client{ name = "x", base_url = url, retry = false, coalesce = true,
        cache = true, breaker = { key = "host" },
        headers = { Authorization = "Bearer " .. secret } }
      local res = client:get("/status/429?header=Retry-After:5&token=" .. secret)
      local file = assert(io.open("/dev/shm/neap-" .. name, "rb"))
      local content = file:read("*a")
      file:close()
      os.remove("/dev/shm/neap-" .. name)
      print(require("cjson").encode{ status = res.status, bytes = #content,
        found = content:find(secret, 1, true) ~= nil })
    ]], name, s.url, SECRET)
    assert.same({ status = 429, bytes = 1048576, found = false }, told)
  end)
end)

describe("the program", function()
  local folder

  before_each(function()
    folder = process.temporary_directory()
  end)

  after_each(function()
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  local function output_of(...)
    local _, text = program.run(program.command(...))
    return text
  end

  local function policy_file(without_proxy)
    local proxy = s.refused:gsub("//", "//u:" .. SECRET .. "@")
    return process.write_file(folder .. "/policy.lua", ([[return { name = "api", base_url = %q,
      breaker = false, headers = { Authorization = "Bearer %s" }, proxy = %s,
      retry = { max_attempts = 2, backoff = { base = 0.01 } } }]]):format(s.url, SECRET,
      without_proxy and "nil" or ("%q"):format(proxy)))
  end

  it("repeats no secret that stands where none is expected", function()
    local url = "http://u:" .. SECRET .. "@h/"
    for _, words in ipairs{
      { "get", s.url, url }, { "get", s.url, SECRET }, { SECRET }, { "help", SECRET },
      { "get", s.url, "-H", "Authorization:", "Bearer", SECRET },
      { "get", s.url, "--" .. SECRET }, { "get", s.url, "--token=" .. SECRET },
      { "check", url }, { "get", s.url, "--policy", url }, { "drain", url, "--policy", url },
    } do
      local status, text = program.run(program.command((table.unpack or unpack)(words)))
      assert.is_true(status > 0)
      assert_clean(words[1] .. " " .. (words[2] or ""), text)
    end
  end)

  it("tells no secret of a policy that it checks", function()
    local path = policy_file()
    local text = output_of("check", path, "--json")
    assert.truthy(text:find("findings", 1, true), text)
    assert_clean("check --json", text, output_of("check", path))
  end)

  it("tells no secret of a dead letter, nor of one that is delivered", function()
    local database = folder .. "/outbox.db"
    local box = require("neap.outbox").new{
      store = require("neap.store.sqlite").new{ path = database },
      client = calls.client{ base_url = s.url },
    }
    for _, path in ipairs{ "/status/422?token=", "/status/200?token=" } do
      local request = request_to(path .. SECRET)
      request.idempotency_key = path:gsub("%W", "")
      box:put(request)
    end
    local drained = output_of("drain", database, "--policy", policy_file("without a proxy"),
      "--once")
    local listed = output_of("dead", database)
    assert.truthy(listed:find("POST /status/422", 1, true), drained .. listed)
    assert_clean("drain, dead", drained, listed)
    assert_clean("revive, drop", output_of("revive", database, "1"),
      output_of("drop", database, "1"))
  end)

  it("tells no secret of a call, nor writes one into its trace", function()
    local trace = folder .. "/trace.json"
    local text = output_of("get", "/x?token=" .. SECRET, "--policy", policy_file(), "-v",
      "--trace", trace, "--header", "Cookie: " .. SECRET)
    assert.truthy(text:find("attempt 2", 1, true), text)
    assert_clean("get -v", text, process.read_file(trace), output_of("explain", trace))
  end)
end)
