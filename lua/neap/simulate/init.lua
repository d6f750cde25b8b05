--- What a policy does to a server, and to those who call through it, before it meets an outage: the
--- real pipeline, many clients, the model of a server, and a clock that jumps. docs/simulate.md
--- says what is simulated and what is not.
local core = require "neap.core"
local notes = require "neap.simulate.notes"
require "neap.error"

---@class neap.SimulationIncident exactly one of the first four
---@field outage? true
---@field brownout? number the share of requests that fail with 503
---@field slow? number seconds: another latency
---@field rate_limit? number requests a second; who is above is refused with 429
---@field from? number seconds from the begin (0)
---@field lasts? number seconds (to the end)
---@field answer? "503"|"refused"|"silence" what an outage looks like ("503")
---@field retry_after? number seconds that the server names (a rate limit: 1; else it names none)

---@class neap.SimulationSetting
---@field clients? integer (1000)
---@field rate? number calls a second of each client (1)
---@field arrival? "random"|"steady"|"together" ("random")
---@field duration? number seconds in which calls begin (600)
---@field resolution? number seconds of a slot of the record
---@field seed? integer (1)
---@field shared? boolean all clients share breaker, gates, limits and budget (false)
---@field method? string (GET)
---@field replayable? boolean the requests say that they may be repeated (false)
---@field resources? integer how many different ones are asked for, for a cache (1)
---@field capacity? number requests a second that the server can serve (no limit)
---@field queue? number seconds that a request waits for the server at most (10)
---@field latency? number seconds, mean (0.1)
---@field spread? number share of the latency, up and down (0.5)
---@field scenario? neap.SimulationIncident[]
---@field label? string what charts call the run (the policy's name)
---@field progress? fun(share: number) called now and then while it runs

---@class neap.SimulationSlots each list has `count` numbers, one for each slot
---@field count integer
---@field width number seconds
---@field calls integer[] begun
---@field attempts integer[] requests that reached for the server: its load
---@field refused integer[] of these, those that the server did nothing for
---@field served integer[] requests that the server has worked on
---@field answers table<string, integer[]> calls that ended so
---@field errors table<string, integer[]>
---@field p50 number[] seconds, of the calls that ended
---@field p99 number[]
---@field open integer[] breakers, at the slot's end
---@field half_open integer[]
---@field in_flight integer[] calls, at the slot's end
---@field backlog number[] seconds that a request would wait for the server, at the slot's end

---@class neap.SimulationRun
---@field label string
---@field setting neap.SimulationSetting with what was not given
---@field calls integer
---@field attempts integer
---@field amplification number attempts a call
---@field peak number the highest load in a slot, requests a second
---@field refused integer
---@field served integer
---@field unfinished integer calls that had not ended an hour after the duration
---@field answers table<string, integer> network, cache, stale, …, 4xx, 5xx
---@field errors table<string, integer> by kind
---@field retries table<string, integer>
---@field rejections table<string, integer>
---@field transitions table<string, integer> of breakers, by the state entered
---@field latency table of calls: count, mean, p50, p90, p95, p99, max
---@field attempt_latency table
---@field slots neap.SimulationSlots
---@field notes string[] what of the policy is not simulated, or not as it is

local simulate = {}

-- How often `progress` is called.
local PIECES = 100

local function without_own_keys(setting)
  local rest = {}
  for key, value in pairs(setting or {}) do
    if key ~= "label" and key ~= "progress" then
      rest[key] = value
    end
  end
  return rest
end

local function flaw_of(setting)
  if setting == nil then
    return nil
  end
  if type(setting) ~= "table" then
    return ("simulation: expected a table, got a %s"):format(type(setting))
  end
  local label, progress = setting.label, setting.progress
  if label ~= nil and type(label) ~= "string" then
    return ("simulation.label: expected a string, got a %s"):format(type(label))
  end
  if progress ~= nil and type(progress) ~= "function" then
    return ("simulation.progress: expected a function, got a %s"):format(type(progress))
  end
end

local function carry_out(made, duration, progress)
  if not progress then
    return made:run()
  end
  for piece = 1, PIECES do
    made:run(duration * piece / PIECES)
    progress(piece / PIECES)
  end
  made:run()
end

local function highest_rate(slots)
  local most = 0
  for _, count in ipairs(slots.attempts) do
    most = math.max(most, count)
  end
  return most / slots.width
end

--- Runs the policy against the setting. Raises at the caller's line if one of them is misused, and
--- what functions of the policy raise. It takes some hundred nanoseconds a call, and blocks.
---
---     local simulate = require "neap.simulate"
---     local run = simulate.run({ name = "api" }, {
---       clients = 100, duration = 300, scenario = { { outage = true, from = 60, lasts = 30 } },
---     })
---     assert(run.amplification < 1.2)
---@param policy neap.Policy a client's policy
---@param setting? neap.SimulationSetting
---@return neap.SimulationRun
function simulate.run(policy, setting)
  local flaw = flaw_of(setting)
  if flaw then
    error(flaw, 2)
  end
  local made, kept = core.simulation(policy, without_own_keys(setting))
  if not made then
    error(kept, 2)
  end
  local complete = made:setting()
  carry_out(made, complete.duration, setting and setting.progress)
  local run = made:record()
  run.setting = complete
  run.label = setting and setting.label or policy.name
  run.amplification = run.calls > 0 and run.attempts / run.calls or 0
  run.peak = highest_rate(run.slots)
  run.notes = notes.of(policy, kept)
  return run
end

--- Runs of the same setting as a chart for a terminal, side by side.
---@param runs neap.SimulationRun[] one or two
---@param options? { width: integer?, colour: boolean?, ascii: boolean?, show: string[]? } (80)
---@return string
function simulate.text(runs, options)
  return require("neap.simulate.chart").text(runs, options or {})
end

--- The same as a picture: a whole SVG document that needs nothing from elsewhere.
---@param runs neap.SimulationRun[] one or two
---@param options? { show: string[]?, height: integer? }
---@return string
function simulate.svg(runs, options)
  return require("neap.simulate.svg").document(runs, options or {})
end

--- The same as a page with the picture and the figures.
---@param runs neap.SimulationRun[] one or two
---@param options? { show: string[]? }
---@return string
function simulate.html(runs, options)
  return require("neap.simulate.page").html(runs, options or {})
end

local OBJECT = { __jsontype = "object" }
local COUNTS = { "answers", "errors", "failed", "retries", "timeouts", "rejections", "fallbacks",
  "cache", "transitions" }

local function mark_objects(run)
  for _, name in ipairs(COUNTS) do
    setmetatable(run[name], OBJECT)
  end
  setmetatable(run.slots.answers, OBJECT)
  setmetatable(run.slots.errors, OBJECT)
end

--- All that was seen, for programs. Keys are in order, so the same runs give the same text.
---@param runs neap.SimulationRun[]
---@return string
function simulate.json(runs)
  for _, run in ipairs(runs) do
    mark_objects(run)
  end
  return require("neap.program.json_text"){ runs = runs }
end

return simulate
