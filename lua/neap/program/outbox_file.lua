--- Opens the outbox in a SQLite file for the commands that work on one.
local ending = require "neap.program.ending"
local neap = require "neap"

local outbox_file = {}

--- The store in this file. A mistyped name must not make an empty outbox.
---@param path? string
---@return table store
function outbox_file.open(path)
  if not path then
    ending.give_up(ending.MISUSED, "which file? neap --help tells more")
  end
  local file, message = io.open(path, "rb")
  if not file then
    ending.give_up(ending.FAILED, "%s", message)
  end
  file:close()
  local found, sqlite = pcall(require, "neap.store.sqlite")
  if not found then
    ending.give_up(ending.FAILED, "%s", tostring(sqlite))
  end
  local store, err = sqlite.new{ path = path }
  if not store then
    ending.give_up(ending.FAILED, "%s: %s", path, err.message)
  end
  return store
end

--- The outbox of that name in a store, with what the policy's file says of it.
---@param store table
---@param client table
---@param name? string
---@param options table
---@return table outbox
function outbox_file.outbox(store, client, name, options)
  local done, outbox = pcall(require("neap.outbox").new, {
    store = store,
    client = client,
    name = name,
    max_attempts = options.max_attempts,
    backoff = options.backoff,
    max_age = options.max_age,
  })
  if not done then
    ending.give_up(ending.FAILED, "%s", tostring(outbox))
  end
  return outbox
end

--- An outbox that is looked at, and delivers nothing.
---@param path? string
---@param name? string
---@return table outbox
function outbox_file.look_at(path, name)
  return outbox_file.outbox(outbox_file.open(path), neap.client{ name = "neap" }, name, {})
end

return outbox_file
