/* HTTP dates in exactly the three forms of RFC 9110 5.6.7: IMF-fixdate, RFC 850, asctime. */
#ifndef NEAP_POLICY_HTTP_DATE_H
#define NEAP_POLICY_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seconds since 1970 in UTC. A two-digit year that is more than 50 years ahead of
 * `reference_epoch_s` is in the past century. False, with *epoch_s untouched, for anything else:
 * wrong letter case, a day of the week that does not exist, 31 February, 24:00, trailing bytes. A
 * second of 60 is taken (a leap second). The name of the day is not compared with the date. */
bool neap_http_date_parse(const char *text, size_t bytes, int64_t reference_epoch_s,
                          int64_t *epoch_s);

#endif
