#!/usr/bin/env bash
# Runs each C test program, all of them even after a failure; a program that dies, hangs or reports
# no result has failed.
# Usage: c_tests.sh "WRAPPER" PROGRAM...
set -u

wrapper=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# cmocka reports on both streams; kept apart, neither cuts a line of the other.
run() {
    # shellcheck disable=SC2086 # the wrapper is a command with its arguments
    timeout --kill-after=5 "${TEST_SECONDS:-180}" $wrapper "$1" >"$scratch/out" 2>"$scratch/err"
    status=$?
    echo "== ${1#*/}"
    cat "$scratch/out"
    echo
    cat "$scratch/err"
    echo
}

bad=0
for program in "$@"; do
    run "$program"
    if [ "$status" -eq 0 ]; then
        grep -aqE '^\[  (PASSED  |SKIPPED )\] [0-9]+ test' "$scratch/err" "$scratch/out" && continue
        echo "[check] FAIL $program reports no result"
    elif ! grep -aqE '^\[  FAILED  \] .*[0-9]+ test' "$scratch/err" "$scratch/out"; then
        echo "[check] FAIL $program ended with status $status"
    fi
    bad=$((bad + 1))
done

[ $# -gt 0 ] || echo 'no C tests here'
[ "$bad" -eq 0 ]
