-- The classes of LuaCATS that tables of options are, for definitions in library/.
local option_words = require "neap.program.option_words"

local HEADERS = "table<string, string|number|(string|number)[]>"
local REQUEST_TO_TEXT = "fun(req: neap.Request): string"

-- What a declaration cannot say: the parameters of functions, and what values are.
local TYPES = {
  ["policy:headers"] = HEADERS,
  ["policy:trace"] = "fun(req: neap.Request, attempt: neap.AttemptInfo): table<string, string>?",
  ["policy:proxy"] = "string",
  ["policy:retry.backoff"] = "fun(n: integer, outcome: neap.Outcome): number",
  ["policy:retry.statuses"] = 'table<integer, boolean|"once">',
  ["policy:retry.refresh"] = "fun(req: neap.Request, res: neap.Response): table<string, string>?",
  ["policy:retry.when"] = "fun(outcome: neap.Outcome): boolean?",
  ["policy:breaker.key"] = REQUEST_TO_TEXT,
  ["policy:breaker.failure"] = 'fun(outcome: neap.Outcome): "success"|"failure"|"ignore"|nil',
  ["policy:gate.key"] = REQUEST_TO_TEXT,
  ["policy:idempotency.from"] = REQUEST_TO_TEXT,
  ["policy:cache.store"] = "neap.Store",
  ["policy:fallback"] = "(neap.Fallback|neap.FallbackFunction)[]",
  ["policy:alerts.notify"] = "fun(alert: neap.Event)",
  ["policy:chaos.only"] = "fun(req: neap.Request): boolean?",
  ["breaker:name"] = "string", ["bulkhead:name"] = "string", ["rate_limiter:name"] = "string",
  ["retry_budget:name"] = "string",
  ["idempotency:store"] = "neap.Store", ["idempotency:env"] = "neap.Env",
  ["idempotency:fingerprint"] = "fun(req: neap.ServedRequest): string",
  ["idempotency:scope"] = "fun(req: neap.ServedRequest): string",
  ["idempotency:store_statuses"] = "fun(status: integer): boolean",
  ["outbox:store"] = "neap.Store", ["outbox:client"] = "neap.Client", ["outbox:name"] = "string",
  ["outbox:ordering_key"] = "fun(req: neap.Request): string?", ["outbox:env"] = "neap.Env",
  ["outbox:backoff"] = "neap.BackoffPolicy",
  ["store.memory:env"] = "neap.Env", ["store.sqlite:env"] = "neap.Env",
  ["store.redis:env"] = "neap.Env",
}

local OF_KIND = {
  boolean = "boolean", integer = "integer", number = "number", seconds = "number",
  bytes = "integer", text = "string", texts = "string[]",
}

local classes = {}

-- "neap.Policy" and "retry.half_open" are neap.Policy.Retry.HalfOpen.
local function class_name(root, path)
  return root .. (("." .. path):gsub("%.(%l)", function(first) return "." .. first:upper() end)
    :gsub("_(%l)", string.upper))
end

local function type_of_kind(form, known)
  if form.kind == "choice" then
    local texts = {}
    for index, choice in ipairs(form.choices) do
      texts[index] = ("%q"):format(choice)
    end
    return table.concat(texts, "|")
  end
  return OF_KIND[form.kind] or known
end

-- A union; functions go into brackets, or what follows would belong to their result.
local function type_of(row, of, root, has_keys)
  local known = TYPES[of .. ":" .. row.path]
  local parts = { has_keys and class_name(root, row.path) or type_of_kind(row, known) }
  if row.other then
    parts[#parts + 1] = type_of_kind(row.other, known)
  end
  assert(parts[1] and (not row.other or parts[2]), of .. ": no type is known of " .. row.path)
  for index, part in ipairs(parts) do
    parts[index] = part:match("^fun%(") and "(" .. part .. ")" or part
  end
  parts[#parts + 1] = row.or_true and "true" or nil
  parts[#parts + 1] = row.or_false and "false" or nil
  return table.concat(parts, "|")
end

local function field_of(row, of, root, has_keys)
  return ("---@field %s%s %s %s; %s; %s"):format(row.path:match("[^.]+$"),
    row.required and "" or "?", type_of(row, of, root, has_keys), option_words.plain(row.about),
    row.expected, row.required and "required" or "default "
      .. option_words.plain(option_words.default(row)))
end

local function parent_of(path)
  return path:match("^(.*)%.[^.]+$") or ""
end

--- The classes of all tables in these options, `root` first.
---@param of string
---@param root string
---@return string
function classes.of(of, root)
  local rows = assert(option_words.rows(of), "nothing called " .. of .. " has options")
  local lists, order = { [""] = {} }, { "" }
  for _, row in ipairs(rows) do
    local parent = parent_of(row.path)
    if not lists[parent] then
      lists[parent] = {}
      order[#order + 1] = parent
    end
    table.insert(lists[parent], row)
  end
  local lines = {}
  for _, path in ipairs(order) do
    lines[#lines + 1] = (path == "" and "" or "\n") .. "---@class "
      .. (path == "" and root or class_name(root, path))
    for _, row in ipairs(lists[path]) do
      lines[#lines + 1] = field_of(row, of, root, lists[row.path] ~= nil)
    end
  end
  return table.concat(lines, "\n")
end

return classes
