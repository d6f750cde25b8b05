#!/usr/bin/env bash
# Runs each file of specs in a process of its own: what earlier files left behind would make every
# collection of the later ones slower. All of them run, even after a failure.
# Usage: specs_apart.sh INTERPRETER "SPEC..." [BUSTED ARGUMENT...]
set -u

lua=$1
specs=$2
shift 2

bad=0
for spec in $specs; do
    echo "== $spec"
    "$(dirname "$0")/specs.sh" "$lua" "$spec" "$@" || bad=$((bad + 1))
done
[ "$bad" -eq 0 ]
