#include "base/method.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    bool idempotent;
} methods[] = {
    {"GET", true}, {"HEAD", true},   {"OPTIONS", true}, {"TRACE", true},
    {"PUT", true}, {"DELETE", true}, {"POST", false},   {"PATCH", false},
};

#define METHOD_COUNT (sizeof methods / sizeof methods[0])

/* Most methods are told apart by their first letter. */
static bool begin_alike(const char *a, const char *b)
{
    return ((a[0] ^ b[0]) & ~0x20) == 0;
}

bool neap_method_is_idempotent(const char *method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (method[0] == methods[i].name[0] && strcmp(method, methods[i].name) == 0)
            return methods[i].idempotent;
    return false;
}

const char *neap_method_standard(const char *method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (begin_alike(method, methods[i].name) && strcasecmp(method, methods[i].name) == 0)
            return methods[i].name;
    return NULL;
}
