#!/usr/bin/env bash
# What a built module says of its hardening, read off the file: relocations that are resolved at load
# and then read-only, no executable stack, no text that is written to, no path of ours to search for
# libraries, a guarded stack, fortified functions. What leaves no trace in the code is taken from the
# command line that gcc keeps in the debugging information, where that is there.
# Usage: hardening.sh MODULE...
set -u
export LC_ALL=C

lacks() { # file, what
    echo "$1: $2" >&2
    status=1
}

check() { # file
    local file=$1 segments dynamic needed compiled
    segments=$(readelf -lW "$file") && dynamic=$(readelf -dW "$file") && needed=$(nm -D -u -P "$file") ||
        { lacks "$file" 'cannot be read'; return; }
    compiled=$(readelf -p .debug_str "$file" 2>/dev/null | grep 'GNU C')

    grep -q GNU_RELRO <<<"$segments" || lacks "$file" 'no relro'
    grep -q 'BIND_NOW' <<<"$dynamic" || lacks "$file" 'symbols are bound late (no -z now)'
    grep -qE 'GNU_STACK.* RW ' <<<"$segments" || lacks "$file" 'its stack may be executed'
    grep -qE 'LOAD.* RWE ' <<<"$segments" && lacks "$file" 'a segment is both written and executed'
    grep -q TEXTREL <<<"$dynamic" && lacks "$file" 'relocations in its text'
    grep -qE 'RPATH|RUNPATH' <<<"$dynamic" && lacks "$file" 'a path to search for libraries'
    grep -q '^__stack_chk_fail' <<<"$needed" || lacks "$file" 'no guard on its stack'
    grep -qE '^__[a-z_]+_chk(@| )' <<<"$needed" || lacks "$file" 'no fortified function'
    [ -z "$compiled" ] || [ "$(uname -m)" != x86_64 ] ||
        ! grep -qvE 'stack-clash-protection.*cf-protection=return' <<<"$compiled" ||
        lacks "$file" 'something was compiled without protection against stack clashes, or of returns'
}

status=0
[ $# -gt 0 ] || { echo 'hardening.sh: nothing to look at' >&2; exit 1; }
for file in "$@"; do
    check "$file"
done
exit "$status"
