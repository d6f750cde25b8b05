#include "policy/cache_control.h"

#include <string.h>
#include <strings.h>

#include "policy/blank.h"

struct span {
    const char *at, *end;
};

static size_t bytes_of(struct span span)
{
    return (size_t)(span.end - span.at);
}

bool neap_delta_seconds_parse(const char *text, size_t bytes, int64_t *seconds)
{
    int64_t value = 0;
    if (bytes == 0)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (value < NEAP_CACHE_SECONDS_MAX)
            value = value * 10 + (text[i] - '0');
    }
    *seconds = value < NEAP_CACHE_SECONDS_MAX ? value : NEAP_CACHE_SECONDS_MAX;
    return true;
}

/* ---- the list of directives */

struct directive {
    struct span name, argument;
    bool has_argument, is_sound;
};

/* The quote that ends the string which begins at `at`; NULL where none does, and then the quote at
 * `at` is no more than a wrong byte: what stands behind it must not be swallowed. */
static const char *closing_quote(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

static const char *find_comma(const char *at, const char *end)
{
    while (at < end && *at != ',') {
        const char *closing = *at == '"' ? closing_quote(at, end) : NULL;
        at = closing ? closing + 1 : at + 1;
    }
    return at;
}

static struct span trimmed(struct span span)
{
    neap_trim_blanks(&span.at, &span.end);
    return span;
}

/* Takes the marks off a quoted argument. An escape in it stays, and makes it no number. */
static struct span unquoted(struct span argument)
{
    bool quoted = bytes_of(argument) >= 2 && *argument.at == '"' &&
                  closing_quote(argument.at, argument.end) == argument.end - 1;
    return quoted ? (struct span){argument.at + 1, argument.end - 1} : argument;
}

static struct directive read_directive(struct span text)
{
    struct directive directive = {.name = trimmed(text), .is_sound = true};
    const char *equals = memchr(text.at, '=', bytes_of(text));
    if (!equals) {
        /* "max-age 5": the name ends at the space, and the rest belongs to nothing. */
        const char *at = directive.name.at;
        while (at < directive.name.end && !neap_is_blank(*at))
            at++;
        directive.is_sound = at == directive.name.end;
        directive.name.end = at;
        return directive;
    }
    directive.has_argument = true;
    directive.name = trimmed((struct span){text.at, equals});
    directive.argument = unquoted(trimmed((struct span){equals + 1, text.end}));
    directive.is_sound =
        directive.name.end == equals && (equals + 1 == text.end || !neap_is_blank(equals[1]));
    return directive;
}

/* ---- what they mean */

enum meaning {
    MEANS_FLAG,   /* whatever stands behind it */
    MEANS_AGE,    /* seconds, 0 where they cannot be read */
    MEANS_WINDOW, /* seconds, passed over where they cannot be read */
    MEANS_LIMIT   /* seconds, or none at all: any number of them */
};

static const struct known {
    const char *name;
    enum meaning meaning;
    size_t offset;
} known[] = {
    {"no-store", MEANS_FLAG, offsetof(struct neap_cache_control, no_store)},
    {"no-cache", MEANS_FLAG, offsetof(struct neap_cache_control, no_cache)},
    {"must-revalidate", MEANS_FLAG, offsetof(struct neap_cache_control, must_revalidate)},
    {"max-age", MEANS_AGE, offsetof(struct neap_cache_control, max_age_s)},
    {"stale-while-revalidate", MEANS_WINDOW,
     offsetof(struct neap_cache_control, stale_while_revalidate_s)},
    {"stale-if-error", MEANS_WINDOW, offsetof(struct neap_cache_control, stale_if_error_s)},
    {"min-fresh", MEANS_WINDOW, offsetof(struct neap_cache_control, min_fresh_s)},
    {"max-stale", MEANS_LIMIT, offsetof(struct neap_cache_control, max_stale_s)},
};

static const struct known *find_known(struct span name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].name) == bytes_of(name) &&
            strncasecmp(known[i].name, name.at, bytes_of(name)) == 0)
            return &known[i];
    return NULL;
}

/* NEAP_CACHE_UNSAID where it says nothing. */
static int64_t seconds_of(const struct directive *directive, enum meaning meaning)
{
    int64_t seconds;
    struct span argument = directive->argument;
    if (meaning == MEANS_LIMIT && directive->is_sound && !directive->has_argument)
        return NEAP_CACHE_SECONDS_MAX;
    if (directive->is_sound && directive->has_argument &&
        neap_delta_seconds_parse(argument.at, bytes_of(argument), &seconds))
        return seconds;
    return meaning == MEANS_AGE ? 0 : NEAP_CACHE_UNSAID;
}

static void apply(struct neap_cache_control *control, const struct directive *directive)
{
    const struct known *found = find_known(directive->name);
    if (!found)
        return;
    char *field = (char *)control + found->offset;
    if (found->meaning == MEANS_FLAG) {
        *(bool *)(void *)field = true;
        return;
    }
    int64_t *seconds = (int64_t *)(void *)field;
    if (*seconds == NEAP_CACHE_UNSAID)
        *seconds = seconds_of(directive, found->meaning);
}

void neap_cache_control_init(struct neap_cache_control *control)
{
    *control = (struct neap_cache_control){
        .max_age_s = NEAP_CACHE_UNSAID,
        .stale_while_revalidate_s = NEAP_CACHE_UNSAID,
        .stale_if_error_s = NEAP_CACHE_UNSAID,
        .min_fresh_s = NEAP_CACHE_UNSAID,
        .max_stale_s = NEAP_CACHE_UNSAID,
    };
}

void neap_cache_control_add(struct neap_cache_control *control, const char *value, size_t bytes)
{
    const char *at = value, *end = bytes > 0 ? value + bytes : value;
    while (at < end) {
        const char *comma = find_comma(at, end);
        struct span text = trimmed((struct span){at, comma});
        if (bytes_of(text) > 0) {
            struct directive directive = read_directive(text);
            apply(control, &directive);
        }
        at = comma < end ? comma + 1 : end;
    }
}
