--- What is told of many clients at once: statistics, the rows of the status page, the text that
--- Prometheus scrapes.
local core = require "neap.core"
local Client = require "neap.client"
local host = require "neap.host"

local survey = {}

--- A snapshot of every open client by its name.
---@return table<string, table>
function survey.stats()
  local all = {}
  for name, client in pairs(Client.open_clients()) do
    all[name] = client:stats()
  end
  return all
end

-- What is wrong with a list of clients, of which each stands for its name.
local function flaw_of_list(clients)
  if type(clients) ~= "table" then
    return ("clients: expected a list of clients, got a %s"):format(type(clients))
  end
  local named, others = {}, 0
  for _ in pairs(clients) do
    others = others + 1
  end
  for index, client in ipairs(clients) do
    others = others - 1
    if not Client.is(client) then
      return ("clients[%d]: expected a client"):format(index)
    end
    if named[client.name] then
      return ("clients[%d]: there is another client of the name %q"):format(index, client.name)
    end
    named[client.name] = true
  end
  if others > 0 then
    return "clients: expected a list of clients, got a table with other keys"
  end
end

local function by_name(one, other)
  return one.name < other.name
end

-- A list of the clients, or of all open ones, by name. Nil and what is wrong with the list.
local function sorted_clients(clients)
  local flaw = clients ~= nil and flaw_of_list(clients)
  if flaw then
    return nil, flaw
  end
  local sorted = {}
  for _, client in pairs(clients or Client.open_clients()) do
    sorted[#sorted + 1] = client
  end
  table.sort(sorted, by_name)
  return sorted
end

-- False where they are there and cannot be had.
local function add_strangers(rows)
  local own, engine = {}, host.default_engine()
  local strangers = core.shared_stats(engine)
  for _, row in ipairs(rows) do
    own[row.name] = true
  end
  for name, stats in pairs(strangers or {}) do
    if not own[name] then
      rows[#rows + 1] = { name = name, stats = stats, now = engine:now(), is_shared = true }
    end
  end
  table.sort(rows, by_name)
  return strangers ~= false
end

--- The statistics of these clients, or of all open ones and of those that only other processes of
--- the same shared memory have, in the order of their names.
---@param clients? neap.Client[]
---@return table[]? rows of { name, stats, now, is_shared }; `now` is of the clock of `since`
---@return string? message what is wrong with the list
---@return boolean? is_whole false where the shared memory could not be read
function survey.rows(clients)
  local sorted, flaw = sorted_clients(clients)
  if not sorted then
    return nil, flaw
  end
  local rows = {}
  for index, client in ipairs(sorted) do
    rows[index] = {
      name = client.name,
      stats = client:stats(),
      now = client._engine:now(),
      is_shared = client._core:is_shared(),
    }
  end
  return rows, nil, clients ~= nil or add_strangers(rows)
end

--- What these clients have counted as Prometheus reads it, or what all open ones have. `label` and
--- `value` tell this process's figures from those of others, on clients that share nothing.
---@param clients? neap.Client[]
---@param label? string
---@param value? string
---@return string? text
---@return string? message what is wrong with the list
function survey.exposition(clients, label, value)
  local sorted, flaw = sorted_clients(clients)
  if not sorted then
    return nil, flaw
  end
  local cores = {}
  for index, client in ipairs(sorted) do
    if client._alerts then
      client._alerts:judge()
    end
    cores[index] = client._core
  end
  return core.prometheus(cores, label, value)
end

return survey
