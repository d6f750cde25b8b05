#!/usr/bin/env bash
# What the linker knows of the core and of the modules.
#   symbols.sh core ARCHIVE     the archive needs nothing from outside but pure functions: no Lua, no
#                               libcurl, no clock, no entropy, no memory, no sleep, no input or output
#   symbols.sh module FILE...   each module offers luaopen_* and nothing else
set -u
export LC_ALL=C

# Functions of the C library and of the compiler's run time that only compute. A new one may be
# added if it reads nothing but its arguments and allocates nothing.
pure='
_GLOBAL_OFFSET_TABLE_ __stack_chk_fail(_local)? __assert_fail __errno_location __ctype_b_loc
__ctype_tolower_loc __ctype_toupper_loc
(__)?(mem|str)(cpy|move|set|cmp|chr|rchr|mem|len|nlen|ncmp|str|spn|cspn|pbrk|casecmp|ncasecmp)(_chk)?
(__)?v?snprintf(_chk)? (__isoc(99|23)_)?strto(l|ul|ll|ull|imax|umax|d|f|ld) bsearch
is(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit) to(lower|upper)
(abs|labs|llabs|div|ldiv|lldiv)
(acos|asin|atan|atan2|cbrt|ceil|copysign|cos|cosh|erf|exp|exp2|expm1|fabs|fdim|floor|fma|fmax|fmin|fmod|frexp|hypot|ilogb|ldexp|llrint|llround|log|log10|log1p|log2|logb|lrint|lround|modf|nearbyint|nextafter|pow|remainder|rint|round|scalbn|sin|sinh|sqrt|tan|tanh|tgamma|trunc)[fl]?
__(isnan|isinf|finite|fpclassify|signbit)[fl]?
__atomic_[a-z0-9_]+ __(u?div|u?mod|mul|ash[lr]|lshr|clz|ctz|popcount|ffs|u?cmp|bswap)[dst]i[234] __[a-z]+[tdx]f[a-z0-9]*
__[auml][a-z]*san_[a-z0-9_]+ SHA256
'
pattern="^($(printf '%s' "$pure" | tr -s ' \n' '||' | sed 's/^|//; s/|$//'))\$"

needs_of() { # archive: "member symbol" of what no member of the archive defines
    { nm -A -P "$1" || echo 'nm failed'; } | awk '
        { member = $1; sub(/:$/, "", member); sub(/.*\[/, "", member); sub(/\].*/, "", member) }
        $3 == "U" || $3 == "w" || $3 == "v" { needed[member " " $2] = $2; next }
        { defined[$2] = 1 }
        END { for (key in needed) if (!(needed[key] in defined)) print key }' | sort
}

check_core() {
    local bad
    [ -r "$1" ] || { echo "$1: no such archive" >&2; return 1; }
    nm "$1" >/dev/null || return 1
    bad=$(needs_of "$1" | awk -v pattern="$pattern" '$2 !~ pattern {
        printf "%s needs `%s`, which is not among the pure functions of .ci/symbols.sh\n", $1, $2 }')
    [ -z "$bad" ] && return 0
    printf '%s\n' "$bad" >&2
    return 1
}

check_module() {
    local offered extra
    offered=$(nm -D --defined-only -P "$1") || return 1
    extra=$(printf '%s\n' "$offered" | awk 'NF && $1 !~ /^luaopen_/ { print $1 }')
    if [ -n "$extra" ]; then
        echo "$1 also offers:" $extra >&2
        return 1
    fi
    printf '%s\n' "$offered" | grep -q '^luaopen_neap_core ' && return 0
    echo "$1 does not offer luaopen_neap_core" >&2
    return 1
}

what=${1:-}
shift
status=0
case "$what" in
core | module) ;;
*) echo 'usage: symbols.sh core|module FILE...' >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "symbols.sh $what: nothing to look at" >&2; exit 1; }
for file in "$@"; do
    "check_$what" "$file" || status=1
done
exit "$status"
