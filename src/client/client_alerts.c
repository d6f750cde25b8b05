#include "client/client_alerts.h"

#include "base/duration.h"
#include "base/hash.h"
#include "base/owner.h"
#include "client/client.h"
#include "client/exchange.h"

static void keep(struct neap_client *client, const struct neap_alert_change *change)
{
    struct neap_alert_watch *watch = client->alert_watch;
    if (watch->count == NEAP_ALERTS_UNTOLD_MAX) {
        watch->first = (watch->first + 1) % NEAP_ALERTS_UNTOLD_MAX;
        watch->count--;
        neap_count(&client->board->counters.listener_errors);
    }
    watch->untold[(watch->first + watch->count++) % NEAP_ALERTS_UNTOLD_MAX] = *change;
    neap_waiter_wake(&watch->waiter, client->engine);
}

bool neap_client_alerts_peek(const struct neap_client *client, struct neap_alert_change *change)
{
    const struct neap_alert_watch *watch = client->alert_watch;
    if (watch->count > 0)
        *change = watch->untold[watch->first];
    return watch->count > 0;
}

bool neap_client_alerts_take(struct neap_client *client, struct neap_alert_change *change)
{
    struct neap_alert_watch *watch = client->alert_watch;
    if (!neap_client_alerts_peek(client, change))
        return false;
    watch->first = (watch->first + 1) % NEAP_ALERTS_UNTOLD_MAX;
    if (--watch->count == 0)
        neap_waiter_forget(&watch->waiter, client->engine);
    return true;
}

/* ------------------------------------------------------------------------------------ breakers */

static bool fires(const struct neap_client *client, enum neap_alert alert)
{
    return (neap_alerts_firing(client->alerts) >> alert & 1u) != 0;
}

/* While it is half open it is undecided, and the alert stays as it is. */
enum verdict { CLOSED, OPEN, UNDECIDED };

static enum verdict verdict_of(const struct neap_breaker *breaker)
{
    static const enum verdict verdicts[NEAP_BREAKER_STATE_COUNT] = {
        [NEAP_BREAKER_CLOSED] = CLOSED,       [NEAP_BREAKER_OPEN] = OPEN,
        [NEAP_BREAKER_HALF_OPEN] = UNDECIDED, [NEAP_BREAKER_FORCED_OPEN] = OPEN,
        [NEAP_BREAKER_DISABLED] = CLOSED,     [NEAP_BREAKER_METRICS_ONLY] = CLOSED,
    };
    return verdicts[neap_breaker_state(breaker)];
}

static uint32_t open_breakers(const struct neap_client *client, int64_t now_ns)
{
    if (!client->breaker)
        return neap_alerts_open_keys(client->alerts, &client->policy.alerts, now_ns);
    enum verdict verdict = verdict_of(client->breaker);
    return verdict == OPEN || (verdict == UNDECIDED && fires(client, NEAP_ALERT_BREAKER_OPEN));
}

#define LOOKS_MAX 4

/* Others may change a breaker between the look at it and the judgement: whoever comes last must
 * have looked last. What still changes after some looks is left to the next step. */
static void judge_breakers(struct neap_client *client, int64_t now_ns)
{
    struct neap_alert_change change;
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        uint32_t open = open_breakers(client, now_ns);
        if (!neap_alerts_note_breakers(client->alerts, &client->policy.alerts, open, now_ns,
                                       &change))
            return;
        keep(client, &change);
    }
}

/* One for all processes. Who could make keys that collide would win nothing. */
static uint64_t hash_of(const struct neap_text *key)
{
    static const struct neap_hash_seed seed = {{UINT64_C(0x616C65727473), UINT64_C(0x6E656170)}};
    return neap_hash(&seed, key->text, key->bytes);
}

void neap_client_alerts_after(const struct neap_exchange *exchange, int64_t now_ns)
{
    struct neap_client *client = exchange->client;
    if (!exchange->breaker || !client->policy.alerts.has[NEAP_ALERT_BREAKER_OPEN])
        return;
    enum verdict verdict = verdict_of(exchange->breaker);
    if (verdict == UNDECIDED)
        return;
    bool open = verdict == OPEN;
    bool firing = fires(client, NEAP_ALERT_BREAKER_OPEN);
    bool is_of_key = !client->breaker && (open || firing);
    if (is_of_key)
        neap_alerts_note_key(client->alerts, &client->policy.alerts,
                             hash_of(&exchange->breaker_key), open, now_ns);
    if (is_of_key || open != firing)
        judge_breakers(client, now_ns);
}

/* ------------------------------------------------------------------------------------- windows */

static void judge_windows(struct neap_client *client, int64_t now_ns)
{
    struct neap_alert_change change[NEAP_ALERT_CHANGES_MAX];
    const struct neap_alert_reading reading = {
        .counters = &client->board->counters,
        .in_flight = (int64_t)neap_board_add_up(client->board).in_flight,
    };
    uint32_t changes =
        neap_alerts_look(client->alerts, &client->policy.alerts, &reading, now_ns, change);
    for (uint32_t i = 0; i < changes; i++)
        keep(client, &change[i]);
}

void neap_client_alerts_look(struct neap_client *client, int64_t now_ns)
{
    if (neap_alerts_is_due(client->alerts, now_ns))
        judge_windows(client, now_ns);
    if (client->policy.alerts.has[NEAP_ALERT_BREAKER_OPEN])
        judge_breakers(client, now_ns);
}

/* Without memory for one more timer the window is judged with the next call. */
static void set_timer(struct neap_client *client)
{
    struct neap_alert_watch *watch = client->alert_watch;
    enum neap_status ignored =
        neap_loop_set(client->engine->loop, &watch->timer, neap_alerts_closes(client->alerts));
    (void)ignored;
}

/* Keys that are called no more are forgotten after a while; the client's one breaker stays open
 * until somebody calls. */
static bool ends_by_itself(const struct neap_client *client)
{
    uint32_t firing = neap_alerts_firing(client->alerts);
    bool forgets = !client->breaker && fires(client, NEAP_ALERT_BREAKER_OPEN);
    return forgets || (firing & NEAP_ALERTS_OF_WINDOWS) != 0;
}

static void on_window_end(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_alert_watch *watch = NEAP_OWNER(timer, struct neap_alert_watch, timer);
    neap_client_alerts_look(watch->client, now_ns);
    if (ends_by_itself(watch->client))
        set_timer(watch->client);
}

int64_t neap_client_alerts_wakeup(const struct neap_client *client)
{
    const struct neap_timer *timer = &client->alert_watch->timer.node;
    return timer->index > 0 ? timer->when_ns : NEAP_NEVER;
}

/* The timer may still be set for the end of a window that somebody else has judged. */
void neap_client_alerts_before(struct neap_client *client, int64_t now_ns)
{
    if (neap_alerts_is_due(client->alerts, now_ns))
        neap_client_alerts_look(client, now_ns);
    if (neap_client_alerts_wakeup(client) != neap_alerts_closes(client->alerts))
        set_timer(client);
}

/* ---------------------------------------------------------------------------------------- life */

enum neap_status neap_client_alerts_begin(struct neap_client *client)
{
    struct neap_alert_watch *watch = neap_alloc_zeroed(client->alloc, sizeof *watch);
    if (!watch)
        return NEAP_NO_MEMORY;
    watch->client = client;
    watch->timer.fire = on_window_end;
    neap_waiter_init(&watch->waiter, client->engine);
    client->alert_watch = watch;
    neap_client_alerts_look(client, neap_loop_update(client->engine->loop));
    return NEAP_OK;
}

void neap_client_alerts_adopt(struct neap_client *client)
{
    struct neap_alert_watch *watch = client->alert_watch;
    neap_loop_clear(client->engine->loop, &watch->timer);
    neap_waiter_forget(&watch->waiter, client->engine);
    watch->count = 0;
}

void neap_client_alerts_end(struct neap_client *client)
{
    if (!client->alert_watch)
        return;
    neap_client_alerts_adopt(client);
    neap_free(client->alloc, client->alert_watch);
    client->alert_watch = NULL;
}

void neap_client_alerts_hand_over(struct neap_client *client, struct neap_client *successor)
{
    struct neap_alert_change change;
    if (!client->alerts)
        return;
    while (successor->alerts && neap_client_alerts_take(client, &change))
        keep(successor, &change);
    if (successor->alerts && neap_client_alerts_wakeup(client) != NEAP_NEVER)
        set_timer(successor);
    neap_client_alerts_end(client);
    neap_cells_release(&client->cells, client->alerts, neap_loop_now(client->engine->loop));
    client->alerts = NULL;
}
