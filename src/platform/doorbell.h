/* Doorbell: a unix socket for a host that can wait for sockets by their address only.
 *
 * Who connects to it is sent one byte each time it rings, and one every half a second, so that it
 * can look around without a time limit of its own. Its address is /proc/self/fd/N with N
 * from neap_doorbell_address, which works for this process alone: the socket has no name in the
 * file system once it is made, so nothing is left behind, whatever ends the process. Bells belong
 * to a loop's thread. */
#ifndef NEAP_PLATFORM_DOORBELL_H
#define NEAP_PLATFORM_DOORBELL_H

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "platform/loop.h"

struct neap_doorbell;

/* NEAP_NO_MEMORY; NEAP_SYSTEM where no directory for temporary files can be written or the system
 * gives no descriptors. */
NEAP_MUST_CHECK enum neap_status neap_doorbell_new(const struct neap_alloc *alloc,
                                                   struct neap_loop *loop,
                                                   struct neap_doorbell **bell);
void neap_doorbell_free(struct neap_doorbell *bell);

/* Closes the descriptors and nothing else, for a forked child. */
void neap_doorbell_forsake(struct neap_doorbell *bell);

int neap_doorbell_address(const struct neap_doorbell *bell);

/* One byte to each who is connected; who has not read the last ones yet needs no more. */
void neap_doorbell_ring(struct neap_doorbell *bell);

#endif
