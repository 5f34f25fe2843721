/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef ZAB_TLS_INTERNAL_H
#define ZAB_TLS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "zab/tls.h"

struct tls_context {
    unsigned refs; /* its owner's, and one of each connection */
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    bool verify_name[2]; /* of a peer, by our own role */
    char **client_names;
    size_t n_client_names;
};

struct tls_conn {
    struct tls_context *context;
    SSL *ssl;
    enum tls_role role;
    char *peer;
    struct slice in; /* of tls_conn_receive(), what OpenSSL has not taken yet */
    struct buf out;
    char *subject;
    bool begun; /* a byte came */
    bool ready;
    bool failed;
};

/* store.c: into the SSL_CTX. */
int tls_load_key(SSL_CTX *ssl, const struct tls_settings *s, struct err *e);
int tls_load_trust(SSL_CTX *ssl, const struct tls_settings *s, struct err *e);

/* rules.c: protocols and ciphers. */
int tls_set_rules(SSL_CTX *ssl, const struct tls_settings *s, struct err *e);

/* conn.c: the way of a connection's bytes, and its part of the verification. */
BIO_METHOD *tls_bio_method(void);
int tls_verify(int ok, X509_STORE_CTX *store);

/* name.c: a name of RFC 2253, on the heap. */
char *tls_name_text(const X509_NAME *name);

/* What OpenSSL says went wrong; empties its queue. */
const char *tls_reason(void);

#endif
