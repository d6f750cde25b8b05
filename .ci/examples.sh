#!/usr/bin/env bash
# Runs each example; one that fails or hangs has failed. A spec among them is run by busted, for what
# only it can see: with NEAP_DEMO set, spec/examples_spec.lua runs the demonstration and judges it.
# Usage: examples.sh INTERPRETER FILE...
set -u

lua=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

bad=0
for example in "$@"; do
    case "$example" in
    *_spec.lua)
        NEAP_DEMO=1 "$(dirname "$0")/specs.sh" "$lua" "$example" || bad=$((bad + 1))
        continue
        ;;
    esac
    if timeout --kill-after=5 "${EXAMPLE_SECONDS:-60}" "$lua" "$example" >"$log" 2>&1 </dev/null; then
        echo "[check] PASS $example"
    else
        echo "[check] FAIL $example ended with status $?"
        cat "$log"
        bad=$((bad + 1))
    fi
done

[ $# -gt 0 ] || echo 'no examples here'
[ "$bad" -eq 0 ]
