--- nginx with two workers in front of an API that gets flaky, goes down and comes back: retries,
--- one breaker for both workers, the last known answer, and limits on a dear page. In the end the
--- API's own counters prove that it was spared.
local neap = require "neap"
local account = require "examples.demo.account"
local nginx = require "examples.support.nginx"

local PEOPLE = 4
local BETWEEN_ROUNDS_S = 0.4
local LAST_ROUND_S = 20

-- What the answers of all rounds came to.
local total = { people = 0, answered = 0, attempts = 0, spared = 0, refusing = {}, slowest = 0 }
local breaker = "closed" -- the state that was told last

local function count_keys(set)
  local count = 0
  for _ in pairs(set) do
    count = count + 1
  end
  return count
end

-- The people of one round ask at the same moment, each by a connection of its own.
local function ask_at_once(example, people, path)
  local functions = {}
  for index = 1, people do
    functions[index] = function() return example:ask("GET", path) end
  end
  local answers = {}
  for index, result in ipairs(neap.all(functions)) do
    assert(result[1], result[2])
    answers[index] = assert(result[2], result[3])
  end
  return answers
end

local function add_to_total(answer)
  local attempts = tonumber(answer.headers["X-Attempts"] or 0)
  total.people = total.people + 1
  total.answered = total.answered + (answer.status == 200 and 1 or 0)
  total.attempts = total.attempts + attempts
  total.slowest = math.max(total.slowest, answer.elapsed)
  if attempts == 0 then
    total.spared = total.spared + 1
    total.refusing[answer.headers["X-Worker"]] = true
  end
  return attempts
end

-- What a round is called, and what that means.
local function name_round(attempts, from_memory)
  if attempts == 0 then
    return "reject", "API not asked: last known rates"
  elseif breaker == "open" and from_memory == PEOPLE then
    return "probes", "they failed: last known rates"
  elseif breaker == "open" then
    return "probes", "they went well"
  elseif from_memory > 0 then
    return "fallback", "API failed: last known rates"
  elseif attempts > PEOPLE then
    return "retry", "nobody noticed"
  end
  return "network"
end

local function tell_round(attempts, from_memory)
  local what, meaning = name_round(attempts, from_memory)
  account.tell(PEOPLE .. " people", what, ("%2d API requests"):format(attempts))
  if meaning then
    account.explain(meaning)
  end
  return what
end

local BREAKER_MEANS = {
  open = "for both workers at once",
  half_open = "the next two are probes",
  closed = "back to normal",
}

-- The state as the gateway's page of figures has it.
local function look_at_breaker(example)
  local state = example:stats().rates.breaker.state
  if state ~= breaker then
    account.tell("gateway", "breaker", ("%s -> %s"):format(breaker, state))
    account.explain(BREAKER_MEANS[state])
    breaker = state
  end
end

local function round(example)
  local attempts, from_memory = 0, 0
  for _, answer in ipairs(ask_at_once(example, PEOPLE, "/rates/usd")) do
    attempts = attempts + add_to_total(answer)
    from_memory = from_memory + (answer.headers["X-Source"] == "function" and 1 or 0)
  end
  local what = tell_round(attempts, from_memory)
  look_at_breaker(example)
  neap.sleep(BETWEEN_ROUNDS_S)
  return what
end

local function rounds_until(example, state)
  while breaker ~= state and account.now() < LAST_ROUND_S do
    round(example)
  end
end

local function rounds_until_probes(example)
  repeat
    local what = round(example)
  until what == "probes" or account.now() >= LAST_ROUND_S
end

local function rounds(example, count)
  for _ = 1, count do
    round(example)
  end
end

-- How many of the answers had which status.
local function statuses_of(answers)
  local statuses = { [200] = 0, [429] = 0, [503] = 0 }
  for _, answer in ipairs(answers) do
    statuses[answer.status] = (statuses[answer.status] or 0) + 1
  end
  return statuses
end

local function ask_for_reports(example)
  local answers = ask_at_once(example, 9, "/report")
  local statuses, retry_after = statuses_of(answers), 0
  for _, answer in ipairs(answers) do
    retry_after = retry_after + (answer.retry_after and 1 or 0)
  end
  account.tell("9 people", "limits", ("%d had their report"):format(statuses[200]))
  account.explain(("%d x 503, busy; %d x 429"):format(statuses[503], statuses[429]))
  -- Five a second and two at once; whoever waited for a place may have had one.
  return statuses[200] >= 1 and statuses[200] <= 5 and statuses[429] >= 3
    and statuses[200] + statuses[429] + statuses[503] == 9 and retry_after == 9 - statuses[200]
end

local function story(example)
  account.heading("All is well")
  rounds(example, 2)
  account.heading("The API gets flaky: every third request fails")
  example:behave("flaky")
  rounds(example, 4)
  account.heading("The API goes down")
  example:behave("down")
  rounds_until(example, "open")
  local opened = { at = example:counters().requests }
  rounds(example, 2)
  account.heading("nginx is reloaded: new workers, and the breaker is still open")
  example:reload()
  neap.sleep(0.3)
  rounds(example, 1)
  opened.later = example:counters().requests
  rounds_until_probes(example)
  account.heading("The API is back; nobody tells the gateway")
  example:behave("well")
  rounds_until(example, "closed")
  rounds(example, 1)
  account.heading("Nine people want a page that is made five times a second, two at once")
  return opened, ask_for_reports(example)
end

local function promise(kept, text)
  local word = kept and "yes" or "NO"
  account.say(("  %-3s  %s"):format(word, text), word)
  return kept
end

local function prove(example, opened, limits_held)
  local counters, stats = example:counters(), example:stats().rates
  account.heading("Was it so? The API's own counters say")
  account.say(("  %d people; %d API requests, of which it answered %d and failed %d")
    :format(total.people, counters.requests, counters.answered, counters.failed))
  local kept = {
    promise(total.answered == total.people,
      ("everybody had an answer, the slowest in %.1f s"):format(total.slowest)),
    promise(counters.requests == total.attempts and stats.attempts == total.attempts,
      "the API counted the requests that the gateway reports"),
    promise(opened.later == opened.at and count_keys(total.refusing) > 2,
      ("while the breaker was open it saw none: %d workers refused, old and new")
        :format(count_keys(total.refusing))),
    promise(total.spared > 0 and breaker == "closed",
      ("%d people were served without it, and the breaker closed again"):format(total.spared)),
    promise(limits_held, "the dear page kept its limits, and told the others when to come back"),
  }
  for _, is_kept in ipairs(kept) do
    if not is_kept then
      return false
    end
  end
  return true
end

local function main(example)
  account.say[[
nginx with two workers stands in front of an API that is about to fail. Four
people ask at a time. neap in the gateway: 3 attempts, a breaker that opens for
3 s, the last known answer where the API has none.

    s  who       what happened                     and what people saw]]
  local opened, limits_held = story(example)
  return prove(example, opened, limits_held)
end

local example = nginx.start()
local ran, kept = pcall(main, example)
local output = example:output()
example:stop()
if not ran then
  io.stderr:write("\n", tostring(kept), "\n", output)
end
os.exit(ran and kept and 0 or 1, true)
