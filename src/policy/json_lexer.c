#include "policy/json_lexer.h"

#include <stddef.h>
#include <string.h>

#define HIGH_SURROGATE_FIRST 0xD800u
#define LOW_SURROGATE_FIRST 0xDC00u
#define SURROGATES 0x400u /* of either half */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_in(uint8_t byte, uint8_t low, uint8_t high)
{
    return byte >= low && byte <= high;
}

static size_t left(const struct neap_json_lexer *lexer)
{
    return (size_t)(lexer->end - lexer->at);
}

uint8_t neap_json_peek(const struct neap_json_lexer *lexer)
{
    return lexer->at == lexer->end ? '\0' : *lexer->at;
}

bool neap_json_take(struct neap_json_lexer *lexer, uint8_t byte)
{
    if (lexer->at == lexer->end || *lexer->at != byte)
        return false;
    lexer->at++;
    return true;
}

void neap_json_write(struct neap_json_lexer *lexer, uint8_t byte)
{
    *lexer->out++ = byte;
}

void neap_json_skip_white(struct neap_json_lexer *lexer)
{
    while (neap_json_take(lexer, ' ') || neap_json_take(lexer, '\t') ||
           neap_json_take(lexer, '\n') || neap_json_take(lexer, '\r'))
        ;
}

static void copy(struct neap_json_lexer *lexer, size_t bytes)
{
    memcpy(lexer->out, lexer->at, bytes);
    lexer->out += bytes;
    lexer->at += bytes;
}

/* ---- strings ---- */

/* The length of the character beyond ASCII that stands in front (RFC 3629); 0: there is none. */
static size_t character_bytes(const struct neap_json_lexer *lexer)
{
    const uint8_t *at = lexer->at;
    size_t bytes = *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
    if (!is_in(*at, 0xC2, 0xF4) || bytes > left(lexer))
        return 0;
    uint8_t low = *at == 0xE0 ? 0xA0 : *at == 0xF0 ? 0x90 : 0x80;
    uint8_t high = *at == 0xED ? 0x9F : *at == 0xF4 ? 0x8F : 0xBF;
    if (!is_in(at[1], low, high))
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if (!is_in(at[i], 0x80, 0xBF))
            return 0;
    return bytes;
}

static bool copy_character(struct neap_json_lexer *lexer)
{
    size_t bytes = character_bytes(lexer);
    copy(lexer, bytes);
    return bytes > 0;
}

static void write_marked(struct neap_json_lexer *lexer, uint8_t byte)
{
    if (byte == '"' || byte == '\\')
        neap_json_write(lexer, '\\');
    neap_json_write(lexer, byte);
}

static void write_code_point(struct neap_json_lexer *lexer, uint32_t point)
{
    static const struct {
        uint32_t end;
        uint8_t mark;
        int shift;
    } form[] = {{0x800, 0xC0, 6}, {0x10000, 0xE0, 12}, {0x110000, 0xF0, 18}};
    if (point < 0x80) {
        write_marked(lexer, (uint8_t)point);
        return;
    }
    size_t i = 0;
    while (point >= form[i].end)
        i++;
    neap_json_write(lexer, (uint8_t)(form[i].mark | point >> form[i].shift));
    for (int shift = form[i].shift - 6; shift >= 0; shift -= 6)
        neap_json_write(lexer, (uint8_t)(0x80 | (point >> shift & 0x3F)));
}

/* -1 where it is none. */
static int hex_value(uint8_t digit)
{
    if (is_digit(digit))
        return digit - '0';
    uint8_t lower = digit | 0x20;
    return is_in(lower, 'a', 'f') ? lower - 'a' + 10 : -1;
}

static bool read_four_hex(struct neap_json_lexer *lexer, uint32_t *unit)
{
    uint32_t value = 0;
    if (left(lexer) < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(*lexer->at++);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *unit = value;
    return true;
}

/* Joins a high surrogate with a low one where that follows; else the reader stays before what
 * follows. */
static uint32_t join_surrogates(struct neap_json_lexer *lexer, uint32_t high)
{
    struct neap_json_lexer ahead = *lexer;
    uint32_t low = 0;
    if (high - HIGH_SURROGATE_FIRST >= SURROGATES || !neap_json_take(&ahead, '\\') ||
        !neap_json_take(&ahead, 'u') || !read_four_hex(&ahead, &low) ||
        low - LOW_SURROGATE_FIRST >= SURROGATES)
        return high;
    lexer->at = ahead.at;
    return 0x10000 + ((high - HIGH_SURROGATE_FIRST) << 10) + (low - LOW_SURROGATE_FIRST);
}

static bool copy_escape(struct neap_json_lexer *lexer)
{
    static const char escape[] = "\"\\/bfnrtu", meaning[] = "\"\\/\b\f\n\r\t";
    const char *found = memchr(escape, neap_json_peek(lexer), sizeof escape - 1);
    if (!found)
        return false;
    lexer->at++;
    uint32_t point = 0;
    if (*found != 'u')
        write_marked(lexer, (uint8_t)meaning[found - escape]);
    else if (read_four_hex(lexer, &point))
        write_code_point(lexer, join_surrogates(lexer, point));
    else
        return false;
    return true;
}

bool neap_json_copy_string(struct neap_json_lexer *lexer)
{
    if (!neap_json_take(lexer, '"'))
        return false;
    neap_json_write(lexer, '"');
    bool is_good = true;
    while (is_good && lexer->at < lexer->end) {
        if (neap_json_take(lexer, '"')) {
            neap_json_write(lexer, '"');
            return true;
        }
        if (neap_json_take(lexer, '\\'))
            is_good = copy_escape(lexer);
        else if (*lexer->at >= 0x80)
            is_good = copy_character(lexer);
        else if (*lexer->at >= ' ')
            copy(lexer, 1);
        else
            is_good = false;
    }
    return false;
}

/* ---- the other scalars ---- */

static bool copy_one_of(struct neap_json_lexer *lexer, uint8_t one, uint8_t other)
{
    uint8_t byte = neap_json_peek(lexer);
    if (byte != one && byte != other)
        return false;
    copy(lexer, 1);
    return true;
}

static bool copy_digits(struct neap_json_lexer *lexer)
{
    size_t count = 0;
    while (count < left(lexer) && is_digit(lexer->at[count]))
        count++;
    copy(lexer, count);
    return count > 0;
}

static bool copy_number(struct neap_json_lexer *lexer)
{
    (void)copy_one_of(lexer, '-', '-');
    if (!copy_one_of(lexer, '0', '0') && !copy_digits(lexer))
        return false;
    if (copy_one_of(lexer, '.', '.') && !copy_digits(lexer))
        return false;
    if (!copy_one_of(lexer, 'e', 'E'))
        return true;
    (void)copy_one_of(lexer, '+', '-');
    return copy_digits(lexer);
}

static bool copy_word(struct neap_json_lexer *lexer, const char *word)
{
    size_t bytes = strlen(word);
    if (left(lexer) < bytes || memcmp(lexer->at, word, bytes) != 0)
        return false;
    copy(lexer, bytes);
    return true;
}

bool neap_json_copy_scalar(struct neap_json_lexer *lexer)
{
    uint8_t first = neap_json_peek(lexer);
    if (first == '"')
        return neap_json_copy_string(lexer);
    if (first == '-' || is_digit(first))
        return copy_number(lexer);
    return copy_word(lexer, "true") || copy_word(lexer, "false") || copy_word(lexer, "null");
}
