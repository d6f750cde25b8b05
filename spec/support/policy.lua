-- What the specs of the stand-alone policies share: time and chance by hand, and misuse.
local assert = require "luassert"

local policy = {}

--- An env, and the table by which a spec moves it: `now` in seconds, `r`, and how often each was
--- asked for.
function policy.by_hand()
  local hand = { now = 0, r = 0, readings = 0, draws = 0 }
  local env = {
    clock = function()
      hand.readings = hand.readings + 1
      return hand.now
    end,
    random = function()
      hand.draws = hand.draws + 1
      return hand.r
    end,
  }
  return env, hand
end

--- Asserts that fn, which stands on one line and ends in the call, raises the message there.
function policy.misuse(message, fn)
  local place = debug.getinfo(fn, "S")
  local ok, raised = pcall(fn)
  assert.is_false(ok)
  assert.equal(("%s:%d: %s"):format(place.short_src, place.linedefined, message), raised)
end

--- What a policy answers where it refuses.
function policy.refused(kind, answer, err)
  assert.is_nil(answer)
  assert.equal(kind, err.kind)
  assert.equal(true, err.retryable)
  assert.equal(0, err.attempts)
  assert.equal(0, err.elapsed)
  return err
end

return policy
