--- Random numbers from a seed, the same on every Lua.
local dice = {}

-- Park and Miller's generator; states of seeds beside each other begin far apart.
local FACTOR, MODULUS = 16807, 2147483647

--- A function that gives integers from 1 to its argument. `stream` tells those of one seed apart.
---@param seed integer
---@param stream integer|nil
---@return fun(most: integer): integer
function dice.new(seed, stream)
  local state = (seed * 7919 + (stream or 0) * 104729) % (MODULUS - 1) + 1
  local function roll(most)
    state = state * FACTOR % MODULUS
    return state % most + 1
  end
  for _ = 1, 10 do
    roll(1)
  end
  return roll
end

--- One of the entries `{ weight, … }`.
function dice.pick(roll, entries)
  local sum = 0
  for _, entry in ipairs(entries) do
    sum = sum + entry[1]
  end
  local left = roll(sum)
  for _, entry in ipairs(entries) do
    left = left - entry[1]
    if left <= 0 then
      return entry
    end
  end
end

return dice
