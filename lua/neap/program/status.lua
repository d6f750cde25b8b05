--- `neap status`: writes the status page of programs that share their state.
local survey = require "neap.survey"
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local neap = require "neap"
local status_page = require "neap.status"

local status = {
  usage = "status [--shared NAME] > page.html",
  summary = "write the status page of a shared region",
  operands = 0,
  options = { shared = arguments.text },
  help = [[
Reads the region that programs have made by neap.shared{ name = NAME }: the page has all their
clients, says when it was made, and does not change.

  --shared NAME     the region's name (neap)
]],
}

-- Who only looks must not make one.
local function join_region(name)
  local file, message = io.open("/dev/shm/neap-" .. name, "rb")
  if not file then
    ending.give_up(ending.FAILED, "there is no region %q to be read: %s", name, message)
  end
  local size = file:seek("end")
  file:close()
  if size == 0 then -- neap.shared would make one of it
    ending.give_up(ending.FAILED, "there is no region %q to be read: its file is empty", name)
  end
  local done, region, err = pcall(neap.shared, { name = name })
  if not done or not region then
    ending.give_up(ending.FAILED, "%s", tostring(done and err or region))
  end
end

function status.run(given)
  local name = given.shared or "neap"
  join_region(name)
  local clients, _, is_whole = survey.rows()
  if not is_whole then
    ending.give_up(ending.FAILED,
      "the region %q cannot be read now: too many processes use it", name)
  end
  ending.print(status_page.page(clients, {
    made_at = os.time(),
    source = "shared memory " .. name,
  }))
  return ending.OK
end

return status
