/* Retry-After, RateLimit, X-RateLimit and HTTP dates, as any server may send them: whatever stands
 * there, a delay lies in its range, a refusal leaves the result untouched, and a date that was
 * understood is the same date again when it is written as IMF-fixdate. */
#include <time.h>

#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "policy/http_date.h"
#include "policy/server_delay.h"

#define UNTOUCHED INT64_C(-77)

static void check_delay(bool found, int64_t delay_s)
{
    promise(found ? delay_s >= 0 && delay_s <= NEAP_SERVER_DELAY_MAX : delay_s == UNTOUCHED);
}

static void check_date(const char *text, size_t bytes, int64_t now_s)
{
    int64_t epoch_s = UNTOUCHED, again_s = UNTOUCHED;
    if (!neap_http_date_parse(text, bytes, now_s, &epoch_s)) {
        promise(epoch_s == UNTOUCHED);
        return;
    }
    struct tm parts;
    char written[64];
    promise(gmtime_r(&(time_t){(time_t)epoch_s}, &parts));
    if (parts.tm_year < -1900 || parts.tm_year > 9999 - 1900)
        return; /* a leap second at the end of the year 9999 */
    size_t length = strftime(written, sizeof written, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (parts.tm_year >= 1000 - 1900) { /* strftime writes fewer digits for years before */
        promise(neap_http_date_parse(written, length, now_s, &again_s));
        promise(again_s == epoch_s);
    }
}

/* The first bytes are the moment, each line a field's value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    int64_t now_s = (int64_t)fuzz_number(&input, 5);
    const char *before = "0";
    size_t before_bytes = 1;
    while (fuzz_left(&input) > 0) {
        size_t length;
        const char *line = fuzz_line(&input, &length);
        int64_t after_s = UNTOUCHED, limit_s = UNTOUCHED, x_limit_s = UNTOUCHED;
        check_delay(neap_retry_after_parse(line, length, now_s, &after_s), after_s);
        check_delay(neap_rate_limit_parse(line, length, &limit_s), limit_s);
        check_delay(neap_x_rate_limit_parse(before, before_bytes, line, length, now_s, &x_limit_s),
                    x_limit_s);
        check_date(line, length, now_s);
        before = line;
        before_bytes = length;
    }
    return 0;
}
