local nginx = require("spec.support.nginx")
local server = require("spec.support.server")
local process = require("spec.support.process")
local socket = require("socket")

local function curl(arguments)
   local pipe = assert(io.popen("curl -sS -m 5 " .. arguments .. " 2>&1"))
   local output = pipe:read("*a")
   pipe:close()
   return output
end

describe("spec.support.nginx", function()
   local n

   after_each(function()
      if n then
         n:stop()
         n = nil
      end
   end)

   it("serves a configuration", function()
      n = nginx.start({
         http = "map $arg_a $b { default none; 1 one; }",
         conf = "location / { return 200 '$b ${port}'; }",
      })
      assert.equal("one " .. n.port, curl(n.url .. "/?a=1"))
   end)

   it("speaks HTTP/2 with the certificate of the misbehaving server", function()
      local s = server.start()
      n = nginx.start({
         certs = s,
         http2 = true,
         conf = "location / { return 200 $server_protocol; }",
      })
      assert.equal("HTTP/2.0", curl("--cacert " .. s.ca_file .. " " .. n.tls_url))
      assert.equal("HTTP/1.1", curl(n.url))
      s:stop()
   end)

   it("has workers, and reloads", function()
      n = nginx.start({ workers = 2, conf = "location / { return 200 $pid; }" })
      local before = curl(n.url)
      assert.are_not.equal(tostring(n.pid), before)
      n:signal("HUP")
      assert.is_truthy(process.wait_until(function()
         return n:error_log():find("gracefully shutting down", 1, true)
      end))
      assert.is_truthy(tonumber(curl(n.url)))
   end)

   it("says why it does not start", function()
      local ok, message = pcall(nginx.start, { conf = "nonsense;" })
      assert.is_false(ok)
      assert.matches('unknown directive "nonsense"', message)
   end)

   it("stops, and takes its files with it", function()
      local other = nginx.start({})
      other:stop()
      other:stop()
      assert.is_nil(socket.connect("127.0.0.1", other.port))
      assert.is_nil(process.read_file(other.dir .. "/nginx.conf"))
   end)

   -- In a group of its own, as a terminal or timeout(1) would have it.
   local STARTER = [[
      local n = require("spec.support.nginx").start{ workers = 1, remove = arg[1] }
      local pid = io.open("/proc/self/stat"):read("*l"):match("^%d+")
      print(pid, n.pid, n.dir)
      io.stdout:flush()
      require("socket").sleep(60)
   ]]

   for what, signal in pairs({
      ["its program is killed"] = "kill -KILL %d",
      ["its program and all of its group are to end"] = "kill -TERM -%d",
   }) do
      it("goes, and takes its files with it, when " .. what, function()
         local file = os.tmpname()
         local chunk = process.temporary_directory()
         local script = assert(io.open(chunk .. "/starter.lua", "w"))
         script:write(STARTER)
         script:close()
         local pipe = assert(io.popen(("setsid %s %s/starter.lua %s 2>/dev/null")
            :format(process.quoted(os.getenv("NEAP_LUA")), chunk, file)))
         local pid, nginx_pid, directory = pipe:read("*l"):match("^(%d+)%s+(%d+)%s+(%S+)$")
         os.execute(signal:format(pid))
         assert.is_truthy(process.wait_until(function()
            return not process.read_file(file) and not process.read_file(directory .. "/output")
               and not process.read_file(("/proc/%d/stat"):format(nginx_pid))
         end, 15))
         pipe:close()
         os.execute("rm -rf " .. chunk)
      end)
   end
end)
