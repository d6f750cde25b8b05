/* What the files of the transport share; nobody outside of this room includes it.
 *
 * Each file has one part of a transfer's life: transfer (its memory), stock (what transports of the
 * same settings have together), settings (an easy handle's preset options), shards (the multi
 * handles), sharing (who waits for a connection), hop and header_list (the options of one request),
 * notice (what libcurl lets us know on the way), receive (what it hands over), stage (where time
 * goes), redirect, sockets (libcurl's descriptors on the loop), verdict (a CURLcode in our words)
 * and transport (the order of it all). Callbacks of libcurl only note; what ends is collected when
 * its frame is left. */
#ifndef NEAP_TRANSPORT_INTERNAL_H
#define NEAP_TRANSPORT_INTERNAL_H

#include <curl/curl.h>

#include "transport/sigpipe.h"
#include "transport/transport.h"
#include "transport/url.h"

/* Where a transfer's time is going. Waiting for a place in the pool is not connecting. */
enum neap_stage { NEAP_STAGE_WAITING, NEAP_STAGE_CONNECT, NEAP_STAGE_WRITE, NEAP_STAGE_READ };

/* By descriptor number, in pages: a client with one connection, in a program with many descriptors,
 * has one page. */
#define NEAP_SOCKETS_A_PAGE 16u

struct neap_socket_page {
    struct neap_socket *at[NEAP_SOCKETS_A_PAGE]; /* NULL where libcurl has none */
};

struct neap_sockets {
    struct neap_socket_page **page; /* NULL where it would be empty */
    size_t page_count;
    int64_t next_expiry_ns; /* no idle connection is too old before */
};

/* One multi handle. */
struct neap_shard {
    struct neap_transport *transport;
    CURLM *multi;
    struct neap_loop_timer timer; /* when libcurl wants to be called */
    uint32_t in_flight, most; /* of transfers that need a connection each: now, at most so far */
    uint32_t open;            /* connections, idle ones included */
    int64_t used_ns;          /* when a transfer was last taken out */
};

#define NEAP_SHARDS_MAX 16u

struct neap_shards {
    struct neap_shard *at[NEAP_SHARDS_MAX];
    uint32_t count, max;
    uint32_t places; /* of a further shard; the first one is full with as many, too */
};

#define NEAP_OWN_HEADERS 4
#define NEAP_OWN_HEADER_BYTES 64

/* What is the same for all transports of one loop with the same settings. A transfer at rest has a
 * handle of some fifty lines of the processor's cache, which the next one uses while they are
 * there, whichever transport it is of. */
struct neap_stock {
    const struct neap_alloc *alloc;
    struct neap_stock *next, **link;         /* link: what points here; NULL: it is in no list */
    struct neap_transport_settings settings; /* its texts are copies */
    uint64_t hash;                           /* of the settings */
    char own_header[NEAP_OWN_HEADERS][NEAP_OWN_HEADER_BYTES]; /* what no caller need give */
    struct neap_transfer *spare;                              /* a list */
    uint32_t spare_count;
    uint32_t transports; /* that have it */
    CURLSH *names;       /* that were looked up for hops without TLS */
};

struct neap_transport {
    const struct neap_alloc *alloc;
    struct neap_loop *loop;
    struct neap_stock *stock;
    struct neap_shards shards;
    CURLSH *sessions; /* of TLS, and names looked up for it; NULL: none yet */
    struct neap_sockets sockets;
    struct neap_transfer *live, *doomed; /* lists */
    struct neap_response_shelf *shelf;   /* NULL: none */
    unsigned depth;                      /* frames of ours that will look at the transport again */
    bool closed;                         /* freed by a callback: the memory goes when depth is 0 */
    bool broken; /* libcurl was refused a timer or a watch; a multi handle is dead */
    bool guard_sigpipe;
    uint32_t receive_bytes; /* the buffer for a response of HTTP/1, see neap_settings_fit_buffer */
    char *multiplexes;      /* the origin that has answered by HTTP/2 last; NULL: none */
    struct neap_transport_stats stats;
};

struct neap_transfer {
    struct neap_transport *transport;   /* NULL: at rest, and the last one is gone */
    struct neap_transfer *next, **link; /* link: what points here */

    CURL *easy;
    CURLSH *share;            /* that the handle has; NULL: none yet */
    bool certificate_off;     /* the handle's client certificate was taken out */
    bool waits_for_pipe;      /* it waits for a connection that another one is making */
    bool connection_minded;   /* it has settings that are about one response only */
    uint32_t receive_bytes;   /* what the handle is set to */
    int64_t plain_connect_ns; /* the handle is set for a GET without content, with this limit;
                                 below 0: for anything else */
    char *header_block;       /* the list of this hop's headers and its texts */
    size_t header_block_bytes;

    /* All that is above stays from one transfer to the next, as the handle does. */
    struct neap_shard *shard; /* NULL: libcurl has no business with it now */
    bool counted;             /* among those in flight there */
    bool worn; /* libcurl keeps state of this transfer in the handle: not used again */

    struct neap_request request; /* of this hop */
    struct neap_limits limits;
    neap_transfer_done *done;
    neap_transfer_may_send *may_send; /* NULL: always */
    void *context;

    struct neap_url url;      /* of this hop, after a redirect */
    struct neap_url next_url; /* of the next hop */
    bool redirects_to_next;   /* `next_url` is filled, and this hop's body of no use */
    uint32_t hops;            /* redirects followed */
    bool foreign;             /* a hop left an origin: nothing private is sent any more */
    bool without_content;     /* a redirect made a GET of the request */

    enum neap_stage stage;
    int64_t since_ns; /* when the stage began, or the last sign of progress in it */
    int64_t uploaded; /* bytes of the body, as libcurl counted them last */
    struct neap_loop_timer stage_timer;
    int fd; /* the last descriptor that libcurl named for it; -1 */

    bool denied;        /* an address of this hop leads inside, where it may not */
    bool starved;       /* there was no memory or descriptor for a socket of this hop */
    bool dialled;       /* this hop opened a connection of its own */
    bool sent;          /* this hop was handed to a connection */
    bool sent_before;   /* an earlier hop was */
    bool refused;       /* the server refused the stream unprocessed */
    uint32_t stream_id; /* HTTP/2, where it is known; else 0 */

    struct neap_response *given;    /* an empty one for the head that comes; NULL: none */
    struct neap_response *response; /* NULL before its head begins */
    bool head_done;
    bool interim; /* the head that is being read has a status of 1xx */
    uint64_t header_bytes, body_bytes;
    struct neap_outcome verdict;      /* kind NONE: libcurl's result decides */
    char error_text[CURL_ERROR_SIZE]; /* last: of no meaning behind its first NUL */
};

/* transfer.c. The lists are linked both ways; `refused` as below. `acquire` gives a blank one, used
 * before where there is one, NULL for no memory; `give_back` takes one that is in no list. */
bool neap_transfer_has_tls(const struct neap_transfer *transfer);
void neap_transfer_link(struct neap_transfer **list, struct neap_transfer *transfer);
void neap_transfer_unlink(struct neap_transfer *transfer);
NEAP_MUST_CHECK struct neap_transfer *neap_transfer_new(struct neap_transport *transport,
                                                        const char **refused);
void neap_transfer_free(const struct neap_alloc *alloc, struct neap_transfer *transfer);
NEAP_MUST_CHECK struct neap_transfer *neap_transfer_acquire(struct neap_transport *transport);
void neap_transfer_give_back(struct neap_transfer *transfer);

/* stock.c. `get` gives the one of these settings, which it makes where there is none (`list` NULL:
 * in any case): NULL for no memory. `put_back` and `take` are for what it keeps: the first says
 * whether there is room, the second gives the one that was put there last, bound to the transport,
 * or NULL. `share` gives the handle what this hop needs of names and sessions: false for no memory.
 * `leave` is called by a transport without transfers, before what its handles use goes;
 * `release` once nothing looks at the settings any more. `hide`: no further transport finds it. */
NEAP_MUST_CHECK struct neap_stock *neap_stock_get(const struct neap_alloc *alloc,
                                                  struct neap_stock_list *list,
                                                  const struct neap_transport_settings *settings);
NEAP_MUST_CHECK bool neap_stock_put_back(struct neap_stock *stock, struct neap_transfer *transfer);
NEAP_MUST_CHECK struct neap_transfer *neap_stock_take(struct neap_transport *transport);
NEAP_MUST_CHECK bool neap_stock_share(struct neap_transfer *transfer);
void neap_stock_leave(struct neap_stock *stock, struct neap_transport *transport);
void neap_stock_release(struct neap_stock *stock);
void neap_stock_hide(struct neap_stock *stock);

/* settings.c. The texts become copies; on failure what was copied is left for `free`. Equal ones
 * have the same hash. */
NEAP_MUST_CHECK enum neap_status neap_settings_copy(const struct neap_alloc *alloc,
                                                    struct neap_transport_settings *copy,
                                                    const struct neap_transport_settings *settings);
void neap_settings_free(const struct neap_alloc *alloc, struct neap_transport_settings *settings);
uint64_t neap_settings_hash(const struct neap_transport_settings *settings);
/* An easy handle with everything that is the same for all transfers; NULL with the name
 * of what libcurl refuses in *refused (NULL: no memory). */
NEAP_MUST_CHECK CURL *neap_settings_make_easy(struct neap_transport *transport,
                                              const char **refused);
NEAP_MUST_CHECK bool neap_settings_client_certificate(struct neap_transfer *transfer, bool present);
/* The buffer that libcurl takes and frees for each transfer: small until a larger response has come
 * on this transport. After a name without an address libcurl (7.88) still has the last one, and
 * refuses another size: it will do for one more transfer. `note` is called when a response is
 * there, `forget` before the first one. */
void neap_settings_forget_responses(struct neap_transport *transport);
void neap_settings_fit_buffer(struct neap_transfer *transfer);
void neap_settings_note_response(const struct neap_transfer *transfer);

/* Is anything to be sent behind the head, be it of no length? */
bool neap_request_has_content(const struct neap_request *request);

/* sharing.c. `prepare` sets whether this hop waits for a connection that another one is making;
 * `is_connecting`: does that count as connecting while it waits? `note_sent` is called when a hop
 * is handed to a connection, `note` when a final head has begun, `note_loss` when a connection of
 * that origin is gone. */
NEAP_MUST_CHECK bool neap_sharing_prepare(struct neap_transfer *transfer);
bool neap_sharing_is_connecting(const struct neap_transfer *transfer);
void neap_sharing_note_sent(const struct neap_transfer *transfer);
void neap_sharing_note(const struct neap_transfer *transfer);
void neap_sharing_note_loss(const struct neap_transport *transport, uint64_t origin);
void neap_sharing_free(struct neap_transport *transport);

/* hop.c: the options of this hop's request. NEAP_NO_MEMORY, NEAP_SYSTEM. */
NEAP_MUST_CHECK enum neap_status neap_hop_prepare(struct neap_transfer *transfer);

/* header_list.c: the hop's headers as libcurl wants them, in `header_block` and `own_header`. NULL:
 * no memory. `init` is called once. */
void neap_header_list_init(struct neap_stock *stock);
NEAP_MUST_CHECK struct curl_slist *neap_header_list(struct neap_transfer *transfer);

/* receive.c, notice.c: libcurl's callbacks, to be set on a handle whose private data is the
 * transfer.
 */
void neap_receive_install(struct neap_transfer *transfer);
void neap_notice_install(struct neap_transfer *transfer);

/* notice.c, about the connection that a response comes on, until the next hop is prepared:
 * `watch_end` has it left if bytes come behind the response's end, `leave_connection` in any case.
 */
void neap_notice_watch_end(struct neap_transfer *transfer);
void neap_notice_leave_connection(struct neap_transfer *transfer);
void neap_notice_mind_no_more(struct neap_transfer *transfer);

/* stage.c. `begin` is called once a transfer; the others at what they are named for. */
NEAP_MUST_CHECK enum neap_status neap_stage_begin(struct neap_transfer *transfer);
void neap_stage_enter(struct neap_transfer *transfer, enum neap_stage stage);
void neap_stage_progress(struct neap_transfer *transfer);
void neap_stage_uploaded(struct neap_transfer *transfer, int64_t bytes);

/* Waiting counts as connecting to whoever waits. */
enum neap_phase neap_stage_phase(enum neap_stage stage);

/* redirect.c. `decide` is called when a final head is complete: true if the hop's body is of no use
 * since another hop follows; a redirect that cannot be followed leaves a verdict. `advance` makes
 * the next hop the present one. */
NEAP_MUST_CHECK bool neap_redirect_decide(struct neap_transfer *transfer);
NEAP_MUST_CHECK enum neap_status neap_redirect_advance(struct neap_transfer *transfer);

/* shards.c. `may_multiplex`: could HTTP/2 carry it? `init` makes the first one: NEAP_NO_MEMORY, and
 * what was made is left for `free`. `put` gives this hop to one of them: NEAP_NO_MEMORY,
 * NEAP_SYSTEM; `take` takes it back, if it is there. `expire` closes those that have been idle for
 * too long; never from a callback of libcurl, nor of a transfer. */
bool neap_shards_may_multiplex(const struct neap_transfer *transfer);
NEAP_MUST_CHECK enum neap_status neap_shards_init(struct neap_transport *transport);
void neap_shards_free(struct neap_transport *transport);
NEAP_MUST_CHECK enum neap_status neap_shards_put(struct neap_transfer *transfer);
void neap_shards_take(struct neap_transfer *transfer);
void neap_shards_expire(struct neap_transport *transport);

/* sockets.c */
struct neap_socket {
    struct neap_watch watch; /* first */
    struct neap_transport *transport;
    struct neap_shard *shard;
    int64_t readable_ns; /* when bytes last came */
    int64_t opened_ns;
    int64_t expires_ns; /* while idle: too old to be used again from then on */
    uint64_t inode;     /* of the descriptor, as long as it is this socket */
    bool ours;          /* opened through us; we are told when it is closed, if it was connected */
    bool awaited;       /* libcurl has waited for it to be readable */
    bool in_use;        /* libcurl waits for it now */
    bool http2;
    uint64_t origin; /* a hash of where it leads to, if HTTP/2 may share it; else 0 */
};
void neap_sockets_install(struct neap_shard *shard);
void neap_sockets_bind(struct neap_transport *transport, CURL *easy);
NEAP_MUST_CHECK struct neap_socket *neap_sockets_open(struct neap_shard *shard, int fd);
struct neap_socket *neap_sockets_find(const struct neap_transport *transport, int fd);
/* What came on it was HTTP/2, or was not. */
void neap_sockets_note_protocol(struct neap_transport *transport, int fd, bool http2);
/* Is one of that `origin` open, idle ones included? */
bool neap_sockets_lead_to(const struct neap_transport *transport, uint64_t origin);
/* Ends the connections that have been idle, or have lived, for too long. */
void neap_sockets_expire(struct neap_transport *transport);
void neap_sockets_free(struct neap_transport *transport);
/* Closes all of them under libcurl's feet. */
void neap_sockets_forsake(struct neap_transport *transport);

/* verdict.c. `fail` keeps the first verdict; `starve` is one for want of memory; `of_repetition` is
 * that of a transfer which libcurl was about to repeat. */
NEAP_PRINTF(4, 5)
void neap_verdict_fail(struct neap_transfer *transfer, enum neap_kind kind, enum neap_phase phase,
                       const char *format, ...);
void neap_verdict_starve(struct neap_transfer *transfer, const char *message);
void neap_verdict_of(const struct neap_transfer *transfer, CURLcode code,
                     struct neap_outcome *outcome);
void neap_verdict_of_repetition(struct neap_transfer *transfer);

/* transport.c: lets libcurl act on a descriptor or on its timer, then collects what has ended. */
void neap_transport_act(struct neap_shard *shard, int fd, int curl_events);
void neap_transport_hold_sigpipe(const struct neap_transport *transport,
                                 struct neap_sigpipe *guard);
/* Ends a transfer with its verdict, from a step of the loop. The transfer is gone, and perhaps the
 * transport. */
void neap_transport_end(struct neap_transfer *transfer);

#endif
