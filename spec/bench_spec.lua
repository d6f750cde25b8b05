local chart = require "bench.harness.chart"
local cores = require "bench.harness.cores"
local page = require "bench.harness.page"
local report = require "bench.harness.report"
local rounds = require "bench.harness.rounds"
local statistics = require "bench.harness.statistics"
local subject = require "bench.harness.subject"
local verdict = require "bench.harness.verdict"

describe("statistics", function()
  it("takes the middle of an odd number of values, whatever their order", function()
    assert.equal(3, statistics.median{ 9, 1, 3, 2, 5 })
  end)

  it("takes the mean of the two in the middle of an even number", function()
    assert.equal(2.5, statistics.median{ 4, 1, 3, 2 })
  end)

  it("leaves the values in their order", function()
    local values = { 3, 1, 2 }
    statistics.median(values)
    assert.same({ 3, 1, 2 }, values)
  end)

  it("gives the smallest and the largest", function()
    local least, most = statistics.range{ 3, 1, 2 }
    assert.same({ 1, 3 }, { least, most })
  end)

  it("compares the medians, not the means", function()
    assert.equal(2, statistics.ratio({ 2, 4, 1000 }, { 1, 2, 3 }))
  end)

  it("gives no ratio to nothing", function()
    assert.is_nil(statistics.ratio({ 1 }, { 0 }))
  end)
end)

describe("rounds", function()
  it("turn the order round each time", function()
    assert.same({ 1, 2, 3 }, rounds.order(3, 1))
    assert.same({ 3, 2, 1 }, rounds.order(3, 2))
    assert.same({ 1, 2, 3 }, rounds.order(3, 3))
  end)

  it("measure each subject once a round and gather its values", function()
    local seen = {}
    local function counting(name)
      return {
        name = name,
        measure = function()
          seen[#seen + 1] = name
          return { rate = #seen }
        end,
      }
    end
    local results = rounds.run({ counting "a", counting "b" }, 3)
    assert.same({ "a", "b", "b", "a", "a", "b" }, seen)
    assert.same({ 1, 4, 5 }, results[1].values.rate)
    assert.same({ 2, 3, 6 }, results[2].values.rate)
  end)

  it("leave out what is skipped, and say why", function()
    local results = rounds.run({ subject.skipped("a", "not here") }, 3)
    assert.same({ { name = "a", skip = "not here", values = {} } }, results)
  end)
end)

describe("a subject", function()
  it("is read by its line of results", function()
    assert.same({ rate = 12.5, cpu = 3 }, subject.parsed "rate=12.5 cpu=3\n")
    assert.is_nil(subject.parsed "no figures here")
    assert.is_nil(subject.parsed(nil))
  end)

  it("is bounded in time, and quoted", function()
    assert.equal("timeout -k 2 60 'a' 'it'\\''s' '7'", subject.command{ "a", "it's", 7 })
    assert.equal("taskset -c 1 timeout -k 2 60 'a'", subject.command({ "a" }, 1))
  end)

  it("that fails raises with what it wrote", function()
    local ok, message = pcall(subject.run, { "sh", "-c", "echo no luck; exit 3" })
    assert.is_false(ok)
    assert.matches("no luck", message)
  end)

  it("that gives no figures raises", function()
    assert.is_false(pcall(subject.run, { "echo", "nothing" }))
  end)
end)

describe("a verdict", function()
  local results = {
    { name = "floor", values = { rate = { 100, 90, 110 } } },
    { name = "neap", values = { rate = { 95, 94, 96 } } },
    { name = "absent", skip = "not here", values = {} },
  }

  local function judged(target)
    target.row, target.what, target.measure = 1, "rate", "rate"
    return verdict.of(target, results)
  end

  it("holds a ratio against a least value", function()
    assert.is_true(judged{ subject = "neap", against = "floor", at_least = 0.95 }.met)
    assert.is_false(judged{ subject = "neap", against = "floor", at_least = 0.96 }.met)
  end)

  it("holds a ratio against a largest value", function()
    assert.is_true(judged{ subject = "neap", against = "floor", at_most = 0.95 }.met)
    assert.is_false(judged{ subject = "neap", against = "floor", at_most = 0.94 }.met)
  end)

  it("holds the value itself where there is nothing to compare with", function()
    assert.equal(95, judged{ subject = "neap", at_most = 95 }.measured)
  end)

  it("takes out what another pair loses, too", function()
    local grown = {
      { name = "one", values = { cpu = { 10 } } },
      { name = "many", values = { cpu = { 15 } } },
      { name = "one handle", values = { cpu = { 4 } } },
      { name = "many handles", values = { cpu = { 5 } } },
    }
    assert.near(1.2, verdict.of({
      row = 1, what = "growth", measure = "cpu", subject = "many", against = "one", at_most = 1.1,
      beside = { subject = "many handles", against = "one handle" },
    }, grown).measured, 1e-9)
  end)

  it("tells how far the floor was from itself", function()
    local noisy = {
      { name = "floor", values = { rate = { 100 } } },
      { name = "floor, again", values = { rate = { 110 } } },
      { name = "neap", values = { rate = { 95 } } },
    }
    local target = {
      row = 1, what = "rate", measure = "rate", subject = "neap", against = "floor", at_most = 1,
    }
    assert.near(0.095, verdict.of(target, noisy).noise, 0.001)
    assert.is_nil(judged{ subject = "neap", against = "floor", at_most = 1 }.noise)
  end)

  it("is skipped with its subject or its floor", function()
    assert.equal("not here", judged{ subject = "absent", at_most = 1 }.skip)
    assert.equal("not here", judged{ subject = "neap", against = "absent", at_most = 1 }.skip)
  end)

  it("raises where a target names nobody", function()
    assert.has_error(function()
      judged{ subject = "nobody", at_most = 1 }
    end)
  end)
end)

describe("a report", function()
  it("shows median, range and ratio, and what was skipped", function()
    local text = report.comparison({ title = "calls" }, {
      { name = "floor", values = { ns = { 10, 20, 30 } } },
      { name = "neap", values = { ns = { 40, 50, 60 } } },
      { name = "other", skip = "not here", values = {} },
    })
    assert.matches("neap%s+50%.0 40%.0%-60%.0%s+2%.50", text)
    assert.matches("other%s+skipped: not here", text)
  end)

  it("shows each target with what was reached", function()
    local text = report.targets{
      { row = 1, what = "rate", bound = "at least 0.95", measured = 0.9, met = false, unit = "" },
      { row = 2, what = "p99", bound = "at most 2", skip = "not here", unit = "" },
    }
    assert.matches("rate%s+at least 0%.95%s+0%.9%s+NOT MET", text)
    assert.matches("p99%s+at most 2%s+skipped: not here", text)
  end)
end)

describe("the picture of the targets", function()
  local verdicts = {
    {
      row = 1, what = "rate <&> ratio", bound = "at least 2", limit = 2, rising = true, unit = "",
      measured = 1, met = false,
    },
    {
      row = 2, what = "p99", bound = "at most 4", limit = 4, unit = " ms", measured = 2,
      met = true,
    },
    { row = 3, what = "gateway", bound = "at most 1", limit = 1, unit = "", skip = "not here" },
  }

  it("says how far each was reached", function()
    assert.equal(0.5, chart.reached(verdicts[1]))
    assert.equal(2, chart.reached(verdicts[2]))
  end)

  it("is well-formed: each element is closed, and nothing but entities begins with &", function()
    local open = {}
    local svg = chart.svg(verdicts)
    for slash, name, rest in svg:gmatch "<(/?)([%a]+)([^<>]*)>" do
      if slash == "/" then
        assert.equal(table.remove(open), name)
      elseif rest:sub(-1) ~= "/" then
        open[#open + 1] = name
      end
    end
    assert.same({}, open)
    assert.matches("rate &lt;&amp;&gt; ratio", svg)
    assert.is_nil(svg:gsub("&%a+;", ""):find("&", 1, true))
  end)

  it("has a bar for each that was measured", function()
    local _, bars = chart.svg(verdicts):gsub("<rect", "")
    assert.equal(2, bars)
  end)

  it("keeps a bar within its place", function()
    local huge = {
      row = 1, what = "", bound = "", limit = 1, rising = true, unit = "", measured = 1e6,
      met = true,
    }
    assert.equal(240, tonumber(chart.svg{ huge }:match('<rect[^>]- width="([%d.]+)"')))
  end)
end)

describe("the page of results", function()
  local measured = {
    {
      title = "calls",
      results = {
        { name = "floor", values = { rate = { 10, 20, 30 } } },
        { name = "neap", values = { rate = { 10 } } },
        { name = "other", skip = "not here", values = {} },
      },
    },
    { title = "gateway", results = { { name = "floor", skip = "not here", values = {} } } },
  }

  it("has ratios only, and nothing of what was skipped", function()
    local text = page.results("by hand", {}, measured)
    assert.matches("| calls | calls a second |", text, 1, true)
    assert.matches("| neap | 0.50 |", text, 1, true)
    assert.is_nil(text:find("other", 1, true))
    assert.is_nil(text:find("gateway", 1, true))
  end)

  it("has each target with its state", function()
    local text = page.results("by hand", {
      { row = 1, what = "rate", bound = "at least 2", unit = "", measured = 1, met = false,
        noise = 0.1 },
      { row = 2, what = "p99", bound = "at most 4", unit = "", skip = "not here" },
    }, {})
    assert.matches("| 1 | rate | at least 2 | 1 | not met | 10 % |", text, 1, true)
    assert.matches("| 2 | p99 | at most 4 | – | skipped | – |", text, 1, true)
  end)

  it("takes the place of the last one, and of nothing else", function()
    local begin = "<!-- results: written by `make bench KEEP=yes` -->"
    local document = "before\n" .. begin .. "\nold\n<!-- end of results -->\nafter\n"
    local new = page.with_results(document, "new 100 %")
    assert.equal("before\n" .. begin .. "\n\nnew 100 %\n\n<!-- end of results -->\nafter\n", new)
    assert.equal(new, page.with_results(new, "new 100 %"))
  end)

  it("has a place in the document", function()
    local file = assert(io.open "docs/bench.md")
    local document = file:read "*a"
    file:close()
    assert.matches("kept", page.with_results(document, "kept"))
  end)
end)

describe("cores", function()
  it("are read from what taskset says", function()
    assert.same({ 0, 2, 3, 4 }, cores.parsed "pid 7's current affinity list: 0,2-4")
    assert.same({}, cores.parsed "")
  end)
end)
