#include "policy/server_delay.h"

#include "policy/http_date.h"
#include "policy/structured_field.h"

#define SMALLEST_EPOCH INT64_C(1000000000)
#define NUMBER_MAX INT64_C(1000000000000000) /* larger ones saturate here */

static int64_t capped(int64_t seconds)
{
    return seconds < NEAP_SERVER_DELAY_MAX ? seconds : NEAP_SERVER_DELAY_MAX;
}

/* No difference of two far moments is formed, so nothing can overflow. */
static int64_t seconds_until(int64_t moment_s, int64_t now_s)
{
    if (moment_s <= now_s)
        return 0;
    if (now_s < moment_s - NEAP_SERVER_DELAY_MAX)
        return NEAP_SERVER_DELAY_MAX;
    return moment_s - now_s;
}

static bool read_number(const struct neap_sf_reader *field, int64_t *number)
{
    int64_t value = 0;
    if (neap_sf_is_at_end(field))
        return false;
    for (const char *at = field->at; at < field->end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        if (value < NUMBER_MAX)
            value = value * 10 + (*at - '0');
    }
    *number = value < NUMBER_MAX ? value : NUMBER_MAX;
    return true;
}

bool neap_retry_after_parse(const char *text, size_t bytes, int64_t reference_epoch_s,
                            int64_t *delay_s)
{
    struct neap_sf_reader field = neap_sf_open(text, bytes);
    int64_t number, epoch_s;
    if (read_number(&field, &number)) {
        *delay_s = capped(number);
        return true;
    }
    size_t field_bytes = (size_t)(field.end - field.at);
    if (!neap_http_date_parse(field.at, field_bytes, reference_epoch_s, &epoch_s))
        return false;
    *delay_s = seconds_until(epoch_s, reference_epoch_s);
    return true;
}

/* Instead of a parameter's value, which is never negative. */
#define MISSING (-1)
#define WRONG (-2)

struct quota {
    int64_t remaining, reset_s;
};

static int64_t *wanted_parameter(struct quota *quota, const struct neap_sf_parameter *parameter)
{
    if (parameter->name_bytes != 1)
        return NULL;
    if (parameter->name[0] == 'r')
        return &quota->remaining;
    return parameter->name[0] == 't' ? &quota->reset_s : NULL;
}

/* What is wrong may still be replaced by a later parameter of the same name. */
static int64_t count_of(const struct neap_sf_item *item)
{
    return item->type == NEAP_SF_INTEGER && item->integer >= 0 ? item->integer : WRONG;
}

static bool read_quota(struct neap_sf_reader *field, struct quota *quota)
{
    struct neap_sf_item name;
    struct neap_sf_parameter parameter;
    enum neap_sf_step step;
    *quota = (struct quota){.remaining = MISSING, .reset_s = MISSING};
    if (!neap_sf_read_bare_item(field, &name))
        return false;
    if (name.type != NEAP_SF_STRING && name.type != NEAP_SF_TOKEN)
        return false;
    while ((step = neap_sf_read_parameter(field, &parameter)) == NEAP_SF_FOUND) {
        int64_t *wanted = wanted_parameter(quota, &parameter);
        if (wanted)
            *wanted = count_of(&parameter.value);
    }
    return step == NEAP_SF_END && quota->remaining != WRONG && quota->reset_s != WRONG;
}

bool neap_rate_limit_parse(const char *text, size_t bytes, int64_t *delay_s)
{
    struct neap_sf_reader field = neap_sf_open(text, bytes);
    int64_t latest_s = MISSING;
    enum neap_sf_step step;
    do {
        struct quota quota;
        if (!read_quota(&field, &quota))
            return false;
        if (quota.remaining == 0 && quota.reset_s > latest_s)
            latest_s = quota.reset_s;
        step = neap_sf_read_comma(&field);
    } while (step == NEAP_SF_FOUND);
    if (step == NEAP_SF_MALFORMED || latest_s == MISSING)
        return false;
    *delay_s = capped(latest_s);
    return true;
}

bool neap_x_rate_limit_parse(const char *remaining, size_t remaining_bytes, const char *reset,
                             size_t reset_bytes, int64_t now_epoch_s, int64_t *delay_s)
{
    struct neap_sf_reader remaining_field = neap_sf_open(remaining, remaining_bytes);
    struct neap_sf_reader reset_field = neap_sf_open(reset, reset_bytes);
    int64_t left, moment_s;
    if (!read_number(&remaining_field, &left) || !read_number(&reset_field, &moment_s))
        return false;
    if (left != 0)
        return false;
    bool is_epoch = moment_s > SMALLEST_EPOCH;
    *delay_s = is_epoch ? seconds_until(moment_s, now_epoch_s) : capped(moment_s);
    return true;
}
