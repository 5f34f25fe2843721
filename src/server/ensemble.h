/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The servers of an ensemble, as the lines server.N, weight.N and group.N of zoo.cfg say it
 * (QuorumPeer.QuorumServer, QuorumMaj, QuorumHierarchical). */
#ifndef ZAB_SERVER_ENSEMBLE_H
#define ZAB_SERVER_ENSEMBLE_H

#include "zab/err.h"
#include "zab/zab.h"

enum {
    ENSEMBLE_ADDRESSES_MAX = 8,
};

struct ensemble_address {
    char *host;
    int quorum_port;
    int election_port;
};

struct ensemble_server {
    struct zab_server zab;
    struct ensemble_address addresses[ENSEMBLE_ADDRESSES_MAX];
    size_t n_addresses;
    char *client_host; /* NULL: not said */
    int client_port;   /* 0: not said */
    char *secure_client_host;
    int secure_client_port;
};

struct ensemble {
    struct ensemble_server servers[ZAB_SERVERS_MAX]; /* by sid */
    size_t n;
};

/* A line server.SID=VALUE, VALUE being
 *     HOST:PORT:PORT[:participant|:observer][|HOST:PORT:PORT...][;[[HOST:]PORT][;[HOST:]PORT]]
 * `where` (file and line) begins the sentence of an error. */
int ensemble_add(struct ensemble *en, const char *where, const char *sid, const char *value,
                 struct err *e);

/* A line weight.SID=VALUE, and group.GID=SID[:SID...]. Behind the server lines. */
int ensemble_set_weight(struct ensemble *en, const char *where, const char *sid, const char *value,
                        struct err *e);
int ensemble_set_group(struct ensemble *en, const char *where, const char *gid, const char *value,
                       struct err *e);

void ensemble_close(struct ensemble *en);

/* NULL if there is none. */
struct ensemble_server *ensemble_find(struct ensemble *en, int64_t sid);

/* A host as it stands before ":PORT": an IPv6 address in brackets. */
void ensemble_host_text(const char *host, struct buf *out);

/* QuorumVerifier.toString(): what servers tell each other of their configuration. */
void ensemble_text(const struct ensemble *en, int64_t version, struct buf *out);

#endif
