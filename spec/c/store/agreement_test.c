#include "store/store_fixture.h"

/* The kinds are three hands that wrote down the same rules: whatever happens, they must answer the
 * same. Steps are thrown by dice of a fixed seed, on few keys, tokens and moments, so that they
 * meet. */
#define ROUNDS 30
#define STEPS 150
#define IDS_MOST (STEPS + 1)

static const struct store_kind *present[STORE_KINDS];
static struct neap_store *stores[STORE_KINDS];
static size_t present_count;
static uint64_t dice;
static int64_t now;
/* What each kind calls the entry that was put as the n-th. */
static uint64_t ids[STORE_KINDS][IDS_MOST];
static uint64_t put_count;

/* What a step came to, as far as a caller can see it. */
struct answer {
    enum neap_store_status status;
    int64_t number[8];
    char text[32];
};

static uint64_t throw_dice(uint64_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % sides;
}

static void note_blob(struct answer *answer, struct neap_blob *blob)
{
    if (blob->at)
        (void)strncat(answer->text, blob->at, sizeof answer->text - 1 - strlen(answer->text));
    neap_blob_free(blob);
}

/* The entry's number in the order of putting; ids of one kind grow with it. */
static int64_t number_of(size_t which, uint64_t id)
{
    for (uint64_t i = 1; i <= put_count; i++)
        if (ids[which][i] == id)
            return (int64_t)i;
    return -1;
}

struct step {
    uint64_t what, key, other_key, entry, length;
    char token;
    char value[8];
};

static const char *const names[] = {"a", "b", ""};

static struct answer do_claim(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_claim_request request;
    struct neap_claim claim = {0};
    fill_request(&request, names[step->key], step->token, now);
    request.lease_ns = (int64_t)step->length;
    request.fingerprint[0] = step->entry % 4 == 0 ? 'x' : 'f';
    answer.status = neap_store_claim(stores[which], &request, &claim);
    answer.number[0] = claim.state;
    answer.number[1] = claim.recovered;
    answer.number[2] = claim.other_work;
    answer.number[3] = claim.lease_left_ns;
    note_blob(&answer, &claim.result);
    return answer;
}

static struct answer do_with_claim(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_bytes key = bytes_of(names[step->key]);
    const uint8_t *token = token_of(step->token);
    switch (step->other_key) {
    case 0:
        answer.status = neap_store_renew(stores[which], key, token, now, (int64_t)step->length);
        break;
    case 1:
        answer.status = neap_store_finish(stores[which], key, token, bytes_of(step->value), now);
        break;
    default:
        answer.status = neap_store_release(stores[which], key, token, now);
        break;
    }
    return answer;
}

static struct answer do_cache(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_blob value = {0};
    struct neap_bytes key = bytes_of(names[step->key]);
    switch (step->other_key) {
    case 0:
        answer.status = neap_store_put(stores[which], key, bytes_of(step->value), now,
                                       now + (int64_t)step->length);
        break;
    case 1:
        answer.status = neap_store_remove(stores[which], key);
        break;
    default:
        answer.status = neap_store_get(stores[which], key, now, &value);
        note_blob(&answer, &value);
        break;
    }
    return answer;
}

static struct answer do_put(size_t which, const struct step *step)
{
    struct answer answer = {0};
    answer.status =
        neap_store_outbox_put(stores[which], bytes_of("mail"), bytes_of(names[step->key]),
                              bytes_of(step->value), now, &ids[which][step->entry]);
    answer.number[0] = ids[which][step->entry] > ids[which][step->entry - 1];
    return answer;
}

static struct answer do_take(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_outbox_entry entry = {0};
    int64_t next_ns = 0;
    answer.status = neap_store_outbox_take(stores[which], bytes_of("mail"), token_of(step->token),
                                           now, (int64_t)step->length, &entry, &next_ns);
    answer.number[0] = number_of(which, entry.id);
    answer.number[1] = entry.attempts;
    answer.number[2] = entry.put_ns;
    answer.number[3] = next_ns;
    note_blob(&answer, &entry.value);
    return answer;
}

static struct answer do_with_entry(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_store *on = stores[which];
    const uint8_t *token = token_of(step->token);
    uint64_t id = ids[which][step->entry];
    switch (step->other_key) {
    case 0:
        answer.status = neap_store_outbox_done(on, id, token);
        break;
    case 1:
        answer.status = neap_store_outbox_retry(on, id, token, now + (int64_t)step->length);
        break;
    default:
        answer.status = neap_store_outbox_bury(on, id, token, bytes_of(step->value), now);
        break;
    }
    return answer;
}

static struct answer do_renew(size_t which, const struct step *step)
{
    struct answer answer = {0};
    answer.status = neap_store_outbox_renew(stores[which], ids[which][step->entry],
                                            token_of(step->token), now, (int64_t)step->length);
    return answer;
}

static struct answer do_with_dead(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_dead_letter letter = {0};
    uint64_t id = ids[which][step->entry];
    switch (step->other_key) {
    case 0:
        answer.status = neap_store_outbox_drop(stores[which], id);
        break;
    case 1:
        answer.status = neap_store_outbox_revive(stores[which], id, now);
        break;
    default:
        answer.status = neap_store_outbox_dead(stores[which], bytes_of("mail"), id, &letter);
        answer.number[0] = number_of(which, letter.id);
        answer.number[1] = letter.attempts;
        answer.number[2] = letter.put_ns;
        answer.number[3] = letter.died_ns;
        note_blob(&answer, &letter.value);
        note_blob(&answer, &letter.reason);
        break;
    }
    return answer;
}

static struct answer do_count(size_t which, const struct step *step)
{
    struct answer answer = {0};
    struct neap_outbox_counts counts = {0};
    (void)step;
    answer.status = neap_store_outbox_count(stores[which], bytes_of("mail"), now, &counts);
    answer.number[0] = (int64_t)counts.waiting;
    answer.number[1] = (int64_t)counts.taken;
    answer.number[2] = (int64_t)counts.dead;
    return answer;
}

static struct answer (*const steps[])(size_t which, const struct step *step) = {
    do_claim, do_with_claim, do_cache,      do_put,   do_put,       do_take,
    do_take,  do_with_entry, do_with_entry, do_renew, do_with_dead, do_count,
};
#define KINDS_OF_STEP (sizeof steps / sizeof steps[0])

static struct step throw_step(void)
{
    struct step step = {
        .what = throw_dice(KINDS_OF_STEP),
        .key = throw_dice(3),
        .other_key = throw_dice(3),
        .entry = throw_dice(put_count + 1),
        .length = throw_dice(20),
        .token = (char)('a' + throw_dice(3)),
    };
    (void)snprintf(step.value, sizeof step.value, "%d", (int)throw_dice(1000));
    if (steps[step.what] == do_put)
        step.entry = ++put_count;
    now += (int64_t)throw_dice(8);
    return step;
}

static void compare(const struct step *step, int at)
{
    struct answer first = steps[step->what](0, step);
    assert_true(first.status < NEAP_STORE_FULL);
    for (size_t i = 1; i < present_count; i++) {
        struct answer other = steps[step->what](i, step);
        if (memcmp(&first, &other, sizeof first) != 0)
            fail_msg("%s and %s: step %d of sort %d.%d: status %d, %d; text <%s>, <%s>;"
                     " numbers %d %d %d %d, %d %d %d %d",
                     present[0]->name, present[i]->name, at, (int)step->what, (int)step->other_key,
                     first.status, other.status, first.text, other.text, (int)first.number[0],
                     (int)first.number[1], (int)first.number[2], (int)first.number[3],
                     (int)other.number[0], (int)other.number[1], (int)other.number[2],
                     (int)other.number[3]);
    }
}

static void begin_round(void)
{
    for (size_t i = 0; i < present_count; i++) {
        stores_prepare(present[i]);
        stores[i] = stores_open(present[i], &memory.alloc);
    }
    memset(ids, 0, sizeof ids);
    put_count = 0;
    now = NOW;
}

static void the_kinds_answer_the_same(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        dice = round + 1;
        begin_round();
        for (int i = 0; i < STEPS; i++) {
            const struct step step = throw_step();
            compare(&step, i);
        }
        for (size_t i = 0; i < present_count; i++)
            neap_store_free(stores[i]);
    }
    failing_alloc_assert_all_freed(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_kinds_answer_the_same)};
    for (size_t i = 0; i < STORE_KINDS; i++) {
        const char *lack = stores_lack(&store_kinds[i]);
        if (!lack)
            present[present_count++] = &store_kinds[i];
        else if (stores_skip(store_kinds[i].name, lack) != 0)
            return 1;
    }
    kind = present[0];
    int failures = cmocka_run_group_tests_name("agreement", tests, NULL, NULL);
    stores_remove();
    return failures;
}
