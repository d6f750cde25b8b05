--- The store in Redis: several machines.
--
--     local store, err = require("neap.store.redis").new{ host = "10.0.0.7", password = secret }
--
-- Options: `host` ("127.0.0.1", or the path of a unix socket), `port` (6379), `db` (0), `user`,
-- `password`, `prefix` ("neap:") in front of every key, `tls` (false) with `ca_file`,
-- `connect_timeout` (2) and `timeout` (2) in seconds. The connection is made at the first step, and
-- again when it was lost. Redis must not evict (`maxmemory-policy noeviction`), and what it has
-- acknowledged survives a crash of its machine as far as its `appendfsync` goes.
local store = require "neap.store"

return { new = store.constructor("redis", "libhiredis (Debian: libhiredis-dev)") }
