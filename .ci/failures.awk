# Repeats from the output of `make check` and `make test` what failed, with a few lines of what was said
# of it: a log of many thousand lines is often seen by its end alone. Of a step that failed without a
# word that is known here, its last lines. Nothing of it stands at the start of a line, so that it is
# never counted. At most 200 lines.

function tell(text) {
    if (!told++) print "\nwhat failed, or was unsteady, once more:"
    if (told <= 200) print "    " text
}

function tell_of_step(text) {
    if (step != shown) tell("in " step ":")
    shown = step
    tell(text)
}

{
    gsub(/\033\[[0-9;]*[A-Za-z]/, "")
    sub(/\r+$/, "")
}

/^\[step\] begin / {
    step = $3
    shown = ""
    lines = 0
    after = 0
    next
}
/^\[step\] FAILED / {
    if (shown == "") for (i = lines > 30 ? lines - 30 : 0; i < lines; i++) tell_of_step(line[i])
    tell_of_step($0)
    next
}
/^(Failure|Error) -> / || /^\[check\] (FAIL|SKIP unsteady) / || /^\[  FAILED  \] [^0-9]/ || /^\[  ERROR   \] / {
    after = /^(Failure|Error) -> / ? 14 : 4
    tell_of_step($0)
    next
}
# What a sanitizer says stands between what the tests say.
/(ERROR|WARNING|SUMMARY): [A-Za-z]*Sanitizer/ || /runtime error: / {
    after = 14
    tell_of_step($0)
    next
}
/^== / || /^\[/ { after = 0 }
after > 0 && NF { after--; tell_of_step($0) }
NF && !/^\[check\] (PASS|SKIP) / && !/^\[       OK \] / && !/^\[ RUN      \] / && !/^\++$/ &&
    !/^== / && !/ \/ 0 failures \/ 0 errors \/ / { line[lines++] = $0 }
