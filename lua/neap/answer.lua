--- What a handler on the serving side answers: a table with status, headers and body, checked and
--- brought into one shape.
--
-- Headers may be written as a table by name, where a repeated header is a list, or as a list of
-- { name, value } pairs, which keeps their order. In the one shape `headers` finds them in any
-- letter case, and `raw_headers` is the list of pairs.
local Response = require "neap.response"
local core = require "neap.core"

local answer = {}

---@class neap.Answer
---@field status integer
---@field headers table<string, string|string[]> found in any letter case; a repeated one is a list
---@field raw_headers string[][] pairs of name and value, in their order
---@field body string

-- Adds name and value, or one pair for each of a list, to the flat list. What is wrong, or nil.
local function add(flat, name, value)
  if type(value) == "table" then
    for _, each in ipairs(value) do
      local flaw = type(each) == "table" and "" or add(flat, name, each)
      if flaw then
        return ("headers.%s: expected a list of strings"):format(name)
      end
    end
    return nil
  end
  if type(value) ~= "string" and type(value) ~= "number" then
    return ("headers.%s: expected a string or a list of strings, got a %s"):format(name,
      type(value))
  end
  flat[#flat + 1] = name
  flat[#flat + 1] = tostring(value)
end

-- Headers by name as a list of pairs in the order of their names; nil and what is wrong.
local function pairs_of(headers)
  local list = {}
  for name, value in pairs(headers) do
    if type(name) ~= "string" then
      return nil, ("headers: expected names as keys, got %s"):format(tostring(name))
    end
    list[#list + 1] = { name, value }
  end
  table.sort(list, function(one, other) return one[1] < other[1] end)
  return list
end

local function check_pair(pair, index)
  if type(pair) ~= "table" or type(pair[1]) ~= "string" or type(pair[2]) == "table" then
    return ("headers[%d]: expected a pair of name and value"):format(index)
  end
end

local function flatten_pairs(list, check)
  local flat = {}
  for index, pair in ipairs(list) do
    local flaw = check(pair, index) or add(flat, pair[1], pair[2])
    if flaw then
      return nil, flaw
    end
  end
  return flat
end

local function no_check() end

--- Headers in either form as a flat list of names and values; nil and what is wrong with them.
---@param headers? table
---@return string[]?
---@return string? flaw
function answer.flatten(headers)
  if headers == nil then
    return {}
  end
  if type(headers) ~= "table" then
    return nil, ("headers: expected a table, got a %s"):format(type(headers))
  end
  if headers[1] ~= nil then
    return flatten_pairs(headers, check_pair)
  end
  local list, flaw = pairs_of(headers)
  if not list then
    return nil, flaw
  end
  return flatten_pairs(list, no_check)
end

-- What would end a field stands for a space, as RFC 9110 5.5 has it: the work is done, so its
-- answer is not to be refused for that.
local function make_sendable(flat)
  for index = 2, #flat, 2 do
    flat[index] = flat[index]:gsub("[%z\r\n]", " ")
  end
end

--- Status, flat list of headers and body of what a handler returned; nil and what is wrong with it.
---@param given any
---@return integer? status
---@return string[]|string headers_or_flaw
---@return string? body
function answer.parts(given)
  if type(given) ~= "table" then
    return nil, ("expected a table with status, headers and body to be returned, got a %s"):format(
      type(given))
  end
  local status, body = given.status or 200, given.body or ""
  if not Response.is_status(status) then
    return nil, ("status: expected an integer from 100 to 599, got %s"):format(core.shown(status))
  end
  if type(body) ~= "string" then
    return nil, ("body: expected a string, got a %s"):format(type(body))
  end
  local flat, flaw = answer.flatten(given.headers)
  if not flat then
    return nil, flaw
  end
  make_sendable(flat)
  return status, flat, body
end

local function collect(flat)
  local by_name, raw = {}, {}
  for index = 1, #flat, 2 do
    local name, value = flat[index], flat[index + 1]
    local lower = name:lower()
    local before = by_name[lower]
    raw[#raw + 1] = { name, value }
    if before == nil then
      by_name[lower] = value
    elseif type(before) == "table" then
      before[#before + 1] = value
    else
      by_name[lower] = { before, value }
    end
  end
  return core.headers_table(by_name), raw
end

--- The one shape.
---@param status integer
---@param flat string[]
---@param body string
---@return neap.Answer
function answer.new(status, flat, body)
  local headers, raw = collect(flat)
  return { status = status, headers = headers, raw_headers = raw, body = body }
end

--- The values of a header in any letter case, in either form of headers.
---@param headers? table
---@param name string
---@return string[]
function answer.values(headers, name)
  local values, wanted = {}, name:lower()
  local flat = answer.flatten(headers) or {}
  for index = 1, #flat, 2 do
    if flat[index]:lower() == wanted then
      values[#values + 1] = flat[index + 1]
    end
  end
  return values
end

return answer
