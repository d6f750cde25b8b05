-- Charts, pictures and pages of simulations: they fit, they are whole, and they bring nothing that
-- is not theirs.
local json = require "neap.json"
local simulate = require "neap.simulate"

local function run_of(more, policy)
  local setting = { clients = 50, duration = 60, resolution = 1, capacity = 60,
    scenario = { { outage = true, from = 20, lasts = 10 }, { slow = 1, from = 40, lasts = 5 } } }
  for key, value in pairs(more or {}) do
    setting[key] = value
  end
  return simulate.run(policy or { name = "api" }, setting)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- Signs, not bytes.
local function columns_of(line)
  local _, count = line:gsub("[^\128-\191]", "")
  return count
end

describe("a chart", function()
  local one, other

  setup(function()
    one = run_of()
    other = run_of({ label = "another" }, { name = "other", breaker = false })
  end)

  for _, width in ipairs{ 40, 57, 80, 133 } do
    it("is no wider than " .. width .. " columns", function()
      for _, runs in ipairs{ { one }, { one, other } } do
        for _, line in ipairs(lines_of(simulate.text(runs, { width = width }))) do
          assert.is_true(columns_of(line) <= width, line)
          assert.is_falsy(line:find("%s$"))
        end
      end
    end)
  end

  it("uses 80 columns where nothing is said", function()
    assert.equal(simulate.text({ one }, { width = 80 }), simulate.text({ one }))
  end)

  it("has curves, incidents and figures", function()
    local text = simulate.text({ one })
    for _, part in ipairs{ "load on the server", "calls that end", "latency of calls", "breakers",
      "wait for the server", "= outage =", "slow 1 s", "answered by network", "█" } do
      assert.is_truthy(text:find(part, 1, true), part)
    end
  end)

  it("stands side by side with another where there is room", function()
    local text = simulate.text({ one, other })
    assert.is_truthy(text:find("\napi +another\n"))
    assert.is_falsy(simulate.text({ one, other }, { width = 60 }):find("\napi +another\n"))
  end)

  it("is plain ASCII if it is to be", function()
    assert.is_falsy(simulate.text({ one, other }, { ascii = true }):find("[^\n\32-\126]"))
  end)

  it("has colours only if it is to have some", function()
    assert.is_falsy(simulate.text({ one }):find("\27", 1, true))
    local coloured = simulate.text({ one, other }, { colour = true })
    assert.is_truthy(coloured:find("\27[", 1, true))
    assert.equal(simulate.text({ one, other }):gsub("%s", ""),
      (coloured:gsub("\27%[%d+m", ""):gsub("%s", "")))
  end)

  it("shows the panels that are asked for", function()
    local text = simulate.text({ one }, { show = { "breakers" } })
    assert.is_truthy(text:find("breakers (full", 1, true))
    assert.is_falsy(text:find("latency of calls", 1, true))
  end)

  it("leaves out what there is nothing of", function()
    local quiet = simulate.run({ name = "api" }, { clients = 5, duration = 10 })
    local text = simulate.text({ quiet })
    assert.is_falsy(text:find("breakers", 1, true))
    assert.is_falsy(text:find("wait for the server", 1, true))
  end)

  it("lets no order to a terminal through in a label", function()
    local run = run_of({ label = "a\27[2Jb\nc", duration = 1 })
    assert.is_truthy(simulate.text({ run }):find("\na?[2Jb?c\n", 1, true))
  end)

  it("draws where nothing happened at all", function()
    local idle = simulate.run({ name = "api" }, { clients = 1, rate = 1e-6, duration = 1 })
    assert.equal(0, idle.calls)
    assert.is_truthy(simulate.text({ idle }))
    assert.is_truthy(simulate.svg({ idle }))
  end)

  it("tells what was not simulated", function()
    local run = run_of({ duration = 1 }, { name = "api", coalesce = true })
    assert.is_truthy(simulate.text({ run }):find("note: coalesce", 1, true))
  end)
end)

-- Every element is closed, in order.
local function assert_well_formed(text)
  local open = {}
  for slash, name, rest in text:gmatch("<(/?)([%a]+)(.-)>") do
    if slash == "/" then
      assert.equal(name, table.remove(open))
    elseif not rest:match("/$") and name ~= "meta" and name ~= "br" then
      open[#open + 1] = name
    end
  end
  assert.equal(0, #open)
end

describe("a picture", function()
  local NASTY = "<script>alert('1')</script>&\"\1"

  for _, kind in ipairs{ "svg", "html" } do
    it("as " .. kind .. " is whole", function()
      local text = simulate[kind]{ run_of(), run_of{ label = "two" } }
      assert_well_formed((text:gsub("<!DOCTYPE html>", "")))
    end)

    it("as " .. kind .. " needs nothing from elsewhere", function()
      local text = simulate[kind]{ run_of() }
      text = text:gsub('xmlns="http://www.w3.org/2000/svg"', "")
      for _, forbidden in ipairs{ "http:", "https:", "url%(", "@import", "<script", "<image",
        "<use", "href", "src=" } do
        assert.is_falsy(text:find(forbidden), forbidden)
      end
    end)

    it("as " .. kind .. " escapes labels", function()
      local text = simulate[kind]{ run_of{ label = NASTY } }
      assert.is_falsy(text:find("<script", 1, true))
      assert.is_truthy(text:find("&lt;script&gt;alert(&#39;1&#39;)", 1, true))
    end)

    it("as " .. kind .. " is the same for the same seed", function()
      assert.equal(simulate[kind]{ run_of() }, simulate[kind]{ run_of() })
    end)
  end

  it("has no number that is none", function()
    local text = simulate.svg{ run_of() }
    assert.is_falsy(text:find("nan", 1, true))
    assert.is_falsy(text:find("inf", 1, true))
  end)
end)

describe("a run as JSON", function()
  it("can be read", function()
    local value = assert(json.decode(simulate.json{ run_of(), run_of() }))
    assert.equal(2, #value.runs)
    local first = value.runs[1]
    assert.equal(run_of().attempts, first.attempts)
    assert.equal(first.slots.count, #first.slots.attempts)
    assert.equal("refused", run_of{ scenario = { { outage = true, answer = "refused" } } }
      .setting.scenario[1].answer)
  end)

  it("escapes texts", function()
    local value = assert(json.decode(simulate.json{ run_of{ label = 'a"b\\c\n\1', duration = 1 } }))
    assert.equal('a"b\\c\n\1', value.runs[1].label)
  end)

  it("has empty lists as lists", function()
    local text = simulate.json{ run_of{ duration = 1, scenario = {} } }
    assert.is_truthy(text:find('"notes":[]', 1, true))
    assert.is_truthy(text:find('"scenario":[]', 1, true))
  end)
end)
