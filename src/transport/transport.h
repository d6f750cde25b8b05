/* Transport: carries attempts over HTTP with libcurl. Knows no policy.
 *
 * One transport is one connection pool, in one multi handle or, where it is large, in several
 * (decision 0022), driven by a loop's epoll and timers; easy handles keep the preset options of the
 * transport and are used again. It belongs to the loop's thread. For each transfer it keeps timers
 * of its own for connecting and for silence while writing and reading, since libcurl has none; the
 * limits of an attempt and of the call are the caller's, who cancels. libcurl's own repetition of a
 * request on a fresh connection is caught and told as a reset: whether to repeat is not for the
 * transport to decide. */
#ifndef NEAP_TRANSPORT_TRANSPORT_H
#define NEAP_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/outcome.h"
#include "base/status.h"
#include "platform/loop.h"
#include "transport/reach.h"
#include "transport/response.h"
#include "transport/stock_list.h"
#include "transport/url.h"

struct neap_transport;
struct neap_transfer;

/* Texts may be NULL for "not set"; all are copied. */
struct neap_transport_settings {
    bool verify;
    const char *ca_file, *ca_path; /* either one replaces what the system trusts */
    const char *cert, *key;        /* presented to the origin of the request only */
    int min_tls;                   /* 12 or 13 */
    const char *proxy;             /* URL; NULL: none, not even from the environment */
    bool proxy_environment;        /* use http_proxy, https_proxy, no_proxy */
    uint32_t max_connections, per_host;
    int64_t ttl_ns, idle_ns;   /* a connection is not used again after so long in all, or idle */
    int64_t validate_after_ns; /* without effect: libcurl looks each time whether it was closed */
    bool http2;                /* over TLS, by ALPN */
    uint32_t redirects;        /* 0: none are followed */
    uint64_t max_response_bytes, max_header_bytes;
    char **allow_hosts; /* patterns of neap_is_host_pattern; none: every host */
    size_t allow_host_count;
    bool deny_private; /* connect to no address of neap_reach_is_inner; not with a proxy */
};

/* Would connections that were made by one be made by the other? */
bool neap_transport_settings_equal(const struct neap_transport_settings *settings,
                                   const struct neap_transport_settings *other);

struct neap_request_header {
    const char *name, *value; /* NUL-terminated; checked by neap_header_is_safe before */
};

/* Must stay valid until the transfer has ended. Content-Length, Transfer-Encoding and Expect among
 * the headers are left out, since how the message is framed is the transport's to say. Without a
 * body, POST, PUT and PATCH announce a length of 0; a body is not sent with HEAD. */
struct neap_request {
    const char *method;              /* a token in the case it is to be sent */
    const char *url;                 /* from neap_url_resolve */
    const struct neap_url *resolved; /* what `url` is the text of; NULL: libcurl parses the text */
    const struct neap_request_header *headers;
    size_t header_count;
    const char *body; /* NULL: none */
    size_t body_bytes;
    bool own_conditions; /* If-None-Match and If-Modified-Since are about this URL: no redirect
                            carries them on (RFC 9110 15.4) */
};

struct neap_limits {
    int64_t connect_ns, write_ns, read_ns; /* NEAP_NEVER: none */
};

/* Called once per transfer from inside neap_loop_turn or neap_transfer_hurry, never from inside
 * neap_transport_send. The response is the receiver's (NULL unless outcome->kind is NONE); the
 * transfer is gone afterwards.
 */
typedef void neap_transfer_done(void *context, const struct neap_outcome *outcome,
                                struct neap_response *response);

/* `stocks` NULL: it has nothing together with another one. NEAP_NO_MEMORY; NEAP_SYSTEM where
 * libcurl refuses a setting (message says which, may be NULL). */
NEAP_MUST_CHECK enum neap_status
neap_transport_new(const struct neap_alloc *alloc, struct neap_loop *loop,
                   const struct neap_transport_settings *settings, struct neap_stock_list *stocks,
                   struct neap_transport **transport, char message[NEAP_MESSAGE_BYTES]);

/* Transfers in flight end without being told. May be called by a transfer's `done`; the memory then
 * goes when that returns. */
void neap_transport_free(struct neap_transport *transport);

/* From now on responses come from this shelf of its thread, and go there; it must outlive them. */
void neap_transport_use_shelf(struct neap_transport *transport, struct neap_response_shelf *shelf);

/* In a forked child: closes the descriptors that are the parent's too, without a word on them. The
 * rest stays as it is for ever: libcurl could not take leave of its connections in silence. */
void neap_transport_forsake(struct neap_transport *transport);

/* NEAP_NO_MEMORY, NEAP_SYSTEM. On success `done` will be called exactly once, unless it is
 * cancelled or the transport is freed. */
NEAP_MUST_CHECK enum neap_status neap_transport_send(struct neap_transport *transport,
                                                     const struct neap_request *request,
                                                     const struct neap_limits *limits,
                                                     neap_transfer_done *done, void *context,
                                                     struct neap_transfer **transfer);

/* Is it certain that the server has processed nothing of it? */
bool neap_transfer_is_unsent(const struct neap_transfer *transfer);

/* Called from inside neap_loop_turn or neap_transfer_hurry just before the request is handed to a
 * connection, once for each hop: false ends the transfer as cancelled, and nothing of that hop has
 * gone. */
typedef bool neap_transfer_may_send(void *context);

/* To be set right after neap_transport_send; `context` is the receiver's. */
void neap_transfer_ask_before_sending(struct neap_transfer *transfer, neap_transfer_may_send *ask);

/* Does now what libcurl has set for now, as sending it, which the next turn of the loop would do
 * once it has asked the system what has come meanwhile: for whoever turns the loop for this
 * transfer alone. Does nothing where the last transfer's end is more than a few microseconds ago,
 * since then an idle connection may have been reset, which libcurl itself does not see. It may end
 * here, and `done` be called. */
void neap_transfer_hurry(struct neap_transfer *transfer);

/* To be set right after neap_transport_send: an empty response for the head and body that come.
 * Owned from then on. */
void neap_transfer_give_response(struct neap_transfer *transfer, struct neap_response *response);

/* Ends it without telling; its connection is not used again unless it is a stream among others. */
void neap_transport_cancel(struct neap_transport *transport, struct neap_transfer *transfer);

struct neap_transport_stats {
    uint64_t opened; /* connections made */
    uint64_t reused; /* requests sent on a connection that had carried one before */
    uint32_t in_flight;
    uint32_t open; /* connections that are open now, idle ones included */
};
void neap_transport_read(const struct neap_transport *transport,
                         struct neap_transport_stats *stats);

/* A header name is a token of RFC 9110 5.6.2; a value has no CR, LF, NUL or other control character
 * but the tab. */
bool neap_header_is_safe(const char *name, size_t name_bytes, const char *value,
                         size_t value_bytes);
/* May a header of that name go to an origin that the caller has not named? No credential is among
 * these: Accept, Accept-Language, Content-Type, Content-Language, User-Agent, Traceparent,
 * Tracestate, Idempotency-Key. */
bool neap_header_is_harmless(const char *name);

/* The value of the header of that name in any letter case; NULL where it is not there. */
const char *neap_header_find(const struct neap_request_header *headers, size_t count,
                             const char *name);

bool neap_method_is_safe(const char *method, size_t bytes);

#endif
