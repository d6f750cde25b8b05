--- Payments that are still to be made, one a line in a file, so that they would outlive the program
--- that noted them.
local Notebook = {}
Notebook.__index = Notebook

local function open()
  return setmetatable({ path = os.tmpname() }, Notebook)
end

--- Notes a payment under its idempotency key.
---@param key string without spaces
---@param cents integer
function Notebook:add(key, cents)
  local file = assert(io.open(self.path, "a"))
  assert(file:write(("%s %d\n"):format(key, cents)))
  assert(file:close())
end

--- All that was noted, oldest first; the notebook is empty then.
---@return { key: string, cents: integer }[]
function Notebook:take()
  local notes = {}
  for line in io.lines(self.path) do
    local key, cents = line:match("^(%S+) (%d+)$")
    notes[#notes + 1] = { key = key, cents = tonumber(cents) }
  end
  assert(io.open(self.path, "w")):close()
  return notes
end

function Notebook:remove()
  os.remove(self.path)
end

return { open = open }
