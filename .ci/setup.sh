#!/usr/bin/env bash
# Installs the Debian packages that are missing for what is to be done, and nothing else.
# Usage: setup.sh [build|test|check|demo|demo-nginx|bench]...      (the first four by default)
#
# In a list `a|b` is satisfied by either; `a` is what gets installed. Without what is optional neap
# can do less, and tests are skipped; that it is missing is told, and is no failure.
set -u

build='gcc make pkg-config|pkgconf lua5.4 liblua5.4-dev luajit2|luajit libluajit2-5.1-dev|libluajit-5.1-dev
    libcurl4-openssl-dev libssl-dev'
demo='lua-cjson|lua-dkjson openssl zlib1g-dev'
demo_nginx='nginx|nginx-light|nginx-full lua-resty-core libnginx-mod-http-lua lua-cjson
    lua-socket'
test='lua5.1 liblua5.1-0-dev|liblua5.1-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev
    curl lua-busted lua-cjson lua-cqueues lua-dkjson lua-luv lua-socket libcmocka-dev openssl zlib1g-dev luarocks
    nginx|nginx-light|nginx-full lua-resty-core libnginx-mod-http-lua'
optional_build='libsqlite3-dev libhiredis-dev'
optional_test='redis-server|redis sqlite3 prometheus chromium'
bench='nginx|nginx-light|nginx-full lua-resty-core libnginx-mod-http-lua lua-socket util-linux'
# What neap is compared with.
optional_bench='lua-cqueues lua-http openssl'
# Node.js of other makers than Debian brings its own.
command -v npm >/dev/null || optional_test="$optional_test npm"
check='clang clang-format clang-tidy cppcheck libclang-rt-dev|libclang-rt-14-dev lua-check binutils spin
    util-linux valgrind'

[ $# -gt 0 ] || set -- build test check demo
wanted=
optional=
for purpose in "$@"; do
    case "$purpose" in
    build) wanted="$wanted $build"; optional="$optional $optional_build" ;;
    demo) wanted="$wanted $demo" ;;
    demo-nginx) wanted="$wanted $demo $demo_nginx" ;;
    test) wanted="$wanted $test"; optional="$optional $optional_test" ;;
    check) wanted="$wanted $check" ;;
    bench) wanted="$wanted $bench"; optional="$optional $optional_bench" ;;
    *) echo "setup: unknown purpose '$purpose'; known are build, test, check, demo, demo-nginx, bench" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo 'setup: this is not a Debian system; what is needed, by its Debian names:' $wanted >&2
    echo 'setup: and what is optional:' $optional >&2
    exit 0
fi

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_of() { # choices -> the packages to be installed
    local choice package found missing=
    for choice in "$@"; do
        found=
        for package in ${choice//|/ }; do
            installed "$package" && found=1 && break
        done
        [ -n "$found" ] || missing="$missing ${choice%%|*}"
    done
    printf '%s\n' $missing | sort -u | tr '\n' ' '
}

missing=$(missing_of $wanted)
lacking=$(missing_of $optional)

# What steers a real browser in the specs: into the build directory, where it is missing. Nothing of
# it is run here.
browser_driver() {
    local from=spec/browser to=build/browser
    case " $* " in *' test '*) ;; *) return ;; esac
    command -v npm >/dev/null || return
    cmp -s $from/package-lock.json $to/node_modules/installed.json && return
    mkdir -p $to && cp $from/package.json $from/package-lock.json $to &&
        npm ci --prefix $to --ignore-scripts --no-audit --no-fund >/dev/null 2>&1 &&
        cp $from/package-lock.json $to/node_modules/installed.json && return
    echo 'setup: could not install playwright-core, and going on without: no specs in a browser' >&2
}
finish() {
    browser_driver "$@"
    exit 0
}
[ -n "${missing// /}${lacking// /}" ] || finish "$@"

if [ "$(id -u)" -ne 0 ]; then
    [ -z "${lacking// /}" ] || echo "setup: going on without what is optional: $lacking" >&2
    [ -n "${missing// /}" ] || finish "$@"
    echo "setup: packages are missing; as root, run:" >&2
    echo "    apt-get install --no-install-recommends $missing" >&2
    exit 1
fi

# RUNLEVEL keeps the packages of nginx, Redis and Prometheus from starting servers on the system's
# ports.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
echo "setup: installing $missing$lacking"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt-get update && apt-get install --yes --no-install-recommends "$@"; }

if [ -n "${missing// /}" ] && ! install $missing >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: could not install: $missing" >&2
    exit 1
fi
# One that cannot be had keeps nobody from the others.
if [ -n "${lacking// /}" ] && ! install $lacking >"$log" 2>&1; then
    for package in $lacking; do
        install "$package" >"$log" 2>&1 || echo "setup: going on without $package" >&2
    done
fi
finish "$@"
