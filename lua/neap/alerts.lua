--- The alerts of a client: tells its listeners, and `notify` of the policy, what the core has
--- judged.
--
-- They are told in the background of the host, one after the other, so that no call waits for a
-- webhook. The core says that there is something to tell at the end of a call, and where somebody
-- turns the engine. Loops that are not ours are asked to turn it when a window ends, so that an
-- alert also ends when no more calls come.
local compat = require "neap.compat"
local core = require "neap.core"
local host = require "neap.host"
local listeners = require "neap.listeners"
local tasks = require "neap.tasks"
local waiting = require "neap.waiting"

---@class neap.Alerts
local Alerts = {}
Alerts.__index = Alerts

-- Seconds. Who tells one alert for longer was dropped with its coroutine; who has not begun to tell
-- after so long will not: there was no memory for it.
local LONGEST, LATEST = 600, 1
local MOST = 1000 -- that wait for the one before; what comes then is lost, and counted

--- Nil where the policy has no alerts.
---@param client neap.Client
---@param notify? fun(alert: table)
---@return neap.Alerts?
function Alerts.new(client, notify)
  local id = client._core:alerts_waiter()
  if not id then
    return nil
  end
  local self = setmetatable({
    client = client,
    core = client._core,
    engine = client._engine,
    notify = notify,
    queue = {},
    first = 1,
    last = 0,
  }, Alerts)
  self.held = waiting.listen(self.engine, id, self)
  return self
end

local function tell(self, alert)
  local client = self.client
  alert.time = self.engine:time() - (self.engine:now() - alert.at)
  listeners.tell(client, alert)
  alert.client = client.name
  if self.notify and not tasks.listen(self.notify, alert) then
    self.core:listener_failed()
  end
end

-- Until there are none, or somebody else has taken over.
local function tell_all(self, turn)
  turn.teller = compat.running() or true
  while self.turn == turn and self.first <= self.last do
    local alert = self.queue[self.first]
    self.queue[self.first] = nil
    self.first = self.first + 1
    turn.began = self.engine:now()
    if not compat.pcall(tell, self, alert) then -- for want of memory: the others are told
      self.core:listener_failed()
    end
  end
  if self.turn == turn then
    self.turn = nil
  end
end

local function take_all(self)
  while self.core:has_alerts() do
    local place = self.last + 1
    local is_full = place - self.first >= MOST
    self.queue[place] = not is_full or nil -- the room first: what is taken must not be lost
    local alert = self.core:take_alert()
    if is_full then
      self.core:listener_failed()
    else
      self.queue[place], self.last = alert, place
    end
  end
end

-- For want of memory it may have died anywhere. nginx does not answer for all coroutines.
local function is_dead(teller)
  local known, status = pcall(coroutine.status, teller)
  return known and status == "dead"
end

-- A forked child, or the end of a loop, drops whoever was telling.
local function is_telling(self)
  local turn = self.turn
  return turn and turn.process == core.process_id() and not is_dead(turn.teller)
    and self.engine:now() - turn.began < (turn.teller and LONGEST or LATEST)
end

--- Begins to tell what there is to tell.
function Alerts:wake()
  local engine = self.engine
  take_all(self)
  if self.first > self.last or is_telling(self) then
    return
  end
  local turn = { process = core.process_id(), began = engine:now(), teller = false }
  self.turn = turn
  local done, begun = pcall(host.background, engine, function() tell_all(self, turn) end)
  if not done then
    self.turn = nil -- or nobody would be told until LONGEST has passed
    error(begun, 0)
  end
  if not begun then
    tell_all(self, turn)
  end
end

local function await(self)
  local seconds = self.core:alerts_wait()
  if seconds then
    self.is_awaited = host.poll_later(self.engine, seconds, function()
      self.is_awaited = nil
      local current = self.client._alerts -- an update may have put others in place
      if current then
        current:look()
      end
    end)
  end
end

--- The end of a call, or of a window: is there something to tell, and will somebody look again?
function Alerts:look()
  if self.core:has_alerts() then
    self:wake()
  end
  if not self.is_awaited and host.polls_later(self.engine) then
    await(self)
  end
end

--- Judges all that can be judged now.
function Alerts:judge()
  self.core:look_at_alerts()
  self:look()
end

--- What fires, judged now: a list of { alert, since, value }. Whoever is told meanwhile may update
--- the client.
---@return table[]
function Alerts:firing()
  self:judge()
  return self.client._core:firing_alerts()
end

return Alerts
