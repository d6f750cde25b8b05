#include "support/threads.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static pthread_barrier_t barrier;
static _Atomic int violations;

void threads_run(int count, void *(*work)(void *number))
{
    pthread_t thread[THREADS_MAX];
    int number[THREADS_MAX];
    assert_in_range(count, 1, THREADS_MAX);
    atomic_store(&violations, 0);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, (unsigned)count), 0);
    for (int i = 0; i < count; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, work, &number[i]), 0);
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(atomic_load(&violations), 0);
}

bool threads_meet(void)
{
    return pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
}

void threads_expect(bool holds)
{
    if (!holds)
        atomic_fetch_add(&violations, 1);
}
