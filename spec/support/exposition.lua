--- Reads Prometheus' text format by its grammar, and refuses what is not of it.
--
--     local families = exposition.read(text)
--     families.neap_calls_total.type                                        --> "counter"
--     exposition.value(text, 'neap_calls_total{client="api",result="ok"}')  --> 3
--
-- Held to more than the format asks: each family has HELP and TYPE, in this order, before its
-- samples; all of its samples stand together; no two have equal labels; histograms add up.
local exposition = {}

local UNESCAPED = { ["\\\\"] = "\\", ['\\"'] = '"', ["\\n"] = "\n" }

-- What stands between the quotes at `at`; the position behind them.
local function read_value(line, at)
  local parts = {}
  while true do
    local plain, stop = line:match('^([^"\\]*)(["\\])', at)
    if not plain then
      error("a value without an end: " .. line, 0)
    end
    parts[#parts + 1] = plain
    at = at + #plain
    if stop == '"' then
      return table.concat(parts), at + 1
    end
    local escape = UNESCAPED[line:sub(at, at + 1)]
    if not escape then
      error("an unknown escape: " .. line, 0)
    end
    parts[#parts + 1] = escape
    at = at + 2
  end
end

-- The labels that begin at the brace at `at`; the position behind the other one.
local function read_labels(line, at)
  local labels = {}
  repeat
    local name, value = line:match('^[{,]([%a_][%w_]*)="()', at)
    if not name or labels[name] then
      error("no label: " .. line, 0)
    end
    labels[name], at = read_value(line, value)
  until line:sub(at, at) ~= ","
  if line:sub(at, at) ~= "}" then
    error("labels without an end: " .. line, 0)
  end
  return labels, at + 1
end

local function sorted_keys(of)
  local keys = {}
  for key in pairs(of) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- The same for equal labels, in whatever order they were written; without `but`.
local function identity(labels, but)
  local words = {}
  for _, name in ipairs(sorted_keys(labels)) do
    if name ~= but then
      words[#words + 1] = ("%s=%q"):format(name, labels[name])
    end
  end
  return table.concat(words, ",")
end

local function read_number(text, line)
  local number = text == "+Inf" and math.huge or tonumber(text)
  if not number or not text:find("^[%d%.%+%-einfI]+$") then
    error("no number: " .. line, 0)
  end
  return number
end

local function read_sample(line)
  local name = line:match("^[%a_:][%w_:]*")
  if not name then
    error("no sample: " .. line, 0)
  end
  local labels, at = {}, #name + 1
  if line:sub(at, at) == "{" then
    labels, at = read_labels(line, at)
  end
  local number = line:match("^ (%S+)$", at)
  if not number then
    error("no value: " .. line, 0)
  end
  return { name = name, labels = labels, value = read_number(number, line) }
end

local SUFFIXES = { histogram = { _bucket = true, _sum = true, _count = true } }

local function belongs(family, name)
  local suffix = name:sub(1, #family.name) == family.name and name:sub(#family.name + 1)
  return suffix and (SUFFIXES[family.type] or { [""] = true })[suffix]
end

local function add_sample(family, line)
  local sample = read_sample(line)
  if not family or not family.type or not belongs(family, sample.name) then
    error("a sample outside of its family: " .. line, 0)
  end
  local id = sample.name .. "{" .. identity(sample.labels) .. "}"
  if family.seen[id] then
    error("a sample twice: " .. line, 0)
  end
  family.seen[id] = true
  family.samples[#family.samples + 1] = sample
end

-- Of each histogram of the family: its buckets in order, its sum and its count.
local function histograms_of(family)
  local all = {}
  for _, sample in ipairs(family.samples) do
    local id = identity(sample.labels, "le")
    all[id] = all[id] or { buckets = {} }
    local part = sample.name:match("_(%a+)$")
    if part == "bucket" then
      table.insert(all[id].buckets, { read_number(sample.labels.le, id), sample.value })
    else
      all[id][part] = sample.value
    end
  end
  return all
end

local function check_histogram(id, histogram)
  local edge, below = -math.huge, 0
  for _, bucket in ipairs(histogram.buckets) do
    assert(bucket[1] > edge, id .. ": edges are not in order")
    assert(bucket[2] >= below, id .. ": counts are not cumulative")
    edge, below = bucket[1], bucket[2]
  end
  assert(edge == math.huge, id .. ": no bucket +Inf")
  assert(below == histogram.count, id .. ": the last bucket is not the count")
  assert(histogram.sum >= 0, id .. ": no sum")
end

local function check_family(family)
  assert(family.type, family.name .. " has no type")
  assert(#family.samples > 0, family.name .. " has no samples")
  if family.type == "histogram" then
    for id, histogram in pairs(histograms_of(family)) do
      check_histogram(family.name .. "{" .. id .. "}", histogram)
    end
  end
end

local TYPES = { counter = true, gauge = true, histogram = true }

local function begin_family(families, name, help)
  if families[name] then
    error("a family twice: " .. name, 0)
  end
  families[name] = { name = name, help = help, samples = {}, seen = {} }
  return families[name]
end

local function set_type(family, name, word)
  if not family or family.name ~= name or family.type or not TYPES[word] then
    error("a misplaced type: " .. name, 0)
  end
  family.type = word
end

--- The families of a text by their names: { name, type, help, samples = { { name, labels, value }
--- … } }. Raises where it is not as it should be.
---@param text string
---@return table<string, table>
function exposition.read(text)
  local families, family = {}, nil
  if text:sub(-1) ~= "\n" then
    error("the last line has no end", 0)
  end
  for line in text:gmatch("([^\n]*)\n") do
    local name, rest = line:match("^# HELP ([%a_:][%w_:]*) (.+)$")
    local typed, word = line:match("^# TYPE ([%a_:][%w_:]*) (%a+)$")
    if name then
      family = begin_family(families, name, rest)
    elseif typed then
      set_type(family, typed, word)
    else
      add_sample(family, line)
    end
  end
  for _, one in pairs(families) do
    check_family(one)
  end
  return families
end

--- The value of one sample, as it is written, or nil.
---@param text string
---@param sample string
---@return number?
function exposition.value(text, sample)
  local at = ("\n" .. text):find("\n" .. sample .. " ", 1, true)
  return at and tonumber(text:match("^(%S+)", at + #sample + 1))
end

--- How many samples of a family there are.
---@param text string
---@param name string
---@return integer
function exposition.count(text, name)
  local family = exposition.read(text)[name]
  return family and #family.samples or 0
end

return exposition
