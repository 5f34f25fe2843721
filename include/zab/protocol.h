/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The numbers of ZooKeeper's client protocol: ZooDefs, KeeperException.Code, CreateMode and
 * Watcher.Event of ZooKeeper 3.9. */
#ifndef ZAB_PROTOCOL_H
#define ZAB_PROTOCOL_H

#include "zab/buf.h"

/* Request and transaction types (ZooDefs.OpCode). Name, number. */
#define ZK_OPS(O)                                                                                  \
    O(notification, 0)                                                                             \
    O(create, 1)                                                                                   \
    O(delete, 2)                                                                                   \
    O(exists, 3)                                                                                   \
    O(getData, 4)                                                                                  \
    O(setData, 5)                                                                                  \
    O(getACL, 6)                                                                                   \
    O(setACL, 7)                                                                                   \
    O(getChildren, 8)                                                                              \
    O(sync, 9)                                                                                     \
    O(ping, 11)                                                                                    \
    O(getChildren2, 12)                                                                            \
    O(check, 13)                                                                                   \
    O(multi, 14)                                                                                   \
    O(create2, 15)                                                                                 \
    O(reconfig, 16)                                                                                \
    O(checkWatches, 17)                                                                            \
    O(removeWatches, 18)                                                                           \
    O(createContainer, 19)                                                                         \
    O(deleteContainer, 20)                                                                         \
    O(createTTL, 21)                                                                               \
    O(multiRead, 22)                                                                               \
    O(auth, 100)                                                                                   \
    O(setWatches, 101)                                                                             \
    O(sasl, 102)                                                                                   \
    O(getEphemerals, 103)                                                                          \
    O(getAllChildrenNumber, 104)                                                                   \
    O(setWatches2, 105)                                                                            \
    O(addWatch, 106)                                                                               \
    O(whoAmI, 107)                                                                                 \
    O(createSession, -10)                                                                          \
    O(closeSession, -11)                                                                           \
    O(error, -1)

enum zk_op {
#define ZK_OP_ENUM(name, number) ZK_OP_##name = number,
    ZK_OPS(ZK_OP_ENUM)
#undef ZK_OP_ENUM
};

/* The op's name in ZooKeeper's spelling, or NULL if there is no such op. */
const char *zk_op_name(int32_t op);

/* What a reply's header says (KeeperException.Code); the last one is our client's own, and no
 * server's. Name, number, text for people. */
#define ZK_ERRORS(E)                                                                               \
    E(OK, 0, "ok")                                                                                 \
    E(SYSTEMERROR, -1, "system error; see the server's log")                                       \
    E(RUNTIMEINCONSISTENCY, -2, "runtime inconsistency")                                           \
    E(DATAINCONSISTENCY, -3, "data inconsistency")                                                 \
    E(CONNECTIONLOSS, -4, "connection lost")                                                       \
    E(MARSHALLINGERROR, -5, "marshalling error")                                                   \
    E(UNIMPLEMENTED, -6, "operation not known to the server")                                      \
    E(OPERATIONTIMEOUT, -7, "operation timed out")                                                 \
    E(BADARGUMENTS, -8, "bad arguments")                                                           \
    E(NEWCONFIGNOQUORUM, -13, "no quorum of the new configuration")                                \
    E(RECONFIGINPROGRESS, -14, "another reconfiguration is in progress")                           \
    E(UNKNOWNSESSION, -12, "unknown session")                                                      \
    E(APIERROR, -100, "api error")                                                                 \
    E(NONODE, -101, "no such node")                                                                \
    E(NOAUTH, -102, "permission denied")                                                           \
    E(BADVERSION, -103, "version conflict")                                                        \
    E(NOCHILDRENFOREPHEMERALS, -108, "an ephemeral node can have no children")                     \
    E(NODEEXISTS, -110, "node exists")                                                             \
    E(NOTEMPTY, -111, "node has children")                                                         \
    E(SESSIONEXPIRED, -112, "session expired")                                                     \
    E(INVALIDCALLBACK, -113, "invalid callback")                                                   \
    E(INVALIDACL, -114, "invalid ACL")                                                             \
    E(AUTHFAILED, -115, "authentication failed")                                                   \
    E(SESSIONMOVED, -118, "session moved to another server")                                       \
    E(NOTREADONLY, -119, "the server is read-only")                                                \
    E(EPHEMERALONLOCALSESSION, -120, "a local session can have no ephemeral nodes")                \
    E(NOWATCHER, -121, "no such watch")                                                            \
    E(REQUESTTIMEOUT, -122, "request timed out")                                                   \
    E(RECONFIGDISABLED, -123, "reconfiguration is disabled")                                       \
    E(SESSIONCLOSEDREQUIRESASLAUTH, -124, "the session must authenticate with SASL")               \
    E(QUOTAEXCEEDED, -125, "quota exceeded")                                                       \
    E(THROTTLEDOP, -127, "throttled")                                                              \
    E(REPLYTOOLONG, -1000, "the answer is longer than this client takes")

enum zk_error {
#define ZK_ERROR_ENUM(name, number, text) ZK_##name = number,
    ZK_ERRORS(ZK_ERROR_ENUM)
#undef ZK_ERROR_ENUM
};

/* The text of an error for people, "unknown error" if there is no such error. */
const char *zk_error_text(int32_t error);
/* Its name, such as "NONODE". */
const char *zk_error_name(int32_t error);

/* ACL permissions (ZooDefs.Perms). */
enum zk_perm {
    ZK_PERM_READ = 1 << 0,
    ZK_PERM_WRITE = 1 << 1,
    ZK_PERM_CREATE = 1 << 2,
    ZK_PERM_DELETE = 1 << 3,
    ZK_PERM_ADMIN = 1 << 4,
    ZK_PERM_ALL = 31,
};

/* The `flags` of a create request (CreateMode). */
enum zk_create_mode {
    ZK_PERSISTENT = 0,
    ZK_EPHEMERAL = 1,
    ZK_PERSISTENT_SEQUENTIAL = 2,
    ZK_EPHEMERAL_SEQUENTIAL = 3,
    ZK_CONTAINER = 4,
    ZK_PERSISTENT_TTL = 5,
    ZK_PERSISTENT_SEQUENTIAL_TTL = 6,
};

/* Watcher.Event.EventType. */
enum zk_event_type {
    ZK_EVENT_NONE = -1,
    ZK_EVENT_CREATED = 1,
    ZK_EVENT_DELETED = 2,
    ZK_EVENT_DATA_CHANGED = 3,
    ZK_EVENT_CHILDREN_CHANGED = 4,
    ZK_EVENT_DATA_WATCH_REMOVED = 5,
    ZK_EVENT_CHILD_WATCH_REMOVED = 6,
    ZK_EVENT_PERSISTENT_WATCH_REMOVED = 7,
};

/* Watcher.Event.KeeperState. */
enum zk_state {
    ZK_STATE_DISCONNECTED = 0,
    ZK_STATE_SYNC_CONNECTED = 3,
    ZK_STATE_AUTH_FAILED = 4,
    ZK_STATE_CONNECTED_READ_ONLY = 5,
    ZK_STATE_SASL_AUTHENTICATED = 6,
    ZK_STATE_EXPIRED = -112,
    ZK_STATE_CLOSED = 7,
};

/* AddWatchMode. */
enum zk_watch_mode {
    ZK_WATCH_PERSISTENT = 0,
    ZK_WATCH_PERSISTENT_RECURSIVE = 1,
};

/* Watcher.WatcherType, the `type` of removeWatches and checkWatches. */
enum zk_watcher_type {
    ZK_WATCHER_CHILDREN = 1,
    ZK_WATCHER_DATA = 2,
    ZK_WATCHER_ANY = 3,
    ZK_WATCHER_PERSISTENT = 4,
    ZK_WATCHER_PERSISTENT_RECURSIVE = 5,
};

/* The xids that are not a client's numbers (ClientCnxn). */
enum zk_xid {
    ZK_XID_WATCH = -1,
    ZK_XID_PING = -2,
    ZK_XID_AUTH = -4,
    ZK_XID_SET_WATCHES = -8,
};

enum {
    ZK_DEFAULT_PORT = 2181,
    ZK_PASSWORD_SIZE = 16,
    ZK_PACKET_MAX = 0xfffff, /* jute.maxbuffer's default: 1 MiB - 1 */
};

/* NULL if ZooKeeper accepts `path` for a request, else what is wrong with it, in words
 * (PathUtils.validatePath). A `sequential` create may end in a slash, since a number is appended.
 */
const char *zk_path_check(struct slice path, bool sequential);

/* The parent of a valid path that is not "/", and its last part. */
struct slice zk_path_parent(struct slice path);
struct slice zk_path_name(struct slice path);

#endif
