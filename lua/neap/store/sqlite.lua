--- The store in a SQLite file: one machine, several processes, survives a crash.
--
--     local store, err = require("neap.store.sqlite").new{ path = "/var/lib/shop/neap.db" }
--
-- Options: `path` (required; the directory must be there), `busy_timeout` (5): how many seconds a
-- step waits for another process's write. Each accepted write is on disk before it is acknowledged.
-- The file is made with mode 0600, and opened at the first step.
local store = require "neap.store"

return { new = store.constructor("sqlite", "libsqlite3 (Debian: libsqlite3-dev)") }
