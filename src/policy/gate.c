#include "policy/gate.h"

#include "base/duration.h"

void neap_gate_init(struct neap_gate *gate)
{
    atomic_init(&gate->until_ns, 0);
    atomic_init(&gate->length_ns, 0);
}

static bool advance(_Atomic int64_t *moment, int64_t to_ns)
{
    int64_t seen = atomic_load(moment);
    while (seen < to_ns)
        if (atomic_compare_exchange_weak(moment, &seen, to_ns))
            return true;
    return false;
}

bool neap_gate_close(struct neap_gate *gate, int64_t delay_ns, int64_t longest_ns, int64_t now_ns)
{
    int64_t length_ns = neap_time_min(delay_ns, longest_ns);
    if (length_ns <= 0)
        return false;
    if (!advance(&gate->until_ns, neap_time_add(now_ns, length_ns)))
        return false;
    atomic_store(&gate->length_ns, length_ns);
    return true;
}

/* When all are open, and for how long the one that opens last was closed. */
static int64_t last_end(struct neap_gate *const *gates, size_t count, int64_t *length_ns)
{
    int64_t last_ns = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        if (!gates[i])
            continue;
        int64_t end_ns = atomic_load(&gates[i]->until_ns);
        int64_t its_length_ns = atomic_load(&gates[i]->length_ns);
        if (end_ns < last_ns || (end_ns == last_ns && its_length_ns < *length_ns))
            continue;
        last_ns = end_ns;
        *length_ns = its_length_ns;
    }
    return last_ns;
}

struct neap_admission neap_gate_ask(struct neap_gate *const *gates, size_t count,
                                    const struct neap_gate_policy *policy, int64_t waited_ns,
                                    int64_t deadline_ns, int64_t now_ns, double r)
{
    int64_t length_ns = 0;
    int64_t end_ns = last_end(gates, count, &length_ns);
    if (end_ns <= now_ns)
        return (struct neap_admission){.decision = NEAP_ADMIT, .until_ns = now_ns};
    struct neap_admission refusal = {.decision = NEAP_REFUSE, .until_ns = end_ns};
    if (neap_time_add(neap_time_since(end_ns, now_ns), waited_ns) > policy->max_wait_ns)
        return refusal;
    double spread_s = r * NEAP_GATE_SPREAD * neap_seconds_from_ns(length_ns);
    int64_t go_ns = neap_time_add(end_ns, neap_ns_from_seconds(spread_s));
    if (go_ns >= deadline_ns)
        return refusal;
    return (struct neap_admission){.decision = NEAP_WAIT, .until_ns = go_ns};
}
