-- bin/neap check as a process of its own: what it says of a file of policies, and its status.
local json = require "neap.json"
local process = require "spec.support.process"
local program = require "spec.support.program"

local SOUND = [[{ name = "sound", timeout = { attempt = 3, total = 20 },
  retry = { max_server_delay = 15 }, idempotency = true }]]
local NOTED = [[{ name = "noted" }]]
local WARNED = [[{ name = "warned", retry = { backoff = { jitter = "none" } } }]]
local WRONG = [[{ name = "wrong", tls = { verify = false } }]]
local REFUSED = [[{ name = "refused", retri = false }]]

describe("neap check", function()
  local folder

  before_each(function()
    folder = process.temporary_directory()
  end)

  after_each(function()
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  local function policy_file(text)
    return process.write_file(folder .. "/policy.lua", text)
  end

  local function command_of(...)
    return program.command("check", ...)
  end

  local function run(...)
    return program.run(command_of(...))
  end

  local function check(policy, ...)
    return run(policy_file("return " .. policy), ...)
  end

  it("says what a policy will come to, and ends with 0 where no finding is an error", function()
    local status, said = check(SOUND)
    assert.equal(0, status, said)
    assert.equal("sound\n  a call takes up to 20 s (attempts 9, backoff 33, gate 34.5; " ..
      "timeout.total cuts it), in up to 3 attempts\n  a server that is down gets 1.2 requests " ..
      "for each, 3 without a budget\n0 errors, 0 warnings, 0 notes\n", said)
    said = select(2, check[[{ name = "x", retry = false, gate = false,
      timeout = { attempt = 2 } }]])
    assert.matches("a call takes up to 2 s %(attempts 2%), in up to 1 attempt\n", said)
    said = select(2, check[[{ name = "x", coalesce = true }]])
    assert.matches(", others any; timeout.total cuts it%)", said)
    assert.equal(0, (check(NOTED)))
    assert.equal(0, (check(WARNED)))
  end)

  it("ends with 1 where one is, and tells it with its key, its rule and its page", function()
    local status, said = check(WRONG)
    assert.equal(1, status)
    assert.matches("\n  error    policy.tls.verify %(tls_not_verified, docs/transport.md%)\n" ..
      "           no certificate is looked at", said)
    assert.matches("\n1 error, 0 warnings, 3 notes\n$", said)
  end)

  it("ends with 1 for a warning if it is strict, and for a note never", function()
    assert.equal(1, (check(WARNED, "--strict")))
    assert.equal(0, (check(NOTED, "--strict")))
  end)

  it("leaves notes out if they are not wanted", function()
    local _, said = check(NOTED, "--quiet")
    assert.matches("\n0 errors, 0 warnings, 0 notes\n$", said)
  end)

  it("knows of load and server what it is told", function()
    local policy = [[{ name = "x", rate_limit = { rate = 10 }, retry = false }]]
    assert.equal(0, (check(policy, "--server-rate-limit", "10", "--rate=9", "--strict")))
    assert.equal(1, (check(policy, "--server-rate-limit", "9")))
    assert.equal(1, (check(policy, "--rate", "11", "--strict")))
    assert.equal(1, (check(policy, "--allowed-latency", "29")))
    assert.equal(0, (check(policy, "--allowed-latency", "30", "--workers", "2")))
  end)

  it("checks each policy of a list, and of a map by its keys", function()
    local status, said = check("{ " .. SOUND .. ", " .. WRONG .. " }")
    assert.equal(1, status)
    assert.matches("^%[1%] sound\n.*\n%[2%] wrong\n", said)
    status, said = check("{ b = " .. SOUND .. ", a = " .. NOTED .. ", sound = " .. SOUND .. " }")
    assert.equal(0, status)
    assert.matches("^%[a%] noted\n.*\n%[b%] sound\n.*\nsound\n", said)
  end)

  it("takes keys of any kind in a map", function()
    local status, said = check("{ [true] = " .. SOUND .. ", [false] = " .. NOTED .. " }")
    assert.equal(0, status, said)
    assert.matches("noted\n.*sound\n", said)
  end)

  it("says so where a file raises what is no text", function()
    for raised, kind in pairs{ ["{}"] = "table", ["nil"] = "nil" } do
      local path = policy_file(("error(%s)"):format(raised))
      local status, said = run(path)
      assert.equal(1, status)
      assert.equal(("neap: %s: raised a %s\n"):format(path, kind), said)
    end
  end)

  it("has flags without a value", function()
    local status, said = check(SOUND, "--quiet=yes")
    assert.equal(2, status)
    assert.equal("neap: --quiet takes no value\n", said)
  end)

  it("checks several files, and tells which", function()
    local path = policy_file("return " .. SOUND)
    local other = folder .. "/other.lua"
    assert(os.execute(("cp %s %s"):format(process.quoted(path), process.quoted(other))))
    local status, said = run(path, other)
    assert.equal(0, status)
    assert.is_truthy(said:find("sound (" .. path .. ")\n", 1, true))
    assert.is_truthy(said:find("sound (" .. other .. ")\n", 1, true))
    status, said = run(path, other, "--json")
    assert.equal(0, status)
    assert.is_truthy(said:find('"file":"' .. other .. '"', 1, true))
    assert.equal(1, (run(path, folder .. "/none.lua")))
  end)

  it("tells why a policy is refused, and goes on with the next one", function()
    local status, said = check("{ " .. REFUSED .. ", " .. SOUND .. ", 7 }")
    assert.equal(1, status)
    assert.matches('^%[1%] refused\n  error    refused\n           policy.retri: unknown key, ' ..
      'did you mean "retry"%?\n%[2%] sound\n', said)
    assert.matches("policy: expected a table, got 7\n2 errors", said)
  end)

  it("lets no name steer the terminal", function()
    local _, said = check([[{ ["\27[2Jkey"] = { name = "\27]0;x\7" } }]])
    assert.is_nil(said:find("\27", 1, true), said)
    assert.matches("^%[%?%[2Jkey%] %?%]0;x%?\n", said)
  end)

  it("writes JSON for programs, with --json", function()
    local status, said = check("{ " .. REFUSED .. ", " .. WRONG .. " }", "--json", "--quiet")
    assert.equal(1, status)
    assert.matches("^[^\n]+\n$", said)
    assert.matches('^{"counts":{"error":2,"note":0,"warning":0},"ok":false,"policies":%[', said)
    assert.matches('{"error":"policy.retri: unknown key, did you mean \\"retry\\"%?",' ..
      '"file":"[^"]+","key":1,"name":"refused","ok":false}', said)
    local answer, message = json.decode(said)
    if not answer then
      assert.matches("JSON needs", message)
      return
    end
    local report = answer.policies[2]
    assert.equal(30, report.worst_case)
    assert.equal(3, report.attempts)
    assert.equal(3, report.amplification_without_budget)
    assert.equal("tls_not_verified", report.findings[1].rule)
    assert.equal("error", report.findings[1].level)
  end)

  it("has an empty list where nothing is found", function()
    local status, said = check(SOUND, "--json")
    assert.equal(0, status)
    assert.matches('"findings":%[%],', said)
    assert.matches('"ok":true', said)
  end)

  it("is coloured on a terminal only", function()
    local path = policy_file("return " .. WRONG)
    assert.is_nil(select(2, run(path)):find("\27", 1, true))
    if program.run("command -v script >/dev/null") ~= 0 then
      return pending("the program script is missing")
    end
    local function on_terminal(setting)
      return select(2, program.run(("%s script -qec %s /dev/null </dev/null"):format(setting,
        process.quoted(command_of(path)))))
    end
    assert.is_truthy(on_terminal("TERM=xterm"):find("\27[31merror", 1, true))
    assert.is_nil(on_terminal("TERM=xterm NO_COLOR=1"):find("\27", 1, true))
  end)

  it("lists the rules, as docs/check.md has them", function()
    local status, said = run("--rules")
    assert.equal(0, status)
    assert.is_truthy(process.read_file("docs/check.md"):find(said, 1, true))
  end)

  it("says what is wrong, with a status", function()
    local function refuses(status, pattern, ...)
      local got, said = run(...)
      assert.equal(status, got, said)
      assert.matches("^neap: [^\n]*" .. pattern .. "[^\n]*\n$", said)
    end
    refuses(2, "which policy%?")
    refuses(2, "check has no option %-%-rat", "a.lua", "--rat", "1")
    refuses(2, "%-%-rate: expected a number > 0, got \"0\"", "a.lua", "--rate", "0")
    refuses(2, "%-%-workers: expected a whole number >= 1", "a.lua", "--workers", "1.5")
    refuses(1, "/none.lua", folder .. "/none.lua")
    refuses(1, "policy.lua:1: ", policy_file("retrun"))
    refuses(1, "boom", policy_file("error 'boom'"))
    refuses(1, "expected a policy table to be returned, got nothing", policy_file(""))
  end)
end)
