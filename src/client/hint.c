#include "client/hint.h"

#include <string.h>

#include "base/duration.h"
#include "policy/http_date.h"
#include "policy/server_delay.h"

/* All RateLimit lines of a sane server together; a longer field counts as absent. */
#define FIELD_BYTES 1024u

static int64_t reference_epoch(const struct neap_response *response, int64_t wall_s)
{
    size_t bytes;
    int64_t date_s = wall_s;
    const char *date = neap_response_header(response, "date", 0, &bytes);
    if (date && !neap_http_date_parse(date, bytes, wall_s, &date_s))
        return wall_s;
    return date_s;
}

static int64_t retry_after(const struct neap_response *response, int64_t wall_s)
{
    size_t bytes;
    int64_t delay_s;
    const char *value = neap_response_header(response, "retry-after", 0, &bytes);
    size_t second_bytes; /* a field of one value that comes twice says nothing */
    if (!value || neap_response_header(response, "retry-after", 1, &second_bytes) ||
        !neap_retry_after_parse(value, bytes, reference_epoch(response, wall_s), &delay_s))
        return -1;
    return delay_s * NEAP_SECOND;
}

/* Lines of one name make one list (RFC 9110 5.3). */
static size_t join_lines(const struct neap_response *response, const char *name, char *out)
{
    size_t used = 0, bytes;
    const char *line;
    for (uint32_t nth = 0; (line = neap_response_header(response, name, nth, &bytes)); nth++) {
        if (bytes + 1 > FIELD_BYTES - used)
            return 0;
        if (nth > 0)
            out[used++] = ',';
        memcpy(out + used, line, bytes);
        used += bytes;
    }
    return used;
}

static int64_t rate_limit(const struct neap_response *response, int64_t wall_s)
{
    char field[FIELD_BYTES];
    int64_t delay_s;
    size_t bytes = join_lines(response, "ratelimit", field);
    if (bytes > 0 && neap_rate_limit_parse(field, bytes, &delay_s))
        return delay_s * NEAP_SECOND;

    size_t remaining_bytes, reset_bytes;
    const char *remaining =
        neap_response_header(response, "x-ratelimit-remaining", 0, &remaining_bytes);
    const char *reset = neap_response_header(response, "x-ratelimit-reset", 0, &reset_bytes);
    if (remaining && reset &&
        neap_x_rate_limit_parse(remaining, remaining_bytes, reset, reset_bytes, wall_s, &delay_s))
        return delay_s * NEAP_SECOND;
    return -1;
}

struct neap_hint neap_hint_none(void)
{
    return (struct neap_hint){.retry_after_ns = -1, .rate_limit_ns = -1};
}

struct neap_hint neap_hint_read(const struct neap_response *response, int64_t wall_ns)
{
    int64_t wall_s = wall_ns / NEAP_SECOND;
    return (struct neap_hint){.retry_after_ns = retry_after(response, wall_s),
                              .rate_limit_ns = rate_limit(response, wall_s),
                              .foreign = response->foreign};
}
