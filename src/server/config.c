/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table says for each key its kind, bounds, default and meaning; parsing, --help-config and
 * the word "conf" all go by it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "zab/log.h"
#include "zab/protocol.h"

enum kind { INTEGER, BOOLEAN, STRING };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t min, max;
    const char *default_value; /* NULL: none */
    const char *help;
};

#define AT(member) offsetof(struct config, member)

#define TEXT(name, member, value, help)                                                            \
    {                                                                                              \
        name, STRING, AT(member), 0, 0, value, help                                                \
    }
#define FLAG(name, member, value, help)                                                            \
    {                                                                                              \
        name, BOOLEAN, AT(member), 0, 0, value, help                                               \
    }

/* Once for the client ports, once for connections between servers. */
#define TLS_KEYS(p, of, where, verify_client)                                                      \
    TEXT(p "keyStore.location", of.key_path, NULL,                                                 \
         where ": file of this server's certificate, its chain and its private key"),              \
        TEXT(p "keyStore.type", of.key_type, NULL,                                                 \
             "PEM or PKCS12; default: by the file's extension, .pem or .p12"),                     \
        TEXT(p "keyStore.password", of.key_password, NULL,                                         \
             "password of that file, if it has one"),                                              \
        TEXT(p "keyStore.passwordPath", of.key_password_path, NULL,                                \
             "file of that password, which goes before the password"),                             \
        TEXT(p "trustStore.location", of.trust_path, NULL,                                         \
             where ": file of the certificates that are trusted, most often of authorities"),      \
        TEXT(p "trustStore.type", of.trust_type, NULL, "as " p "keyStore.type"),                   \
        TEXT(p "trustStore.password", of.trust_password, NULL, "as " p "keyStore.password"),       \
        TEXT(p "trustStore.passwordPath", of.trust_password_path, NULL,                            \
             "as " p "keyStore.passwordPath"),                                                     \
        TEXT(p "clientAuth", of.client_auth, "need",                                               \
             where ": whether who connects needs a certificate: need, want or none"),              \
        FLAG(p "hostnameVerification", of.verify_name, "yes",                                      \
             where ": a certificate must be for the host that is connected to"),                   \
        FLAG(p "clientHostnameVerification", of.verify_client_name, verify_client,                 \
             where                                                                                 \
             ": and that of who connects, for its address, or between servers for a host of the "  \
             "server lines"),                                                                      \
        TEXT(p "protocol", of.protocol, NULL,                                                      \
             "TLSv1.2 for that alone; default: TLSv1.3, with which 1.2 is allowed too"),           \
        TEXT(p "enabledProtocols", of.enabled_protocols, NULL,                                     \
             "list that goes before " p "protocol"),                                               \
        TEXT(p "ciphersuites", of.ciphers, NULL,                                                   \
             "list of the suites that are allowed; default: OpenSSL's"),                           \
        FLAG(p "crl", of.crl, "no",                                                                \
             "refuse what is revoked by the lists (PEM) in the trust store, one for each "         \
             "authority"),                                                                         \
        FLAG(p "ocsp", of.ocsp, "no", "not supported: yes is an error"),                           \
    {                                                                                              \
        p "handshakeDetectionTimeoutMillis", INTEGER, AT(of.handshake_ms), 1, INT32_MAX, "5000",   \
            where ": milliseconds for a handshake, or the byte that shows that there is none"      \
    }

static const struct key keys[] = {
    {"dataDir", STRING, AT(data_dir), 0, 0, NULL, "directory of the snapshots; needed"},
    {"dataLogDir", STRING, AT(log_dir), 0, 0, NULL, "directory of the log; default: dataDir"},
    {"clientPort", INTEGER, AT(client_port), 1, 65535, CLIENT_PORT,
     "TCP port for clients; that of this server's server line goes before the default"},
    {"clientPortAddress", STRING, AT(client_address), 0, 0, NULL,
     "address to listen on; default: all"},
    {"secureClientPort", INTEGER, AT(secure_client_port), 1, 65535, NULL,
     "TCP port for clients that speak TLS; that of this server's server line is the same thing. "
     "With it and without clientPort there is no other"},
    {"secureClientPortAddress", STRING, AT(secure_client_address), 0, 0, NULL,
     "address of that; default: all"},
    {"client.portUnification", BOOLEAN, AT(client_unified), 0, 0, "no",
     "TLS is spoken on clientPort too, with clients that begin with it"},
    {"clientPortListenBacklog", INTEGER, AT(backlog), -1, 65535, "-1",
     "connections that may wait to be accepted; -1: the system's maximum"},
    {"tickTime", INTEGER, AT(tick_ms), 1, INT32_MAX / 20, "3000",
     "milliseconds of a tick, the unit of the session timeouts and of the limits below"},
    {"initLimit", INTEGER, AT(init_limit), 1, 100000, "10",
     "ticks in which a server must have connected to its leader and taken over its state"},
    {"syncLimit", INTEGER, AT(sync_limit), 1, 100000, "5",
     "ticks of silence after which a server and its leader part"},
    {"peerType", STRING, AT(peer_type), 0, 0, NULL,
     "participant or observer; what this server's server line says goes before it"},
    {"quorumListenOnAllIPs", BOOLEAN, AT(listen_on_all), 0, 0, "no",
     "listen for other servers on all addresses, not only on that of this server's line"},
    {"electionPortBindRetry", INTEGER, AT(bind_retry), 0, INT32_MAX, "3",
     "times to try to listen for other servers, a second apart; 0: until it works"},
    {"quorumCnxnTimeoutMs", INTEGER, AT(quorum_timeout_ms), -1, INT32_MAX, "-1",
     "milliseconds for a connection to another server to be made, and to begin to speak; -1: "
     "syncLimit ticks"},
    {"minSessionTimeout", INTEGER, AT(min_session_timeout_ms), -1, INT32_MAX, "-1",
     "milliseconds; -1: two ticks"},
    {"maxSessionTimeout", INTEGER, AT(max_session_timeout_ms), -1, INT32_MAX, "-1",
     "milliseconds; -1: twenty ticks"},
    {"maxClientCnxns", INTEGER, AT(max_client_conns), 0, INT32_MAX, "60",
     "connections of one address; 0: no limit"},
    {"maxCnxns", INTEGER, AT(max_conns), 0, INT32_MAX, "0", "connections in all; 0: no limit"},
    {"jute.maxbuffer", INTEGER, AT(packet_max), 1024, 16 << 20, "1048575",
     "bytes of a packet, and so of a node's data"},
    {"globalOutstandingLimit", INTEGER, AT(outstanding_max), 1, INT32_MAX, "1000",
     "requests that may wait for the log before clients are slowed down"},
    {"preAllocSize", INTEGER, AT(prealloc_kib), 64, 16 << 20, "65536",
     "KiB that a log file is made longer by at a time"},
    {"snapCount", INTEGER, AT(snap_count), 2, INT32_MAX, "100000",
     "transactions between two snapshots; more while the log since is small beside the tree"},
    {"autopurge.snapRetainCount", INTEGER, AT(purge_retain), 3, INT32_MAX, "3",
     "snapshots to keep, with the logs that they need"},
    {"autopurge.purgeInterval", INTEGER, AT(purge_hours), 0, 24 * 365, "1",
     "hours between two purges, which also follow every tenth snapshot; 0: never"},
    {"forceSync", BOOLEAN, AT(force_sync), 0, 0, "yes",
     "wait for the disk before a write is answered; \"no\" loses writes when power fails"},
    {"fsync.warningthresholdms", INTEGER, AT(fsync_warning_ms), 0, INT32_MAX, "1000",
     "milliseconds of one sync of the log that are worth a warning"},
    {"4lw.commands.whitelist", STRING, AT(four_letter), 0, 0, "srvr",
     "four-letter words that are answered, separated by commas; \"*\": all"},
    {"skipACL", BOOLEAN, AT(skip_acl), 0, 0, "no", "everybody may do everything"},
    {"enforceQuota", BOOLEAN, AT(enforce_quota), 0, 0, "no", "refuse writes beyond a quota"},
    {"extendedTypesEnabled", BOOLEAN, AT(extended_types), 0, 0, "no", "allow TTL nodes"},
    {"leaderServes", BOOLEAN, AT(leader_serves), 0, 0, "yes",
     "the leader takes client connections; \"no\" leaves it to followers and observers"},
    {"readonlymode.enabled", BOOLEAN, AT(read_only_mode), 0, 0, "no",
     "while there is no quorum, serve reads to clients that ask for that"},
    {"znode.container.checkIntervalMs", INTEGER, AT(container_check_ms), 100, INT32_MAX, "60000",
     "milliseconds between two looks for empty containers and old TTL nodes"},
    {"DigestAuthenticationProvider.superDigest", STRING, AT(super_digest), 0, 0, NULL,
     "user:base64(sha1(user:password)) of who may do everything"},
    {"X509AuthenticationProvider.superUser", STRING, AT(super_x509), 0, 0, NULL,
     "name of the certificate, as in ACLs, of who may do everything"},
    {"tcpKeepAlive", BOOLEAN, AT(keep_alive), 0, 0, "no", "keep-alive on client connections"},
    {"sslQuorum", BOOLEAN, AT(quorum_secure), 0, 0, "no", "servers speak TLS with each other"},
    {"portUnification", BOOLEAN, AT(quorum_unified), 0, 0, "no",
     "both TLS and plain connections of other servers are taken, to change from one to the other"},
    {"client.certReload", BOOLEAN, AT(client_reload), 0, 0, "no",
     "read the stores of the client ports again when they have changed"},
    {"sslQuorumReloadCertFiles", BOOLEAN, AT(quorum_reload), 0, 0, "no",
     "read the stores for connections between servers again when they have changed"},
    TLS_KEYS("ssl.", tls, "client ports", "no"),
    TLS_KEYS("ssl.quorum.", quorum_tls, "between servers", "yes"),
    {"zab.handshakeTimeout", INTEGER, AT(handshake_ms), 100, INT32_MAX, "10000",
     "milliseconds for a new connection to open a session"},
    {"zab.maxWatches", INTEGER, AT(max_watches), 1, INT32_MAX, "1000000",
     "watches of one connection"},
    {"zab.maxOutput", INTEGER, AT(max_output), 1 << 20, 1 << 30, "67108864",
     "bytes that may wait for a client that does not read"},
    {"zab.reservedSpace", INTEGER, AT(reserved_kib), 64, 1 << 30, "1024",
     "KiB of the log's disk that are kept free: with less, reads go on and writes are refused"},
    {"zab.logLevel", STRING, AT(log_level), 0, 0, "info", "error, warn, info or debug"},
};

/* Keys of ZooKeeper that need no answer here: what they ask for is so already. */
static const char *const accepted[] = {"admin.enableServer", "authProvider.x509",
                                       "serverCnxnFactory"};

void config_print_keys(bool roff)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct key *k = &keys[i];
        const char *value = k->default_value ? k->default_value : "";
        printf(roff ? ".TP\n.B %s=%s\n%s.\n" : "%s=%s\n    %s\n", k->name, value, k->help);
    }
}

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static bool is_accepted(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        if (strcmp(accepted[i], name) == 0)
            return true;
    }
    return false;
}

static int set_integer(struct config *c, const struct key *k, const char *value, const char *where,
                       struct err *e)
{
    char *end;
    errno = 0;
    int64_t v = strtoll(value, &end, 10);
    if (errno || end == value || *end || v < k->min || v > k->max)
        return err_set(e, -EINVAL,
                       "%s: %s: \"%s\" is not a whole number from %" PRId64 " to %" PRId64, where,
                       k->name, value, k->min, k->max);
    *(int64_t *)((char *)c + k->offset) = v;
    return 0;
}

static int set_boolean(struct config *c, const struct key *k, const char *value, const char *where,
                       struct err *e)
{
    bool yes = strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0;
    if (!yes && strcasecmp(value, "no") != 0 && strcasecmp(value, "false") != 0)
        return err_set(e, -EINVAL, "%s: %s: \"%s\" is neither yes nor no", where, k->name, value);
    *(bool *)((char *)c + k->offset) = yes;
    return 0;
}

static int set_string(struct config *c, const struct key *k, const char *value, const char *where,
                      struct err *e)
{
    char **at = (char **)((char *)c + k->offset);
    if (!*value)
        return err_set(e, -EINVAL, "%s: %s: the value is empty", where, k->name);
    free(*at);
    *at = mem_strdup(value);
    return 0;
}

static int set_key(struct config *c, const struct key *k, const char *value, const char *where,
                   struct err *e)
{
    switch (k->kind) {
    case INTEGER:
        return set_integer(c, k, value, where, e);
    case BOOLEAN:
        return set_boolean(c, k, value, where, e);
    default:
        return set_string(c, k, value, where, e);
    }
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        s[--len] = '\0';
    return s;
}

/* ---- The lines of the ensemble ---- */

/* A weight or group line. It may come before the server lines that it speaks of. */
struct config_line {
    char *where;
    char *name;
    char *value;
};

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_of_ensemble(const char *name)
{
    return starts_with(name, "server.") || starts_with(name, "weight.") ||
           starts_with(name, "group.");
}

static int parse_ensemble_line(struct config *c, const char *where, const char *name,
                               const char *value, struct err *e)
{
    if (starts_with(name, "server."))
        return ensemble_add(&c->ensemble, where, strchr(name, '.') + 1, value, e);
    c->later = mem_realloc(c->later, (c->n_later + 1) * sizeof(*c->later));
    c->later[c->n_later++] =
        (struct config_line){mem_strdup(where), mem_strdup(name), mem_strdup(value)};
    return 0;
}

static int apply_later_lines(struct config *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n_later; i++) {
        const struct config_line *l = &c->later[i];
        const char *id = strchr(l->name, '.') + 1;
        rc = starts_with(l->name, "weight.")
                 ? ensemble_set_weight(&c->ensemble, l->where, id, l->value, e)
                 : ensemble_set_group(&c->ensemble, l->where, id, l->value, e);
    }
    return rc;
}

static void drop_later_lines(struct config *c)
{
    for (size_t i = 0; i < c->n_later; i++) {
        free(c->later[i].where);
        free(c->later[i].name);
        free(c->later[i].value);
    }
    free(c->later);
}

/* Passwords, and what stands for one. */
static bool is_secret(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".password") == 0 || strcmp(dot, ".superDigest") == 0);
}

static int parse_line(struct config *c, char *line, unsigned line_no, struct err *e)
{
    char where[300];
    snprintf(where, sizeof(where), "%s:%u", c->path, line_no);
    line = trim(line);
    if (*line == '\0' || *line == '#' || *line == '!')
        return 0;
    char *sep = strpbrk(line, "=:");
    if (!sep)
        return err_set(e, -EINVAL, "%s: \"%s\" is not of the form key=value", where, line);
    *sep = '\0';
    const char *name = trim(line), *value = trim(sep + 1);
    const struct key *k = key_find(name);
    if (k) {
        if (!is_secret(name))
            buf_printf(&c->text, "%s=%s\n", name, value);
        return set_key(c, k, value, where, e);
    }
    if (is_of_ensemble(name)) {
        buf_printf(&c->text, "%s=%s\n", name, value);
        return parse_ensemble_line(c, where, name, value, e);
    }
    if (!is_accepted(name))
        log_warn("%s: unknown key \"%s\" is ignored", where, name);
    return 0;
}

static int parse_file(struct config *c, FILE *f, struct err *e)
{
    char *line = NULL;
    size_t cap = 0;
    unsigned line_no = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &cap, f) >= 0)
        rc = parse_line(c, line, ++line_no, e);
    if (rc == 0 && ferror(f))
        rc = err_set(e, -EIO, "%s: cannot be read", c->path);
    free(line);
    return rc;
}

static int check(struct config *c, struct err *e)
{
    if (!c->data_dir)
        return err_set(e, -EINVAL, "%s: dataDir is not set; name the directory for the data",
                       c->path);
    if (c->min_session_timeout_ms < 0)
        c->min_session_timeout_ms = 2 * c->tick_ms;
    if (c->max_session_timeout_ms < 0)
        c->max_session_timeout_ms = 20 * c->tick_ms;
    if (c->min_session_timeout_ms > c->max_session_timeout_ms)
        return err_set(e, -EINVAL,
                       "%s: minSessionTimeout %" PRId64
                       " is larger than maxSessionTimeout %" PRId64,
                       c->path, c->min_session_timeout_ms, c->max_session_timeout_ms);
    if (log_level_parse(c->log_level) < 0)
        return err_set(e, -EINVAL, "%s: zab.logLevel: \"%s\" is none of error, warn, info, debug",
                       c->path, c->log_level);
    if (c->quorum_timeout_ms <= 0)
        c->quorum_timeout_ms = c->sync_limit * c->tick_ms;
    return config_check_ensemble(c, e);
}

static void set_defaults(struct config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct err e;
        if (keys[i].default_value &&
            set_key(c, &keys[i], keys[i].default_value, "default", &e) != 0)
            ensure(!"a default is within its bounds");
    }
}

int config_load(struct config *c, const char *path, struct err *e)
{
    *c = (struct config){.path = mem_strdup(path)};
    set_defaults(c);
    c->client_port = 0; /* until it is known that no line has one */
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "%s: %s; name a configuration file that can be read", path,
                       strerror(errno));
    int rc = parse_file(c, f, e);
    fclose(f);
    if (rc == 0)
        rc = apply_later_lines(c, e);
    return rc ? rc : check(c, e);
}

void config_close(struct config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].kind == STRING)
            free(*(char **)((char *)c + keys[i].offset));
    }
    drop_later_lines(c);
    ensemble_close(&c->ensemble);
    free(c->path);
    buf_close(&c->text);
}
