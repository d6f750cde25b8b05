/* Scripts: lines that are consumed one at a time, each possibly several times.
 *
 * A line is `WHAT [COUNT] [ARGUMENT]`: WHAT is a word without spaces (a target such as
 * `/status/503?header=Retry-After:1`, or the name of an action), COUNT is `3` or `x3` for three
 * times, `*` for ever, once if it is missing; ARGUMENT is a number that some actions take.
 * A line `again` has the whole begin anew after its last line. Empty lines and lines that start
 * with `#` are skipped. Safe to use from several threads. */
#ifndef MISBEHAVE_SCRIPT_H
#define MISBEHAVE_SCRIPT_H

#include "base.h"

struct scripts;

struct step {
    char *what; /* the caller's: free it */
    double argument;
};

struct scripts *scripts_new(void);
void scripts_free(struct scripts *scripts);
/* Forgets every script. */
void scripts_reset(struct scripts *scripts);
/* Replaces the script of that name by these lines and starts it anew. */
void scripts_put(struct scripts *scripts, const char *name, const char *lines);
/* Consumes a line: 1 and `step` filled; 0 when the script is exhausted or unknown. */
int scripts_next(struct scripts *scripts, const char *name, struct step *step);
/* Adds `{"consumed":n,"remaining":n,"exhausted":n,"endless":bool}`: `exhausted` counts the
 * requests that came after the end. 0 if there is no such script. */
int scripts_report(struct scripts *scripts, const char *name, struct text *json);

#endif
