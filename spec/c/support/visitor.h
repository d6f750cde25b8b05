/* Somebody who listens at a doorbell. */
#ifndef NEAP_SPEC_SUPPORT_VISITOR_H
#define NEAP_SPEC_SUPPORT_VISITOR_H

#include <stdbool.h>

/* A socket connected to unix:/proc/self/fd/ADDRESS; -1 where it cannot be. */
int visit(int address);

/* Has a byte, or the end, come within so many milliseconds? */
bool hears(int visitor, int wait_ms);

/* Reads what has come: how many bytes, 0 also for the end. */
int count_rings(int visitor);

#endif
