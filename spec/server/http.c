/* HTTP/1 requests, read strictly: what a client sends wrongly is told, not forgiven. */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

static const size_t LINE_LIMIT = 256 * 1024;
static const size_t HEADER_LIMIT = 1000;

/* A line without its CR LF. */
static enum http_read read_line(struct conn *conn, struct text *line, const char **why)
{
    line->bytes = 0;
    for (;;) {
        int byte = conn_byte(conn);
        if (byte < 0)
            return HTTP_END;
        if (byte == '\n')
            break;
        char letter = (char)byte;
        text_bytes(line, &letter, 1);
        if (line->bytes > LINE_LIMIT) {
            *why = "a line is too long";
            return HTTP_BAD;
        }
    }
    if (line->bytes == 0 || line->data[line->bytes - 1] != '\r') {
        *why = "a line ends without CR";
        return HTTP_BAD;
    }
    line->data[--line->bytes] = '\0';
    if (strlen(line->data) == line->bytes)
        return HTTP_OK;
    *why = "a NUL in the head";
    return HTTP_BAD;
}

static int token_letter(char letter)
{
    return letter > ' ' && letter < 127 && strchr("()<>@,;:\\\"/[]?={}", letter) == NULL;
}

static size_t token_length(const char *text)
{
    size_t length = 0;
    while (token_letter(text[length]))
        length++;
    return length;
}

static const char *parse_request_line(struct request *request, const char *line)
{
    size_t method_bytes = token_length(line);
    if (method_bytes == 0 || line[method_bytes] != ' ')
        return "no method";
    const char *target = line + method_bytes + 1;
    size_t target_bytes = strcspn(target, " \t");
    const char *version = target + target_bytes;
    if (target_bytes == 0 || strncmp(version, " HTTP/1.", 8) != 0)
        return "no target or no version";
    if ((version[8] != '0' && version[8] != '1') || version[9] != '\0')
        return "not HTTP/1.0 or HTTP/1.1";
    request->method = memory_string(line, method_bytes);
    request->target = memory_string(target, target_bytes);
    request->minor = version[8] - '0';
    request->keep_alive = request->minor == 1;
    return NULL;
}

static const char *parse_header(struct request *request, const char *line)
{
    size_t name_bytes = token_length(line);
    if (name_bytes == 0 || line[name_bytes] != ':')
        return "a header without a name and a colon";
    if (request->header_count == HEADER_LIMIT)
        return "too many headers";
    const char *value = line + name_bytes + 1;
    value += strspn(value, " \t");
    size_t value_bytes = strlen(value);
    while (value_bytes > 0 && strchr(" \t", value[value_bytes - 1]) != NULL)
        value_bytes--;
    size_t count = request->header_count + 1;
    request->headers = memory_grow(request->headers, count * sizeof *request->headers);
    request->headers[count - 1].name = memory_string(line, name_bytes);
    request->headers[count - 1].value = memory_string(value, value_bytes);
    request->header_count = count;
    return NULL;
}

static const char *parse_length(struct request *request, const char *value)
{
    char *end = NULL;
    if (value[0] < '0' || value[0] > '9')
        return "Content-Length is not a number";
    uint64_t length = strtoull(value, &end, 10);
    if (*end != '\0')
        return "Content-Length is not a number";
    request->content_length = length;
    return NULL;
}

static const char *understand_headers(struct request *request)
{
    const char *length = request_header(request, "Content-Length");
    const char *encoding = request_header(request, "Transfer-Encoding");
    const char *connection = request_header(request, "Connection");
    const char *expect = request_header(request, "Expect");
    if (request->minor == 1 && request_header(request, "Host") == NULL)
        return "no Host";
    if (length != NULL && encoding != NULL)
        return "both Content-Length and Transfer-Encoding";
    if (encoding != NULL && strcasecmp(encoding, "chunked") != 0)
        return "a Transfer-Encoding that is not chunked";
    request->chunked = encoding != NULL;
    if (connection != NULL && strcasestr(connection, "close") != NULL)
        request->keep_alive = 0;
    if (connection != NULL && strcasestr(connection, "keep-alive") != NULL)
        request->keep_alive = 1;
    request->expects_continue = expect != NULL && strcasecmp(expect, "100-continue") == 0;
    return length != NULL ? parse_length(request, length) : NULL;
}

enum http_read request_read_head(struct conn *conn, struct request *request, const char **why)
{
    struct text line = {0};
    *request = (struct request){0};
    *why = NULL;
    enum http_read result = read_line(conn, &line, why);
    if (result == HTTP_OK)
        *why = parse_request_line(request, line.data);
    while (result == HTTP_OK && *why == NULL) {
        result = read_line(conn, &line, why);
        if (result != HTTP_OK || line.bytes == 0)
            break;
        *why = parse_header(request, line.data);
    }
    if (result == HTTP_OK && *why == NULL)
        *why = understand_headers(request);
    text_free(&line);
    request->number = ++conn->requests;
    return *why != NULL ? HTTP_BAD : result;
}

static enum http_read read_bytes(struct conn *conn, struct request *request, uint64_t left)
{
    char buffer[16384];
    while (left > 0) {
        size_t room = left < sizeof buffer ? (size_t)left : sizeof buffer;
        size_t bytes = conn_read(conn, buffer, room);
        if (bytes == 0)
            return HTTP_END;
        size_t kept = BODY_KEPT_BYTES - request->body.bytes;
        text_bytes(&request->body, buffer, bytes < kept ? bytes : kept);
        request->body_crc = (uint32_t)crc32(request->body_crc, (Bytef *)buffer, (uInt)bytes);
        request->body_bytes += bytes;
        left -= bytes;
    }
    return HTTP_OK;
}

static enum http_read read_chunk_size(struct conn *conn, struct text *line, uint64_t *size,
                                      const char **why)
{
    enum http_read result = read_line(conn, line, why);
    if (result != HTTP_OK)
        return result;
    char *end = NULL;
    *size = strtoull(line->data, &end, 16);
    if (end != line->data && line->data[0] != '-' && (*end == '\0' || *end == ';'))
        return HTTP_OK;
    *why = "a chunk without a size";
    return HTTP_BAD;
}

static enum http_read read_chunk(struct conn *conn, struct request *request, struct text *line,
                                 uint64_t *size, const char **why)
{
    enum http_read result = read_chunk_size(conn, line, size, why);
    if (result != HTTP_OK || *size == 0)
        return result;
    result = read_bytes(conn, request, *size);
    if (result != HTTP_OK)
        return result;
    result = read_line(conn, line, why);
    if (result != HTTP_OK || line->bytes == 0)
        return result;
    *why = "a chunk longer than its size";
    return HTTP_BAD;
}

static enum http_read read_chunks(struct conn *conn, struct request *request, const char **why)
{
    struct text line = {0};
    uint64_t size = 1;
    enum http_read result = HTTP_OK;
    while (result == HTTP_OK && size > 0)
        result = read_chunk(conn, request, &line, &size, why);
    line.bytes = 1; /* trailers, up to an empty line */
    while (result == HTTP_OK && line.bytes > 0)
        result = read_line(conn, &line, why);
    text_free(&line);
    return result;
}

enum http_read request_read_body(struct conn *conn, struct request *request, const char **why)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    *why = NULL;
    if (request->expects_continue && !conn_send(conn, go_on, sizeof go_on - 1))
        return HTTP_END;
    if (request->chunked)
        return read_chunks(conn, request, why);
    return read_bytes(conn, request, request->content_length);
}

void request_free(struct request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        free(request->headers[i].name);
        free(request->headers[i].value);
    }
    free(request->headers);
    free(request->method);
    free(request->target);
    text_free(&request->body);
    *request = (struct request){0};
}

const char *request_header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

void request_headers_json(const struct request *request, struct text *json)
{
    text_string(json, "[");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct header *header = &request->headers[i];
        text_string(json, i > 0 ? ",[" : "[");
        text_json(json, header->name, strlen(header->name));
        text_string(json, ",");
        text_json(json, header->value, strlen(header->value));
        text_string(json, "]");
    }
    text_string(json, "]");
}
