-- libcurl's handles are used again without a reset, also by other clients of the same settings: a
-- call must not see what another one has set.
local calls = require "spec.support.calls"
local server = require "spec.support.server"

local client, echo, answered, failed_as = calls.client, calls.echo, calls.answered, calls.failed_as

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

local function api(policy)
  policy = policy or {}
  policy.base_url = policy.base_url or s.url
  policy.retry = policy.retry or false
  return client(policy)
end

local LEAST_BYTES = 50000
local settings_made = LEAST_BYTES

-- No other client has its settings, and so none has used its handles.
local function lone()
  settings_made = settings_made + 1
  return api{ max_response_bytes = settings_made }
end

-- What the server saw of a request, but for the connection that it came on.
local function seen(request)
  return {
    method = request.method, path = request.path, headers = request.headers, body = request.body,
    body_bytes = request.body_bytes, chunked = request.chunked, version = request.http_version,
    certificate = request.client,
  }
end

-- Calls that each set something, and what is known of how they end.
local disturbances = {
  ["a POST with a key and headers"] = function(c)
    answered(c:post("/status/201", {
      body = ("x"):rep(1000), idempotency_key = "once", replayable = true,
      headers = { Authorization = "Bearer secret", Cookie = "a=b", ["X-Own"] = "1",
        ["Content-Type"] = "text/plain", Accept = "text/csv", ["User-Agent"] = "other" },
    }))
  end,
  ["a HEAD"] = function(c)
    assert.equal("", answered(c:head("/echo", { headers = { ["X-Head"] = "1" } })).body)
  end,
  ["an empty PUT"] = function(c)
    answered(c:put("/status/204"))
  end,
  ["a method of its own"] = function(c)
    answered(c:request{ method = "PURGE", path = "/echo?x=1", body = "y" })
  end,
  ["an OPTIONS"] = function(c)
    answered(c:options("/echo"))
  end,
  ["a response that sets a cookie"] = function(c)
    answered(c:get("/status/200?header=Set-Cookie:session%3D1;path%3D/"))
  end,
  ["a redirect of a POST"] = function(c)
    answered(c:post("/redirect?n=2&status=303", {
      json = { a = 1 }, headers = { ["X-Hop"] = "1" },
    }))
  end,
  ["a redirect that keeps the method"] = function(c)
    answered(c:put("/redirect?n=1&status=307", { body = "kept" }))
  end,
  ["a form"] = function(c)
    answered(c:post("/status/200", { form = { a = "1" }, query = { b = "2" } }))
  end,
  ["a call that fails"] = function(c)
    failed_as("reset", c:post("/reset?at=request", {
      body = "lost", headers = { ["X-Lost"] = "1" },
    }))
  end,
  ["a call that fails in the body"] = function(c)
    failed_as("reset", c:get("/reset?at=body"))
  end,
  ["a call that is given up"] = function(c)
    failed_as("timeout", c:patch("/slow?headers=9", {
      body = "late", headers = { ["X-Late"] = "1" }, timeout = { attempt = 0.05, connect = 0.01 },
    }))
  end,
  ["a response that is too large"] = function(c)
    failed_as("too_large", c:get("/big?bytes=100000"))
  end,
  ["another host"] = function(c)
    failed_as("connect", c:request{ url = "http://127.0.0.1:" .. s.ports.refused .. "/" })
  end,
}

-- Each kind of request that a later call may be.
local requests = {
  GET = { method = "GET", path = "/echo/get" },
  HEAD = { method = "HEAD", path = "/echo/head" },
  POST = { method = "POST", path = "/echo/post", body = "p" },
  ["empty POST"] = { method = "POST", path = "/echo/empty" },
  PUT = { method = "PUT", path = "/echo/put", json = { "p" } },
  DELETE = { method = "DELETE", path = "/echo/delete" },
  ["DELETE with a body"] = { method = "DELETE", path = "/echo/delete", body = "d" },
}

local function ask(c, request)
  if request.method ~= "HEAD" then
    return seen(echo(c:request(request)))
  end
  local res = answered(c:request(request))
  local log = s:log()
  local entry = log[#log]
  return { method = entry.method, target = entry.target, headers = entry.headers, body = res.body }
end

describe("a handle that is used again", function()
  for name, disturb in pairs(disturbances) do
    it("carries nothing on from " .. name, function()
      local used = api{ max_response_bytes = LEAST_BYTES }
      local other = api{ max_response_bytes = LEAST_BYTES }
      for kind, request in pairs(requests) do
        local fresh = ask(lone(), request)
        disturb(used)
        assert.same(fresh, ask(used, request), kind)
        disturb(used)
        assert.same(fresh, ask(other, request), kind .. " of another client")
      end
    end)
  end

  it("has the time limits of its own call", function()
    local c = api{ timeout = { read = 5 } }
    failed_as("timeout", c:get("/slow?headers=9", { timeout = { read = 0.05 } }))
    answered(c:get("/slow?headers=0.2&body=0"))
    failed_as("timeout", c:get("/slow?headers=9", { timeout = { read = 0.05 } }))
  end)

  it("has its own address after a redirect and after a failure", function()
    local c = api()
    for index = 1, 3 do
      local path = "/echo/" .. index
      assert.matches("/redirect%?n=0", answered(c:get("/redirect?n=1")).url)
      assert.equal(s.url .. path, answered(c:get(path)).url)
      assert.equal(path .. "?q=1", echo(c:get(path, { query = { q = 1 } })).path)
      failed_as("reset", c:get("/reset"))
      assert.equal(path, echo(c:get(path)).path)
    end
  end)

  it("is none the worse for a name without an address", function()
    local c = api{ base_url = "http://nobody.invalid", tls = { ca_file = s.ca_file } }
    for _ = 1, 2 do
      failed_as("resolve", c:get("/"))
      answered(c:request{ method = "GET", url = s.tls.good .. "/big?bytes=70000" })
    end
  end)

  it("shows its client certificate again after a hop to another origin", function()
    local c = api{
      base_url = s.tls.clientauth,
      tls = { ca_file = s.ca_file, cert = s.client_cert, key = s.client_key },
    }
    answered(c:get("/redirect", { query = { n = 1, to = s.url .. "/echo" } }))
    assert.equal("client", echo(c:get("/echo")).client)
  end)
end)
