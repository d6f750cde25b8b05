#include "support/memory.h"

struct failing_alloc memory;

int memory_set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    return 0;
}

int memory_tear_down(void **state)
{
    (void)state;
    failing_alloc_assert_all_freed(&memory);
    return 0;
}
