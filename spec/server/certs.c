/* Certificates made on the spot: an authority, and what it signs for servers and a client. */
#include "certs.h"

#include "base.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { DAY_S = 86400 };

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct wish {
    const char *file;
    const char *name;  /* common name */
    const char *names; /* subjectAltName, NULL: none */
    const char *usage; /* extendedKeyUsage, NULL: an authority */
    long from_s;
    long until_s;
    int by_authority;
};

static const char LOCAL[] = "DNS:localhost,IP:127.0.0.1";

static const struct wish authority = {"ca", "misbehave CA", NULL, NULL, -DAY_S, 10 * DAY_S, 0};

static const struct wish wishes[] = {
    {"good", "localhost", LOCAL, "serverAuth", -DAY_S, 10 * DAY_S, 1},
    {"expired", "localhost", LOCAL, "serverAuth", -10 * DAY_S, -DAY_S, 1},
    {"wrongname", "wrong.example", "DNS:wrong.example", "serverAuth", -DAY_S, 10 * DAY_S, 1},
    {"selfsigned", "localhost", LOCAL, "serverAuth", -DAY_S, 10 * DAY_S, 0},
    {"client", "client", NULL, "clientAuth", -DAY_S, 10 * DAY_S, 1},
    {"stranger", "stranger", NULL, "clientAuth", -DAY_S, 10 * DAY_S, 0},
};

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int added = extension != NULL && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static int add_extensions(X509 *certificate, X509 *issuer, const struct wish *wish)
{
    int is_authority = wish->usage == NULL;
    return add_extension(certificate, issuer, NID_basic_constraints,
                         is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage,
                         is_authority ? "critical,keyCertSign,cRLSign" : "digitalSignature") &&
           add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           (is_authority || add_extension(certificate, issuer, NID_ext_key_usage, wish->usage)) &&
           (wish->names == NULL ||
            add_extension(certificate, issuer, NID_subject_alt_name, wish->names));
}

static void set_name(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
}

/* Signed by `issuer`, or by itself if there is none. */
static int make(const struct wish *wish, const struct identity *issuer, long serial,
                struct identity *made)
{
    made->key = EVP_EC_gen("P-256");
    made->certificate = X509_new();
    if (made->key == NULL || made->certificate == NULL)
        return 0;
    const struct identity *signer = issuer != NULL ? issuer : made;
    X509 *certificate = made->certificate;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wish->until_s);
    X509_set_pubkey(certificate, made->key);
    set_name(certificate, wish->name);
    X509_set_issuer_name(certificate, X509_get_subject_name(signer->certificate));
    return add_extensions(certificate, signer->certificate, wish) &&
           X509_sign(certificate, signer->key, EVP_sha256()) > 0;
}

static void identity_free(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

static FILE *open_in(const char *directory, const char *file, const char *suffix)
{
    struct text path = {0};
    text_format(&path, "%s/%s.%s", directory, file, suffix);
    FILE *stream = fopen(path.data, "w");
    text_free(&path);
    return stream;
}

static int write_identity(const char *directory, const char *file, const struct identity *identity)
{
    FILE *certificate = open_in(directory, file, "pem");
    FILE *key = open_in(directory, file, "key");
    int written = certificate != NULL && key != NULL &&
                  PEM_write_X509(certificate, identity->certificate) &&
                  PEM_write_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL);
    if (certificate != NULL && fclose(certificate) != 0)
        written = 0;
    if (key != NULL && fclose(key) != 0)
        written = 0;
    return written;
}

int certs_make(const char *directory)
{
    struct identity ca = {0};
    int made = make(&authority, NULL, 1, &ca) && write_identity(directory, authority.file, &ca);
    for (size_t i = 0; made && i < sizeof wishes / sizeof wishes[0]; i++) {
        struct identity one = {0};
        made = make(&wishes[i], wishes[i].by_authority ? &ca : NULL, (long)i + 2, &one) &&
               write_identity(directory, wishes[i].file, &one);
        identity_free(&one);
    }
    identity_free(&ca);
    return made;
}
