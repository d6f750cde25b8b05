-- Keeps the documents true: examples compile, those that say so run, links lead somewhere, and each
-- key of the policy stands there with the range and the default that the reader has.
local core = require "neap.core"
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
  local pages = { "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md" }
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
-- `-- needs …` says what it would take to run one: a server, a library, or the program around it.
local function lacks_of(block)
  return block.text:find("neap.store.sqlite", 1, true) and stores.lacks_sqlite()
end

describe("an example that says so", function()
  for _, block in ipairs(all_blocks) do
    if block.text:match("^%-%- runs") and block.text:match("\ndescribe%(") then
      assert(compile(block))()
    elseif block.text:match("^%-%- runs") and lacks_of(block) then
      pending("runs at " .. block.name .. ": " .. lacks_of(block))
    elseif block.text:match("^%-%- runs") then
      it("runs at " .. block.name, function()
        assert(compile(block))()
      end)
    end
  end
end)

describe("an example", function()
  for _, block in ipairs(all_blocks) do
    it("runs, or says what it needs, at " .. block.name, function()
      assert.is_truthy(block.text:match("^%-%- runs") or block.text:match("^%-%- needs %a"))
    end)
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

-- The anchors of a page, as GitHub makes them of its headings.
local function anchors_of(text)
  local anchors = {}
  for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do
    local words = heading:lower():gsub("%[([^%]]*)%]%b()", "%1"):gsub("[^%w%s_-]", "")
    anchors[(words:gsub(" ", "-"))] = true
  end
  return anchors
end

describe("a link", function()
  for _, page in ipairs(pages) do
    it("of " .. page .. " leads to a heading that is there", function()
      local folder = page:match("^(.*/)") or ""
      for target, anchor in read(page):gmatch("%]%(([%w_./-]*)#([^)]+)%)") do
        local text = read(target == "" and page or folder .. target)
        assert.is_true(anchors_of(text)[anchor], target .. "#" .. anchor)
      end
    end)
  end

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
  chaos = { rate = 1, status = 503 },
}

local function steps_of(path)
  local steps = {}
  for step in path:gmatch("[^.]+") do
    steps[#steps + 1] = step
  end
  return steps
end

-- The policy with that value at that path.
local function put(policy, path, value)
  local at, steps = policy, steps_of(path)
  for i = 1, #steps - 1 do
    at[steps[i]] = at[steps[i]] or {}
    at = at[steps[i]]
  end
  at[steps[#steps]] = value
  return policy
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

-- What the declarations say of a key's default, by a client that was made without the key and one
-- that was made with what stands in the table.
describe("a default in docs/policy.md", function()
  it("is taken by the reader", function()
    local tried = 0
    for key, cells in pairs(rows_of("docs/policy.md")) do
      local default = cells[2]:match("^`(.*)`$")
      if default then
        assert.is_nil(complaint(key, value_of(default)), key)
        tried = tried + 1
      else
        assert.is_truthy(#cells[2] > 0, key)
      end
    end
    assert.is_true(tried >= 60, "only " .. tried .. " defaults were found")
  end)

  -- By what the check makes of them: the worst case depends on most numbers.
  it("changes nothing where it is given", function()
    local written = { name = "docs" }
    for _, row in ipairs(core.option_rows()[1].rows) do
      local top = row.path:match("^[^.]+")
      if row.default ~= nil and row.kind ~= "table" and (top == "timeout" or top == "retry"
        or top == "gate") then
        written = put(written, row.path, row.default)
      end
    end
    assert.same(neap.check{ name = "docs" }, neap.check(written))
  end)
end)

describe("docs/stores.md", function()
  -- What the reader says of an option, without its path.
  local function said_of(kind, options)
    local _, said = core.store(kind, options)
    return tostring(said):gsub("^options[^:]*: ", "")
  end

  for _, kind in ipairs{ "memory", "sqlite", "redis" } do
    it("has the options of neap.store." .. kind .. " as the reader has them", function()
      local section = read("docs/stores.md"):match(
        "\n<!%-%- options store%." .. kind .. " %-%->\n(.-)<!%-%- end")
      local rows = rows_in(section)
      for key in said_of(kind, { zzzzzzzz = 1 }):gmatch('"([%w_]+)"') do
        local options = { path = key ~= "path" and kind == "sqlite" and "x" or nil }
        options[key] = SAMPLE
        local expected = said_of(kind, options):match("^expected (.*), got a userdata$")
        assert.is_table(rows[key], key .. " is not documented")
        assert.equal(key .. ": " .. tostring(expected), key .. ": " .. rows[key][1])
        rows[key] = nil
      end
      assert.same({}, rows)
    end)
  end
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
