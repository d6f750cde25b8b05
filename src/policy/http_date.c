#include "policy/http_date.h"

#include <string.h>

#define SECONDS_A_DAY INT64_C(86400)
#define DAYS_FROM_0000_03_01_TO_1970 INT64_C(719468)
#define DAYS_IN_400_YEARS INT64_C(146097)

struct moment {
    int64_t year;
    int month, day, hour, minute, second; /* month and day count from 1 */
};

struct cursor {
    const char *at, *end;
};

static const char *const day_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", NULL};
static const char *const long_day_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                             "Friday", "Saturday", "Sunday",    NULL};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                                          "Aug", "Sep", "Oct", "Nov", "Dec", NULL};

static bool take(struct cursor *c, const char *text)
{
    size_t bytes = strlen(text);
    if ((size_t)(c->end - c->at) < bytes || memcmp(c->at, text, bytes) != 0)
        return false;
    c->at += bytes;
    return true;
}

/* Counts from 1. */
static bool take_name(struct cursor *c, const char *const *names, int *number)
{
    for (int i = 0; names[i]; i++) {
        if (take(c, names[i])) {
            *number = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_digits(struct cursor *c, int count, int *number)
{
    int value = 0;
    for (; count > 0; count--, c->at++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return false;
        value = value * 10 + (*c->at - '0');
    }
    *number = value;
    return true;
}

static bool take_year(struct cursor *c, int digits, int64_t *year)
{
    int number;
    if (!take_digits(c, digits, &number))
        return false;
    *year = number;
    return true;
}

static bool take_time(struct cursor *c, struct moment *m)
{
    return take_digits(c, 2, &m->hour) && take(c, ":") && take_digits(c, 2, &m->minute) &&
           take(c, ":") && take_digits(c, 2, &m->second);
}

static bool take_padded_day(struct cursor *c, int *day)
{
    return take(c, " ") ? take_digits(c, 1, day) : take_digits(c, 2, day);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool read_imf_fixdate(struct cursor c, struct moment *m)
{
    int weekday;
    return take_name(&c, day_names, &weekday) && take(&c, ", ") && take_digits(&c, 2, &m->day) &&
           take(&c, " ") && take_name(&c, month_names, &m->month) && take(&c, " ") &&
           take_year(&c, 4, &m->year) && take(&c, " ") && take_time(&c, m) && take(&c, " GMT") &&
           c.at == c.end;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool read_rfc850(struct cursor c, struct moment *m)
{
    int weekday;
    return take_name(&c, long_day_names, &weekday) && take(&c, ", ") &&
           take_digits(&c, 2, &m->day) && take(&c, "-") && take_name(&c, month_names, &m->month) &&
           take(&c, "-") && take_year(&c, 2, &m->year) && take(&c, " ") && take_time(&c, m) &&
           take(&c, " GMT") && c.at == c.end;
}

/* Sun Nov  6 08:49:37 1994 */
static bool read_asctime(struct cursor c, struct moment *m)
{
    int weekday;
    return take_name(&c, day_names, &weekday) && take(&c, " ") &&
           take_name(&c, month_names, &m->month) && take(&c, " ") && take_padded_day(&c, &m->day) &&
           take(&c, " ") && take_time(&c, m) && take(&c, " ") && take_year(&c, 4, &m->year) &&
           c.at == c.end;
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The calendar arithmetic counts years from 1 March, so that the leap day comes last (H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_from_date(const struct moment *m)
{
    int64_t year = m->month <= 2 ? m->year - 1 : m->year;
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((m->month + 9) % 12) + 2) / 5 + m->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_IN_400_YEARS + day_of_era - DAYS_FROM_0000_03_01_TO_1970;
}

static void set_date(struct moment *m, int64_t days_since_1970)
{
    int64_t days = days_since_1970 + DAYS_FROM_0000_03_01_TO_1970;
    int64_t era = floor_divide(days, DAYS_IN_400_YEARS);
    int64_t day = days - era * DAYS_IN_400_YEARS;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int day_of_year = (int)(day - (365 * year + year / 4 - year / 100));
    int month_from_march = (5 * day_of_year + 2) / 153;
    m->day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    m->month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    m->year = year + era * 400 + (m->month <= 2);
}

static struct moment moment_from_epoch(int64_t epoch_s)
{
    struct moment m;
    int second_of_day = (int)(epoch_s % SECONDS_A_DAY);
    if (second_of_day < 0)
        second_of_day += (int)SECONDS_A_DAY;
    set_date(&m, floor_divide(epoch_s, SECONDS_A_DAY));
    m.hour = second_of_day / 3600;
    m.minute = second_of_day / 60 % 60;
    m.second = second_of_day % 60;
    return m;
}

static int64_t epoch_from_moment(const struct moment *m)
{
    return days_from_date(m) * SECONDS_A_DAY + m->hour * 3600 + m->minute * 60 + m->second;
}

static int64_t within_year(const struct moment *m)
{
    return ((((int64_t)m->month * 32 + m->day) * 24 + m->hour) * 60 + m->minute) * 61 + m->second;
}

/* The latest year with these two digits in which the moment is at most 50 calendar years ahead. */
static int64_t full_year(const struct moment *m, int64_t reference_epoch_s)
{
    struct moment reference = moment_from_epoch(reference_epoch_s);
    int64_t latest = reference.year + 50;
    int64_t back = latest - m->year - 100 * floor_divide(latest - m->year, 100);
    if (back == 0 && within_year(m) > within_year(&reference))
        back = 100;
    return latest - back;
}

static bool is_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* A two-digit year near a reference far from our days has no four digits. */
static bool exists(const struct moment *m)
{
    return m->year >= 0 && m->year <= 9999 && m->day >= 1 &&
           m->day <= days_in_month(m->year, m->month) && m->hour <= 23 && m->minute <= 59 &&
           m->second <= 60;
}

bool neap_http_date_parse(const char *text, size_t bytes, int64_t reference_epoch_s,
                          int64_t *epoch_s)
{
    struct moment m;
    struct cursor whole = {text, bytes > 0 ? text + bytes : text};
    if (read_rfc850(whole, &m))
        m.year = full_year(&m, reference_epoch_s);
    else if (!read_imf_fixdate(whole, &m) && !read_asctime(whole, &m))
        return false;
    if (!exists(&m))
        return false;
    *epoch_s = epoch_from_moment(&m);
    return true;
}
