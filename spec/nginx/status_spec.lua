-- The status page as nginx serves it, and as people get it in a real browser, through an outage.
local http = require "socket.http"
local ltn12 = require "ltn12"

local browser = require "spec.support.browser"
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local EVIL = [[<img src=x onerror="window.ran=1"><script>window.ran=2</script>]]

local INIT = ([[
  rates = neap.client{ name = "rates", base_url = upstream .. "/s/api/", retry = false,
    gate = false, alerts = { error_rate = false }, -- which would depend on the minute
    breaker = { consecutive_failures = 2, open_for = 0.5, half_open = { permits = 1 } } }
  evil = neap.client{ name = %q, base_url = upstream, retry = false, gate = false,
    breaker = { consecutive_failures = 1, key = function(req) return req.path end } }
  neap.client{ name = ("long-name-"):rep(12) }
  pages = require "neap.nginx"
]]):format(EVIL)

local CONF = [[
  location = /status { content_by_lua_block { pages.status() } }
  location = /call { content_by_lua_block { rates:get("now") ngx.print("called") } }
  location = /wait {
    content_by_lua_block {
      repeat
        neap.sleep(0.05)
        rates:get("now")
      until rates.breaker:state() == "closed"
      ngx.print("closed")
    }
  }
  location = /early {
    access_by_lua_block { pages.status() }
    content_by_lua_block { ngx.print("too much") }
  }
  location = /misplaced {
    content_by_lua_block { ngx.print("ok") }
    header_filter_by_lua_block { ngx.header["X-Raised"] = select(2, pcall(pages.status)) }
  }
]]

local s, n

setup(function()
  s = server.start()
  s:script("api", { "/status/200 *" })
  n = farm.start{ workers = 2, upstream = s.url, region = true, init = INIT, conf = CONF }
  n:run([[evil:get('/status/503?<script>window.ran=3</script>"\'<b>') return true]])
end)

teardown(function()
  n:stop()
  s:stop()
end)

local function request(path, method)
  local parts = {}
  local _, status, headers = http.request{ url = n.url .. path, method = method,
    sink = ltn12.sink.table(parts) }
  return { status = status, headers = headers, body = table.concat(parts) }
end

describe("the status page of nginx", function()
  it("is HTML that nobody keeps, and has no other source", function()
    local page = request("/status")
    assert.equal(200, page.status)
    assert.equal("text/html; charset=utf-8", page.headers["content-type"])
    assert.equal("no-store", page.headers["cache-control"])
    assert.equal("nosniff", page.headers["x-content-type-options"])
    assert.equal(#page.body, tonumber(page.headers["content-length"]))
    local policy = page.headers["content-security-policy"]
    assert.is_truthy(policy:find("default-src 'none'; ", 1, true), policy)
    assert.is_truthy(policy:find("frame-ancestors 'none'", 1, true), policy)
    assert.is_nil(policy:find("unsafe", 1, true))
  end)

  it("is there for GET and HEAD only", function()
    local head = request("/status", "HEAD")
    assert.equal(200, head.status)
    assert.equal("", head.body)
    local post = request("/status", "POST")
    assert.equal(405, post.status)
    assert.equal("GET, HEAD", post.headers.allow)
  end)

  it("has the figures of all workers, whichever is asked", function()
    local before = tonumber(request("/status").body:match(
      'data%-client="rates".-data%-label="Calls"><div>(%d+)<'))
    local talks = n:each_worker(1)
    for worker = 1, 2 do
      talks[worker][1]:run "rates:get('now') return true"
    end
    for worker = 1, 2 do
      local _, page = talks[worker][1]:get("/status")
      assert.equal(before + 2,
        tonumber(page:match('data%-client="rates".-data%-label="Calls"><div>(%d+)<')))
      assert.is_nil(page:find("only</small>", 1, true))
    end
  end)

  it("has the clients that only another worker has made", function()
    local talks = n:each_worker(1)
    talks[1][1]:run [[
      lone = neap.client{ name = "lone", base_url = upstream, alerts = true, retry = false,
        gate = false, breaker = { consecutive_failures = 1 } }
      lone:get("/status/503")
      return true
    ]]
    for worker = 1, 2 do
      local _, page = talks[worker][1]:get("/status")
      local head, row = page:match('<tr role="row" ([^>]*data%-client="lone"[^>]*)>(.-)</tr>')
      assert.is_truthy(head:find('class="bad"', 1, true), head)
      assert.is_truthy(head:find('data-alerts="breaker_open"', 1, true), head)
      assert.is_truthy(row:find('data-label="Calls"><div>1</div>', 1, true), row)
    end
    talks[1][1]:run [[ lone.breaker:reset() return true ]]
  end)

  it("is the whole answer in access_by_lua too", function()
    local page = request("/early")
    assert.equal(200, page.status)
    assert.is_truthy(page.body:find("</html>\n$"))
  end)

  it("is refused in a phase that gives no answers", function()
    assert.equal("a request is answered in content_by_lua or access_by_lua, not in the phase "
      .. "header_filter", request("/misplaced").headers["x-raised"])
  end)
end)

describe("without shared memory the status page", function()
  local alone

  before_each(function()
    alone = farm.start{ workers = 2, upstream = s.url, init = INIT, conf = CONF }
  end)

  after_each(function()
    alone:stop()
  end)

  it("says which worker's figures these are", function()
    local lists, seen = alone:each_worker(1), {}
    for worker = 1, 2 do
      local _, page = lists[worker][1]:get("/status")
      seen[tonumber(page:match("<bdi>rates</bdi><small>worker (%d) only</small>"))] = true
    end
    assert.same({ [0] = true, [1] = true }, seen)
  end)
end)

describe("in a real browser the status page", function()
  local tried, done, found

  local function sees(what, fn)
    it(what, function()
      local missing = browser.missing()
      if missing then
        return pending(missing)
      end
      if not tried then
        tried, done, found = true, pcall(browser.run, "status.js", n.url .. "/status", s.url)
      end
      assert(done, found)
      fn()
    end)
  end

  local function is_red(color)
    local r, g, b = color:match("(%d+), (%d+), (%d+)")
    return tonumber(r) > tonumber(g) + 20 and tonumber(r) > tonumber(b) + 20
  end

  sees("turns the row red when the breaker opens, and back when it closes", function()
    assert.is_truthy(found.closed.word:find("closed$"))
    assert.is_false(is_red(found.closed.background))
    assert.is_truthy(found.open.word:find("open$"))
    assert.is_true(is_red(found.open.background), found.open.background)
    assert.is_truthy(found.again.word:find("closed$"))
    assert.equal(found.closed.background, found.again.background)
  end)

  sees("does so by itself, without being loaded anew", function()
    assert.equal(1, found.loads)
    assert.is_true(found.again.calls > found.open.calls)
    assert.is_true(found.open.calls > found.closed.calls)
    assert.not_equal(found.closed.chart, found.open.chart)
  end)

  sees("says what has changed", function()
    assert.equal("rates: breaker open; rates: alert breaker_open", found.news[1])
    assert.is_truthy(found.news[2]:find("rates: breaker closed", 1, true), found.news[2])
    assert.is_truthy(found.openTitle:find("^%(2 open%) "), found.openTitle)
    assert.is_truthy(found.title:find("^%(1 open%) "), found.title)
  end)

  sees("asks no other host", function()
    assert.same({ n.url:match("[%d.:]+$") }, found.hosts)
  end)

  sees("runs no script of a client's name or a URL, nor any that is put into it", function()
    assert.equal(require("cjson").null, found.ran)
    assert.equal(require("cjson").null, found.blocked)
    assert.same({}, found.complaints)
    assert.is_truthy(request("/status").body:find("&lt;script&gt;window.ran=3", 1, true))
  end)

  sees("has its table with names and headers in the accessibility tree", function()
    for _, tree in ipairs{ found.tree, found.phone.tree } do
      assert.equal(1, #tree.tables)
      assert.is_truthy(tree.tables[1]:find("^APIs: calls"))
      assert.same({ "API", "Breaker", "Calls", "Error rate", "p50", "p95", "p99", "Retries",
        "Timeouts", "In flight", "Alerts", "Last 5 minutes" }, tree.columns)
      assert.equal(4, #tree.rows)
      assert.equal(44, tree.cells)
      assert.equal(4, tree.images)
      assert.equal(1, #tree.regions)
      assert.same({ "Pause updates" }, tree.buttons)
    end
  end)

  sees("is reached by the keyboard, with a focus that is seen and that stays", function()
    assert.equal("pause", found.stops[1].name)
    assert.equal("scroll", found.stops[2].name)
    assert.is_true(found.stops[1].outline and found.stops[2].outline)
    assert.equal("scroll", found.focus)
    assert.equal("Resume updates", found.paused)
  end)

  sees("can be read in the light and in the dark", function()
    for _, seen in pairs{ found.contrasts.light, found.contrasts.dark, found.phone.dark } do
      assert.is_true(seen.ratio >= 4.5, ("%g: %s"):format(seen.ratio, seen.text))
      assert.is_true(seen.texts > 50)
    end
    assert.is_true(is_red(found.contrasts.dark.row))
    assert.not_equal(found.contrasts.light.row, found.contrasts.dark.row)
  end)

  sees("fits on a phone of 360 pixels, and keeps its place there", function()
    assert.equal(0, found.overflow)
    assert.equal(0, found.phone.overflow)
    assert.is_true(math.abs(found.phone.moved) <= 1, tostring(found.phone.moved))
    assert.is_truthy(found.phone.labels:find("Breaker", 1, true), found.phone.labels)
  end)

  sees("stands still for those who want that", function()
    assert.equal("0s", found.transition)
  end)

  sees("says when no answer comes any more", function()
    assert.is_truthy(found.late:find("^No answer since .+%. Trying again%.$"), found.late)
  end)

  sees("is whole without its script", function()
    assert.same({ rows = 4, refresh = 1, pause = false }, found.plain)
  end)
end)
