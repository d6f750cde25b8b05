/* Structured fields (RFC 8941): the reader ends at the latest when the bytes do, each step reads
 * something, and all that it finds lies in the field. */
#include "fuzz/fuzz.h"
#include "policy/structured_field.h"

static const char *field, *field_end;

static void check_inside(const char *text, size_t bytes)
{
    promise(text >= field && text <= field_end && bytes <= (size_t)(field_end - text));
}

static void check_item(const struct neap_sf_item *item)
{
    if (item->text || item->bytes > 0)
        check_inside(item->text, item->bytes);
    if (item->type == NEAP_SF_INTEGER)
        promise(item->integer > -1000000000000000 && item->integer < 1000000000000000);
    if (item->type == NEAP_SF_BOOLEAN)
        promise(item->integer == 0 || item->integer == 1);
    if (item->type != NEAP_SF_STRING)
        return;
    char *plain = malloc(item->bytes);
    promise(plain || item->bytes == 0);
    promise(neap_sf_unescape(item, plain) <= item->bytes);
    free(plain);
}

static bool read_parameters(struct neap_sf_reader *reader)
{
    for (;;) {
        const char *before = reader->at;
        struct neap_sf_parameter parameter;
        enum neap_sf_step step = neap_sf_read_parameter(reader, &parameter);
        if (step != NEAP_SF_FOUND)
            return step == NEAP_SF_END;
        promise(reader->at > before);
        check_inside(parameter.name, parameter.name_bytes);
        promise(parameter.name_bytes > 0);
        check_item(&parameter.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    field = (const char *)data;
    field_end = field + bytes;
    struct neap_sf_reader reader = neap_sf_open(field, bytes);
    struct neap_sf_item item;
    do {
        const char *before = reader.at;
        if (!neap_sf_read_bare_item(&reader, &item))
            return 0;
        promise(reader.at > before);
        check_item(&item);
    } while (read_parameters(&reader) && neap_sf_read_comma(&reader) == NEAP_SF_FOUND);
    return 0;
}
