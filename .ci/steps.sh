#!/usr/bin/env bash
# Runs each named make target, goes on after a failure, and says at the end which ones failed.
# Usage: steps.sh TARGET...
set -u

jobs="-j${JOBS:-2}"
case "${MAKEFLAGS:-}" in *-j* | *jobserver*) jobs= ;; esac

failed=()
for step in "$@"; do
    echo "[step] begin $step"
    begun=$SECONDS
    if ${MAKE:-make} --no-print-directory $jobs "$step"; then
        echo "[step] ok $step ($((SECONDS - begun)) s)"
    else
        failed+=("$step")
        echo "[step] FAILED $step ($((SECONDS - begun)) s)"
    fi
done

[ ${#failed[@]} -eq 0 ] && exit 0
echo "failed: ${failed[*]}" >&2
exit 1
