/* How circuit breakers stand, written for one client: the one of all its calls, or those of its
 * keys, of which some are named and the others counted. */
#ifndef NEAP_CLIENT_SCRAPE_BREAKERS_H
#define NEAP_CLIENT_SCRAPE_BREAKERS_H

#include "client/scrape_families.h"

neap_write_family neap_write_breaker_states;
neap_write_family neap_write_breaker_ratios;

#endif
