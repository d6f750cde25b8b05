#!/usr/bin/env bash
# Runs a Lua program in a timer of nginx, as an interpreter would: its output, its exit status.
# LUA_PATH and LUA_CPATH are the interpreter's; NGINX names another nginx, NGINX_MODULES where
# ngx_lua is.
# Usage: nginx_lua.sh PROGRAM [ARGUMENT...]      (no line breaks in them)
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
printf '%s\n' "$@" >"$dir/arguments"

# One process, which is never replaced: a crash is the end of it, and its status is ours. nginx
# keeps of its environment what it is told to.
{
    modules=${NGINX_MODULES:-/usr/lib/nginx/modules}
    printf 'load_module %s;\n' "$modules/ndk_http_module.so" "$modules/ngx_http_lua_module.so"
    echo 'daemon off; master_process off;'
    echo "pid $dir/nginx.pid; error_log stderr error;"
    compgen -e | sed 's/.*/env &;/'
    echo 'events { worker_connections 1024; }'
    echo 'http {'
    echo '    access_log off;'
    for kind in client_body proxy fastcgi uwsgi scgi; do
        echo "    ${kind}_temp_path $dir/$kind;"
    done
    echo "    init_worker_by_lua_block { dofile('$here/nginx_lua.lua')('$dir/arguments') }"
    echo '}'
} >"$dir/nginx.conf"

"${NGINX:-/usr/sbin/nginx}" -p "$dir" -e stderr -c "$dir/nginx.conf" </dev/null
