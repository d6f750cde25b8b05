#include "client/desk.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/owner.h"
#include "platform/fork_lock.h"
#include "platform/process.h"

struct neap_desk {
    const struct neap_alloc *alloc;
    struct neap_store *store;
    struct neap_fork_lock lock; /* of the store, and of the next */
    int64_t down_ns;            /* when its last step found it down; 0: it did not */
    bool is_quick;
    uint32_t references; /* one of each errand that is out included */
    bool closing;

    struct neap_engine *engine; /* the one that errands come back to; NULL before the first */
    struct neap_member member;
    struct neap_helper *helper; /* NULL: no thread yet */
    struct neap_helper_listener listener;
    pthread_mutex_t bell_lock;
    struct neap_helper *bell; /* whose doorbell the host waits at; NULL: its loop is enough */
    struct neap_watch watch;  /* of an eventfd on the engine's loop, while errands are out */
    int back_fd;
    uint32_t out;                   /* errands */
    int64_t process;                /* whose thread and descriptors these are */
    struct neap_desk_guest *guests; /* the thread's */
};

struct neap_desk *neap_desk_hold(struct neap_desk *desk)
{
    desk->references++;
    return desk;
}

bool neap_desk_is_quick(const struct neap_desk *desk)
{
    return desk->is_quick;
}

bool neap_desk_is_lost(const struct neap_desk *desk)
{
    bool was_at_work = desk->out > 0 || neap_fork_lock_is_torn(&desk->lock);
    return was_at_work && desk->process != neap_process_id();
}

/* ------------------------------------------------------------------------------- coming back */

static void on_back(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    struct neap_desk *desk = NEAP_OWNER(watch, struct neap_desk, watch);
    uint64_t count;
    ssize_t unused = read(watch->fd, &count, sizeof count);
    (void)unused;
    (void)events;
    (void)now_ns;
    neap_desk_hold(desk); /* what comes back may let go of it */
    neap_helper_collect(desk->helper);
    neap_desk_release(desk);
}

/* On the desk's thread, which may still be here when what it returned has ended and the owner has
 * gone over to another engine: hence the lock. */
static void on_returned(struct neap_helper_listener *listener)
{
    struct neap_desk *desk = NEAP_OWNER(listener, struct neap_desk, listener);
    uint64_t one = 1;
    ssize_t unused = write(desk->back_fd, &one, sizeof one);
    (void)unused;
    pthread_mutex_lock(&desk->bell_lock);
    if (desk->bell)
        neap_helper_knock(desk->bell);
    pthread_mutex_unlock(&desk->bell_lock);
}

static void set_bell(struct neap_desk *desk, struct neap_helper *bell)
{
    if (desk->bell == bell)
        return;
    pthread_mutex_lock(&desk->bell_lock);
    desk->bell = bell;
    pthread_mutex_unlock(&desk->bell_lock);
}

static void run_errand(struct neap_errand *errand)
{
    struct neap_desk_errand *sent = NEAP_OWNER(errand, struct neap_desk_errand, errand);
    sent->run(sent);
}

static void end_errand(struct neap_errand *errand)
{
    struct neap_desk_errand *sent = NEAP_OWNER(errand, struct neap_desk_errand, errand);
    struct neap_desk *desk = sent->desk;
    desk->engine->busy--;
    if (--desk->out == 0)
        neap_loop_unwatch(desk->engine->loop, &desk->watch);
    sent->back(sent);
    neap_desk_release(desk);
}

/* ------------------------------------------------------------------------------- the thread */

static void close_back(struct neap_desk *desk)
{
    if (desk->back_fd >= 0)
        close(desk->back_fd);
    desk->back_fd = -1;
}

/* In a forked child, whose parent goes on with the thread. */
static void forsake_thread(struct neap_desk *desk)
{
    if (desk->helper)
        neap_helper_forsake(desk->helper);
    desk->helper = NULL;
    desk->guests = NULL;
    desk->bell = NULL;
    close_back(desk);
    pthread_mutex_init(&desk->bell_lock, NULL);
    desk->process = neap_process_id();
}

static enum neap_status adopt(struct neap_member *member)
{
    struct neap_desk *desk = NEAP_OWNER(member, struct neap_desk, member);
    if (!neap_desk_is_lost(desk))
        forsake_thread(desk);
    return NEAP_OK;
}

static void leave_engine(struct neap_desk *desk)
{
    set_bell(desk, NULL);
    neap_engine_leave(&desk->member);
    neap_engine_release(desk->engine);
}

/* A child whose engine could not be adopted has another one. */
static void join_engine(struct neap_desk *desk, struct neap_engine *engine)
{
    if (desk->process != neap_process_id())
        forsake_thread(desk);
    if (desk->engine == engine)
        return;
    leave_engine(desk);
    desk->engine = neap_engine_hold(engine);
    neap_engine_join(engine, &desk->member);
}

static enum neap_status start_thread(struct neap_desk *desk)
{
    enum neap_status status = NEAP_OK;
    if (desk->back_fd < 0)
        desk->back_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (desk->back_fd < 0)
        return NEAP_SYSTEM;
    if (!desk->helper)
        status = neap_helper_new_heard(desk->alloc, &desk->listener, &desk->helper);
    return status == NEAP_OK ? neap_helper_start(desk->helper) : status;
}

/* The doorbell at which this host waits. */
static enum neap_status start_bell(struct neap_desk *desk)
{
    struct neap_helper *helper;
    if (!desk->engine->wants_helper)
        return NEAP_OK;
    enum neap_status status = neap_engine_get_helper(desk->engine, &helper);
    if (status == NEAP_OK)
        status = neap_helper_start(helper);
    if (status == NEAP_OK)
        set_bell(desk, helper);
    return status;
}

/* All that an errand's way there and back needs. */
static enum neap_status open_way(struct neap_desk *desk, struct neap_engine *engine)
{
    join_engine(desk, engine);
    enum neap_status status = start_bell(desk);
    if (status == NEAP_OK)
        status = start_thread(desk);
    if (status == NEAP_OK && desk->out == 0)
        status = neap_loop_watch(engine->loop, &desk->watch, desk->back_fd, NEAP_READABLE);
    return status;
}

enum neap_status neap_desk_send(struct neap_desk *desk, struct neap_engine *engine,
                                struct neap_desk_errand *errand)
{
    bool is_out_for_another = desk->out > 0 && desk->engine != engine;
    if (neap_desk_is_lost(desk) || is_out_for_another)
        return NEAP_INVALID;
    enum neap_status status = desk->closing ? NEAP_OK : open_way(desk, engine);
    if (status != NEAP_OK)
        return status;
    desk->out++;
    engine->busy++;
    errand->desk = neap_desk_hold(desk);
    errand->errand = (struct neap_errand){.run = run_errand, .back = end_errand};
    neap_helper_post(desk->helper, &errand->errand);
    return NEAP_OK;
}

#define FORKED_WHILE_BUSY                                                                          \
    "this process was forked while the store was at work; make a store in each process"

const char *neap_desk_failure(enum neap_status status)
{
    static const char *const reasons[] = {
        [NEAP_OK] = "",
        [NEAP_NO_MEMORY] = "not enough memory",
        [NEAP_INVALID] = FORKED_WHILE_BUSY,
        [NEAP_NOT_FOUND] = "",
        [NEAP_SYSTEM] = "the system gives no thread or no descriptors for the store",
    };
    return reasons[status];
}

void neap_desk_return(struct neap_desk_errand *errand)
{
    neap_helper_return(errand->desk->helper, &errand->errand);
}

struct neap_loop *neap_desk_loop(struct neap_desk *desk)
{
    return neap_helper_loop(desk->helper);
}

void neap_desk_admit(struct neap_desk *desk, struct neap_desk_guest *guest)
{
    guest->next = desk->guests;
    guest->link = &desk->guests;
    if (guest->next)
        guest->next->link = &guest->next;
    desk->guests = guest;
}

void neap_desk_dismiss(struct neap_desk_guest *guest)
{
    *guest->link = guest->next;
    if (guest->next)
        guest->next->link = guest->link;
}

struct neap_store *neap_desk_take(struct neap_desk *desk)
{
    neap_fork_lock_take(&desk->lock);
    return desk->store;
}

void neap_desk_give(struct neap_desk *desk)
{
    neap_fork_lock_give(&desk->lock);
}

void neap_desk_note(struct neap_desk *desk, bool is_down, int64_t now_ns)
{
    desk->down_ns = is_down ? now_ns : 0;
}

bool neap_desk_is_down_since(const struct neap_desk *desk, int64_t since_ns)
{
    return desk->down_ns > since_ns;
}

/* ------------------------------------------------------------------------------- life */

/* Guests find the loop still there. */
static void stop_thread(struct neap_desk *desk)
{
    neap_helper_stop(desk->helper);
    while (desk->guests) {
        struct neap_desk_guest *guest = desk->guests;
        neap_desk_dismiss(guest);
        guest->evict(guest);
    }
    neap_helper_free(desk->helper);
    close_back(desk);
}

/* A store that nobody knows the state of stays where it is, since its end might not be safe. */
static void end(struct neap_desk *desk)
{
    bool is_lost = neap_desk_is_lost(desk);
    if (desk->process != neap_process_id())
        forsake_thread(desk);
    else
        stop_thread(desk);
    leave_engine(desk);
    if (!is_lost)
        neap_store_free(desk->store);
    neap_fork_lock_deinit(&desk->lock);
    pthread_mutex_destroy(&desk->bell_lock);
    neap_free(desk->alloc, desk);
}

/* What is out when nobody holds the desk any more, nobody waits for; but its end is somebody's turn
 * to come, unless there will be none. */
static void end_if_left(struct neap_desk *desk)
{
    bool is_held = desk->references > desk->out;
    bool will_be_back = desk->out > 0 && !desk->engine->is_deserted && !neap_desk_is_lost(desk);
    if (is_held || will_be_back || desk->closing)
        return;
    desk->closing = true;
    if (desk->out > 0 && !neap_engine_is_inherited(desk->engine))
        neap_loop_unwatch(desk->engine->loop, &desk->watch);
    end(desk);
}

void neap_desk_release(struct neap_desk *desk)
{
    if (!desk)
        return;
    desk->references--;
    end_if_left(desk);
}

static void desert(struct neap_member *member)
{
    end_if_left(NEAP_OWNER(member, struct neap_desk, member));
}

enum neap_status neap_desk_new(const struct neap_alloc *alloc, struct neap_store *store,
                               bool is_quick, struct neap_desk **desk)
{
    struct neap_desk *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made) {
        neap_store_free(store);
        return NEAP_NO_MEMORY;
    }
    made->alloc = alloc;
    made->store = store;
    made->is_quick = is_quick;
    made->references = 1;
    made->back_fd = -1;
    made->watch.ready = on_back;
    made->listener.returned = on_returned;
    made->member.adopt = adopt;
    made->member.desert = desert;
    made->process = neap_process_id();
    neap_fork_lock_init(&made->lock);
    pthread_mutex_init(&made->bell_lock, NULL);
    *desk = made;
    return NEAP_OK;
}
