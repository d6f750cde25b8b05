--- The program `neap`: drains an outbox in a SQLite file, looks after its dead letters, and writes
--- the status page of programs that share their state.
local Client = require "neap.client"
local core = require "neap.core"
local host = require "neap.host"
local neap = require "neap"
local status_page = require "neap.status"

local program = {}

local HELP = [[
usage: neap drain FILE --policy POLICY [options]   deliver what the outbox has, until SIGTERM
       neap dead FILE [--name NAME]                list the dead letters
       neap revive FILE --all | ID... [--name NAME]   have dead letters delivered again
       neap drop FILE ID... [--name NAME]          throw dead letters away
       neap status [--shared NAME] > page.html     write the status page of a shared region
       neap --help | --version

FILE is the SQLite file of the outbox. POLICY is a Lua file that returns the policy table of the
client that delivers and, if wanted, a second table with max_attempts, backoff and max_age of the
outbox.

options of drain:
  --name NAME       one of the outboxes in the file (outbox)
  --concurrency N   deliveries at once (4)
  --interval S      seconds between two looks for new entries (1)
  --once            end when nothing is due any more
  --limit N         end after N entries, or when nothing is due any more

status reads the region that programs have made by neap.shared{ name = NAME } (neap): the page has
all their clients, says when it was made, and does not change.

drain tells on stderr how it goes. On SIGTERM or SIGINT it finishes the deliveries that are under
way, takes no new ones and ends with status 0; a second signal ends it at once, and others deliver
what it had in hands when its leases have ended. Status 1: it cannot work; status 2: wrong usage.
]]

local OK, FAILED, MISUSED = 0, 1, 2

-- Seconds between two lines about how it goes.
local EVERY = 5

local function say(text, ...)
  io.stderr:write("neap: ", text:format(...), "\n")
end

-- What ends the program: a status, and a sentence for people.
local function give_up(status, text, ...)
  error({ status = status, text = text:format(...) }, 0)
end

-- ------------------------------------------------------------------------------- arguments

local function whole(text)
  local number = tonumber(text)
  return number and number >= 1 and number % 1 == 0 and number or nil, "a whole number >= 1"
end

local function seconds(text)
  local number = tonumber(text)
  return number and number > 0 and number < 1e9 and number or nil, "a number of seconds > 0"
end

local function text_of(text)
  return text ~= "" and text or nil, "a text"
end

-- The options of each command: what reads the value, or true where there is none.
local OPTIONS = {
  drain = { policy = text_of, name = text_of, concurrency = whole, interval = seconds,
    limit = whole, once = true },
  dead = { name = text_of },
  revive = { name = text_of, all = true },
  drop = { name = text_of },
  status = { shared = text_of },
}

local function read_value(read, name, value)
  if not value then
    give_up(MISUSED, "--%s wants a value", name)
  end
  local read_as, expected = read(value)
  if read_as == nil then
    give_up(MISUSED, "--%s: expected %s, got %q", name, expected, value)
  end
  return read_as
end

-- The options by their names, and what is no option in order.
local function read_arguments(command, arguments)
  local known, given, rest = OPTIONS[command], {}, {}
  local index = 2
  while index <= #arguments do
    local name, value = arguments[index]:match("^%-%-([%w-]+)=?(.*)$")
    if not name then
      rest[#rest + 1] = arguments[index]
    elseif not known[name] then
      give_up(MISUSED, "%s has no option --%s", command, name)
    elseif known[name] == true then
      given[name] = true
    else
      if not arguments[index]:find("=", 1, true) then
        index = index + 1
        value = arguments[index]
      end
      given[name] = read_value(known[name], name, value)
    end
    index = index + 1
  end
  return given, rest
end

local function read_ids(rest)
  local ids = {}
  for index = 2, #rest do
    ids[index - 1] = whole(rest[index])
      or give_up(MISUSED, "%q is no id of a dead letter", rest[index])
  end
  return ids
end

-- ------------------------------------------------------------------------------- what it works on

-- A mistyped name must not make an empty outbox.
local function open_store(path)
  if not path then
    give_up(MISUSED, "which file? neap --help tells more")
  end
  local file, message = io.open(path, "rb")
  if not file then
    give_up(FAILED, "%s", message)
  end
  file:close()
  local found, sqlite = pcall(require, "neap.store.sqlite")
  if not found then
    give_up(FAILED, "%s", tostring(sqlite))
  end
  local store, err = sqlite.new{ path = path }
  if not store then
    give_up(FAILED, "%s: %s", path, err.message)
  end
  return store
end

local function new_client(policy)
  local done, client = pcall(neap.client, policy)
  if not done then
    give_up(FAILED, "%s", tostring(client))
  end
  return client
end

local OUTBOX_KEYS = { max_attempts = true, backoff = true, max_age = true }

-- The policy, and the options of the outbox.
local function load_policy(path)
  if not path then
    give_up(MISUSED, "drain wants --policy FILE")
  end
  local chunk, message = loadfile(path)
  if not chunk then
    give_up(FAILED, "%s", message)
  end
  local done, policy, options = pcall(chunk)
  if not done then
    give_up(FAILED, "%s", tostring(policy))
  end
  if type(policy) ~= "table" then
    give_up(FAILED, "%s: expected a policy table to be returned, got a %s", path, type(policy))
  end
  if type(options) ~= "table" and options ~= nil then
    give_up(FAILED, "%s: expected a table as the second value, got a %s", path, type(options))
  end
  for key in pairs(options or {}) do
    if not OUTBOX_KEYS[key] then
      give_up(FAILED, "%s: the outbox's option %q is not for this place", path, tostring(key))
    end
  end
  return policy, options or {}
end

local function new_outbox(store, client, name, options)
  local done, outbox = pcall(require("neap.outbox").new, {
    store = store,
    client = client,
    name = name,
    max_attempts = options.max_attempts,
    backoff = options.backoff,
    max_age = options.max_age,
  })
  if not done then
    give_up(FAILED, "%s", tostring(outbox))
  end
  return outbox
end

-- An outbox that is looked at, and delivers nothing.
local function outbox_of(path, given)
  return new_outbox(open_store(path), neap.client{ name = "neap" }, given.name, {})
end

local function checked(value, err)
  if value == nil then
    give_up(FAILED, "%s", tostring(err))
  end
  return value
end

-- ------------------------------------------------------------------------------- drain

local function describe(totals, counts)
  local left = counts and (", %d waiting, %d dead in all"):format(counts.waiting + counts.taken,
    counts.dead) or ""
  return ("%d delivered, %d retried, %d dead%s"):format(totals.delivered, totals.retried,
    totals.dead, left)
end

-- Tells how it goes, not too often; a failure of the store likewise.
local function new_reporter(outbox)
  local told_at = neap.now()
  return function(totals, err)
    if neap.now() - told_at < EVERY then
      return
    end
    told_at = neap.now()
    if err then
      say("%s; trying again", tostring(err))
    else
      say("%s", describe(totals, outbox:counts()))
    end
  end
end

-- One that ends the moment the signal comes.
local function new_rest(engine, signal)
  return function(length)
    signal:rest(length)
    host.wait(engine, signal)
  end
end

local function drain_once(outbox, given, signal, report)
  local counts, err, before = outbox:drain{
    concurrency = given.concurrency or 4,
    limit = given.limit,
    stop = function() return signal:has_come() end,
    progress = report,
  }
  return counts or before, err
end

local function drain_until_stopped(outbox, given, signal, report)
  return outbox:work{
    concurrency = given.concurrency or 4,
    interval = given.interval,
    stop = function() return signal:has_come() end,
    rest = new_rest(host.engine(), signal),
    progress = report,
  }
end

local function drain(outbox, given, signal)
  local found = checked(outbox:counts())
  say("%d waiting, %d dead", found.waiting + found.taken, found.dead)
  local is_once = given.once or given.limit
  local work = is_once and drain_once or drain_until_stopped
  local totals, err = work(outbox, given, signal, new_reporter(outbox))
  say("%s%s", signal:has_come() and "stopped: " or "", describe(totals, outbox:counts()))
  checked(not err or nil, err)
  return OK
end

local commands = {}

function commands.drain(given, rest)
  local policy, options = load_policy(given.policy)
  local store = open_store(rest[1])
  local outbox = new_outbox(store, new_client(policy), given.name, options)
  local signal = core.stop_signal(host.default_engine())
  local status = neap.run(drain, outbox, given, signal)
  signal:free()
  return status
end

-- ------------------------------------------------------------------------------- dead letters

local DATE = "!%Y-%m-%dT%H:%M:%SZ"

function commands.dead(given, rest)
  for letter, err in outbox_of(rest[1], given):dead() do
    checked(letter or nil, err)
    local request = letter.request
    local what = request and ("%s %s"):format(request.method, request.path or request.url) or "?"
    print(("%d\t%s\t%d\t%s\t%s"):format(letter.id, os.date(DATE, math.floor(letter.died_at)),
      letter.attempts, what, letter.reason))
  end
  return OK
end

-- Each of them; those that are not there are told at the end.
local function for_each(ids, act, done_word)
  local missing = 0
  if #ids == 0 then
    give_up(MISUSED, "which dead letters? give their ids")
  end
  for _, id in ipairs(ids) do
    if not checked(act(id)) then
      missing = missing + 1
      say("there is no dead letter %d", id)
    end
  end
  say("%d %s", #ids - missing, done_word)
  return missing == 0 and OK or FAILED
end

function commands.revive(given, rest)
  local ids = read_ids(rest)
  if given.all and #ids > 0 then
    give_up(MISUSED, "give ids or --all, not both")
  end
  local outbox = outbox_of(rest[1], given)
  if given.all then
    say("%d revived", checked(outbox:revive_all()))
    return OK
  end
  return for_each(ids, function(id) return outbox:revive(id) end, "revived")
end

function commands.drop(given, rest)
  local ids = read_ids(rest)
  local outbox = outbox_of(rest[1], given)
  return for_each(ids, function(id) return outbox:drop(id) end, "dropped")
end

-- ------------------------------------------------------------------------------- the status page

-- Who only looks must not make one.
local function join_region(name)
  local file, message = io.open("/dev/shm/neap-" .. name, "rb")
  if not file then
    give_up(FAILED, "there is no region %q to be read: %s", name, message)
  end
  local size = file:seek("end")
  file:close()
  if size == 0 then -- neap.shared would make one of it
    give_up(FAILED, "there is no region %q to be read: its file is empty", name)
  end
  local done, region, err = pcall(neap.shared, { name = name })
  if not done or not region then
    give_up(FAILED, "%s", tostring(done and err or region))
  end
end

function commands.status(given, rest)
  local name = given.shared or "neap"
  if rest[1] then
    give_up(MISUSED, "%q is one argument too many", rest[1])
  end
  join_region(name)
  local clients, _, is_whole = Client.survey()
  if not is_whole then
    give_up(FAILED, "the region %q cannot be read now: too many processes use it", name)
  end
  io.stdout:write(status_page.page(clients, {
    made_at = os.time(),
    source = "shared memory " .. name,
  }))
  return OK
end

-- ------------------------------------------------------------------------------- the whole

local function run(arguments)
  local command = arguments[1]
  if command == "--help" or command == "-h" or command == "help" then
    io.stdout:write(HELP)
    return OK
  end
  if command == "--version" then
    print("neap " .. neap._VERSION)
    return OK
  end
  if not commands[command] then
    give_up(MISUSED, command and "there is no command %q; neap --help tells more"
      or "which command? neap --help tells more", command)
  end
  local given, rest = read_arguments(command, arguments)
  local takes_ids = command == "revive" or command == "drop"
  if rest[2] and not takes_ids then
    give_up(MISUSED, "%q is one argument too many", rest[2])
  end
  return commands[command](given, rest)
end

--- Runs the program with these arguments.
---@param arguments string[]
---@return integer status for os.exit
function program.run(arguments)
  local done, result = pcall(run, arguments)
  if done then
    return result
  end
  if type(result) ~= "table" or not result.status then
    say("%s", tostring(result))
    return FAILED
  end
  say("%s", result.text)
  return result.status
end

return program
