#include "store/redis_tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

#include "platform/exit_stop.h"
#include "store/redis_link.h"

struct neap_redis_tls {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    BIO_METHOD *method;
};

/* ---------------------------------------- the socket as OpenSSL sees it: its own raises SIGPIPE */

static int bio_send(BIO *bio, const char *bytes, int count)
{
    const struct neap_redis_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    long sent = neap_socket_send(tls->fd, bytes, (size_t)count);
    if (sent == NEAP_LINK_WANTS_WRITE)
        BIO_set_retry_write(bio);
    return sent > 0 ? (int)sent : -1;
}

static int bio_receive(BIO *bio, char *bytes, int capacity)
{
    const struct neap_redis_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    long received = neap_socket_receive(tls->fd, bytes, (size_t)capacity);
    if (received == NEAP_LINK_WANTS_READ)
        BIO_set_retry_read(bio);
    return received > 0 ? (int)received : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "neap");
    if (!method)
        return NULL;
    (void)BIO_meth_set_write(method, bio_send);
    (void)BIO_meth_set_read(method, bio_receive);
    (void)BIO_meth_set_ctrl(method, bio_control);
    return method;
}

static bool attach(struct neap_redis_tls *tls)
{
    BIO *bio = BIO_new(tls->method);
    if (!bio)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

/* ------------------------------------------------------------------------------------- making */

static void set_up_once(void)
{
    (void)OPENSSL_init_ssl(0, NULL);
    neap_exit_stop_before_libraries();
}

void neap_redis_tls_set_up(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_up_once);
}

static bool trust(SSL_CTX *context, const char *ca_file)
{
    return ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL) == 1
                   : SSL_CTX_set_default_verify_paths(context) == 1;
}

/* An address is looked for among the certificate's addresses, and is no name to be sent. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static const char *prepare(struct neap_redis_tls *tls, const char *host, const char *ca_file)
{
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->method = make_method();
    if (!tls->context || !tls->method)
        return "no memory";
    if (SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1)
        return "TLS 1.2 is not available";
    if (!trust(tls->context, ca_file))
        return "the file of trusted certificates cannot be read";
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(tls->context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    tls->ssl = SSL_new(tls->context);
    if (!tls->ssl || !attach(tls) || !expect_host(tls->ssl, host))
        return "no memory";
    SSL_set_connect_state(tls->ssl);
    return NULL;
}

struct neap_redis_tls *neap_redis_tls_new(int fd, const char *host, const char *ca_file,
                                          char message[NEAP_MESSAGE_BYTES])
{
    struct neap_redis_tls *tls = OPENSSL_zalloc(sizeof *tls);
    const char *problem = "no memory";
    if (tls) {
        tls->fd = fd;
        problem = prepare(tls, host, ca_file);
    }
    ERR_clear_error();
    if (!problem)
        return tls;
    (void)snprintf(message, NEAP_MESSAGE_BYTES, "TLS to Redis cannot be set up: %s", problem);
    neap_redis_tls_free(tls);
    return NULL;
}

void neap_redis_tls_free(struct neap_redis_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    OPENSSL_free(tls);
}

/* ------------------------------------------------------------------------------------- moving */

static long outcome_of(const struct neap_redis_tls *tls, int result)
{
    if (result > 0)
        return result;
    int error = SSL_get_error(tls->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        return NEAP_LINK_WANTS_READ;
    return error == SSL_ERROR_WANT_WRITE ? NEAP_LINK_WANTS_WRITE : NEAP_LINK_BROKEN;
}

long neap_redis_tls_shake_hands(struct neap_redis_tls *tls, char message[NEAP_MESSAGE_BYTES])
{
    long outcome = outcome_of(tls, SSL_connect(tls->ssl));
    if (outcome != NEAP_LINK_BROKEN)
        return outcome;
    long verdict = SSL_get_verify_result(tls->ssl);
    const char *why = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                                           : "the server does not speak TLS, or refused";
    (void)snprintf(message, NEAP_MESSAGE_BYTES, "TLS to Redis failed: %s", why);
    return outcome;
}

static int bounded(size_t bytes)
{
    return bytes < INT_MAX ? (int)bytes : INT_MAX;
}

long neap_redis_tls_send(struct neap_redis_tls *tls, const char *bytes, size_t count)
{
    return outcome_of(tls, SSL_write(tls->ssl, bytes, bounded(count)));
}

long neap_redis_tls_receive(struct neap_redis_tls *tls, char *bytes, size_t capacity)
{
    return outcome_of(tls, SSL_read(tls->ssl, bytes, bounded(capacity)));
}
