-- The rules for Prometheus and the dashboard for Grafana: well formed, tested, and only about
-- metrics that there are.
local json = require "cjson"

local FOLDER = "docs/prometheus/"
local FAMILIES = "src/client/scrape_families.c" -- where the exposition has its names

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

-- What the command says, and whether it has succeeded.
local function run(command)
  local pipe = assert(io.popen("(" .. command .. ") 2>&1; echo $?"))
  local said = pipe:read("*a")
  pipe:close()
  local text, status = said:match("^(.*)\n?(%d+)\n$")
  return text, status == "0"
end

local has_promtool = select(2, run "command -v promtool")

-- Words of an expression that are names of metrics of neap.
local function names_in(expression, found)
  local without_texts = expression:gsub('"[^"]*"', '""')
  for name in without_texts:gmatch("%f[%w_:]neap[_:][%w_:]+") do
    found[name] = expression
  end
  return found
end

-- The names that the rules make.
local function recorded()
  local names = {}
  for name in read(FOLDER .. "alerts.yml"):gmatch("%- record: (%S+)") do
    names[name] = true
  end
  return names
end

-- The names that neap.prometheus writes, with those of a histogram's samples; nil where it is not
-- there.
local function exposed()
  local source, names = read(FAMILIES), {}
  if not source then
    return nil
  end
  for name, kind in source:gmatch('{{"(neap_[%w_]+)",%s*(%u+)') do
    names[name] = true
    if kind == "HISTOGRAM" then
      names[name] = nil
      names[name .. "_bucket"], names[name .. "_sum"], names[name .. "_count"] = true, true, true
    end
  end
  return names
end

local dashboard = json.decode(read(FOLDER .. "dashboard.json"))

local function expressions_of_dashboard()
  local list = {}
  for _, panel in ipairs(dashboard.panels) do
    for _, target in ipairs(panel.targets or {}) do
      list[#list + 1] = target.expr
    end
  end
  for _, variable in ipairs(dashboard.templating.list) do
    if variable.type == "query" then
      list[#list + 1] = variable.definition
    end
  end
  return list
end

describe("docs/prometheus/alerts.yml", function()
  it("is taken by promtool", function()
    if not has_promtool then
      pending("promtool is missing (Debian: prometheus)")
      return
    end
    local said, ok = run("cd " .. FOLDER .. " && promtool check rules alerts.yml")
    assert.is_true(ok, said)
    assert.is_truthy(said:find("SUCCESS: 12 rules found", 1, true), said)
  end)

  it("tells each alert when it should", function()
    if not has_promtool then
      pending("promtool is missing (Debian: prometheus)")
      return
    end
    local said, ok = run("cd " .. FOLDER .. " && promtool test rules alerts_test.yml")
    assert.is_true(ok, said)
  end)

  it("has the five alerts, each with a test of its beginning and its end", function()
    local alerts, tests = {}, read(FOLDER .. "alerts_test.yml")
    for name in read(FOLDER .. "alerts.yml"):gmatch("%- alert: (%S+)") do
      alerts[#alerts + 1] = name
      local fires, rests = 0, 0
      for after in tests:gmatch("alertname: " .. name .. "\n%s+exp_alerts:([^\n]*)") do
        if after == " []" then rests = rests + 1 else fires = fires + 1 end
      end
      assert.is_true(fires >= 1 and rests >= 2, name)
    end
    assert.same({ "NeapP99", "NeapErrorRate", "NeapBreakerOpen", "NeapRetrySurge",
      "NeapTimeoutSurge" }, alerts)
  end)

  it("names only metrics that there are", function()
    local known, made = exposed(), recorded()
    if not known then
      pending("this version has no exposition")
      return
    end
    local rules = read(FOLDER .. "alerts.yml"):gsub("%- record: %S+", ""):gsub("#[^\n]*", "")
    local count = 0
    for name, where in pairs(names_in(rules, {})) do
      count = count + 1
      assert.is_true(known[name] or made[name], name .. " in " .. where:sub(1, 80))
    end
    assert.is_true(count >= 10)
  end)
end)

describe("docs/prometheus/dashboard.json", function()
  it("is a dashboard whose panels each ask something", function()
    assert.is_true(#dashboard.panels > 10)
    assert.is_true(#expressions_of_dashboard() > 15)
    local ids = {}
    for _, panel in ipairs(dashboard.panels) do
      assert.is_nil(ids[panel.id])
      ids[panel.id] = true
      assert.is_true(panel.type == "row" or #panel.targets > 0, panel.title)
    end
  end)

  it("names only metrics and rules that there are", function()
    local known, made = exposed(), recorded()
    if not known then
      pending("this version has no exposition")
      return
    end
    for _, expression in ipairs(expressions_of_dashboard()) do
      for name in pairs(names_in(expression, {})) do
        assert.is_true(known[name] or made[name], name .. " in " .. expression)
      end
    end
  end)

  it("has expressions that Prometheus can parse", function()
    if not has_promtool then
      pending("promtool is missing (Debian: prometheus)")
      return
    end
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("groups:\n  - name: dashboard\n    rules:\n")
    for index, expression in ipairs(expressions_of_dashboard()) do
      if not expression:find("^label_values") then
        local plain = expression:gsub("%$__rate_interval", "1m"):gsub("'", "''")
        file:write(("      - record: panel:%d\n        expr: '%s'\n"):format(index, plain))
      end
    end
    file:close()
    local said, ok = run("promtool check rules --lint=none " .. path)
    os.remove(path)
    assert.is_true(ok, said)
  end)
end)
