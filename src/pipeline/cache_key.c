#include "pipeline/cache_key.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CREDENTIALS "authorization,proxy-authorization,cookie,x-api-key,x-auth-token"

/* The mark keeps the two kinds of key apart, and those of another version of this rule. */
#define URL_MARK "neap cache 1 url"
#define ENTRY_MARK "neap cache 1 entry"
#define ENTRY_PARTS 5u
#define NAME_PARTS 2u /* the name, and how many values it has */
#define COUNT_BYTES 24u

enum neap_status neap_cache_url_key(struct neap_text client, struct neap_text url,
                                    const struct neap_alloc *alloc, char out[NEAP_CACHE_KEY_BYTES])
{
    const struct neap_text parts[] = {neap_text_of(URL_MARK), client, url};
    return neap_idempotency_digest(parts, sizeof parts / sizeof parts[0], alloc, out);
}

static bool is_named(const struct neap_stored_header *header, struct neap_text name)
{
    return header->name.bytes == name.bytes &&
           strncasecmp(header->name.text, name.text, name.bytes) == 0;
}

struct name_list {
    struct neap_vary names;
    char counts[NEAP_VARY_NAMES_MAX][COUNT_BYTES];
};

/* The name, how many fields have it (none is not the same as an empty one), and their values. */
static struct neap_text *append_values(struct neap_text *at, struct neap_text name,
                                       const struct neap_cache_request_parts *request,
                                       char count_text[COUNT_BYTES])
{
    struct neap_text *count = at + 1;
    *at = name;
    at += NAME_PARTS;
    for (size_t i = 0; i < request->header_count; i++)
        if (is_named(&request->headers[i], name))
            *at++ = request->headers[i].value;
    snprintf(count_text, COUNT_BYTES, "%td", at - (count + 1));
    *count = neap_text_of(count_text);
    return at;
}

/* `parts` has room for ENTRY_PARTS, NAME_PARTS for each name, and each header once. */
static size_t gather(const struct neap_cache_request_parts *request, struct name_list *list,
                     struct neap_text *parts)
{
    const struct neap_text fixed[ENTRY_PARTS] = {
        neap_text_of(ENTRY_MARK),
        request->client,
        request->method,
        request->url,
        {(const char *)request->generation, NEAP_CACHE_GENERATION_BYTES},
    };
    struct neap_text *at = parts + ENTRY_PARTS;
    memcpy(parts, fixed, sizeof fixed);
    for (size_t i = 0; i < list->names.count; i++)
        at = append_values(at, neap_vary_name(&list->names, i), request, list->counts[i]);
    return (size_t)(at - parts);
}

enum neap_status neap_cache_entry_key(const struct neap_cache_request_parts *parts,
                                      const struct neap_vary *vary, const struct neap_alloc *alloc,
                                      char out[NEAP_CACHE_KEY_BYTES])
{
    struct name_list list;
    neap_vary_init(&list.names);
    neap_vary_add(&list.names, CREDENTIALS, sizeof CREDENTIALS - 1);
    for (size_t i = 0; i < vary->count; i++) {
        struct neap_text name = neap_vary_name(vary, i);
        neap_vary_add(&list.names, name.text, name.bytes);
    }
    size_t most = ENTRY_PARTS + NAME_PARTS * list.names.count + parts->header_count;
    struct neap_text *gathered = neap_alloc_array(alloc, most, sizeof *gathered);
    if (!gathered)
        return NEAP_NO_MEMORY;
    enum neap_status status =
        neap_idempotency_digest(gathered, gather(parts, &list, gathered), alloc, out);
    neap_free(alloc, gathered);
    return status;
}
