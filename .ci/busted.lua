-- Runs busted in the interpreter that reads this file, whichever `lua` the command `busted` names.
-- Line by line, so that a crash or a leak report at exit does not swallow the results before it.
io.stdout:setvbuf("line")
require("busted.runner")({ standalone = false })
