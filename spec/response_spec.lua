-- A response: which fields it has, and when.
local testing = require "neap.testing"

local HAS_PAIRS = _VERSION ~= "Lua 5.1" -- __pairs

local function answered(entry, policy)
  local kit = testing.new{ seed = 1 }
  local options = { name = "api", base_url = "https://api.example/" }
  for key, value in pairs(policy or {}) do
    options[key] = value
  end
  kit:script{ entry }
  local api = kit:client(options)
  return kit:run(function()
    return api:get("rates")
  end)
end

local FIELDS = {
  status = 200, ok = true, body = "x", attempts = 1, elapsed = 0.5, source = "network",
  degraded = false, url = "https://api.example/rates",
}

describe("a response", function()
  it("has each field, whichever is asked for first", function()
    for first, value in pairs(FIELDS) do
      local res = answered{ status = 200, body = "x", after = 0.5 }
      assert.equal(value, res[first])
      for name, other in pairs(FIELDS) do
        assert.equal(other, res[name])
      end
      assert.is_nil(res.age)
      assert.is_nil(res.retry_after)
      assert.is_nil(res.no_such_field)
    end
  end)

  it("goes into JSON by its fields, as a whole by no library", function()
    for _, library in ipairs{ "cjson", "dkjson" } do
      local found, json = pcall(require, library)
      if found then
        local res = answered{ status = 200, body = "x", after = 0.5, headers = { ["X-A"] = "b" } }
        assert.is_false((pcall(json.encode, res)))
        local all = { status = res.status, body = res.body, headers = res.headers,
          trace = res.trace, url = res.url }
        local read = json.decode(json.encode(all))
        assert.same({ 200, "x", "https://api.example/rates", "attempt" },
          { read.status, read.body, read.url, read.trace[1].kind })
        assert.equal("b", read.headers["X-A"] or read.headers["x-a"])
      end
    end
  end)

  it("says what the server wants where it does", function()
    local res = answered({ status = 429, headers = { ["Retry-After"] = "7" } }, { retry = false })
    assert.equal(7, res.retry_after)
  end)

  it("keeps what the program puts into it", function()
    local res = answered{ status = 200, body = "x" }
    res.url, res.source = "mine", "mine too"
    assert.equal(1, res.attempts)
    assert.equal("mine", res.url)
    res = answered{ status = 200, body = "x" }
    res.url = "mine"
    assert.equal("network", res.source)
    assert.equal("mine", res.url)
  end)

  if HAS_PAIRS then
    it("shows all of its plain fields to pairs", function()
      local seen = {}
      for name, value in pairs(answered{ status = 200, body = "x", after = 0.5 }) do
        seen[name] = value
      end
      for name, value in pairs(FIELDS) do
        assert.equal(value, seen[name])
      end
    end)
  end

  it("that a fallback hands on keeps its URL", function()
    local kit = testing.new{ seed = 1 }
    local other = kit:client{ name = "other", base_url = "https://other.example/" }
    local api = kit:client{
      name = "api", base_url = "https://api.example/", retry = false,
      fallback = { function() return (assert(other:get("copy"))) end },
    }
    kit:script({ { status = 503 } }, api)
    kit:script({ { status = 200, body = "copy" } }, other)
    local res = kit:run(function() return api:get("rates") end)
    assert.equal("copy", res.body)
    assert.equal("https://other.example/copy", res.url)
    assert.equal("function", res.source)
    assert.is_true(res.degraded)
  end)
end)
