--- What many measurements of one thing amount to.

local statistics = {}

local unpack = table.unpack or unpack -- luacheck: ignore 143

--- The middle of the values; of an even number of them, the mean of the two in the middle.
---@param values number[] at least one
---@return number
function statistics.median(values)
  local sorted = { unpack(values) }
  table.sort(sorted)
  local middle = (#sorted + 1) / 2
  return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

---@param values number[] at least one
---@return number smallest, number largest
function statistics.range(values)
  return math.min(unpack(values)), math.max(unpack(values))
end

--- How a subject stands to the floor: the ratio of their medians. None where the floor is 0.
---@param values number[]
---@param floor number[]
---@return number|nil
function statistics.ratio(values, floor)
  local below = statistics.median(floor)
  return below ~= 0 and statistics.median(values) / below or nil
end

return statistics
