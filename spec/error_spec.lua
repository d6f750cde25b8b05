local Error = require "neap.error"
local core = require "neap.core"
local neap = require "neap"
local testing = require "neap.testing"

describe("neap.error", function()
  it("makes an error with the defaults of the contract", function()
    local err = Error.new{ kind = "store", message = "the database is locked" }
    assert.equal("store", err.kind)
    assert.equal(false, err.retryable)
    assert.equal(0, err.attempts)
    assert.equal(0, err.elapsed)
    assert.is_nil(err.phase)
    assert.is_nil(err.retry_after)
  end)

  it("keeps what is given", function()
    local cause, trace = {}, {}
    local err = Error.new{
      kind = "timeout", phase = "read", message = "silence", retryable = true, attempts = 3,
      elapsed = 1.5, retry_after = 2, cause = cause, trace = trace, status = 503,
    }
    assert.equal(true, err.retryable)
    assert.equal(3, err.attempts)
    assert.equal(1.5, err.elapsed)
    assert.equal(cause, err.cause)
    assert.equal(trace, err.trace)
    assert.equal(503, err.status)
  end)

  it("takes each kind of the contract", function()
    for kind in pairs(core.kinds) do
      assert.equal(kind, Error.new{ kind = kind }.kind)
    end
  end)

  it("raises for another kind, at the caller's line", function()
    local function make()
      Error.new{ kind = "brocken" }
    end
    local line = debug.getinfo(make, "S").linedefined + 1
    local ok, message = pcall(make)
    assert.is_false(ok)
    assert.matches((":%d: kind: expected a kind of error, got brocken$"):format(line), message)
    assert.has_error(function() Error.new{} end)
    assert.has_error(function() Error.new("timeout") end)
  end)

  it("knows its own, whoever made them", function()
    local b = neap.breaker{}
    b:force_open()
    local _, err = b:acquire()
    assert.is_true(Error.is(err))
    assert.is_true(Error.is(Error.new{ kind = "reset" }))
    for _, value in ipairs{ "timeout", 1, {}, setmetatable({}, {}), b } do
      assert.is_false(Error.is(value))
    end
    assert.is_false(Error.is(nil))
  end)

  it("says when its call ended", function()
    local kit = testing.new{ seed = 1 }
    local api = kit:client{ name = "api", base_url = "https://api.example/", retry = false,
      breaker = { consecutive_failures = 1 } }
    kit:script{ { error = "connect", after = 1.5 } }
    local function ended_at(call)
      local _, err = kit:run(call)
      return err.at
    end
    assert.equal(1.5, ended_at(function() return api:get("x") end))
    kit:advance(2)
    assert.equal(3.5, ended_at(function() return api:get("x") end))
    assert.equal(3.5, ended_at(function()
      return neap.wrap({ name = "f", retry = false }, function() return nil, "busy" end)()
    end))
  end)

  it("has no trace where there was no call", function()
    assert.is_nil(Error.new{ kind = "store", at = 1 }.trace)
  end)

  describe("tostring", function()
    it("says kind and message", function()
      assert.equal("reset: the server closed the connection",
        tostring(Error.new{ kind = "reset", message = "the server closed the connection" }))
      assert.equal("reset", tostring(Error.new{ kind = "reset" }))
      assert.equal("reset", tostring(Error.new{ kind = "reset", message = "" }))
    end)

    it("says the phase of a timeout", function()
      assert.equal("timeout (read): no byte for 5 s",
        tostring(Error.new{ kind = "timeout", phase = "read", message = "no byte for 5 s" }))
    end)

    it("says when to ask again, without needless digits", function()
      for seconds, told in pairs{
        [0] = "0", [12.5] = "12.5", [100] = "100", [0.0004] = "0", [29.9999999] = "30",
        [4e9] = "4000000000", [1 / 3] = "0.333",
      } do
        local err = Error.new{ kind = "gate", message = "wait", retry_after = seconds }
        assert.equal(("gate: wait (retry after %s s)"):format(told), tostring(err))
      end
    end)
  end)
end)
