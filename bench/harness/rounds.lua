--- Interleaved rounds: each subject once a round, in an order that turns round each time, so that
--- whoever comes after a slow neighbour is not always the same.

local rounds = {}

--- The order of one round.
---@param count integer how many subjects
---@param round integer from 1
---@return integer[] indices
function rounds.order(count, round)
  local order = {}
  for i = 1, count do
    order[i] = round % 2 == 1 and i or count + 1 - i
  end
  return order
end

--- Measures each subject once a round. A subject's `measure()` returns a table of numbers by name;
--- each of them is gathered below `values` of what is returned for that subject.
---@param subjects { name: string, skip: string|nil, measure: fun(): table }[]
---@param count integer rounds
---@return table[] { name, skip, values = { rate = { … }, … } } in the order of the subjects
function rounds.run(subjects, count)
  local results = {}
  for i, subject in ipairs(subjects) do
    results[i] = { name = subject.name, skip = subject.skip, values = {} }
  end
  for round = 1, count do
    for _, i in ipairs(rounds.order(#subjects, round)) do
      if not subjects[i].skip then
        for name, value in pairs(subjects[i].measure()) do
          local values = results[i].values
          values[name] = values[name] or {}
          table.insert(values[name], value)
        end
      end
    end
  end
  return results
end

return rounds
