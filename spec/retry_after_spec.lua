local neap = require "neap"
local policy = require "spec.support.policy"

describe("neap.retry_after", function()
  local at = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT

  it("takes whole seconds", function()
    assert.equal(0, neap.retry_after("0"))
    assert.equal(120, neap.retry_after("120"))
    assert.equal(120, neap.retry_after("  120\t"))
  end)

  it("takes a number as well", function()
    assert.equal(0, neap.retry_after(0))
    assert.equal(120, neap.retry_after(120))
    assert.equal(3, neap.retry_after(3.0))
  end)

  it("takes each of the three forms of a date", function()
    assert.equal(0, neap.retry_after("Sun, 06 Nov 1994 08:49:37 GMT", at))
    assert.equal(10, neap.retry_after("Sun, 06 Nov 1994 08:49:47 GMT", at))
    assert.equal(10, neap.retry_after("Sunday, 06-Nov-94 08:49:47 GMT", at))
    assert.equal(10, neap.retry_after("Sun Nov  6 08:49:47 1994", at))
  end)

  it("takes a date in the past as 0", function()
    assert.equal(0, neap.retry_after("Sun, 06 Nov 1994 08:49:36 GMT", at))
  end)

  it("takes a two-digit year more than 50 years ahead as one of the past century", function()
    assert.equal(0, neap.retry_after("Sunday, 06-Nov-45 08:49:37 GMT", at))
    assert.is_true(neap.retry_after("Sunday, 06-Nov-43 08:49:37 GMT", at) > 0)
  end)

  it("rounds a fraction of now up to the delay's favour", function()
    assert.equal(10, neap.retry_after("Sun, 06 Nov 1994 08:49:47 GMT", at + 0.75))
  end)

  it("measures against the wall clock by default", function()
    local soon = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 100)
    local delay = neap.retry_after(soon)
    assert.is_true(delay >= 95 and delay <= 100)
    assert.equal(0, neap.retry_after("Sun, 06 Nov 1994 08:49:47 GMT"))
  end)

  it("saturates", function()
    assert.equal(4e9, neap.retry_after("99999999999999999999999"))
    assert.equal(4e9, neap.retry_after(2 ^ 63))
    assert.equal(0, neap.retry_after("Sun, 06 Nov 1994 08:49:47 GMT", 1e300))
    assert.equal(4e9, neap.retry_after("Sun, 06 Nov 1994 08:49:47 GMT", -1e300))
  end)

  it("is nil for anything else", function()
    for _, value in ipairs{
      "", " ", "+5", "-1", "1.5", "5 s", "0x10", "1e3", "soon", "120\0", "12 0",
      "Sun, 06 Nov 1994 08:49:37", "sun, 06 nov 1994 08:49:37 gmt", "Sun, 31 Feb 1994 08:49:37 GMT",
      "1994-11-06T08:49:37Z", -1, 1.5, math.huge, 0 / 0, true, {}, { "1", "2" },
    } do
      assert.is_nil(neap.retry_after(value, at))
    end
    assert.is_nil(neap.retry_after(nil))
    assert.is_nil(neap.retry_after())
  end)

  it("raises for a now_epoch that is no number", function()
    policy.misuse("now_epoch: expected a finite number of seconds",
      function() neap.retry_after("1", "0") end)
    policy.misuse("now_epoch: expected a finite number of seconds",
      function() neap.retry_after("1", 0 / 0) end)
  end)
end)
