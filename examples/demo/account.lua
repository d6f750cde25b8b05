--- The account that a person reads: one line an event, with the seconds since the start, the order,
--- what happened, and what neap did about it.
local neap = require "neap"

local account = {}

local WHAT = "%5.1f  %-8s  %-9s  %s"
local WIDTH = 78
local FOLLOW_COLUMN = 44
local EXPLAIN_COLUMN = 49

-- Lua alone cannot tell a terminal from a file.
local function on_terminal()
  local status = os.execute("test -t 1")
  return (status == true or status == 0) and not os.getenv("NO_COLOR")
end

local coloured = on_terminal()
local COLOURS = {
  retry = "33", reject = "33", breaker = "1;35", fallback = "36", paid = "32", settled = "32",
  heading = "1", yes = "32", NO = "1;31",
}

local function paint(text, what)
  local colour = coloured and COLOURS[what]
  return colour and ("\27[%sm%s\27[0m"):format(colour, text) or text
end

local began = neap.now()
local open_width -- of the last line, while something may still be added to it

local function write(text)
  io.write(text)
  io.flush()
end

local function pad_to(column)
  write((" "):rep(math.max(column - open_width, 1)))
end

local function close_line()
  if open_width then
    write("\n")
    open_width = nil
  end
end

--- Seconds since the start.
function account.now()
  return neap.now() - began
end

--- Begins a line: what happened to whom.
---@param who string
---@param what string its first word decides the colour
---@param detail string
function account.tell(who, what, detail)
  close_line()
  local text = WHAT:format(account.now(), who, what, detail)
  write(paint(text, what:match("^%a+")))
  open_width = #text
end

--- What follows from it: on its line, or on one of its own if that has ended.
function account.follow(who, what, detail)
  if not open_width then
    account.tell(who, what, detail)
  else
    pad_to(FOLLOW_COLUMN)
    write(paint(("-> %s: %s"):format(what, detail), what))
  end
  close_line()
end

--- Explains the last line, on the same line.
function account.explain(text)
  pad_to(EXPLAIN_COLUMN)
  write(text)
  close_line()
end

--- A heading: what the API is up to.
function account.heading(text)
  close_line()
  write(paint(("-- %s %s"):format(text, ("-"):rep(WIDTH - #text - 4)), "heading") .. "\n")
end

--- Plain text; `what` may name a colour.
function account.say(text, what)
  close_line()
  write(paint(text, what) .. "\n")
end

return account
