/* The alerts of a client: who sees to it that windows are judged in time, and what is still to be
 * told to the program.
 *
 * A window that has ended is judged before the next step of any call, by a timer of the loop where
 * somebody turns it, and when somebody asks for statistics; of many processes that share the state
 * one judges, and that one tells. The timer is set only while there is something to judge: since a
 * call was made, or while an alert fires that time alone can end. So it never keeps a virtual clock
 * going. The breakers are looked at after each step of a call.
 *
 * Belongs to the engine's thread. A client without alerts has `alerts` NULL, and none of this is
 * called. */
#ifndef NEAP_CLIENT_CLIENT_ALERTS_H
#define NEAP_CLIENT_CLIENT_ALERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/status.h"
#include "client/engine.h"
#include "metrics/alerts.h"

struct neap_client;
struct neap_exchange;

/* So many changes wait to be told; of more the oldest are lost, each counted as a listener's error.
 */
#define NEAP_ALERTS_UNTOLD_MAX 32u

struct neap_alert_watch {
    struct neap_waiter waiter; /* ready while there is something to tell */
    struct neap_loop_timer timer;
    struct neap_client *client;
    struct neap_alert_change untold[NEAP_ALERTS_UNTOLD_MAX]; /* a ring */
    uint32_t first, count;
};

/* The watch of a client that has its state by now, and the first window. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_client_alerts_begin(struct neap_client *client);
void neap_client_alerts_end(struct neap_client *client);

/* From now on the successor judges and tells, also what is untold by now. */
void neap_client_alerts_hand_over(struct neap_client *client, struct neap_client *successor);

/* In a forked child: what is untold is the parent's to tell, and its timer is on the parent's loop.
 */
void neap_client_alerts_adopt(struct neap_client *client);

/* Around each step of a call, at the moment of that step. */
void neap_client_alerts_before(struct neap_client *client, int64_t now_ns);
void neap_client_alerts_after(const struct neap_exchange *exchange, int64_t now_ns);

/* Judges all that can be judged now. */
void neap_client_alerts_look(struct neap_client *client, int64_t now_ns);

/* The oldest change that is untold, which stays so, or is then told. False where there is none. */
bool neap_client_alerts_peek(const struct neap_client *client, struct neap_alert_change *change);
bool neap_client_alerts_take(struct neap_client *client, struct neap_alert_change *change);

/* When the timer is due; NEAP_NEVER where it is not set. */
int64_t neap_client_alerts_wakeup(const struct neap_client *client);

#endif
