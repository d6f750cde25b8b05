#include "simulation/record.h"

#include <string.h>

#include "base/duration.h"

const char *neap_ending_name(int ending)
{
    if (ending < NEAP_ENDING_SOURCE || ending >= NEAP_ENDING_COUNT)
        return NULL;
    if (ending < NEAP_ENDING_FAILED)
        return neap_source_name((enum neap_source)(ending - NEAP_ENDING_SOURCE));
    if (ending < NEAP_ENDING_ERROR)
        return neap_failed_status_name((enum neap_failed_status)(ending - NEAP_ENDING_FAILED));
    return neap_kind_name((enum neap_kind)(ending - NEAP_ENDING_ERROR));
}

enum neap_status neap_record_init(struct neap_record *record, const struct neap_alloc *alloc,
                                  int64_t slot_ns, size_t slot_count)
{
    memset(record, 0, sizeof *record);
    record->alloc = alloc;
    record->slot_ns = slot_ns;
    neap_histogram_init(&record->recent);
    neap_histogram_init(&record->latency);
    record->slot = neap_alloc_array(alloc, slot_count, sizeof *record->slot);
    if (!record->slot)
        return NEAP_NO_MEMORY;
    record->slot_count = slot_count;
    return NEAP_OK;
}

void neap_record_deinit(struct neap_record *record)
{
    neap_free(record->alloc, record->slot);
    record->slot = NULL;
    record->slot_count = 0;
}

/* NULL after the last one. */
static struct neap_slot *slot_at(struct neap_record *record, int64_t now_ns)
{
    size_t index = (size_t)(now_ns / record->slot_ns);
    return index < record->slot_count ? &record->slot[index] : NULL;
}

void neap_record_call(struct neap_record *record, int64_t now_ns)
{
    struct neap_slot *slot = slot_at(record, now_ns);
    record->calls++;
    if (slot)
        slot->calls++;
}

static void record_work(struct neap_record *record, int64_t served_ns)
{
    struct neap_slot *slot = slot_at(record, served_ns);
    record->served++;
    if (slot)
        slot->served++;
}

void neap_record_attempt(struct neap_record *record, const struct neap_reply *reply, int64_t now_ns)
{
    struct neap_slot *slot = slot_at(record, now_ns);
    bool is_refused = reply->served_ns == NEAP_NEVER;
    record->attempts++;
    record->refused += is_refused;
    if (slot) {
        slot->attempts++;
        slot->refused += is_refused;
    }
    if (!is_refused)
        record_work(record, reply->served_ns);
}

static int ending_of(const struct neap_call *call)
{
    const struct neap_result *result = &call->result;
    if (result->kind == NEAP_RESULT_ERROR)
        return NEAP_ENDING_ERROR + (int)result->outcome.kind;
    if (result->kind == NEAP_RESULT_RESPONSE && result->outcome.status >= 400)
        return NEAP_ENDING_FAILED + (int)neap_failed_status_of(result->outcome.status);
    return NEAP_ENDING_SOURCE + (int)result->source;
}

void neap_record_end(struct neap_record *record, const struct neap_call *call, int64_t now_ns)
{
    struct neap_slot *slot = slot_at(record, now_ns);
    int64_t elapsed_ns = neap_time_since(now_ns, call->began_ns);
    int ending = ending_of(call);
    record->ending[ending]++;
    neap_histogram_record(&record->latency, elapsed_ns);
    neap_histogram_record(&record->recent, elapsed_ns);
    if (slot)
        slot->ending[ending]++;
}

void neap_record_close_slot(struct neap_record *record, size_t index,
                            const struct neap_slot *at_end)
{
    struct neap_slot *slot = &record->slot[index];
    slot->open = at_end->open;
    slot->half_open = at_end->half_open;
    slot->in_flight = at_end->in_flight;
    slot->backlog_ns = at_end->backlog_ns;
    slot->p50_s = neap_histogram_quantile_s(&record->recent, 0.5);
    slot->p99_s = neap_histogram_quantile_s(&record->recent, 0.99);
    neap_histogram_init(&record->recent);
}
