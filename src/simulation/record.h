/* Record: what a simulation has seen, in slots of equal length and altogether. */
#ifndef NEAP_SIMULATION_RECORD_H
#define NEAP_SIMULATION_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "metrics/counters.h"
#include "metrics/histogram.h"
#include "pipeline/call.h"
#include "simulation/server.h"

#define NEAP_SIMULATION_SLOT_MAX 100000u

/* How a call ended: what answered it, else the class of the failing status, else the error. */
enum neap_ending {
    NEAP_ENDING_SOURCE = 0,
    NEAP_ENDING_FAILED = NEAP_SOURCE_COUNT,
    NEAP_ENDING_ERROR = NEAP_ENDING_FAILED + NEAP_FAILED_STATUS_COUNT,
    NEAP_ENDING_COUNT = NEAP_ENDING_ERROR + NEAP_KIND_COUNT
};

/* "network", …, "4xx", "5xx", "connect", "timeout", …; NULL where no call can end so. */
const char *neap_ending_name(int ending);

struct neap_slot {
    uint32_t calls;    /* begun in this slot */
    uint32_t attempts; /* that reached for the server: its load */
    uint32_t refused;  /* of these, by 503 or 429 before any work, by no connection, by silence */
    uint32_t served;   /* requests that the server has worked on */
    uint32_t ending[NEAP_ENDING_COUNT]; /* calls that ended in it */
    /* at its end */
    uint32_t open, half_open; /* breakers */
    uint32_t in_flight;       /* calls */
    int64_t backlog_ns;       /* wait for the server's capacity */
    double p50_s, p99_s;      /* of the calls that ended in it */
};

struct neap_record {
    const struct neap_alloc *alloc;
    int64_t slot_ns;
    size_t slot_count;
    struct neap_slot *slot;
    struct neap_histogram recent; /* calls that ended in this slot */

    /* Altogether, what came after the last slot included. */
    uint64_t calls, attempts, served, refused;
    uint64_t ending[NEAP_ENDING_COUNT];
    struct neap_histogram latency; /* of calls, refused ones and stored answers included */
};

/* NEAP_NO_MEMORY. To be released by neap_record_deinit, after a failure too. */
NEAP_MUST_CHECK enum neap_status neap_record_init(struct neap_record *record,
                                                  const struct neap_alloc *alloc, int64_t slot_ns,
                                                  size_t slot_count);
void neap_record_deinit(struct neap_record *record);

void neap_record_call(struct neap_record *record, int64_t now_ns);
void neap_record_attempt(struct neap_record *record, const struct neap_reply *reply,
                         int64_t now_ns);
void neap_record_end(struct neap_record *record, const struct neap_call *call, int64_t now_ns);

/* The slot of that number is over: `at_end` has the last four numbers but the quantiles. */
void neap_record_close_slot(struct neap_record *record, size_t index,
                            const struct neap_slot *at_end);

#endif
