-- `neap options`, as a process of its own.
local core = require "neap.core"
local json = require "neap.json"
local program = require "spec.support.program"

-- What it printed, stdout and stderr together, and its status.
local function run(words)
  local status, text = program.run(program.command("options") .. " " .. words)
  return text, status
end

describe("neap options", function()
  it("lists a key with type, range, default and meaning", function()
    local text, status = run("retry.max_attempts")
    assert.equal(0, status)
    assert.equal("retry.max_attempts  an integer >= 1; default: 3\n" ..
      "    attempts in all, the first one and a refreshed one counted\n", text)
  end)

  it("lists what is below a key, and nothing that only begins like it", function()
    local text = run("cache.max_e")
    assert.matches('there is no key "cache.max_e"', text, 1, true)
    text = run("breaker.half_open")
    assert.matches("breaker.half_open.lease  a number > 0 (seconds); default: 60", text, 1, true)
    local _, lines = text:gsub("\nb", "")
    assert.equal(2, lines)
  end)

  it("lists every key of a policy", function()
    local text = run("")
    for _, row in ipairs(core.option_rows()[1].rows) do
      assert.is_truthy(("\n" .. text):find("\n" .. row.path .. "  ", 1, true), row.path)
    end
  end)

  it("has no Markdown in it", function()
    assert.is_nil(run(""):find("[`%]]%("))
  end)

  it("lists the options of other things", function()
    assert.matches('host  a non-empty string; default: "127.0.0.1"', run("--of store.redis"), 1,
      true)
    local text, status = run("--of teapot")
    assert.equal(2, status)
    assert.matches('nothing called "teapot" has options, but: policy, breaker', text, 1, true)
  end)

  it("writes JSON for programs", function()
    local rows = assert(json.decode((run("idempotency --json"))))
    assert.equal("idempotency.header", rows[2].path)
    assert.equal("Idempotency-Key", rows[2].default)
    assert.same({ "POST", "PATCH" }, rows[3].default)
    assert.equal("function", rows[4].other.kind)
  end)

  it("fails for a key that is not there", function()
    local _, status = run("retry.max_attempt")
    assert.equal(1, status)
  end)
end)
