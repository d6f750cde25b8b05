/* Preloaded behind AddressSanitizer's runtime: takes LD_PRELOAD out of the environment again, so
 * that the programs a spec starts (a shell, openssl, nginx) run without the sanitizer and its leak
 * report. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>

__attribute__((constructor)) static void leave_no_preload(void)
{
    unsetenv("LD_PRELOAD");
}
