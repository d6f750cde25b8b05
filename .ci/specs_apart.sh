#!/usr/bin/env bash
# Runs each file of specs in a process of its own, JOBS (2) of them at a time: most of them wait for
# others, and what earlier files left behind would make every collection of the later ones slower.
# All of them run, even after a failure, and each tells what it has to say at its end.
# Usage: specs_apart.sh INTERPRETER "SPEC..." [BUSTED ARGUMENT...]
set -u

specs=$2
lua=$1
shift 2

one() { # spec, interpreter, arguments
    local spec=$1 lua=$2 said status
    shift 2
    said=$("$specs_sh" "$lua" "$spec" "$@" 2>&1)
    status=$?
    printf '== %s\n%s\n' "$spec" "$said"
    return "$status"
}
export -f one
specs_sh=$(dirname "$0")/specs.sh
export specs_sh

UNSTEADY=$(mktemp)
trap 'rm -f "$UNSTEADY"' EXIT
export UNSTEADY
printf '%s\n' $specs | xargs -P "${JOBS:-2}" -I SPEC bash -c 'one "$@"' one SPEC "$lua" "$@"
