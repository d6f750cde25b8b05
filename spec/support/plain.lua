--- Errors as ordinary tables, for specs that compare what two ways of calling come to.
local neap = require "neap"

local FIELDS = { "kind", "message", "phase", "retryable", "attempts", "elapsed", "at",
  "retry_after", "cause", "status", "trace" }

--- An error's fields, also its trace, which `pairs` does not meet everywhere; else the value.
---@param value any
---@return any
return function(value)
  if not neap.Error.is(value) then
    return value
  end
  local fields = {}
  for _, name in ipairs(FIELDS) do
    fields[name] = value[name]
  end
  return fields
end
