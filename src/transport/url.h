/* URLs: resolution and checks by libcurl's URL parser (RFC 3986), so that what is checked is what
 * libcurl will connect to. */
#ifndef NEAP_TRANSPORT_URL_H
#define NEAP_TRANSPORT_URL_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/status.h"

struct neap_url_block;

/* All texts are NUL-terminated and stay until neap_url_deinit. Nobody changes them, so several may
 * hold the same ones; one thread holds and releases them. All NULL: none. */
struct neap_url {
    const struct neap_alloc *alloc;
    const char *text; /* the whole URL as it is requested, without fragment */
    const char *
        origin; /* "https://host:443": scheme, host in lower case and port, the port always there */
    const char *path;  /* as it is sent, without query; at least "/" */
    const char *query; /* as it is sent, without "?"; "" if there is none */
    struct neap_url_block *block;
};

/* Why a URL was refused; NEAP_URL_OK is 0. */
enum neap_url_error {
    NEAP_URL_OK = 0,
    NEAP_URL_NO_MEMORY,
    NEAP_URL_MALFORMED,    /* not a URL, or holds a control character or a space */
    NEAP_URL_NOT_ABSOLUTE, /* no base, and no scheme */
    NEAP_URL_SCHEME,       /* neither http nor https */
    NEAP_URL_USERINFO,     /* a user or password stands in it (RFC 9110 4.2.4) */
    NEAP_URL_LEAVES_BASE   /* a path that names another scheme or host ("//evil/", "http:…") */
};

/* Bytes above ASCII are percent-encoded in path and query, and malformed in a host.
 *
 * Resolves `reference` against `base` (may be NULL, then reference must be absolute) by RFC 3986 5,
 * and appends `query` (already encoded "a=1&b=2", may be NULL or empty) to the query it has. With
 * `stay` set the result must have the origin of the base. *url is filled only on NEAP_URL_OK and
 * then to be released with neap_url_deinit. */
NEAP_MUST_CHECK enum neap_url_error neap_url_resolve(const struct neap_alloc *alloc,
                                                     const char *base, const char *reference,
                                                     const char *query, int stay,
                                                     struct neap_url *url);

void neap_url_deinit(struct neap_url *url);

/* The same URL for one more holder, who releases it by neap_url_deinit as well. */
NEAP_MUST_CHECK struct neap_url neap_url_hold(const struct neap_url *url);

/* libcurl's own form of it (a CURLU *), which spares a transfer the parsing; valid as long as the
 * URL. Only to be read, which another thread may do as well. */
void *neap_url_parsed(const struct neap_url *url);

/* Appends to an empty buffer: the reference without its fragment, and with `query` (encoded, not
 * empty) behind its own, as neap_url_resolve joins them. NEAP_URL_MALFORMED, NEAP_URL_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_url_error neap_url_join_query(struct neap_buffer *joined,
                                                        const char *text, const char *query);

/* "expected an absolute http or https URL", …: the second half of a message about a key. */
const char *neap_url_error_text(enum neap_url_error error);

/* Appends name=value percent-encoded (RFC 3986 unreserved characters stay; with `form` a space is
 * "+", as application/x-www-form-urlencoded wants), with "&" before it where the buffer is not
 * empty. NEAP_NO_MEMORY leaves the buffer as it was. */
NEAP_MUST_CHECK enum neap_status neap_url_append_pair(struct neap_buffer *buffer, const char *name,
                                                      size_t name_bytes, const char *value,
                                                      size_t value_bytes, int form);

#endif
