--- The kept counts: how they are written down, and what a new count means beside them.

local ledger = {}

ledger.TOLERANCE = 0.05

--- "lua5.4 success 1234" on a line each; what begins with # is for people.
---@param text string
---@return table<string, integer> counts by "lua5.4 success"
function ledger.parsed(text)
  local counts = {}
  for line in text:gmatch("[^\n]+") do
    local name, count = line:match("^([%w%.]+ [%w_]+)%s+(%d+)$")
    if name then
      counts[name] = tonumber(count)
    end
  end
  return counts
end

--- One count beside the kept one: "slower" and "faster" by more than the tolerance, "same", or
--- "new" where nothing was kept.
---@param kept integer|nil
---@param count integer
function ledger.judge(kept, count)
  if not kept then
    return "new"
  end
  if count > kept * (1 + ledger.TOLERANCE) then
    return "slower"
  end
  return count < kept * (1 - ledger.TOLERANCE) and "faster" or "same"
end

--- The file, from { { name, count }, … }.
---@param counts table[]
---@return string
function ledger.text(counts)
  local lines = {
    "# Instructions of neap's own for one call, by callgrind; docs/bench.md explains them.",
    "# `make instructions` writes this file, `make check-instructions` compares it.",
  }
  for _, entry in ipairs(counts) do
    lines[#lines + 1] = ("%-16s %d"):format(entry.name, entry.count)
  end
  return table.concat(lines, "\n") .. "\n"
end

return ledger
