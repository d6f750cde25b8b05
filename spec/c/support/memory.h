/* What tests have that need memory and no other fixture: an allocator that is new for each, and has
 * all back in the end. */
#ifndef NEAP_SPEC_SUPPORT_MEMORY_H
#define NEAP_SPEC_SUPPORT_MEMORY_H

#include "support/failing_alloc.h"

extern struct failing_alloc memory;

int memory_set_up(void **state);
int memory_tear_down(void **state);

#endif
