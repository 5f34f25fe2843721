/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zoo.cfg: ZooKeeper's keys with its defaults, and ours, which begin with "zab.". */
#ifndef ZAB_SERVER_CONFIG_H
#define ZAB_SERVER_CONFIG_H

#include "ensemble.h"
#include "zab/buf.h"
#include "zab/err.h"

#define CLIENT_PORT "2181" /* unless zoo.cfg has another */

/* The keys of TLS that begin with ssl. (client ports) or ssl.quorum. (between servers). */
struct config_tls {
    char *key_path, *key_type, *key_password, *key_password_path;
    char *trust_path, *trust_type, *trust_password, *trust_password_path;
    char *protocol;
    char *enabled_protocols;
    char *ciphers;
    char *client_auth;
    bool verify_name;
    bool verify_client_name;
    bool crl;
    bool ocsp;
    int64_t handshake_ms;
};

struct config {
    char *path; /* of the file */
    int64_t tick_ms;
    char *data_dir;
    char *log_dir;
    int64_t client_port;  /* 0: none, only with a secure one */
    bool client_port_any; /* clientPort=0: any that is free */
    char *client_address;
    int64_t secure_client_port; /* 0: none */
    char *secure_client_address;
    bool client_unified;
    bool client_reload;
    bool quorum_secure;
    bool quorum_unified;
    bool quorum_reload;
    struct config_tls tls;
    struct config_tls quorum_tls;
    int64_t backlog;
    int64_t max_client_conns;
    int64_t max_conns;
    int64_t min_session_timeout_ms;
    int64_t max_session_timeout_ms;
    int64_t packet_max;
    int64_t outstanding_max;
    int64_t prealloc_kib;
    int64_t snap_count;
    int64_t purge_retain;
    int64_t purge_hours;
    int64_t fsync_warning_ms;
    int64_t container_check_ms;
    bool force_sync;
    bool skip_acl;
    bool enforce_quota;
    bool extended_types;
    bool read_only_mode;
    bool leader_serves;
    bool keep_alive;
    char *four_letter;
    bool digest_enabled;
    char *digest_alg;
    char *super_digest;
    char *super_x509;
    int64_t max_watches;
    int64_t max_output;
    int64_t handshake_ms;
    int64_t reserved_kib;
    char *log_level;
    int64_t init_limit;
    int64_t sync_limit;
    int64_t quorum_timeout_ms;
    int64_t bind_retry;
    bool listen_on_all;
    bool standalone; /* one participant is a single replica */
    char *dynamic_path;
    char *peer_type;
    struct ensemble ensemble;
    const struct ensemble_server *own; /* this server's line, NULL for a single replica */
    int64_t version;                   /* of the server lines, as ZooKeeper's reconfig counts */
    struct buf text;                   /* what was set, for the word "conf" */
    struct buf pointless;              /* the names of keys that mean nothing here */
};

/* Read and check the file. Unknown keys are logged as warnings with their line; the first wrong
 * value is the error. Close in either case. */
int config_load(struct config *c, const char *path, struct err *e);
void config_close(struct config *c);

/* Is the directory one of an ensemble, and the configuration that of a single replica? The server
 * would go on alone, with what the others believe to be theirs. */
int config_check_directory(const struct config *c, struct err *e);

/* Parts of loading: the server lines, from the file or from that of dynamicConfigFile, and what
 * they mean, once all has been read. */
struct properties;
struct property;
enum {
    CONFIG_WHERE_MAX = 300,
    CLIENT_PORT_UNSET = -1, /* while it is not known yet whether anything says it */
};
int config_take_servers(struct config *c, const struct properties *file, struct err *e);
int config_check_ensemble(struct config *c, struct err *e);
bool config_is_of_ensemble(const char *name);
void config_where(const char *path, const struct property *p, char where[CONFIG_WHERE_MAX]);
void config_add_text(struct config *c, const char *name, const char *value);

/* The answer to "conf". */
void conf_text(const struct config *c, int client_port, struct buf *out);

/* All keys with their defaults, for --help-config, or for the man page. */
void config_print_keys(bool roff);

#endif
