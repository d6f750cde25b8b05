return { name = "api", breaker = false, retry = { budget = false } }
