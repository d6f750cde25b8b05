--- The outbox: requests that are kept until they are delivered.
--
--     local outbox = require("neap.outbox").new{ store = store, client = client }
--     local id, err = outbox:put{ method = "POST", path = "notifications", json = message }
--     outbox:drain{ concurrency = 4 }
--
-- An id means that the store has the request: the SQLite kind has it on disk. It is delivered by
-- calls of the client, through the client's whole pipeline but its fallbacks, under one key from
-- the first try on. Several drainers, processes and machines may work on one outbox: who takes an
-- entry has it until its lease ends, which outlasts a call. What a drainer that died had in hands
-- is delivered again, under the same key. See docs/outbox.md.
local Client = require "neap.client"
local core = require "neap.core"
local drain = require "neap.drain"
local env = require "neap.env"
local letters = require "neap.letters"
local store = require "neap.store"
local stored_request = require "neap.stored_request"

local NAME_MAX = 255

---@class neap.Outbox
local Outbox = { __name = "neap.outbox" }
Outbox.__index = Outbox

local function check_options(options)
  local flaw
  if not store.is(options.store) then
    flaw = ".store: expected a store, as neap.store.sqlite makes one"
  elseif options.client and not Client.is(options.client) then
    flaw = ".client: expected a client"
  elseif options.name and (#options.name == 0 or #options.name > NAME_MAX) then
    flaw = (".name: expected 1 to %d bytes"):format(NAME_MAX)
  end
  return flaw and "options" .. flaw
end

-- What is not given is that of the client's engine, which in a testing kit is a virtual one.
local function environment_of(outbox, given)
  local has_time = given and (given.time or given.clock)
  return {
    time = function()
      return has_time and env.time(given) or outbox._client._engine:time()
    end,
    random = given and given.random or function() return outbox._client._engine:random() end,
  }
end

--- An outbox. Options: `store` (required); `client` (may be left out where the outbox stands in a
--- client's fallback list: it is that client's then); `name` ("outbox") of one of the store's
--- outboxes; `max_attempts` (20) rounds; `backoff` between them ({ kind = "exponential", base = 5,
--- factor = 2, max = 3600, jitter = 0.5 }); `max_age` (604800) seconds; `ordering_key`, a function
--- of the request; `env` with time and random for tests.
---@param options table
---@return neap.Outbox
function Outbox.new(options)
  local outbox = setmetatable({}, Outbox)
  local message, policy = env.flaw(options), nil
  if not message then
    outbox._env = environment_of(outbox, type(options) == "table" and options.env)
    policy, message = core.outbox_policy(options, outbox._env)
  end
  message = message or check_options(options)
  if message then
    error(message, 2)
  end
  outbox._policy = policy
  outbox._store = options.store
  outbox._name = options.name or "outbox"
  outbox._ordering_key = options.ordering_key
  if options.client then
    outbox:_serve(options.client)
  end
  return outbox
end

-- Deliveries are this client's calls, unless there is one already.
function Outbox:_serve(client)
  if self._client then
    return
  end
  self._client = client
  self:_follow()
end

-- The client's policy may have been changed since the last time.
function Outbox:_follow()
  self._total = self._policy:serve(self._client._core)
end

local NO_CLIENT = "outbox: has no client yet; give it one, or name it in a client's fallback list"

local function check_self(outbox)
  if getmetatable(outbox) ~= Outbox then
    return "outbox: expected an outbox; its methods are called with a colon"
  end
  if not outbox._client then
    return NO_CLIENT
  end
end

-- A step of the store.
function Outbox:_perform(op, arguments)
  arguments.now_time = self._env.time()
  return store.perform(self._store, self._client._engine, op, arguments)
end

-- -------------------------------------------------------------------------------- options

local function is_text(value)
  return type(value) == "string"
end

local function is_count(value)
  return type(value) == "number" and value >= 1 and value % 1 == 0
end

local function is_seconds(value)
  return type(value) == "number" and value > 0 and value < math.huge
end

local function is_function(value)
  return type(value) == "function"
end

local function list_of_keys(known)
  local keys = {}
  for key in pairs(known) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return (table.concat(keys, ", "):gsub(", ([^,]*)$", " or %1"))
end

-- `known` has what each may be, and the same for people.
local function check_given(options, known)
  if type(options) ~= "table" and options ~= nil then
    return ("options: expected a table, got a %s"):format(type(options))
  end
  for key, value in pairs(options or {}) do
    local rule = known[key]
    if not rule then
      return ("options.%s: unknown key, expected %s"):format(core.shown_key(key),
        list_of_keys(known))
    end
    if not rule[1](value) then
      return ("options.%s: expected %s, got %s"):format(key, rule[2], core.shown(value))
    end
  end
end

-- -------------------------------------------------------------------------------- putting

local PUT_OPTIONS = { ordering_key = { is_text, "a string or nil" } }

local function ordering_key_of(outbox, req, options)
  local flaw = check_given(options, PUT_OPTIONS)
  if flaw then
    return nil, flaw
  end
  if options and options.ordering_key then
    return options.ordering_key
  end
  local given = outbox._ordering_key and outbox._ordering_key(req)
  if not is_text(given) and given ~= nil then
    return nil, ("outbox.ordering_key: expected a string or nil, got a %s"):format(type(given))
  end
  return given
end

-- The id; nil and an error of the store; or nil, nil and what is wrong with the request.
local function put(outbox, req, options)
  local message = check_self(outbox)
  if not message and type(req) ~= "table" then
    message = ("request: expected a table, got a %s"):format(type(req))
  end
  if message then
    return nil, nil, message
  end
  local ordering_key, block
  ordering_key, message = ordering_key_of(outbox, req, options)
  if message then
    return nil, nil, message
  end
  block, message = stored_request.write(outbox._client, req)
  if not block then
    return nil, nil, message
  end
  return outbox:_perform("outbox_put", {
    key = outbox._name,
    ordering_key = ordering_key,
    value = block,
  })
end

--- Accepts a request for delivery: an id, once the store has it for good. `req` is as for
--- client:request; of it `deadline` is not kept. Without a key it gets one, under which every
--- delivery is made. Entries of one `ordering_key` are delivered one at a time, oldest first. Nil
--- and an error of kind `store` where the store failed; the request may then be there all the same.
---
---     local id, err = outbox:put({ method = "POST", path = "sms", json = sms },
---       { ordering_key = sms.to })
---@param req table
---@param options? { ordering_key?: string }
---@return integer? id
---@return neap.Error? err
function Outbox:put(req, options)
  local id, err, message = put(self, req, options)
  if message then
    error(message, 2)
  end
  return id, err
end

-- For the fallback list.
function Outbox:_accept(req)
  local id, err, message = put(self, req)
  if message then
    error(message, 0)
  end
  return id, err
end

-- -------------------------------------------------------------------------------- delivering

local DRAIN_OPTIONS = {
  limit = { is_count, "an integer >= 1" },
  concurrency = { is_count, "an integer >= 1" },
  stop = { is_function, "a function" },
  progress = { is_function, "a function" },
}

local WORK_OPTIONS = {
  concurrency = DRAIN_OPTIONS.concurrency,
  stop = DRAIN_OPTIONS.stop,
  progress = DRAIN_OPTIONS.progress,
  interval = { is_seconds, "a number > 0 (seconds)" },
  rest = { is_function, "a function" },
}

--- Delivers what is due, oldest first, until nothing is due any more or `limit` entries have been
--- tried, `concurrency` (1) of them at once. Ends early where the client refuses every call (its
--- breaker is open, its gate closed, ...), and where `stop()` returns true. Returns how many
--- entries were `delivered`, put off (`retried`) and given up (`dead`), and in `next` the seconds
--- until something may be due (nil: not known, or empty). `progress(counts)` is called after each
--- entry. Nil, an error of kind `store` or `phase`, and what was done before it.
---
---     local counts, err = outbox:drain{ concurrency = 8, limit = 1000 }
---@param options? { limit?: integer, concurrency?: integer, stop?: function, progress?: function }
---@return table? counts
---@return neap.Error? err
---@return table? before
function Outbox:drain(options)
  local message = check_self(self) or check_given(options, DRAIN_OPTIONS)
  if message then
    error(message, 2)
  end
  return drain.once(self, options or {})
end

--- Drains again and again until `stop()` returns true, and then finishes what it has begun. Looks
--- for new entries every `interval` (1) seconds. A store that fails is asked again after as long.
--- `progress(totals, err)` is called after each entry, and with the error where the store failed.
--- `rest(seconds)` may wait in the caller's own way. Returns the totals; nil and an error of kind
--- `phase` where the host cannot wait.
---
---     outbox:work{ concurrency = 4, stop = function() return is_over end }
---@param options? table concurrency, interval, stop, progress, rest
---@return table? totals
---@return neap.Error? err
function Outbox:work(options)
  local message = check_self(self) or check_given(options, WORK_OPTIONS)
  if message then
    error(message, 2)
  end
  return drain.again(self, options or {})
end

-- -------------------------------------------------------------------------------- looking

--- How many entries are `waiting`, `taken` by somebody who delivers or holds them, and `dead`. Nil
--- and an error of kind `store` where the store failed.
---@return { waiting: integer, taken: integer, dead: integer }? counts
---@return neap.Error? err
function Outbox:counts()
  local message = check_self(self)
  if message then
    error(message, 2)
  end
  return self:_perform("outbox_count", { key = self._name })
end

--- How many entries are still to be delivered; dead letters do not count.
---@return integer? size
---@return neap.Error? err
function Outbox:size()
  local message = check_self(self)
  if message then
    error(message, 2)
  end
  local counts, err = self:_perform("outbox_count", { key = self._name })
  if not counts then
    return nil, err
  end
  return counts.waiting + counts.taken
end

--- The dead letters, oldest first. Where the store fails, the last step gives false and the error.
---
---     for letter, err in outbox:dead() do
---       assert(letter, err)
---       print(letter.id, letter.reason, letter.request.path)
---     end
---@return fun(): neap.DeadLetter|false|nil, neap.Error?
function Outbox:dead()
  local message = check_self(self)
  if message then
    error(message, 2)
  end
  return letters.each(self)
end

local function check_id(outbox, id)
  local message = check_self(outbox)
  if not message and not (is_count(id) and id < 2 ^ 53) then
    message = ("id: expected an integer >= 1, got %s"):format(core.shown(id))
  end
  return message
end

--- The dead letter waits again, due now, at its old place in the order, with all its attempts. One
--- that is older than max_age is tried once. False where this outbox has no such dead letter.
---@param id integer
---@return boolean? revived
---@return neap.Error? err
function Outbox:revive(id)
  local message = check_id(self, id)
  if message then
    error(message, 2)
  end
  return letters.revive(self, id)
end

--- Revives every dead letter that is there now, and answers how many.
---@return integer? revived
---@return neap.Error? err
function Outbox:revive_all()
  local message = check_self(self)
  if message then
    error(message, 2)
  end
  return letters.revive_all(self)
end

--- Throws a dead letter away. False where this outbox has no such dead letter.
---@param id integer
---@return boolean? dropped
---@return neap.Error? err
function Outbox:drop(id)
  local message = check_id(self, id)
  if message then
    error(message, 2)
  end
  return letters.drop(self, id)
end

--- Is the value an outbox?
---@param value any
---@return boolean
function Outbox.is(value)
  return getmetatable(value) == Outbox
end

return { new = Outbox.new, is = Outbox.is }
