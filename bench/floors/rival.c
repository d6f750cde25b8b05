#include "rival.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "result.h"

static int ready[2];

static void pin(size_t core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0)
        bench_fail("rival: it cannot run on core %zu", core);
}

pid_t bench_rival_start(size_t core, void (*forever)(void))
{
    char byte;
    if (pipe(ready) != 0)
        bench_fail("rival: no pipe");
    pid_t rival = fork();
    if (rival == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(core);
        forever();
    }
    close(ready[1]);
    if (rival < 0 || read(ready[0], &byte, 1) != 1)
        bench_fail("rival: it did not start");
    close(ready[0]);
    return rival;
}

void bench_rival_is_ready(void)
{
    if (write(ready[1], "", 1) != 1)
        bench_fail("rival: nobody waits for it");
}

void bench_rival_stop(pid_t rival)
{
    kill(rival, SIGKILL);
    waitpid(rival, NULL, 0);
}
