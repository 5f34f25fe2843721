/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For test_tls.c: certificates made on the spot, and two engines that talk to each other. */
#ifndef TLS_LIB_H
#define TLS_LIB_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include "zab/tls.h"

/* ---- Certificates ---- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

struct wanted {
    const char *common_name;
    const char *alt_name;          /* "DNS:zk1,IP:127.0.0.1", NULL: none */
    const struct identity *issuer; /* NULL: it signs itself */
    bool authority;
    int days;
    void (*name)(X509_NAME *name); /* builds the name instead */
};

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(x);
    X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
}

static inline void add_name(X509_NAME *name, const char *type, const char *value)
{
    X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0);
}

static inline struct identity identity_make(const struct wanted *w)
{
    static long serial;
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    const struct identity *issuer = w->issuer ? w->issuer : &id;
    X509_NAME *name = X509_get_subject_name(id.cert);
    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -100 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), w->days * 86400L);
    X509_set_pubkey(id.cert, id.key);
    if (w->name)
        w->name(name);
    else
        add_name(name, "CN", w->common_name);
    X509_set_issuer_name(id.cert, X509_get_subject_name(issuer->cert));
    if (w->authority)
        add_extension(id.cert, NID_basic_constraints, "critical,CA:TRUE");
    if (w->alt_name)
        add_extension(id.cert, NID_subject_alt_name, w->alt_name);
    assert_true(X509_sign(id.cert, issuer->key, EVP_sha256()) > 0);
    return id;
}

static inline void identity_free(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

/* ---- Files, all in one directory ---- */

static char directory[] = "/tmp/zab-test-tls.XXXXXX";

static inline const char *path_of(const char *name)
{
    static char paths[64][128];
    static int next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static inline FILE *create(const char *name)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    return f;
}

/* `password` NULL: the key is not encrypted. `id` without a key: a trust store. */
static inline void write_pem(const char *name, const struct identity *id, const char *password)
{
    FILE *f = create(name);
    if (id->key)
        PEM_write_PKCS8PrivateKey(f, id->key, password ? EVP_aes_128_cbc() : NULL, password,
                                  password ? (int)strlen(password) : 0, NULL, NULL);
    PEM_write_X509(f, id->cert);
    fclose(f);
}

static inline void write_p12(const char *name, const struct identity *id, const char *password)
{
    FILE *f = create(name);
    PKCS12 *p12 = PKCS12_create(password, "name", id->key, id->cert, NULL, 0, 0, 0, 0, 0);
    assert_non_null(p12);
    i2d_PKCS12_fp(f, p12);
    PKCS12_free(p12);
    fclose(f);
}

static inline void write_text(const char *name, const char *text, size_t len)
{
    FILE *f = create(name);
    fwrite(text, 1, len, f);
    fclose(f);
}

/* ---- Two engines ---- */

struct side {
    struct tls_context *context;
    struct tls_conn *conn;
    struct buf got;
    struct err e;
    int rc;
};

struct pair {
    struct side client, server;
};

static inline void side_open(struct side *s, const struct tls_settings *settings,
                             enum tls_role role, const char *peer)
{
    *s = (struct side){0};
    if (tls_context_open(&s->context, settings, &s->e) != 0)
        fail_msg("%s", s->e.text);
    s->conn = tls_conn_open(s->context, role, peer);
}

static inline void pair_open(struct pair *p, const struct tls_settings *client,
                             const struct tls_settings *server, const char *host,
                             const char *address)
{
    side_open(&p->client, client, TLS_CLIENT, host);
    side_open(&p->server, server, TLS_SERVER, address);
}

static inline void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct side *s = i ? &p->server : &p->client;
        tls_conn_close(s->conn);
        tls_context_close(s->context);
        buf_close(&s->got);
    }
}

static inline void receive(struct side *s, const void *data, size_t len)
{
    if (s->rc == 0)
        s->rc = tls_conn_receive(s->conn, slice_of(data, len), &s->got, &s->e);
}

/* What one side has to send, in pieces of at most `step` bytes, to the other. False: nothing. */
static inline bool carry(struct side *from, struct side *to, size_t step)
{
    struct buf *out = tls_conn_output(from->conn), bytes = *out;
    if (bytes.len == 0)
        return false;
    *out = (struct buf){0};
    for (size_t at = 0; at < bytes.len; at += step)
        receive(to, bytes.data + at, MIN(step, bytes.len - at));
    buf_close(&bytes);
    return true;
}

static inline void pump(struct pair *p, size_t step)
{
    bool more = true;
    while (more) {
        more = carry(&p->client, &p->server, step);
        more = carry(&p->server, &p->client, step) || more;
    }
}

#endif
