--- What people see: colours, where stdout is a terminal that has them, and lines of a bearable
--- length.
local terminal = {}

local CODES = { red = "31", yellow = "33", green = "32", blue = "34", bold = "1", faint = "2" }

local has_colours

local function find_colours()
  if has_colours == nil then
    local status = os.execute("test -t 1") -- true, or 0 in Lua 5.1
    has_colours = (status == true or status == 0) and (os.getenv("NO_COLOR") or "") == ""
      and os.getenv("TERM") ~= "dumb"
  end
  return has_colours
end

--- The text in that colour, or as it is where stdout is no terminal, or NO_COLOR is set.
---@param colour string
---@param text string
---@return string
function terminal.coloured(colour, text)
  if not find_colours() then
    return text
  end
  return "\27[" .. CODES[colour] .. "m" .. text .. "\27[0m"
end

--- The text in lines of at most `width` characters where its words allow it, each after the indent.
---@param text string
---@param indent string
---@param width integer
---@return string
function terminal.wrapped(text, indent, width)
  local lines, line = {}, indent
  for word in text:gmatch("%S+") do
    if #line + 1 + #word > width and line ~= indent then
      lines[#lines + 1] = line
      line = indent
    end
    line = line .. (line == indent and "" or " ") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

return terminal
