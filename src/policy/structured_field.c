#include "policy/structured_field.h"

#include <string.h>

#include "policy/blank.h"

#define INTEGER_DIGITS_MAX 15
#define DECIMAL_WHOLE_DIGITS_MAX 12
#define DECIMAL_FRACTION_DIGITS_MAX 3

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_token_character(char c)
{
    return is_letter(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~:/");
}

static bool is_key_character(char c)
{
    return is_lower(c) || is_digit(c) || is_one_of(c, "_-.*");
}

static bool is_base64_character(char c)
{
    return is_letter(c) || is_digit(c) || is_one_of(c, "+/=");
}

bool neap_sf_is_at_end(const struct neap_sf_reader *reader)
{
    return reader->at == reader->end;
}

/* NUL at the end: no structured field may hold one. */
static char peek(const struct neap_sf_reader *reader)
{
    return neap_sf_is_at_end(reader) ? '\0' : *reader->at;
}

static bool take(struct neap_sf_reader *reader, char c)
{
    if (neap_sf_is_at_end(reader) || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static size_t take_while(struct neap_sf_reader *reader, bool (*is_wanted)(char))
{
    const char *from = reader->at;
    while (!neap_sf_is_at_end(reader) && is_wanted(*reader->at))
        reader->at++;
    return (size_t)(reader->at - from);
}

struct neap_sf_reader neap_sf_open(const char *text, size_t bytes)
{
    struct neap_sf_reader reader = {text, bytes > 0 ? text + bytes : text};
    neap_trim_blanks(&reader.at, &reader.end);
    return reader;
}

static bool read_fraction(struct neap_sf_reader *reader, size_t whole_digits)
{
    size_t digits = take_while(reader, is_digit);
    return whole_digits <= DECIMAL_WHOLE_DIGITS_MAX && digits >= 1 &&
           digits <= DECIMAL_FRACTION_DIGITS_MAX;
}

static bool read_number(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    bool is_negative = take(reader, '-');
    const char *digit = reader->at;
    size_t digits = take_while(reader, is_digit);
    if (digits < 1 || digits > INTEGER_DIGITS_MAX)
        return false;
    if (take(reader, '.')) {
        item->type = NEAP_SF_DECIMAL;
        return read_fraction(reader, digits);
    }
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (digit[i] - '0');
    item->type = NEAP_SF_INTEGER;
    item->integer = is_negative ? -value : value;
    return true;
}

static bool read_string(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    item->type = NEAP_SF_STRING;
    item->text = ++reader->at;
    for (; !neap_sf_is_at_end(reader); reader->at++) {
        if (*reader->at == '"') {
            item->bytes = (size_t)(reader->at++ - item->text);
            return true;
        }
        if (take(reader, '\\') && !is_one_of(peek(reader), "\"\\"))
            return false;
        if (*reader->at < ' ' || *reader->at > '~')
            return false;
    }
    return false;
}

static bool read_token(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    item->type = NEAP_SF_TOKEN;
    item->bytes = take_while(reader, is_token_character);
    return true;
}

static bool read_bytes(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    item->type = NEAP_SF_BYTES;
    item->text = ++reader->at;
    item->bytes = take_while(reader, is_base64_character);
    return take(reader, ':');
}

static bool read_boolean(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    reader->at++;
    item->type = NEAP_SF_BOOLEAN;
    item->integer = peek(reader) == '1';
    return take(reader, '0') || take(reader, '1');
}

static bool read_by_first_character(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    char first = peek(reader);
    if (first == '-' || is_digit(first))
        return read_number(reader, item);
    if (first == '"')
        return read_string(reader, item);
    if (first == '*' || is_letter(first))
        return read_token(reader, item);
    if (first == ':')
        return read_bytes(reader, item);
    if (first == '?')
        return read_boolean(reader, item);
    return false;
}

bool neap_sf_read_bare_item(struct neap_sf_reader *reader, struct neap_sf_item *item)
{
    struct neap_sf_item read = {.text = reader->at};
    if (!read_by_first_character(reader, &read))
        return false;
    bool is_marked = read.type == NEAP_SF_STRING || read.type == NEAP_SF_BYTES;
    if (!is_marked)
        read.bytes = (size_t)(reader->at - read.text);
    *item = read;
    return true;
}

enum neap_sf_step neap_sf_read_parameter(struct neap_sf_reader *reader,
                                         struct neap_sf_parameter *parameter)
{
    struct neap_sf_parameter read = {.value = {.type = NEAP_SF_BOOLEAN, .integer = 1}};
    if (!take(reader, ';'))
        return NEAP_SF_END;
    while (take(reader, ' '))
        ;
    read.name = read.value.text = reader->at;
    if (!is_lower(peek(reader)) && peek(reader) != '*')
        return NEAP_SF_MALFORMED;
    read.name_bytes = take_while(reader, is_key_character);
    if (take(reader, '=') && !neap_sf_read_bare_item(reader, &read.value))
        return NEAP_SF_MALFORMED;
    *parameter = read;
    return NEAP_SF_FOUND;
}

enum neap_sf_step neap_sf_read_comma(struct neap_sf_reader *reader)
{
    take_while(reader, neap_is_blank);
    if (neap_sf_is_at_end(reader))
        return NEAP_SF_END;
    if (!take(reader, ','))
        return NEAP_SF_MALFORMED;
    take_while(reader, neap_is_blank);
    return neap_sf_is_at_end(reader) ? NEAP_SF_MALFORMED : NEAP_SF_FOUND;
}

size_t neap_sf_unescape(const struct neap_sf_item *item, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < item->bytes; i++) {
        if (item->text[i] == '\\')
            i++;
        out[written++] = item->text[i];
    }
    return written;
}
