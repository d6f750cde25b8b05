/* The clock, memory that never fails, growing text. */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *never_null(void *memory)
{
    if (memory == NULL) {
        fputs("misbehave: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *memory_get(size_t bytes)
{
    return never_null(calloc(1, bytes > 0 ? bytes : 1));
}

void *memory_grow(void *old, size_t bytes)
{
    return never_null(realloc(old, bytes));
}

char *memory_string(const char *from, size_t bytes)
{
    char *copy = memory_get(bytes + 1);
    memcpy(copy, from, bytes);
    return copy;
}

static void make_room(struct text *text, size_t bytes)
{
    size_t needed = text->bytes + bytes + 1;
    if (needed <= text->room)
        return;
    size_t room = text->room > 0 ? text->room : 256;
    while (room < needed)
        room *= 2;
    text->data = memory_grow(text->data, room);
    text->room = room;
}

void text_bytes(struct text *text, const void *data, size_t bytes)
{
    make_room(text, bytes);
    if (bytes > 0)
        memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
    text->data[text->bytes] = '\0';
}

void text_string(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    char *formatted = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&formatted, format, args);
    va_end(args);
    never_null(bytes < 0 ? NULL : formatted);
    text_bytes(text, formatted, (size_t)bytes);
    free(formatted);
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

static int continues(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t utf8_sequence(const char *at, size_t left)
{
    const unsigned char *s = (const unsigned char *)at;
    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return left >= 2 && continues(s[1]) ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        if (left < 3 || !continues(s[1]) || !continues(s[2]))
            return 0;
        int overlong = s[0] == 0xe0 && s[1] < 0xa0;
        int surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (left < 4 || !continues(s[1]) || !continues(s[2]) || !continues(s[3]))
            return 0;
        int overlong = s[0] == 0xf0 && s[1] < 0x90;
        int too_high = s[0] == 0xf4 && s[1] > 0x8f;
        return overlong || too_high ? 0 : 4;
    }
    return 0;
}

int utf8_valid(const char *data, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        size_t step = utf8_sequence(data + at, bytes - at);
        if (step == 0)
            return 0;
        at += step;
    }
    return 1;
}

void text_json(struct text *text, const char *data, size_t bytes)
{
    text_string(text, "\"");
    for (size_t at = 0; at < bytes;) {
        unsigned char byte = (unsigned char)data[at];
        size_t step = utf8_sequence(data + at, bytes - at);
        if (byte == '"' || byte == '\\') {
            text_format(text, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f || step == 0) {
            text_format(text, "\\u%04x", byte);
        } else {
            text_bytes(text, data + at, step);
        }
        at += step > 0 ? step : 1;
    }
    text_string(text, "\"");
}
