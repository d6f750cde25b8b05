#!/usr/bin/env bash
# Runs Lua specs by busted in one interpreter. A run that ends without busted's summary has failed,
# whatever its status says.
# With AGAIN=yes each file in which a spec failed is run once more, alone: a machine that stood still for
# seconds fails what has to do with time. What passes then is told as unsteady and counted as skipped; it
# is a bug of the spec or of neap nevertheless. What fails again, dies or leaks has failed, and so has
# what fails in more than three files, of all those that share the list UNSTEADY where that is a file.
# Usage: specs.sh INTERPRETER "SPEC..." [BUSTED ARGUMENT...]
set -u

lua=$1
specs=$2
shift 2
log=$(mktemp)
own=$(mktemp)
unsteady=${UNSTEADY:-$own}
trap 'rm -f "$log" "$own"' EXIT
summary='^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / '

if [ -z "$specs" ]; then
    echo 'no specs here'
    exit 0
fi

run() { # file to keep the output in, spec..., after -- arguments
    local kept=$1 arguments=()
    shift
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    timeout --kill-after=5 "${SPEC_SECONDS:-600}" \
        "$lua" .ci/busted.lua --output=plainTerminal "$@" "${arguments[@]}" 2>&1 | tee "$kept"
    return "${PIPESTATUS[0]}"
}

failures_told() { # as busted's status tells them
    grep -aE "$summary" "$log" | awk -F'[/:]' '{ n = $2 + $3; print (n > 255 ? 255 : n) }'
}

# It died after its summary, or leaked: nothing else tells.
tell_status() {
    [ "$status" -eq "$(failures_told)" ] ||
        echo "[check] FAIL $lua ${specs:0:60}: $(failures_told) failed, but the status is $status"
}

run_again() { # busted's arguments; tells and returns 0 if each file that failed passes alone
    local file files kept
    [ "$status" -eq "$(failures_told)" ] || return 1 # more has gone wrong than specs
    files=$(sed -nE 's/^(Failure|Error) -> ([^ ]+_spec\.lua) @ .*/\2/p' "$log" | sort -u)
    [ -n "$files" ] || return 1
    echo "$files" >>"$unsteady"
    [ "$(wc -l <"$unsteady")" -le 3 ] || return 1
    kept=$(mktemp)
    for file in $files; do
        if ! run "$kept" "$file" -- "$@" >/dev/null || ! grep -aqE "$summary" "$kept"; then
            sed 's/^/again: /' "$kept"
            rm -f "$kept"
            return 1
        fi
    done
    rm -f "$kept"
    for file in $files; do
        echo "[check] SKIP unsteady: $file failed, and passed when it was run again alone"
    done
}

# Nothing is counted before it is known what counts.
held() { if [ "${AGAIN:-}" = yes ]; then grep -avE "$summary"; else cat; fi; }

# shellcheck disable=SC2086 # a list of files without spaces
run "$log" $specs -- "$@" | held
status=${PIPESTATUS[0]}

if ! grep -aqE "$summary" "$log"; then
    echo "[check] FAIL $lua: specs ended with status $status and no summary"
    exit 1
fi
if [ "${AGAIN:-}" != yes ]; then
    tell_status
    exit "$((status != 0))"
fi

said=$(grep -aE "$summary" "$log")
if [ "$status" -ne 0 ] && run_again "$@"; then
    said=$(sed -E 's/ [0-9]+ failures?/ 0 failures/; s/ [0-9]+ errors?/ 0 errors/' <<<"$said")
    status=0
else
    tell_status
fi
echo "$said"
exit "$((status != 0))"
