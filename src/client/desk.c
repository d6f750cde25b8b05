#include "client/desk.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/owner.h"
#include "platform/process.h"

struct neap_desk {
    const struct neap_alloc *alloc;
    struct neap_store *store;
    pthread_mutex_t lock; /* of the store */
    bool is_quick;
    uint32_t references; /* those of the errands that are out included */
    bool closing;

    struct neap_engine *engine; /* the one that errands come back to; NULL before the first */
    struct neap_member member;
    struct neap_helper *helper; /* NULL: no thread yet */
    struct neap_helper_listener listener;
    struct neap_watch watch; /* of an eventfd on the engine's loop, while errands are out */
    int back_fd;
    uint32_t out;                   /* errands */
    int64_t process;                /* whose thread and descriptors these are */
    struct neap_desk_guest *guests; /* the thread's */
};

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
    made->process = neap_process_id();
    pthread_mutex_init(&made->lock, NULL);
    *desk = made;
    return NEAP_OK;
}

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
    return desk->out > 0 && desk->process != neap_process_id();
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

/* On the desk's thread. A host that waits at the doorbell of the engine's helper is told there. */
static void on_returned(struct neap_helper_listener *listener)
{
    struct neap_desk *desk = NEAP_OWNER(listener, struct neap_desk, listener);
    uint64_t one = 1;
    ssize_t unused = write(desk->back_fd, &one, sizeof one);
    (void)unused;
    if (desk->engine->wants_helper)
        neap_helper_knock(desk->engine->helper);
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
    close_back(desk);
    pthread_mutex_init(&desk->lock, NULL);
    desk->process = neap_process_id();
}

static enum neap_status adopt(struct neap_member *member)
{
    struct neap_desk *desk = NEAP_OWNER(member, struct neap_desk, member);
    if (!neap_desk_is_lost(desk))
        forsake_thread(desk);
    return NEAP_OK;
}

/* A child whose engine could not be adopted has another one. */
static void join_engine(struct neap_desk *desk, struct neap_engine *engine)
{
    if (desk->process != neap_process_id())
        forsake_thread(desk);
    if (desk->engine == engine)
        return;
    neap_engine_leave(&desk->member);
    neap_engine_release(desk->engine);
    desk->engine = neap_engine_hold(engine);
    desk->member.adopt = adopt;
    neap_engine_join(engine, &desk->member);
}

static enum neap_status start_thread(struct neap_desk *desk)
{
    enum neap_status status = NEAP_OK;
    if (desk->back_fd < 0)
        desk->back_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (desk->back_fd < 0)
        return NEAP_SYSTEM;
    desk->watch.ready = on_back;
    desk->listener.returned = on_returned;
    if (!desk->helper)
        status = neap_helper_new_heard(desk->alloc, &desk->listener, &desk->helper);
    return status == NEAP_OK ? neap_helper_start(desk->helper) : status;
}

/* The doorbell at which this host waits. */
static enum neap_status start_bell(struct neap_engine *engine)
{
    struct neap_helper *helper;
    if (!engine->wants_helper)
        return NEAP_OK;
    enum neap_status status = neap_engine_get_helper(engine, &helper);
    return status == NEAP_OK ? neap_helper_start(helper) : status;
}

/* What comes back while the desk is closing may be sent once more: it is run by who closes. */
static enum neap_status make_ready(struct neap_desk *desk, struct neap_engine *engine)
{
    bool is_out_for_another = desk->out > 0 && desk->engine != engine;
    if (desk->closing)
        return NEAP_OK;
    if (neap_desk_is_lost(desk) || is_out_for_another)
        return NEAP_INVALID;
    join_engine(desk, engine);
    enum neap_status status = start_bell(engine);
    if (status == NEAP_OK)
        status = start_thread(desk);
    if (status == NEAP_OK && desk->out == 0)
        status = neap_loop_watch(engine->loop, &desk->watch, desk->back_fd, NEAP_READABLE);
    return status;
}

enum neap_status neap_desk_send(struct neap_desk *desk, struct neap_engine *engine,
                                struct neap_desk_errand *errand)
{
    enum neap_status status = make_ready(desk, engine);
    if (status != NEAP_OK)
        return status;
    desk->out++;
    engine->busy++;
    errand->desk = neap_desk_hold(desk);
    errand->errand = (struct neap_errand){.run = run_errand, .back = end_errand};
    neap_helper_post(desk->helper, &errand->errand);
    return NEAP_OK;
}

const char *neap_desk_failure(enum neap_status status)
{
    static const char *const reasons[] = {
        [NEAP_OK] = "",
        [NEAP_NO_MEMORY] = "not enough memory",
        [NEAP_INVALID] = "this process was forked while the store was at work; make a store in "
                         "each process",
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
    pthread_mutex_lock(&desk->lock);
    return desk->store;
}

void neap_desk_give(struct neap_desk *desk)
{
    pthread_mutex_unlock(&desk->lock);
}

static void stop_thread(struct neap_desk *desk)
{
    if (desk->process != neap_process_id()) {
        forsake_thread(desk);
        return;
    }
    neap_helper_free(desk->helper);
    while (desk->guests) {
        struct neap_desk_guest *guest = desk->guests;
        neap_desk_dismiss(guest);
        guest->evict(guest);
    }
    close_back(desk);
}

/* What is out when nobody holds the desk any more, nobody waits for. */
void neap_desk_release(struct neap_desk *desk)
{
    if (!desk)
        return;
    desk->references--;
    if (desk->references > desk->out || desk->closing)
        return;
    desk->closing = true;
    if (desk->engine && desk->out > 0 && !neap_engine_is_inherited(desk->engine))
        neap_loop_unwatch(desk->engine->loop, &desk->watch);
    stop_thread(desk);
    neap_engine_leave(&desk->member);
    neap_engine_release(desk->engine);
    neap_store_free(desk->store);
    pthread_mutex_destroy(&desk->lock);
    neap_free(desk->alloc, desk);
}
