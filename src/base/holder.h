/* Holder: whose a permit is.
 *
 * State that several processes share must lose nothing when one of them is killed, so whatever is
 * out for a while names its holder: the number of a process among those that share the memory.
 * Who finds a process dead gives back what its number holds. In private memory everything dies
 * together, and nobody needs a name. */
#ifndef NEAP_BASE_HOLDER_H
#define NEAP_BASE_HOLDER_H

#define NEAP_HOLDER_NONE 0u /* private memory */
#define NEAP_HOLDER_MAX 255u
#define NEAP_HOLDER_BITS 8

#endif
