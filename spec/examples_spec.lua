--- The programs of examples/: each ends well and prints what it promises.
--
-- The demonstration takes a quarter of a minute, so it has a run of its own: with NEAP_DEMO set, by
-- `make test-examples`, this file is about the demonstration and nothing else.

local process = require "spec.support.process"
local socket = require "socket"

local LUA = os.getenv("NEAP_LUA") or arg[-1]

-- Its output, stderr included, and its exit status.
local function run(program, environment)
  local command = ("%s timeout 60 %s %s 2>&1; echo \"status $?\""):format(environment or "",
    process.quoted(LUA), program)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.-)status (%d+)\n$")
  return text, tonumber(status)
end

local function prints(output, patterns)
  for _, pattern in ipairs(patterns) do
    assert.is_truthy(output:find(pattern), ("no %q in:\n%s"):format(pattern, output))
  end
end

-- Patterns that the example's output must match.
local PROMISES = {
  payment = {
    "attempt 1  reset\n", "wait %s+[%d.]+ s %(backoff%)\n", "attempt 2  201\n",
    '"replayed":true', "2 requests, 1 payment\n",
  },
  exchange_rates = {
    "92.00 EUR +source: network +degraded: false\n", "92.00 EUR +source: cache +degraded: false\n",
    "92.00 EUR +source: stale +degraded: true\n", "91.00 EUR +source: service +degraded: true\n",
    "90.00 EUR +source: default +degraded: true\n",
  },
  token_refresh = {
    "call 1: 200 after 1 refresh\n  attempt 1  401\n  attempt 2  200\n",
    "call 2: 200 after 1 refresh\n  attempt 1  200\n$",
  },
  notifications = {
    "user %d  201  waited 0.[1-9] s %(rate_limit%)\n",
    "8 notifications, 6 of them waited, none was refused\n",
    "user 9  202  source: queue, in the outbox as 1\n",
    "the provider is back: 3 delivered, 0 left\n",
    "14 requests, 11 notifications: none is missing, none came twice\n",
  },
  side_by_side = { "40 products in [%d.]+ s", "at most %d+ requests at once\n" },
  guard_function = {
    "at read %d: 42 orders\n", "no report: error, after 5 reads\n", "breaker_open, still 5 reads",
  },
  open_telemetry = {
    "GET +span %x+ below %x+ +[%d.]+ ms  error\n", "GET +span %x+ below %x+ +[%d.]+ ms\n",
    "rates GET +span %x+ below 00f067aa0ba902b7", "the API was told both: 2 requests, 3 spans\n$",
  },
  log_line = {
    '^{"time":"[%d-]+T[%d:]+%.%d%d%dZ","level":"warn","client":"rates","call":%d+,',
    '"op":"rate of the day","method":"GET","url":"[^?]-/usd","status":200,"source":"network"',
    '"story":"503, backoff 0.05, 200","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}\n',
    '"level":"error",.-"error":"reset",.-"story":"reset, backoff 0.05, reset"',
  },
  testing_an_outage = { "ok: always come", "ok: leave the API in peace", "ok: are real again" },
}

local function names_of_examples()
  local pipe = assert(io.popen("ls examples/*.lua"))
  local names = {}
  for path in pipe:lines() do
    names[#names + 1] = path:match("([%w_]+)%.lua$")
  end
  pipe:close()
  return names
end

local function describe_examples()
  describe("the example", function()
    for _, name in ipairs(names_of_examples()) do
      it(name .. " does what it says", function()
        local output, status = run(("examples/%s.lua"):format(name))
        assert.equal(0, status, output)
        prints(output, assert(PROMISES[name], "its promises are not listed here"))
      end)
    end

    it("has a line in the README", function()
      local readme = assert(process.read_file("examples/README.md"))
      for _, name in ipairs(names_of_examples()) do
        assert.is_truthy(readme:find(("(%s.lua)"):format(name), 1, true), name .. " has none")
      end
    end)

    it("fails when what it shows does not happen", function()
      local output, status = run("examples/payment.lua", "MISBEHAVE=/nowhere")
      assert.equal(1, status, output)
      prints(output, { "/nowhere is missing: run `make" })
    end)
  end)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

local function describe_demo()
  describe("the demonstration", function()
    local directory, output, status, elapsed

    -- The server runs under a name of our own and with a temporary directory of our own.
    setup(function()
      directory = process.temporary_directory()
      assert(os.execute(('mkdir %s/tmp && ln -s "$PWD/build/spec/misbehave" %s/misbehave'):format(
        directory, directory)))
      local began = socket.gettime()
      output, status = run("examples/demo/main.lua",
        ("TMPDIR=%s/tmp MISBEHAVE=%s/misbehave"):format(directory, directory))
      elapsed = socket.gettime() - began
    end)

    teardown(function()
      os.execute("rm -rf " .. process.quoted(directory))
    end)

    it("ends well, within half a minute", function()
      assert.equal(0, status, output)
      assert.is_true(elapsed < 30, ("it took %.1f s"):format(elapsed))
    end)

    it("tells of retries, the breaker and the fallback in their words", function()
      prints(output, {
        "attempt 1  reset +%-> retry: in [%d.]+ s %(backoff%)\n",
        "attempt 2  201 +%-> paid: pay_3, not charged twice\n",
        "attempt 1  429 +%-> retry: in [%d.]+ s %(retry_after%)\n",
        "breaker +closed %-> open ", "reject +breaker_open +%-> fallback: accepted for later\n",
        "breaker +open %-> half_open ", "breaker +half_open %-> open ",
        "breaker +half_open %-> closed ", "order 5 +settled +pay_5 +already taken",
      })
    end)

    it("proves by the ledger that each order was paid once", function()
      prints(output, {
        "yes  no payment was made twice\n", "yes  no payment was lost\n",
        "yes  every customer had an answer", "yes  the breaker opened",
      })
    end)

    it("fits a terminal, and has no colours where there is none", function()
      local lines = lines_of(output)
      assert.is_true(#lines >= 20 and #lines <= 50, #lines .. " lines")
      for _, line in ipairs(lines) do
        assert.is_true(#line <= 80, line)
        assert.is_nil(line:find("[\27%s]$"), line)
      end
      assert.is_nil(output:find("\27", 1, true))
    end)

    it("leaves neither a process nor a file behind", function()
      -- In brackets the name does not match the command line that looks for it.
      local program = (directory .. "/misbehave"):gsub("misbehave$", "[m]isbehave")
      local pipe = assert(io.popen(("ls -A %s/tmp; grep -als %s /proc/[0-9]*/cmdline"):format(
        directory, process.quoted(program))))
      local left = pipe:read("*a")
      pipe:close()
      assert.equal("", left)
    end)
  end)
end

if os.getenv("NEAP_DEMO") then
  describe_demo()
else
  describe_examples()
end
