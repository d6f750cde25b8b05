/* HTTP methods, as far as their meaning decides something (RFC 9110 9). */
#ifndef NEAP_BASE_METHOD_H
#define NEAP_BASE_METHOD_H

#include <stdbool.h>

/* GET HEAD OPTIONS TRACE PUT DELETE (RFC 9110 9.2.2): the same request twice is as good as once. */
bool neap_method_is_idempotent(const char *method);

/* The standard method of that name in any letter case, in upper case; NULL for another one. Methods
 * are case-sensitive (RFC 9110 9.1), so "post" would otherwise be a method that nobody knows. */
const char *neap_method_standard(const char *method);

#endif
