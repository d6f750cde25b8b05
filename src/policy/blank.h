/* Blanks around the parts of a header's value: OWS of RFC 9110 5.6.3. Pure. */
#ifndef NEAP_POLICY_BLANK_H
#define NEAP_POLICY_BLANK_H

#include <stdbool.h>

static inline bool neap_is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Takes them off both ends of what lies between the two, which may be NULL together. */
static inline void neap_trim_blanks(const char **at, const char **end)
{
    while (*at < *end && neap_is_blank(**at))
        (*at)++;
    while (*end > *at && neap_is_blank((*end)[-1]))
        (*end)--;
}

#endif
