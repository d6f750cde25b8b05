#!/usr/bin/env bash
# Builds an interpreter whose own assertions and checks of its C API are on, from Debian's source.
# Usage: asserting_lua.sh lua5.4|luajit DIRECTORY     leaves DIRECTORY/<name>; status 3: no source
#
# Debian's source is fetched by apt-get with lists and caches of its own below DIRECTORY, so that
# nothing of the system's changes. Where a source is already there (DIRECTORY/source-<name>), it is
# taken as it is, and no network is needed.
set -eu

name=$1
mkdir -p "$2"
cd "$2"
source=$PWD/source-$name
case "$name" in
lua5.4) package=lua5.4 ;;
luajit) package=luajit2 ;;
*) echo "asserting_lua.sh: unknown interpreter '$name'" >&2; exit 2 ;;
esac

# The system's places to fetch from, for sources.
source_lists() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.* 2>/dev/null | sed -n \
        -e 's/^Types: deb$/Types: deb-src/p' -e 's/^deb /deb-src /p' \
        -e '/^\(URIs\|Suites\|Components\|Signed-By\):/p' -e 's/^$//p'
}

fetch() {
    local apt=$PWD/apt
    command -v apt-get >/dev/null || return 1
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
    if grep -qs '^Types:' /etc/apt/sources.list.d/debian.sources; then
        source_lists >"$apt/parts/debian.sources"
    else
        source_lists >"$apt/parts/debian.list"
    fi
    set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts" \
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root
    timeout 120 apt-get "$@" -q update >"$apt/log" 2>&1 &&
        (cd "$apt" && timeout 120 apt-get "$@" -q source --download-only "$package" >>log 2>&1)
}

unpack() {
    local archive
    archive=$(find "$PWD/apt" -maxdepth 1 -name "${package}_*.orig.tar.*" | head -n 1)
    [ -n "$archive" ] || return 1
    mkdir -p "$source.new"
    tar -xf "$archive" -C "$source.new" --strip-components=1
    mkdir -p "$source.new/debian-files"
    tar -xf "$(find "$PWD/apt" -maxdepth 1 -name "${package}_*.debian.tar.*" | head -n 1)" \
        -C "$source.new/debian-files" --strip-components=1
    mv "$source.new" "$source"
}

# With Debian's patches, but for its own way to build.
patched() {
    local patch
    [ ! -e "$source/patched" ] || return 0
    for patch in $(grep -v build-system "$source/debian-files/patches/series"); do
        patch -d "$source" -p1 -s <"$source/debian-files/patches/$patch"
    done
    : >"$source/patched"
}

build_lua54() {
    local sources
    sources=$(find "$source/src" -name '*.c' ! -name luac.c)
    # shellcheck disable=SC2086 # files without spaces
    ${CC:-cc} -std=gnu99 -O1 -g -DLUA_COMPAT_5_3 -DLUA_USE_LINUX -DLUAI_ASSERT -DLUA_USE_APICHECK \
        -o lua5.4.new $sources -Wl,-E -lm -ldl
    mv lua5.4.new lua5.4
}

build_luajit() {
    make -C "$source" -s amalg PREFIX=/usr MULTILIB="lib/$(cc -print-multiarch)" \
        XCFLAGS='-DLUA_USE_ASSERT -DLUA_USE_APICHECK -DLUAJIT_ENABLE_LUA52COMPAT' >luajit.log 2>&1 ||
        { tail -n 20 luajit.log >&2; return 1; }
    cp "$source/src/luajit" luajit
}

[ -d "$source" ] || { fetch && unpack; } || exit 3
patched
"build_${name/./}"
