--- What the declared options say of themselves, in words: for people on the command line, for the
--- tables of the documents and for editors' definitions.
local core = require "neap.core"

local option_words = {}

--- The options of what is named: "policy", "breaker", "outbox", "store.redis" and so on.
---@param of string
---@return table[]? rows in the order of the declarations; nil where nothing has that name
---@return string[] names of all that have options
function option_words.rows(of)
  local names, found = {}, nil
  for _, listed in ipairs(core.option_rows()) do
    names[#names + 1] = listed.of
    found = listed.of == of and listed.rows or found
  end
  return found, names
end

--- Is the row that of the key, or of one below it?
---@param row table
---@param key string
---@return boolean
function option_words.is_within(row, key)
  return row.path == key or row.path:sub(1, #key + 1) == key .. "."
end

local function literal(value)
  if type(value) == "table" then
    local texts = {}
    for index, text in ipairs(value) do
      texts[index] = ("%q"):format(text)
    end
    return #texts == 0 and "{}" or "{ " .. table.concat(texts, ", ") .. " }"
  end
  return type(value) == "string" and ("%q"):format(value)
    or type(value) == "number" and ("%.14g"):format(value) or tostring(value)
end

--- What counts where the key is not given, as Markdown: a literal of Lua in backticks, or words.
---@param row table
---@return string
function option_words.default(row)
  if row.required then
    return "required"
  end
  return row.otherwise or row.default ~= nil and "`" .. literal(row.default) .. "`" or "none"
end

--- Markdown without its links and backticks.
---@param text string
---@return string
function option_words.plain(text)
  return (text:gsub("%[([^%]]+)%]%([^)]*%)", "%1"):gsub("`", ""))
end

return option_words
