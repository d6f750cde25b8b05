-- bin/neap get, post and explain as processes of their own, against the server that goes wrong.
local json = require "neap.json"
local process = require "spec.support.process"
local program = require "spec.support.program"
local server = require "spec.support.server"

local s, folder

setup(function() s = server.start() end)
teardown(function() s:stop() end)

before_each(function()
  s:reset()
  folder = process.temporary_directory()
end)

after_each(function()
  os.execute("rm -rf " .. process.quoted(folder))
end)

local function write_file(name, text)
  return process.write_file(folder .. "/" .. name, text)
end

-- Status, stdout and stderr of the program.
local function run(...)
  local errors = folder .. "/stderr"
  local status, text = program.run(program.command(...), errors)
  return status, text, process.read_file(errors)
end

local function policy_file(given)
  return write_file("policy.lua", ("return { name = 'api', base_url = %q, %s }"):format(s.url,
    given or ""))
end

describe("neap get", function()
  it("prints the body of the answer, and ends with 0", function()
    local status, said, errors = run("get", s.url .. "/status/200?body=hello")
    assert.same({ 0, "hello", "" }, { status, said, errors })
  end)

  it("takes a path where the policy has a base_url", function()
    local status, said = run("get", "status/200?body=x", "--policy", policy_file())
    assert.same({ 0, "x" }, { status, said })
  end)

  it("ends with 1 where the body cannot be written", function()
    for _, count in ipairs{ 5, 200000 } do
      local trace = write_file("body", ("x"):rep(count))
      local command = ("%s bin/neap post %s/echo --data @%s >/dev/full 2>%s/full; echo $?"):format(
        program.interpreter, s.url, trace, folder)
      local pipe = assert(io.popen(command))
      assert.equal("1\n", pipe:read("*a"))
      pipe:close()
      assert.matches("^neap: stdout: [^\n]+\n$", process.read_file(folder .. "/full"))
    end
  end)

  it("prints the head with -i", function()
    local _, said = run("get", "-i", s.url .. "/status/200?body=x&header=X-A:one&header=X-A:two")
    assert.truthy(said:find("^HTTP/1.1 200 OK\n"), said)
    assert.truthy(said:find("\nx%-a: one\nx%-a: two\n"), said)
    assert.truthy(said:find("\n\nx$"), said)
  end)

  it("sends the headers, and the policy's", function()
    local _, said = run("get", "echo", "--policy", policy_file("headers = { ['X-P'] = 'p' }"),
      "--header", "X-A: one", "--header=X-A: two")
    local sent = {}
    for _, pair in ipairs(assert(json.decode(said)).headers) do
      sent[#sent + 1] = pair[1]:lower() .. "=" .. pair[2]
    end
    local all = table.concat(sent, ";")
    assert.truthy(all:find("x-a=one;x-a=two", 1, true), all)
    assert.truthy(all:find("x-p=p", 1, true), all)
  end)

  it("ends with 1 where the answer is 400 or above, and prints it", function()
    local status, said = run("get", s.url .. "/status/404?body=none")
    assert.same({ 1, "none" }, { status, said })
  end)

  it("ends with 1 and says why where there is no answer", function()
    local status, said, errors = run("get", s.url .. "/reset",
      "--policy", policy_file("retry = false"))
    assert.same({ 1, "" }, { status, said })
    assert.truthy(errors:find("^neap: reset"), errors)
  end)

  it("draws the trace on stderr with -v", function()
    s:script("v", { "/status/503", "/status/200?body=x" })
    local status, said, errors = run("get", "s/v", "-v", "--policy",
      policy_file("retry = { backoff = { base = 0.01 } }"))
    assert.same({ 0, "x" }, { status, said })
    assert.truthy(errors:find("attempt 1%s+503"), errors)
    assert.truthy(errors:find("wait%s+backoff"), errors)
    assert.truthy(errors:find("attempt 2%s+200"), errors)
    assert.is_nil(errors:find("\27", 1, true))
  end)

  it("keeps to --timeout", function()
    local status, _, errors = run("get", s.url .. "/status/200?after=9", "--timeout", "200ms")
    assert.equal(1, status)
    assert.truthy(errors:find("timeout %(total%)"), errors)
  end)

  it("takes one policy of several by its name", function()
    local path = write_file("all.lua", ("return { a = { name = 'one', base_url = %q }, "
      .. "b = { name = 'two', base_url = 'http://127.0.0.1:1/' } }"):format(s.url))
    assert.equal(0, (run("get", "status/200", "--policy", path, "--client", "one")))
    assert.equal(0, (run("get", "status/200", "--policy", path, "--client", "a")))
    local status, _, errors = run("get", "status/200", "--policy", path)
    assert.equal(2, status)
    assert.truthy(errors:find("has 2 policies: name one by --client", 1, true), errors)
    status, _, errors = run("get", "status/200", "--policy", path, "--client", "three")
    assert.equal(1, status)
    assert.truthy(errors:find('there is no policy "three"', 1, true), errors)
  end)

  for what, words in pairs{
    ["no URL"] = { "get" },
    ["an unknown option"] = { "get", "http://127.0.0.1:1/", "--nonsense" },
    ["an unknown letter"] = { "get", "http://127.0.0.1:1/", "-x" },
    ["a header without a name"] = { "get", "http://127.0.0.1:1/", "--header", "nonsense" },
    ["a body"] = { "get", "http://127.0.0.1:1/", "--data", "x" },
    ["two URLs"] = { "get", "http://127.0.0.1:1/", "http://127.0.0.1:1/" },
  } do
    it("ends with 2 for " .. what, function()
      local status, said, errors = run(unpack and unpack(words) or table.unpack(words))
      assert.same({ 2, "" }, { status, said })
      assert.truthy(errors:find("^neap: "), errors)
    end)
  end

  it("says what a URL is where it gets none, and does not repeat it", function()
    for _, word in ipairs{ "pl4nted", "/pl4nted", "u:pl4nted@api.example/x", "localhost:8080" } do
      local status, _, errors = run("get", word)
      assert.equal(2, status)
      assert.equal("neap: get wants a URL that begins with http:// or https://, or a path and "
        .. "--policy FILE with a base_url\n", errors)
    end
    local path = write_file("baseless.lua", "return { name = 'x' }")
    local status, _, errors = run("get", "pl4nted", "--policy", path)
    assert.equal(2, status)
    assert.matches("^neap: get wants a URL that begins with http:// or https://; .*baseless.lua "
      .. "has no base_url for a path\n$", errors)
  end)

  it("does not repeat a header that is none", function()
    local _, _, errors = run("get", s.url, "--header", "Authorization pl4nted")
    assert.equal('neap: --header: expected a header such as "Accept: text/plain", got one without '
      .. "name or colon\n", errors)
  end)

  it("ends with 1 for a URL or a policy that is refused", function()
    local status, _, errors = run("get", "ftp://127.0.0.1/")
    assert.equal(1, status)
    assert.truthy(errors:find("^neap: request.url: expected the scheme http or https"), errors)
    status, _, errors = run("get", "x", "--policy", policy_file("nonsense = 1"))
    assert.equal(1, status)
    assert.truthy(errors:find("^neap: policy.nonsense: unknown key"), errors)
  end)
end)

describe("neap post", function()
  local function echo_of(...)
    local status, said, errors = run("post", s.url .. "/echo", ...)
    assert.equal(0, status, errors)
    return assert(json.decode(said))
  end

  local function header_of(echo, name)
    for _, pair in ipairs(echo.headers) do
      if pair[1]:lower() == name then
        return pair[2]
      end
    end
  end

  it("sends the body, and knows JSON by its first character", function()
    local echo = echo_of("--data", '{"a":1}')
    assert.same({ "POST", '{"a":1}', "application/json" },
      { echo.method, echo.body, header_of(echo, "content-type") })
  end)

  it("sends what a file has, byte for byte", function()
    local echo = echo_of("--data", "@" .. write_file("body", "a\r\nb\n"), "--type", "text/plain")
    assert.same({ "a\r\nb\n", "text/plain" }, { echo.body, header_of(echo, "content-type") })
  end)

  it("sends the key", function()
    assert.equal("k-1", header_of(echo_of("--data", "x", "--key", "k-1"), "idempotency-key"))
  end)

  it("sends an empty body where none is given", function()
    assert.equal(0, echo_of().body_bytes)
  end)

  it("ends with 1 where the file is not there", function()
    local status, _, errors = run("post", s.url .. "/echo", "--data", "@" .. folder .. "/none")
    assert.equal(1, status)
    assert.truthy(errors:find("none: No such file", 1, true), errors)
  end)
end)

describe("neap explain", function()
  -- What it says, with its lines joined.
  local function explain(text)
    local status, said, errors = run("explain", write_file("trace.json", text))
    return status, (said:gsub("%s+", " ")), errors
  end

  it("explains what neap get --trace has written", function()
    local trace = folder .. "/trace.json"
    s:script("e", { "/status/503", "/status/503", "/status/503" })
    run("get", "s/e", "--trace", trace, "--policy",
      policy_file("retry = { backoff = { base = 0.01 } }"))
    local status, said = run("explain", trace)
    said = said:gsub("%s+", " ")
    assert.equal(0, status)
    assert.truthy(said:find("attempt 3%s+503"), said)
    assert.truthy(said:find("the server answered with 503. Then it was given up: no attempt", 1,
      true), said)
    assert.truthy(said:find("waited for the backoff", 1, true), said)
  end)

  it("takes the list itself, and words that it does not know", function()
    local status, said = explain(
      '[{"kind":"attempt","at":1,"elapsed":2,"error":"timeout","phase":"read"},'
      .. '{"kind":"reject","at":3,"reason":"breaker_open","enforced":false},'
      .. '{"kind":"novelty","at":4}]')
    assert.equal(0, status)
    assert.truthy(said:find("the server was silent for timeout.read.", 1, true), said)
    assert.truthy(said:find("in shadow mode, so the attempt was made", 1, true), said)
    assert.truthy(said:find("nothing is known of such entries", 1, true), said)
  end)

  it("takes nulls for what is not there, as other programs write it", function()
    local status, said, errors = explain('[{"kind":"attempt","at":1,"elapsed":null,"status":503,'
      .. '"error":null,"phase":null,"reason":null,"chaos":null}]')
    assert.same({ 0, "" }, { status, errors })
    assert.truthy(said:find("attempt 1 503 0.000 s", 1, true), said)
    assert.truthy(said:find("the server answered with 503.", 1, true), said)
  end)

  it("lets no text of a trace steer the terminal", function()
    local _, said = explain('[{"kind":"attempt","at":1,"error":"\\u001b[2J"}]')
    assert.is_nil(said:find("\27", 1, true), said)
  end)

  for what, given in pairs{
    ["no JSON"] = { "nonsense", "" },
    ["an empty trace"] = { "[]", "the trace has no entries" },
    ["no list"] = { '"text"', "expected a trace, a list of entries" },
    ["an entry without a kind"] = { '[{"at":1}]', "entry 1: expected an object with `kind`" },
    ["a time that is none"] = { '[{"kind":"wait","at":"x"}]',
      "entry 1: expected numbers of seconds in `at` and `elapsed`" },
    ["a time that no clock shows"] = { '[{"kind":"attempt","at":1e300,"elapsed":1}]',
      "entry 1: expected numbers of seconds in `at` and `elapsed`" },
    ["a time before all clocks"] = { '[{"kind":"attempt","at":1,"elapsed":-5}]',
      "entry 1: expected numbers of seconds in `at` and `elapsed`" },
  } do
    it("ends with 1 for " .. what, function()
      local status, said, errors = explain(given[1])
      assert.same({ 1, "" }, { status, said })
      assert.truthy(errors:find(given[2], 1, true), errors)
    end)
  end
end)

describe("the words of traces", function()
  local neap = require "neap.core"
  local reasons = require "neap.program.reasons"
  local OWN = { breaker_open = true, gate = true, rate_limited = true, bulkhead_full = true,
    deadline = true, timeout = true, conflict = true, store = true }

  it("are explained for each kind of error", function()
    for kind in pairs(neap.kinds) do
      assert.is_true(OWN[kind] or reasons.errors[kind] ~= nil, kind)
    end
  end)
end)
