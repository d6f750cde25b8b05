-- What the face asks of compat must be the same on each Lua.
local compat = require "neap.compat"
local neap = require "neap"
local testing = require "neap.testing"

-- Resumes fn's coroutine with 1, 2, 3… until it ends; what it yielded, then what it returned.
local function drained(fn, ...)
  local seen, count, co = {}, 0, coroutine.create(fn)
  local results = compat.pack(coroutine.resume(co, ...))
  while coroutine.status(co) == "suspended" do
    count = count + 1
    seen[count] = results[2]
    results = compat.pack(coroutine.resume(co, count))
  end
  seen.results = results
  return seen
end

local function in_gsub(fn)
  local result
  string.gsub("x", "x", function() result = compat.pack(fn()) end)
  return compat.unpack(result, 1, result.n)
end

describe("compat.pcall", function()
  it("returns what the function returns, nils included", function()
    local function echo(...) return ... end
    local direct = compat.pack(compat.pcall(echo, nil, 2, nil))
    assert.same({ n = 4, true, nil, 2, nil }, direct)
    assert.same({ n = 5, true, true, nil, 2, nil }, drained(function()
      return compat.pcall(echo, nil, 2, nil)
    end).results)
  end)

  it("catches what the function raises, a C function's error too", function()
    local problem = {}
    local seen = drained(function()
      local _, raised = compat.pcall(error, problem)
      return raised, (compat.pcall(nil))
    end)
    assert.equal(problem, seen.results[2])
    assert.is_false(seen.results[3])
  end)

  it("lets yields through in both directions", function()
    local seen = drained(function(first)
      return compat.pcall(function()
        local second = coroutine.yield(first)
        local done, third = compat.pcall(function() return coroutine.yield(second + 10) end)
        assert(done)
        error({ third }, 0)
      end)
    end, "first")
    assert.same({ "first", 11, results = { n = 3, true, false, { 2 } } }, seen)
  end)

  it("does not change which coroutine runs", function()
    drained(function()
      local co = compat.running()
      assert.equal(coroutine.running(), co)
      assert.is_true(compat.pcall(compat.pcall, function()
        assert.equal(co, compat.running())
        coroutine.yield()
        assert.equal(co, compat.running())
      end))
      assert.equal(co, compat.running())
      coroutine.wrap(function() assert.are_not.equal(co, compat.running()) end)()
    end)
    assert.is_nil(compat.running())
  end)

  it("works where nothing can yield", function()
    assert.is_false(compat.pcall(error))
    drained(function()
      assert.same({ true, 5 }, { in_gsub(function()
        return compat.pcall(function() return 5 end)
      end) })
    end)
  end)
end)

describe("compat.coroutine", function()
  it("takes functions of Lua and of C", function()
    assert.same({ true, 3 }, { coroutine.resume(compat.coroutine(math.max), 1, 3, 2) })
    assert.same({ true, 3 }, { coroutine.resume(compat.coroutine(function(x) return x end), 3) })
  end)
end)

describe("compat.can_yield", function()
  it("is false outside of a coroutine and inside a C function", function()
    assert.is_false(compat.can_yield())
    drained(function()
      assert.is_true(compat.can_yield())
      assert.is_false(in_gsub(compat.can_yield))
      local _, inside = compat.pcall(compat.can_yield)
      assert.is_true(inside)
    end)
  end)

  it("is true only where a yield gets through", function()
    local places = {
      pcall = function(fn) pcall(fn) end,
      xpcall = function(fn) xpcall(fn, error) end,
      iterator = function(fn) for _ in fn do error("it ends at once") end end,
      gsub = in_gsub,
      sort = function(fn) table.sort({ 1, 2 }, function() fn() end) end,
    }
    for name, place in pairs(places) do
      local can
      local seen = drained(place, function()
        can = compat.can_yield()
        if can then
          coroutine.yield("through")
        end
      end)
      assert.is_boolean(can)
      assert.same({ can and "through" or nil }, { seen[1] }, name)
    end
  end)
end)

describe("a task that waits", function()
  local function slept(fn)
    return testing.new():run(function()
      fn(function()
        neap.sleep(1)
      end)
      return neap.now()
    end)
  end

  it("may do so inside pcall, an iterator and a C function", function()
    assert.equal(1, slept(function(sleep) assert.is_true(pcall(sleep)) end))
    assert.equal(1, slept(function(sleep) for _ in sleep do error("it ends at once") end end))
    assert.equal(1, slept(in_gsub))
  end)

  it("in a metamethod may raise, and harms nobody else", function()
    local slow = setmetatable({}, { __index = function() neap.sleep(1) end })
    local results = testing.new():run(function()
      return neap.all {
        function() return slow.field end,
        function()
          neap.sleep(2)
          return "done"
        end,
      }
    end)
    assert.is_truthy(results[1][1] or results[1][2]:find("attempt to yield across", 1, true))
    assert.same({ true, "done" }, results[2])
  end)

  it("lets others go on where Lua can yield", function()
    local order = {}
    testing.new():run(function()
      neap.spawn(function()
        order[#order + 1] = "other"
      end)
      compat.pcall(neap.sleep, 1)
      order[#order + 1] = "slept"
    end)
    assert.same({ "other", "slept" }, order)
  end)
end)
