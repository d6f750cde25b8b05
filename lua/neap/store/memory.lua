--- The store in memory: this process only, bounded, gone with it.
--
--     local store = require("neap.store.memory").new{ max_bytes = 64 * 1024 * 1024 }
--
-- Options: `max_bytes` (67108864) for keys, values and all that belongs to them. Over it
-- cached answers go, the one used longest ago first; a claim or an entry of an outbox that finds no
-- room is refused with an error of kind `store`. `max_entries` (none): the most cached answers.
local store = require "neap.store"

return { new = store.constructor("memory") }
