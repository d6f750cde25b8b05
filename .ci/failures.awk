# Repeats from the output of `make check` and `make test` what failed, with a few lines of what was said
# of it: a log of many thousand lines is often seen by its end alone. Nothing of it stands at the start
# of a line, so that it is never counted. At most 200 lines.

function tell(text) {
    if (!told++) print "\nwhat failed, or was unsteady, once more:"
    if (told <= 200) print "    " text
}

{
    gsub(/\033\[[0-9;]*[A-Za-z]/, "")
    sub(/\r+$/, "")
}

/^\[step\] begin / { step = $3 }
/^(Failure|Error) -> / || /^\[check\] (FAIL|SKIP unsteady) / || /^\[  FAILED  \] [^0-9]/ || /^\[  ERROR   \] / {
    if (step != shown) tell("in " step ":")
    shown = step
    after = /^(Failure|Error) -> / ? 14 : 4
    tell($0)
    next
}
/^== / || /^\[/ { after = 0 }
after > 0 && NF { after--; tell($0) }
