#include "base/kind.h"

#include <stddef.h>
#include <string.h>

static const char *const kind_names[NEAP_KIND_COUNT] = {
    [NEAP_KIND_RESOLVE] = "resolve",
    [NEAP_KIND_CONNECT] = "connect",
    [NEAP_KIND_TLS] = "tls",
    [NEAP_KIND_TIMEOUT] = "timeout",
    [NEAP_KIND_RESET] = "reset",
    [NEAP_KIND_PROTOCOL] = "protocol",
    [NEAP_KIND_TOO_LARGE] = "too_large",
    [NEAP_KIND_BREAKER_OPEN] = "breaker_open",
    [NEAP_KIND_GATE] = "gate",
    [NEAP_KIND_RATE_LIMITED] = "rate_limited",
    [NEAP_KIND_BULKHEAD_FULL] = "bulkhead_full",
    [NEAP_KIND_DEADLINE] = "deadline",
    [NEAP_KIND_CANCELLED] = "cancelled",
    [NEAP_KIND_REDIRECT] = "redirect",
    [NEAP_KIND_CONFLICT] = "conflict",
    [NEAP_KIND_STORE] = "store",
    [NEAP_KIND_PHASE] = "phase",
    [NEAP_KIND_ERROR] = "error",
};

static const char *const phase_names[NEAP_PHASE_COUNT] = {
    [NEAP_PHASE_CONNECT] = "connect", [NEAP_PHASE_WRITE] = "write", [NEAP_PHASE_READ] = "read",
    [NEAP_PHASE_ATTEMPT] = "attempt", [NEAP_PHASE_TOTAL] = "total",
};

static const char *name_at(const char *const *names, int count, int index)
{
    return index >= 0 && index < count ? names[index] : NULL;
}

static int index_of(const char *const *names, int count, const char *name)
{
    for (int i = 1; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

const char *neap_kind_name(enum neap_kind kind)
{
    return name_at(kind_names, NEAP_KIND_COUNT, (int)kind);
}

const char *neap_phase_name(enum neap_phase phase)
{
    return name_at(phase_names, NEAP_PHASE_COUNT, (int)phase);
}

enum neap_kind neap_kind_from_name(const char *name)
{
    return (enum neap_kind)index_of(kind_names, NEAP_KIND_COUNT, name);
}

enum neap_phase neap_phase_from_name(const char *name)
{
    return (enum neap_phase)index_of(phase_names, NEAP_PHASE_COUNT, name);
}

bool neap_kind_is_refusal(enum neap_kind kind)
{
    return kind >= NEAP_KIND_BREAKER_OPEN && kind <= NEAP_KIND_DEADLINE;
}
