/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one table of the keys of zoo.cfg: those that mean something here with their kind, bounds,
 * default and meaning, and those of ZooKeeper that do not, of which some must not be passed over.
 * Parsing, --help-config, the manual page and the word "conf" all go by it. */
#include "config_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct config, member)

#define TEXT(name, member, value, help)                                                            \
    {                                                                                              \
        name, STRING, AT(member), 0, 0, value, help                                                \
    }
#define FLAG(name, member, value, help)                                                            \
    {                                                                                              \
        name, BOOLEAN, AT(member), 0, 0, value, help                                               \
    }

/* They mean nothing here. */
#define NONE(name)                                                                                 \
    {                                                                                              \
        name, NOTHING, 0, 0, 0, NULL, NULL                                                         \
    }
#define WITHOUT(name, help)                                                                        \
    {                                                                                              \
        name, MISSING, 0, 0, 0, NULL, help                                                         \
    }
#define NEVER(name, off, help)                                                                     \
    {                                                                                              \
        name, REFUSED, 0, 0, 0, off, help                                                          \
    }

/* Once for the client ports, once for connections between servers. */
#define TLS_KEYS(p, of, where, verify_client)                                                      \
    TEXT(p "keyStore.location", of.key_path, NULL,                                                 \
         where ": file with this server's certificate, its chain and its private key"),            \
        TEXT(p "keyStore.type", of.key_type, NULL,                                                 \
             "PEM or PKCS12; default: by the file's extension, .pem or .p12"),                     \
        TEXT(p "keyStore.password", of.key_password, NULL,                                         \
             "password of that file, if it has one"),                                              \
        TEXT(p "keyStore.passwordPath", of.key_password_path, NULL,                                \
             "file that holds the password; overrides the password"),                              \
        TEXT(p "trustStore.location", of.trust_path, NULL,                                         \
             where ": file with the trusted certificates, usually those of authorities"),          \
        TEXT(p "trustStore.type", of.trust_type, NULL, "as " p "keyStore.type"),                   \
        TEXT(p "trustStore.password", of.trust_password, NULL, "as " p "keyStore.password"),       \
        TEXT(p "trustStore.passwordPath", of.trust_password_path, NULL,                            \
             "as " p "keyStore.passwordPath"),                                                     \
        TEXT(p "clientAuth", of.client_auth, "need",                                               \
             where ": whether the connecting side needs a certificate: need, want or none"),       \
        FLAG(p "hostnameVerification", of.verify_name, "yes",                                      \
             where ": the other side's certificate must name the host that is connected to"),      \
        FLAG(p "clientHostnameVerification", of.verify_client_name, verify_client,                 \
             where ": the connecting side's certificate must match its address, or between "       \
                   "servers a host of the "                                                        \
                   "server lines"),                                                                \
        TEXT(p "protocol", of.protocol, NULL,                                                      \
             "TLSv1.2 for that version only; default: TLSv1.3, which also allows 1.2"),            \
        TEXT(p "enabledProtocols", of.enabled_protocols, NULL,                                     \
             "list of protocols; overrides " p "protocol"),                                        \
        TEXT(p "ciphersuites", of.ciphers, NULL,                                                   \
             "list of allowed cipher suites; default: OpenSSL's"),                                 \
        FLAG(p "crl", of.crl, "no",                                                                \
             "refuse certificates revoked by the lists (PEM) in the trust store, one list per "    \
             "authority"),                                                                         \
        FLAG(p "ocsp", of.ocsp, "no", "not supported: yes is an error"),                           \
    {                                                                                              \
        p "handshakeDetectionTimeoutMillis", PROPERTY, AT(of.handshake_ms), 1, INT32_MAX, "5000",  \
            where ": milliseconds to complete the TLS handshake, or to send the first byte where " \
                  "TLS is optional"                                                                \
    }

const struct config_key config_keys[] = {
    {"dataDir", STRING, AT(data_dir), 0, 0, NULL, "directory of the snapshots; required"},
    {"dataLogDir", STRING, AT(log_dir), 0, 0, NULL,
     "directory of the transaction log; default: dataDir"},
    {"clientPort", INTEGER, AT(client_port), 0, 65535, CLIENT_PORT,
     "TCP port for clients; the port in this server's server line overrides the default. 0: any "
     "free port, which the log names"},
    {"clientPortAddress", STRING, AT(client_address), 0, 0, NULL,
     "address to listen on; default: all addresses"},
    {"secureClientPort", INTEGER, AT(secure_client_port), 0, 65535, NULL,
     "TCP port for clients that use TLS; may be set in this server's server line instead. If it is "
     "set and clientPort is not, plain connections are not accepted"},
    {"secureClientPortAddress", STRING, AT(secure_client_address), 0, 0, NULL,
     "address for that port; default: all addresses"},
    {"client.portUnification", LENIENT, AT(client_unified), 0, 0, "no",
     "accept TLS on clientPort too"},
    {"clientPortListenBacklog", INTEGER, AT(backlog), INT32_MIN, INT32_MAX, "-1",
     "connections that may wait to be accepted; -1: the system's maximum"},
    {"tickTime", INTEGER, AT(tick_ms), 1, INT32_MAX / 20, "3000",
     "milliseconds of a tick, the unit of the session timeouts and of initLimit and syncLimit"},
    {"initLimit", INTEGER, AT(init_limit), 1, 100000, "10",
     "ticks that a server may take to connect to the leader and copy its state"},
    {"syncLimit", INTEGER, AT(sync_limit), 1, 100000, "5",
     "ticks without a message after which a server and its leader drop the connection"},
    {"dynamicConfigFile", STRING, AT(dynamic_path), 0, 0, NULL,
     "file with the server lines, of which the configuration then has none. If there are files "
     "FILE.VERSION (hexadecimal) beside it, as ZooKeeper's reconfig writes them, the newest is "
     "read"},
    {"standaloneEnabled", BOOLEAN, AT(standalone), 0, 0, "yes",
     "with one participant, run as a single replica; no: as an ensemble of one"},
    {"peerType", STRING, AT(peer_type), 0, 0, NULL,
     "participant or observer; this server's server line overrides it"},
    {"quorumListenOnAllIPs", BOOLEAN, AT(listen_on_all), 0, 0, "no",
     "listen for other servers on all addresses, not only on that of this server's line"},
    {"electionPortBindRetry", PROPERTY, AT(bind_retry), 0, INT32_MAX, "3",
     "attempts to listen for other servers, one per second; 0: no limit"},
    {"quorumCnxnTimeoutMs", PROPERTY, AT(quorum_timeout_ms), -1, INT32_MAX, "-1",
     "milliseconds that a connection to another server may take to be established and to send its "
     "first message; -1: syncLimit ticks"},
    {"minSessionTimeout", INTEGER, AT(min_session_timeout_ms), -1, INT32_MAX, "-1",
     "smallest session timeout in milliseconds; -1: two ticks"},
    {"maxSessionTimeout", INTEGER, AT(max_session_timeout_ms), -1, INT32_MAX, "-1",
     "largest session timeout in milliseconds; -1: twenty ticks"},
    {"maxClientCnxns", INTEGER, AT(max_client_conns), INT32_MIN, INT32_MAX, "60",
     "connections per client address or IPv6 network (/64); 0 or less: no limit"},
    {"maxCnxns", PROPERTY, AT(max_conns), INT32_MIN, INT32_MAX, "0",
     "connections of all clients; 0 or less: no limit"},
    {"jute.maxbuffer", PROPERTY, AT(packet_max), 1, 1 << 30, "1048575",
     "largest packet in bytes, which limits a node's data; values above 62914560 are lowered to "
     "that"},
    {"globalOutstandingLimit", PROPERTY, AT(outstanding_max), 1, INT32_MAX, "1000",
     "requests that may wait for the log before clients are slowed down"},
    {"preAllocSize", PROPERTY, AT(prealloc_kib), 64, 16 << 20, "65536",
     "KiB by which a log file grows at a time"},
    {"snapCount", PROPERTY, AT(snap_count), 2, INT32_MAX, "100000",
     "smallest number of transactions between snapshots; there are more of them while the log is "
     "small compared with the tree"},
    {"autopurge.snapRetainCount", INTEGER, AT(purge_retain), INT32_MIN, INT32_MAX, "3",
     "snapshots to keep, with the logs that they need; at least 3 are kept"},
    {"autopurge.purgeInterval", INTEGER, AT(purge_hours), INT32_MIN, INT32_MAX, "1",
     "hours between purges of old snapshots and logs, which also follow every tenth snapshot; 0 or "
     "less: never. ZooKeeper's default is 0"},
    {"forceSync", UNLESS_NO, AT(force_sync), 0, 0, "yes",
     "wait for the disk before a write is acknowledged; with \"no\", and only with that, a power "
     "failure loses acknowledged writes"},
    {"fsync.warningthresholdms", PROPERTY, AT(fsync_warning_ms), 0, INT32_MAX, "1000",
     "log a warning when a sync of the log takes longer than these milliseconds"},
    {"4lw.commands.whitelist", STRING, AT(four_letter), 0, 0, "srvr",
     "four-letter words that are answered, separated by commas; *: all. srvr always is, and isro "
     "with readonlymode.enabled"},
    {"skipACL", ONLY_YES, AT(skip_acl), 0, 0, "no",
     "yes, and only that: do not check ACLs; every client may read and change every node"},
    {"enforceQuota", LENIENT, AT(enforce_quota), 0, 0, "no", "refuse writes that exceed a quota"},
    {"extendedTypesEnabled", LENIENT, AT(extended_types), 0, 0, "no", "allow TTL nodes"},
    {"leaderServes", UNLESS_NO, AT(leader_serves), 0, 0, "yes",
     "the leader accepts clients; no, and only that, leaves them to followers and observers"},
    {"readonlymode.enabled", LENIENT, AT(read_only_mode), 0, 0, "no",
     "without a quorum, serve reads to clients that ask for a read-only session"},
    {"znode.container.checkIntervalMs", PROPERTY, AT(container_check_ms), 1, INT32_MAX, "60000",
     "milliseconds between searches for empty containers and expired TTL nodes"},
    {"DigestAuthenticationProvider.enabled", LENIENT, AT(digest_enabled), 0, 0, "yes",
     "the scheme digest; without it nobody can authenticate with it or use it in an ACL"},
    {"DigestAuthenticationProvider.digestAlg", STRING, AT(digest_alg), 0, 0, "SHA1",
     "hash of the scheme digest, such as SHA-256 or SHA3-256; it must be the same on all servers, "
     "and existing ACLs hold hashes of the one before"},
    {"DigestAuthenticationProvider.superDigest", STRING, AT(super_digest), 0, 0, NULL,
     "user:base64(hash(user:password)) of the user who may do everything"},
    {"X509AuthenticationProvider.superUser", STRING, AT(super_x509), 0, 0, NULL,
     "name in the certificate of the user who may do everything, as in ACLs"},
    {"tcpKeepAlive", LENIENT, AT(keep_alive), 0, 0, "no", "TCP keep-alive on client connections"},
    {"sslQuorum", BOOLEAN, AT(quorum_secure), 0, 0, "no", "servers use TLS with each other"},
    {"portUnification", BOOLEAN, AT(quorum_unified), 0, 0, "no",
     "accept both TLS and plain connections from other servers, to change from one to the other"},
    {"client.certReload", LENIENT, AT(client_reload), 0, 0, "no",
     "reload the stores of the client ports when they change"},
    {"sslQuorumReloadCertFiles", BOOLEAN, AT(quorum_reload), 0, 0, "no",
     "reload the stores for connections between servers when they change"},
    TLS_KEYS("ssl.", tls, "client ports", "no"),
    TLS_KEYS("ssl.quorum.", quorum_tls, "between servers", "yes"),
    {"zab.handshakeTimeout", INTEGER, AT(handshake_ms), 100, INT32_MAX, "10000",
     "milliseconds in which a new connection must open a session"},
    {"zab.maxWatches", INTEGER, AT(max_watches), 1, INT32_MAX, "1000000",
     "watches per connection; their paths may have 64 MiB, those of all watches 1 GiB"},
    {"zab.maxOutput", INTEGER, AT(max_output), 1 << 20, 1 << 30, "67108864",
     "bytes that may wait for a client that does not read; for all clients, 16 times as many"},
    {"zab.reservedSpace", INTEGER, AT(reserved_kib), 64, 1 << 30, "1024",
     "KiB to keep free on the log's disk: below that, reads go on and writes are refused"},
    {"zab.logLevel", STRING, AT(log_level), 0, 0, "info", "error, warn, info or debug"},

    /* The first that matches counts, a * at the end being any text. */
    WITHOUT("reconfigEnabled", "requests to change the servers at run time are refused"),
    WITHOUT("localSessionsEnabled", "all sessions are global"),
    WITHOUT("localSessionsUpgradingEnabled", "all sessions are global"),
    WITHOUT("observerMasterPort", "observers follow the leader"),
    WITHOUT("audit.*", "there is no audit log"),
    WITHOUT("metricsProvider.*", "there is no metrics server; mntr has the figures"),
    WITHOUT("requestThrottle*", "requests are not throttled in this way"),
    WITHOUT("requestStale*", "requests are not throttled in this way"),
    WITHOUT("throttledOpWaitTime", "requests are not throttled in this way"),
    WITHOUT("largeRequest*", "requests are not throttled in this way"),
    WITHOUT("connection*",
            "connections are not throttled by tokens; see maxCnxns and maxClientCnxns"),
    WITHOUT("nio.sessionlessCnxnTimeout", "zab.handshakeTimeout is the same thing"),
    WITHOUT("leader.maxConcurrent*", "zabd decides how many trees it sends at a time"),
    WITHOUT("znode.container.max*", "containers are removed as soon as they are empty"),
    WITHOUT("kerberos.*", "Kerberos is not built in"),
    WITHOUT("multiAddress.enabled", "several addresses per server are always used"),
    WITHOUT("digest.enabled", "servers compare their trees in another way"),
    WITHOUT("syncEnabled", "observers always keep a log"),
    WITHOUT("snapSizeLimitInKb", "snapCount alone decides when a snapshot is taken"),
    WITHOUT("txnLogSizeLimitInKb", "snapCount alone decides when a log file ends"),
    NEVER("enforce.auth.enabled", "false", "clients would not have to authenticate"),
    NEVER("sessionRequireClientSASLAuth", "false",
          "SASL is not built in: clients would be served without it"),
    NEVER("requireClientAuthScheme", NULL,
          "SASL is not built in: clients would be served without it"),
    NEVER("jaasLoginRenew", NULL, "SASL is not built in: clients would be served without it"),
    NEVER("java.security.auth.login.config", NULL,
          "SASL is not built in: clients would be served without it"),
    NEVER("sasl.*", NULL, "SASL is not built in: clients would be served without it"),
    NEVER("quorum.auth.enableSasl", "false",
          "SASL is not built in: servers would not authenticate each other"),
    NEVER("quorum.auth.learnerRequireSasl", "false",
          "SASL is not built in: servers would not authenticate each other"),
    NEVER("quorum.auth.serverRequireSasl", "false",
          "SASL is not built in: servers would not authenticate each other"),
    NEVER("authProvider.*", NULL,
          "SASL and other plug-ins are not built in; digest, ip, world and x509 are"),
    NEVER("ensembleAuthName", NULL, "clients of other ensembles would be served"),
    NEVER("setX509ClientIdAsAcl", "false", "it would change what ACLs mean"),
    NEVER("X509ZNodeGroupAclProvider.*", NULL, "it would change what ACLs mean"),
    NEVER("znodeGroupAcl.*", NULL, "it would change what ACLs mean"),
    NEVER("ssl.authProvider", "x509", "certificates are identities of the scheme x509 only"),
    NEVER("fips-mode", "false", "configure a FIPS provider in openssl.cnf instead"),
    NEVER("ssl.*", NULL, "not built in, and it may decide who is trusted"),
    NEVER("oraclePath", NULL, "it would change what a quorum is"),
    NONE("admin.*"),
    NONE("jvm.*"),
    NONE("netty.*"),
    NONE("nio.*"),
    NONE("commitProcessor.*"),
    NONE("serverCnxnFactory"),
    NONE("electionAlg"),
    NONE("fastleader.*"),
    NONE("quorum.cnxn.threads.size"),
    NONE("quorum.auth.*"),
    NONE("enforce.auth.schemes"),
    NONE("allowSaslFailedClients"),
    NONE("maxResponseCacheSize"),
    NONE("maxGetChildrenResponseCacheSize"),
    NONE("watchManagerName"),
    NONE("watcherClean*"),
    NONE("maxInProcessingDeadWatchers"),
    NONE("bitHashCacheSize"),
    NONE("commitLogCount"),
    NONE("snapshotSizeFactor"),
    NONE("snapshot.compression.method"),
    NONE("snapshot.trust.empty"),
    NONE("serializeLastProcessedZxid.enabled"),
    NONE("closeSessionTxn.enabled"),
    NONE("emulate353TTLNodes"),
    NONE("flushDelay"),
    NONE("maxWriteQueuePollTime"),
    NONE("maxBatchSize"),
    NONE("learner.*"),
    NONE("leader.*"),
    NONE("follower.*"),
    NONE("observer.*"),
    NONE("forward_learner_requests_to_commit_processor_disabled"),
    NONE("connectToLearnerMasterLimit"),
    NONE("cnxTimeout"),
    NONE("clientTcpKeepAlive"),
    NONE("multiAddress.*"),
};
const size_t config_n_keys = ARRAY_LEN(config_keys);

static bool matches(const struct config_key *k, const char *name)
{
    size_t len = strlen(k->name);
    return k->name[len - 1] == '*' ? strncmp(k->name, name, len - 1) == 0
                                   : strcmp(k->name, name) == 0;
}

const struct config_key *config_find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(config_keys); i++) {
        if (matches(&config_keys[i], name))
            return &config_keys[i];
    }
    return NULL;
}

/* Levenshtein's distance, without regard to case; `max` and more are the same thing. */
static size_t distance(const char *a, const char *b, size_t max)
{
    size_t row[64], n = strlen(b);
    if (n >= ARRAY_LEN(row))
        return max;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + ((a[i] | 0x20) != (b[j] | 0x20));
            diagonal = row[j + 1];
            row[j + 1] = MIN(change, MIN(row[j], row[j + 1]) + 1);
        }
    }
    return MIN(row[n], max);
}

const char *config_nearest_key(const char *name)
{
    const char *nearest = NULL;
    size_t best = strlen(name) < 64 ? MIN(strlen(name) / 3 + 1, (size_t)4) : 0;
    for (size_t i = 0; i < ARRAY_LEN(config_keys); i++) {
        size_t d = distance(name, config_keys[i].name, best);
        if (d < best) {
            best = d;
            nearest = config_keys[i].name;
        }
    }
    return nearest;
}

/* ---- For people ---- */

static bool is_ours(const struct config_key *k)
{
    return k->kind != NOTHING && k->kind != MISSING && k->kind != REFUSED;
}

static void print_ours(bool roff)
{
    for (size_t i = 0; i < ARRAY_LEN(config_keys); i++) {
        const struct config_key *k = &config_keys[i];
        const char *value = k->default_value ? k->default_value : "";
        if (is_ours(k))
            printf(roff ? ".TP\n.B %s=%s\n%s.\n" : "%s=%s\n    %s\n", k->name, value, k->help);
    }
}

static void print_others(enum config_kind kind, bool roff, const char *title)
{
    printf(roff ? ".SS \"%s\"\n" : "\n%s:\n", title);
    for (size_t i = 0; i < ARRAY_LEN(config_keys); i++) {
        const struct config_key *k = &config_keys[i];
        if (k->kind != kind)
            continue;
        if (roff)
            printf(".br\n.B %s\n", k->name);
        else
            printf("    %s", k->name);
        if (k->default_value)
            printf(roff ? "other than %s\n" : " other than %s", k->default_value);
        if (k->help)
            printf(roff ? "(%s)\n" : " (%s)", k->help);
        if (!roff)
            putchar('\n');
    }
}

void config_print_keys(bool roff)
{
    print_ours(roff);
    print_others(REFUSED, roff, "Keys of ZooKeeper with which zabd does not start");
    print_others(MISSING, roff, "Ignored with a warning");
    print_others(NOTHING, roff, "Accepted, without effect");
}
