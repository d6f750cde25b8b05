--- A real nginx for the specs, with a configuration of theirs, on ports that were free.
--
--     local nginx = require("spec.support.nginx")
--     local n = nginx.start{ conf = "location / { return 200 ok; }" }
--     n.url .. "/"
--     n:stop()
--
-- It stops with this process, and removes its temporary directory, unless all is killed at once by
-- SIGKILL.

local socket = require("socket")

local process = require("spec.support.process")

local nginx = {}

local Nginx = {}
Nginx.__index = Nginx

local ATTEMPTS = 5

local CONF = [[
daemon off;
master_process ${master};
worker_processes ${workers};
${user}
pid ${dir}/nginx.pid;
error_log ${dir}/error.log ${log_level};
${main}
events { worker_connections ${connections}; ${events} }
http {
   access_log off;
   client_body_temp_path ${dir}/body;
   proxy_temp_path ${dir}/proxy;
   fastcgi_temp_path ${dir}/fastcgi;
   uwsgi_temp_path ${dir}/uwsgi;
   scgi_temp_path ${dir}/scgi;
   ${http}
   server {
      listen 127.0.0.1:${port} ${listen} backlog=4096;
      ${tls}
      ${conf}
   }
}
]]

local TLS = [[
listen 127.0.0.1:${tls_port} ssl ${http2} backlog=4096;
      ssl_certificate ${cert};
      ssl_certificate_key ${key};]]

local function is_root()
   local pipe = assert(io.popen("id -u"))
   local id = pipe:read("*l")
   pipe:close()
   return id == "0"
end

-- Both are held until both are known, or they could be the same.
local function two_free_ports()
   local first = assert(socket.bind("127.0.0.1", 0))
   local second = assert(socket.bind("127.0.0.1", 0))
   local _, port = first:getsockname()
   local _, tls_port = second:getsockname()
   first:close()
   second:close()
   return port, tls_port
end

-- The caller's texts may name ${dir}, ${port} and ${tls_port} themselves.
local function filled(template, values)
   local text = template
   for _ = 1, 3 do
      text = text:gsub("%${([%w_]+)}", function(name)
         return values[name] and tostring(values[name])
      end)
   end
   return text
end

local function configuration(options, directory, port, tls_port)
   local certs = options.certs or {}
   return filled(CONF, {
      dir = directory,
      port = port,
      tls_port = tls_port,
      master = options.workers and "on" or "off",
      workers = options.workers or 1,
      -- Workers give up root's rights, and could not enter the directory.
      user = options.workers and is_root() and "user root;" or "",
      connections = options.connections or 4096,
      log_level = options.log_level or "notice",
      main = options.main or "",
      events = options.events or "",
      listen = options.listen or "",
      http = options.http or "",
      conf = options.conf or "",
      tls = options.certs and TLS or "",
      http2 = options.http2 and "http2" or "",
      cert = certs.server_cert,
      key = certs.server_key,
   })
end

local function write_file(path, content)
   local file = assert(io.open(path, "wb"))
   file:write(content)
   file:close()
end

-- A shell sees to the end, whatever becomes of this process: what reaches both at once, from a
-- terminal or by timeout(1), ends nginx but not the shell.
local function launch(directory, remove)
   local quoted = process.quoted(directory)
   local binary = process.quoted(os.getenv("NGINX") or "/usr/sbin/nginx")
   return assert(io.popen((
      "trap '' HUP INT TERM; %s -p %s -e %s/error.log -c %s/nginx.conf >%s/output 2>&1 & nginx=$!; "
      .. "read -r _; kill -TERM $nginx 2>/dev/null; wait $nginx; rm -rf %s %s")
      :format(binary, quoted, quoted, quoted, quoted, quoted,
         remove and process.quoted(remove) or ""), "w"))
end

local function accepts(port)
   local connection = socket.connect("127.0.0.1", port)
   if connection then
      connection:close()
   end
   return connection ~= nil
end

-- nginx writes its pid only after it has bound all ports: who accepts before may be another.
local function wait_for_start(self)
   return process.wait_until(function()
      local failed = self:error_log():find("[emerg]", 1, true)
      local pid = (process.read_file(self.dir .. "/nginx.pid") or ""):match("%d+")
      self.pid = tonumber(pid)
      return failed and "failed" or pid and accepts(self.port) and "started"
   end, 15)
end

local function start_once(options)
   local directory = process.temporary_directory()
   local port, tls_port = two_free_ports()
   write_file(directory .. "/nginx.conf", configuration(options, directory, port, tls_port))
   local self = setmetatable({
      dir = directory,
      port = port,
      tls_port = options.certs and tls_port,
      url = "http://127.0.0.1:" .. port,
      tls_url = options.certs and "https://localhost:" .. tls_port,
      pipe = launch(directory, options.remove),
   }, Nginx)
   if wait_for_start(self) == "started" then
      return self
   end
   local log = self:error_log()
   self:stop()
   return nil, log
end

--- Starts nginx with one server.
-- The texts `conf` (of the server, locations too), `http`, `events` and `main` go where they belong
-- in nginx.conf and may use ${dir}, ${port}, ${tls_port}. `workers = n` runs a master with so many;
-- without it there is one process only. `certs = s` (a misbehaving server) adds a TLS port with its
-- good certificate, and `http2 = true` HTTP/2 on it. `listen` is what the plain port has besides
-- its address, such as "reuseport". `log_level` is "notice". `remove` is a file that is to go with
-- it. The environment variable NGINX names another binary.
---@return table { url, tls_url, port, tls_port, dir, pid, signal(), error_log(), stop() }
function nginx.start(options)
   assert(options.certs or not options.http2, "http2 needs certs")
   local log
   for _ = 1, ATTEMPTS do
      local self
      self, log = start_once(options)
      if self then
         return self
      end
      if not log:find("Address already in use", 1, true) then
         break
      end
   end
   error("nginx did not start:\n" .. log, 2)
end

--- Everything that it has logged, and printed before it could.
---@return string
function Nginx:error_log()
   return (process.read_file(self.dir .. "/output") or "")
      .. (process.read_file(self.dir .. "/error.log") or "")
end

--- Sends a signal, such as "HUP" for a reload.
---@param name string
function Nginx:signal(name)
   os.execute(("kill -%s %d"):format(name, self.pid))
end

--- Works twice.
function Nginx:stop()
   if self.pipe then
      self.pipe:write("\n") -- an end of file does not come while some other child holds the pipe
      self.pipe:close() -- waits for its end
      self.pipe = nil
   end
end

return nginx
