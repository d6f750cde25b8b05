--- What people see: colours, where the stream is a terminal that has them, signs and columns that
--- it has, and lines of a bearable length.
local terminal = {}

local CODES = { red = "31", yellow = "33", green = "32", blue = "34", bold = "1", faint = "2" }

--- Is the stream of that number (1: stdout, 2: stderr) a terminal?
---@param stream 1|2
---@return boolean
function terminal.is(stream)
  local status = os.execute(("test -t %d"):format(stream)) -- true, or 0 in Lua 5.1
  return status == true or status == 0
end

local has_colours = {}

--- Is the stream (1, stdout, by default) a terminal with colours, and has nobody asked for none?
---@param stream? 1|2
---@return boolean
function terminal.has_colours(stream)
  stream = stream or 1
  if has_colours[stream] == nil then
    has_colours[stream] = terminal.is(stream) and (os.getenv("NO_COLOR") or "") == ""
      and os.getenv("TERM") ~= "dumb"
  end
  return has_colours[stream]
end

--- The text in that colour, or as it is where the stream is no terminal, or NO_COLOR is set.
---@param colour string
---@param text string
---@param stream? 1|2
---@return string
function terminal.coloured(colour, text, stream)
  if not terminal.has_colours(stream) then
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

--- A text from elsewhere that cannot steer the terminal.
---@param text string
---@return string
function terminal.plain(text)
  return (text:gsub("%c", "?"))
end

--- Does the locale say that texts are UTF-8?
---@return boolean
function terminal.is_utf8()
  for _, name in ipairs{ "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = os.getenv(name) or ""
    if value ~= "" then
      return value:lower():find("utf%-?8") ~= nil
    end
  end
  return false
end

--- The columns of the terminal that stdout is; nil where it is none and COLUMNS does not say.
---@return integer?
function terminal.width()
  local columns = tonumber(os.getenv("COLUMNS") or "")
  if columns and columns >= 1 then
    return math.floor(columns)
  end
  if not terminal.is(1) then
    return nil
  end
  local pipe = io.popen("stty size 2>/dev/null </dev/tty")
  local text = pipe and pipe:read("*l") or ""
  if pipe then
    pipe:close()
  end
  return tonumber(text:match("^%d+ (%d+)$"))
end

return terminal
