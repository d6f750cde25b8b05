#!/usr/bin/env bash
# Has spin look at every state of the models, as the head of each one says, several at once:
#     holds FLAGS         no assertion can be broken, and nothing waits for ever
#     ends FLAGS          nothing goes round for ever either
#     fails FLAGS WORD    an assertion with that word in it is broken: the model can tell
# Usage: models.sh DIRECTORY MODEL.pml...      (what is made goes below DIRECTORY)
set -u
export LC_ALL=C

# One line of a model's head, in a directory of its own: spin and its pan write where they stand.
check_one() { # directory, model, kind, flags and perhaps a word
    local at=$1 model=$2 kind=$3 flags=() word= one compile=(-DSAFETY) run=() out states
    shift 3
    for one in "$@"; do
        case "$one" in -D*) flags+=("$one") ;; *) word=$one ;; esac
    done
    at=$at/$(basename "$model" .pml)-$kind$(printf '%s' "${flags[@]}")
    [ "$kind" != ends ] || { compile=(-DNP); run=(-l); }
    rm -rf "$at" && mkdir -p "$at" && cp "$model" "$at/model.pml" && cd "$at" || return 1
    out=$({ spin -a "${flags[@]}" model.pml &&
        ${CC:-cc} -w -O0 -DCOLLAPSE -DMEMLIM=2000 "${compile[@]}" -o pan pan.c &&
        timeout -k 5 300 ./pan -n -m1000000 "${run[@]}"; } 2>&1)
    states=$(printf '%s\n' "$out" | awk '/states, stored/ { print $1 }')
    case "$kind" in
    fails) printf '%s\n' "$out" | grep -q "assertion violated.*$word" ;;
    *) case "$out" in *'errors: 0'*) case "$out" in *'not completed'*) false ;; esac ;; *) false ;; esac ;;
    esac && { printf '  %-8s %-5s %10s states  %s\n' "$(basename "$model" .pml)" "$kind" \
        "$states" "${flags[*]}${word:+ $word}"; return; }
    printf '%s\n[check] FAIL %s %s %s %s\n' "$out" "$model" "$kind" "${flags[*]}" "$word" >&2
    return 1
}

if [ "$1" = --one ]; then
    shift
    check_one "$@"
    exit
fi

directory=$1
shift
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
for model in "$@"; do
    sed -nE 's/^ \*     ((holds|ends|fails) .*-D.*)/\1/p' "$model" | grep . | sed "s|^|$directory $model |" ||
        { echo "[check] FAIL $model says nothing to check" >&2; exit 1; }
done | xargs -P "${JOBS:-2}" -L 1 "$0" --one || exit 1
echo '[check] PASS models'
