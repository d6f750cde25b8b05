/* Arrivals: when the clients of a simulation make their calls. Pure; random numbers are passed in.
 */
#ifndef NEAP_SIMULATION_ARRIVALS_H
#define NEAP_SIMULATION_ARRIVALS_H

#include <stdint.h>

#include "base/random.h"

enum neap_arrival {
    NEAP_ARRIVAL_RANDOM,  /* each client by itself: a Poisson process */
    NEAP_ARRIVAL_STEADY,  /* each at equal intervals, the clients spread over one */
    NEAP_ARRIVAL_TOGETHER /* each at equal intervals, all clients at the same moments */
};

struct neap_arrivals {
    enum neap_arrival kind;
    double interval_s; /* mean, of one client; above 0 */
};

/* The moment of a client's first call, and of the one after `before_ns`. Never at or before it. */
int64_t neap_arrivals_first(const struct neap_arrivals *arrivals, struct neap_random *random);
int64_t neap_arrivals_next(const struct neap_arrivals *arrivals, struct neap_random *random,
                           int64_t before_ns);

/* A random number of the exponential distribution of mean 1. It comes from comparisons alone
 * (J. von Neumann, "Various techniques used in connection with random digits", 1951), so that no
 * machine's logarithm can make another simulation of the same seed. */
double neap_exponential(struct neap_random *random);

#endif
