--- What the callers have got: each call answered once, in time, with its own answer.
--
-- A check gets the evidence and a function to tell what does not hold, and returns what it saw and
-- what was allowed, in words.
local checks = {}

local TOTAL = 1.5 -- timeout.total of the gateway's clients, in seconds

local SLACK = 1.5 -- on a busy machine

-- What the machine itself stood still is nobody's lateness.
local function slack(seconds, stall)
  return seconds + 2 * stall
end

local function sum(counts)
  local all = 0
  for _, count in pairs(counts) do
    all = all + count
  end
  return all
end

local function tell_all(count, examples, what, tell)
  if count > 0 then
    tell("%d %s", count, what)
  end
  for _, example in ipairs(examples) do
    tell("%s", example)
  end
end

-- Without an answer are calls that were refused, never ended, or got something else.
checks[#checks + 1] = { "each call ends once", function(e, tell)
  local load = e.load
  tell_all(load.unanswered.count, load.unanswered.examples, "have no answer", tell)
  local ended = sum(load.answered) + sum(load.hung_up) + #load.cuts + load.unanswered.count
  if sum(load.sent) ~= ended then
    tell("%d calls were sent, and %d ended", sum(load.sent), ended)
  end
  return ("%d sent: %d answered, %d hung up, %d cut"):format(sum(load.sent), sum(load.answered),
    sum(load.hung_up), #load.cuts), "a sum, nobody without"
end }

checks[#checks + 1] = { "with an answer of its own", function(e, tell)
  local wrong = e.load.wrong.count
  tell_all(wrong, e.load.wrong.examples, "answers of the gateway are wrong", tell)
  for name, program in pairs(e.plain) do
    wrong = wrong + #program.wrong
    tell_all(#program.wrong, program.wrong, "answers of " .. name .. " are wrong", tell)
  end
  return ("%d wrong"):format(wrong), "0"
end }

checks[#checks + 1] = { "within its deadline", function(e, tell)
  local allowed = TOTAL + slack(SLACK, e.load.stall)
  if e.load.worst > allowed then
    tell("an answer took %.3f s; the deadline is %.1f s", e.load.worst, TOTAL)
  end
  for name, program in pairs(e.plain) do
    if program.worst > TOTAL + slack(SLACK, program.stall) then
      tell("a call of %s took %.3f s, which stood still for %.3f s", name, program.worst,
        program.stall)
    end
  end
  return ("worst %.2f s"):format(e.load.worst), ("%.2f s"):format(allowed)
end }

-- A cut needs a kill, while its call was open and just before it was cut.
local function is_explained(cut, kills, late)
  for _, kill in ipairs(kills) do
    if kill.before <= cut.at + 0.05 and cut.began <= kill.after + 0.1
      and cut.at - kill.after <= late then
      return true
    end
  end
  return false
end

checks[#checks + 1] = { "cut off by kills only", function(e, tell)
  local late, unexplained = slack(0.5, e.load.stall), 0
  for _, cut in ipairs(e.load.cuts) do
    if not is_explained(cut, e.seen.kills, late) then
      unexplained = unexplained + 1
      tell("a call of %s was cut after %.3f s, at %.3f, and no worker was killed then", cut.kind,
        cut.at - cut.began, cut.at)
    end
  end
  return ("%d cuts, %d kills, %d reloads"):format(#e.load.cuts, #e.seen.kills, e.seen.reloads),
    "0 unexplained"
end }

checks[#checks + 1] = { "at the rate that was meant", function(e, tell)
  local sent, meant = sum(e.load.sent), e.seconds * 200
  if sent + e.load.skipped < meant * 0.9 then
    tell("%d calls were sent, of %d", sent, meant)
  end
  return ("%.0f calls/s"):format(sent / e.seconds), ("%d left out by standstills")
    :format(e.load.skipped)
end }

return checks
