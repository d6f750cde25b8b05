--- What of a policy a simulation leaves out, or takes for simpler than it is, in sentences.
local notes = {}

local function says(policy, part, key)
  local table_of_part = rawget(policy, part)
  return type(table_of_part) == "table" and rawget(table_of_part, key) ~= nil
end

local OF_FALLBACKS = {
  ["function"] = "fallback[%d], a function, is taken to answer at once with 200",
  service = "fallback[%d], another client, is taken to answer at once with 200",
  queue = "fallback[%d], an outbox, is taken to accept at once",
}

local function of_fallbacks(kept, found)
  for index, entry in ipairs(kept.fallback or {}) do
    local text = OF_FALLBACKS[entry.kind]
    if entry.kind == "default" and type(entry.value) == "function" then
      text = "fallback[%d], a function, is taken to answer at once with 200"
    end
    found[#found + 1] = text and text:format(index)
  end
end

--- The sentences, in the order of the policy's parts.
---@param policy table
---@param kept table what the core left in Lua of it
---@return string[]
function notes.of(policy, kept)
  local found = {}
  local function add_if(condition, text)
    if condition then
      found[#found + 1] = text
    end
  end
  add_if(kept["retry.refresh"], "retry.refresh is never asked: the server answers no 401")
  add_if(kept["breaker.key"], "breaker.key is not asked: all requests have the same key")
  add_if(kept["gate.key"], "gate.key is not asked: all requests have the same key")
  add_if(rawget(policy, "coalesce") == true, "coalesce is left out: each call makes its attempts")
  add_if(says(policy, "cache", "store"), "cache.store is left out: each instance keeps its own")
  add_if(rawget(policy, "chaos"), "chaos is left out")
  of_fallbacks(kept, found)
  return found
end

return notes
