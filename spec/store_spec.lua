-- Stores as Lua sees them: making one, and steps that are made at once or on the store's thread.
local neap = require "neap"
local host = require "neap.host"
local store = require "neap.store"

local function scratch_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function remove_database(path)
  for _, suffix in ipairs{ "", "-wal", "-shm" } do
    os.remove(path .. suffix)
  end
end

describe("a store", function()
  local path, stores

  before_each(function()
    path = scratch_path()
    stores = {
      memory = require("neap.store.memory").new(),
      sqlite = require("neap.store.sqlite").new{ path = path },
    }
  end)

  after_each(function()
    stores = nil
    collectgarbage()
    remove_database(path)
  end)

  local function perform(st, op, arguments)
    return store.perform(st, host.engine(), op, arguments)
  end

  for _, kind in ipairs{ "memory", "sqlite" } do
    it(("keeps any bytes (%s)"):format(kind), function()
      local st = stores[kind]
      assert.is_true(perform(st, "put", { key = "a\0b", value = "x\0\255",
        until_time = os.time() + 60 }))
      assert.equal("x\0\255", perform(st, "get", { key = "a\0b" }))
      assert.is_false(perform(st, "get", { key = "a" }))
      assert.is_true(perform(st, "remove", { key = "a\0b" }))
      assert.is_false(perform(st, "get", { key = "a\0b" }))
    end)

    it(("gives the entries of an outbox out in order (%s)"):format(kind), function()
      local st = stores[kind]
      local first = perform(st, "outbox_put", { key = "o", value = "one" })
      local second = perform(st, "outbox_put", { key = "o", value = "two" })
      assert.is_true(first < second)
      local entry = perform(st, "outbox_take", { key = "o", lease = 60 })
      assert.equal("one", entry.value)
      assert.is_true(perform(st, "outbox_done", { id = entry.id, token = entry.token }))
      assert.is_false(perform(st, "outbox_done", { id = entry.id, token = entry.token }))
      assert.same({ waiting = 1, taken = 0, dead = 0 }, perform(st, "outbox_count", { key = "o" }))
    end)

    it(("lets other tasks go on while it works (%s)"):format(kind), function()
      local values = neap.run(function()
        local tasks, found = {}, {}
        for i = 1, 20 do
          tasks[i] = neap.spawn(function()
            perform(stores[kind], "put", { key = "k" .. i, value = "v" .. i,
              until_time = os.time() + 60 })
            return perform(stores[kind], "get", { key = "k" .. i })
          end)
        end
        for i, task in ipairs(tasks) do
          found[i] = task:await()
        end
        return found
      end)
      assert.equal(20, #values)
      for i = 1, 20 do
        assert.equal("v" .. i, values[i])
      end
    end)
  end

  it("answers with an error of kind store where its file cannot be", function()
    local st, err = require("neap.store.sqlite").new{ path = "/no/such/directory/x.db" }
    assert.is_nil(st)
    assert.equal("store", err.kind)
    assert.matches("No such file or directory", err.message)
  end)

  it("answers with an error of kind store where Redis is not there", function()
    local st = require("neap.store.redis").new{ port = 1 }
    local value, err = perform(st, "get", { key = "x" })
    assert.is_nil(value)
    assert.equal("store", err.kind)
    assert.is_true(err.retryable)
  end)

  it("raises at the caller's line for a wrong option", function()
    local done, message = pcall(function()
      return (require("neap.store.sqlite").new{ pth = "x" })
    end)
    assert.is_false(done)
    assert.matches([[store_spec%.lua:%d+: options%.pth: unknown key, did you mean "path"%?$]],
      message)
    assert.has_error(function() require("neap.store.sqlite").new{} end)
    assert.has_error(function() require("neap.store.memory").new{ max_bytes = -1 } end)
  end)
end)
