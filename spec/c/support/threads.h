/* Threads of a test that do the same work at the same time.
 *
 * Assertions are for the main thread: the others say what they expect, and it asserts, when they
 * have ended, that all of it held. One group at a time. */
#ifndef NEAP_SPEC_SUPPORT_THREADS_H
#define NEAP_SPEC_SUPPORT_THREADS_H

#include <stdbool.h>

#define THREADS_MAX 8

/* Runs work(&number) in so many threads, whose numbers (int) count from 0, until all have ended. */
void threads_run(int count, void *(*work)(void *number));

/* In each of them: goes on when all are here. True in one of them. */
bool threads_meet(void);

void threads_expect(bool holds);

#endif
