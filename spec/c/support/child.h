/* What a test does in a forked child, and what descriptors it has. */
#ifndef NEAP_SPEC_SUPPORT_CHILD_H
#define NEAP_SPEC_SUPPORT_CHILD_H

#include <stdbool.h>

/* Runs `work` in a child: true if it returned true there. The child may end by exit() of its own,
 * which counts as true with status 0. One that takes longer than half a minute is killed. */
bool in_child(bool (*work)(void));

/* How many descriptors are open. */
int open_descriptors(void);

/* Until allow_descriptors the system gives `count` more descriptors and then none. */
void limit_descriptors(int count);
void allow_descriptors(void);

#endif
