/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key and trust stores: PEM and PKCS12. ZooKeeper calls a store by its type or, without one, by the
 * extension of its path. Java's keytool makes PKCS12 under the name of JKS as well, so that what a
 * JKS store is, its first bytes say; the old format of that name is Java's own. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/pkcs12.h>

enum {
    STORE_MAX = 4 << 20,
};

#define JKS_MAGIC 0xfeedfeed

enum store_type { STORE_PEM, STORE_PKCS12, STORE_JKS };

static const struct {
    const char *name;
    const char *extension;
    enum store_type type;
} types[] = {
    {"PEM", ".pem", STORE_PEM},
    {"PKCS12", ".p12", STORE_PKCS12},
    {"JKS", ".jks", STORE_JKS},
};

/* What was in a store, to be freed with contents_close(). */
struct contents {
    EVP_PKEY *key;
    STACK_OF(X509) * certs; /* of a key store: its own first */
    STACK_OF(X509_CRL) * crls;
};

static void contents_close(struct contents *c)
{
    EVP_PKEY_free(c->key);
    sk_X509_pop_free(c->certs, X509_free);
    sk_X509_CRL_pop_free(c->crls, X509_CRL_free);
}

static void secret_close(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_close(b);
}

static int store_error(const struct tls_store *st, int rc, const char *what, struct err *e)
{
    return err_set(e, rc, "%s: %s: %s", st->setting, st->path, what);
}

static int store_read(const struct tls_store *st, struct buf *b, struct err *e)
{
    FILE *f = fopen(st->path, "re");
    if (!f)
        return store_error(st, -errno, strerror(errno), e);
    buf_reserve(b, STORE_MAX);
    errno = 0;
    b->len = fread(b->data, 1, STORE_MAX, f);
    int rc = ferror(f) ? -errno : 0;
    fclose(f);
    if (rc != 0)
        return store_error(st, rc, strerror(-rc), e);
    if (b->len == STORE_MAX)
        return store_error(st, -EFBIG, "it is too large for a key store", e);
    return 0;
}

static int store_type(const struct tls_store *st, enum store_type *type, struct err *e)
{
    const char *dot = strrchr(st->path, '.');
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        *type = types[i].type;
        if (st->type ? strcasecmp(st->type, types[i].name) == 0
                     : dot && strcasecmp(dot, types[i].extension) == 0)
            return 0;
    }
    if (st->type)
        return err_set(e, -EINVAL,
                       "%s: %s: stores of the type %s are not supported; PEM and "
                       "PKCS12 are",
                       st->setting, st->path, st->type);
    return store_error(st, -EINVAL,
                       "its name ends in none of .pem, .p12 and .jks; set the type, "
                       "PEM or PKCS12",
                       e);
}

static int refuse_jks(const struct tls_store *st, struct err *e)
{
    return err_set(e, -EINVAL,
                   "%s: %s is in Java's own format, JKS; convert it: keytool -importkeystore "
                   "-srckeystore %s -destkeystore NEW.p12 -deststoretype PKCS12, and name that",
                   st->setting, st->path, st->path);
}

/* OpenSSL would ask on the terminal if there were no callback. */
static int give_password(char *out, int size, int writing, void *arg)
{
    const char *password = arg;
    size_t len = password ? strlen(password) : 0;
    (void)writing;
    if (len == 0 || len > (size_t)size)
        return -1;
    memcpy(out, password, len);
    return (int)len;
}

/* ---- PEM ---- */

static void pem_take(struct contents *c, X509_INFO *info)
{
    if (info->x509 && sk_X509_push(c->certs, info->x509) > 0)
        info->x509 = NULL;
    if (info->crl && sk_X509_CRL_push(c->crls, info->crl) > 0)
        info->crl = NULL;
}

/* Certificates and revocation lists. */
static int pem_read_certs(const struct tls_store *st, const struct buf *b, struct contents *c,
                          struct err *e)
{
    BIO *bio = BIO_new_mem_buf(b->data, (int)b->len);
    STACK_OF(X509_INFO) *infos =
        PEM_X509_INFO_read_bio(bio, NULL, give_password, (void *)st->password);
    BIO_free(bio);
    if (!infos)
        return store_error(st, -EINVAL, tls_reason(), e);
    for (int i = 0; i < sk_X509_INFO_num(infos); i++)
        pem_take(c, sk_X509_INFO_value(infos, i));
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    return 0;
}

static int pem_read_key(const struct tls_store *st, const struct buf *b, struct contents *c,
                        struct err *e)
{
    BIO *bio = BIO_new_mem_buf(b->data, (int)b->len);
    c->key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)st->password);
    BIO_free(bio);
    if (c->key)
        return 0;
    ERR_clear_error();
    if (!memmem(b->data, b->len, "PRIVATE KEY-----", 16))
        return store_error(st, -EINVAL, "it has no private key in PEM's form", e);
    return store_error(st, -EINVAL,
                       st->password ? "the private key cannot be read; is the password right?"
                                    : "the private key needs a password",
                       e);
}

/* ---- PKCS12 ---- */

static int p12_read(const struct tls_store *st, const struct buf *b, struct contents *c,
                    struct err *e)
{
    const uint8_t *p = b->data;
    X509 *own = NULL;
    STACK_OF(X509) *rest = NULL;
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)b->len);
    if (!p12) {
        ERR_clear_error();
        return store_error(st, -EINVAL, "it is not in the format PKCS12", e);
    }
    int ok = PKCS12_parse(p12, st->password, &c->key, &own, &rest);
    PKCS12_free(p12);
    if (!ok && ERR_GET_REASON(ERR_peek_error()) == PKCS12_R_MAC_VERIFY_FAILURE) {
        ERR_clear_error();
        return store_error(st, -EINVAL,
                           st->password ? "the password is wrong" : "it needs a password", e);
    }
    if (!ok)
        return store_error(st, -EINVAL, tls_reason(), e);
    ERR_clear_error();
    if (own)
        sk_X509_push(c->certs, own);
    while (rest && sk_X509_num(rest) > 0)
        sk_X509_push(c->certs, sk_X509_shift(rest));
    sk_X509_free(rest);
    return 0;
}

/* ---- Both ---- */

static int contents_read(const struct tls_store *st, bool with_key, struct contents *c,
                         struct err *e)
{
    enum store_type type;
    struct buf b = {0};
    c->certs = sk_X509_new_null();
    c->crls = sk_X509_CRL_new_null();
    int rc = store_type(st, &type, e);
    if (rc == 0)
        rc = store_read(st, &b, e);
    if (rc == 0 && b.len >= 4 && be32_get(b.data) == JKS_MAGIC)
        rc = refuse_jks(st, e);
    else if (rc == 0 && type != STORE_PEM)
        rc = p12_read(st, &b, c, e);
    else if (rc == 0 && with_key)
        rc = pem_read_key(st, &b, c, e);
    if (rc == 0 && type == STORE_PEM)
        rc = pem_read_certs(st, &b, c, e);
    secret_close(&b);
    return rc;
}

static int read_separate_key(const struct tls_store *st, struct contents *c, struct err *e)
{
    struct buf b = {0};
    int rc = store_read(st, &b, e);
    if (rc == 0)
        rc = pem_read_key(st, &b, c, e);
    secret_close(&b);
    return rc;
}

/* OpenSSL puts the chain in order and leaves out what does not belong to it. */
static int use_key(SSL_CTX *ssl, const struct tls_store *st, struct contents *c, struct err *e)
{
    X509 *own = sk_X509_value(c->certs, 0);
    if (!own)
        return store_error(st, -EINVAL, "it has no certificate", e);
    if (!c->key)
        return store_error(st, -EINVAL, "it has no private key", e);
    bool ok = SSL_CTX_use_certificate(ssl, own) && SSL_CTX_use_PrivateKey(ssl, c->key) &&
              SSL_CTX_check_private_key(ssl);
    for (int i = 1; ok && i < sk_X509_num(c->certs); i++)
        ok = SSL_CTX_add1_chain_cert(ssl, sk_X509_value(c->certs, i));
    if (!ok)
        return store_error(st, -EINVAL, tls_reason(), e);
    SSL_CTX_build_cert_chain(ssl, SSL_BUILD_CHAIN_FLAG_CHECK | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                      SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    ERR_clear_error();
    return 0;
}

int tls_load_key(SSL_CTX *ssl, const struct tls_settings *s, struct err *e)
{
    struct contents c = {0};
    if (!s->key.path)
        return 0;
    int rc = contents_read(&s->key, !s->separate_key.path, &c, e);
    if (rc == 0 && s->separate_key.path)
        rc = read_separate_key(&s->separate_key, &c, e);
    if (rc == 0)
        rc = use_key(ssl, &s->key, &c, e);
    contents_close(&c);
    return rc;
}

static int use_trust(SSL_CTX *ssl, const struct tls_settings *s, const struct contents *c,
                     struct err *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    if (sk_X509_num(c->certs) == 0)
        return store_error(&s->trust, -EINVAL, "it has no certificate", e);
    if (s->crl && sk_X509_CRL_num(c->crls) == 0)
        return err_set(e, -EINVAL,
                       "%scrl: %s has no revocation list (X509 CRL); put that of each authority "
                       "into it, in PEM's form",
                       s->prefix, s->trust.path);
    bool ok = true;
    for (int i = 0; ok && i < sk_X509_num(c->certs); i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(c->certs, i)) &&
             SSL_CTX_add_client_CA(ssl, sk_X509_value(c->certs, i));
    for (int i = 0; ok && i < sk_X509_CRL_num(c->crls); i++)
        ok = X509_STORE_add_crl(store, sk_X509_CRL_value(c->crls, i));
    return ok ? 0 : store_error(&s->trust, -EINVAL, tls_reason(), e);
}

int tls_load_trust(SSL_CTX *ssl, const struct tls_settings *s, struct err *e)
{
    struct contents c = {0};
    if (!s->trust.path) {
        SSL_CTX_set_default_verify_paths(ssl);
        ERR_clear_error();
        return 0;
    }
    int rc = contents_read(&s->trust, false, &c, e);
    if (rc == 0)
        rc = use_trust(ssl, s, &c, e);
    contents_close(&c);
    return rc;
}
