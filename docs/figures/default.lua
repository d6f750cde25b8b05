-- All defaults.
return { name = "api" }
