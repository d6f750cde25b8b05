--- Drains an outbox: takes its entries and delivers them, on as many lanes as are wanted, once or
--- again and again. What becomes of an entry is decided in src/pipeline/delivery.c.
local Error = require "neap.error"
local compat = require "neap.compat"
local host = require "neap.host"
local raised_text = require "neap.raised"
local stored_request = require "neap.stored_request"

local drain = {}

-- A lease is half as long again as a call may take, and never less than this longer: for the steps
-- of the store around it, and for clocks of several machines that differ.
local MARGIN = 5

-- Seconds between two looks for new entries.
local INTERVAL = 1

-- A moment in seconds since 1970 is exact to less than a microsecond only: what is due by one clock
-- may not be due by the other.
local SHORTEST_REST = 0.001

-- A rest is cut into pieces of so many seconds, to see in time that it is to stop.
local NAP = 0.5

local function lease_for(total)
  return total + math.max(MARGIN, total / 2)
end

local function has_credential(headers)
  for name in pairs(headers) do
    if name:lower() == "authorization" then
      return true
    end
  end
  return false
end

-- What the call came to, as facts to decide on.
local function call(outbox, entry, request)
  local facts = {
    attempts = entry.attempts,
    put_at = entry.put_at,
    own_credential = has_credential(request.headers),
  }
  local done, res, err = compat.pcall(outbox._client._deliver, outbox._client, request)
  if not done then
    facts.kind, facts.message = "error", raised_text(res)
  elseif res then
    facts.status, facts.body, facts.retry_after = res.status, res.body, res.retry_after
  else
    facts.kind, facts.phase, facts.message = err.kind, err.phase, err.message
    facts.retry_after = err.retry_after
  end
  facts.now = outbox._env.time()
  return facts
end

-- A step on an entry that was taken: by its token it may be repeated where nobody knows what it
-- did. False where the entry is another's by now, who delivers it under the same key.
local function step(outbox, round, op, arguments)
  local kept, err = outbox:_perform(op, arguments)
  if kept == nil and err.retryable then
    kept, err = outbox:_perform(op, arguments)
  end
  if kept == nil then
    round.err = round.err or err
  end
  return kept
end

local acts = {}

function acts.done(outbox, round, entry)
  round.counts.delivered = round.counts.delivered + 1
  step(outbox, round, "outbox_done", { id = entry.id, token = entry.token })
end

function acts.retry(outbox, round, entry, due)
  round.counts.retried = round.counts.retried + 1
  step(outbox, round, "outbox_retry", { id = entry.id, token = entry.token, until_time = due })
end

-- It stays taken until then, and has not been tried: the store counts no attempt. A refusal for a
-- moment may be over by now.
function acts.hold(outbox, round, entry, due, all)
  local lease = math.max(0, due - outbox._env.time())
  round.counts.retried = round.counts.retried + 1
  round.held_until = all and due or round.held_until
  step(outbox, round, "outbox_renew", { id = entry.id, token = entry.token, lease = lease })
end

function acts.bury(outbox, round, entry, reason)
  round.counts.dead = round.counts.dead + 1
  step(outbox, round, "outbox_bury", { id = entry.id, token = entry.token, value = reason })
end

-- A request may have a longer total time than the client's policy. False where it is gone.
local function keep_for_long(outbox, round, entry, request)
  local total = request.timeout and request.timeout.total
  if not total or total <= outbox._total then
    return true
  end
  return step(outbox, round, "outbox_renew",
    { id = entry.id, token = entry.token, lease = lease_for(total) })
end

local function deliver(outbox, round, entry)
  local request, fault = stored_request.read(entry.value)
  if not request then
    acts.bury(outbox, round, entry, "damaged: " .. fault)
  elseif keep_for_long(outbox, round, entry, request) then
    local verdict, when, all = outbox._policy:decide(call(outbox, entry, request))
    acts[verdict](outbox, round, entry, when, all)
  end
end

local function may_go_on(round)
  return not round.err and not round.held_until and round.left > 0
    and not (round.stop and round.stop())
end

-- The next entry; nil where there is none now, or the store failed.
local function take(outbox, round)
  local entry, more = outbox:_perform("outbox_take",
    { key = outbox._name, lease = lease_for(outbox._total) })
  if entry then
    return entry
  end
  if entry == nil then
    round.err = round.err or more
  else
    round.next_time = more
  end
end

-- Takes and delivers until nothing is due any more.
local function work_lane(outbox, round)
  while may_go_on(round) do
    round.left = round.left - 1
    local entry = take(outbox, round)
    if not entry then
      round.left = round.left + 1
      return
    end
    round.widen()
    deliver(outbox, round, entry)
    if round.progress then
      round.progress(round.counts)
    end
  end
end

-- All lanes end before what one of them raised is raised here.
local function await_all(tasks)
  local failed, message
  for _, task in ipairs(tasks) do
    local done, raised = compat.pcall(task.await, task)
    if not done and not failed then
      failed, message = true, raised
    end
  end
  if failed then
    error(message, 0)
  end
end

local function silent()
end

-- A lane that has found something to do opens the next one: there are never more of them than
-- entries, however many are allowed.
local function work_lanes(outbox, round, count)
  round.widen = silent
  if count == 1 then
    return work_lane(outbox, round)
  end
  local function run()
    local tasks = {}
    function round.widen()
      if #tasks < count then
        tasks[#tasks + 1] = host.spawn(work_lane, outbox, round)
      end
    end
    round.widen()
    await_all(tasks)
  end
  if host.in_task() then
    return run()
  end
  host.run(run)
end

local CANNOT_WAIT = "an outbox cannot be drained where the host cannot wait"

--- As neap.Outbox:drain, with options that are in order.
function drain.once(outbox, options)
  local counts = { delivered = 0, retried = 0, dead = 0 }
  if host.cannot_wait_on(outbox._client._engine) then
    return nil, Error.new{ kind = "phase", message = CANNOT_WAIT }, counts
  end
  local round = {
    counts = counts,
    left = options.limit or math.huge,
    stop = options.stop,
    progress = options.progress,
  }
  outbox:_follow()
  work_lanes(outbox, round, options.concurrency or 1)
  if round.err then
    return nil, round.err, counts
  end
  local next_time = round.held_until or round.next_time
  counts.next = next_time and math.max(0, next_time - outbox._env.time())
  return counts
end

local function add_counts(totals, counts)
  for _, key in ipairs{ "delivered", "retried", "dead" } do
    totals[key] = totals[key] + counts[key]
  end
  return totals
end

local function rest_in_pieces(stop, seconds)
  while seconds > 0 and not stop() do
    local piece = math.min(seconds, NAP)
    if not host.sleep(piece) then
      return
    end
    seconds = seconds - piece
  end
end

local function never()
  return false
end

--- As neap.Outbox:work, with options that are in order.
function drain.again(outbox, options)
  local stop, interval = options.stop or never, options.interval or INTERVAL
  local progress, rest = options.progress or silent, options.rest
  local totals = { delivered = 0, retried = 0, dead = 0 }
  local round = {
    concurrency = options.concurrency,
    stop = stop,
    progress = function(counts)
      progress(add_counts(add_counts({ delivered = 0, retried = 0, dead = 0 }, totals), counts))
    end,
  }
  while not stop() do
    local counts, err, before = drain.once(outbox, round)
    add_counts(totals, counts or before)
    if err and err.kind == "phase" then
      return nil, err
    end
    if err then
      progress(totals, err)
    end
    local pause = math.max(SHORTEST_REST,
      math.min(interval, counts and counts.next or interval))
    if rest then
      rest(pause)
    else
      rest_in_pieces(stop, pause)
    end
  end
  return totals
end

return drain
