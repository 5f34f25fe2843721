/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A context: OpenSSL's, with the same rules for all that we do. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text ? text : "OpenSSL does not say why";
}

static void set_modes(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
}

/* The mode of a server; a client's connection sets its own. */
static void set_verification(SSL_CTX *ssl, const struct tls_settings *s)
{
    int mode = SSL_VERIFY_NONE;
    if (s->client_auth != TLS_CLIENT_NONE)
        mode |= SSL_VERIFY_PEER;
    if (s->client_auth == TLS_CLIENT_NEED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ssl, mode, tls_verify);
    /* A certificate that is trusted itself needs nobody above it, as with Java's trust stores. */
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (s->crl)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

static void copy_client_names(struct tls_context *t, const struct tls_settings *s)
{
    t->client_names = mem_zalloc((s->n_client_names + 1) * sizeof(*t->client_names));
    for (; t->n_client_names < s->n_client_names; t->n_client_names++)
        t->client_names[t->n_client_names] = mem_strdup(s->client_names[t->n_client_names]);
}

int tls_context_open(struct tls_context **out, const struct tls_settings *s, struct err *e)
{
    struct tls_context *t = mem_zalloc(sizeof(*t));
    t->refs = 1;
    t->ssl = SSL_CTX_new(TLS_method());
    t->bio = tls_bio_method();
    if (!t->ssl || !t->bio)
        ensure(!"there is memory");
    t->verify_name[TLS_CLIENT] = s->verify_server_name;
    t->verify_name[TLS_SERVER] = s->verify_client_name;
    copy_client_names(t, s);
    set_modes(t->ssl);
    set_verification(t->ssl, s);
    int rc = tls_set_rules(t->ssl, s, e);
    if (rc == 0)
        rc = tls_load_key(t->ssl, s, e);
    if (rc == 0)
        rc = tls_load_trust(t->ssl, s, e);
    if (rc == 0)
        *out = t;
    else
        tls_context_close(t);
    return rc;
}

void tls_context_close(struct tls_context *t)
{
    if (!t || --t->refs > 0)
        return;
    SSL_CTX_free(t->ssl);
    BIO_meth_free(t->bio);
    for (size_t i = 0; i < t->n_client_names; i++)
        free(t->client_names[i]);
    free(t->client_names);
    free(t);
}
