/* Exit stop: what runs on a thread of its own is stopped when the process ends by exit(), before
 * libraries that it uses are torn down.
 *
 * Any thread may call these. */
#ifndef NEAP_PLATFORM_EXIT_STOP_H
#define NEAP_PLATFORM_EXIT_STOP_H

#include <stdint.h>

/* Embedded in what is to be stopped; all but `stop` is 0 before it is first added. */
struct neap_exit_stop {
    void (*stop)(
        struct neap_exit_stop *entry);   /* by the thread that exits; adds and removes none */
    struct neap_exit_stop *next, **link; /* link: what points here; NULL: not added */
    int64_t process;                     /* a forked child stops nothing of its parent's */
};

void neap_exit_stop_add(struct neap_exit_stop *entry);

/* Returns once `stop` has, where it is being called. Harmless where it was not added. */
void neap_exit_stop_remove(struct neap_exit_stop *entry);

/* After a library was set up that takes itself down at exit(), and before it is used by what is
 * added here: that is stopped first. What is taken down at exit() goes in the reverse order. */
void neap_exit_stop_before_libraries(void);

#endif
