--- A real nginx with ngx_lua, in whose workers this tree's neap can be required.
--
--     local openresty = require("spec.support.openresty")
--     local n = openresty.start{ workers = 2, init = 'neap = require "neap"', conf = "location …" }
--
-- Takes what spec.support.nginx takes, and `init`, a chunk for init_by_lua. It needs the module
-- that was built for LuaJIT: openresty.is_here() tells whether there is one.

local nginx = require("spec.support.nginx")
local process = require("spec.support.process")

local openresty = {}

local MODULES = os.getenv("NGINX_MODULES") or "/usr/lib/nginx/modules"

-- $(BUILD)/lua5.4/lua is the interpreter that runs; LuaJIT's module lies beside it.
local BUILD = assert(os.getenv("NEAP_LUA")):match("^(.*)/[^/]+/lua$")
local ROOT = BUILD:match("^(.*)/[^/]+$")

local MAIN = ([[
load_module ${modules}/ndk_http_module.so;
load_module ${modules}/ngx_http_lua_module.so;
]]):gsub("%${modules}", MODULES)

local HTTP = ([[
   lua_package_path "${root}/lua/?.lua;${root}/lua/?/init.lua;${root}/?.lua;;";
   lua_package_cpath "${build}/luajit/?.so;;";
   lua_check_client_abort on;
]]):gsub("%${(%w+)}", { root = ROOT, build = BUILD })

--- Can it be started here?
function openresty.is_here()
   return process.read_file(BUILD .. "/luajit/neap/core.so") ~= nil
      and process.read_file(MODULES .. "/ngx_http_lua_module.so") ~= nil
end

function openresty.start(options)
   local given = {}
   for key, value in pairs(options) do
      given[key] = value
   end
   given.main = MAIN .. (options.main or "")
   given.http = HTTP .. (options.http or "")
   if options.init then
      given.http = ("%s\n   init_by_lua_block {\n%s\n}\n"):format(given.http, options.init)
   end
   return nginx.start(given)
end

return openresty
