#!/usr/bin/env bash
# Runs the example's nginx until Ctrl-C, or until its stdin ends if STOP_WITH_STDIN is set.
# Usage: start.sh [PORT [PORT OF THE BACK ENDS]]      8080 and 8081 by default
#
# PAYMENTS_REDIS, the host of a Redis or the path of its socket, has the keys kept there. NGINX names
# another nginx (OpenResty's, say), NGINX_MODULES where Debian's modules are. Inside the repository it
# uses the neap that `make build` has made, elsewhere the one that is installed.
set -u

port=${1:-8080}
backends_port=${2:-8081}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${here%/examples/payments-sqlite}
nginx=${NGINX:-$(PATH=$PATH:/usr/sbin command -v openresty || PATH=$PATH:/usr/sbin command -v nginx)}
modules=${NGINX_MODULES:-/usr/lib/nginx/modules}

[ -n "$nginx" ] || { echo 'start.sh: there is no nginx here' >&2; exit 1; }

# Workers give up root's rights, and must still reach it. The database lies in a folder that is
# theirs; in an installation, theirs alone.
dir=$(mktemp -d) && chmod 755 "$dir" && mkdir "$dir/data" && chmod 777 "$dir/data" || exit 1

lua_path="$here/?.lua;;"
lua_cpath=";;"
if [ -f "$root/build/luajit/neap/core.so" ]; then
    lua_path="$here/?.lua;$root/lua/?.lua;$root/lua/?/init.lua;;"
    lua_cpath="$root/build/luajit/?.so;;"
fi

# nginx.conf is used as it stands, but for ports and places.
fill=(-e "s|127\.0\.0\.1:8080|127.0.0.1:$port|" -e "s|127\.0\.0\.1:8081|127.0.0.1:$backends_port|"
    -e "s|lua_package_path .*|lua_package_path \"$lua_path\"; lua_package_cpath \"$lua_cpath\";|"
    -e "s|/usr/lib/nginx/modules|$modules|")
case "$("$nginx" -V 2>&1)" in *ngx_lua*) fill+=(-e '/^load_module/d') ;; esac
sed "${fill[@]}" "$here/nginx.conf" >"$dir/nginx.conf"

stop() {
    trap '' INT TERM
    kill -TERM "$pid" 2>/dev/null
    wait "$pid"
    status=$?
    rm -rf "$dir"
    exit "$status"
}

"$nginx" -p "$dir/" -c "$dir/nginx.conf" -e stderr -g 'daemon off;' </dev/null &
pid=$!
trap stop INT TERM
echo "nginx $pid: http://127.0.0.1:$port/payments, back ends http://127.0.0.1:$backends_port/counters"
if [ -n "${STOP_WITH_STDIN:-}" ]; then
    read -r _
else
    wait "$pid"
fi
stop
