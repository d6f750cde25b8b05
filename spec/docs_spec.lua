-- Keeps the documents true: examples compile, those that say so run, links lead somewhere, and each
-- key of the policy stands there with the range and the default that the reader has.
local neap = require "neap"
local stores = require "spec.support.stores"
local testing = require "neap.testing"

local SAMPLE = io.stdout -- of a type that no key takes

local THIS = getfenv and getfenv(1) or _ENV -- with describe, it and assert of busted

-- A chunk with that environment, in either Lua; or nil and what is wrong with the text.
local function load_with(environment, text, name)
  if not setfenv then
    return load(text, name, "t", environment)
  end
  local chunk, message = loadstring(text, name)
  return chunk and setfenv(chunk, environment), message
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function list_pages()
  local pages = { "README.md", "CONTRIBUTING.md", "CHANGELOG.md" }
  local found = assert(io.popen("ls docs/*.md docs/*/*.md"))
  for path in found:lines() do
    pages[#pages + 1] = path
  end
  found:close()
  return pages
end

-- The ```lua blocks of a page: { name = "docs/x.md:12", text = … }, at their lines of the page.
local function blocks_of(page)
  local blocks, number, block = {}, 0, nil
  for line in (read(page) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    if block and line:match("^```") then
      block.text = table.concat(block, "\n")
      blocks[#blocks + 1] = block
      block = nil
    elseif block then
      block[#block + 1] = line
    elseif line:match("^```lua$") then
      block = { name = ("%s:%d"):format(page, number + 1), lines = ("\n"):rep(number), page = page }
    end
  end
  assert(not block, page .. ": a block does not end")
  return blocks
end

local function compile(block, environment)
  return load_with(environment or THIS, block.lines .. block.text, "@" .. block.page)
end

local pages, all_blocks = list_pages(), {}
for _, page in ipairs(pages) do
  for _, block in ipairs(blocks_of(page)) do
    all_blocks[#all_blocks + 1] = block
  end
end

describe("an example", function()
  for _, block in ipairs(all_blocks) do
    it("compiles at " .. block.name, function()
      assert.is_truthy(compile(block))
    end)
  end
end)

-- A block that begins with `-- runs` checks itself. One that is a spec becomes specs of this run.
describe("an example that says so", function()
  for _, block in ipairs(all_blocks) do
    if block.text:match("^%-%- runs") and block.text:match("\ndescribe%(") then
      assert(compile(block))()
    elseif block.text:match("^%-%- runs") and block.text:find("neap.store.sqlite", 1, true)
      and stores.lacks_sqlite() then
      pending("runs at " .. block.name .. ": " .. stores.lacks_sqlite())
    elseif block.text:match("^%-%- runs") then
      it("runs at " .. block.name, function()
        assert(compile(block))()
      end)
    end
  end
end)

describe("the first program of README.md", function()
  local first
  for _, block in ipairs(blocks_of("README.md")) do
    first = first or (block.text:match("neap%.client{") and block)
  end

  -- What the program prints, each line with tabs, where the API answers as the script says.
  local function run_against(script)
    local kit, printed = testing.new{ seed = 1 }, {}
    local stand_in = setmetatable({
      client = function(policy) return kit:client(policy) end,
    }, { __index = neap })
    local environment = setmetatable({
      require = function(name) return name == "neap" and stand_in or require(name) end,
      print = function(...)
        local words = { ... }
        for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
        printed[#printed + 1] = table.concat(words, "\t")
      end,
    }, { __index = _G })
    kit:script(script)
    kit:run(assert(compile(first, environment)))
    return table.concat(printed, "\n"), kit
  end

  it("has about ten lines", function()
    local _, lines = first.text:gsub("\n", "\n")
    assert.is_true(lines + 1 <= 12)
  end)

  it("prints what the API says", function()
    local printed, kit = run_against{ { status = 200, body = '{"rates":{"USD":1.25}}' } }
    assert.equal("1.25\tnetwork\tfalse", printed)
    assert.is_truthy(kit.requests[1].url:find("/v1/latest?base=EUR&symbols=USD", 1, true))
  end)

  it("has an answer while the API is down", function()
    local printed = run_against{ { status = 503, ["repeat"] = true } }
    assert.equal("1.1\tdefault\ttrue", printed)
  end)
end)

describe("a link", function()
  for _, page in ipairs(pages) do
    it("of " .. page .. " leads to what is there", function()
      local folder = page:match("^(.*/)") or ""
      for target in read(page):gmatch("%]%(([^)#]+)[^)]*%)") do
        if not target:match("^%a+:") then
          local path = folder .. target:gsub("/$", "")
          local file = io.open(path)
          assert.is_truthy(file, path)
          file:close()
        end
      end
    end)
  end
end)

-- -------------------------------------------------------------------------------- keys of a policy

-- What must be there for the reader to look at another key of the same table.
local COMPANIONS = {
  ["breaker.slow_call"] = { duration = 1, rate = 1 },
  ["breaker.ramp"] = { seconds = 1 },
  rate_limit = { rate = 1 },
  bulkhead = { max_concurrent = 1 },
  chaos = { rate = 1, latency = 1 },
}

local function steps_of(path)
  local steps = {}
  for step in path:gmatch("[^.]+") do
    steps[#steps + 1] = step
  end
  return steps
end

-- A policy with that value at that path.
local function policy_with(path, value)
  local policy = { name = "docs" }
  local at, steps, here = policy, steps_of(path), nil
  for i = 1, #steps - 1 do
    here = here and here .. "." .. steps[i] or steps[i]
    local made = {}
    for key, companion in pairs(COMPANIONS[here] or {}) do
      made[key] = companion
    end
    at[steps[i]] = made
    at = made
  end
  at[steps[#steps]] = value
  return policy
end

-- What the reader says of a policy, without position and path of the key; nil if it takes it.
local function complaint(path, value)
  local taken, message = pcall(function()
    local client = neap.client(policy_with(path, value))
    client:close()
  end)
  if taken then
    return nil
  end
  return (message:gsub("^.-: ", "", 1):gsub("^policy[^:]*: ", ""))
end

-- The keys that the reader knows in the table at this path, from what it says of another one.
local function known_keys(path, found)
  local said = complaint(path == "" and "zzzzzzzz" or path .. ".zzzzzzzz", 1)
  local list = said and said:match("^unknown key, known keys: (.*)$")
  for key in (list or ""):gmatch('"([%w_]+)"') do
    local full = path == "" and key or path .. "." .. key
    found[#found + 1] = full
    known_keys(full, found)
  end
  return found
end

-- A default as it is written in a table.
local function value_of(text)
  return assert(load_with({}, "return " .. text, text))()
end

-- The rows of tables whose first cell is a key: key -> { the other cells }.
local function rows_in(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do
    local key, rest = line:match("^| `([%w_.]+)` | (.*) |$")
    if key then
      local cells = {}
      for cell in (rest .. " | "):gmatch("(.-) | ") do
        cells[#cells + 1] = cell
      end
      rows[key] = cells
    end
  end
  return rows
end

-- In the whole page, or below one heading.
local function rows_of(page, heading)
  local text = read(page)
  return rows_in(heading and text:match("\n## " .. heading .. "\n(.-)\n## ") or text)
end

local keys = known_keys("", {})

describe("docs/policy.md", function()
  local rows = rows_of("docs/policy.md")

  it("finds the keys of the reader", function()
    assert.is_true(#keys > 80)
  end)

  it("has each key that the reader knows, and no other", function()
    local known = {}
    for _, key in ipairs(keys) do
      known[key] = true
      assert.is_truthy(rows[key], key .. " is not documented")
    end
    for key in pairs(rows) do
      assert.is_truthy(known[key], key .. " is not known to the reader")
    end
  end)

  it("says type and range in the reader's words", function()
    for _, key in ipairs(keys) do
      local expected = complaint(key, SAMPLE):match("^expected (.*), got a userdata$")
      assert.equal(key .. ": " .. tostring(expected), key .. ": " .. rows[key][1])
    end
  end)

  it("names each key of a fallback", function()
    local said = complaint("fallback", { { zzzzzzzz = 1 } })
    local page = read("docs/policy.md")
    for key in said:match("known keys: (.*)$"):gmatch('"([%w_]+)"') do
      assert.is_truthy(page:find("`" .. key .. "`", 1, true), key)
    end
  end)
end)

-- The defaults of numbers where the option tables have them: "connect" of timeout_rows -> 2.
describe("a default in docs/policy.md", function()
  local TABLES = {
    timeout_rows = "timeout", backoff_rows = "retry.backoff", budget_rows = "retry.budget",
    retry_rows = "retry", open_for_rows = "breaker.open_for", half_open_rows = "breaker.half_open",
    ramp_rows = "breaker.ramp", breaker_rows = "breaker", client_breaker_rows = "breaker",
    gate_rows = "gate", client_rate_rows = "rate_limit", bulkhead_rows = "bulkhead",
    pool_rows = "pool", cache_rows = "cache", alert_rows = "alerts", client_rows = "",
  }
  local rows = rows_of("docs/policy.md")
  local source = ""
  for _, name in ipairs{ "policy", "retry", "breaker", "limit" } do
    source = source .. read(("src/binding/%s_options.c"):format(name))
  end

  local function compare(prefix, name, options)
    local number = options:match("%.number = ([%d.]+)$") or options:match("%.number = ([%d.]+),")
    if not number or options:match("REQUIRED") then
      return 0
    end
    local key = prefix == "" and name or prefix .. "." .. name
    local documented = rows[key][2]:match("^`(.*)`$")
    if documented ~= nil then
      assert.equal(tonumber(number), tonumber(documented), key)
      return 1
    end
    assert.equal("0", number, key) -- none, or made of another key
    return 0
  end

  it("is the reader's", function()
    local compared = 0
    for name, body in source:gmatch("static const struct neap_option ([%w_]+)%[%] = {(.-)\n};") do
      for key, options in body:gmatch('{"([%w_]+)",(.-)}') do
        if TABLES[name] then
          compared = compared + compare(TABLES[name], key, options)
        end
      end
    end
    assert.is_true(compared >= 30, "only " .. compared .. " defaults were found")
  end)
end)

describe("docs/stores.md", function()
  local core = require "neap.core"
  local source = read("src/binding/store_object.c")

  -- What the reader says of an option, without its path.
  local function said_of(kind, options)
    local _, said = core.store(kind, options)
    return tostring(said):gsub("^options[^:]*: ", "")
  end

  -- The default that the reader's table has, as it is written in the document.
  local function default_of(kind, key)
    local body = source:match("neap_option " .. kind .. "_rows%[%] = {(.-)\n};")
    local row = body:match('{"' .. key .. '",(.-)}') or ""
    local number, text = row:match("%.number = ([%d.]+)"), row:match('%.text = (".-")')
    if number == "0" and row:find("%.min = [1-9]") then
      number = nil -- below what may be said: not given
    end
    return row:match("REQUIRED") and "required" or number and "`" .. number .. "`"
      or text and "`" .. text .. "`" or row:match("BOOLEAN") and "`false`" or "none"
  end

  for _, kind in ipairs{ "memory", "sqlite", "redis" } do
    it("has the options of neap.store." .. kind .. " as the reader has them", function()
      local section = read("docs/stores.md"):match("\n`neap%.store%." .. kind .. "`:\n\n(.-)\n\n")
      local rows = rows_in(section)
      for key in said_of(kind, { zzzzzzzz = 1 }):gmatch('"([%w_]+)"') do
        local options = { path = key ~= "path" and kind == "sqlite" and "x" or nil }
        options[key] = SAMPLE
        local expected = said_of(kind, options):match("^expected (.*), got a userdata$")
        assert.is_table(rows[key], key .. " is not documented")
        assert.same({ key, expected, default_of(kind, key) }, { key, rows[key][1], rows[key][2] })
        rows[key] = nil
      end
      assert.same({}, rows)
    end)
  end
end)

-- The options of a guard where the binding has them: name -> default as it is written in a table.
describe("the options in docs/serving.md", function()
  local rows = rows_of("docs/serving.md", "Options")
  local source = read("src/binding/guard_object.c"):match("neap_option guard_rows%[%] = {(.-)\n};")

  local WRITTEN = {
    NEAP_FINGERPRINT_BYTES_OF_BODY = '"bytes"', NEAP_ON_CONFLICT_REJECT = '"reject"',
    NEAP_ON_ERROR_STORE = '"store"', ["POST PATCH"] = '{ "POST", "PATCH" }',
  }

  local function default_of(options)
    local text, number = options:match('%.text = "(.-)"'), options:match("%.number = ([%w_]+)")
    if options:match("REQUIRED") then
      return "required"
    end
    local written = WRITTEN[text or number] or text and ("%q"):format(text) or number
    return written and "`" .. written .. "`" or "none"
  end

  it("are the reader's, with its defaults", function()
    local known = {}
    for name, options in source:gmatch('{"([%w_]+)",(.-)}') do
      known[name] = true
      assert.is_truthy(rows[name], name .. " is not documented")
      assert.equal(name .. " " .. default_of(options), name .. " " .. rows[name][1])
    end
    for name in pairs(rows) do
      assert.is_truthy(known[name], name .. " is not known to the reader")
    end
  end)
end)

describe("the table of README.md", function()
  local rows = rows_of("README.md", "Policies")

  -- A key has a row, or is named in that of its table; a table may be there by its keys alone.
  local function is_there(key)
    local parent, name = key:match("^(.*)%.([^.]+)$")
    local around = rows[parent] and table.concat(rows[parent], " ")
    if rows[key] or (around and around:find("%f[%w_]" .. name .. "%f[^%w_]")) then
      return true
    end
    for row in pairs(rows) do
      if row:sub(1, #key + 1) == key .. "." then
        return true
      end
    end
    return false
  end

  it("has each key, or names it in the row of its table", function()
    for _, key in ipairs(keys) do
      assert.is_true(is_there(key), key)
    end
  end)

  it("names only keys that the reader knows", function()
    for key in pairs(rows) do
      local said = complaint(key, SAMPLE)
      assert.is_truthy(said, key)
      assert.is_nil(said:match("unknown key"), key)
    end
  end)

  it("has defaults that the reader takes", function()
    local tried = 0
    for key, cells in pairs(rows) do
      local default = cells[1]:match("^`(.*)`$")
      if default then
        local value = value_of(default)
        assert.is_nil(complaint(key, value), key)
        tried = tried + 1
      end
    end
    assert.is_true(tried >= 25)
  end)

  it("has the defaults of docs/policy.md", function()
    local leaves = rows_of("docs/policy.md")
    local function compare(key, value)
      if type(value) ~= "table" then
        local documented = leaves[key] and leaves[key][2]:match("^`(.*)`$")
        local text = type(value) == "string" and ("%q"):format(value) or tostring(value)
        assert.equal(documented, text, key)
        return
      end
      for name, inner in pairs(value) do
        if type(name) == "string" then
          compare(key .. "." .. name, inner)
        end
      end
    end
    for key, cells in pairs(rows) do
      local default = cells[1]:match("^`(.*)`$")
      if default then
        compare(key, value_of(default))
      end
    end
  end)
end)
