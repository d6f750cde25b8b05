-- One source for Lua 5.1 to 5.4 and LuaJIT: everything any of them knows may be used where a
-- guard asks for it first.
std = "max"
max_line_length = 100
self = false
cache = false

-- The host of nginx exists there and is asked for before use.
files["lua/neap/**"] = { read_globals = { "ngx", "ndk" } }
files["lua/neap/nginx/**"] = { globals = { "ngx" } } -- its fields are what answers are made of
files["examples/**"] = { read_globals = { "ngx" } }
files["examples/openresty/**"] = { globals = { "ngx" } } -- its fields are what answers are made of
files["examples/payments-sqlite/**"] = { globals = { "ngx" } }
files[".ci/nginx_lua.lua"] = { read_globals = { "ngx" } }
-- Functions without a body, for editors.
files["library/**"] = { max_line_length = false, ignore = { "212", "241" } }
files["spec/**"] = { std = "max+busted", read_globals = { "ngx" } }
files["bench/**"] = { read_globals = { "ngx" } }
files["bench/nginx/**"] = { globals = { "ngx" } } -- its fields are what answers are made of
files["**/*.rockspec"] = { std = "+rockspec" }

exclude_files = { "build", "lua_modules", ".luarocks" }
