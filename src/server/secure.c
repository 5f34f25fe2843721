/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "zab/hmap.h"
#include "zab/log.h"

enum {
    PASSWORD_MAX = 1024,
    LOOK_MS = 1000,
};

/* What is read for a context and not needed any more when there is one. */
struct preparation {
    char key_password[PASSWORD_MAX], trust_password[PASSWORD_MAX];
    char key_setting[64], trust_setting[64];
    const char *names[ZAB_SERVERS_MAX * ENSEMBLE_ADDRESSES_MAX];
    struct tls_settings settings;
};

/* The first line of the file. */
static int read_password(const char *prefix, const char *key, const char *path,
                         char text[PASSWORD_MAX], struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "%s%s.passwordPath: %s: %s", prefix, key, path, strerror(errno));
    bool read = fgets(text, PASSWORD_MAX, f) != NULL;
    fclose(f);
    text[strcspn(text, "\r\n")] = '\0';
    return read ? 0 : err_set(e, -EINVAL, "%s%s.passwordPath: %s is empty", prefix, key, path);
}

static int parse_client_auth(const struct config_tls *c, struct tls_settings *s, struct err *e)
{
    static const char *const names[] = {
        [TLS_CLIENT_NONE] = "none", [TLS_CLIENT_WANT] = "want", [TLS_CLIENT_NEED] = "need"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcasecmp(c->client_auth, names[i]) == 0) {
            s->client_auth = (enum tls_client_auth)i;
            return 0;
        }
    }
    return err_set(e, -EINVAL, "%sclientAuth: \"%s\" is none of need, want, none", s->prefix,
                   c->client_auth);
}

/* What must not be left to a default where it is about who may come in. */
static int check(const struct config_tls *c, const struct tls_settings *s, bool connects,
                 struct err *e)
{
    if (c->ocsp)
        return err_set(e, -ENOTSUP, "%socsp is not supported; use %scrl, or leave it out",
                       s->prefix, s->prefix);
    if (!c->key_path)
        return err_set(e, -EINVAL,
                       "%skeyStore.location is not set; TLS needs a file with this server's "
                       "certificate and private key",
                       s->prefix);
    if (!c->trust_path && (connects || s->client_auth != TLS_CLIENT_NONE))
        return err_set(e, -EINVAL,
                       "%strustStore.location is not set; name the file of the certificates whose "
                       "holders may connect",
                       s->prefix);
    return 0;
}

static int prepare(struct preparation *p, const struct config_tls *c, const char *prefix,
                   bool connects, struct err *e)
{
    struct tls_settings *s = &p->settings;
    int rc = parse_client_auth(c, s, e);
    if (rc == 0)
        rc = check(c, s, connects, e);
    if (rc == 0 && c->key_password_path)
        rc = read_password(prefix, "keyStore", c->key_password_path, p->key_password, e);
    if (rc == 0 && c->trust_password_path)
        rc = read_password(prefix, "trustStore", c->trust_password_path, p->trust_password, e);
    snprintf(p->key_setting, sizeof(p->key_setting), "%skeyStore.location", prefix);
    snprintf(p->trust_setting, sizeof(p->trust_setting), "%strustStore.location", prefix);
    s->key = (struct tls_store){p->key_setting, c->key_path, c->key_type,
                                c->key_password_path ? p->key_password : c->key_password};
    s->trust = (struct tls_store){p->trust_setting, c->trust_path, c->trust_type,
                                  c->trust_password_path ? p->trust_password : c->trust_password};
    return rc;
}

/* A server that connects may be known by a name, but comes from an address: its certificate can be
 * for any host of the server lines. */
static void add_names(struct preparation *p, const struct ensemble *en)
{
    struct tls_settings *s = &p->settings;
    s->client_names = p->names;
    for (size_t i = 0; i < en->n; i++) {
        for (size_t j = 0; j < en->servers[i].n_addresses; j++)
            p->names[s->n_client_names++] = en->servers[i].addresses[j].host;
    }
}

static uint64_t stamp_of(const struct config_tls *c)
{
    const char *const paths[] = {c->key_path, c->key_password_path, c->trust_path,
                                 c->trust_password_path};
    uint64_t stamp = 0;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stat st;
        if (!paths[i] || stat(paths[i], &st) != 0)
            continue;
        const uint64_t parts[] = {st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                                  (uint64_t)st.st_mtim.tv_nsec};
        stamp = hash_bytes(parts, sizeof(parts), stamp);
    }
    return stamp;
}

/* Anew, or in place of what it is; that stays if there is an error. */
static int open_rules(struct secure_rules *rules, const struct config *config,
                      const struct config_tls *c, const char *prefix, struct err *e)
{
    struct tls_context *tls = NULL;
    bool quorum = c == &config->quorum_tls;
    struct preparation *p = mem_zalloc(sizeof(*p));
    p->settings = (struct tls_settings){
        .prefix = prefix,
        .protocol = c->protocol,
        .enabled_protocols = c->enabled_protocols,
        .ciphers = c->ciphers,
        .verify_server_name = c->verify_name,
        .verify_client_name = c->verify_name && c->verify_client_name,
        .crl = c->crl,
    };
    int rc = prepare(p, c, prefix, quorum, e);
    if (quorum)
        add_names(p, &config->ensemble);
    rules->stamp = stamp_of(c);
    if (rc == 0)
        rc = tls_context_open(&tls, &p->settings, e);
    explicit_bzero(p, sizeof(*p));
    free(p);
    if (rc != 0)
        return rc;
    tls_context_close(rules->tls);
    rules->tls = tls;
    return 0;
}

int secure_open(struct secure *s, const struct config *c, struct err *e)
{
    int rc = 0;
    *s = (struct secure){0};
    if (c->secure_client_port > 0 || c->client_unified)
        rc = open_rules(&s->clients, c, &c->tls, "ssl.", e);
    if (rc == 0 && c->own && (c->quorum_secure || c->quorum_unified))
        rc = open_rules(&s->servers, c, &c->quorum_tls, "ssl.quorum.", e);
    return rc;
}

void secure_close(struct secure *s)
{
    tls_context_close(s->clients.tls);
    tls_context_close(s->servers.tls);
}

static void look_again(struct secure_rules *rules, const struct config *config,
                       const struct config_tls *c, const char *prefix)
{
    struct err e;
    if (!rules->tls || stamp_of(c) == rules->stamp)
        return;
    if (open_rules(rules, config, c, prefix, &e) == 0)
        log_info("%skeyStore and %strustStore were read again", prefix, prefix);
    else
        log_error("%s; what was read before stays in force", e.text);
}

void secure_tick(struct secure *s, const struct config *c, uint64_t now_ms)
{
    if (now_ms < s->look_ms)
        return;
    s->look_ms = now_ms + LOOK_MS;
    if (c->client_reload)
        look_again(&s->clients, c, &c->tls, "ssl.");
    if (c->quorum_reload)
        look_again(&s->servers, c, &c->quorum_tls, "ssl.quorum.");
}

struct secure_port secure_client_port(const struct secure *s, const struct config *c, bool secure)
{
    bool tls = secure || c->client_unified;
    return (struct secure_port){tls ? &s->clients : NULL, !secure, (uint64_t)c->tls.handshake_ms};
}

struct secure_port secure_quorum_port(const struct secure *s, const struct config *c)
{
    return (struct secure_port){s->servers.tls ? &s->servers : NULL, c->quorum_unified,
                                (uint64_t)c->quorum_tls.handshake_ms};
}

/* ---- Connections ---- */

void secure_conn_accept(struct secure_conn *x, const struct secure_port *port, const char *ip)
{
    if (!port->rules)
        return;
    x->tls = tls_conn_open(port->rules->tls, TLS_SERVER, ip);
    x->plain_too = port->plain_too;
}

void secure_conn_connect(struct secure_conn *x, const struct secure_rules *rules, const char *host)
{
    x->tls = tls_conn_open(rules->tls, TLS_CLIENT, host);
}

void secure_conn_close(struct secure_conn *x)
{
    tls_conn_close(x->tls);
    *x = (struct secure_conn){0};
}

int secure_conn_receive(struct secure_conn *x, struct slice *data, struct buf *plain, struct err *e)
{
    if (x->plain_too && !tls_begins(*data))
        secure_conn_close(x);
    x->plain_too = false;
    if (!x->tls)
        return 0;
    buf_reset(plain);
    int rc = tls_conn_receive(x->tls, *data, plain, e);
    *data = buf_slice(plain);
    return rc;
}
