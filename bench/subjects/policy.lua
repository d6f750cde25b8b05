--- The policy that is called "full": every guard on, and none of them in the way.

local policy = {}

local MANY = 1000000 -- a second

--- For calls of `url`, so many side by side.
function policy.full(url, side_by_side)
  return {
    name = "bench",
    base_url = url,
    timeout = { connect = 2, write = 5, read = 5, attempt = 10, total = 30 },
    retry = { max_attempts = 3, budget = { ratio = 0.2, min_per_second = 10, ttl = 10 } },
    breaker = { window = { count = 100 } },
    gate = { max_wait = 10 },
    rate_limit = { rate = MANY },
    bulkhead = { max_concurrent = side_by_side },
    pool = { max_connections = side_by_side, per_host = side_by_side },
    idempotency = true,
  }
end

--- For a function; `changes` replace what is here.
function policy.guard(changes)
  local full = {
    name = "bench",
    breaker = { window = { count = 100 } },
    rate_limit = { rate = MANY * 100 },
    bulkhead = { max_concurrent = 100 },
  }
  for key, value in pairs(changes or {}) do
    full[key] = value
  end
  return full
end

--- Changes to a guard: three attempts without delay, for a function that fails each time. The
--- breaker opens only at a rate that no window with a success in it reaches.
policy.three_attempts = {
  breaker = { window = { count = 100 }, failure_rate = 1 },
  retry = {
    max_attempts = 3,
    backoff = { kind = "fixed", base = 0, jitter = "none" },
    budget = { min_per_second = MANY },
  },
}

--- Changes to a guard: one failure opens its breaker for an hour.
policy.opens_at_once = {
  retry = false,
  breaker = { consecutive_failures = 1, open_for = 3600 },
}

return policy
