/* An easy handle of libcurl that does what neap's transport has it do, with nothing around it: the
 * same options, the head kept, the body gathered. */
#ifndef BENCH_HANDLE_H
#define BENCH_HANDLE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#define BENCH_HEAD_BYTES 4096
#define BENCH_BODY_BYTES 4096

struct bench_answer {
    char head[BENCH_HEAD_BYTES];
    char body[BENCH_BODY_BYTES];
    size_t head_bytes;
    size_t body_bytes;
};

/* URL, and a callback that gathers the body: what an example of libcurl has. */
void bench_handle_minimal(CURL *easy, struct bench_answer *answer, const char *url);

/* All that src/transport sets: limits of time, protocols, buffer, encoding, trust, proxy, headers,
 * the callbacks of head and body. PER_CALL: what it sets for each request again. */
void bench_handle_all(CURL *easy, struct bench_answer *answer);
void bench_handle_per_call(CURL *easy, struct bench_answer *answer, const char *url);

/* Ends the program unless the answer is a 200 with just this body. */
void bench_handle_check(CURL *easy, CURLcode code, const struct bench_answer *answer,
                        const char *body);

#endif
