#!/usr/bin/env bash
# Installs neap as a user would, by `make install` and by luarocks, into empty trees, and requires
# it from there and from nowhere else.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
make=${MAKE:-make}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0

fail() { # what, log
    echo "[check] FAIL $1"
    [ -z "${2:-}" ] || tail -n 30 "$2"
    bad=1
}

# The program runs elsewhere, with the tree's paths alone, and checks where the module came from.
requires_from() { # interpreter, tree, Lua version
    (cd / && env -u LUA_INIT -u LUA_INIT_5_4 -u LUA_PATH_5_4 -u LUA_CPATH_5_4 \
        LUA_PATH="$2/share/lua/$3/?.lua;$2/share/lua/$3/?/init.lua" LUA_CPATH="$2/lib/lua/$3/?.so" \
        "$1" -e '
            local neap = require "neap"
            assert(type(neap._VERSION) == "string" and #neap._VERSION > 0, "neap._VERSION is no text")
            assert(package.loaded["neap.core"], "neap.core was not loaded")
            print(neap._VERSION)')
}

show_version() { # what, interpreter, tree, Lua version
    local version
    if version=$(requires_from "$2" "$3" "$4" 2>"$scratch/log"); then
        echo "[check] PASS $1: neap $version"
    else
        fail "$1: require \"neap\" in $2" "$scratch/log"
    fi
}

# The program, by the interpreter that its first line names.
run_program() { # what, tree, Lua version
    local said
    if said=$(cd / && env -u LUA_INIT -u LUA_INIT_5_4 -u LUA_PATH_5_4 -u LUA_CPATH_5_4 \
        LUA_PATH="$2/share/lua/$3/?.lua;$2/share/lua/$3/?/init.lua" LUA_CPATH="$2/lib/lua/$3/?.so" \
        "$2/bin/neap" --version 2>"$scratch/log"); then
        echo "[check] PASS $1: $said"
    else
        fail "$1: bin/neap" "$scratch/log"
    fi
}

is_hardened() { # what, module
    if .ci/hardening.sh "$2" >"$scratch/log" 2>&1; then
        echo "[check] PASS $1"
    else
        fail "$1" "$scratch/log"
    fi
}

# What editors read, wherever the installer put it.
has_definitions() { # what, tree
    if [ -n "$(find "$2" -path '*/library/neap/options.lua')" ]; then
        echo "[check] PASS $1"
    else
        fail "$1: library/neap/options.lua"
    fi
}

# make install, once in place and once below DESTDIR; uninstall leaves no file behind.
test_make() { # Lua version, interpreter...
    local tree=$scratch/make-$1 interpreter left
    if ! $make --no-print-directory install PREFIX="$tree" LUA_VERSION="$1" >"$scratch/log" 2>&1; then
        fail "make install LUA_VERSION=$1" "$scratch/log"
        return
    fi
    for interpreter in "${@:2}"; do
        show_version "make install LUA_VERSION=$1 for $interpreter" "$interpreter" "$tree" "$1"
    done
    is_hardened "make install LUA_VERSION=$1, hardening" "$tree/lib/lua/$1/neap/core.so"
    run_program "make install LUA_VERSION=$1, the program" "$tree" "$1"
    has_definitions "make install LUA_VERSION=$1, definitions" "$tree"

    if $make --no-print-directory install PREFIX=/usr DESTDIR="$tree-root" LUA_VERSION="$1" \
        >"$scratch/log" 2>&1 && [ -f "$tree-root/usr/lib/lua/$1/neap/core.so" ]; then
        echo "[check] PASS make install DESTDIR= LUA_VERSION=$1"
    else
        fail "make install DESTDIR= LUA_VERSION=$1" "$scratch/log"
    fi

    $make --no-print-directory uninstall PREFIX="$tree" LUA_VERSION="$1" >"$scratch/log" 2>&1
    left=$(find "$tree" -type f)
    if [ -z "$left" ]; then
        echo "[check] PASS make uninstall LUA_VERSION=$1"
    else
        fail "make uninstall LUA_VERSION=$1 left $left" "$scratch/log"
    fi
}

headers_of() { # pkg-config's name
    pkg-config --cflags-only-I "$1" | sed 's/^-I//; s/ .*//'
}

# A module for Lua 5.1 serves LuaJIT and PUC Lua, whichever headers it was made with.
test_either_headers() { # pkg-config's name of the headers
    local tree=$scratch/headers-$1 interpreter
    if ! $make --no-print-directory install PREFIX="$tree" LUA_VERSION=5.1 BUILD="$scratch/build" \
        LUA_INCDIR="$(headers_of "$1")" >"$scratch/log" 2>&1; then
        fail "make install with headers of $1" "$scratch/log"
        return
    fi
    for interpreter in luajit lua5.1; do
        show_version "headers of $1, loaded by $interpreter" "$interpreter" "$tree" 5.1
    done
}

# luarocks on a copy of the tree, as a fresh clone would be.
test_luarocks() { # Lua version, interpreter
    local tree=$scratch/rock-$1 copy=$scratch/copy-$1 settings=()
    mkdir -p "$copy"
    cp -R Makefile LICENSE ./*.rockspec src lua library bench "$copy/" ||
        { fail "copy for luarocks"; return; }
    [ ! -d bin ] || cp -R bin "$copy/"
    # luarocks looks for headers of PUC Lua only; those of LuaJIT have to be named to it.
    if [ "$1" = 5.1 ] && ! ls /usr/include/lua5.1/lua.h /usr/local/include/lua5.1/lua.h >/dev/null 2>&1; then
        settings=("LUA_INCDIR=$(pkg-config --variable=includedir luajit)")
    fi
    if ! (cd "$copy" && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL luarocks --lua-version="$1" \
        --tree="$tree" make "${settings[@]}") >"$scratch/log" 2>&1; then
        fail "luarocks --lua-version=$1 make" "$scratch/log"
        return
    fi
    show_version "luarocks --lua-version=$1 make" "$2" "$tree" "$1"
    is_hardened "luarocks --lua-version=$1 make, hardening" "$tree/lib/lua/$1/neap/core.so"
    run_program "luarocks --lua-version=$1 make, the program" "$tree" "$1"
    has_definitions "luarocks --lua-version=$1 make, definitions" "$tree"
}

is_here() { # interpreter
    pkg-config --exists "$1" 2>/dev/null && command -v "$1" >/dev/null && return
    "$root/.ci/skip.sh" "installation for $1: it is missing" || bad=1
    return 1
}

interpreters='5.4:lua5.4'
for pair in 5.1:luajit 5.1:lua5.1 5.2:lua5.2 5.3:lua5.3; do
    is_here "${pair##*:}" && interpreters="$interpreters $pair"
done

for version in 5.1 5.2 5.3 5.4; do
    named=$(printf '%s\n' $interpreters | sed -n "s/^$version://p")
    # shellcheck disable=SC2086 # names without spaces
    [ -z "$named" ] || test_make "$version" $named
done
case "$interpreters" in *luajit*lua5.1*)
    test_either_headers luajit
    test_either_headers lua5.1
    ;;
esac
if command -v luarocks >/dev/null; then
    test_luarocks 5.4 lua5.4
    case "$interpreters" in *luajit*) test_luarocks 5.1 luajit ;; esac
else
    "$root/.ci/skip.sh" 'installation by luarocks: it is missing' || bad=1
fi
exit "$bad"
