/* What Lua asks a client about its alerts. One whose policy has none, or whose successor has taken
 * them over while they were told, has nothing to tell. */
#include "binding/client_methods.h"
#include "binding/objects.h"
#include "binding/stats_tables.h"

#include "base/duration.h"

/* alerts_waiter(): the id that the engine says is ready when there is something to tell; nil where
 * the policy has no alerts. */
static int client_alerts_waiter(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    if (!client->alerts)
        return 0;
    lua_pushinteger(L, (lua_Integer)client->alert_watch->waiter.id);
    return 1;
}

/* has_alerts(): is there something to tell? */
static int client_has_alerts(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    lua_pushboolean(L, client->alerts && client->alert_watch->count > 0);
    return 1;
}

/* alerts_wait(): in how many seconds a window is to be judged; nil while nothing depends on that.
 */
static int client_alerts_wait(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    if (!client->alerts)
        return 0;
    return neap_push_wait(L, client->engine->loop, neap_client_alerts_wakeup(client));
}

/* look_at_alerts(): judges all that can be judged now. What a forked child sees before it has
 * adopted its client is the parent's to tell. */
static int client_look_at_alerts(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    if (client->alerts && !neap_engine_is_inherited(client->engine))
        neap_client_alerts_look(client, neap_loop_update(client->engine->loop));
    return 0;
}

/* firing_alerts(): a list of { alert, since, value }. */
static int client_firing_alerts(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    uint32_t firing = client->alerts ? neap_alerts_firing(client->alerts) : 0;
    int count = 0;
    lua_newtable(L);
    for (int alert = 0; alert < NEAP_ALERT_COUNT; alert++) {
        if (!(firing >> alert & 1u))
            continue;
        neap_binding_push_firing(L, (enum neap_alert)alert,
                                 neap_alerts_since(client->alerts, (enum neap_alert)alert),
                                 neap_alerts_value(client->alerts, (enum neap_alert)alert));
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* take_alert(): the oldest change that is untold, as listeners get it; nil. */
static int client_take_alert(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    struct neap_alert_change change, told;
    if (!client->alerts || !neap_client_alerts_peek(client, &change))
        return 0;
    lua_createtable(L, 0, 9);
    neap_set_text(L, "event", "alert");
    neap_set_text(L, "alert", neap_alert_name(change.alert));
    neap_set_text(L, "state", change.firing ? "firing" : "resolved");
    neap_set_seconds(L, "at", change.at_ns);
    neap_set_seconds(L, "since", change.since_ns);
    neap_set_seconds(L, "window", client->policy.alerts.window_ns);
    lua_pushnumber(L, change.value);
    lua_setfield(L, -2, "value");
    lua_pushnumber(L, change.threshold);
    lua_setfield(L, -2, "threshold");
    return neap_client_alerts_take(client, &told); /* only now that nothing can fail */
}

const luaL_Reg neap_client_alert_methods[] = {
    {"alerts_waiter", client_alerts_waiter},
    {"has_alerts", client_has_alerts},
    {"alerts_wait", client_alerts_wait},
    {"look_at_alerts", client_look_at_alerts},
    {"firing_alerts", client_firing_alerts},
    {"take_alert", client_take_alert},
    {NULL, NULL},
};
