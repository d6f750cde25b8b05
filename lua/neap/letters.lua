--- The dead letters of an outbox: looked at, revived, thrown away.
local stored_request = require "neap.stored_request"

local letters = {}

---@class neap.DeadLetter
---@field id integer
---@field request? table as it was put, with its body encoded; nil where it cannot be read any more
---@field fault? string why it cannot be read
---@field reason string begins with "rejected:", "attempts:", "max_age:" or "damaged:"
---@field attempts integer rounds, the last one counted
---@field put_at number seconds since 1970
---@field died_at number

-- The first one after that id; false where there is none, nil and an error where the store failed.
local function next_letter(outbox, after)
  local letter, err = outbox:_perform("outbox_dead", { key = outbox._name, id = after })
  if letter then
    letter.request, letter.fault = stored_request.read(letter.value)
    letter.value = nil
    letter.attempts = letter.attempts + (letter.fault and 0 or 1)
  end
  return letter, err
end

--- As neap.Outbox:dead.
function letters.each(outbox)
  local after, over = 0, false
  return function()
    if over then
      return nil
    end
    local letter, err = next_letter(outbox, after)
    if letter then
      after = letter.id
      return letter
    end
    over = true
    if letter == nil then
      return false, err
    end
  end
end

-- Ids are the store's, and so are its steps on them: a letter of another outbox is none of ours.
local function act_on(outbox, op, id)
  local letter, err = next_letter(outbox, id - 1)
  if letter == nil then
    return nil, err
  end
  if not letter or letter.id ~= id then
    return false
  end
  return outbox:_perform(op, { id = id })
end

--- As neap.Outbox:revive, of an id that is in order.
function letters.revive(outbox, id)
  return act_on(outbox, "outbox_revive", id)
end

--- As neap.Outbox:drop, of an id that is in order.
function letters.drop(outbox, id)
  return act_on(outbox, "outbox_drop", id)
end

--- As neap.Outbox:revive_all.
function letters.revive_all(outbox)
  local count, letter, err = 0, next_letter(outbox, 0)
  while letter do
    local revived
    revived, err = outbox:_perform("outbox_revive", { id = letter.id })
    if revived == nil then
      return nil, err
    end
    count = count + (revived and 1 or 0)
    letter, err = next_letter(outbox, letter.id)
  end
  if letter == nil then
    return nil, err
  end
  return count
end

return letters
