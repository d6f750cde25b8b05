/* A short wait of the processor, some 0.2 to 1 microseconds, for whoever lost a race for a word to
 * another thread or process: long enough for the other one to do what he wants more than once, and
 * nothing beside a call. */
#ifndef NEAP_BASE_STEP_BACK_H
#define NEAP_BASE_STEP_BACK_H

#define NEAP_STEP_BACK_HINTS 16

#if defined(__x86_64__) || defined(__i386__)
#define NEAP_WAIT_HINT() __builtin_ia32_pause()
#elif defined(__aarch64__) || defined(__arm__)
#define NEAP_WAIT_HINT() __asm__ volatile("yield")
#else
#define NEAP_WAIT_HINT() ((void)0)
#endif

static inline void neap_step_back(void)
{
    for (int i = 0; i < NEAP_STEP_BACK_HINTS; i++)
        NEAP_WAIT_HINT();
}

#endif
