-- The status page: what it says of clients, and that nothing in it can be made to run. How it looks
-- and moves in a browser is in spec/nginx/status_spec.lua.
local calls = require "spec.support.calls"
local kit = require "spec.support.kit"
local neap = require "neap"
local process = require "spec.support.process"
local program = require "spec.support.program"
local script = require "neap.status.script"
local style = require "neap.status.style"


local function get(t, client, path, count)
  t:run(function()
    for _ = 1, count or 1 do
      client:get(path or "/")
    end
  end)
end

-- The rows of a page, by the names as they are written there.
local function rows_of(page)
  local rows = {}
  for head, body in page:gmatch('<tr role="row" (class=[^>]*)>(.-)</tr>') do
    local row = { body = body }
    for key, value in head:gmatch('([%w-]+)="([^"]*)"') do
      row[key] = value
    end
    for label, cell in body:gmatch('<td role="cell" data%-label="([^"]*)"><div>(.-)</div></td>') do
      row[label] = cell:gsub("\194\160", " ")
    end
    rows[row["data-client"]] = row
  end
  return rows
end

local function row_of(client)
  local name, row = next(rows_of(neap.status{ client }))
  return row, name
end

describe("the status page", function()
  it("has calls, errors, latency, retries, timeouts and what is in flight", function()
    local t, client = kit.client { name = "api", breaker = false,
      retry = { max_attempts = 2, backoff = { kind = "fixed", base = 1, jitter = "none" } } }
    t:script { { status = 503 }, { status = 200, after = 0.25 },
      { error = "timeout", phase = "read", after = 0.5 }, { status = 503 } }
    get(t, client, "/", 2)
    local row = row_of(client)
    assert.equal("2", row.Calls)
    assert.equal("50.0 %", row["Error rate"])
    assert.is_truthy(row.p50:find("^1%.%d%d s$"), row.p50)
    assert.equal("2<small>503: 1, timeout: 1</small>", row.Retries)
    assert.equal("1<small>read: 1</small>", row.Timeouts)
    assert.equal("0", row["In flight"])
    assert.equal("not watched", row.Alerts)
    assert.is_truthy(row["Last 5 minutes"]:find('aria-label="2 calls in the last 5 minutes, '
      .. '1 failed; at most', 1, true), row["Last 5 minutes"])
    assert.equal("none", row["data-state"])
  end)

  it("tells the state of the breaker in words", function()
    local t, client = kit.client { retry = false, alerts = true,
      breaker = { consecutive_failures = 1, open_for = 30, half_open = { permits = 1 } } }
    t:script { { status = 503 }, { status = 200 } }
    assert.same({ "good", "closed" }, { row_of(client).class, row_of(client)["data-state"] })
    get(t, client)
    t:advance(10)
    local row = row_of(client)
    assert.same({ "bad", "open" }, { row.class, row["data-state"] })
    assert.is_truthy(row.Breaker:find("open</span><small>next probe in 20 s</small>", 1, true))
    assert.is_truthy(row.Alerts:find("breaker_open</span> <small>1 open, for 10 s</small>", 1,
      true), row.Alerts)
    assert.equal("breaker_open", row["data-alerts"])
    assert.is_truthy(neap.status{ client }:find("<title>(1 open) neap status</title>", 1, true))
    t:advance(20)
    get(t, client)
    assert.same({ "good", "closed" }, { row_of(client).class, row_of(client)["data-state"] })
  end)

  it("knows each state", function()
    local _, client = kit.client()
    local by_hand = { force_open = "forced open", disable = "disabled",
      metrics_only = "metrics only" }
    for method, word in pairs(by_hand) do
      client.breaker[method](client.breaker)
      assert.equal(word, row_of(client)["data-state"])
    end
    assert.equal("bad", (function()
      client.breaker:force_open()
      return row_of(client).class
    end)())
  end)

  it("names the keys whose breakers are open, and not too many", function()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.path end } }
    assert.is_truthy(row_of(client).Breaker:find("no keys yet", 1, true))
    t:script { { status = 503, times = 7 }, { status = 200, ["repeat"] = true } }
    for index = 1, 9 do
      get(t, client, "/" .. index)
    end
    local row = row_of(client)
    assert.equal("open", row["data-state"])
    assert.is_truthy(row.Breaker:find("7 of 9 keys <bdi>/1</bdi>, <bdi>/2</bdi>, <bdi>/3</bdi>, "
      .. "<bdi>/4</bdi>, <bdi>/5</bdi>, \226\128\166", 1, true), row.Breaker)
  end)

  it("is there without clients", function()
    local page = neap.status{}
    assert.is_truthy(page:find("No client yet", 1, true))
    assert.is_truthy(page:find("0 APIs", 1, true))
  end)

  it("is of all open clients where none are named", function()
    local client = calls.client{ name = "of-all" }
    assert.is_not_nil(rows_of(neap.status())["of-all"])
    client:close()
    assert.is_nil(rows_of(neap.status())["of-all"])
  end)

  it("refuses what is no list of clients", function()
    assert.equal("clients: expected a list of clients, got a number",
      calls.misuse(function() neap.status(1) end))
    assert.equal("clients[1]: expected a client",
      calls.misuse(function() neap.status{ {} } end))
  end)
end)

describe("what comes from outside", function()
  local EVIL = [[<script>alert("x")</script>'&]]
  local HARMLESS = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;"

  it("is text on the page, in a client's name", function()
    local _, client = kit.client { name = EVIL }
    local row, name = row_of(client)
    assert.equal(HARMLESS, name)
    assert.is_truthy(row.body:find("<bdi>" .. HARMLESS .. "</bdi>", 1, true))
    assert.is_nil(neap.status{ client }:find(EVIL, 1, true))
  end)

  it("is text on the page, in a URL", function()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.path end } }
    t:script { { status = 503 } }
    get(t, client, [[/?<script>alert("x")</script>'&]])
    assert.is_truthy(row_of(client).Breaker:find("<bdi>/?" .. HARMLESS .. "</bdi>", 1, true))
  end)

  it("is text on the page, whatever its bytes", function()
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.tags.key end } }
    local function breaker_of(key)
      t:script { { status = 503 } }
      t:run(function() client:get("/", { tags = { key = key } }) end)
      return row_of(client).Breaker
    end
    assert.is_truthy(breaker_of("\0\1\n\127\128\195\237\160\128\195\169"):find(
      [[<bdi>\x00\x01\x0A\x7F\x80\xC3\xED\xA0\x80]] .. "\195\169</bdi>", 1, true))
  end)

  it("is no order to a terminal, in UTF-8 neither", function()
    local _, client = kit.client { name = "a\194\1552J\194\159\194\160b" }
    assert.is_truthy(row_of(client).body:find([[<bdi>a\xC2\x9B2J\xC2\x9F]] .. "\194\160b</bdi>", 1,
      true))
  end)

  it("is cut where it is long, between two signs", function()
    local _, client = kit.client { name = "a" .. ("\195\169"):rep(150) }
    assert.is_truthy(row_of(client).body:find("<bdi>a" .. ("\195\169"):rep(99)
      .. "\226\128\166</bdi>", 1, true))
  end)
end)

describe("the status page's own safety", function()
  local function digest(text)
    return calls.with_file(text, function(path)
      return calls.output(("openssl dgst -sha256 -binary %s | openssl base64"):format(path))
    end)
  end

  it("names its one style and its one script by their digests", function()
    assert.equal(style.hash, "sha256-" .. digest(style.text):gsub("%s", ""))
    assert.equal(script.hash, "sha256-" .. digest(script.text):gsub("%s", ""))
    local page = neap.status{}
    assert.is_truthy(page:find("<style>" .. style.text .. "</style>", 1, true))
    assert.is_truthy(page:find("<script>" .. script.text .. "</script>", 1, true))
    assert.is_truthy(page:find("script-src &#39;" .. script.hash .. "&#39;", 1, true))
  end)

  it("lets nothing be fetched from elsewhere", function()
    local page = neap.status{}
    assert.is_truthy(page:find("default-src &#39;none&#39;", 1, true))
    assert.is_nil(page:find("https?://"))
    assert.is_nil(page:find("[%s\"']src="))
    assert.is_nil(page:find("url%("))
    assert.is_nil(page:find("@import"))
  end)

  it("has a way to stay fresh without a script", function()
    assert.is_truthy(neap.status{}:find(
      '<noscript><meta http-equiv="refresh" content="10"></noscript>', 1, true))
  end)
end)

describe("neap status", function()
  local region, folder

  before_each(function()
    region = "spec-status-" .. process.read_file("/proc/self/stat"):match("^%d+")
    folder = process.temporary_directory()
  end)

  after_each(function()
    os.remove("/dev/shm/neap-" .. region)
    os.execute("rm -rf " .. process.quoted(folder))
  end)

  -- What it writes, what it says, and its status.
  local function run(...)
    local said = folder .. "/said"
    local status, page = program.run(program.command("status", ...), said)
    return page, process.read_file(said), status
  end

  -- Another program that shares, and has ended by now.
  local function share(text)
    calls.child(nil, ([[
      local neap = require "neap"
      assert(neap.shared{ name = %q, size = 1048576 })
      %s
      print("{}")
    ]]):format(region, text))
  end

  it("writes the page of all clients of a region", function()
    share [[
      local one = neap.client{ name = "one", alerts = true, retry = false,
        breaker = { consecutive_failures = 1 }, base_url = "http://127.0.0.1:1/" }
      one:get("/")
      local two = neap.client{ name = "two<b>", retry = false, base_url = "http://127.0.0.1:1/",
        breaker = { consecutive_failures = 1, key = function(req) return req.path end } }
      two:get("/a")
      neap.client{ name = "three", breaker = false }
      neap.breaker{ name = "no-client" }
    ]]
    local page, said, status = run("--shared", region)
    assert.same({ 0, "" }, { status, said })
    local rows = rows_of(page)
    assert.equal("open", rows.one["data-state"])
    assert.equal("breaker_open", rows.one["data-alerts"])
    assert.equal("1", rows.one.Calls)
    assert.equal("100.0 %", rows.one["Error rate"])
    assert.is_truthy(rows["two&lt;b&gt;"].Breaker:find("1 of 1 keys", 1, true))
    assert.equal("none", rows.three["data-state"])
    assert.is_nil(rows["no-client"])
    assert.is_truthy(page:find("A snapshot, made at <time", 1, true))
    assert.is_truthy(page:find("shared memory " .. region, 1, true))
  end)

  it("writes a page that stays as it is", function()
    share ""
    local page = run("--shared=" .. region)
    assert.is_nil(page:find("<script", 1, true))
    assert.is_nil(page:find("http-equiv=\"refresh\"", 1, true))
    assert.is_nil(page:find("<button", 1, true))
  end)

  it("says that there is no such region, and makes none", function()
    local page, said, status = run("--shared", region)
    assert.same({ "", 1 }, { page, status })
    assert.equal(('neap: there is no region "%s" to be read: /dev/shm/neap-%s: No such file or '
      .. 'directory\n'):format(region, region), said)
    assert.is_nil(io.open("/dev/shm/neap-" .. region))
  end)

  it("makes none of a file that is empty", function()
    local path = "/dev/shm/neap-" .. region
    os.execute("umask 077; : > " .. path)
    local page, said, status = run("--shared", region)
    assert.same({ "", 1 }, { page, status })
    assert.is_truthy(said:find("its file is empty", 1, true), said)
    assert.equal("", process.read_file(path))
  end)

  it("is written of a region in which the value of an alert is damaged", function()
    local _, client = kit.client {}
    local read = assert(require("neap.survey").rows { client })[1]
    read.stats.alerts = { { alert = "breaker_open", since = 0, value = 2 ^ -1074 },
      { alert = "retry_surge", since = 0, value = 1e300 },
      { alert = "timeout_surge", since = 0, value = 0 / 0 } }
    local written, _, firing = require("neap.status.row").of(read)
    assert.equal(3, firing)
    assert.is_truthy(written:find("0 open, for", 1, true), written)
  end)

  it("says what is wrong with a region", function()
    local file = assert(io.open("/dev/shm/neap-" .. region, "w"))
    file:write(("x"):rep(65536))
    file:close()
    os.execute("chmod 600 /dev/shm/neap-" .. region)
    local page, said, status = run("--shared", region)
    assert.same({ "", 1 }, { page, status })
    assert.is_truthy(said:find("is no region of neap", 1, true), said)
  end)

  it("refuses what it does not know", function()
    local _, said, status = run("page.html")
    assert.same({ 2, 'neap: "page.html" is one argument too many\n' }, { status, said })
    _, said, status = run("--region", "x")
    assert.same({ 2, "neap: status has no option --region\n" }, { status, said })
  end)
end)
