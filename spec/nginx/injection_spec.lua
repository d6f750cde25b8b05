-- Nothing that is put into a request becomes another header or another request, on the helper's
-- thread either, and no answer that a handler gives becomes more than one.
local doors = require "spec.support.doors"
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local INIT = [[
  local idempotency = require "neap.idempotency"
  guard = idempotency.new{ store = require("neap.store.memory").new{}, required = false }
  nginx = require "neap.nginx"
  function answer(req)
    local text = ngx.unescape_uri(ngx.var.arg_text)
    local name = ngx.var.arg_at == "name" and text or "X-A"
    local value = ngx.var.arg_at == "name" and "a" or ngx.var.arg_at == "list" and { "a", text }
      or text
    return { status = 200, headers = { [name] = value }, body = "fine" }
  end
]]

local CONF = [[
  location = /guarded { content_by_lua_block { nginx.idempotency(guard, answer) } }
]]

local s, n

setup(function()
  s = server.start()
  n = farm.start{ workers = 1, upstream = s.url, init = INIT, conf = CONF }
end)

teardown(function()
  n:stop()
  s:stop()
end)

describe("what would smuggle something into a request", function()
  it("comes through no door in nginx", function()
    n:run [[
      local doors = require "spec.support.doors"
      doors.try_all(upstream, doors.SMUGGLED)
      doors.try_all(upstream, doors.ODD)
      return true
    ]]
    local log = s:log(4096)
    assert.is_true(#log > 100)
    for _, request in ipairs(log) do
      assert.is_nil(doors.flaw(request.method, request.target, request.headers))
    end
  end)
end)

describe("what would smuggle something into an answer", function()
  -- The head of what came back as lines, and its body.
  local function answered(at, text, key)
    local talk = n:talk()
    local encoded = text:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)
    talk:send("/guarded?at=" .. at .. "&text=" .. encoded, "", key, "POST")
    local status, body, lines = talk:receive()
    local more = talk:get("/plain")
    talk:close()
    return lines, status, body, more
  end

  it("comes through no header of a handler's answer, nor of its repetition", function()
    for index, text in ipairs(doors.SMUGGLED) do
      for _, at in ipairs{ "value", "list", "name" } do
        local key = ("Idempotency-Key: k-%s-%d\r\n"):format(at, index)
        for _, header in ipairs{ "", key, key } do
          local lines, status, body, more = answered(at, text, header)
          assert.equal(200, more) -- what follows is the answer to what was asked next
          assert.is_true(status == 500 or body == "fine", tostring(status))
          for _, line in ipairs(lines) do
            assert.is_nil(line:lower():match("^x%-evil"), line)
            assert.is_nil(line:find("[%z\1-\8\10-\31\127]"), ("%s: %q"):format(at, line))
          end
        end
      end
    end
  end)
end)
