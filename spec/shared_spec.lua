-- State shared by processes: child interpreters, each with a region of the spec's own.
--
-- This process never shares itself, since all specs after this one would share too.
local socket = require "socket"

local neap = require "neap"
local calls = require "spec.support.calls"
local policy = require "spec.support.policy"
local process = require "spec.support.process"
local server = require "spec.support.server"

local misuse = policy.misuse

local LUA = assert(os.getenv("NEAP_LUA"), "NEAP_LUA names the interpreter")
local PATIENCE = 30 -- seconds until something that must happen has not happened

-- What each child begins with: `region`, `url`, and how it speaks with the spec.
local PRELUDE = [[
local neap = require "neap"
local dir, name, url = ...
local function say(...)
  local words = { ... }
  for index = 1, select("#", ...) do
    local word = words[index]
    words[index] = type(word) == "number" and ("%g"):format(word) or tostring(word)
  end
  io.stdout:write(table.concat(words, " "), "\n")
  io.stdout:flush()
end
local function hear(word) -- until the spec says the word
  local give_up = neap.now() + 30
  while true do
    local file = io.open(dir .. "/" .. word)
    if file then file:close() return end
    assert(neap.now() < give_up, "nobody said " .. word)
    neap.sleep(0.005)
  end
end
local function pid()
  local file = assert(io.open("/proc/self/stat"))
  local number = file:read("*l"):match("^%d+")
  file:close()
  return number
end
local function share(size)
  return assert(neap.shared{ name = name, size = size or 262144 })
end
]]

describe("neap.shared", function()
  local s, dir, name, path, children
  local count = 0

  setup(function()
    s = server.start()
    local file = io.open("/proc/self/stat")
    name = "spec-lua-" .. file:read("*l"):match("^%d+")
    file:close()
    path = "/dev/shm/neap-" .. name
  end)
  teardown(function() s:stop() end)

  before_each(function()
    dir, children = process.temporary_directory(), {}
    os.remove(path)
    s:reset()
  end)
  after_each(function()
    for _, child in ipairs(children) do
      child:close()
    end
    os.remove(path)
    os.execute("rm -rf " .. process.quoted(dir))
  end)

  local Child = {}
  Child.__index = Child

  -- A line that it says; nil once it has ended.
  function Child:line()
    return self.pipe:read("*l")
  end

  function Child:expect(...)
    for _, line in ipairs{ ... } do
      assert.equal(line, self:line())
    end
  end

  function Child:kill()
    os.execute("kill -9 " .. self.pid)
  end

  function Child:close()
    if self.pipe then
      self.pipe:close()
      self.pipe = nil
    end
  end

  -- Starts a script; `begun` says its pid first, for those who are to be killed.
  local function start(text, begun)
    count = count + 1
    local script = ("%s/%d.lua"):format(dir, count)
    local file = assert(io.open(script, "wb"))
    file:write(PRELUDE, begun and "say(pid())\n" or "", text)
    file:close()
    local words = { LUA, script, dir, name, s.url }
    for index, word in ipairs(words) do
      words[index] = process.quoted(word)
    end
    local child = setmetatable({
      pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1", "r")),
    }, Child)
    children[#children + 1] = child
    if begun then
      child.pid = assert(child:line():match("^%d+$"))
    end
    return child
  end

  -- All that a script says, once it has ended.
  local function run(text)
    local child = start(text)
    local said = child.pipe:read("*a")
    child:close()
    return (said:gsub("\n$", ""))
  end

  -- Says a word to all children.
  local function tell(word)
    assert(io.open(dir .. "/" .. word, "w")):close()
  end

  local function shell(command)
    local pipe = assert(io.popen(command))
    local answer = pipe:read("*a"):gsub("%s+$", "")
    pipe:close()
    return answer
  end

  describe("misused", function()
    it("raises with the path of the key", function()
      misuse("shared.name: expected a name of 1 to 64 letters, digits, '.', '_' and '-', "
        .. 'got a string ("a/b")', function() neap.shared{ name = "a/b" } end)
      misuse("shared.name: expected a name of 1 to 64 letters, digits, '.', '_' and '-', "
        .. 'got a string ("")', function() neap.shared{ name = "" } end)
      misuse("shared.name: expected a name of 1 to 64 letters, digits, '.', '_' and '-', got true",
        function() neap.shared{ name = true } end)
      misuse("shared.size: expected an integer from 65536 to 68719476736 (bytes), got 65535",
        function() neap.shared{ size = 65535 } end)
      misuse('shared.size: expected an integer from 65536 to 68719476736 (bytes), got a string '
        .. '("8m")', function() neap.shared{ size = "8m" } end)
      misuse('shared.nmae: unknown key, did you mean "name"?',
        function() neap.shared{ nmae = "x" } end)
      misuse("shared: expected a table, got false", function() neap.shared(false) end)
    end)

    it("makes no region", function()
      pcall(neap.shared, { name = name, size = 1 })
      assert.is_nil(process.read_file(path))
    end)
  end)

  describe("a region", function()
    it("is readable and writable by its owner alone", function()
      assert.equal("", run("share()"))
      assert.equal("600", shell("stat -c %a " .. path))
    end)

    it("says its name and what is in it", function()
      assert.equal(table.concat({
        name, "262144", "true", "0", "0", "0", "0",
        "1", "1", "true",
      }, "\n"), run([[
        local region = share()
        local empty = region:stats()
        say(region:name())
        say(empty.size)
        say(empty.used > 0 and empty.used < empty.size)
        for _, key in ipairs{ "cells", "evicted", "refused", "processes" } do say(empty[key]) end
        local k = neap.bulkhead{ name = "k", max_concurrent = 1 }
        local now = region:stats()
        say(now.cells)
        say(now.processes)
        say(now.used > empty.used)
      ]]))
    end)

    it("keeps its size for those who ask for another one", function()
      assert.equal("131072", run("say(share(131072):stats().size)"))
      assert.equal("131072", run("say(share(1048576):stats().size)"))
      assert.equal("131072", run("say(share(65536):stats().size)"))
    end)

    it("counts those who are there, and those who have left no more", function()
      local first = start("share() local k = neap.bulkhead{ name = 'k', max_concurrent = 1 } "
        .. "say('there') hear('go')")
      first:expect("there")
      local ask = "local region = share() local k = neap.bulkhead{ name = 'k', "
        .. "max_concurrent = 1 } say(region:stats().processes)"
      assert.equal("2", run(ask))
      tell("go")
      assert.is_nil(first:line())
      assert.equal("1", run(ask))
    end)

    it("of another user is refused", function()
      if shell("id -u") ~= "0" then
        pending("only root can give a file away")
        return
      end
      assert.equal("", run("share()"))
      os.execute("chown 12345 " .. path)
      assert.equal(('nil store store: the shared region "%s" belongs to another user')
        :format(name), run([[
          local region, err = neap.shared{ name = name }
          say(region, err.kind, err)
        ]]))
    end)

    it("that others can open is refused", function()
      assert.equal("", run("share()"))
      os.execute("chmod 660 " .. path)
      assert.equal(('store: the shared region "%s" is open to other users (mode 0660)')
        :format(name), run("say(select(2, neap.shared{ name = name }))"))
    end)

    it("of another version is refused", function()
      assert.equal("", run("share()"))
      local file = assert(io.open(path, "r+b"))
      file:seek("set", 8) -- the number of the layout
      file:write("\99\0\0\0")
      file:close()
      local said = run("say(select(2, neap.shared{ name = name }))")
      assert.matches("^store: /dev/shm/neap%-" .. name:gsub("%-", "%%-")
        .. " was made by another version of neap %(layout 99, this one is %d+%): end its processes "
        .. "and remove it$", said)
    end)

    it("that is none is refused", function()
      local file = assert(io.open(path, "wb"))
      file:write(("x"):rep(65536))
      file:close()
      os.execute("chmod 600 " .. path)
      assert.equal(("store: /dev/shm/neap-%s is no region of neap"):format(name),
        run("say(select(2, neap.shared{ name = name }))"))
    end)

    it("goes when its file is removed and nobody has it", function()
      local say_cells = "local r = share() neap.bulkhead{ name = 'k', max_concurrent = 1 } "
        .. "say(r:stats().cells)"
      assert.equal("1", run(say_cells))
      os.remove(path)
      assert.equal("0", run("say(share():stats().cells)"))
    end)
  end)

  describe("clients of one name", function()
    it("share the breaker", function()
      local client = [[
        share()
        local api = neap.client{ name = "api", base_url = url, retry = false,
          breaker = { min_calls = 2, open_for = 3600 } }
      ]]
      run(client .. "api:get('/status/503') api:get('/status/503')")
      assert.equal("open breaker_open true", run(client .. [[
        local res, err = api:get("/status/200")
        say(api.breaker:state(), err.kind, err.retry_after > 3500)
      ]]))
      assert.equal("closed", run(client:gsub('"api"', '"other"') .. "say(api.breaker:state())"))
    end)

    it("share breakers of a key", function()
      local client = [[
        share()
        local api = neap.client{ name = "api", base_url = url, retry = false,
          breaker = { min_calls = 2, open_for = 3600, key = function(req) return req.query.t end } }
      ]]
      run(client .. "for _ = 1, 2 do api:get('/status/503', { query = { t = 'a' } }) end")
      assert.equal("open nil nil", run(client .. [[
        say(api:breaker_for("a"):state(), api:breaker_for("b"), api.breaker)
      ]]))
    end)

    it("share the rate limit", function()
      local client = [[
        share()
        local api = neap.client{ name = "api", base_url = url,
          rate_limit = { rate = 2, per = 3600 } }
      ]]
      assert.equal("200 200", run(client
        .. "say(api:get('/status/200').status, api:get('/status/200').status)"))
      assert.equal("rate_limited", run(client .. "say(select(2, api:get('/status/200')).kind)"))
    end)

    it("share the retry budget", function()
      local client = [[
        share()
        local api = neap.client{ name = "api", base_url = url, breaker = false,
          retry = { backoff = { base = 0.001 },
            budget = { ratio = 0, min_per_second = 0.001, ttl = 3600 } } }
      ]]
      assert.equal("3", run(client .. "say(api:get('/status/503').attempts)"))
      assert.equal("2 budget", run(client .. [[
        local res = api:get("/status/503")
        say(res.attempts, res.trace[#res.trace].reason)
      ]]))
    end)

    it("share the gate, and so do all clients of that origin", function()
      run([[
        share()
        local api = neap.client{ name = "api", base_url = url, retry = false }
        api:get("/status/503?header=Retry-After:50")
      ]])
      assert.equal("gate true", run([[
        share()
        local other = neap.client{ name = "other", base_url = url }
        local res, err = other:get("/status/200")
        say(err.kind, err.retry_after > 40)
      ]]))
      assert.equal(1, #s:log())
    end)

    it("share the counters", function()
      local client = "share() "
        .. "local api = neap.client{ name = 'api', base_url = url, retry = false } "
      run(client .. "for _ = 1, 3 do api:get('/status/200') end api:get('/status/404')")
      assert.equal("5 4 5 5 5", run(client .. [[
        api:get("/status/200")
        local stats = api:stats()
        say(stats.calls, stats.ok, stats.attempts, stats.latency.count, neap.stats().api.calls)
      ]]))
    end)

    -- A client with one place, and a call in flight until the spec lets it go.
    local ONE_PLACE = [[
      share()
      local api = neap.client{ name = "api", base_url = url, retry = false,
        timeout = { read = 60, total = 60 }, bulkhead = { max_concurrent = 1, max_wait = 20 } }
    ]]
    local IN_FLIGHT = ONE_PLACE .. "say(api:get('/status/200?gate=g').status)"

    local function arrived()
      return assert(s:settle(function(ledger) return ledger.in_flight == 1 end, PATIENCE))
    end

    it("share the bulkhead", function()
      local first = start(IN_FLIGHT)
      arrived()
      assert.equal("bulkhead_full 1", run(ONE_PLACE:gsub("max_wait = 20", "max_wait = 0") .. [[
        local res, err = api:get("/status/200")
        say(err.kind, api:stats().in_flight)
      ]]))
      s:release("g")
      first:expect("200")
      first:close()
      assert.equal("200 0", run(ONE_PLACE
        .. "say(api:get('/status/200').status, api:stats().in_flight)"))
    end)

    -- Says that the call waits once both calls are counted as in flight.
    local WAITING = ONE_PLACE .. [[
      neap.run(function()
        local task = neap.spawn(function() return api:get("/status/200") end)
        repeat neap.sleep(0.002) until api:stats().in_flight == 2
        say("waiting")
        local res, err = task:await()
        say(res and res.status or err, res and res.trace[1].reason)
      end)
      say(api:stats().in_flight)
    ]]

    it("get a place that another process gives back", function()
      local first = start(IN_FLIGHT)
      arrived()
      local second = start(WAITING)
      second:expect("waiting")
      s:release("g")
      second:expect("200 bulkhead")
      first:expect("200")
    end)

    it("get the place of a process that was killed, within two seconds", function()
      local seconds = calls.best_of(2, function()
        s:reset()
        local first = start(IN_FLIGHT, true)
        arrived()
        local second = start(WAITING)
        second:expect("waiting")
        first:kill()
        local killed = socket.gettime()
        second:expect("200 bulkhead")
        local waited = socket.gettime() - killed
        second:expect("0")
        return waited
      end)
      assert.is_true(seconds < 2, seconds)
    end)

    it("see no calls in flight of those who were killed", function()
      local first = start(IN_FLIGHT, true)
      arrived()
      first:kill()
      first:close()
      assert.equal("200 0", run(ONE_PLACE
        .. "say(api:get('/status/200').status, api:stats().in_flight)"))
    end)

    -- Says each alert that this process tells.
    local ALERTING = [[
      share()
      local function alerting(policy, alerts)
        alerts.notify = function(alert) say(alert.alert, alert.state) end
        policy.name, policy.base_url, policy.retry, policy.alerts = "api", url, false, alerts
        return neap.client(policy)
      end
    ]]

    local function said_by(child)
      local said = child.pipe:read("*a")
      child:close()
      return said
    end

    it("count in the same windows, and tell each alert once", function()
      local window, each = 0.8, 3
      local first_window = math.floor(neap.now() / window) + 3
      local text = ALERTING .. ([[
        local client = alerting({ breaker = false, gate = false },
          { window = %g, min_calls = %d })
        neap.run(function()
          neap.sleep(%.17g - neap.now())
          for _ = 1, %d do client:get("/status/503") end
          neap.sleep(3 * %g)
        end)
      ]]):format(window, each * 3, (first_window + 0.1) * window, each, window)
      local all, lines = { start(text), start(text), start(text) }, {}
      for _, child in ipairs(all) do
        for line in said_by(child):gmatch("[^\n]+") do
          lines[#lines + 1] = line
        end
      end
      table.sort(lines) -- one may tell the beginning and another the end
      assert.same({ "error_rate firing", "error_rate resolved" }, lines)
    end)

    it("tell the alert of a breaker where it opened, and where it closed", function()
      local text = ALERTING .. [[
        local client = alerting({ gate = false, breaker = { min_calls = 1, open_for = 0.05,
          half_open = { permits = 1 } } }, {})
      ]]
      assert.equal("breaker_open firing", run(text .. "client:get('/status/503')"))
      assert.equal("1", run(text .. "say(#client:stats().alerts)"))
      assert.equal("breaker_open resolved\n0",
        run(text .. "neap.sleep(0.1) client:get('/status/200') say(#client:stats().alerts)"))
    end)

    it("see the end of what others saw begin", function()
      local text = ALERTING .. [[
        local client = alerting({ breaker = false, gate = false }, { window = 0.8, min_calls = 1 })
      ]]
      assert.equal("error_rate firing",
        run(text .. "client:get('/status/503') neap.sleep(0.8) client:get('/status/503')"))
      assert.equal("error_rate resolved", run(text .. "neap.sleep(1.6) client:stats()"))
    end)

    it("and of other windows do not share these", function()
      local text = ALERTING .. "local client = alerting({}, { window = %g }) "
      assert.equal("breaker_open firing", run(text:format(60)
        .. "client.breaker:force_open() client:stats()"))
      assert.equal("", run(text:format(60) .. "client:stats()"))
      assert.equal("breaker_open firing", run(text:format(61) .. "client:stats()"))
    end)

    it("and of another layout do not share", function()
      local breaker = "share() local api = neap.client{ name = 'api', base_url = url, "
        .. "retry = false, breaker = { min_calls = 1, window = { count = %d } } } "
      run(breaker:format(10) .. "api:get('/status/503')")
      assert.equal("open", run(breaker:format(10) .. "say(api.breaker:state())"))
      assert.equal("closed", run(breaker:format(11) .. "say(api.breaker:state())"))
    end)

    it("share where they wrap functions", function()
      local wrapped = [[
        share()
        local fn = neap.wrap({ name = "fn", retry = false, rate_limit = { rate = 1, per = 3600 } },
          function() return "done" end)
        local value, err = fn()
        say(value, err and err.kind)
      ]]
      assert.equal("done nil", run(wrapped))
      assert.equal("nil rate_limited", run(wrapped))
    end)

    it("made before it do not share", function()
      local before = [[
        local function make()
          return neap.client{ name = "api", base_url = url, rate_limit = { rate = 1, per = 3600 } }
        end
        local early = make()
        share()
        local late = make()
      ]]
      assert.equal("200", run(before .. "say(late:get('/status/200').status)"))
      assert.equal("200 rate_limited", run(before
        .. "say(early:get('/status/200').status, select(2, late:get('/status/200')).kind)"))
    end)
  end)

  describe("a full region", function()
    it("has no room for another client, and says so", function()
      local said = run([[
        share(65536)
        local clients = {}
        local made, message = true, nil
        while made and #clients < 1000 do
          made, message = pcall(neap.client, { name = "api" .. #clients, base_url = url })
          clients[#clients + 1] = message
        end
        say(#clients > 3, message)
      ]])
      assert.matches("^true .*policy: the shared region \"" .. name:gsub("%-", "%%-")
        .. '" has no room for another client; make it larger$', said)
    end)

    it("has no room for another bulkhead, and says so", function()
      local said = run([[
        share(65536)
        local all = {}
        local made, message = true, nil
        while made do
          made, message = pcall(neap.bulkhead, { name = "k" .. #all, max_concurrent = 1000 })
          all[#all + 1] = message
        end
        say(#all > 3, message)
      ]])
      assert.matches("^true .*has no room for another bulkhead; make it larger$", said)
    end)

    it("lets breakers of keys make room for each other, idle longest first", function()
      assert.equal("true nil open open 0", run([[
        local region = share(65536)
        local api = neap.client{ name = "api", base_url = url, retry = false, gate = false,
          breaker = { key = function(req) return req.query.t end, min_calls = 1, open_for = 3600 } }
        local function fail(key) return api:get("/status/503", { query = { t = key } }) end
        fail("first")
        fail("second")
        local count = 0
        while region:stats().evicted == 0 do
          count = count + 1
          assert(fail("key " .. count))
        end
        say(count > 10, api:breaker_for("first"), api:breaker_for("second"):state(),
          api:breaker_for("key " .. count):state(), region:stats().refused)
      ]]))
    end)
  end)

  describe("a kit", function()
    it("shares nothing", function()
      assert.equal("0 nil", run([[
        local region = share()
        local kit = require("neap.testing").new()
        local api = kit:client{ name = "api", base_url = "https://api.example/",
          rate_limit = { rate = 1, per = 3600 } }
        kit:script{ { status = 200 } }
        kit:run(function() return api:get("x") end)
        local b = neap.breaker({ name = "b" }, kit.env)
        local l = neap.rate_limiter({ name = "l", rate = 1 }, kit.env)
        local k = neap.bulkhead({ name = "k", max_concurrent = 1 }, kit.env)
        local g = neap.retry_budget({ name = "g" }, kit.env)
        b:acquire() l:acquire() k:acquire() g:deposit()
        say(region:stats().cells, neap.stats().api)
      ]]))
    end)
  end)

  describe("policies that stand alone", function()
    it("are private without it, whatever their name", function()
      local first = neap.bulkhead{ name = "k", max_concurrent = 1 }
      local second = neap.bulkhead{ name = "k", max_concurrent = 1 }
      assert.truthy(first:acquire())
      assert.truthy(second:acquire())
    end)

    it("raise for a name that is wrong", function()
      misuse('policy.name: expected a string of printable characters, got a string ("")',
        function() neap.breaker{ name = "" } end)
      misuse("policy.name: expected a string of printable characters, got 5",
        function() neap.bulkhead{ name = 5, max_concurrent = 1 } end)
      misuse('policy.name: expected a string of printable characters, got a string ("a\\nb")',
        function() neap.rate_limiter{ name = "a\nb", rate = 1 } end)
      misuse("policy.name: expected a string of printable characters, got true",
        function() neap.retry_budget{ name = true } end)
      misuse('policy.name: unknown key, did you mean "base"?',
        function() neap.backoff{ name = "x" } end)
    end)

    it("are one for all processes, by their name", function()
      local all = [[
        share()
        local b = neap.breaker{ name = "x", min_calls = 1, open_for = 3600 }
        local l = neap.rate_limiter{ name = "x", rate = 1, per = 3600, max_wait = 0 }
        local g = neap.retry_budget{ name = "x", ratio = 0, min_per_second = 0.001, ttl = 3600 }
      ]]
      assert.equal("0 true 2", run(all .. [[
        b:record(b:acquire(), "failure")
        say(l:acquire(), g:withdraw(), g:balance())
      ]]))
      assert.equal("open 1 rate_limited true 1 false", run(all .. [[
        say(b:state(), b:snapshot().opened, select(2, l:acquire()).kind, g:withdraw(), g:balance(),
          g:withdraw() and g:withdraw())
      ]]))
    end)

    it("without a name, or with a clock of their own, are private", function()
      assert.equal("0", run([[
        local region = share()
        neap.bulkhead{ max_concurrent = 1 }:acquire()
        neap.rate_limiter({ name = "x", rate = 1 }, { clock = function() return 0 end }):acquire()
        say(region:stats().cells)
      ]]))
    end)

    it("are those of the client of that name", function()
      assert.equal("open 1 1", run([[
        share()
        local api = neap.client{ name = "api", base_url = url, retry = false,
          breaker = { min_calls = 1 }, bulkhead = { max_concurrent = 3 } }
        api:get("/status/503")
        local b = neap.breaker{ name = "api", min_calls = 1 }
        local k = neap.bulkhead{ name = "api", max_concurrent = 3 }
        k:acquire()
        say(b:state(), k:in_use(), neap.bulkhead{ name = "api", max_concurrent = 3 }:in_use())
      ]]))
    end)

    local BULKHEAD = "share() local k = neap.bulkhead{ name = 'k', max_concurrent = 2 } "

    it("have their permits given back by whoever of that name", function()
      assert.equal("true false 0", run(BULKHEAD .. [[
        local other = neap.bulkhead{ name = "k", max_concurrent = 2 }
        local permit = k:acquire()
        say(other:release(permit), k:release(permit), k:in_use())
      ]]))
    end)

    it("give back what is out when they are collected", function()
      assert.equal("2 0", run(BULKHEAD .. [[
        local other = neap.bulkhead{ name = "k", max_concurrent = 2 }
        other:acquire() other:acquire()
        local before = k:in_use()
        other = nil
        collectgarbage() collectgarbage()
        say(before, k:in_use())
      ]]))
    end)

    it("give back what is out when the program ends", function()
      assert.equal("1", run(BULKHEAD .. "k:acquire() say(k:in_use())"))
      assert.equal("0", run(BULKHEAD .. "say(k:in_use())"))
    end)

    it("get back what a killed process had", function()
      local seconds = calls.best_of(2, function()
        local first = start(BULKHEAD .. "k:acquire() k:acquire() say('taken') hear('never')", true)
        first:expect("taken")
        assert.equal("bulkhead_full", run(BULKHEAD .. "say(select(2, k:acquire()).kind)"))
        first:kill()
        first:close()
        local began = socket.gettime()
        assert.equal("number 1", run(BULKHEAD .. [[
          local permit
          repeat
            permit = k:acquire()
            if not permit then neap.sleep(0.01) end
          until permit
          say(type(permit), k:in_use())
        ]]))
        return socket.gettime() - began
      end)
      assert.is_true(seconds < 2, seconds)
    end)

    it("are told by tostring as ever", function()
      assert.equal("neap.bulkhead (1 of 2 in use)", run(BULKHEAD
        .. "neap.bulkhead{ name = 'k', max_concurrent = 2 } k:acquire() say(tostring(k))"))
    end)

    -- Only LuaJIT can fork here, by its FFI.
    local FORK = BULKHEAD .. [[
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int);"
      local function in_child(fn)
        local pid = ffi.C.fork()
        if pid == 0 then
          fn()
          ffi.C._exit(0)
        end
        ffi.C.waitpid(pid, nil, 0)
      end
    ]]

    if rawget(_G, "jit") then
      it("go on in a forked child, in its own name", function()
        assert.equal("number nil\n2\nnumber 2", run(FORK .. [[
          local own = k:acquire()
          in_child(function()
            say(type(k:acquire()), (k:acquire()))
          end)
          say(k:in_use())
          local permit
          repeat
            permit = k:acquire() -- what the child had comes back
            if not permit then neap.sleep(0.01) end
          until permit
          say(type(permit), k:in_use())
        ]]))
      end)

      it("collected in a child give back nothing of its parent's", function()
        assert.equal("1", run(FORK .. [[
          k:acquire()
          in_child(function()
            k = nil
            collectgarbage() collectgarbage()
          end)
          say(k:in_use())
        ]]))
      end)

      it("share a number with the clients of a child", function()
        assert.equal("2 200\n200", run(FORK .. [[
          local api = neap.client{ name = "api", base_url = url }
          in_child(function()
            k:acquire()
            local res = api:get("/status/200")
            say(share():stats().processes, res.status)
          end)
          say(api:get("/status/200").status)
        ]]))
      end)
    end
  end)
end)
