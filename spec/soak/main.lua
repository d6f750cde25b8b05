--- The soak: nginx with neap in four workers, and plain programs, for minutes against an upstream
--- that misbehaves, while clients hang up, workers are killed and nginx reloads.
--
-- Usage: main.lua [--seconds 300] [--seed N] [--keep]
--
-- Ends with a table of what was checked, status 0 if all of it held. On a failure its folder, with
-- what everybody has written, stays. docs/soak.md is the manual.
local socket = require "socket"

local conduct = require "spec.soak.conduct"
local process = require "spec.support.process"
local tally = require "spec.soak.tally"
local verdict = require "spec.soak.verdict"
local world = require "spec.soak.world"

local WARM_CALLS = 3 -- of each kind in each worker
local ROUNDS = 4 -- of calls, until all is at rest that the load has left behind
local REST = 2.5 -- seconds until idle connections have ended, and nobody is at the doorbell
local PATIENCE = 90 -- seconds for what goes on when the load is over

local function say(...)
  print(("[soak] " .. ...):format(select(2, ...)))
  io.stdout:flush()
end

local function read_arguments(words)
  local settings = { seconds = 300, seed = math.floor(socket.gettime() * 1000) % 1000000000 }
  local index = 1
  while words[index] do
    local name = words[index]:match("^%-%-(%a+)$")
    if name == "keep" then
      settings.keep = true
    elseif name == "seconds" or name == "seed" then
      index = index + 1
      settings[name] = math.tointeger(tonumber(words[index]))
        or error("soak: expected an integer after --" .. name, 0)
    else
      error("soak: unknown word: " .. words[index], 0)
    end
    index = index + 1
  end
  return settings
end

local function flat_stats(w)
  local flat = {}
  for name, stats in pairs(w:stats()) do
    flat[name] = tally.of_stats(stats)
  end
  return flat
end

-- Every worker makes calls of each kind, and comes to rest. Before the load they have made all that
-- they make once; after it libcurl looks through its pools, and closes what has ended meanwhile.
-- Whose request has ended while it waited keeps the doorbell busy until it is collected.
local function touch_all(w, calls)
  for _, talks in ipairs((w.nginx:each_worker())) do
    for number = 1, calls do
      w:call_each(talks[1], number)
    end
    talks[1]:run "collectgarbage() collectgarbage()"
    talks[1]:close()
  end
  assert(w:is_quiet(20), "soak: no rest after calls that were to warm up")
  socket.sleep(REST)
end

local function snapshot(w)
  return { stats = flat_stats(w), ledger = w.upstream:ledger(), region = w:region(),
    rest = conduct.at_rest(w) }
end

-- One round of calls closes connections that it finds too old, and may leave another behind that a
-- fault has had it open: so until all is as it was before, or after so many rounds.
local function rest_again(w, before)
  local rest
  for _ = 1, ROUNDS do
    touch_all(w, 1)
    rest = conduct.at_rest(w)
    if rest.descriptors <= before.descriptors and rest.threads <= before.threads then
      break
    end
  end
  return rest
end

-- What was out must be free again, all of it at once.
local PERMITS = [[
  local function taken(policy)
    local bulkhead = neap.bulkhead(policy)
    local permits = {}
    while #permits <= policy.max_concurrent do
      local permit = bulkhead:acquire()
      if not permit then break end
      permits[#permits + 1] = permit
    end
    for _, permit in ipairs(permits) do bulkhead:release(permit) end
    return #permits
  end
  local function probes(client)
    local breaker = client.breaker
    breaker:reset()
    for _ = 1, 100 do
      local permit = breaker:acquire()
      if not permit then break end
      breaker:record(permit, "failure")
    end
    local permits, over = {}, neap.now() + 3
    while #permits == 0 and neap.now() < over do
      neap.sleep(0.05)
      permits[1] = breaker:acquire()
    end
    while #permits < 10 do
      local permit = breaker:acquire()
      if not permit then break end
      permits[#permits + 1] = permit
    end
    for _, permit in ipairs(permits) do breaker:record(permit, "success") end
    return { #permits, breaker:state() }
  end
  return {
    places = { api = taken{ name = "api", max_concurrent = 16 },
      payments = taken{ name = "payments", max_concurrent = 20 },
      guarded = taken{ name = "guarded", max_concurrent = 8 } },
    probes = { api = probes(gateway.clients.api), gated = probes(gateway.clients.gated) },
  }
]]

local function soak(w)
  touch_all(w, WARM_CALLS)
  local evidence = { seconds = w.seconds, workers = world.WORKERS, before = snapshot(w),
    log_before = #w.nginx:error_log() }
  say("the load begins")
  w:start_programs()
  evidence.seen = conduct.run(w, world.WORKERS)
  say("the load is over")
  w:wait_for_programs(PATIENCE)
  evidence.is_quiet = w:is_quiet(20)
  evidence.metrics = w:metrics()
  evidence.after = snapshot(w)
  evidence.after.rest = rest_again(w, evidence.before.rest)
  evidence.bare_heaps = conduct.bare_heaps(w)
  evidence.permits = w.nginx:run(PERMITS)
  evidence.load = w:result_of("load")
  evidence.plain = { ["plain-lua5.4"] = w:result_of("plain-lua5.4"),
    ["plain-luajit"] = w:result_of("plain-luajit") }
  evidence.deliveries = w:result_of("deliveries")
  evidence.lines = { accepted = w:lines("accepted"), runs = w:lines("runs"),
    orders = w:lines("orders") }
  evidence.heaps = { ["plain-lua5.4"] = w:lines("plain-lua5.4.json.heap"),
    ["plain-luajit"] = w:lines("plain-luajit.json.heap"), deliveries = w:lines("heap") }
  evidence.error_log = w.nginx:error_log():sub(evidence.log_before + 1)
  return evidence
end

local function run(settings)
  local w = world.start(settings)
  local done, result = xpcall(soak, debug.traceback, w)
  if done then
    w:keep("evidence.json", result)
  end
  w:stop()
  if not done then
    print("[check] FAIL soak: before its end: " .. tostring(result))
    return false
  end
  return verdict.report(result)
end

local settings = read_arguments(arg)
settings.folder = process.temporary_directory()
say("seed %d, %d seconds, in %s", settings.seed, settings.seconds, settings.folder)
local done, held = xpcall(run, debug.traceback, settings)
if not done then
  print("[check] FAIL soak: " .. tostring(held))
end
if done and held and not settings.keep then
  os.execute("rm -rf " .. process.quoted(settings.folder))
else
  say("all that was written is in %s", settings.folder)
end
if not (done and held) then
  say("again: make soak SEED=%d SECONDS=%d", settings.seed, settings.seconds)
end
os.exit(done and held)
