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
