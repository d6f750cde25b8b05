#!/bin/sh
# A check that cannot run here: told and counted as skipped, but in CI (variable CI set) a failure.
# Usage: skip.sh REASON
if [ -n "${CI:-}" ]; then
    echo "[check] FAIL $1"
    exit 1
fi
echo "[check] SKIP $1"
