return { name = "api", retry = false, breaker = false, gate = false }
