/* Which process this is: what cannot be shared with a parent is recognised by it. */
#ifndef NEAP_PLATFORM_PROCESS_H
#define NEAP_PLATFORM_PROCESS_H

#include <stdint.h>

int64_t neap_process_id(void);

#endif
