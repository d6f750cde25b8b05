-- Nothing that is put into a request becomes another header or another request: by no door, with no
-- text. spec/nginx/injection_spec.lua tries the same in nginx.
local neap = require "neap"
local testing = require "neap.testing"

local calls = require "spec.support.calls"
local doors = require "spec.support.doors"
local server = require "spec.support.server"

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

local function assert_unharmed(label)
  local log = s:log(4096)
  for _, request in ipairs(log) do
    assert.is_nil(doors.flaw(request.method, request.target, request.headers), label)
  end
  return log
end

describe("what would smuggle something into a request", function()
  it("would be seen: through each door a harmless text comes", function()
    for label, door in pairs(doors.list) do
      s:reset()
      local _, err = door(s.url, "x")
      assert.is_true(s:ledger().requests > 0, label .. ": " .. tostring(err))
    end
  end)

  it("comes through no door", function()
    for label, door in pairs(doors.list) do
      s:reset()
      for _, text in ipairs(doors.SMUGGLED) do
        pcall(door, s.url, text)
      end
      assert_unharmed(label)
    end
  end)

  it("comes through no door inside neap.run", function()
    neap.run(doors.try_all, s.url, doors.SMUGGLED)
    assert.is_true(#assert_unharmed("run") > 0)
  end)

  it("comes through no door of the testing kit", function()
    local kit = testing.new{ seed = 1 }
    local plain, made = neap.client, 0
    neap.client = function(policy)
      policy.name = policy.name:find("^door") and "kit-" .. made or policy.name
      made = made + 1
      return kit:client(policy)
    end
    finally(function() neap.client = plain end)
    kit:script{ { answer = function(request)
      return { status = request.path == "/status/503" and 503 or 200 }
    end, ["repeat"] = true } }
    kit:run(doors.try_all, "http://api.example", doors.SMUGGLED)
    assert.is_true(#kit.requests > 0)
    for _, request in ipairs(kit.requests) do
      local headers = {}
      for name, value in pairs(request.headers) do
        for _, one in ipairs(type(value) == "table" and value or { value }) do
          headers[#headers + 1] = { name, one }
        end
      end
      local target = request.url:match("^http://[^/]+(/.*)$")
      assert.is_nil(doors.flaw(request.method, target, headers))
    end
  end)
end)

describe("tabs and bytes above ASCII", function()
  it("stand in values of headers, and nowhere else in a head", function()
    for label, door in pairs(doors.list) do
      s:reset()
      for _, text in ipairs(doors.ODD) do
        pcall(door, s.url, text)
      end
      assert_unharmed(label)
    end
  end)

  it("arrive in a value as they are", function()
    for _, text in ipairs{ "x\ty", "\195\169" } do
      local told = calls.echo(calls.client{ base_url = s.url }:get("/echo", {
        headers = { ["X-A"] = text } }))
      assert.same({ text }, calls.sent(told, "X-A"))
    end
  end)
end)
