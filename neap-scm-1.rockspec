rockspec_format = "3.0"
package = "neap"
version = "scm-1"

-- Made for `luarocks make` beside the sources.
source = {
   url = ".",
}

description = {
   summary = "Safe calls to third-party APIs: timeouts, retries, circuit breaker, limits, fallbacks",
   detailed = [[
      neap guards calls to APIs that are not yours. One C core decides (deadlines, backoff with
      jitter, retry budget, circuit breaker, rate limiter, bulkhead, idempotency keys, fallbacks),
      libcurl carries, and Lua 5.1 to 5.4 or LuaJIT is the face, in scripts, coroutines and nginx
      workers.
   ]],
   license = "MIT",
   labels = { "http", "resilience", "circuit-breaker", "retry", "rate-limit" },
}

supported_platforms = { "unix" }

dependencies = {
   "lua >= 5.1, < 5.5",
}

-- The libraries, not their headers: a header can lie in a directory of the machine's architecture,
-- where luarocks does not look and the compiler does.
external_dependencies = {
   CURL = { library = "curl" },
   CRYPTO = { library = "crypto" },
}

-- The Makefile knows the sources; here they are not listed a second time.
build = {
   type = "make",
   build_target = "module",
   install_target = "install",
   build_variables = {
      BUILD = "build/rock",
      CC = "$(CC)",
      CFLAGS = "$(CFLAGS)",
      LUA_INCDIR = "$(LUA_INCDIR)",
      CURL_INCDIR = "$(CURL_INCDIR)",
      CURL_LIBDIR = "$(CURL_LIBDIR)",
      CRYPTO_INCDIR = "$(CRYPTO_INCDIR)",
      CRYPTO_LIBDIR = "$(CRYPTO_LIBDIR)",
   },
   install_variables = {
      BUILD = "build/rock",
      CC = "$(CC)",
      CFLAGS = "$(CFLAGS)",
      LUA_INCDIR = "$(LUA_INCDIR)",
      CURL_INCDIR = "$(CURL_INCDIR)",
      CURL_LIBDIR = "$(CURL_LIBDIR)",
      CRYPTO_INCDIR = "$(CRYPTO_INCDIR)",
      CRYPTO_LIBDIR = "$(CRYPTO_LIBDIR)",
      INST_LUADIR = "$(LUADIR)",
      INST_LIBDIR = "$(LIBDIR)",
      INST_BINDIR = "$(BINDIR)",
      INST_DATADIR = "$(PREFIX)",
   },
}
