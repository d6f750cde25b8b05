---@meta neap.simulate

local simulate = {}

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

--- Runs the policy against the setting. It blocks.
---@param policy neap.Policy
---@param setting? neap.SimulationSetting
---@return neap.SimulationRun
function simulate.run(policy, setting) end

--- Runs of the same setting as a chart for a terminal.
---@param runs neap.SimulationRun[] one or two
---@param options? { width: integer?, colour: boolean?, ascii: boolean?, show: string[]? }
---@return string
function simulate.text(runs, options) end

--- The same as a picture: a whole SVG document.
---@param runs neap.SimulationRun[] one or two
---@param options? { show: string[]?, height: integer? }
---@return string
function simulate.svg(runs, options) end

--- The same as a page with the picture and the figures.
---@param runs neap.SimulationRun[] one or two
---@param options? { show: string[]? }
---@return string
function simulate.html(runs, options) end

--- All that was seen, for programs.
---@param runs neap.SimulationRun[]
---@return string
function simulate.json(runs) end

return simulate
