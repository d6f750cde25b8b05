#include "platform/helper.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/owner.h"
#include "platform/doorbell.h"
#include "platform/exit_stop.h"

/* So many errands are worth a wake-up, and keep a thread that has a core of its own busy. */
#define UNTOLD_MAX 16u

struct queue {
    struct neap_errand *first, *last;
};

struct neap_helper {
    const struct neap_alloc *alloc;
    struct neap_loop *loop;
    struct neap_doorbell *bell; /* or */
    struct neap_helper_listener *listener;
    struct neap_watch wake; /* an eventfd: the inbox is not empty, or it is time to stop */
    int wake_fd;
    pthread_t thread;
    bool runs; /* owner's; after it, the rest is shared */

    pthread_mutex_t lock; /* of both queues */
    struct queue inbox, outbox;
    _Atomic bool stops, armed, has_returned;
    struct neap_errand nudge;
    bool nudging;    /* owner's: the nudge is on its way */
    uint32_t untold; /* owner's: errands in the inbox of which the thread was told nothing yet */

    struct neap_exit_stop at_exit;
};

/* ------------------------------------------------------------------------------- queues */

static bool push(struct neap_helper *helper, struct queue *queue, struct neap_errand *errand)
{
    errand->next = NULL;
    pthread_mutex_lock(&helper->lock);
    bool was_empty = !queue->first;
    if (was_empty)
        queue->first = errand;
    else
        queue->last->next = errand;
    queue->last = errand;
    pthread_mutex_unlock(&helper->lock);
    return was_empty;
}

static struct neap_errand *take_all(struct neap_helper *helper, struct queue *queue)
{
    pthread_mutex_lock(&helper->lock);
    struct neap_errand *first = queue->first;
    *queue = (struct queue){NULL, NULL};
    pthread_mutex_unlock(&helper->lock);
    return first;
}

static void wake_up(struct neap_helper *helper)
{
    uint64_t one = 1;
    ssize_t unused = write(helper->wake_fd, &one, sizeof one);
    (void)unused;
}

/* ------------------------------------------------------------------------------- the thread */

static void run_inbox(struct neap_helper *helper)
{
    struct neap_errand *errand = take_all(helper, &helper->inbox);
    while (errand) {
        struct neap_errand *next = errand->next;
        errand->run(errand);
        errand = next;
    }
}

static void on_wake(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    uint64_t count;
    ssize_t unused = read(watch->fd, &count, sizeof count);
    (void)events;
    (void)now_ns;
    (void)unused;
    run_inbox(NEAP_OWNER(watch, struct neap_helper, wake));
}

/* Once for all that a turn has brought back: whoever answers the bell does a round of his own. */
static void ring_if_awaited(struct neap_helper *helper)
{
    if (atomic_load(&helper->has_returned) && atomic_exchange(&helper->armed, false))
        neap_doorbell_ring(helper->bell);
}

static void *live(void *context)
{
    struct neap_helper *helper = context;
    while (!atomic_load(&helper->stops)) {
        neap_loop_turn(helper->loop, NEAP_NEVER);
        ring_if_awaited(helper);
    }
    run_inbox(helper);
    return NULL;
}

/* ------------------------------------------------------------------------------- public */

static void on_nudge(struct neap_errand *errand)
{
    neap_helper_return(NEAP_OWNER(errand, struct neap_helper, nudge), errand);
}

static void on_nudged(struct neap_errand *errand)
{
    (NEAP_OWNER(errand, struct neap_helper, nudge))->nudging = false;
}

static enum neap_status set_up(struct neap_helper *helper)
{
    enum neap_status status = neap_loop_new(helper->alloc, &helper->loop);
    if (status == NEAP_OK && !helper->listener)
        status = neap_doorbell_new(helper->alloc, helper->loop, &helper->bell);
    if (status != NEAP_OK)
        return status;
    helper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    helper->wake.ready = on_wake;
    if (helper->wake_fd < 0)
        return NEAP_SYSTEM;
    return neap_loop_watch(helper->loop, &helper->wake, helper->wake_fd, NEAP_READABLE);
}

static void join(struct neap_helper *helper)
{
    if (!helper->runs)
        return;
    atomic_store(&helper->stops, true);
    wake_up(helper);
    pthread_join(helper->thread, NULL);
    helper->runs = false;
}

static void on_exit_stop(struct neap_exit_stop *entry)
{
    join(NEAP_OWNER(entry, struct neap_helper, at_exit));
}

static enum neap_status make(const struct neap_alloc *alloc, struct neap_helper_listener *listener,
                             struct neap_helper **helper)
{
    struct neap_helper *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    made->listener = listener;
    made->wake_fd = -1;
    made->at_exit.stop = on_exit_stop;
    made->nudge = (struct neap_errand){.run = on_nudge, .back = on_nudged};
    pthread_mutex_init(&made->lock, NULL);
    enum neap_status status = set_up(made);
    if (status == NEAP_OK)
        *helper = made;
    else
        neap_helper_free(made);
    return status;
}

enum neap_status neap_helper_new(const struct neap_alloc *alloc, struct neap_helper **helper)
{
    return make(alloc, NULL, helper);
}

enum neap_status neap_helper_new_heard(const struct neap_alloc *alloc,
                                       struct neap_helper_listener *listener,
                                       struct neap_helper **helper)
{
    return make(alloc, listener, helper);
}

void neap_helper_stop(struct neap_helper *helper)
{
    if (!helper)
        return;
    neap_exit_stop_remove(&helper->at_exit);
    join(helper);
    do
        run_inbox(helper); /* what was posted since the thread has ended */
    while (neap_helper_collect(helper));
}

void neap_helper_free(struct neap_helper *helper)
{
    if (!helper)
        return;
    neap_helper_stop(helper);
    neap_doorbell_free(helper->bell);
    if (helper->loop)
        neap_loop_unwatch(helper->loop, &helper->wake);
    neap_loop_free(helper->loop);
    if (helper->wake_fd >= 0)
        close(helper->wake_fd);
    pthread_mutex_destroy(&helper->lock);
    neap_free(helper->alloc, helper);
}

void neap_helper_forsake(struct neap_helper *helper)
{
    close(neap_loop_fd(helper->loop));
    close(helper->wake_fd);
    if (helper->bell)
        neap_doorbell_forsake(helper->bell);
}

enum neap_status neap_helper_start(struct neap_helper *helper)
{
    sigset_t all, before;
    if (helper->runs)
        return NEAP_OK;
    if (atomic_load(&helper->stops))
        return NEAP_SYSTEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread has its maker's mask */
    helper->runs = pthread_create(&helper->thread, NULL, live, helper) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!helper->runs)
        return NEAP_SYSTEM;
    neap_exit_stop_add(&helper->at_exit);
    return NEAP_OK;
}

struct neap_loop *neap_helper_loop(struct neap_helper *helper)
{
    return helper->loop;
}

void neap_helper_post(struct neap_helper *helper, struct neap_errand *errand)
{
    bool was_empty = push(helper, &helper->inbox, errand);
    if (was_empty || helper->untold > 0)
        wake_up(helper);
    helper->untold = 0;
}

/* The thread looks into the inbox only when it was told to: what is not empty here, and not told
 * of, stays so. */
void neap_helper_post_soon(struct neap_helper *helper, struct neap_errand *errand)
{
    bool was_empty = push(helper, &helper->inbox, errand);
    if (was_empty || helper->untold > 0)
        helper->untold++;
    if (helper->untold >= UNTOLD_MAX)
        neap_helper_flush(helper);
}

bool neap_helper_is_untold(const struct neap_helper *helper)
{
    return helper->untold > 0;
}

void neap_helper_flush(struct neap_helper *helper)
{
    if (helper->untold > 0)
        wake_up(helper);
    helper->untold = 0;
}

void neap_helper_return(struct neap_helper *helper, struct neap_errand *errand)
{
    push(helper, &helper->outbox, errand);
    atomic_store(&helper->has_returned, true);
    if (helper->listener)
        helper->listener->returned(helper->listener);
}

bool neap_helper_collect(struct neap_helper *helper)
{
    neap_helper_flush(helper);
    if (!atomic_exchange(&helper->has_returned, false))
        return false;
    struct neap_errand *errand = take_all(helper, &helper->outbox);
    bool any = errand != NULL;
    while (errand) {
        struct neap_errand *next = errand->next;
        errand->back(errand);
        errand = next;
    }
    return any;
}

/* The thread looks at `armed` after it has set `has_returned`, this one the other way round: one of
 * the two sees the other's. */
bool neap_helper_arm(struct neap_helper *helper)
{
    neap_helper_flush(helper);
    atomic_store(&helper->armed, true);
    return !atomic_load(&helper->has_returned);
}

void neap_helper_nudge(struct neap_helper *helper)
{
    if (helper->nudging || !helper->runs)
        return;
    helper->nudging = true;
    neap_helper_post(helper, &helper->nudge);
}

void neap_helper_knock(struct neap_helper *helper)
{
    atomic_store(&helper->has_returned, true);
    wake_up(helper);
}

int neap_helper_doorbell(const struct neap_helper *helper)
{
    return helper->bell ? neap_doorbell_address(helper->bell) : -1;
}
