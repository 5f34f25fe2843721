/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS 1.2 and 1.3 as an engine without I/O: bytes of the network go in and come out, and the caller
 * moves them.
 *
 * A context is what one kind of connection has in common: own key, trusted certificates, rules. It
 * reads its files when it is opened. Its connections keep what they need of it when it is closed.
 *
 * A connection is told what came (tls_conn_receive) and what is to be sent (tls_conn_send, once
 * tls_conn_ready). Both leave bytes for the network in tls_conn_output(); the caller sends and
 * consumes them, also behind an error, since they say why. Nothing is kept of what came but the
 * beginning of a record; what is to be sent is bounded by what the caller hands over at a time.
 * There is no renegotiation, no resumption and no compression. */
#ifndef ZAB_TLS_H
#define ZAB_TLS_H

#include "zab/buf.h"
#include "zab/err.h"

struct tls_context;
struct tls_conn;

/* A file with keys or certificates. */
struct tls_store {
    const char *setting;  /* what its path is called where it is set, for errors */
    const char *path;     /* NULL: there is none */
    const char *type;     /* "PEM", "PKCS12" or "JKS", in any case; NULL: by the path's extension */
    const char *password; /* NULL: none */
};

enum tls_client_auth {
    TLS_CLIENT_NONE, /* not asked for a certificate */
    TLS_CLIENT_WANT, /* asked; one that is sent must be good */
    TLS_CLIENT_NEED,
};

/* Borrowed by tls_context_open() alone. */
struct tls_settings {
    const char *prefix;            /* of what the settings below are called, for errors */
    struct tls_store key;          /* own certificate, its chain and its private key */
    struct tls_store separate_key; /* PEM: the private key, if it is not in `key` */
    struct tls_store trust;        /* without it the system's certificates are trusted */
    const char *protocol;          /* "TLSv1.3", "TLS" or NULL: 1.2 and 1.3; "TLSv1.2": only that */
    const char *enabled_protocols; /* a list with commas, which goes before `protocol`; or NULL */
    const char *ciphers;           /* IANA's names or OpenSSL's, with commas; NULL: the library's */
    enum tls_client_auth client_auth;
    bool verify_server_name;
    bool verify_client_name;
    const char *const *client_names; /* a client may also be one of these, not just its address */
    size_t n_client_names;
    bool crl; /* refuse what the lists in `trust` (PEM) have revoked */
};

/* Error: names the setting, the file and the reason. */
int tls_context_open(struct tls_context **out, const struct tls_settings *s, struct err *e);
void tls_context_close(struct tls_context *t);

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* `peer` is the host that was asked for, or the IP address of a client; its certificate must be
 * for that if the settings say so. */
struct tls_conn *tls_conn_open(struct tls_context *t, enum tls_role role, const char *peer);
void tls_conn_close(struct tls_conn *c);

/* Takes all of `in` and appends what it says to `plain`: at most its length and one record more.
 * -EPIPE: the peer has ended the connection. Else an error and a sentence. */
int tls_conn_receive(struct tls_conn *c, struct slice in, struct buf *plain, struct err *e);

/* The handshake is through; the peer is who it has to be. */
bool tls_conn_ready(const struct tls_conn *c);

/* Only when ready. Error: the connection is of no use any more. */
int tls_conn_send(struct tls_conn *c, struct slice plain, struct err *e);

/* Nothing more will be sent; tells the peer. */
void tls_conn_end(struct tls_conn *c);

struct buf *tls_conn_output(struct tls_conn *c);

/* The distinguished name of the peer's certificate, as Java's X500Principal.getName() has it
 * (RFC 2253); NULL: there is no certificate. When ready. */
const char *tls_conn_subject(const struct tls_conn *c);

/* Are these the first bytes of TLS, and of none of our protocols? */
static inline bool tls_begins(struct slice in)
{
    return slice_size(in) > 0 && in.data[0] == 0x16;
}

#endif
