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

bool neap_method_is_idempotent(const char *method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (strcmp(method, methods[i].name) == 0)
            return methods[i].idempotent;
    return false;
}

const char *neap_method_standard(const char *method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (strcasecmp(method, methods[i].name) == 0)
            return methods[i].name;
    return NULL;
}
