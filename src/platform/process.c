#include "platform/process.h"

#include <unistd.h>

int64_t neap_process_id(void)
{
    return getpid();
}
