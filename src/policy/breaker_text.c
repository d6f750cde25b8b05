/* The circuit breaker as a text: export and import.
 *
 *     neap-breaker/1 state=S openings=N wait_ns=T ramp_ns=R opened=N not_permitted=N in_row=N
 * told=B window=W
 *
 * in one line, with single blanks, and numbers in decimal without leading zeros.
 *
 *     S  closed, open, forced_open, disabled, metrics_only
 *     T  what remains of the wait, or `never`; 0 unless open
 *     R  how long ago the ramp began, or `none`
 *     W  `none` where the state has no window; `count:` and one digit a result, the oldest first,
 *        1 + failed + 2 * slow; or `time:` and `age,calls,failures,slow;` for each second that has
 *        calls, the oldest first, its age in seconds */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "policy/breaker.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_rates.h"
#include "policy/breaker_window.h"

#define HEAD_BYTES 288u  /* all but the window, with every number at its longest */
#define SLICE_BYTES 32u  /* one second, likewise */
#define NUMBER_BYTES 24u /* a number of 64 bits */

/* What a text says, the window excepted. */
struct portrait {
    struct neap_breaker_word word;
    int64_t wait_ns;
    int64_t ramp_ns; /* since it began */
    uint64_t opened, not_permitted;
    uint32_t in_row;
};

/* ---- export ---- */

struct writer {
    char *at;
    size_t left;
};

static void advance(struct writer *writer, int written)
{
    writer->at += written;
    writer->left -= (size_t)written;
}

static struct portrait portray(const struct neap_breaker *breaker,
                               const struct neap_breaker_policy *policy, int64_t now_ns)
{
    struct portrait portrait = {.word = neap_breaker_word_load(breaker)};
    struct neap_breaker_word *word = &portrait.word;
    int64_t until_ns = atomic_load(&breaker->open_until_ns);
    if (word->state == NEAP_BREAKER_OPEN)
        portrait.wait_ns = until_ns == NEAP_NEVER ? until_ns : neap_time_since(until_ns, now_ns);
    if (word->state == NEAP_BREAKER_HALF_OPEN)
        word->state = NEAP_BREAKER_OPEN;
    portrait.ramp_ns = neap_time_since(now_ns, atomic_load(&breaker->closed_at_ns));
    word->ramp = word->ramp && portrait.ramp_ns < policy->ramp_ns;
    if (neap_breaker_has_window(word->state))
        portrait.in_row = neap_breaker_window_in_row(breaker, word->generation);
    portrait.opened = atomic_load(&breaker->opened);
    portrait.not_permitted = atomic_load(&breaker->not_permitted);
    return portrait;
}

static void write_or_word(char out[NUMBER_BYTES], bool is_number, int64_t number, const char *word)
{
    if (is_number)
        snprintf(out, NUMBER_BYTES, "%" PRId64, number);
    else
        snprintf(out, NUMBER_BYTES, "%s", word);
}

static void write_head(struct writer *writer, const struct portrait *portrait)
{
    const struct neap_breaker_word *word = &portrait->word;
    char wait[NUMBER_BYTES];
    char ramp[NUMBER_BYTES];
    write_or_word(wait, portrait->wait_ns != NEAP_NEVER, portrait->wait_ns, "never");
    write_or_word(ramp, word->ramp, portrait->ramp_ns, "none");
    advance(writer,
            snprintf(writer->at, writer->left,
                     "neap-breaker/1 state=%s openings=%" PRIu32 " wait_ns=%s ramp_ns=%s"
                     " opened=%" PRIu64 " not_permitted=%" PRIu64 " in_row=%" PRIu32
                     " told=%d window=",
                     neap_breaker_state_name(word->state), word->openings, wait, ramp,
                     portrait->opened, portrait->not_permitted, portrait->in_row, word->told));
}

static void write_ring(struct writer *writer, const struct neap_breaker *breaker,
                       const struct neap_breaker_policy *policy, uint32_t generation)
{
    advance(writer, snprintf(writer->at, writer->left, "count:"));
    for (uint32_t i = 0; i < policy->window_count; i++) {
        unsigned result = neap_breaker_window_result(breaker, policy, generation, i);
        *writer->at = (char)('0' + result);
        advance(writer, result > 0);
    }
    *writer->at = '\0';
}

static void write_slices(struct writer *writer, const struct neap_breaker *breaker,
                         const struct neap_breaker_policy *policy, uint32_t generation,
                         int64_t now_ns)
{
    const struct neap_slice *slices = neap_breaker_window_slices_const(breaker, policy);
    uint32_t count = policy->window_seconds;
    uint16_t tag = (uint16_t)generation;
    int64_t newest = neap_slices_newest(slices, count, tag, now_ns);
    advance(writer, snprintf(writer->at, writer->left, "time:"));
    for (uint32_t age = count; age-- > 0;) {
        struct neap_tally tally = neap_slices_at(slices, count, tag, newest - age);
        if (tally.counter[NEAP_BREAKER_CALLS] == 0)
            continue;
        advance(writer,
                snprintf(writer->at, writer->left,
                         "%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ";", age,
                         tally.counter[NEAP_BREAKER_CALLS], tally.counter[NEAP_BREAKER_FAILURES],
                         tally.counter[NEAP_BREAKER_SLOW]));
    }
}

static size_t bytes_for(const struct neap_breaker_policy *policy)
{
    return HEAD_BYTES + policy->window_count + (size_t)policy->window_seconds * SLICE_BYTES;
}

enum neap_status neap_breaker_export(const struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, int64_t now_ns,
                                     const struct neap_alloc *alloc, char **text)
{
    struct portrait portrait = portray(breaker, policy, now_ns);
    uint32_t generation = portrait.word.generation;
    struct writer writer = {.left = bytes_for(policy)};
    char *block = neap_alloc(alloc, writer.left);
    if (!block)
        return NEAP_NO_MEMORY;
    writer.at = block;
    write_head(&writer, &portrait);
    if (!neap_breaker_has_window(portrait.word.state))
        advance(&writer, snprintf(writer.at, writer.left, "none"));
    else if (policy->window_count > 0)
        write_ring(&writer, breaker, policy, generation);
    else
        write_slices(&writer, breaker, policy, generation, now_ns);
    *text = block;
    return NEAP_OK;
}

/* ---- import ---- */

struct reader {
    const char *at, *end;
};

static bool skip(struct reader *reader, const char *literal)
{
    size_t bytes = strlen(literal);
    if ((size_t)(reader->end - reader->at) < bytes || memcmp(reader->at, literal, bytes) != 0)
        return false;
    reader->at += bytes;
    return true;
}

static bool is_digit(const struct reader *reader)
{
    return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

static bool read_number(struct reader *reader, uint64_t max, uint64_t *number)
{
    const char *begin = reader->at;
    *number = 0;
    for (; is_digit(reader); reader->at++) {
        uint64_t digit = (uint64_t)(*reader->at - '0');
        if (digit > max || *number > (max - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return reader->at - begin == 1 || (reader->at > begin && *begin != '0');
}

static bool read_u32(struct reader *reader, uint32_t max, uint32_t *number)
{
    uint64_t value;
    if (!read_number(reader, max, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool read_ns(struct reader *reader, int64_t *ns)
{
    uint64_t value;
    if (!read_number(reader, (uint64_t)NEAP_NEVER - 1, &value))
        return false;
    *ns = (int64_t)value;
    return true;
}

static bool read_state(struct reader *reader, enum neap_breaker_state *state)
{
    for (int i = 0; i < NEAP_BREAKER_STATE_COUNT; i++) {
        struct reader ahead = *reader;
        *state = (enum neap_breaker_state)i;
        if (skip(&ahead, neap_breaker_state_name(*state)) && skip(&ahead, " ")) {
            *reader = ahead;
            return *state != NEAP_BREAKER_HALF_OPEN;
        }
    }
    return false;
}

static bool read_wait(struct reader *reader, int64_t *wait_ns)
{
    *wait_ns = NEAP_NEVER;
    return skip(reader, "never") || read_ns(reader, wait_ns);
}

static bool read_ramp(struct reader *reader, struct portrait *portrait)
{
    portrait->word.ramp = !skip(reader, "none");
    return !portrait->word.ramp || read_ns(reader, &portrait->ramp_ns);
}

static bool read_head(struct reader *reader, struct portrait *portrait)
{
    struct neap_breaker_word *word = &portrait->word;
    uint32_t told;
    bool is_read =
        skip(reader, "neap-breaker/1 state=") && read_state(reader, &word->state) &&
        skip(reader, "openings=") && read_u32(reader, NEAP_BREAKER_OPENINGS_MAX, &word->openings) &&
        skip(reader, " wait_ns=") && read_wait(reader, &portrait->wait_ns) &&
        skip(reader, " ramp_ns=") && read_ramp(reader, portrait) && skip(reader, " opened=") &&
        read_number(reader, UINT64_MAX, &portrait->opened) && skip(reader, " not_permitted=") &&
        read_number(reader, UINT64_MAX, &portrait->not_permitted) && skip(reader, " in_row=") &&
        read_u32(reader, NEAP_BREAKER_IN_ROW_MAX, &portrait->in_row) && skip(reader, " told=") &&
        read_u32(reader, 1, &told) && skip(reader, " window=");
    if (is_read)
        word->told = told == 1;
    return is_read;
}

/* What a state cannot have is malformed too. */
static bool is_consistent(const struct portrait *portrait)
{
    const struct neap_breaker_word *word = &portrait->word;
    bool is_open = word->state == NEAP_BREAKER_OPEN;
    return is_open == (word->openings > 0) && (is_open || portrait->wait_ns == 0) &&
           (!word->ramp || word->state == NEAP_BREAKER_CLOSED) &&
           (!word->told || word->state == NEAP_BREAKER_METRICS_ONLY) &&
           (portrait->in_row == 0 || neap_breaker_has_window(word->state));
}

/* The window of a text: either kind may be empty. */
struct window {
    struct reader results; /* count */
    struct reader slices;  /* time */
};

static bool read_results(struct reader *reader, struct reader *results)
{
    results->at = reader->at;
    for (; is_digit(reader); reader->at++)
        if (*reader->at < '1' || *reader->at > '0' + (int)NEAP_BREAKER_RESULT_MAX)
            return false;
    results->end = reader->at;
    return results->end - results->at <= (ptrdiff_t)NEAP_BREAKER_WINDOW_MAX;
}

static bool read_slice(struct reader *reader, uint32_t *age, struct neap_tally *tally)
{
    uint64_t *counter = tally->counter;
    return read_u32(reader, NEAP_SLICES_MAX - 1, age) && skip(reader, ",") &&
           read_number(reader, NEAP_SLICE_MAX, &counter[NEAP_BREAKER_CALLS]) && skip(reader, ",") &&
           read_number(reader, counter[NEAP_BREAKER_CALLS], &counter[NEAP_BREAKER_FAILURES]) &&
           skip(reader, ",") &&
           read_number(reader, counter[NEAP_BREAKER_CALLS], &counter[NEAP_BREAKER_SLOW]) &&
           skip(reader, ";") && counter[NEAP_BREAKER_CALLS] > 0;
}

static bool read_slices(struct reader *reader, struct reader *slices)
{
    struct neap_tally tally = {{0}};
    uint32_t younger_than = NEAP_SLICES_MAX;
    uint32_t age;
    slices->at = reader->at;
    while (is_digit(reader)) {
        if (!read_slice(reader, &age, &tally) || age >= younger_than)
            return false;
        younger_than = age;
    }
    slices->end = reader->at;
    return true;
}

static bool read_window(struct reader *reader, enum neap_breaker_state state, struct window *window)
{
    if (!neap_breaker_has_window(state))
        return skip(reader, "none");
    if (skip(reader, "count:"))
        return read_results(reader, &window->results);
    return skip(reader, "time:") && read_slices(reader, &window->slices);
}

static void put_results(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                        uint32_t generation, struct reader results)
{
    struct neap_tally tally = {{0}};
    uint32_t in_row;
    if (results.end - results.at > (ptrdiff_t)policy->window_count)
        results.at = results.end - policy->window_count;
    for (; results.at < results.end; results.at++)
        (void)neap_breaker_window_add(breaker, policy, generation, (unsigned)(*results.at - '0'), 0,
                                      &tally, &in_row);
}

static void put_slices(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                       uint32_t generation, struct reader slices, int64_t now_ns)
{
    struct neap_tally tally = {{0}};
    uint32_t age;
    while (slices.at < slices.end && read_slice(&slices, &age, &tally))
        if (age < policy->window_seconds)
            neap_slices_add(neap_breaker_window_slices(breaker, policy), policy->window_seconds,
                            (uint16_t)generation,
                            neap_time_add(now_ns, -(int64_t)age * NEAP_SECOND), tally);
}

static void put(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                struct portrait portrait, struct window window, int64_t now_ns)
{
    uint32_t generation = neap_breaker_next_generation(neap_breaker_word_load(breaker).generation);
    portrait.word.generation = generation;
    atomic_store(&breaker->open_until_ns, neap_time_add(now_ns, portrait.wait_ns));
    atomic_store(&breaker->closed_at_ns, neap_time_add(now_ns, -portrait.ramp_ns));
    atomic_store(&breaker->opened, portrait.opened);
    atomic_store(&breaker->not_permitted, portrait.not_permitted);
    atomic_store(&breaker->word, neap_breaker_word_pack(portrait.word));
    if (policy->window_count > 0)
        put_results(breaker, policy, generation, window.results);
    else
        put_slices(breaker, policy, generation, window.slices, now_ns);
    neap_breaker_window_set_in_row(breaker, generation, portrait.in_row);
}

enum neap_status neap_breaker_import(struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, int64_t now_ns,
                                     const char *text, size_t text_bytes)
{
    struct reader reader = {.at = text, .end = text + text_bytes};
    struct portrait portrait = {.wait_ns = 0};
    struct window window = {.results = {text, text}, .slices = {text, text}};
    if (!read_head(&reader, &portrait) || !is_consistent(&portrait) ||
        !read_window(&reader, portrait.word.state, &window) || reader.at != reader.end)
        return NEAP_INVALID;
    put(breaker, policy, portrait, window, now_ns);
    return NEAP_OK;
}
