/* What every fuzz target has: promises that end the run where they are broken, and a reader that
 * makes numbers and texts of the fuzzer's bytes.
 *
 * A target is one function, LLVMFuzzerTestOneInput. It keeps nothing between two inputs, so that an
 * input alone brings back what it found. */
#ifndef NEAP_SPEC_FUZZ_FUZZ_H
#define NEAP_SPEC_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define promise(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz_input {
    const uint8_t *at, *end;
};

static inline size_t fuzz_left(const struct fuzz_input *input)
{
    return (size_t)(input->end - input->at);
}

/* 0 where nothing is left, so that every input means something. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static inline uint64_t fuzz_number(struct fuzz_input *input, unsigned bytes)
{
    uint64_t number = 0;
    while (bytes-- > 0)
        number = number << 8 | fuzz_byte(input);
    return number;
}

/* What stands before the next newline, or what is left. It lies in the input, without a NUL. */
static inline const char *fuzz_line(struct fuzz_input *input, size_t *bytes)
{
    const uint8_t *line = input->at;
    const uint8_t *newline = fuzz_left(input) > 0 ? memchr(line, '\n', fuzz_left(input)) : NULL;
    input->at = newline ? newline + 1 : input->end;
    *bytes = (size_t)((newline ? newline : input->end) - line);
    return (const char *)line;
}

#endif
