/* The Redis kind: the arguments of a command. */
#include "store/redis_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"

#define LONGER_MS INT64_C(60000)
#define LONGEST_MS INT64_C(3000000000000) /* about a century; Redis refuses what overflows */

void neap_args_bytes(struct neap_redis_args *args, struct neap_bytes bytes)
{
    args->at[args->count] = bytes.bytes > 0 ? bytes.at : "";
    args->bytes[args->count] = bytes.bytes;
    args->count++;
}

void neap_args_text(struct neap_redis_args *args, const char *text)
{
    neap_args_bytes(args, (struct neap_bytes){text, strlen(text)});
}

void neap_args_token(struct neap_redis_args *args, const uint8_t *token)
{
    neap_args_bytes(args, (struct neap_bytes){token, NEAP_STORE_TOKEN_BYTES});
}

static void add_number(struct neap_redis_args *args, int digits, uint64_t number)
{
    char *text = args->number[args->numbers++];
    (void)snprintf(text, sizeof args->number[0], "%0*" PRIu64, digits, number);
    neap_args_text(args, text);
}

void neap_args_moment(struct neap_redis_args *args, int64_t moment_ns)
{
    add_number(args, NEAP_REDIS_DIGITS, (uint64_t)moment_ns);
}

void neap_args_number(struct neap_redis_args *args, uint64_t number)
{
    add_number(args, 1, number);
}

void neap_args_keep(struct neap_redis_args *args, int64_t now_ns, int64_t expires_ns)
{
    int64_t ms = neap_time_since(expires_ns, now_ns) / NEAP_MS + 1 + LONGER_MS;
    neap_args_number(args, (uint64_t)neap_time_min(ms, LONGEST_MS));
}
