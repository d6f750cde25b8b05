/* What every other file here stands on: the clock, memory that never fails, growing text.
 *
 * This is a test server: running out of memory ends it. Times are monotonic seconds. */
#ifndef MISBEHAVE_BASE_H
#define MISBEHAVE_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; `data` is always ended by a NUL that `bytes` does not count once something
 * was added, and is NULL before. Start from `{0}`; free with text_free, which empties it. */
struct text {
    char *data;
    size_t bytes;
    size_t room;
};

double clock_s(void);

void *memory_get(size_t bytes); /* zeroed */
void *memory_grow(void *old, size_t bytes);
char *memory_string(const char *from, size_t bytes);

void text_bytes(struct text *text, const void *data, size_t bytes);
void text_string(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a quoted JSON string. Bytes that are not UTF-8 are shown as Latin-1. */
void text_json(struct text *text, const char *data, size_t bytes);
void text_free(struct text *text);

/* Length of the UTF-8 sequence that starts at `at`, 0 if there is none. */
size_t utf8_sequence(const char *at, size_t left);
/* 1 if all of it is UTF-8. */
int utf8_valid(const char *data, size_t bytes);

#endif
