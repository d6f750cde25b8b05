local callgrind = require "bench.instructions.callgrind"
local ledger = require "bench.instructions.ledger"

describe("a profile of callgrind", function()
  it("counts what the module and the interpreter do themselves", function()
    assert.equal(17, callgrind.own[[
ob=(1) /tree/build/lua5.4/neap/core.so
fn=(1) neap_call_step
12 5
+3 7
ob=(2) /usr/bin/lua5.4
fn=(2) luaV_execute
* 5
]])
  end)

  it("counts code without a file, which LuaJIT compiled", function()
    assert.equal(4, callgrind.own "ob=(7) ???\nfn=(1) 0x1\n0 3\nob=(8)\nfn=(2) 0x2\n0 1\n")
  end)

  it("leaves out what libraries do, and what is below a call", function()
    assert.equal(2, callgrind.own[[
ob=(1) /usr/lib/libcurl.so.4
fn=(1) perform
12 500
ob=(2) /tree/build/lua5.4/neap/core.so
fn=(2) act
3 2
cob=(1)
cfn=(1)
calls=1 12
4 500
]])
  end)

  it("counts what allocating and setting options takes, but not where a library does it", function()
    assert.equal(90, callgrind.own[[
ob=(2) /tree/build/lua5.4/neap/core.so
fn=(2) act
cob=(1) /usr/lib/libc.so.6
cfn=(1) malloc
calls=1 12
4 40
cob=(3) /usr/lib/libcurl.so.4
cfn=(4) curl_easy_setopt
calls=2 12
4 50
ob=(3)
fn=(5) perform
cob=(1)
cfn=(1)
calls=1 12
4 40
]])
  end)

  it("takes what stands before malloc for memory's, as malloc", function()
    assert.equal(47, callgrind.own[[
ob=(2) /tree/build/lua5.4/neap/core.so
fn=(2) act
12 7
cfn=(6) neap_blocks_take
calls=1 12
4 40
fn=(6)
12 30
cob=(1) /usr/lib/libc.so.6
cfn=(1) malloc
calls=1 12
4 10
ob=(3) /usr/lib/libcurl.so.4
fn=(5) perform
cob=(2)
cfn=(6)
calls=1 12
4 40
]])
  end)

  it("knows the names that only the libraries' own parts tell", function()
    assert.equal(47, callgrind.own[[
ob=(1) /usr/lib/libc.so.6
fn=(1) malloc
12 40
ob=(2) /tree/build/lua5.4/neap/core.so
fn=(2) act
12 7
cob=(1)
cfn=(1)
calls=1 12
4 40
]])
  end)

  it("goes on counting a function after what it called", function()
    assert.equal(9, callgrind.own[[
ob=(2) /tree/build/lua5.4/neap/core.so
fn=(2) act
cfn=(3) step
calls=1 12
4 100
5 9
]])
  end)
end)

describe("the ledger of instructions", function()
  it("is read as it is written", function()
    local text = ledger.text{
      { name = "lua5.4 http", count = 7 },
      { name = "luajit run", count = 9 },
    }
    assert.same({ ["lua5.4 http"] = 7, ["luajit run"] = 9 }, ledger.parsed(text))
  end)

  it("calls slower what is more than 5 % above", function()
    assert.equal("slower", ledger.judge(1000, 1051))
    assert.equal("same", ledger.judge(1000, 1050))
  end)

  it("calls faster what is more than 5 % below", function()
    assert.equal("faster", ledger.judge(1000, 949))
    assert.equal("same", ledger.judge(1000, 950))
  end)

  it("calls new what was not kept", function()
    assert.equal("new", ledger.judge(nil, 1))
  end)
end)
