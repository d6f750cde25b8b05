-- A planted secret in nginx: it is in no line of the log of errors, nor on the pages.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local SECRET = "pl4nted"

local INIT = ([[
  secret = %q
  local idempotency = require "neap.idempotency"
  guard = idempotency.new{ store = require("neap.store.memory").new{} }
  pages = require "neap.nginx"
  made = 0
  function ask(request, policy)
    made = made + 1
    policy.name, policy.base_url = policy.name or "secret-" .. made, policy.base_url or upstream
    policy.headers = { Authorization = "Bearer " .. secret }
    policy.retry = { max_attempts = 2, backoff = { base = 0.01 } }
    policy.timeout = { read = 0.2, connect = 0.2, total = 3 }
    policy.max_response_bytes = 1000
    local client = neap.client(policy)
    request.method, request.replayable = "POST", true
    request.query = { token = secret }
    request.headers = { Cookie = "sid=" .. secret }
    request.body = secret
    local res, err = client:request(request)
    return tostring(err) .. require("cjson").encode(res and res.trace or err.trace)
      .. require("cjson").encode(client:stats())
  end
]]):format(SECRET)

local CONF = [[
  location = /metrics { content_by_lua_block { pages.metrics() } }
  location = /status { content_by_lua_block { pages.status() } }
  location = /guarded {
    content_by_lua_block {
      pages.idempotency(guard, function(req)
        local told = ask({ path = req.headers["x-path"] }, {})
        if req.headers["x-raise"] then error("no") end
        return { status = 200, headers = { ["X-Token"] = secret }, body = secret }
      end)
    }
  }
]]

local s, n

setup(function()
  s = server.start()
  n = farm.start{ workers = 2, upstream = s.url, region = true, init = INIT, conf = CONF,
    log_level = "info" }
end)

teardown(function()
  n:stop()
  s:stop()
end)

local function assert_clean(label, text)
  local at = text:find(SECRET, 1, true)
  assert(not at, at and ("%s: %s"):format(label, text:sub(math.max(1, at - 80), at + 20)))
end

describe("a secret of a request in nginx", function()
  it("is in nothing that is told of what goes wrong", function()
    for _, path in ipairs{
      "/reset", "/reset?at=body", "/garbage?kind=binary", "/slow?headers=1", "/big?bytes=100000",
      "/gzip?bytes=100&broken=data", "/redirect?loop=1", "/redirect?n=1&to=ftp://a.invalid/x",
      "/status/503?header=Retry-After:1", "/status/200?x=" .. SECRET,
    } do
      assert_clean(path, n:run(("return ask({ path = %q }, {})"):format(path)))
    end
    for label, policy in pairs{
      ["a refused connection"] = ("base_url = %q"):format(s.refused),
      ["a name that is not there"] = "base_url = 'http://nobody.invalid/'",
      ["a handshake"] = ("base_url = %q"):format(s.tls.selfsigned),
      ["a proxy"] = ("proxy = %q"):format((s.refused:gsub("//", "//u:" .. SECRET .. "@"))),
      ["an inner address"] = "deny_private = true",
    } do
      assert_clean(label, n:run(("return ask({ path = '/echo' }, { %s })"):format(policy)))
    end
  end)

  it("is in nothing that the guard logs, nor in what it refuses", function()
    local talk = n:talk()
    for index, headers in ipairs{
      "X-Path: /reset\r\nIdempotency-Key: a\r\n",
      "X-Path: /echo\r\nX-Raise: 1\r\nIdempotency-Key: b\r\n",
      "X-Path: /echo\r\nX-Raise: 1\r\nIdempotency-Key: b\r\n",
      "Authorization: " .. SECRET .. "\r\n",
    } do
      talk:send("/guarded?token=" .. SECRET, SECRET, headers, "POST")
      local status, body = talk:receive()
      if index > 1 then
        assert.is_true(status >= 400)
        assert_clean("refusal", body)
      end
    end
    talk:close()
  end)

  it("is not on the pages, nor in the log of errors", function()
    for _, path in ipairs{ "/metrics", "/status" } do
      local talk = n:talk()
      local status, body = talk:get(path)
      talk:close()
      assert.equal(200, status)
      assert_clean(path, body)
    end
    -- What nginx itself says of a request is nginx's: the first line that it was asked with.
    for line in n:error_log():gmatch("[^\n]+") do
      assert_clean("log", (line:gsub(', request: "[^"]*"', "")))
    end
  end)
end)
