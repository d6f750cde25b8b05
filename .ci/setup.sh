#!/usr/bin/env bash
# Installs the Debian packages that are missing for what is to be done, and nothing else.
# Usage: setup.sh [build|test|check|demo|demo-nginx]...      (all of them by default)
#
# In a list `a|b` is satisfied by either; `a` is what gets installed.
set -u

build='gcc make pkg-config|pkgconf lua5.4 liblua5.4-dev luajit2|luajit libluajit2-5.1-dev|libluajit-5.1-dev
    libcurl4-openssl-dev libssl-dev'
demo='lua-cjson|lua-dkjson openssl zlib1g-dev'
demo_nginx='nginx|nginx-light|nginx-full lua-resty-core libnginx-mod-http-lua lua-cjson
    lua-socket'
test='lua5.1 liblua5.1-0-dev|liblua5.1-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev
    curl lua-busted lua-cjson lua-cqueues lua-dkjson lua-luv lua-socket libcmocka-dev openssl zlib1g-dev luarocks
    nginx|nginx-light|nginx-full lua-resty-core libnginx-mod-http-lua'
check='clang-format clang-tidy cppcheck lua-check binutils util-linux'

[ $# -gt 0 ] || set -- build test check demo
wanted=
for purpose in "$@"; do
    case "$purpose" in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    demo-nginx) wanted="$wanted $demo $demo_nginx" ;;
    test) wanted="$wanted $test" ;;
    check) wanted="$wanted $check" ;;
    *) echo "setup: unknown purpose '$purpose'; known are build, test, check, demo, demo-nginx" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo 'setup: this is not a Debian system; what is needed, by its Debian names:' $wanted >&2
    exit 0
fi

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for choice in $wanted; do
    found=
    for package in ${choice//|/ }; do
        installed "$package" && found=1 && break
    done
    [ -n "$found" ] || missing="$missing ${choice%%|*}"
done
[ -n "$missing" ] || exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: packages are missing; as root, run:" >&2
    echo "    apt-get install --no-install-recommends $missing" >&2
    exit 1
fi

# RUNLEVEL keeps the package of nginx from starting a server on port 80.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
echo "setup: installing $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: could not install: $missing" >&2
    exit 1
fi
