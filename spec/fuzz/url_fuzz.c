/* References and bases as programs, and redirects, bring them: what is resolved is http or https,
 * has neither user nor control characters nor a space, stays with the base where it has to, and is
 * itself when it is resolved once more. */
#include "fuzz/fuzz.h"
#include "platform/memory.h"
#include "transport/url.h"
#include "transport/url_memo.h"

static char *copy_line(struct fuzz_input *input)
{
    size_t bytes;
    const char *line = fuzz_line(input, &bytes);
    char *text = neap_copy_text(neap_platform_alloc(), line, bytes);
    promise(text);
    return text;
}

static void check_clean(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        promise(*at > 0x20 && *at < 0x7f);
}

static void check_parts(const struct neap_url *url)
{
    check_clean(url->text);
    check_clean(url->origin);
    check_clean(url->path);
    check_clean(url->query);
    promise(strncmp(url->origin, "http://", 7) == 0 || strncmp(url->origin, "https://", 8) == 0);
    promise(strchr(url->origin, '@') == NULL && strchr(url->text, '#') == NULL);
    promise(strchr(strstr(url->origin, "://") + 3, '/') == NULL);
    promise(url->path[0] == '/' && strchr(url->path, '?') == NULL);
    promise(neap_url_parsed(url));
}

static void check_same(const struct neap_url *one, const struct neap_url *other)
{
    promise(strcmp(one->text, other->text) == 0);
    promise(strcmp(one->origin, other->origin) == 0);
    promise(strcmp(one->path, other->path) == 0);
    promise(strcmp(one->query, other->query) == 0);
}

static void check_again(const struct neap_url *url)
{
    struct neap_url again;
    promise(neap_url_resolve(neap_platform_alloc(), NULL, url->text, NULL, 0, &again) ==
            NEAP_URL_OK);
    check_same(url, &again);
    neap_url_deinit(&again);
}

static void check_stays(const struct neap_url *url, const char *base)
{
    struct neap_url home;
    promise(neap_url_resolve(neap_platform_alloc(), NULL, base, NULL, 0, &home) == NEAP_URL_OK);
    promise(strcmp(home.origin, url->origin) == 0);
    neap_url_deinit(&home);
}

/* The memo answers as the resolver does, the first time and the second. */
static void check_memo(const char *base, const char *reference, const char *query)
{
    struct neap_url_memo memo;
    neap_url_memo_init(&memo, neap_platform_alloc());
    for (int i = 0; i < 2; i++) {
        struct neap_url plain, remembered;
        enum neap_url_error error =
            neap_url_resolve(neap_platform_alloc(), base, reference, query, 1, &plain);
        promise(neap_url_memo_resolve(&memo, base, reference, query, &remembered) == error);
        if (error != NEAP_URL_OK)
            continue;
        check_same(&plain, &remembered);
        neap_url_deinit(&plain);
        neap_url_deinit(&remembered);
    }
    neap_url_memo_deinit(&memo);
}

/* Flags, then three lines: reference, base, query. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    uint8_t flags = fuzz_byte(&input);
    bool stay = flags & 1, has_base = flags & 2, has_query = flags & 4;
    char *reference = copy_line(&input), *base_text = copy_line(&input);
    char *query_text = copy_line(&input);
    const char *base = has_base ? base_text : NULL, *query = has_query ? query_text : NULL;
    struct neap_url url;
    enum neap_url_error error =
        neap_url_resolve(neap_platform_alloc(), base, reference, query, stay, &url);
    if (error == NEAP_URL_OK) {
        check_parts(&url);
        check_again(&url);
        if (stay && base)
            check_stays(&url, base);
        neap_url_deinit(&url);
    } else {
        promise(neap_url_error_text(error));
    }
    check_memo(base, reference, query);
    neap_free(neap_platform_alloc(), query_text);
    neap_free(neap_platform_alloc(), base_text);
    neap_free(neap_platform_alloc(), reference);
    return 0;
}
