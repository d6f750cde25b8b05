/* From a struct that is embedded, such as a timer or a watch, to the one that holds it. */
#ifndef NEAP_BASE_OWNER_H
#define NEAP_BASE_OWNER_H

#include <stddef.h>

#define NEAP_OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
