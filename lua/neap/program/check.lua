--- `neap check`: says what policies will come to, and what is wrong with them, before production
--- does.
local arguments = require "neap.program.arguments"
local core = require "neap.core"
local ending = require "neap.program.ending"
local json_text = require "neap.program.json_text"
local neap = require "neap"
local policy_file = require "neap.program.policy_file"
local terminal = require "neap.program.terminal"

local print = ending.print_line

local WIDTH = 100

local check = {
  usage = "check POLICY... [options] | --rules",
  summary = "say what a policy will come to, and what is wrong with it",
  operands = math.huge,
  options = {
    rate = arguments.positive,
    ["allowed-latency"] = arguments.seconds,
    ["server-rate-limit"] = arguments.positive,
    workers = arguments.whole,
    json = true,
    strict = true,
    quiet = true,
    rules = true,
  },
  help = [[
POLICY is a Lua file that returns the policy of a client, or a list or map of policies; there may be
several files. Nothing is asked of the network.

  --rate N               calls a second that the client will make
  --allowed-latency S    seconds that a call may take
  --server-rate-limit N  requests a second that the server takes
  --workers N            processes that share the policy's state by neap.shared (1)
  --json                 one line of JSON, for programs
  --quiet                no notes
  --strict               warnings fail too
  --rules                list the rules, as a table of Markdown, and end
]],
  statuses = [[
Status 0: no errors, or with --strict no warnings either; 1: some, or a policy that is refused, or
no file; 2: wrong usage.
]],
}

local COLOURS = { error = "red", warning = "yellow", note = "blue" }

-- ------------------------------------------------------------------------------- what is found

local function without_notes(findings)
  local kept = {}
  for _, finding in ipairs(findings) do
    if finding.level ~= "note" then
      kept[#kept + 1] = finding
    end
  end
  return kept
end

local function name_of(entry)
  local name = type(entry.policy) == "table" and rawget(entry.policy, "name")
  return type(name) == "string" and name or nil
end

-- The report with the file, the policy's name and its key there; a policy that is refused has
-- `error`.
local function report_on(path, entry, facts, is_quiet)
  local done, report = pcall(neap.check, entry.policy, facts)
  if not done then
    report = { ok = false, error = report:match("policy[%.%[:].*$") or report }
  elseif is_quiet then
    report.findings = without_notes(report.findings)
  end
  report.file = path
  report.name = name_of(entry)
  report.key = entry.key
  return report
end

local function facts_of(given)
  return {
    rate = given.rate,
    allowed_latency = given["allowed-latency"],
    server_rate_limit = given["server-rate-limit"],
    workers = given.workers,
  }
end

-- A file that cannot be run ends it all: what is in it nobody knows.
local function report_on_all(paths, given)
  local reports, facts = {}, facts_of(given)
  for _, path in ipairs(paths) do
    for _, entry in ipairs(policy_file.load_all(path)) do
      reports[#reports + 1] = report_on(path, entry, facts, given.quiet)
    end
  end
  return reports
end

local function count_levels(reports)
  local counts = { error = 0, warning = 0, note = 0 }
  for _, report in ipairs(reports) do
    counts.error = counts.error + (report.error and 1 or 0)
    for _, finding in ipairs(report.findings or {}) do
      counts[finding.level] = counts[finding.level] + 1
    end
  end
  return counts
end

-- ------------------------------------------------------------------------------- for people

local function print_finding(level, head, message)
  print(("  %s %s"):format(terminal.coloured(COLOURS[level], ("%-8s"):format(level)), head))
  print(terminal.wrapped(message, (" "):rep(11), WIDTH))
end

local function counted(number, word)
  return ("%d %s%s"):format(number, word, number == 1 and "" or "s")
end

local PARTS = { "attempts", "backoff", "gate", "rate_limit", "bulkhead", "others" }

-- What the worst case is made of: "attempts 9, backoff 4.5".
local function words_of_parts(report)
  local words, sum = {}, 0
  for _, name in ipairs(PARTS) do
    local seconds = report.parts[name]
    local length = seconds == math.huge and "any" or ("%.6g"):format(seconds)
    sum = sum + seconds
    if seconds > 0 then
      words[#words + 1] = ("%s %s"):format((name:gsub("_", " ")), length)
    end
  end
  local cut = sum > report.worst_case + 1e-6 and "; timeout.total cuts it" or ""
  return table.concat(words, ", ") .. cut
end

local function print_figures(report)
  print(("  a call takes up to %.6g s (%s), in up to %s"):format(report.worst_case,
    words_of_parts(report), counted(report.attempts, "attempt")))
  print(("  a server that is down gets %.3g requests for each, %.3g without a budget"):format(
    report.amplification, report.amplification_without_budget))
end

local function print_report(report, has_siblings)
  local key = report.key ~= nil and report.key ~= report.name and ("[%s] "):format(
    terminal.plain(tostring(report.key))) or ""
  local file = has_siblings and (" (%s)"):format(report.file) or ""
  print(terminal.coloured("bold", key .. terminal.plain(report.name or "a policy")) .. file)
  if report.error then
    print_finding("error", "refused", report.error)
    return
  end
  print_figures(report)
  for _, finding in ipairs(report.findings) do
    print_finding(finding.level, ("%s (%s, docs/%s)"):format(finding.path, finding.rule,
      finding.page), finding.message)
  end
end

local function print_reports(reports, counts)
  for _, report in ipairs(reports) do
    print_report(report, reports[1].file ~= reports[#reports].file)
  end
  print(("%s, %s, %s"):format(counted(counts.error, "error"), counted(counts.warning, "warning"),
    counted(counts.note, "note")))
end

local function print_rules()
  print("| rule | level | key | what it finds | page |\n|---|---|---|---|---|")
  for _, rule in ipairs(core.check_rules()) do
    print(("| `%s` | %s | `%s` | %s | [%s](%s) |"):format(rule.rule, rule.level, rule.path,
      rule.summary, rule.page:match("^[^.]+"), rule.page))
  end
end

-- ------------------------------------------------------------------------------- the whole

function check.run(given, operands)
  if given.rules then
    print_rules()
    return ending.OK
  end
  if not operands[1] then
    ending.give_up(ending.MISUSED, "which policy? neap check --help tells more")
  end
  local reports = report_on_all(operands, given)
  local counts = count_levels(reports)
  local failed = counts.error > 0 or (given.strict and counts.warning > 0)
  if given.json then
    print(json_text{ ok = not failed, counts = counts, policies = reports })
  else
    print_reports(reports, counts)
  end
  return failed and ending.FAILED or ending.OK
end

return check
