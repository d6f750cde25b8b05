--- What neap has counted, as JSON that a person can read.
local cjson = require "cjson.safe"
local neap = require "neap"

local stats = {}

local function sorted_keys(of)
  local keys = {}
  for key in pairs(of) do
    keys[#keys + 1] = tostring(key)
  end
  table.sort(keys)
  return keys
end

-- Tables here are objects with text keys. Four digits of a second are more than anybody reads.
local function write(value, indent, out)
  if type(value) ~= "table" then
    local is_fraction = type(value) == "number" and value % 1 ~= 0
    out[#out + 1] = is_fraction and ("%.4g"):format(value) or cjson.encode(value)
    return
  end
  local keys, deeper = sorted_keys(value), indent .. "  "
  out[#out + 1] = "{"
  for index, key in ipairs(keys) do
    out[#out + 1] = ("%s%s%s: "):format(index > 1 and ",\n" or "\n", deeper, cjson.encode(key))
    write(value[key], deeper, out)
  end
  out[#out + 1] = #keys > 0 and "\n" .. indent .. "}" or "}"
end

function stats.serve()
  local out = {}
  write(neap.stats(), "", out)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["X-Worker"] = ngx.worker.pid()
  ngx.say(table.concat(out))
end

return stats
