--- `neap drain`: delivers what an outbox has, until it is told to stop.
local arguments = require "neap.program.arguments"
local core = require "neap.core"
local ending = require "neap.program.ending"
local host = require "neap.host"
local neap = require "neap"
local outbox_file = require "neap.program.outbox_file"
local policy_file = require "neap.program.policy_file"

local say = ending.say

-- Seconds between two lines about how it goes.
local EVERY = 5

local drain = {
  usage = "drain FILE --policy POLICY [options]",
  summary = "deliver what the outbox has, until SIGTERM",
  operands = 1,
  options = {
    policy = arguments.text,
    name = arguments.text,
    concurrency = arguments.whole,
    interval = arguments.seconds,
    limit = arguments.whole,
    once = true,
  },
  help = [[
FILE is the SQLite file of the outbox. POLICY is a Lua file that returns the policy table of the
client that delivers and, if wanted, a second table with max_attempts, backoff and max_age of the
outbox.

  --name NAME       one of the outboxes in the file (outbox)
  --concurrency N   deliveries at once (4)
  --interval S      seconds between two looks for new entries (1)
  --once            end when nothing is due any more
  --limit N         end after N entries, or when nothing is due any more

drain tells on stderr how it goes. On SIGTERM or SIGINT it finishes the deliveries that are under
way, takes no new ones and ends with status 0; a second signal ends it at once, and others deliver
what it had in hands when its leases have ended.
]],
}

local OUTBOX_KEYS = { max_attempts = true, backoff = true, max_age = true }

-- The policy, and the options of the outbox.
local function load_policy(path)
  if not path then
    ending.give_up(ending.MISUSED, "drain wants --policy FILE")
  end
  local policy, options = policy_file.load(path)
  if type(options) ~= "table" and options ~= nil then
    ending.give_up(ending.FAILED, "%s: expected a table as the second value, got a %s", path,
      type(options))
  end
  for key in pairs(options or {}) do
    if not OUTBOX_KEYS[key] then
      ending.give_up(ending.FAILED, "%s: the outbox's option %s is not for this place", path,
        core.shown_key(key))
    end
  end
  return policy, options or {}
end

local function new_client(policy)
  local done, client = pcall(neap.client, policy)
  if not done then
    ending.give_up(ending.FAILED, "%s", tostring(client))
  end
  return client
end

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

local function work_on(outbox, given, signal)
  local found = ending.checked(outbox:counts())
  say("%d waiting, %d dead", found.waiting + found.taken, found.dead)
  local is_once = given.once or given.limit
  local work = is_once and drain_once or drain_until_stopped
  local totals, err = work(outbox, given, signal, new_reporter(outbox))
  say("%s%s", signal:has_come() and "stopped: " or "", describe(totals, outbox:counts()))
  ending.checked(not err or nil, err)
  return ending.OK
end

function drain.run(given, operands)
  local policy, options = load_policy(given.policy)
  local store = outbox_file.open(operands[1])
  local outbox = outbox_file.outbox(store, new_client(policy), given.name, options)
  local signal = core.stop_signal(host.default_engine())
  local status = neap.run(work_on, outbox, given, signal)
  signal:free()
  return status
end

return drain
