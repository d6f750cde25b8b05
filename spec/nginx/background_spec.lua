-- What is begun in the background in nginx: it outlives the request that began it, and begins in
-- each phase in which a call can be made.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, init = [[
    host = require "neap.host"
    seen = {}
    api = neap.client{ name = "api", base_url = upstream, retry = false }
    function begin(path)
      return host.background(api._engine, function() seen[path] = api:get(path).status end)
    end
    begun_in_init = begin("/init")
  ]], http = [[
    init_worker_by_lua_block { begun_in_init_worker = begin("/status/202") }
    exit_worker_by_lua_block {
      ngx.log(ngx.NOTICE, "begun at the end: ", tostring(begin("/status/200")))
    }
  ]], conf = [[
    location = /rewrite { rewrite_by_lua_block { begin("/status/210") ngx.exit(204) } }
    location = /access { access_by_lua_block { begin("/status/211") ngx.exit(204) } }
    location = /log { return 200 ok; log_by_lua_block { begin("/status/212") } }
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local function wait_for(path)
  return farm.wait(path .. " to be answered", function()
    return n:run(("return seen[%q]"):format(path))
  end)
end

describe("what is begun in the background", function()
  it("outlives its request, and lets it end at once", function()
    local talk = n:talk()
    assert.is_true(talk:run "return begin('/status/200?gate=late')")
    talk:close()
    assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 1 end))
    s:release("late")
    assert.equal(200, wait_for("/status/200?gate=late"))
  end)

  it("begins in the other phases too", function()
    for path, status in pairs { ["/rewrite"] = 210, ["/access"] = 211, ["/log"] = 212 } do
      local talk = n:talk()
      talk:get(path)
      talk:close()
      assert.equal(status, wait_for("/status/" .. status))
    end
    assert.is_true(n:run "return begun_in_init_worker")
    assert.equal(202, wait_for("/status/202"))
  end)

  it("is refused where nginx begins nothing", function()
    assert.is_false(n:run "return begun_in_init")
  end)

  it("may spawn tasks, and troubles nobody by its errors", function()
    assert.is_true(n:run [[
      host.background(api._engine, function()
        seen.tasks = neap.all{ function() neap.sleep(0.01) return 1 end, function() return 2 end }
        error("nobody's")
      end)
      return true
    ]])
    assert.same({ { true, 1 }, { true, 2 } }, wait_for("tasks"))
    assert.is_nil(n:error_log():find("nobody's", 1, true))
  end)

  it("is refused by a worker that is exiting", function()
    n:signal("HUP")
    farm.wait("a worker to leave", function()
      return n:error_log():find("begun at the end: false", 1, true)
    end)
  end)
end)
