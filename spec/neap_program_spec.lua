-- bin/neap as a process of its own: a worker that drains an outbox, and what it tells.
local calls = require "spec.support.calls"
local neap = require "neap"
local outbox_module = require "neap.outbox"
local process = require "spec.support.process"
local program = require "spec.support.program"
local server = require "spec.support.server"
local socket = require "socket"

describe("the program neap", function()
  local s, folder, database, made

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  before_each(function()
    s:reset()
    folder = process.temporary_directory()
    database = folder .. "/outbox.db"
    made = 0
  end)

  after_each(function()
    collectgarbage()
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  local function write_file(name, text)
    return process.write_file(folder .. "/" .. name, text)
  end

  it("says what Lua has to be told where it does not find neap", function()
    os.execute(("mkdir %s/bin && cp bin/neap %s/bin"):format(folder, folder))
    local pipe = assert(io.popen(("%s -e %s %s/bin/neap --version 2>&1; echo $?")
      :format(program.interpreter, process.quoted("package.path, package.cpath = '', ''"), folder)))
    local said = pipe:read("*a")
    pipe:close()
    local version = _VERSION:match("[%d.]+$")
    assert.equal(("neap: Lua %s does not find the module neap.program: LUA_PATH has to name "
      .. "%s/share/lua/%s/?.lua and %s/share/lua/%s/?/init.lua, and LUA_CPATH %s/lib/lua/%s/?.so"
      .. "\n1\n"):format(version, folder, version, folder, version, folder, version), said)
  end)

  -- A policy of short patience.
  local function policy_file(part, options)
    return write_file("policy.lua", ([[return {
      name = "worker", base_url = %q, retry = false, gate = false, breaker = false,
      timeout = { total = 20, read = 20 }, %s }, { backoff = { base = 0.05, max = 0.2 }, %s }]])
      :format(s.url, part or "", options or ""))
  end

  local function outbox(name)
    return outbox_module.new{
      store = assert(require("neap.store.sqlite").new{ path = database }),
      client = calls.client{ base_url = s.url },
      name = name,
    }
  end

  local function put(count, path, name)
    local box = outbox(name)
    for _ = 1, count do
      made = made + 1
      assert(box:put{ method = "POST", path = path or "/payments", body = tostring(made),
        idempotency_key = "k" .. made })
    end
    return box
  end

  local function run(...)
    return program.run(program.command(...))
  end

  local Worker = {}
  Worker.__index = Worker

  -- In the background, with what it says and its status in files.
  local function start(...)
    local self = setmetatable({ path = ("%s/worker%d"):format(folder, socket.gettime() * 1e6) },
      Worker)
    local command = '%s >%s.said 2>&1 & pid=$!; echo $pid >%s.pid; wait $pid; echo $? >%s.status'
    os.execute(("(" .. command .. ") 2>/dev/null &"):format(program.command(...), self.path,
      self.path, self.path))
    self.pid = assert(process.wait_until(function()
      return tonumber(process.read_file(self.path .. ".pid") or "")
    end))
    return self
  end

  function Worker:said()
    return process.read_file(self.path .. ".said") or ""
  end

  function Worker:signal(name)
    os.execute(("kill -%s %d 2>/dev/null"):format(name, self.pid))
  end

  -- Its status, once it has ended.
  function Worker:status()
    local status = process.wait_until(function()
      return tonumber(process.read_file(self.path .. ".status") or "")
    end, 20)
    if not status then
      self:signal("KILL")
      error("the worker did not end; it said: " .. self:said())
    end
    return status
  end

  describe("draining", function()
    it("delivers what is due and ends, with --once", function()
      local box = put(20)
      local status, said = run("drain", database, "--policy", policy_file(), "--once")
      assert.equal(0, status, said)
      assert.matches("neap: 20 waiting, 0 dead\n", said)
      assert.matches("neap: 20 delivered, 0 retried, 0 dead, 0 waiting, 0 dead in all\n", said)
      assert.equal(0, box:size())
      assert.equal(20, s:settle().payments)
    end)

    it("ends after --limit entries", function()
      local box = put(5)
      assert.equal(0, (run("drain", database, "--policy", policy_file(), "--limit", "2")))
      assert.equal(3, box:size())
    end)

    it("drains the outbox of that name", function()
      put(1, nil, "a")
      local box = put(1, nil, "b")
      assert.equal(0, (run("drain", database, "--policy", policy_file(), "--once", "--name=b")))
      assert.equal(0, box:size())
      assert.equal(1, outbox("a"):size())
    end)

    it("obeys what the policy's file says of the outbox", function()
      put(1, "/status/503")
      local status, said = run("drain", database, "--policy", policy_file("", "max_attempts = 1"),
        "--once")
      assert.equal(0, status)
      assert.matches("0 delivered, 0 retried, 1 dead", said)
    end)

    it("goes on until SIGTERM: delivers what comes, and repeats what failed", function()
      put(3)
      local worker = start("drain", database, "--policy", policy_file(), "--interval", "0.05")
      local box = put(3, "/payments?fail=before&how=503")
      assert.is_truthy(process.wait_until(function() return box:size() == 0 end, 20))
      worker:signal("TERM")
      assert.equal(0, worker:status())
      assert.matches("stopped: 6 delivered, [1-9]%d* retried, 0 dead", worker:said())
      assert.equal(6, s:settle().payments)
    end)

    it("on SIGTERM finishes what is under way and takes no more", function()
      local box = put(5, "/payments?gate=held")
      local worker = start("drain", database, "--policy", policy_file(), "--concurrency", "2")
      assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 2 end, 20))
      worker:signal("TERM")
      socket.sleep(0.1)
      assert.is_nil(process.read_file(worker.path .. ".status"))
      s:release("held")
      assert.equal(0, worker:status())
      assert.matches("stopped: 2 delivered", worker:said())
      assert.equal(3, box:size())
      assert.equal(2, s:settle().requests)
    end)

    it("ends at once at a second signal, and leaves what it had to its lease", function()
      local box = put(1, "/payments?gate=held")
      local worker = start("drain", database, "--policy", policy_file())
      assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 1 end, 20))
      worker:signal("TERM")
      socket.sleep(0.4)
      worker:signal("TERM")
      assert.equal(128 + 15, worker:status())
      assert.equal(1, box:size())
      assert.equal(1, box:counts().taken)
      local status, said = run("drain", database, "--policy", policy_file(), "--once")
      assert.equal(0, status)
      assert.matches("0 delivered", said)
    end)

    it("shares the work with others: each entry is sent once", function()
      local box = put(60)
      local workers, policy = {}, policy_file()
      for index = 1, 3 do
        workers[index] = start("drain", database, "--policy", policy, "--once")
      end
      for _, worker in ipairs(workers) do
        assert.equal(0, worker:status(), worker:said())
      end
      assert.equal(0, box:size())
      local ledger = s:settle()
      assert.equal(60, ledger.payments)
      assert.equal(60, ledger.requests)
    end)

    it("says what is wrong, with a status", function()
      put(1)
      local function refuses(status, pattern, ...)
        local got, said = run(...)
        assert.equal(status, got, said)
        assert.matches("^neap: [^\n]*" .. pattern .. "[^\n]*\n$", said)
      end
      refuses(2, "which command%?")
      refuses(2, 'no command "drian"', "drian")
      refuses(2, "wants %-%-policy FILE", "drain", database)
      refuses(2, "has no option %-%-polcy", "drain", database, "--polcy", "x")
      refuses(2, "%-%-policy wants a value", "drain", database, "--policy")
      refuses(2, "%-%-concurrency: expected a whole number >= 1, got \"0\"", "drain", database,
        "--concurrency", "0")
      refuses(2, "%-%-interval: expected a number of seconds", "drain", database, "--interval=-1")
      refuses(2, "one argument too many", "drain", database, "other", "--policy", policy_file())
      refuses(2, "which file%?", "drain", "--policy", policy_file())
      refuses(1, "/none.db: No such file", "drain", folder .. "/none.db", "--policy",
        policy_file())
      refuses(1, "/none.lua", "drain", database, "--policy", folder .. "/none.lua")
      refuses(1, "policy.lua:1: ", "drain", database, "--policy",
        write_file("policy.lua", "retrun"))
      refuses(1, "boom", "drain", database, "--policy", write_file("policy.lua", "error 'boom'"))
      refuses(1, "expected a policy table to be returned, got nothing", "drain", database,
        "--policy", write_file("policy.lua", ""))
      refuses(1, "policy.retry: expected", "drain", database, "--policy",
        write_file("policy.lua", "return { name = 'x', retry = 7 }"))
      refuses(1, "options.max_attempts: expected", "drain", database, "--policy",
        policy_file("", "max_attempts = 0"))
      refuses(1, 'option store is not for this place', "drain", database, "--policy",
        policy_file("", "store = 1"))
    end)

    it("says so where the file is no database", function()
      local status, said = run("drain", write_file("text.db", ("no database "):rep(100)),
        "--policy", policy_file(), "--once")
      assert.equal(1, status)
      assert.matches("^neap: store: ", said)
    end)
  end)

  describe("dead letters", function()
    local box

    before_each(function()
      box = put(3, "/status/422?body=no%20such%20user")
      assert.equal(0, (run("drain", database, "--policy", policy_file(), "--once")))
    end)

    it("are listed, one a line", function()
      local status, said = run("dead", database)
      assert.equal(0, status)
      local lines = {}
      for line in said:gmatch("[^\n]+") do
        lines[#lines + 1] = line
      end
      assert.equal(3, #lines)
      assert.matches("^1\t%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ\t1\tPOST /status/422%S*\t" ..
        "rejected: status 422: no such user$", lines[1])
      local _, others = run("dead", database, "--name", "other")
      assert.equal("", others)
    end)

    it("are revived by their ids, or all", function()
      local status, said = run("revive", database, "2", "9")
      assert.equal(1, status)
      assert.equal("neap: there is no dead letter 9\nneap: 1 revived\n", said)
      assert.equal(1, box:size())
      status, said = run("revive", database, "--all")
      assert.equal(0, status)
      assert.equal("neap: 2 revived\n", said)
      assert.equal(3, box:size())
      assert.equal(2, (run("revive", database)))
      assert.equal(2, (run("revive", database, "--all", "3")))
      assert.equal(2, (run("revive", database, "x")))
    end)

    it("are thrown away by their ids", function()
      local status, said = run("drop", database, "1", "3")
      assert.equal(0, status)
      assert.equal("neap: 2 dropped\n", said)
      assert.equal(1, box:counts().dead)
    end)
  end)

  it("tells how it is used, and its version", function()
    local status, said = run("--help")
    assert.equal(0, status)
    assert.matches("^usage: neap COMMAND", said)
    assert.matches("\n  neap drain FILE", said)
    for _, word in ipairs{ "version", "--version" } do
      status, said = run(word)
      assert.equal(0, status)
      assert.equal("neap " .. neap._VERSION .. "\n", said)
    end
    status, said = run("help", "drian")
    assert.equal(2, status)
    assert.matches('no command "drian"', said)
  end)

  it("ends with 1 where stdout does not take what it prints", function()
    local policy = write_file("mine.lua", "return { name = 'mine' }")
    local small = policy .. " --clients 5 --duration 20s"
    for _, line in ipairs{ "version", "--help", "help check", "check " .. policy, "check --rules",
      "check --json " .. policy, "simulate " .. small, "simulate --json " .. small } do
      for _, stdout in ipairs{ ">/dev/full", ">&-" } do
        local status = os.execute(("%s bin/neap %s %s 2>%s/stderr"):format(program.interpreter,
          line, stdout, folder))
        assert.is_true(status ~= true and status ~= 0, line .. stdout)
        assert.matches("^neap: stdout: [^\n]+\n$", process.read_file(folder .. "/stderr"))
      end
    end
  end)

  it("tells how each command is used, and its exit statuses", function()
    local _, overview = run("--help")
    local commands = 0
    for name in overview:gmatch("\n  neap (%a+)") do
      local status, said = run(name, "--help")
      assert.equal(0, status)
      assert.matches("^usage: neap " .. name .. "[^\n]*\n\n", said)
      assert.matches("Status 0", said)
      assert.equal(said, (select(2, run("help", name))))
      commands = commands + 1
    end
    assert.is_true(commands >= 6)
  end)

  it("is described in docs/program.md, each command", function()
    local page = process.read_file("docs/program.md")
    local _, overview = run("--help")
    for usage in overview:gmatch("\n  (neap [^\n]+)") do
      assert.is_truthy(page:find(usage, 1, true), usage)
    end
  end)
end)
