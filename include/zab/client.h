/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ZooKeeper client on a libuv loop, for zabfs and zabctl.
 *
 * All calls and callbacks are on the loop's thread. Requests are pipelined: they leave in the
 * order of the calls, all those of one loop turn in one write, and are answered in that order.
 *
 * The client keeps one session alive through the list of hosts. When the connection is lost it
 * connects to the next host and resumes; watches that it was asked for are set again
 * (setWatches2), before any request that was queued meanwhile. When the session has expired it
 * says so (CLIENT_EXPIRED), answers all that was outstanding, and begins a new session by itself,
 * with the persistent watches set again.
 *
 * Requests made while there is no connection wait for one. Nothing waits longer than
 * request_timeout_ms: the callback is called once for each request, always, later than the call. */
#ifndef ZAB_CLIENT_H
#define ZAB_CLIENT_H

#include <uv.h>

#include "zab/err.h"
#include "zab/request.h"
#include "zab/session.h" /* enum client_state */
#include "zab/tls.h"

struct client;

struct client_config {
    const char *hosts;       /* HOST:PORT[,HOST:PORT...][/CHROOT]; an IPv6 address in brackets */
    int timeout_ms;          /* session timeout to ask for; 0: 30,000 */
    int request_timeout_ms;  /* 0: the session timeout */
    int32_t reply_max;       /* bytes of the longest answer taken, 1 MiB to 1 GiB; 0: 4 MiB */
    bool read_only_ok;       /* be content with a server without a quorum, while looking for one */
    struct tls_context *tls; /* connections speak TLS, by these rules; NULL: plain. Outlives it */
    void (*on_state)(void *arg, enum client_state state); /* may be NULL */
    /* A watch fired, by the transaction `zxid` (-1: before 3.9 ZooKeeper does not say). The path is
     * below the chroot and valid during the call. May be NULL. */
    void (*on_event)(void *arg, const struct zk_watcher_event *event, int64_t zxid);
    void *arg;
};

/* Starts to connect; the first state to be told is CONNECTED, or CONNECTING after a failure.
 * Error: a host list that cannot be parsed. */
int client_open(uv_loop_t *loop, const struct client_config *config, struct client **out,
                struct err *e);

/* End the session (its ephemeral nodes go at once), answer what is outstanding with
 * CONNECTIONLOSS, free. Waits at most a second for the server; `on_closed` may be NULL. */
void client_close(struct client *c, void (*on_closed)(void *arg), void *arg);

/* Authenticate now and after each reconnect. "digest" and "user:password". */
void client_add_auth(struct client *c, const char *scheme, struct slice auth);

enum client_state client_state(const struct client *c);
int64_t client_session_id(const struct client *c);
int client_timeout_ms(const struct client *c); /* as the server granted it */
int64_t client_last_zxid(const struct client *c);
const char *client_server(const struct client *c); /* "host:port", "" if none */

/* Why there is no connection: what became of the last attempt, "" while there is one. */
const char *client_problem(const struct client *c);

/* A user's words for reply_max: bytes, or a number with K, M or G behind it. -EINVAL: not one from
 * 1M to 1G. */
int client_parse_reply_max(const char *text, int32_t *reply_max);

/* A host list taken apart; the port is always there, an IPv6 address keeps its brackets. */
struct client_hosts {
    char **host_port;
    unsigned n;
    char *chroot; /* "" if there is none */
};

/* Error: what is wrong with the list, and nothing to close. */
int client_hosts_parse(struct client_hosts *h, const char *hosts, struct err *e);
void client_hosts_close(struct client_hosts *h);

/* What is wrong with a host list, without connecting. */
int client_check_hosts(const char *hosts, struct err *e);

/* `err` is an enum zk_error. Of those that no server sends: CONNECTIONLOSS, the request was sent
 * and the connection lost, so that it may have taken place or not; OPERATIONTIMEOUT, it was
 * never sent; SESSIONEXPIRED; REPLYTOOLONG, the server did what was asked and answered with
 * `too_long` bytes, more than reply_max: the answer is lost, a watch that was asked for is set
 * (of a multi it is not known whether it took place). `body` is what follows the reply's header,
 * valid during the call, empty if err is not 0 (except for a multi: its results, with err the first
 * of them). */
struct client_reply {
    int32_t err;
    int64_t zxid;
    struct slice body;
    int32_t too_long; /* 0 if the err is another */
};

typedef void client_done(void *arg, const struct client_reply *reply);

/* Paths are below the chroot; a path that comes back in a create's body is too. A `done` of NULL
 * is allowed. Slices are borrowed during the call only. client_children()'s body is a
 * get_children2_response. No request may be made after client_close(). */
void client_get(struct client *c, struct slice path, bool watch, client_done *done, void *arg);
void client_exists(struct client *c, struct slice path, bool watch, client_done *done, void *arg);
void client_children(struct client *c, struct slice path, bool watch, client_done *done, void *arg);
void client_set(struct client *c, struct slice path, struct slice data, int32_t version,
                client_done *done, void *arg);

/* create2: the body is a create2_response. `acl` NULL: world:anyone, all. `mode`: enum
 * zk_create_mode; `ttl_ms` only for the two TTL modes. */
void client_create(struct client *c, struct slice path, struct slice data,
                   const struct jute_vector *acl, int32_t mode, int64_t ttl_ms, client_done *done,
                   void *arg);
void client_delete(struct client *c, struct slice path, int32_t version, client_done *done,
                   void *arg);
void client_sync(struct client *c, struct slice path, client_done *done, void *arg);
void client_get_acl(struct client *c, struct slice path, client_done *done, void *arg);
void client_set_acl(struct client *c, struct slice path, const struct jute_vector *acl,
                    int32_t version, client_done *done, void *arg);

/* Persistent watches stay, over reconnects and new sessions, until they are removed. */
void client_add_watch(struct client *c, struct slice path, enum zk_watch_mode mode,
                      client_done *done, void *arg);
void client_remove_watch(struct client *c, struct slice path, enum zk_watcher_type type,
                         client_done *done, void *arg);
void client_who_am_i(struct client *c, client_done *done, void *arg);

/* All or nothing; closes `m`, which begins with request_multi_begin(m, client_chroot(c)). */
void client_multi(struct client *c, struct request_multi *m, client_done *done, void *arg);

/* Any request: its record with the chroot in its paths (request.h). */
void client_request(struct client *c, enum zk_op op, struct slice record, client_done *done,
                    void *arg);
struct slice client_chroot(const struct client *c);

/* What a user sets to speak TLS. All files are PEM; NULL: not set. */
struct client_tls {
    const char *prefix; /* of the options' names, for errors: ca, cert and key follow */
    const char *ca;     /* whom to trust; without it there is no TLS */
    const char *cert;   /* own certificate with its chain, for servers that want one */
    const char *key;    /* its private key; NULL: in `cert` too */
    bool any_host;      /* the server's certificate may be for another host */
};

/* *out is NULL if there is nothing of TLS in it. The caller's, for tls_context_close(). */
int client_tls_open(struct tls_context **out, const struct client_tls *t, struct err *e);

/* A four-letter word, sent to one server outside of any session; `done` gets the text as body, or
 * err CONNECTIONLOSS. At most `timeout_ms`, at most 1 MiB. */
int client_four_letter(uv_loop_t *loop, struct tls_context *tls, const char *host_port,
                       const char *word, int timeout_ms, client_done *done, void *arg,
                       struct err *e);

#endif
