-- Processes that fork after neap was loaded: workers of a pre-forking server. Only LuaJIT can fork
-- here, by its FFI; on other interpreters the same C code runs.
local found, ffi = pcall(require, "ffi")

local neap = require "neap"
local server = require "spec.support.server"

describe("after a fork", function()
  if not found then
    it("is watched on LuaJIT, which can fork", function()
      assert.is_nil(rawget(_G, "jit"))
    end)
    return
  end

  ffi.cdef [[
    int fork(void);
    int waitpid(int pid, int *status, int options);
    void _exit(int status);
  ]]

  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)

  -- Runs fn in a child; true if it returned true there.
  local function in_child(fn)
    local pid = ffi.C.fork()
    if pid == 0 then
      local done, result = pcall(fn)
      ffi.C._exit(done and result and 0 or 1)
    end
    local status = ffi.new("int[1]")
    ffi.C.waitpid(pid, status, 0)
    return status[0] == 0
  end

  it("a child makes calls of its own, and the parent goes on", function()
    local before = neap.client{ name = "parent", base_url = s.url }
    assert.equal(200, before:get("/status/200").status)
    assert.is_true(in_child(function()
      local own = neap.client{ name = "child", base_url = s.url }
      return own:get("/status/200").status == 200
    end))
    neap.sleep(0.05)
    assert.equal(200, before:get("/status/200").status)
    before:close()
  end)

  it("a client of the parent is refused in the child", function()
    local before = neap.client{ name = "parent", base_url = s.url }
    assert.is_true(in_child(function()
      local done, message = pcall(before.get, before, "/status/200")
      return not done and message:find("it was made before a fork", 1, true) ~= nil
    end))
    before:close()
  end)

  it("children spread their waits differently", function()
    neap.now()
    local files = { os.tmpname(), os.tmpname() }
    for _, path in ipairs(files) do
      assert.is_true(in_child(function()
        local file = assert(io.open(path, "w"))
        local api = neap.client{ name = "c", base_url = s.url,
          retry = { backoff = { kind = "fixed", base = 0.02, jitter = "full" } } }
        for _, entry in ipairs(api:get("/status/503").trace) do
          if entry.kind == "wait" then
            file:write(("%.9f "):format(entry.elapsed))
          end
        end
        file:close()
        return true
      end))
    end
    local waits = {}
    for index, path in ipairs(files) do
      waits[index] = assert(io.open(path)):read("*a")
      os.remove(path)
    end
    assert.is_true(#waits[1] > 0)
    assert.are_not.equal(waits[1], waits[2])
  end)
end)
