/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection. OpenSSL reads from what tls_conn_receive() lent it, and writes to the output,
 * both without a copy of our own; it never waits, since the output takes everything. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

enum {
    RECORD_MAX = 16 << 10,
    ANSWERS_MAX = 1 << 20, /* of the engine's own, for a peer that asks and does not read */
};

/* ---- Bytes of the network ---- */

static int bio_read(BIO *bio, char *data, int size)
{
    struct tls_conn *c = BIO_get_data(bio);
    size_t n = MIN((size_t)size, slice_size(c->in));
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(data, c->in.data, n);
    c->in = slice_of(c->in.data + n, slice_size(c->in) - n);
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_conn *c = BIO_get_data(bio);
    buf_append(&c->out, data, (size_t)size);
    return size;
}

static long bio_ctrl(BIO *bio, int what, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return what == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "zab");
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

/* ---- Who the peer is ---- */

static bool is_address(const char *host)
{
    uint8_t addr[16];
    return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

static bool is_for(X509 *cert, const char *host)
{
    return is_address(host) ? X509_check_ip_asc(cert, host, 0) == 1
                            : X509_check_host(cert, host, 0, 0, NULL) == 1;
}

static bool name_is_right(const struct tls_conn *c, X509 *cert)
{
    const struct tls_context *t = c->context;
    if (!t->verify_name[c->role] || (c->peer && is_for(cert, c->peer)))
        return true;
    if (c->role == TLS_CLIENT)
        return false;
    for (size_t i = 0; i < t->n_client_names; i++) {
        if (is_for(cert, t->client_names[i]))
            return true;
    }
    return false;
}

/* For each certificate of the chain, the peer's own last. */
int tls_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *c = SSL_get_app_data(ssl);
    X509 *own = X509_STORE_CTX_get0_cert(store);
    if (ok && X509_STORE_CTX_get_error_depth(store) > 0)
        return 1;
    free(c->subject);
    c->subject = tls_name_text(X509_get_subject_name(own));
    if (!ok || name_is_right(c, own))
        return ok;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

/* ---- Errors ---- */

static int certificate_refused(const struct tls_conn *c, long why, struct err *e)
{
    const char *subject = c->subject ? c->subject : "of the other side";
    if (why == X509_V_ERR_HOSTNAME_MISMATCH)
        return err_set(e, -EACCES, "TLS: the certificate %s is not for %s", subject,
                       c->peer ? c->peer : "its address");
    return err_set(e, -EACCES, "TLS: the certificate %s is not accepted: %s", subject,
                   X509_verify_cert_error_string(why));
}

static int fail(struct tls_conn *c, struct err *e)
{
    long why = SSL_get_verify_result(c->ssl);
    unsigned long code = ERR_peek_error();
    c->failed = true;
    if (why != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        return certificate_refused(c, why, e);
    }
    if (ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET)
        return err_set(e, -EPROTO, "TLS: refused by the other side: %s", tls_reason());
    return err_set(e, -EPROTO, "TLS: %s", tls_reason());
}

/* ---- A connection ---- */

struct tls_conn *tls_conn_open(struct tls_context *t, enum tls_role role, const char *peer)
{
    struct tls_conn *c = mem_zalloc(sizeof(*c));
    BIO *bio = BIO_new(t->bio);
    c->context = t;
    t->refs++;
    c->role = role;
    c->peer = peer ? mem_strdup(peer) : NULL;
    c->ssl = SSL_new(t->ssl);
    if (!c->ssl || !bio)
        ensure(!"there is memory");
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->ssl, bio, bio);
    SSL_set_app_data(c->ssl, c);
    if (role == TLS_SERVER) {
        SSL_set_accept_state(c->ssl);
        return c;
    }
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, tls_verify);
    if (peer && !is_address(peer))
        SSL_set_tlsext_host_name(c->ssl, peer);
    SSL_set_connect_state(c->ssl);
    SSL_do_handshake(c->ssl); /* its first message; what can go wrong shows with the answer */
    ERR_clear_error();
    return c;
}

void tls_conn_close(struct tls_conn *c)
{
    if (!c)
        return;
    SSL_free(c->ssl);
    tls_context_close(c->context);
    buf_close(&c->out);
    free(c->subject);
    free(c->peer);
    free(c);
}

static int handshake(struct tls_conn *c, struct err *e)
{
    int n = SSL_do_handshake(c->ssl);
    if (n != 1)
        return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? 0 : fail(c, e);
    c->ready = true;
    return 0;
}

static int read_records(struct tls_conn *c, struct buf *plain, struct err *e)
{
    for (;;) {
        buf_reserve(plain, RECORD_MAX);
        int n = SSL_read(c->ssl, plain->data + plain->len, RECORD_MAX);
        if (n <= 0) {
            switch (SSL_get_error(c->ssl, n)) {
            case SSL_ERROR_WANT_READ:
                return 0;
            case SSL_ERROR_ZERO_RETURN:
                return err_set(e, -EPIPE, "TLS: ended by the other side");
            default:
                return fail(c, e);
            }
        }
        plain->len += (size_t)n;
    }
}

int tls_conn_receive(struct tls_conn *c, struct slice in, struct buf *plain, struct err *e)
{
    int rc = 0;
    if (c->failed)
        return err_set(e, -EPROTO, "TLS: it has failed before");
    if (!c->begun && slice_size(in) > 0) {
        c->begun = true;
        if (c->role == TLS_SERVER && !tls_begins(in)) {
            c->failed = true;
            return err_set(e, -EPROTO, "TLS: the other side does not speak it");
        }
    }
    ERR_clear_error();
    c->in = in;
    if (!c->ready)
        rc = handshake(c, e);
    if (rc == 0 && c->ready)
        rc = read_records(c, plain, e);
    c->in = SLICE_EMPTY;
    if (rc == 0 && c->out.len > ANSWERS_MAX)
        rc = err_set(e, -EPROTO, "TLS: the other side takes no answer");
    return rc;
}

bool tls_conn_ready(const struct tls_conn *c)
{
    return c->ready && !c->failed;
}

int tls_conn_send(struct tls_conn *c, struct slice plain, struct err *e)
{
    size_t n = slice_size(plain);
    ensure(c->ready);
    ERR_clear_error();
    if (c->failed || (n > 0 && SSL_write(c->ssl, plain.data, (int)n) != (int)n))
        return fail(c, e);
    return 0;
}

void tls_conn_end(struct tls_conn *c)
{
    if (!tls_conn_ready(c))
        return;
    SSL_shutdown(c->ssl);
    ERR_clear_error();
}

struct buf *tls_conn_output(struct tls_conn *c)
{
    return &c->out;
}

const char *tls_conn_subject(const struct tls_conn *c)
{
    return c->subject;
}
