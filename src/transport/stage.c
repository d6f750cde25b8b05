/* Stage: where a transfer's time goes, and the limit of each stage.
 *
 * The callbacks come far more often than a limit ends, so they only note the moment; the timer
 * stays where it was set, and sets itself anew when it fires too early. Connecting is limited as a
 * whole, writing and reading by their silence. */
#include "base/duration.h"
#include "base/owner.h"
#include "transport/transport_internal.h"

static int64_t now_of(const struct neap_transfer *transfer)
{
    return neap_loop_now(transfer->transport->loop);
}

static int64_t limit_of(const struct neap_transfer *transfer)
{
    switch (transfer->stage) {
    case NEAP_STAGE_WAITING:
        return neap_sharing_is_connecting(transfer) ? transfer->limits.connect_ns : NEAP_NEVER;
    case NEAP_STAGE_CONNECT:
        return transfer->limits.connect_ns;
    case NEAP_STAGE_WRITE:
        return transfer->limits.write_ns;
    case NEAP_STAGE_READ:
        return transfer->limits.read_ns;
    }
    return NEAP_NEVER;
}

enum neap_phase neap_stage_phase(enum neap_stage stage)
{
    if (stage == NEAP_STAGE_READ)
        return NEAP_PHASE_READ;
    return stage == NEAP_STAGE_WRITE ? NEAP_PHASE_WRITE : NEAP_PHASE_CONNECT;
}

static int64_t shortest_limit(const struct neap_limits *limits)
{
    return neap_time_min(limits->connect_ns, neap_time_min(limits->write_ns, limits->read_ns));
}

static int64_t deadline_of(const struct neap_transfer *transfer)
{
    return neap_time_add(transfer->since_ns, limit_of(transfer));
}

/* The timer is always set while a transfer has any limit, also where its stage has none: then no
 * callback of libcurl has to insert it, which can fail. */
static enum neap_status set_timer(struct neap_transfer *transfer, int64_t when_ns)
{
    if (when_ns == NEAP_NEVER)
        when_ns = neap_time_add(now_of(transfer), shortest_limit(&transfer->limits));
    return neap_loop_set(transfer->transport->loop, &transfer->stage_timer, when_ns);
}

void neap_stage_progress(struct neap_transfer *transfer)
{
    transfer->since_ns = now_of(transfer);
}

void neap_stage_enter(struct neap_transfer *transfer, enum neap_stage stage)
{
    transfer->stage = stage;
    transfer->since_ns = now_of(transfer);
    bool is_set = transfer->stage_timer.node.index != 0;
    int64_t when_ns = deadline_of(transfer);
    if (is_set && when_ns < transfer->stage_timer.node.when_ns &&
        set_timer(transfer, when_ns) != NEAP_OK)
        transfer->transport->broken = true; /* moving a timer needs no memory */
}

void neap_stage_uploaded(struct neap_transfer *transfer, int64_t bytes)
{
    if (bytes <= transfer->uploaded)
        return;
    transfer->uploaded = bytes;
    neap_stage_progress(transfer);
    if (transfer->stage == NEAP_STAGE_WRITE && (uint64_t)bytes >= transfer->request.body_bytes)
        neap_stage_enter(transfer, NEAP_STAGE_READ);
}

/* Bytes that are no whole header line yet, or that gave no decoded byte: only the socket has seen
 * them. A connection of HTTP/2 is shared, there they may have been for others. */
static void look_at_socket(struct neap_transfer *transfer)
{
    const struct neap_socket *socket = neap_sockets_find(transfer->transport, transfer->fd);
    if (socket && !socket->http2 && transfer->stage == NEAP_STAGE_READ)
        transfer->since_ns = neap_time_max(transfer->since_ns, socket->readable_ns);
}

static bool has_expired(struct neap_transfer *transfer)
{
    int64_t now_ns = now_of(transfer);
    if (deadline_of(transfer) > now_ns)
        return false;
    look_at_socket(transfer);
    return deadline_of(transfer) <= now_ns;
}

static void expire(struct neap_transfer *transfer)
{
    static const char *const complaints[] = {
        [NEAP_STAGE_WAITING] = "no connection",
        [NEAP_STAGE_CONNECT] = "no connection",
        [NEAP_STAGE_WRITE] = "nothing of the request could be sent",
        [NEAP_STAGE_READ] = "nothing came from the server",
    };
    neap_verdict_fail(transfer, NEAP_KIND_TIMEOUT, neap_stage_phase(transfer->stage),
                      "%s for %.3g s", complaints[transfer->stage],
                      neap_seconds_from_ns(limit_of(transfer)));
    neap_transport_end(transfer);
}

static void fire(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_transfer *transfer = NEAP_OWNER(timer, struct neap_transfer, stage_timer);
    (void)now_ns;
    if (has_expired(transfer)) {
        expire(transfer);
    } else if (set_timer(transfer, deadline_of(transfer)) != NEAP_OK) {
        neap_verdict_starve(transfer, "not enough memory");
        neap_transport_end(transfer);
    }
}

/* Whether waiting has a limit is asked when the timer fires: most have been sent by then. */
enum neap_status neap_stage_begin(struct neap_transfer *transfer)
{
    transfer->stage = NEAP_STAGE_WAITING;
    transfer->since_ns = now_of(transfer);
    transfer->stage_timer.fire = fire;
    return set_timer(transfer, NEAP_NEVER);
}
