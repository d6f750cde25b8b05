--- `neap simulate`: shows what a policy does to a server, and to those who call through it.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local policy_file = require "neap.program.policy_file"
local quantities = require "neap.program.quantities"
local simulate = require "neap.simulate"
local terminal = require "neap.program.terminal"

-- The panels that can be asked for, separated by commas.
local PANELS = { load = true, calls = true, latency = true, breakers = true, backlog = true }

local function read_panels(text)
  local list = {}
  for name in text:gmatch("[^,]+") do
    if not PANELS[name] then
      list = {}
      break
    end
    list[#list + 1] = name
  end
  return list[1] and list or nil, "some of load,calls,latency,breakers,backlog"
end

local function read_picture(text)
  return text:match("%.html?$") and text or text:match("%.svg$") and text or nil,
    "a file that ends in .html or .svg"
end

local command = {
  usage = "simulate POLICY [--outage 30s] [options]",
  summary = "show what a policy does to a server in an outage, before there is one",
  operands = 1,
  options = {
    against = arguments.text, name = arguments.text, scenario = arguments.text,
    out = read_picture, json = true,
    clients = arguments.whole, rate = quantities.rate, arrival = arguments.text,
    duration = quantities.length, resolution = quantities.length, seed = quantities.number,
    shared = true, method = arguments.text, replayable = true, resources = arguments.whole,
    capacity = quantities.rate, queue = quantities.length_or_none,
    latency = quantities.length_or_none, spread = quantities.number,
    outage = quantities.length, brownout = quantities.number, slow = quantities.length,
    ["rate-limit"] = quantities.rate, begin = quantities.length_or_none,
    lasting = quantities.length, answer = arguments.text,
    ["retry-after"] = quantities.length_or_none,
    show = read_panels, width = arguments.whole, ascii = true, quiet = true,
  },
  help = [[
Runs the real pipeline of POLICY, a Lua file that returns a client's policy table, on a virtual
clock: many clients, a model of a server, and a scenario. Prints a chart of the load, how calls
ended, latency and breakers, and the figures. docs/simulate.md says what is simulated.

  --against OTHER   a second policy, side by side, with the very same calls
  --name NAME       which policy of files that hold several
  --out FILE        a picture instead: FILE.svg, or a whole page, FILE.html
  --json            all that was seen, for programs

clients; lengths are 500ms, 30s, 10m, 1h or seconds, rates 100/s, 10/m, 5/h or a second's:
  --clients N       so many (1000), each with a state of its own
  --shared          all of them share breaker, gates, limits and budget
  --rate R          calls of each client (1/s)
  --arrival HOW     random, steady or together (random)
  --duration L      how long calls begin (10m)
  --seed N          the same seed gives the same output (1)
  --method M        GET (GET); --replayable: may be repeated whatever the method
  --resources N     how many different ones are asked for, for a cache (1)

the server:
  --capacity R      what it can serve (no limit); more queues
  --queue L         longest wait in the queue, then it refuses with 503 (10s)
  --latency L       of each answer (0.1s); --spread S: up and down by that share (0.5)

the scenario; what is not said begins after a fifth of the duration and lasts a fifth of it:
  --outage L        nothing is served for so long
  --brownout S      that share of requests fails with 503
  --slow L          another latency
  --rate-limit R    the server refuses more with 429; from the begin to the end
  --begin L         when outage, brownout and slowness begin; --lasting L: how long the latter last
  --answer HOW      of the outage: 503, refused or silence (503)
  --retry-after L   what 503 and 429 name (a rate limit: 1s; else nothing)
  --scenario FILE   a Lua file that returns a table of such settings; options win

output:
  --show PANELS     some of load,calls,latency,breakers,backlog
  --width N         columns (the terminal's, else 80); --ascii: no block characters
  --resolution L    of the record (about 600 slots); --quiet: no progress on stderr
]],
}

-- ------------------------------------------------------------------------------- the setting

local PLAIN = { "clients", "rate", "arrival", "duration", "resolution", "seed", "shared", "method",
  "replayable", "resources", "capacity", "queue", "latency", "spread" }

local function load_scenario(path)
  if not path then
    return {}
  end
  local setting = policy_file.load(path, "a table of settings")
  for key in pairs(setting) do
    if key == "label" or key == "progress" then
      ending.give_up(ending.FAILED, "%s: %q is not for this place", path, key)
    end
  end
  return setting
end

local function copy_list(list)
  local copy = {}
  if type(list) ~= "table" then
    return list
  end
  for key, value in pairs(list) do -- also what no list has: the core refuses it by its key
    copy[key] = value
  end
  return copy
end

-- What the options say of incidents.
local function add_incidents(list, given, duration)
  local from, lasting = given.begin or duration / 5, given.lasting or duration / 5
  local function add(incident, names_a_delay)
    incident.from = incident.from or from
    incident.retry_after = names_a_delay and given["retry-after"] or nil
    list[#list + 1] = incident
  end
  if given.outage then
    local answers = not given.answer or given.answer == "503"
    add({ outage = true, lasts = given.outage, answer = given.answer }, answers)
  elseif given.answer then
    ending.give_up(ending.MISUSED, "--answer is for --outage")
  end
  if given.brownout then
    add({ brownout = given.brownout, lasts = lasting }, true)
  end
  if given.slow then
    add({ slow = given.slow, lasts = lasting })
  end
  if given["rate-limit"] then
    add({ rate_limit = given["rate-limit"], from = 0 }, true)
  end
end

local DEFAULT_DURATION = 600

local function setting_of(given)
  local setting = {}
  for key, value in pairs(load_scenario(given.scenario)) do
    setting[key] = value
  end
  for _, name in ipairs(PLAIN) do
    if given[name] ~= nil then
      setting[name] = given[name]
    end
  end
  setting.scenario = copy_list(setting.scenario or {})
  local duration = tonumber(setting.duration) or DEFAULT_DURATION
  if type(setting.scenario) == "table" then
    add_incidents(setting.scenario, given, duration)
  end
  return setting
end

-- ------------------------------------------------------------------------------- running

local function new_progress(label, given)
  if given.quiet or not terminal.is(2) then
    return nil
  end
  return function(share)
    io.stderr:write(("\r%s: %3d %%"):format(label, math.floor(share * 100 + 0.5)))
    if share >= 1 then
      io.stderr:write("\r\27[K")
    end
  end
end

-- Misuse comes with this file as its place, which is of no use to anybody.
local function without_position(message)
  return (tostring(message):gsub("^[^:]*/program/simulate%.lua:%d+: ", ""))
end

-- What is wrong with the setting is wrong usage where all of it comes from options.
local function refuse(message, path, given)
  if not message:match("^simulation") then
    ending.give_up(ending.FAILED, "%s: %s", path, message)
  end
  if given.scenario then
    ending.give_up(ending.FAILED, "%s: %s", given.scenario, message)
  end
  ending.give_up(ending.MISUSED, "%s", message)
end

local function label_of(path)
  return (path:match("([^/]*)$"):gsub("%.lua$", ""))
end

-- The policy of the file, or of several the one that --name names.
local function load_policy(path, name)
  local entries = policy_file.load_all(path)
  if not name and #entries == 1 then
    return entries[1].policy
  end
  for _, entry in ipairs(entries) do
    if name and type(entry.policy) == "table" and rawget(entry.policy, "name") == name then
      return entry.policy
    end
  end
  return ending.give_up(ending.FAILED, name and "%s: there is no policy named %q"
    or "%s: it holds several policies; --name says which", path, name)
end

local function run_one(path, setting, given)
  local policy = load_policy(path, given.name)
  setting.label = label_of(path)
  setting.progress = new_progress(setting.label, given)
  local done, run = pcall(simulate.run, policy, setting)
  if not done then
    refuse(without_position(run), path, given)
  end
  return run
end

local function write_to(path, text)
  local file, message = io.open(path, "wb")
  local done = file and file:write(text) and file:close()
  if not done then
    ending.give_up(ending.FAILED, "%s", message or path .. " cannot be written")
  end
end

local function show(runs, given)
  if given.out then
    local picture = given.out:match("%.svg$") and simulate.svg or simulate.html
    write_to(given.out, picture(runs, { show = given.show }))
  end
  if given.json then
    ending.print(simulate.json(runs), "\n")
  elseif not given.out then
    ending.print(simulate.text(runs, {
      width = given.width or terminal.width(),
      colour = terminal.has_colours(),
      ascii = given.ascii or not terminal.is_utf8(),
      show = given.show,
    }))
  end
end

function command.run(given, operands)
  if not operands[1] then
    ending.give_up(ending.MISUSED, "which policy? neap simulate --help tells more")
  end
  local setting = setting_of(given)
  local runs = { run_one(operands[1], setting, given) }
  if given.against then
    runs[2] = run_one(given.against, setting, given)
  end
  show(runs, given)
  return ending.OK
end

return command
