#!/usr/bin/env bash
# Shows that the checks can fail: each is given something wrong and must say so, and something
# right and must stay silent.
set -u
cd "$(dirname "$0")/.." || exit 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0

expect() { # name, wanted, got
    if [ "$2" = "$3" ]; then
        echo "[check] PASS $1"
    else
        echo "[check] FAIL $1: wanted <$2>, got <$3>"
        bad=1
    fi
}

# ------------------------------------------------------------------------------------------- counts

counted() { # the text on stdin, as `line/status`
    local line
    line=$(LC_ALL=C awk -f .ci/count.awk)
    echo "$line/$?"
}

test_counts() {
    expect 'count: nothing ran' '0 passed, 0 failed/1' "$(counted </dev/null)"
    expect 'count: cmocka passes' '7 passed, 0 failed/0' \
        "$(printf '[  PASSED  ] 3 test(s).\n[  PASSED  ] 4 test(s).\n' | counted)"
    expect 'count: cmocka fails' '1 passed, 2 failed, 1 skipped/1' "$(printf '%s\n' \
        '[       OK ] a' '[  FAILED  ] b' '[  PASSED  ] 1 test(s).' '[  SKIPPED ] 1 test(s), listed below:' \
        '[  SKIPPED ] d' '[  FAILED  ] 2 test(s), listed below:' '[  FAILED  ] b' ' 2 FAILED TEST(S)' | counted)"
    expect 'count: newer cmocka fails' '0 passed, 2 failed/1' \
        "$(printf '[  FAILED  ] tests: 2 test(s), listed below:\n[  FAILED  ] tests: b\n' | counted)"
    expect 'count: busted passes' '1 passed, 0 failed/0' \
        "$(echo '1 success / 0 failures / 0 errors / 0 pending : 0.001 seconds' | counted)"
    expect 'count: busted fails, errs, leaves open' '9 passed, 3 failed, 4 skipped/1' \
        "$(echo '9 successes / 1 failure / 2 errors / 4 pending : 0.1 seconds' | counted)"
    expect 'count: colours and carriage returns' '2 passed, 1 failed/1' "$(printf \
        '\033[32m2\033[0m successes / \033[31m1\033[0m failure / 0 errors / 0 pending : 1 seconds\r\n' | counted)"
    expect 'count: our own checks' '1 passed, 1 failed, 1 skipped/1' \
        "$(printf '[check] PASS a\n[check] FAIL b\n[check] SKIP c\n' | counted)"
    expect 'count: a step that broke without a word' '1 passed, 1 failed/1' \
        "$(printf '[step] begin a\n[check] PASS x\n[step] FAILED a (1 s)\n' | counted)"
    expect 'count: a step is not counted beside its tests' '0 passed, 1 failed/1' \
        "$(printf '[step] begin a\n[check] FAIL x\n[step] FAILED a (1 s)\n' | counted)"
    expect 'count: the next step is judged by itself' '0 passed, 2 failed/1' "$(printf '%s\n' '[step] begin a' \
        '[check] FAIL x' '[step] FAILED a (1 s)' '[step] begin b' '[step] FAILED b (1 s)' | counted)"
    expect 'count: bytes that are no text, no end of line' '1 passed, 0 failed/0' \
        "$(printf '\377\376\000\n[check] PASS a\n\303' | counted)"
    expect 'count: a report quoted in a message' '1 passed, 0 failed/0' \
        "$(printf '  it said [  PASSED  ] 9 test(s).\n[check] PASS a\n' | counted)"
}

# A whole run over a false `make`, as .ci/run is used.
run_out() { # text that make prints, its status -> all that the run prints
    mkdir -p "$scratch/run/.ci" "$scratch/bin"
    cp .ci/run .ci/*.awk "$scratch/run/.ci/"
    printf '#!/bin/sh\nprintf "%s"\nexit %s\n' "$1" "$2" >"$scratch/bin/make"
    chmod +x "$scratch/bin/make"
    PATH="$scratch/bin:$PATH" "$scratch/run/.ci/run" 2>&1
}
run_with() { # the same -> "last line/status"
    local out status
    out=$(run_out "$@")
    status=$?
    echo "$(printf '%s\n' "$out" | tail -n 1)/$status"
}
repeated() { # text that make prints -> number of lines that a failed run repeats, and the second of them
    run_out "$1" 2 | sed -n 's/^    //p' | awk 'NR == 2 { second = $0 } END { print NR "/" second }'
}

test_run() {
    expect 'run: passes of both targets are summed' '4 passed, 0 failed/0' \
        "$(run_with '[  PASSED  ] 2 test(s).\n' 0)"
    expect 'run: skipped tests are told' '2 passed, 0 failed, 2 skipped/0' \
        "$(run_with '[check] PASS a\n[check] SKIP b\n' 0)"
    expect 'run: make that fails without a word' '2 passed, 1 failed/1' "$(run_with '[check] PASS a\n' 2)"
    expect 'run: a counted failure' '0 passed, 2 failed/1' "$(run_with '[check] FAIL a\n' 2)"
    expect 'run: a failure that make forgot' '0 passed, 2 failed/1' "$(run_with '[check] FAIL a\n' 0)"
    expect 'run: nothing ran' '0 passed, 1 failed/1' "$(run_with '' 0)"
    expect 'run: a spec that failed is named again' '6/Failure -> a_spec.lua @ 1' "$(repeated \
        '[step] begin x\nFailure -> a_spec.lua @ 1\na fails\n== b_spec.lua\n1 success\n')"
    expect 'run: so is a C test' '4/[  FAILED  ] a' \
        "$(repeated '[step] begin x\n[       OK ] b\n[  FAILED  ] a\n[  FAILED  ] 1 test(s), listed below:\n')"
    expect 'run: what passed is not' '0/' "$(repeated '[step] begin x\n[check] PASS a\n')"
    expect 'run: so are the last words of a step that broke' '6/no rule' \
        "$(repeated '[step] begin x\n[check] PASS a\nno rule\n[step] FAILED x (1 s)\n')"
    expect 'run: so is what the soak has seen' '6/[check] FAIL soak: threads: seen +3, allowed +1' "$(repeated \
        '[step] begin x\nFAIL  threads +3 +1\n[check] FAIL soak: threads: seen +3, allowed +1\n- a\n')"
    expect 'run: so is what a sanitizer said' '8/a.c:1: runtime error: b' "$(repeated \
        '[step] begin x\n[check] PASS a\na.c:1: runtime error: b\n  #0 c\n[check] PASS d\n[step] FAILED x\n')"
}

# Specs of which one fails, and what the interpreter does with its file when that is run again.
again_with() { # commands, status of the first run (1) -> "counts/status"
    cat >"$scratch/unsteady" <<EOF
#!/bin/sh
case "\$*" in *b_spec.lua*) ;; *) $1 ; exit ;; esac
echo '1 success / 1 failure / 0 errors / 0 pending : 0.1 seconds'
echo 'Failure -> spec/a_spec.lua @ 7'
exit ${2:-1}
EOF
    chmod +x "$scratch/unsteady"
    AGAIN=yes .ci/specs.sh "$scratch/unsteady" 'spec/a_spec.lua spec/b_spec.lua' | counted
}

# A C test program or an interpreter that ends well without having said anything.
test_runners() {
    printf '#!/bin/sh\nexit 0\n' >"$scratch/mute"
    printf '#!/bin/sh\nkill -SEGV $$\n' >"$scratch/dies"
    chmod +x "$scratch/mute" "$scratch/dies"
    .ci/c_tests.sh '' "$scratch/mute" >/dev/null 2>&1
    expect 'c_tests: no result is a failure' 1 $?
    .ci/c_tests.sh '' "$scratch/dies" >"$scratch/log" 2>&1
    expect 'c_tests: death is a failure' 1/1 "$?/$(grep -c '^\[check\] FAIL' "$scratch/log")"
    .ci/specs.sh "$scratch/mute" one_spec.lua >/dev/null 2>&1
    expect 'specs: no summary is a failure' 1 $?
    expect 'specs: what fails again has failed' '1 passed, 1 failed/1' "$(again_with 'exit 1')"
    expect 'specs: what passes alone is unsteady' '1 passed, 0 failed, 1 skipped/0' "$(again_with \
        'echo "2 successes / 0 failures / 0 errors / 0 pending : 0.1 seconds"')"
    expect 'specs: what leaks besides has failed' '1 passed, 2 failed/1' "$(again_with \
        'echo "2 successes / 0 failures / 0 errors / 0 pending : 0.1 seconds"' 23)"
    printf '#!/bin/sh\necho "1 success / 0 failures / 0 errors / 0 pending : 0.1 seconds"\nkill -SEGV $$\n' \
        >"$scratch/dies_late"
    chmod +x "$scratch/dies_late"
    expect 'specs: death after the summary has failed' '1 passed, 1 failed/1' \
        "$(.ci/specs.sh "$scratch/dies_late" a_spec.lua 2>&1 | counted)"
    expect 'specs: and again' '1 passed, 1 failed/1' \
        "$(AGAIN=yes .ci/specs.sh "$scratch/dies_late" a_spec.lua 2>&1 | counted)"
    printf '%s\n' x_spec.lua y_spec.lua z_spec.lua >"$scratch/list"
    expect 'specs: many that are unsteady have failed' '1 passed, 1 failed/1' "$(UNSTEADY=$scratch/list again_with \
        'echo "2 successes / 0 failures / 0 errors / 0 pending : 0.1 seconds"')"
    .ci/examples.sh "$scratch/dies" one.lua >/dev/null 2>&1
    expect 'examples: death is a failure' 1 $?
}

# -------------------------------------------------------------------------------------------- rooms

rooms_say() { # path, line -> status and complaints
    rm -rf "$scratch/src"
    mkdir -p "$scratch/src/${1%/*}"
    printf '%s\n' "$2" >"$scratch/src/$1"
    .ci/rooms.sh "$scratch/src" >"$scratch/log" 2>&1
    echo "$?/$(wc -l <"$scratch/log" | tr -d ' ')"
}

refused() { expect "rooms: $1 refuses $2" 1/1 "$(rooms_say "$1" "#include $2")"; }
allowed() { expect "rooms: $1 allows $2" 0/0 "$(rooms_say "$1" "#include $2")"; }

test_rooms() {
    refused base/a.h '"policy/b.h"'
    refused policy/a.c '"metrics/b.h"'
    refused pipeline/a.c '"transport/b.h"'
    refused simulation/a.c '"client/b.h"'
    refused simulation/a.c '<time.h>'
    refused transport/a.c '"policy/b.h"'
    refused client/a.c '"binding/b.h"'
    refused policy/a.c '"b.h"'
    refused policy/a.c '"../client/b.h"'
    refused policy/a.c '<client/b.h>'
    refused policy/a.c HEADER
    refused client/deep/a.c '<lua.h>'
    refused client/a.c '"lauxlib.h"'
    refused client/a.c '<curl/curl.h>'
    refused binding/a.c '<curl/curl.h>'
    refused client/a.c '<sqlite3.h>'
    refused binding/a.c '<hiredis/hiredis.h>'
    refused metrics/a.c '<time.h>'
    refused client/a.c '<time.h>'
    refused policy/a.c '<pthread.h>'
    refused pipeline/a.c '<unistd.h>'
    refused policy/a.c '<openssl/evp.h>'
    refused elsewhere/a.c '<string.h>'
    allowed policy/a.c '"policy/a.h"'
    allowed policy/a.c '"base/a.h" /* why */'
    allowed policy/a.c '<stdatomic.h>'
    allowed policy/a.c '<openssl/sha.h>'
    allowed platform/a.c '<time.h>'
    allowed transport/a.c '<curl/curl.h>'
    allowed store/a.c '<sqlite3.h>'
    allowed store/a.c '<hiredis.h>'
    allowed binding/a.c '<lua.h>'
    allowed client/a.c '"pipeline/call.h"'
    allowed simulation/a.c '"pipeline/call.h"'
    expect 'rooms: spaces hide nothing' 1/1 "$(rooms_say policy/a.c '  #  include   "client/b.h"')"
}

# ------------------------------------------------------------------------------------------ symbols

CC=${CC:-cc}

core_says() { # C text -> status
    printf '%s\n' "$1" >"$scratch/a.c"
    rm -f "$scratch/a.a"
    $CC -std=gnu11 -O1 -w -c -o "$scratch/a.o" "$scratch/a.c" && ar qcs "$scratch/a.a" "$scratch/a.o" ||
        echo 'not compiled'
    .ci/symbols.sh core "$scratch/a.a" >/dev/null 2>&1
    echo $?
}

module_says() { # C text -> status
    printf '%s\n' "$1" >"$scratch/m.c"
    $CC -std=gnu11 -w -shared -fPIC -fvisibility=hidden -o "$scratch/m.so" "$scratch/m.c" || echo 'not compiled'
    .ci/symbols.sh module "$scratch/m.so" >/dev/null 2>&1
    echo $?
}

test_symbols() {
    local forbidden
    for forbidden in malloc free calloc realloc strdup clock_gettime time gettimeofday getrandom rand usleep \
        nanosleep printf fprintf puts fputs lua_pushnil luaL_error curl_easy_init pthread_mutex_lock getenv \
        open read write abort exit qsort gmtime_r setlocale; do
        expect "symbols: core without $forbidden" 1 \
            "$(core_says "long $forbidden(long); long f(long x) { return $forbidden(x) + 1; }")"
    done
    expect 'symbols: core may compute' 0 "$(core_says '#include <math.h>
        #include <stdio.h>
        #include <string.h>
        int helper(int x);
        int f(char *t, double x) { return snprintf(t, 9, "%g", pow(x, llround(x))) + helper(memcmp(t, "a", x)); }
        int helper(int x) { return x; }')"
    expect 'symbols: an archive that is not there' 1 "$(.ci/symbols.sh core "$scratch/none.a" 2>/dev/null; echo $?)"
    expect 'symbols: a module that offers its door' 0 \
        "$(module_says '__attribute__((visibility("default"))) int luaopen_neap_core(void *L) { return 0; }')"
    expect 'symbols: a module that offers more' 1 \
        "$(module_says '__attribute__((visibility("default"))) int luaopen_neap_core(void *L) { return 0; }
            __attribute__((visibility("default"))) int neap_more(void) { return 0; }')"
    expect 'symbols: a module that offers nothing' 1 "$(module_says 'static int x;')"
}

# ---------------------------------------------------------------------------------------- hardening

hardened_says() { # more flags -> status
    printf '%s\n' 'int luaopen_neap_core(char *t, int n) { char b[99]; return snprintf(b, n, "%s", t) + b[n]; }' |
        sed '1i #include <stdio.h>' >"$scratch/h.c"
    # shellcheck disable=SC2086 # words
    $CC -O2 -fPIC -shared -w -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
        -Wl,-z,relro,-z,now,-z,noexecstack $1 -o "$scratch/h.so" "$scratch/h.c" || echo 'not compiled'
    .ci/hardening.sh "$scratch/h.so" >/dev/null 2>&1
    echo $?
}

test_hardening() {
    local without
    expect 'hardening: with all of it' 0 "$(hardened_says '')"
    for without in -U_FORTIFY_SOURCE -fno-stack-protector -Wl,-z,norelro -Wl,-z,lazy -Wl,-z,execstack \
        -Wl,-rpath,/tmp '-g -fstack-clash-protection' '-g -fcf-protection=return'; do
        expect "hardening: $without" 1 "$(hardened_says "$without")"
    done
    expect 'hardening: as gcc noted it' "$([ "$(uname -m)" = x86_64 ]; echo $?)" \
        "$(hardened_says '-g -fstack-clash-protection -fcf-protection=return')"
    expect 'hardening: a module that is not there' 1 \
        "$(.ci/hardening.sh "$scratch/none.so" 2>/dev/null; echo $?)"
}

test_counts
test_run
test_runners
test_rooms
test_symbols
test_hardening
exit "$bad"
