-- Makes the parts of the documents that the code knows better: tables of options, between
--
--     <!-- options policy: retry breaker.key -->      <!-- options store.redis -->
--     <!-- end -->
--
-- which are the options of `policy` within these keys, or all; what faults come to, between
--
--     <!-- faults TLS -->
--     <!-- end -->
--
-- and classes for editors, between
--
--     -- <options policy neap.Policy>
--     -- <end>
--
-- `lua .ci/book.lua FILE…` writes the files anew (`make docs`); spec/book_spec.lua takes the module
-- and fails where that would change one.
local classes = dofile(".ci/classes.lua")
local option_words = require "neap.program.option_words"

local book = {}

-- "see [x](x.md)" is of no use on that very page, and other links to it are plain words there.
local function at_home(text, page)
  local own = page:gsub("%p", "%%%0")
  text = text:gsub("^see %[[^%]]+%]%(" .. own .. "[^)]*%)[;:,] ", "")
  text = text:gsub("^see %[[^%]]+%]%(" .. own .. "[^)]*%)$", "")
  text = text:gsub("[;,:] see %[[^%]]+%]%(" .. own .. "[^)]*%)", "")
  return (text:gsub("%[([^%]]+)%]%(" .. own .. "[^)]*%)", "%1"))
end

local function is_wanted(row, keys)
  for _, key in ipairs(keys) do
    if option_words.is_within(row, key) then
      return true
    end
  end
  return #keys == 0
end

-- "|" would end the cell.
local function cell(text)
  return (text:gsub("|", "\\|"))
end

local function table_of(of, keys, page)
  local rows = assert(option_words.rows(of), page .. ": nothing called " .. of .. " has options")
  local lines = { "| key | type and range | default | meaning |", "|---|---|---|---|" }
  for _, row in ipairs(rows) do
    if is_wanted(row, keys) then
      assert(row.about, of .. ": " .. row.path .. " does not say what it means")
      lines[#lines + 1] = ("| `%s` | %s | %s | %s |"):format(row.path, cell(row.expected),
        option_words.default(row), cell(at_home(row.about, page)))
    end
  end
  assert(#lines > 2, page .. ": no option of " .. of .. " is called so")
  return table.concat(lines, "\n")
end

local function rewrite_classes(text)
  return (text:gsub("(%-%- <options ([%w_.]+) ([%w_.]+)>\n).-(%-%- <end>)",
    function(head, of, root, tail)
      return head .. classes.of(of, root) .. "\n" .. tail
    end))
end

-- Loaded only where a page asks for it: it comes from the specs.
local function rewrite_faults(text)
  return (text:gsub("(<!%-%- faults ([^\n]-) %-%->\n).-(<!%-%- end %-%->)",
    function(head, group, tail)
      return head .. "\n" .. dofile(".ci/fault_rows.lua").of(group) .. "\n\n" .. tail
    end))
end

--- The page as it should be.
---@param text string
---@param page string its name without folder, "retry.md"
---@return string
function book.rewrite(text, page)
  text = rewrite_faults(rewrite_classes(text))
  return (text:gsub("(<!%-%- options ([%w_.]+):?([^\n]-) %-%->\n).-(<!%-%- end %-%->)",
    function(head, of, words, tail)
      local keys = {}
      for key in words:gmatch("%S+") do
        keys[#keys + 1] = key
      end
      return head .. "\n" .. table_of(of, keys, page) .. "\n\n" .. tail
    end))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- What stands in the file, and what should.
---@param path string
---@return string now
---@return string wanted
function book.compare(path)
  local now = read(path)
  return now, book.rewrite(now, path:match("[^/]+$"))
end

local function update(path)
  local now, wanted = book.compare(path)
  if now ~= wanted then
    local file = assert(io.open(path, "wb"))
    assert(file:write(wanted))
    assert(file:close())
    print("[docs] " .. path)
  end
end

if arg and arg[0] and arg[0]:match("book%.lua$") then
  for _, path in ipairs(arg) do
    update(path)
  end
end

return book
