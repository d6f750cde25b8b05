-- The default budget, without a breaker that would hide what it does.
return { name = "api", breaker = false }
