--- An nginx with ngx_lua for the rows, whose Lua finds a tree's neap, and bench/ of this tree.

local process = require "spec.support.process"

local openresty = {}

local MODULES = os.getenv("NGINX_MODULES") or "/usr/lib/nginx/modules"

local MAIN = ([[
load_module MODULES/ndk_http_module.so;
load_module MODULES/ngx_http_lua_module.so;
]]):gsub("MODULES", MODULES)

local PATHS = [[
keepalive_requests 1000000000; keepalive_timeout 600s;
lua_package_path "${tree}/lua/?.lua;${tree}/lua/?/init.lua;./?.lua;${more};";
lua_package_cpath "${build}/luajit/?.so;;";
init_by_lua_block {
  package.path = "${root}/?.lua;" .. package.path
  handle = require(${module})${part}
}
]]

--- Can it be started, with this tree's neap?
function openresty.is_here(world)
  return world:lua("luajit") and process.read_file(MODULES .. "/ngx_http_lua_module.so") ~= nil
end

--- Starts one whose only location is handled by a function.
--- `module` is the module of bench that has it, `part` the expression that takes it from there;
--- `tree` and `build` are of the neap to be found, this one's by default; `more` is searched for
--- modules too; `http` goes into the configuration.
---@param options { module: string, part: string|nil, tree: string|nil, build: string|nil,
--- more: string|nil, http: string|nil }
function openresty.start(world, options)
  local values = {
    tree = options.tree or world.root,
    build = options.build or world.build_path,
    root = world.root,
    more = options.more or "",
    module = ("%q"):format(options.module),
    part = options.part or "",
  }
  return world:nginx{
    main = MAIN,
    http = PATHS:gsub("%${(%w+)}", values) .. (options.http or ""),
    conf = "location / { content_by_lua_block { handle() } }",
    log_level = "error",
  }
end

return openresty
