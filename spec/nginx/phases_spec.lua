-- Where in nginx calls work, and what they say where they cannot.
local farm = require "spec.support.farm"
local server = require "spec.support.server"
local calls = require "spec.support.calls"

local s, n

-- A phase that cannot wait tells what a call came to in a word.
local INIT = [[
  seen = {}
  api = neap.client{ name = "api", base_url = upstream, retry = false }
  function in_word(path)
    local res, err = api:get("/status/200/" .. path)
    return res and tostring(res.status) or err.kind .. ": " .. err.message
  end
  swift = neap.wrap({ name = "swift" }, function(x) return x .. "!" end)
  stubborn = neap.wrap({ name = "stubborn", breaker = false }, function() error("no", 0) end)
  function wrapped_in_words()
    local value = swift("went")
    local none, err = stubborn()
    local done, message = pcall(neap.sleep, 0.01)
    return table.concat({ value, tostring(none), err.kind, tostring(done), message }, ",")
  end
  function checked() return neap.check{ name = "x", timeout = { total = 7 } }.worst_case end
  seen.init_checked = checked()
  seen.init = in_word("init")
  seen.init_wrapped = wrapped_in_words()
]]

local HTTP = [[
  init_worker_by_lua_block {
    seen.init_worker = in_word("init_worker")
    seen.init_worker_wrapped = wrapped_in_words()
    ngx.timer.at(0, function() seen.timer_of_init_worker = in_word("timer") end)
  }
  exit_worker_by_lua_block {
    ngx.log(ngx.NOTICE, "at the end: ", in_word("exit_worker"))
  }
  upstream balanced {
    server 127.0.0.1:1;
    balancer_by_lua_block {
      seen.balancer = in_word("balancer")
      ngx.exit(503)
    }
  }
]]

local CONF = [[
  ssl_certificate_by_lua_block { seen.ssl_cert = in_word("ssl_cert") }
  location = /rewrite {
    rewrite_by_lua_block { require("spec.support.chunk").serve("rewrite") }
  }
  location = /access {
    access_by_lua_block { require("spec.support.chunk").serve("access") }
  }
  location = /content {
    content_by_lua_block { require("spec.support.chunk").serve("content") }
  }
  location = /set {
    set_by_lua_block $word { return in_word("set") }
    return 200 $word;
  }
  location = /filters {
    header_filter_by_lua_block {
      ngx.header["X-Word"] = in_word("header_filter")
      ngx.header["Content-Length"] = nil
    }
    body_filter_by_lua_block {
      ngx.arg[1] = ngx.arg[2] and in_word("body_filter") or nil
    }
    return 200 ok;
  }
  location = /log {
    log_by_lua_block {
      seen.log = in_word("log")
      seen.log_checked = checked()
      seen.log_wrapped = wrapped_in_words()
    }
    return 200 ok;
  }
  location = /together {
    header_filter_by_lua_block {
      local _, ran = pcall(neap.run, function() neap.sleep(2) end)
      local _, all = pcall(neap.all, { function() return api:get("/slow?headers=2") end })
      ngx.header["X-Run"], ngx.header["X-All"] = ran, all
    }
    return 200 ok;
  }
  location = /gsub {
    content_by_lua_block {
      local message
      string.gsub("a", ".", function() message = select(2, pcall(neap.run, function() end)) end)
      ngx.print(message)
    }
  }
  location = /balancer { proxy_pass http://balanced; }
]]

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, certs = s, init = INIT, http = HTTP, conf = CONF }
end)

teardown(function()
  n:stop()
  s:stop()
end)

local REFUSED = "phase: this phase of the host cannot wait"

local function curl(arguments)
  return calls.output("curl -sS -m 5 " .. arguments .. " 2>&1")
end

local function seen(name)
  return farm.wait("something in seen." .. name, function()
    return n:run(("return seen[%q] or false"):format(name))
  end)
end

-- The upstream was asked for the path of that phase so often.
local function sent(phase)
  return s:ledger().paths["/status/200/" .. phase] or 0
end

describe("a call", function()
  for _, phase in ipairs{ "rewrite", "access", "content" } do
    it("works in the phase " .. phase, function()
      assert.same({ phase, phase, 200, 3 }, n:run([[
        local retrying = neap.client{ name = "retrying", base_url = upstream,
          retry = { backoff = { kind = "fixed", base = 0.01 } } }
        return { ..., ngx.get_phase(), api:get("/status/200?after=0.02").status,
          retrying:get("/status/503").attempts }
      ]], "/" .. phase))
    end)
  end

  it("works in ngx.timer, also in one that init_worker began", function()
    assert.equal("200", seen("timer_of_init_worker"))
    n:run "ngx.timer.at(0.01, function() seen.timer = in_word('later_timer') end) return true"
    assert.equal("200", seen("timer"))
    assert.equal(1, sent("later_timer"))
  end)

  it("works in ssl_certificate_by_lua", function()
    assert.equal("plain", curl("--cacert " .. s.ca_file .. " " .. n.tls_url .. "/plain"))
    assert.equal("200", seen("ssl_cert"))
    assert.is_true(sent("ssl_cert") >= 1)
  end)

  local function is_refused(phase, word)
    assert.equal(REFUSED, word)
    assert.equal(0, sent(phase))
  end

  it("is refused in init, and nothing is sent", function()
    is_refused("init", seen("init"))
  end)

  it("is refused in init_worker, and nothing is sent", function()
    is_refused("init_worker", seen("init_worker"))
  end)

  it("is refused in set, and nothing is sent", function()
    is_refused("set", curl(n.url .. "/set"))
  end)

  it("is refused in header_filter and body_filter, and nothing is sent", function()
    local answer = curl("-i " .. n.url .. "/filters")
    is_refused("header_filter", answer:match("X%-Word: ([^\r]*)"))
    is_refused("body_filter", answer:match("\r\n\r\n(.*)$"))
  end)

  it("neap.run and neap.all are refused where nothing can wait", function()
    local answer = curl("-i -m 1 " .. n.url .. "/together")
    local text = ": the host cannot wait here, in this phase or inside a C function"
    assert.equal("run" .. text, answer:match("X%-Run: ([^\r]*)"))
    assert.equal("all" .. text, answer:match("X%-All: ([^\r]*)"))
    assert.equal("run" .. text, curl(n.url .. "/gsub"))
  end)

  it("is refused in balancer, and nothing is sent", function()
    curl(n.url .. "/balancer")
    is_refused("balancer", seen("balancer"))
  end)

  it("is refused in log, and nothing is sent", function()
    assert.equal("ok", curl(n.url .. "/log"))
    is_refused("log", seen("log"))
  end)

  it("that is refused is counted, and leaves nothing behind", function()
    local stats = n:run [[
      local stats = api:stats()
      return { errors = stats.errors.phase, in_flight = stats.in_flight }
    ]]
    assert.is_true(stats.errors >= 4, stats.errors)
    assert.equal(0, stats.in_flight)
  end)

  it("is refused in exit_worker, and the worker ends", function()
    local other = farm.start{ upstream = s.url, init = INIT, http = HTTP }
    other:signal("QUIT")
    local log = farm.wait("the worker's last words", function()
      return other:error_log():match("at the end: ([^\n]*)")
    end)
    other:stop()
    is_refused("exit_worker", log:sub(1, #REFUSED))
  end)
end)

describe("neap.check", function()
  it("works where nothing can wait", function()
    assert.equal(7, seen("init_checked"))
    assert.equal("ok", curl(n.url .. "/log"))
    assert.equal(7, seen("log_checked"))
  end)
end)

describe("a wrapped function where nothing can wait", function()
  local function is_right(words)
    local value, none, kind, slept, message = words:match("^(.-),(.-),(.-),(.-),(.*)$")
    assert.equal("went!", value)
    assert.equal("nil", none)
    assert.equal("phase", kind)
    assert.equal("false", slept)
    assert.is_truthy(message:find("sleep: this phase of the host cannot wait", 1, true), message)
  end

  for _, phase in ipairs{ "init", "init_worker", "log" } do
    it("works in " .. phase .. " as long as it need not wait", function()
      if phase == "log" then
        assert.equal("ok", curl(n.url .. "/log"))
      end
      is_right(seen(phase .. "_wrapped"))
    end)
  end
end)

describe("a client", function()
  it("that init_by_lua made before the fork works in each worker", function()
    local farther = farm.start{ workers = 3, upstream = s.url, init = INIT }
    local lists, pids = farther:each_worker()
    assert.equal(3, #pids)
    for _, talks in ipairs(lists) do
      assert.equal(200, talks[1]:run "return api:get('/status/200').status")
    end
    farther:stop()
  end)

  it("that a handler made works there and in later requests", function()
    assert.equal(200, n:run [[
      own = neap.client{ name = "made late", base_url = upstream }
      return own:get("/status/200").status
    ]])
    assert.equal(200, n:run "return own:get('/status/200').status")
  end)

  it("that a handler closed refuses, and neap.stats tells of the others", function()
    assert.same({ "cancelled", true, false }, n:run [[
      local own = neap.client{ name = "closed", base_url = upstream }
      own:get("/status/200")
      own:close()
      local _, err = own:get("/status/200")
      local stats = neap.stats()
      return { err.kind, stats.api ~= nil, stats.closed ~= nil }
    ]])
  end)

  it("that nobody has any more closes its connections", function()
    n:run [[
      do
        local own = neap.client{ name = "dropped", base_url = upstream }
        own:get("/status/200/dropped")
      end
      return true
    ]]
    local open = s:ledger().open
    n:run "jit.flush() collectgarbage() collectgarbage() return true"
    assert.is_truthy(s:settle(function(ledger)
      return ledger.open < open
    end))
  end)
end)
