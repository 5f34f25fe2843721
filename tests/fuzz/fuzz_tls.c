/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two TLS engines whose bytes are cut, changed and mixed with others. What comes out at one end is
 * always the beginning of what went in at the other; and unless bytes were touched, nothing fails.
 *
 * Behind one byte (odd: TLS 1.2), steps: FUZZ_STEP(kind, side) and a byte. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "fuzz.h"
#include "zab/tls.h"

enum step {
    CARRY,  /* so many bytes to the other side; 255: all */
    SEND,   /* so many bytes */
    CHANGE, /* a bit of the byte there in what is on the way */
    INSERT, /* this byte, to the other side */
    END,
    STEPS,
};

struct side {
    struct tls_conn *conn;
    struct buf got;
    size_t n_sent;
    bool ended;  /* it has sent all that it will */
    bool failed; /* it takes nothing any more */
};

struct run {
    struct side sides[2];
    bool touched;
};

static struct tls_context *contexts[2];

/* One key and certificate for both, which vouches for itself. */
static void make_store(FILE *f)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), 30 * 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"fuzz", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    ensure(X509_sign(cert, key, EVP_sha256()) > 0);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    PEM_write_X509(f, cert);
    ensure(fflush(f) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void open_contexts(void)
{
    char path[64];
    int fd = memfd_create("store", MFD_CLOEXEC);
    FILE *f = fdopen(fd, "w");
    ensure(f != NULL);
    make_store(f);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct tls_store store = {"store", path, "PEM", NULL};
    struct tls_settings settings = {
        .prefix = "", .key = store, .trust = store, .client_auth = TLS_CLIENT_NEED};
    ensure(tls_context_open(&contexts[0], &settings, NULL) == 0);
    settings.protocol = "TLSv1.2";
    ensure(tls_context_open(&contexts[1], &settings, NULL) == 0);
    fclose(f);
}

static void receive(struct run *r, struct side *to, const uint8_t *data, size_t len)
{
    struct err e = {0};
    size_t before = to->got.len;
    const struct side *from = &r->sides[to == &r->sides[0]];
    if (to->failed)
        return;
    struct slice bytes = fuzz_copy(data, len);
    int rc = tls_conn_receive(to->conn, bytes, &to->got, &e);
    fuzz_piece_free(bytes);
    to->failed = rc != 0;
    ensure(rc <= 0 && e.code == rc);
    ensure(rc == 0 || r->touched || (rc == -EPIPE && from->ended));
    ensure(to->got.len <= from->n_sent);
    for (size_t i = before; i < to->got.len; i++)
        ensure(to->got.data[i] == (uint8_t)(i * 7));
}

static void send_some(struct side *s, size_t n)
{
    uint8_t data[256 * 64];
    if (s->ended || s->failed || !tls_conn_ready(s->conn))
        return;
    for (size_t i = 0; i < n * 64; i++)
        data[i] = (uint8_t)((s->n_sent + i) * 7);
    ensure(tls_conn_send(s->conn, slice_of(data, n * 64), NULL) == 0);
    s->n_sent += n * 64;
}

static void step(struct run *r, uint8_t what, uint8_t n)
{
    struct side *s = &r->sides[FUZZ_STEP_NUMBER(what) & 1];
    struct side *other = &r->sides[s == &r->sides[0]];
    struct buf *out = tls_conn_output(s->conn);
    size_t len = n == 255 ? out->len : MIN(n, out->len);
    switch ((enum step)(FUZZ_STEP_KIND(what) % STEPS)) {
    case CARRY:
        if (len > 0)
            receive(r, other, out->data, len);
        buf_consume(out, len);
        break;
    case SEND:
        send_some(s, n);
        break;
    case CHANGE:
        r->touched = r->touched || n < out->len;
        if (n < out->len)
            out->data[n] ^= (uint8_t)(1 << (n & 7));
        break;
    case INSERT:
        r->touched = true;
        receive(r, other, &n, 1);
        break;
    case END:
        s->ended = s->ended || tls_conn_ready(s->conn);
        tls_conn_end(s->conn);
        break;
    case STEPS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct run r = {0};
    if (!contexts[0])
        open_contexts();
    struct tls_context *t = contexts[fuzz_byte(&in) & 1];
    r.sides[0].conn = tls_conn_open(t, TLS_CLIENT, "fuzz");
    r.sides[1].conn = tls_conn_open(t, TLS_SERVER, "127.0.0.1");
    while (in.pos < in.end) {
        uint8_t what = fuzz_byte(&in);
        step(&r, what, fuzz_byte(&in));
    }
    for (int i = 0; i < 2; i++) {
        tls_conn_close(r.sides[i].conn);
        buf_close(&r.sides[i].got);
    }
    return 0;
}
