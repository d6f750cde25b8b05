#include "simulation/server.h"

#include "base/duration.h"

#define REFUSED_AFTER_NS NEAP_MS

void neap_server_init(struct neap_server *server, const struct neap_server_model *model,
                      uint64_t seed)
{
    server->model = model;
    server->busy_until_ns = 0;
    neap_random_init(&server->random, seed);
    for (size_t i = 0; i < NEAP_INCIDENT_MAX; i++)
        neap_rate_limiter_init(&server->limit[i]);
}

int64_t neap_server_backlog(const struct neap_server *server, int64_t now_ns)
{
    return neap_time_since(server->busy_until_ns, now_ns);
}

static bool is_on(const struct neap_incident *incident, enum neap_incident_kind kind,
                  int64_t now_ns)
{
    return incident->kind == kind && now_ns >= incident->from_ns && now_ns < incident->until_ns;
}

static int64_t latency(struct neap_server *server, int64_t now_ns)
{
    const struct neap_server_model *model = server->model;
    int64_t mean_ns = model->latency_ns;
    for (size_t i = 0; i < model->incident_count; i++)
        if (is_on(&model->incident[i], NEAP_INCIDENT_SLOW, now_ns))
            mean_ns = model->incident[i].latency_ns;
    double share = 1 + model->spread * (2 * neap_random_unit(&server->random) - 1);
    return neap_ns_from_seconds(neap_seconds_from_ns(mean_ns) * share);
}

static struct neap_reply refusal(int status, int64_t at_ns, int64_t retry_after_ns)
{
    return (struct neap_reply){.at_ns = at_ns,
                               .status = status,
                               .retry_after_ns = retry_after_ns,
                               .served_ns = NEAP_NEVER};
}

static struct neap_reply fail(const struct neap_incident *outage, int64_t now_ns,
                              int64_t latency_ns)
{
    struct neap_reply reply =
        refusal(503, neap_time_add(now_ns, latency_ns), outage->retry_after_ns);
    if (outage->outage == NEAP_OUTAGE_STATUS)
        return reply;
    bool is_refused = outage->outage == NEAP_OUTAGE_REFUSED;
    reply.at_ns = is_refused ? neap_time_add(now_ns, REFUSED_AFTER_NS) : NEAP_NEVER;
    reply.kind = is_refused ? NEAP_KIND_CONNECT : NEAP_KIND_TIMEOUT;
    reply.status = 0;
    reply.retry_after_ns = -1;
    return reply;
}

/* A limit counts what it lets through; whole seconds are allowed at once. */
static bool limits(struct neap_server *server, size_t index, int64_t now_ns)
{
    const struct neap_incident *incident = &server->model->incident[index];
    const struct neap_rate_limiter_policy policy = {
        .interval_s = 1 / incident->amount,
        .burst = incident->amount > 1 ? incident->amount : 1,
    };
    if (!is_on(incident, NEAP_INCIDENT_RATE_LIMIT, now_ns))
        return false;
    return neap_rate_limiter_acquire(&server->limit[index], &policy, 1, 0, now_ns).decision ==
           NEAP_REFUSE;
}

/* Does the server refuse it before doing anything for it? */
static bool refuse(struct neap_server *server, int64_t now_ns, int64_t latency_ns,
                   struct neap_reply *reply)
{
    const struct neap_server_model *model = server->model;
    for (size_t i = 0; i < model->incident_count; i++) {
        if (is_on(&model->incident[i], NEAP_INCIDENT_OUTAGE, now_ns)) {
            *reply = fail(&model->incident[i], now_ns, latency_ns);
            return true;
        }
    }
    for (size_t i = 0; i < model->incident_count; i++) {
        if (limits(server, i, now_ns)) {
            *reply =
                refusal(429, neap_time_add(now_ns, latency_ns), model->incident[i].retry_after_ns);
            return true;
        }
    }
    if (model->capacity <= 0 || neap_server_backlog(server, now_ns) <= model->queue_ns)
        return false;
    *reply = refusal(503, neap_time_add(now_ns, latency_ns), -1);
    return true;
}

/* Of a share of 0.3 three in ten fail, each by itself. */
static const struct neap_incident *brownout(struct neap_server *server, int64_t now_ns)
{
    const struct neap_server_model *model = server->model;
    for (size_t i = 0; i < model->incident_count; i++)
        if (is_on(&model->incident[i], NEAP_INCIDENT_BROWNOUT, now_ns) &&
            neap_random_unit(&server->random) < model->incident[i].amount)
            return &model->incident[i];
    return NULL;
}

struct neap_reply neap_server_receive(struct neap_server *server, int64_t now_ns)
{
    const struct neap_server_model *model = server->model;
    struct neap_reply reply;
    int64_t latency_ns = latency(server, now_ns);
    if (refuse(server, now_ns, latency_ns, &reply))
        return reply;

    int64_t work_ns = model->capacity > 0 ? neap_ns_from_seconds(1 / model->capacity) : 0;
    server->busy_until_ns = neap_time_add(neap_time_max(server->busy_until_ns, now_ns), work_ns);
    const struct neap_incident *failing = brownout(server, now_ns);
    return (struct neap_reply){.at_ns = neap_time_add(server->busy_until_ns, latency_ns),
                               .status = failing ? 503 : 200,
                               .retry_after_ns = failing ? failing->retry_after_ns : -1,
                               .served_ns = server->busy_until_ns};
}
