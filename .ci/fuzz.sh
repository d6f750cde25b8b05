#!/usr/bin/env bash
# Runs fuzz targets, all of them even after a failure.
# Usage: fuzz.sh can COMPILER              can it make programs with libFuzzer?
#        fuzz.sh short PROGRAM...          the seeds and a few thousand inputs made of them: the same each time
#        fuzz.sh long SECONDS PROGRAM...   each for so long; what is new is kept beside the programs
set -u

can() { # compiler
    local scratch
    scratch=$(mktemp -d)
    printf '#include <stddef.h>\nint LLVMFuzzerTestOneInput(const unsigned char *d, size_t n);\n%s\n' \
        'int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return !d && n; }' >"$scratch/a.c"
    "$1" -fsanitize=fuzzer,address,undefined -o "$scratch/a" "$scratch/a.c" >/dev/null 2>&1
    local answer=$?
    rm -rf "$scratch"
    return $answer
}

# A target says at its head how many inputs a short run tries, where they are dear: "Short run: 500".
runs_of() { # name
    sed -n 's/.*Short run: \([0-9]*\).*/\1/p' "spec/fuzz/$1_fuzz.c" | grep . || echo 40000
}

prepare() { # program
    name=${1##*/}
    seeds=spec/fuzz/corpus/$name
    kept=${1%/*}/corpus/$name
    crashes=${1%/*}/crashes/$name-
    mkdir -p "$kept" "${crashes%/*}"
    common="-rss_limit_mb=2048 -timeout=10 -max_len=4096 -artifact_prefix=$crashes"
}

tell() { # status, program's name, log
    if [ "$1" -eq 0 ]; then
        echo "[check] PASS fuzz $2: $(sed -n 's/^Done \([0-9]*\) runs in \(.*\)/\1 inputs, \2/p' "$3")"
    else
        tail -n 60 "$3"
        echo "[check] FAIL fuzz $2"
        bad=$((bad + 1))
    fi
}

# Neither the clock nor random addresses, which libFuzzer sees compared, may change what is tried.
still=$(setarch -R true 2>/dev/null && echo setarch -R)

short() { # program
    prepare "$1"
    # The directory in front of the seeds' takes what is new, and is thrown away.
    # shellcheck disable=SC2086 # the options are several words
    timeout -k 5 120 $still "$1" $common -seed=1 -reload=0 -runs="$(runs_of "$name")" \
        "$scratch/$name" "$seeds" >"$scratch/$name.log" 2>&1
}

long() { # program
    prepare "$1"
    # shellcheck disable=SC2086
    timeout -k 5 $((seconds + 120)) "$1" $common -max_total_time="$seconds" -use_value_profile=1 \
        "$kept" "$seeds" >"$scratch/$name.log" 2>&1
}

mode=${1:-}
shift
[ "$mode" = can ] && { can "$1"; exit; }
[ "$mode" = long ] && { seconds=$1; shift; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Long runs have the machine to themselves, so that a number of seconds says how much was tried.
at_once=1
[ "$mode" = long ] || at_once=${JOBS:-1}

run() { # program
    mkdir -p "$scratch/${1##*/}"
    "$mode" "$1"
    echo $? >"$scratch/${1##*/}.status"
}

running=0
for program in "$@"; do
    run "$program" &
    running=$((running + 1))
    [ "$running" -lt "$at_once" ] || { wait -n; running=$((running - 1)); }
done
wait
bad=0
for program in "$@"; do
    tell "$(cat "$scratch/${program##*/}.status")" "${program##*/}" "$scratch/${program##*/}.log"
done
[ "$bad" -eq 0 ]
