-- `neap simulate` as a process: options, files, exit statuses.
local process = require "spec.support.process"
local program = require "spec.support.program"

local spread = unpack or table.unpack

describe("neap simulate", function()
  local folder

  before_each(function()
    folder = process.temporary_directory()
  end)

  after_each(function()
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  local function write_file(name, text)
    return process.write_file(folder .. "/" .. name, text)
  end

  local function policy(name, part)
    return write_file(name, ("return { name = 'api', %s }"):format(part or ""))
  end

  -- Its status, and all that it says.
  local function run_in(environment, ...)
    return program.run(environment .. " " .. program.command("simulate", ...))
  end

  local function run(...)
    return run_in("env -u COLUMNS LC_ALL=C.UTF-8", ...)
  end

  local SMALL = { "--clients", "50", "--duration", "60s" }

  local function small(path, ...)
    local words = { path }
    for _, word in ipairs(SMALL) do words[#words + 1] = word end
    for _, word in ipairs{ ... } do words[#words + 1] = word end
    return spread(words)
  end

  it("prints a chart of 80 columns without colours", function()
    local status, text = run(small(policy("mine.lua"), "--outage", "10s"))
    assert.equal(0, status)
    assert.is_truthy(text:find("\nmine\n", 1, true))
    assert.is_truthy(text:find("answered by network", 1, true))
    assert.is_truthy(text:find("█", 1, true))
    assert.is_falsy(text:find("\27", 1, true))
    for line in text:gmatch("[^\n]+") do
      local _, columns = line:gsub("[^\128-\191]", "")
      assert.is_true(columns <= 80)
    end
  end)

  it("is as wide as the terminal says, and ASCII where the locale is", function()
    local _, text = run_in("env COLUMNS=120 LC_ALL=C", small(policy("mine.lua")))
    assert.is_falsy(text:find("[^\n\32-\126]"))
    local longest = 0
    for line in text:gmatch("[^\n]+") do longest = math.max(longest, #line) end
    assert.is_true(longest > 100 and longest <= 120)
  end)

  it("says the same again with the same seed", function()
    local path = policy("mine.lua")
    local _, first = run(small(path, "--json", "--brownout", "0.3"))
    local _, second = run(small(path, "--json", "--brownout", "0.3"))
    local _, third = run(small(path, "--json", "--brownout", "0.3", "--seed", "2"))
    assert.equal(first, second)
    assert.are_not.equal(first, third)
  end)

  it("compares two policies", function()
    local status, text = run(small(policy("mine.lua"), "--outage", "10s", "--against",
      policy("other.lua", "breaker = false")))
    assert.equal(0, status)
    assert.is_truthy(text:find("\nmine +other\n"))
  end)

  it("takes one policy of several by its name", function()
    local path = write_file("many.lua", "return { { name = 'a' }, b = { name = 'b' } }")
    assert.equal(0, (run(small(path, "--name", "b"))))
  end)

  for _, kind in ipairs{ "svg", "html" } do
    it("writes a picture as " .. kind, function()
      local out = folder .. "/picture." .. kind
      local status, text = run(small(policy("mine.lua"), "--out", out))
      assert.equal(0, status)
      assert.equal("", text)
      assert.is_truthy(process.read_file(out):find("<svg", 1, true))
    end)
  end

  local function setting_of(...)
    local status, text = run(small(policy("mine.lua"), "--json", ...))
    assert.equal(0, status, text)
    return text:match('"setting":(%b{})')
  end

  it("has incidents begin after a fifth of the duration", function()
    assert.is_truthy(setting_of("--outage", "10s"):find(
      '{"answer":"503","from":12,"lasts":10,"outage":true}', 1, true))
    assert.is_truthy(setting_of("--brownout", "0.3"):find(
      '{"brownout":0.3,"from":12,"lasts":12}', 1, true))
    assert.is_truthy(setting_of("--slow", "2s", "--begin", "0", "--lasting", "5s"):find(
      '{"from":0,"lasts":5,"slow":2}', 1, true))
    assert.is_truthy(setting_of("--slow", "2s", "--retry-after", "3s"):find(
      '{"from":12,"lasts":12,"slow":2}', 1, true))
    assert.is_truthy(setting_of("--rate-limit", "600/m", "--retry-after", "3s"):find(
      '"from":0,"lasts":31536000,"rate_limit":10,"retry_after":3', 1, true))
  end)

  it("reads lengths and rates", function()
    local setting = setting_of("--latency", "50ms", "--rate", "30/m", "--capacity", "100/s",
      "--queue", "0")
    for _, part in ipairs{ '"latency":0.05', '"rate":0.5', '"capacity":100', '"queue":0' } do
      assert.is_truthy(setting:find(part, 1, true), part)
    end
  end)

  it("reads a scenario from a file, and options win", function()
    local scenario = write_file("scenario.lua", [[return {
      duration = 30, clients = 7, scenario = { { outage = true, from = 5, lasts = 5 } } }]])
    local _, text = run(policy("mine.lua"), "--scenario", scenario, "--clients", "9", "--slow", "1",
      "--json")
    assert.is_truthy(text:find('"clients":9', 1, true))
    assert.is_truthy(text:find('"duration":30', 1, true))
    assert.is_truthy(text:find('"from":5,"lasts":5,"outage":true},{"from":6,"lasts":6,"slow":1}', 1,
      true))
  end)

  it("takes less than ten seconds for a thousand clients over ten minutes", function()
    local began = os.time()
    local status = run(policy("mine.lua"), "--outage", "30s")
    assert.equal(0, status)
    assert.is_true(os.time() - began < 10)
  end)

  it("tells wrong usage with status 2", function()
    local path = policy("mine.lua")
    local CASES = {
      { { }, "which policy?" },
      { { path, "--outage", "soon" }, "--outage: expected a length of time" },
      { { path, "--outage", "0" }, "--outage: expected a length of time" },
      { { path, "--rate", "5/fortnight" }, "--rate: expected a rate" },
      { { path, "--clients", "0" }, "--clients: expected a whole number >= 1" },
      { { path, "--clients", "2000000" }, "simulation.clients: expected an integer" },
      { { path, "--arrival", "never" }, "simulation.arrival: expected one of" },
      { { path, "--answer", "503" }, "--answer is for --outage" },
      { { path, "--out", "picture.png" }, "a file that ends in .html or .svg" },
      { { path, "--show", "load,sound" }, "some of load,calls,latency,breakers,backlog" },
      { { path, path }, "one argument too many" },
      { { path, "--sometimes" }, "no option --sometimes" },
    }
    for _, case in ipairs(CASES) do
      local status, text = run(spread(case[1]))
      assert.equal(2, status, text)
      assert.is_truthy(text:find(case[2], 1, true), text)
    end
  end)

  it("tells a bad policy, scenario or file with status 1", function()
    local path = policy("mine.lua")
    local wrong = policy("wrong.lua", "retri = 1")
    local CASES = {
      { { folder .. "/none.lua" }, "none.lua" },
      { { wrong }, 'wrong.lua: policy.retri: unknown key, did you mean "retry"?' },
      { { write_file("d.lua", "return { { name = 'a' }, { name = 'b' } }") }, "--name says which" },
      { { folder .. "/d.lua", "--name", "c" }, 'there is no policy named "c"' },
      { { small(path, "--against", wrong) }, "wrong.lua: policy.retri" },
      { { path, "--scenario", write_file("a.lua", "return 5") }, "expected a table of settings" },
      { { path, "--scenario", write_file("b.lua", "return { client = 1 }") },
        "b.lua: simulation.client: unknown key" },
      { { path, "--scenario", write_file("e.lua", "return { scenario = { a = { slow = 1 } } }") },
        'e.lua: simulation.scenario.a: unknown key, expected a list' },
      { { path, "--scenario", write_file("c.lua", "return { progress = 1 }") }, "not for this" },
      { { small(path, "--out", folder .. "/none/picture.svg") }, "No such file" },
    }
    for _, case in ipairs(CASES) do
      local status, text = run(spread(case[1]))
      assert.equal(1, status, text)
      assert.is_truthy(text:find(case[2], 1, true), text)
    end
  end)

  it("tells what a function of the policy raises", function()
    local path = policy("mine.lua", "retry = { when = function() error('mine') end }")
    local status, text = run(small(path, "--outage", "10s"))
    assert.equal(1, status)
    assert.is_truthy(text:find("mine", 1, true))
  end)

  it("helps", function()
    local status, text = run("--help")
    assert.equal(0, status)
    for _, option in ipairs{ "--clients", "--outage", "--brownout", "--slow", "--rate-limit",
      "--against", "--out", "--json", "--seed", "--shared" } do
      assert.is_truthy(text:find(option, 1, true), option)
    end
    for line in text:gmatch("[^\n]+") do
      assert.is_true(#line <= 100, line)
    end
  end)
end)
