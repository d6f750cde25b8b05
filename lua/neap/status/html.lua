--- Text that comes from outside, as HTML shows it.
local html = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;" }

-- What UTF-8 is, by RFC 3629, but for U+0080 to U+009F, which are orders to a terminal too.
local SEQUENCES = {
  "^\194[\160-\191]",
  "^[\195-\223][\128-\191]",
  "^\224[\160-\191][\128-\191]",
  "^[\225-\236\238\239][\128-\191][\128-\191]",
  "^\237[\128-\159][\128-\191]",
  "^\240[\144-\191][\128-\191][\128-\191]",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]",
  "^\244[\128-\143][\128-\191][\128-\191]",
}

local function sequence_at(text, index)
  for _, pattern in ipairs(SEQUENCES) do
    local found = text:match(pattern, index)
    if found then
      return found
    end
  end
end

local function hexadecimal(bytes)
  return (bytes:gsub(".", function(byte) return ("\\x%02X"):format(byte:byte()) end))
end

-- A run of bytes above 127.
local function readable(run)
  local parts, index = {}, 1
  while index <= #run do
    local found = sequence_at(run, index)
    parts[#parts + 1] = found or hexadecimal(run:sub(index, index))
    index = index + (found and #found or 1)
  end
  return table.concat(parts)
end

--- The bytes as text of an element or of an attribute in double quotes. What is no UTF-8, and what
--- is no sign but an order to a terminal, stands as \xNN.
---@param bytes any
---@return string
function html.text(bytes)
  local text = tostring(bytes):gsub("[%z\1-\31\127]", hexadecimal)
  return (text:gsub("[\128-\255]+", readable):gsub("[&<>\"']", ENTITIES))
end

return html
