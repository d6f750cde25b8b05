/* Compiler annotations used by every room. */
#ifndef NEAP_BASE_ATTRIBUTES_H
#define NEAP_BASE_ATTRIBUTES_H

/* The caller must look at the result: ignoring it is a warning, and warnings are errors. */
#define NEAP_MUST_CHECK __attribute__((warn_unused_result))

#define NEAP_PRINTF(format_index, first_argument)                                                  \
    __attribute__((format(printf, format_index, first_argument)))

/* For what the compiler would otherwise call through a pointer on the way of every call. */
#define NEAP_INLINE static inline __attribute__((always_inline))

/* For what is seldom called: so the way past it needs no registers saved and no frame. */
#define NEAP_SELDOM __attribute__((noinline, cold))

#endif
