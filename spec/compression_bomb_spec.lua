-- A few bytes that become 64 MiB when they are decoded, in each encoding that a server may choose.
-- The size that counts is the decoded one.
local neap = require "neap"

local calls = require "spec.support.calls"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"

local MIB = 1048576

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- RFC 8878: a frame with a window of 1 MiB, of blocks that say "this byte, 128 KiB of it".
local function zstd()
  local parts = { bytes_of "28b52ffd0050" }
  for block = 1, 512 do
    parts[#parts + 1] = bytes_of(block == 512 and "030010" or "020010") .. "\0"
  end
  return table.concat(parts)
end

-- Each by its Content-Encoding: 64 MiB of zeros.
local BOMBS = {
  ["br"] = bytes_of("cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3fffffffe19f0088c32200dd"
    .. "fbfffcffffc73f0110870500baf7ff"),
  ["zstd"] = zstd(),
  ["gzip, gzip"] = bytes_of(""
    .. "1f8b0800000000000203eddcaf4e826114c0e117f8dc186e8ac144804b3052987f02d9a0d9710144b36c8c"
    .. "64e126c86e6e6e569b770036bb6870cee4fcf4fb2ee33dcf934e3ef1ececd7bf6da74ab3b57d6a34fea7d9"
    .. "f2f7eea3dd4900000040e6662ff356750c4883723d3ebf040000007237d9df2beaa3c0cf55efd43a000000"
    .. "207b8bd1b05b7f087cde4c0beb00000080ec1d7ebf9ed4b780e7f2e1e0c23e000000207b1bc10000000008"
    .. "45300000000062110c000000805804030000002018c1000000008845300000000062110c00000080580403"
    .. "0000002018c1000000008845300000000062598d8683ea31a0fb555e1f9fed240000002279dc7d3f7abb4f"
    .. "29157f3c4cecfae2fe0000"),
  ["deflate, deflate"] = bytes_of(""
    .. "78daeddcbf4a826118c6e1f7238348301d9a5a3c0c07c53f437343cde20134066d0ad1de49343705ae6e9e"
    .. "81e9e40188438453f889df61bccf751dc23d3e3cfc5e37bb4551a494661fc7affdd5750200000032375bbf"
    .. "5d9c8f01a95daeee1f9e00000080dc4d6e1ab5ea28f03fbe1b9a03000000b2f7deeb34ab0f81dfe973cd1c"
    .. "00000090bddbc37650dd0296e577ebd11e00000090bd1fc1000000000845300000000062110c0000008058"
    .. "04030000002018c1000000008845300000000062110c000000805804030000002018c10000000088453000"
    .. "00000062f9ec75dae7c780e65ff9d21f5d260000002299d7bb2915279be29ea1"),
}

local n, directory

local function name_of(encoding)
  return (encoding:gsub("%W", "-"))
end

setup(function()
  directory = process.temporary_directory()
  os.execute("chmod 755 " .. process.quoted(directory))
  local conf = ""
  for encoding, content in pairs(BOMBS) do
    conf = conf .. ('location = /%s { root %s; add_header Content-Encoding "%s"; }\n'):format(
      name_of(encoding), directory, encoding)
    local file = assert(io.open(directory .. "/" .. name_of(encoding), "wb"))
    file:write(content)
    file:close()
  end
  n = nginx.start{ conf = conf }
end)

teardown(function()
  n:stop()
  os.execute("rm -rf " .. process.quoted(directory))
end)

local function peak_kib()
  return tonumber(process.read_file("/proc/self/status"):match("VmHWM:%s*(%d+)"))
end

local function get(client, encoding)
  return client:get("/" .. name_of(encoding))
end


describe("a body that grows when it is decoded", function()
  it("stops at the limit, in little memory", function()
    local client = calls.client{ base_url = n.url, max_response_bytes = MIB }
    local before = peak_kib()
    for encoding in pairs(BOMBS) do
      local err = calls.failed_as("too_large", get(client, encoding))
      assert.equal(1, err.attempts, encoding)
    end
    assert.is_true(calls.sanitized or peak_kib() - before < 24 * 1024)
  end)

  it("stops at the limit inside neap.run", function()
    local client = calls.client{ base_url = n.url, max_response_bytes = MIB }
    neap.run(function()
      for encoding in pairs(BOMBS) do
        calls.failed_as("too_large", get(client, encoding))
      end
    end)
  end)

  it("arrives whole where the limit allows it", function()
    local client = calls.client{ base_url = n.url, max_response_bytes = 64 * MIB }
    for encoding in pairs(BOMBS) do
      assert.equal(64 * MIB, #calls.answered(get(client, encoding)).body, encoding)
    end
    collectgarbage()
  end)
end)
