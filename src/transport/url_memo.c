#include "transport/url_memo.h"

#include <string.h>

#include "base/hash.h"

void neap_url_memo_init(struct neap_url_memo *memo, const struct neap_alloc *alloc)
{
    *memo = (struct neap_url_memo){.alloc = alloc};
}

static void forget(struct neap_url_memo *memo, struct neap_url_memory *place)
{
    neap_free(memo->alloc, place->reference);
    neap_url_deinit(&place->url);
    *place = (struct neap_url_memory){.reference = NULL};
}

void neap_url_memo_deinit(struct neap_url_memo *memo)
{
    for (size_t i = 0; i < NEAP_URL_MEMO_PLACES; i++)
        forget(memo, &memo->place[i]);
}

static bool is_kept(const char *reference, size_t *bytes)
{
    *bytes = strcspn(reference, "?#");
    return reference[*bytes] == '\0' && *bytes <= NEAP_URL_MEMO_BYTES;
}

/* Who chooses references that meet in one place only loses what the memo spares. */
static struct neap_url_memory *place_of(struct neap_url_memo *memo, const char *reference,
                                        size_t bytes)
{
    static const struct neap_hash_seed seed = {{0, 0}};
    return &memo->place[neap_hash(&seed, reference, bytes) % NEAP_URL_MEMO_PLACES];
}

static bool is_at(const struct neap_url_memory *place, const char *base, const char *reference)
{
    return place->reference && place->has_base == (base != NULL) &&
           strcmp(place->reference, reference) == 0;
}

/* Without memory it is not remembered. */
static void keep(struct neap_url_memo *memo, struct neap_url_memory *place, const char *base,
                 const char *reference, size_t bytes, const struct neap_url *url)
{
    forget(memo, place);
    place->reference = neap_copy_text(memo->alloc, reference, bytes);
    place->has_base = base != NULL;
    if (place->reference)
        place->url = neap_url_hold(url);
    memo->last = place;
}

static enum neap_url_error resolve_new(struct neap_url_memo *memo, const char *base,
                                       const char *reference, struct neap_url *url)
{
    size_t bytes;
    bool keeps = is_kept(reference, &bytes);
    struct neap_url_memory *place = keeps ? place_of(memo, reference, bytes) : NULL;
    if (place && is_at(place, base, reference)) {
        memo->last = place;
        *url = neap_url_hold(&place->url);
        return NEAP_URL_OK;
    }
    enum neap_url_error error =
        neap_url_resolve(memo->alloc, base, reference, NULL, base != NULL, url);
    if (error == NEAP_URL_OK && place)
        keep(memo, place, base, reference, bytes, url);
    return error;
}

enum neap_url_error neap_url_memo_resolve(struct neap_url_memo *memo, const char *base,
                                          const char *reference, const char *query,
                                          struct neap_url *url)
{
    if (query && query[0] != '\0')
        return neap_url_resolve(memo->alloc, base, reference, query, base != NULL, url);
    if (!memo->last || !is_at(memo->last, base, reference))
        return resolve_new(memo, base, reference, url);
    *url = neap_url_hold(&memo->last->url);
    return NEAP_URL_OK;
}
