-- How numbers look in a request, wherever it takes one, and that it takes none that is no number.
local neap = require "neap"
local testing = require "neap.testing"

local TEXTS = {
  { 1.0, "1" }, { -0.0, "0" }, { 0.5, "0.5" }, { 0.1 + 0.2, "0.3" }, { 1e15, "1000000000000000" },
  { 2 ^ 53, "9007199254740992" }, { -2 ^ 63, "-9223372036854775808" },
  { 2 ^ 63, "9223372036854775808" }, { 2 ^ 69, "590295810358705651712" }, { 1e300, "1e+300" },
  { 123456789012345.5, "123456789012345.5" },
}
if math.tointeger then
  TEXTS[#TEXTS + 1] = { math.tointeger(2 ^ 53) + 1, "9007199254740993" }
end

local NONE = { ["nan"] = 0 / 0, ["inf"] = math.huge, ["-inf"] = -math.huge }

local URL = "https://api.example/"

describe("a number", function()
  local t

  before_each(function()
    t = testing.new()
    t:script{ { status = 401 }, { status = 200, ["repeat"] = true } }
  end)

  local function client(policy)
    policy.name, policy.base_url = "api", URL
    return t:client(policy)
  end

  local function send(api, req)
    req.path = "/"
    t:run(function() api:request(req) end)
    return t.requests[#t.requests]
  end

  for _, case in ipairs(TEXTS) do
    local number, text = case[1], case[2]
    it("has all its digits, and no more: " .. text, function()
      local api = client{ headers = { ["X-Policy"] = number },
        retry = { refresh = function() return { ["X-Fresh"] = number } end },
        trace = function() return { ["X-Trace"] = number } end }
      local sent = send(api, { method = "PUT", form = { n = { number } }, query = { n = number },
        headers = { ["X-Own"] = number } })
      for _, name in ipairs{ "X-Policy", "X-Own", "X-Fresh", "X-Trace" } do
        assert.equal(text, sent.headers[name], name)
      end
      local pair = "n=" .. text:gsub("+", "%%2B")
      assert.equal(pair, sent.query)
      assert.equal(pair, sent.body)
    end)
  end

  for text, number in pairs(NONE) do
    it("is refused where it is none, by its key: " .. text, function()
      local api, got = client{}, "got " .. text
      for key, req in pairs{
        ['query["n"]: .*'] = { query = { n = number } },
        ['form["n"]: .*'] = { form = { a = 1, n = { 1, number } } },
        ['headers["X-N"]: .*'] = { headers = { ["X-N"] = number } },
      } do
        assert.error_matches(function() send(api, req) end,
          "request%." .. key:gsub("[%[%]-]", "%%%0") .. got:gsub("-", "%%-") .. "$")
      end
      assert.error_matches(function()
        neap.client{ name = "x", headers = { ["X-N"] = number } }
      end, 'policy.headers["X-N"]: expected a string or a number, ' .. got, 1, true)
      local keyed = client{ idempotency = { from = { "n" } } }
      assert.error_matches(function() send(keyed, { method = "POST", json = { n = number } }) end,
        "request%.")
      assert.error_matches(function() send(keyed, { method = "POST", query = { n = number } }) end,
        "request.*got " .. text:gsub("-", "%%-"))
      assert.equal(0, #t.requests)
    end)

    it("is no header where a function gives it: " .. text, function()
      local api = client{ retry = { refresh = function() return { ["X-Fresh"] = number } end } }
      assert.error_matches(function() send(api, {}) end,
        'policy.retry.refresh: header "X-Fresh" or its value cannot be sent', 1, true)
      api = client{ trace = function() return { ["X-Trace"] = number } end }
      assert.is_nil(send(api, {}).headers["X-Trace"])
    end)
  end
end)
