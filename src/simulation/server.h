/* Server: the model of the API that a simulation's clients call.
 *
 * It answers one request after the other, `capacity` a second, in the order in which they came;
 * each answer takes a latency besides, in which others are not held up. So what comes faster than
 * the capacity queues, and latency grows. A request that would wait longer than `queue_ns` is
 * refused with 503. The server does not learn that a client has given up: it does that work too.
 * Refusals (503 of an outage or of a full queue, 429 of the limit) take the latency, but nothing of
 * the capacity. What a request meets is decided when it comes.
 *
 * Incidents that overlap: an outage comes first, then a limit, then the full queue, then a
 * brownout; of several latencies the last one in the list counts. */
#ifndef NEAP_SIMULATION_SERVER_H
#define NEAP_SIMULATION_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "base/random.h"
#include "pipeline/call.h"
#include "policy/rate_limiter.h"

#define NEAP_INCIDENT_MAX 32u

enum neap_incident_kind {
    NEAP_INCIDENT_OUTAGE,    /* no request is served */
    NEAP_INCIDENT_BROWNOUT,  /* a share of what is served ends in 503 */
    NEAP_INCIDENT_SLOW,      /* another latency */
    NEAP_INCIDENT_RATE_LIMIT /* more than so many a second are refused with 429 */
};

/* How an outage looks to a client. */
enum neap_outage {
    NEAP_OUTAGE_STATUS,  /* 503 */
    NEAP_OUTAGE_REFUSED, /* the connection is refused after 1 ms */
    NEAP_OUTAGE_SILENCE  /* nothing comes back */
};

struct neap_incident {
    enum neap_incident_kind kind;
    int64_t from_ns, until_ns;
    double amount;           /* BROWNOUT: the share; RATE_LIMIT: requests a second */
    int64_t latency_ns;      /* SLOW */
    enum neap_outage outage; /* OUTAGE */
    int64_t retry_after_ns;  /* OUTAGE by status, BROWNOUT, RATE_LIMIT; -1: nothing is said */
};

struct neap_server_model {
    double capacity;    /* answers a second; 0: without limit */
    int64_t queue_ns;   /* longest wait for the capacity */
    int64_t latency_ns; /* mean */
    double spread;      /* 0 to 1: the latency is even in plus or minus that share */
    struct neap_incident incident[NEAP_INCIDENT_MAX];
    size_t incident_count;
};

struct neap_server {
    const struct neap_server_model *model;
    struct neap_random random;
    int64_t busy_until_ns; /* when the last request that was taken will have been worked on */
    struct neap_rate_limiter limit[NEAP_INCIDENT_MAX];
};

/* What comes back to one attempt. */
struct neap_reply {
    int64_t at_ns;       /* NEAP_NEVER: nothing */
    enum neap_kind kind; /* NONE: a response */
    int status;
    int64_t retry_after_ns; /* -1: nothing is said */
    int64_t served_ns;      /* when the work for it is done; NEAP_NEVER: none is */
};

/* The model must outlive the server. */
void neap_server_init(struct neap_server *server, const struct neap_server_model *model,
                      uint64_t seed);

struct neap_reply neap_server_receive(struct neap_server *server, int64_t now_ns);

/* How long a request that came now would wait for the capacity. */
int64_t neap_server_backlog(const struct neap_server *server, int64_t now_ns);

#endif
