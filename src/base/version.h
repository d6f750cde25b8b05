/* The version of neap: here only. */
#ifndef NEAP_BASE_VERSION_H
#define NEAP_BASE_VERSION_H

#define NEAP_VERSION "0.1.0"

#endif
