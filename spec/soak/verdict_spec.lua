-- The soak's checks see what they are for: evidence in which all is well passes, and each flaw in
-- it is told by the check that it belongs to.
local verdict = require "spec.soak.verdict"

local CLIENTS = { "api", "payments", "items", "gated", "nowhere", "streams", "guarded", "spare" }
local CALLS = 100

-- What an attempt comes to that never is connected: one of each was made.
local BEFORE_CONNECTION = { "resolve", "connect", "tls", "timeout" }

local function counters(calls)
  return { calls = calls, ok = calls, attempts = calls, abandoned = 0, coalesced = 0, in_flight = 0,
    listener_errors = 0 }
end

local function stats(calls)
  local all = {}
  for _, name in ipairs(CLIENTS) do
    all[name] = counters(calls)
  end
  return all
end

local function ledger(requests)
  local paths = {}
  for _, name in ipairs(CLIENTS) do
    paths["/s/" .. name] = requests
  end
  paths["/s/plain-lua5.4"] = requests
  return { paths = paths, h2 = { streams = requests }, payments_without_key = 0, keys = {
    k1 = { attempts = 2, payments = 1, mismatched = 0 },
    ["payment-1"] = { attempts = 1, payments = 1, mismatched = 0 },
  } }
end

local function metrics()
  local lines = {}
  local function add(metric, text)
    lines[#lines + 1] = ("# HELP %s x\n# TYPE %s counter"):format(metric, metric)
    for _, name in ipairs(CLIENTS) do
      lines[#lines + 1] = ("%s{client=%q%s} %d"):format(metric, name, text, 2 * CALLS)
    end
  end
  add("neap_calls_total", ',result="ok"')
  add("neap_attempts_total", "")
  return table.concat(lines, "\n") .. "\n"
end

local function line(from, per_second)
  local points = {}
  for second = 1, 300 do
    points[second] = { second, from + per_second * second }
  end
  return points
end

local function series()
  local all = { ["nginx pss_kb"] = line(30000, 0) }
  for _, name in ipairs{ "master", "worker 7", "plain-lua5.4" } do
    for _, key in ipairs{ "rss_kb", "descriptors", "threads", "heap_kb", "malloc_kb" } do
      all[name .. " " .. key] = line(50, 0)
    end
  end
  return all
end

-- 100 calls of each client, before which there were 100 more.
local function evidence()
  local sent, answered, counts = {}, {}, {}
  for _, name in ipairs(CLIENTS) do
    if name ~= "spare" then
      sent[name], answered[name] = CALLS, CALLS
      counts[name] = { calls = CALLS, ok = CALLS, attempts = CALLS }
    end
  end
  for _, kind in ipairs(BEFORE_CONNECTION) do
    counts.nowhere["unseen." .. kind] = 1
  end
  local heap = {}
  for second = 1, 300, 10 do
    heap[#heap + 1] = ("%d 500"):format(second)
  end
  local region = { cells = 30, used = 7000, evicted = 0, refused = 0, processes = 5 }
  local rest = { descriptors = 40, threads = 2 }
  local after = ledger(2 * CALLS)
  after.paths["/s/nowhere"] = 2 * CALLS - #BEFORE_CONNECTION
  return {
    seconds = 300, workers = 4, is_quiet = true, error_log = "", metrics = metrics(),
    before = { stats = stats(CALLS), ledger = ledger(CALLS), region = region, rest = rest },
    after = { stats = stats(2 * CALLS), ledger = after, region = region, rest = rest },
    seen = { kills = { { pid = 7, before = 100, after = 100.1 } }, reloads = 1, zombies = 0,
      stuck = {}, calm_from = 150, bare_heaps = { ["7"] = 690 }, series = series() },
    load = { sent = sent, answered = answered, hung_up = {}, goodbyes = {}, cuts = {},
      counts = counts, paid_keys = { "k1" }, worst = 1.4, stall = 0, skipped = 300 * 200,
      unanswered = { count = 0, examples = {} }, wrong = { count = 0, examples = {} } },
    plain = { ["plain-lua5.4"] = { counts = { calls = CALLS, ok = CALLS, attempts = CALLS },
      stats = counters(CALLS), wrong = {}, worst = 1, stall = 0 } },
    deliveries = { answers = { ["202"] = 3 }, left = { waiting = 0, taken = 0, dead = 0 },
      totals = { delivered = 2, retried = 0 }, wrong = {} },
    lines = { accepted = { "payment-1", "order-1" }, runs = { "payment-1", "order-1" },
      orders = { "order-1" } },
    heaps = { ["plain-lua5.4"] = heap }, bare_heaps = { ["7"] = 700 },
    permits = { places = { api = 16, payments = 20, guarded = 8 },
      probes = { api = { 3, "closed" }, gated = { 3, "closed" } } },
  }
end

-- Names of the checks that have found something.
local function failed(e)
  local names = {}
  for _, result in ipairs(verdict.judge(e)) do
    if #result.problems > 0 then
      names[#names + 1] = result.name
    end
  end
  return names
end

local function copy(value)
  local made = {}
  for key, inner in pairs(value) do
    made[key] = type(inner) == "table" and copy(inner) or inner
  end
  return made
end

-- Each flaw, and the check that has to tell it.
local FLAWS = {
  ["an answer that never came"] = { "each call ends once",
    function(e) e.load.answered.api = CALLS - 1 end },
  ["an answer for another call"] = { "with an answer of its own",
    function(e) e.load.wrong.count = 1 end },
  ["a refused connection"] = { "each call ends once", function(e)
    e.load.unanswered.count, e.load.answered.api = 1, CALLS - 1
  end },
  ["a late answer"] = { "within its deadline", function(e) e.load.worst = 4 end },
  ["a cut without a kill"] = { "cut off by kills only", function(e)
    e.load.cuts, e.load.answered.api = { { kind = "api", began = 200, at = 200.1 } }, CALLS - 1
  end },
  ["a cut long after the kill"] = { "cut off by kills only", function(e)
    e.load.cuts, e.load.answered.api = { { kind = "api", began = 99, at = 103 } }, CALLS - 1
  end },
  ["a load that was not made"] = { "at the rate that was meant",
    function(e) e.load.skipped = 0 end },
  ["a retry that nobody has seen"] = { "counted as heard",
    function(e) e.after.stats.gated["retries.503"] = 1 end },
  ["a call that is not counted"] = { "counted as heard",
    function(e) e.load.counts.api.calls = CALLS + 1 end },
  ["a call without an end"] = { "calls = ok + failed + errors + gone",
    function(e) e.before.stats.spare.ok = CALLS + 1 end },
  ["a call in flight"] = { "nothing in flight when quiet", function(e)
    e.after.stats.spare.in_flight, e.before.stats.spare.ok = 1, CALLS + 1
  end },
  ["a request that was sent twice"] = { "attempts as the upstream saw them",
    function(e) e.after.ledger.paths["/s/items"] = 2 * CALLS + 1 end },
  ["an attempt that was not sent"] = { "attempts as the upstream saw them",
    function(e) e.after.ledger.paths["/s/plain-lua5.4"] = 2 * CALLS - 1 end },
  ["weather without a name that fails"] = { "faults before there is a connection", function(e)
    e.load.counts.nowhere["unseen.resolve"] = nil
    e.after.ledger.paths["/s/nowhere"] = 2 * CALLS - 3
  end },
  ["a plain program's lost count"] = { "plain programs count exactly",
    function(e) e.plain["plain-lua5.4"].counts.ok = CALLS - 1 end },
  ["a page that says something else"] = { "Prometheus has the same", function(e)
    e.metrics = e.metrics:gsub('neap_attempts_total{client="api"} 200',
      'neap_attempts_total{client="api"} 201')
  end },
  ["a payment made twice"] = { "payments once a key",
    function(e) e.after.ledger.keys.k1.payments = 2 end },
  ["a payment with another's key"] = { "payments once a key",
    function(e) e.after.ledger.keys.k1.mismatched = 1 end },
  ["a payment that was answered and never made"] = { "payments once a key",
    function(e) e.load.paid_keys[2] = "k2" end },
  ["work done twice under a key"] = { "the guard has the work done once",
    function(e) e.lines.runs[3] = "order-1" end },
  ["an order delivered twice"] = { "what the outbox took arrives once",
    function(e) e.lines.orders[2] = "order-1" end },
  ["an order that was lost"] = { "what the outbox took arrives once",
    function(e) e.lines.orders[1] = nil end },
  ["a dead letter"] = { "what the outbox took arrives once",
    function(e) e.deliveries.left.dead = 1 end },
  ["a leak of the master"] = { "memory of the master (RSS)",
    function(e) e.seen.series["master rss_kb"] = line(16000, 5) end },
  ["a leak of the workers"] = { "memory of a worker in the calm (RSS)",
    function(e) e.seen.series["worker 7 rss_kb"] = line(16000, 40) end },
  ["a leak of what the workers have from malloc"] = { "the same, of it what malloc has given out",
    function(e) e.seen.series["worker 7 malloc_kb"] = line(4000, 8) end },
  ["a leak in a worker's Lua"] = { "Lua's heap of a worker in the calm",
    function(e) e.seen.series["worker 7 heap_kb"] = line(1000, 5) end },
  ["a small leak in a worker's Lua"] = { "the same without compiled traces",
    function(e) e.bare_heaps["7"] = 900 end },
  ["a leak of all together"] = { "memory of nginx in the unrest (PSS)",
    function(e) e.seen.series["nginx pss_kb"] = line(16000, 100) end },
  ["a leak of a plain program"] = { "memory of plain programs (RSS)",
    function(e) e.seen.series["plain-lua5.4 rss_kb"] = line(16000, 10) end },
  ["a leak in a plain program's Lua"] = { "Lua's heap of plain programs", function(e)
    for index = 1, 30 do
      e.heaps["plain-lua5.4"][index] = ("%d %d"):format(index * 10, 500 + 30 * index)
    end
  end },
  ["a leak of descriptors"] = { "descriptors",
    function(e) e.seen.series["worker 7 descriptors"] = line(40, 0.3) end },
  ["descriptors that are not given back"] = { "descriptors",
    function(e) e.after.rest = { descriptors = 41, threads = 2 } end },
  ["a leak of threads"] = { "threads",
    function(e) e.after.rest = { descriptors = 40, threads = 3 } end },
  ["a zombie"] = { "dead processes are buried", function(e) e.seen.zombies = 3 end },
  ["a worker that does not go"] = { "dead processes are buried",
    function(e) e.seen.stuck["7"] = 25 end },
  ["a lost place"] = { "places and probes are back",
    function(e) e.permits.places.api = 15 end },
  ["a lost probe"] = { "places and probes are back",
    function(e) e.permits.probes.api[1] = 2 end },
  ["a cell more in the region"] = { "the shared region",
    function(e) e.after.region.cells = 31 end },
  ["an error in the log"] = { "nginx's log of errors", function(e)
    e.error_log = "2026/01/01 00:00:00 [error] 1#1: something\n"
  end },
  ["a death of its own"] = { "nginx's log of errors", function(e)
    e.error_log = "2026/01/01 00:00:00 [alert] 1#1: worker process 8 exited on signal 9\n"
  end },
}

describe("the soak's checks", function()
  it("find nothing where all is well", function()
    assert.same({}, failed(copy(evidence())))
  end)

  it("take a death by kill, and what it cut off, for what it is", function()
    local e = copy(evidence())
    e.error_log = "2026/01/01 00:00:00 [alert] 1#1: worker process 7 exited on signal 9\n"
    e.load.cuts = { { kind = "api", began = 99.9, at = 100.1 } }
    e.load.answered.api, e.load.sent.api = CALLS - 1, CALLS
    e.load.counts.api = { calls = CALLS - 1, ok = CALLS - 1, attempts = CALLS - 1 }
    e.before.stats.api.ok = CALLS + 1 -- and its call has no end
    assert.same({}, failed(e))
  end)

  it("take a call without an end for one of a killed worker whose caller had just left", function()
    local e = copy(evidence())
    e.load.goodbyes = { { kind = "api", at = 100.15 } }
    e.load.hung_up.api, e.load.answered.api = 1, CALLS - 1
    e.load.counts.api = { calls = CALLS - 1, ok = CALLS - 1, attempts = CALLS - 1 }
    e.before.stats.api.ok = CALLS + 1
    assert.same({}, failed(e))
    e.load.goodbyes[1].at = 100.3
    assert.same({ "calls = ok + failed + errors + gone" }, failed(e))
  end)

  it("say once more what does not hold, below the table, as a check does", function()
    local e, said = copy(evidence()), {}
    local function keep(text)
      said[#said + 1] = text
    end
    FLAWS["a death of its own"][2](e)
    assert.is_false(verdict.report(e, keep))
    assert.matches("^%[check%] FAIL soak: nginx's log of errors: seen .*, allowed ",
      said[#said - 1])
    assert.matches("^       %- .*signal 9", said[#said])
    said = {}
    assert.is_true(verdict.report(copy(evidence()), keep))
    assert.is_nil(table.concat(said, "\n"):find("FAIL", 1, true))
  end)

  for flaw, case in pairs(FLAWS) do
    it("tell " .. flaw, function()
      local e = copy(evidence())
      case[2](e)
      assert.is_truthy(table.concat(failed(e), "\n"):find(case[1], 1, true),
        table.concat(failed(e), ", "))
    end)
  end
end)
