-- What goes over the helper's thread arrives as it was sent, and what goes wrong there is told as
-- in plain Lua.
local neap = require "neap"

local calls = require "spec.support.calls"
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, init = [[
    api = neap.client{ name = "api", base_url = upstream, retry = false,
      max_response_bytes = 64 * 1024 * 1024 }
    cjson = require "cjson"
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

local FIVE_MB = 5 * 1024 * 1024

describe("a body of 5 MB", function()
  it("arrives whole at the upstream", function()
    assert.same({ bytes = FIVE_MB, same = true }, n:run(([[
      local pieces = {}
      for index = 1, %d / 64 do
        pieces[index] = ("%%016x"):rep(4, ""):format(index, index * 7, index * 13, index * 31)
      end
      local body = table.concat(pieces)
      local res = assert(api:post("/echo", { body = body }))
      local echo = cjson.decode(res.body)
      return { bytes = echo.body_bytes,
        same = echo.body_crc32 == ("%%08x"):format(ngx.crc32_long(body)) }
    ]]):format(FIVE_MB)))
  end)

  it("arrives whole from the upstream", function()
    assert.same({ bytes = FIVE_MB, same = true }, n:run(([[
      local res = assert(api:get("/big?bytes=%d"))
      local sent = ("0123456789"):rep(%d / 10 + 1):sub(1, %d)
      return { bytes = #res.body, same = ngx.crc32_long(res.body) == ngx.crc32_long(sent) }
    ]]):format(FIVE_MB, FIVE_MB, FIVE_MB)))
  end)

  it("arrives whole in chunks of no announced length", function()
    assert.equal(FIVE_MB, n:run(([[
      return #assert(api:get("/big?length=0&bytes=%d")).body
    ]]):format(FIVE_MB)))
  end)

  it("arrives whole in ten requests at once", function()
    local talks = {}
    for index = 1, 10 do
      talks[index] = n:talk()
    end
    for _, bytes in ipairs(farm.together(talks, ([[
      return #assert(api:get("/big?bytes=%d")).body
    ]]):format(FIVE_MB))) do
      assert.equal(FIVE_MB, bytes)
    end
  end)
end)

describe("odd bytes", function()
  it("arrive in a body", function()
    assert.same({ bytes = 768, same = true }, n:run [[
      local bytes = {}
      for byte = 0, 255 do
        bytes[#bytes + 1] = string.char(byte, 255 - byte, 0)
      end
      local body = table.concat(bytes)
      local echo = cjson.decode(assert(api:post("/echo", { body = body })).body)
      return { bytes = echo.body_bytes,
        same = echo.body_crc32 == ("%08x"):format(ngx.crc32_long(body)) }
    ]])
  end)

  it("arrive in headers both ways", function()
    assert.same({ "caf\u{e9} \u{1F30A}\there", "\u{fc}ber;\t\"x\"" }, n:run [[
      local res = assert(api:get("/echo?header=X-Odd:%C3%BCber;%09%22x%22",
        { headers = { ["X-Odd"] = "caf\195\169 \240\159\140\138\there" } }))
      local got
      for _, header in ipairs(cjson.decode(res.body).headers) do
        got = header[1]:lower() == "x-odd" and header[2] or got
      end
      return { got, res.headers["x-odd"] }
    ]])
  end)

  it("that would end a header are misuse, told at the caller's line", function()
    local message = n:run [[
      local _, raised = pcall(api.get, api, "/", { headers = { ["X-Odd"] = "a\r\nX-Evil: 1" } })
      return raised
    ]]
    assert.is_truthy(message:find("request.headers", 1, true), message)
  end)
end)

describe("repeated headers", function()
  it("arrive in their order", function()
    assert.same({ "a=1", "b=2" }, n:run [[
      local path = "/status/200?header=Set-Cookie:a%3D1&header=Set-Cookie:b%3D2"
      return assert(api:get(path)).headers["set-cookie"]
    ]])
  end)
end)

-- The text of a policy that goes wrong, and of its call, on the misbehaving server.
local FAILURES = {
  connect = { "base_url = %q", "refused", "'/'" },
  ["timeout connect"] = { "base_url = %q, timeout = { connect = 0.1 }", "stall", "'/'" },
  ["timeout read"] = { "base_url = %q, timeout = { read = 0.1 }", "url", "'/status/200?after=5'" },
  ["timeout attempt"] = { "base_url = %q, timeout = { attempt = 0.1 }", "url",
    "'/drip?endless=1'" },
  ["timeout total"] = { "base_url = %q, timeout = { total = 0.1 }", "url", "'/drip?endless=1'" },
  reset = { "base_url = %q", "url", "'/reset'" },
  protocol = { "base_url = %q", "url", "'/garbage?kind=binary'" },
  too_large = { "base_url = %q, max_response_bytes = 1000", "url", "'/big'" },
  redirect = { "base_url = %q", "url", "'/redirect?loop=1'" },
  resolve = { "base_url = %q", "nowhere", "'/'" },
  tls = { "base_url = %q", "selfsigned", "'/'" },
  deadline = { "base_url = %q", "url", "'/', { deadline = neap.now() - 1 }" },
}

describe("what goes wrong", function()
  local places

  setup(function()
    places = { url = s.url, refused = s.refused, stall = s.stall,
      selfsigned = s.tls.selfsigned, nowhere = "http://nowhere.invalid" }
  end)

  for name, failure in pairs(FAILURES) do
    it("is told as in plain Lua: " .. name, function()
      local policy = failure[1]:format(places[failure[2]])
      local chunk = ([[
        local neap, told = ...
        local api = neap.client{ name = "fails", retry = false, breaker = false, %s }
        return told(api:get(%s))
      ]]):format(policy, failure[3])
      local expected = assert(load(chunk))(neap, function(res, err)
        return calls.failed(res, err)
      end)
      local told = n:run("local chunk = loadstring([==[" .. chunk .. "]==]) "
        .. "return chunk(neap, told)")
      assert.equal(name, expected.phase and expected.kind .. " " .. expected.phase
        or expected.kind)
      assert.equal(expected.kind, told.kind)
      assert.equal(expected.phase, told.phase)
      assert.equal((expected.message:gsub("%d+", "N")), (told.message:gsub("%d+", "N")))
    end)
  end
end)
