#include "simulation/arrivals.h"

#include "base/duration.h"

/* How many uniform numbers after `first` fall, each below the one before. */
static uint32_t falling_after(double first, struct neap_random *random)
{
    uint32_t count = 0;
    double last = first, next = neap_random_unit(random);
    while (next < last) {
        count++;
        last = next;
        next = neap_random_unit(random);
    }
    return count;
}

/* After x an even number of them fall with probability exp(-x); each odd one adds 1 to the result.
 */
double neap_exponential(struct neap_random *random)
{
    uint32_t whole = 0;
    double first = neap_random_unit(random);
    while (falling_after(first, random) % 2 != 0) {
        whole++;
        first = neap_random_unit(random);
    }
    return whole + first;
}

static double share_of_interval(const struct neap_arrivals *arrivals, struct neap_random *random)
{
    switch (arrivals->kind) {
    case NEAP_ARRIVAL_RANDOM:
        return neap_exponential(random);
    case NEAP_ARRIVAL_STEADY:
        return neap_random_unit(random);
    case NEAP_ARRIVAL_TOGETHER:
        break;
    }
    return 0;
}

int64_t neap_arrivals_first(const struct neap_arrivals *arrivals, struct neap_random *random)
{
    return neap_ns_from_seconds(share_of_interval(arrivals, random) * arrivals->interval_s);
}

int64_t neap_arrivals_next(const struct neap_arrivals *arrivals, struct neap_random *random,
                           int64_t before_ns)
{
    double share = arrivals->kind == NEAP_ARRIVAL_RANDOM ? share_of_interval(arrivals, random) : 1;
    int64_t wait_ns = neap_ns_from_seconds(share * arrivals->interval_s);
    return neap_time_add(before_ns, neap_time_max(wait_ns, 1));
}
