return { name = "api", retry = { backoff = { jitter = "none" } } }
