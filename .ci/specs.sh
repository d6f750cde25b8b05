#!/usr/bin/env bash
# Runs Lua specs by busted in one interpreter. A run that ends without busted's summary has failed,
# whatever its status says.
# Usage: specs.sh INTERPRETER "SPEC..." [BUSTED ARGUMENT...]
set -u

lua=$1
specs=$2
shift 2
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if [ -z "$specs" ]; then
    echo 'no specs here'
    exit 0
fi

# shellcheck disable=SC2086 # a list of files without spaces
timeout --kill-after=5 "${SPEC_SECONDS:-600}" \
    "$lua" .ci/busted.lua --output=plainTerminal "$@" $specs 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

if ! grep -aqE '^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / ' "$log"; then
    echo "[check] FAIL $lua: specs ended with status $status and no summary"
    exit 1
fi
[ "$status" -eq 0 ]
