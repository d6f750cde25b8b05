/* Gates by name: a request with `gate=NAME` waits until a control request releases NAME. */
#include "gates.h"

#include "base.h"
#include "map.h"

#include <pthread.h>
#include <stdlib.h>

struct gates {
    pthread_mutex_t lock;
    uint64_t resets;
    struct map open; /* to int */
};

struct gates *gates_new(void)
{
    struct gates *gates = memory_get(sizeof *gates);
    pthread_mutex_init(&gates->lock, NULL);
    return gates;
}

void gates_free(struct gates *gates)
{
    if (gates == NULL)
        return;
    map_clear(&gates->open, NULL);
    pthread_mutex_destroy(&gates->lock);
    free(gates);
}

void gates_reset(struct gates *gates)
{
    pthread_mutex_lock(&gates->lock);
    gates->resets++;
    map_clear(&gates->open, NULL);
    pthread_mutex_unlock(&gates->lock);
}

void gates_release(struct gates *gates, const char *name)
{
    pthread_mutex_lock(&gates->lock);
    map_make(&gates->open, name, sizeof(int));
    pthread_mutex_unlock(&gates->lock);
}

static int look(struct gates *gates, const char *name, uint64_t *resets)
{
    pthread_mutex_lock(&gates->lock);
    int open = map_get(&gates->open, name) != NULL;
    *resets = gates->resets;
    pthread_mutex_unlock(&gates->lock);
    return open;
}

int gates_wait(struct gates *gates, const char *name, struct conn *conn)
{
    uint64_t resets;
    uint64_t resets_at_start;
    if (look(gates, name, &resets_at_start))
        return 1;
    while (conn_wait(conn, 0.01))
        if (look(gates, name, &resets) || resets != resets_at_start)
            return 1;
    return 0;
}
