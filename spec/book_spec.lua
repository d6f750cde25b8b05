-- The book in docs/: its tables are what the code declares, each page of a policy has one form, and
-- each page stands in the index.
local book = dofile(".ci/book.lua")
local process = require "spec.support.process"

-- Pages of policies; the others are about working with them.
local POLICIES = {
  "timeouts", "retry", "breaker", "gate", "limits", "idempotency", "cache", "coalescing",
  "fallback", "alerts", "chaos", "shadow", "outbox", "serving", "standalone", "transport",
}
local SECTIONS = { "Options", "How it decides", "Example", "Events and metrics", "Mistakes" }

local function pages()
  local list, found = {}, assert(io.popen("ls docs/*.md"))
  for path in found:lines() do
    list[#list + 1] = path
  end
  found:close()
  return list
end

-- The headings of the second level, outside of code.
local function headings(text)
  local list, in_code = {}, false
  for line in text:gmatch("[^\n]*") do
    if line:match("^```") then
      in_code = not in_code
    elseif not in_code then
      list[#list + 1] = line:match("^## (.+)$")
    end
  end
  return list
end

describe("a table of options", function()
  for _, path in ipairs(pages()) do
    it("of " .. path .. " is what the code declares (make docs)", function()
      local now, wanted = book.compare(path)
      assert.equal(wanted, now)
    end)
  end

  it("is made anew where it was changed by hand", function()
    local now, wanted = book.compare("docs/gate.md")
    local changed, count = now:gsub("| `10` |", "| `11` |")
    assert.equal(1, count)
    assert.equal(wanted, book.rewrite(changed, "gate.md"))
  end)

  it("cannot be asked for of what has no options", function()
    local done, message = pcall(book.rewrite, "<!-- options teapot -->\n<!-- end -->\n", "x.md")
    assert.is_false(done)
    assert.matches("x.md: nothing called teapot has options", message, 1, true)
  end)
end)

describe("each row of each table of options", function()
  local core = require "neap.core"

  it("says what it means", function()
    for _, listed in ipairs(core.option_rows()) do
      for _, row in ipairs(listed.rows) do
        assert.is_truthy(row.about and #row.about > 3, listed.of .. ": " .. row.path)
      end
    end
  end)

  it("stands in docs/policy.md if it is a policy's", function()
    local page = process.read_file("docs/policy.md")
    for _, row in ipairs(core.option_rows()[1].rows) do
      assert.is_truthy(page:find("| `" .. row.path .. "` |", 1, true), row.path)
    end
  end)
end)

describe("the page of a policy", function()
  for _, name in ipairs(POLICIES) do
    local text = process.read_file("docs/" .. name .. ".md")

    it("has its sections in one order: " .. name, function()
      assert.same(SECTIONS, headings(text))
    end)

    it("says what it is for, and what not: " .. name, function()
      local opening = text:match("^(.-)\n## ")
      assert.is_truthy(opening:find("For**", 1, true))
      assert.is_truthy(opening:find("**Not for**", 1, true))
    end)

    it("has an example that runs: " .. name, function()
      local example = text:match("\n## Example\n(.-)\n## ")
      assert.is_truthy(example:find("```lua\n-- runs", 1, true))
    end)
  end
end)

describe("docs/README.md", function()
  it("leads to each page", function()
    local index = process.read_file("docs/README.md")
    for _, path in ipairs(pages()) do
      local name = path:match("[^/]+$")
      assert.is_truthy(name == "README.md" or index:find("](" .. name .. ")", 1, true), name)
    end
  end)
end)
