local json = require "neap.json"
local testing = require "neap.testing"

describe("json of a request", function()
  local t, client

  before_each(function()
    t = testing.new()
    client = t:client{ name = "api", base_url = "https://api.example" }
    t:script{ { status = 200, ["repeat"] = true } }
  end)

  local function sent(value)
    t:run(function() client:post("/x", { json = value }) end)
    return t.requests[#t.requests].body
  end

  it("is written as JSON", function()
    assert.equal('{"a":[1,2.5,"x"]}', sent{ a = { 1, 2.5, "x" } })
    assert.equal("99999999999999", sent(99999999999999))
  end)

  it("keeps every digit of a whole number, or is refused", function()
    local done, message = pcall(sent, { card = 4111111111111111 })
    if math.type then
      assert.equal('{"card":4111111111111111}', t.requests[1].body)
    else
      assert.is_false(done)
      assert.matches("request.json: a whole number of more than 14 digits", message, 1, true)
      assert.equal(0, #t.requests)
    end
  end)

  it("is refused where a float has more digits than are written", function()
    for _, value in ipairs{ 2 ^ 53, -2 ^ 70 } do
      assert.error_matches(function() sent{ id = value } end,
        "request.json: a whole number of more than 14 digits")
    end
    assert.equal(0, #t.requests)
  end)

  it("has no nan and nothing infinite, by whichever library", function()
    for label, value in pairs{ nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge } do
      assert.error_matches(function() sent{ list = { 1, { price = value } } } end,
        "request.json: price is nan or infinite, which JSON has not", nil, nil, label)
      assert.error_matches(function() sent{ list = { 1, value } } end,
        "request.json: %[2%] is nan or infinite", nil, nil, label)
      assert.error_matches(function() sent(value) end,
        "request.json: the value is nan or infinite", nil, nil, label)
    end
    assert.equal(0, #t.requests)
  end)

  it("may have cjson's null beside a number that only dkjson can write", function()
    local found, cjson = pcall(require, "cjson")
    if not (found and math.type and pcall(require, "dkjson")) then
      return
    end
    assert.same({ card = 4111111111111111, none = require("dkjson").null },
      require("dkjson").decode(sent{ card = 4111111111111111, none = cjson.null }, 1,
        require("dkjson").null))
  end)

  it("is refused where it is too deep or contains itself", function()
    collectgarbage "stop" -- one that never rests would mark all of it again and again
    finally(function() collectgarbage "restart" end)
    local deep, ring = {}, {}
    for _ = 1, 300000 do deep = { deep } end
    ring[1] = ring
    assert.error_matches(function() sent(deep) end, "request.json: ")
    assert.error_matches(function() sent(ring) end, "request.json: ")
  end)

  it("takes sums of prices as they are", function()
    assert.equal("0.3", sent(0.1 + 0.2))
  end)

  it("is read back by res:json", function()
    assert.same({ a = { 1, 2 } }, json.decode('{"a":[1,2]}'))
    local value, message = json.decode("{")
    assert.is_nil(value)
    assert.is_string(message)
  end)
end)
