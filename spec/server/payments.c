/* The money: payments taken, with idempotency keys, and the answers lost on purpose. */
#include "payments.h"

#include "map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct by_key {
    uint64_t attempts;
    uint64_t payments;
    uint64_t mismatched; /* attempts with another body than the first */
    uint64_t id;
    uint32_t body_crc;
    int had_mishap[MISHAP_AFTER + 1];
};

struct payments {
    pthread_mutex_t lock;
    uint64_t number; /* never reset, so that an id is never used again */
    uint64_t total;
    uint64_t without_key;
    struct map keys; /* to struct by_key */
};

struct payments *payments_new(void)
{
    struct payments *payments = memory_get(sizeof *payments);
    pthread_mutex_init(&payments->lock, NULL);
    return payments;
}

void payments_free(struct payments *payments)
{
    if (payments == NULL)
        return;
    map_clear(&payments->keys, NULL);
    pthread_mutex_destroy(&payments->lock);
    free(payments);
}

void payments_reset(struct payments *payments)
{
    pthread_mutex_lock(&payments->lock);
    map_clear(&payments->keys, NULL);
    payments->total = 0;
    payments->without_key = 0;
    pthread_mutex_unlock(&payments->lock);
}

/* `"abc"` as RFC 8941 quotes a string is the same key as `abc`. */
static char *unquoted(const char *key)
{
    size_t bytes = strlen(key);
    if (bytes < 2 || key[0] != '"' || key[bytes - 1] != '"')
        return memory_string(key, bytes);
    char *plain = memory_get(bytes);
    size_t length = 0;
    for (size_t at = 1; at + 1 < bytes; at++) {
        if (key[at] == '\\' && at + 2 < bytes)
            at++;
        plain[length++] = key[at];
    }
    return plain;
}

static uint64_t take(struct payments *payments)
{
    payments->total++;
    return ++payments->number;
}

static struct payment attempt_without_key(struct payments *payments, enum mishap mishap)
{
    struct payment payment = {.mishap = mishap != MISHAP_NONE};
    if (mishap == MISHAP_BEFORE)
        return payment;
    payments->without_key++;
    payment.id = take(payments);
    return payment;
}

static struct payment attempt_with_key(struct payments *payments, struct by_key *key,
                                       uint32_t body_crc, enum mishap mishap)
{
    struct payment payment = {.mishap = mishap != MISHAP_NONE && !key->had_mishap[mishap]};
    if (key->attempts++ == 0)
        key->body_crc = body_crc;
    if (key->body_crc != body_crc)
        key->mismatched++;
    key->had_mishap[mishap] = 1;
    if (payment.mishap && mishap == MISHAP_BEFORE)
        return payment;
    payment.replayed = key->id != 0;
    if (!payment.replayed) {
        key->id = take(payments);
        key->payments++;
    }
    payment.id = key->id;
    return payment;
}

struct payment payments_attempt(struct payments *payments, const char *key, uint32_t body_crc,
                                enum mishap mishap)
{
    char *plain = key != NULL ? unquoted(key) : NULL;
    struct payment payment;
    pthread_mutex_lock(&payments->lock);
    if (plain == NULL) {
        payment = attempt_without_key(payments, mishap);
    } else {
        struct by_key *entry = map_make(&payments->keys, plain, sizeof *entry);
        payment = attempt_with_key(payments, entry, body_crc, mishap);
    }
    pthread_mutex_unlock(&payments->lock);
    free(plain);
    return payment;
}

void payments_report(struct payments *payments, struct text *json)
{
    pthread_mutex_lock(&payments->lock);
    text_format(json, "\"payments\":%llu,\"payments_without_key\":%llu,\"keys\":{",
                (unsigned long long)payments->total, (unsigned long long)payments->without_key);
    for (const struct map_entry *at = payments->keys.first; at != NULL; at = at->next) {
        const struct by_key *key = at->value;
        text_json(json, at->key, strlen(at->key));
        text_format(json, ":{\"attempts\":%llu,\"payments\":%llu,\"mismatched\":%llu}%s",
                    (unsigned long long)key->attempts, (unsigned long long)key->payments,
                    (unsigned long long)key->mismatched, at->next != NULL ? "," : "");
    }
    text_string(json, "}");
    pthread_mutex_unlock(&payments->lock);
}
