-- The default gate, without retry and breaker, which would hide what it does.
return { name = "api", retry = false, breaker = false }
