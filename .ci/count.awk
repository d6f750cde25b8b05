# Counts what really ran from the output of `make check` and `make test`, and prints one line:
# `N passed, N failed`, with `, N skipped` if there were any. Exits 1 if anything failed, or if
# nothing passed.
#
# Understood, each at the start of a line and nowhere else:
#   cmocka    [  PASSED  ] 3 test(s).   [  FAILED  ] 1 test(s), listed below:   [  SKIPPED ] …
#   busted    5 successes / 1 failure / 0 errors / 2 pending : 0.1 seconds
#   ours      [check] PASS …   [check] FAIL …   [check] SKIP …
#   steps     [step] begin …   [step] FAILED …
# A step that failed without any counted failure (it could not be built, it died) counts as one.

function leading_number(text) {
    return match(text, /[0-9]+/) ? substr(text, RSTART, RLENGTH) + 0 : 0
}

{
    gsub(/\033\[[0-9;]*[A-Za-z]/, "")
    sub(/\r+$/, "")
}

/^\[  PASSED  \] .*[0-9]+ test\(s\)/ { passed += leading_number($0); next }
/^\[  FAILED  \] .*[0-9]+ test\(s\)/ { failed += leading_number($0); next }
/^\[  SKIPPED \] .*[0-9]+ test\(s\)/ { skipped += leading_number($0); next }

/^[0-9]+ success(es)? \/ [0-9]+ failures? \/ [0-9]+ errors? \/ [0-9]+ pending/ {
    split($0, part, "/")
    passed += part[1] + 0
    failed += part[2] + part[3]
    skipped += part[4] + 0
    next
}

/^\[check\] PASS / { passed++; next }
/^\[check\] FAIL / { failed++; next }
/^\[check\] SKIP / { skipped++; next }

/^\[step\] begin / { failed_before = failed; next }
/^\[step\] FAILED / { if (failed == failed_before) failed++; next }

END {
    printf "%d passed, %d failed", passed, failed
    if (skipped) printf ", %d skipped", skipped
    printf "\n"
    exit failed > 0 || passed == 0
}
