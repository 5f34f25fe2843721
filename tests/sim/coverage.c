/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters by kind and number. Anything may be counted; what must not stay at 0 is listed here. */
#include "sim.h"
#include "coverage.h"
#include "kernel.h"

#include <errno.h>
#include <sys/inotify.h>

/* Beside the points: kind and what it counts. NODE_CONN_SECURED is not simulated: there is no TLS.
 */
#define REQUIRED(R)                                                                                \
    R(ANSWER, ZK_OP_closeSession, ZK_OK)                                                           \
    R(ANSWER, ZK_OP_create, ZK_INVALIDACL)                                                         \
    R(ANSWER, ZK_OP_create, ZK_NODEEXISTS)                                                         \
    R(ANSWER, ZK_OP_create, ZK_NOCHILDRENFOREPHEMERALS)                                            \
    R(ANSWER, ZK_OP_create, ZK_NOAUTH)                                                             \
    R(ANSWER, ZK_OP_create, ZK_NONODE)                                                             \
    R(ANSWER, ZK_OP_create, ZK_BADARGUMENTS)                                                       \
    R(ANSWER, ZK_OP_create, ZK_OK)                                                                 \
    R(ANSWER, ZK_OP_delete, ZK_NOTEMPTY)                                                           \
    R(ANSWER, ZK_OP_delete, ZK_BADVERSION)                                                         \
    R(ANSWER, ZK_OP_delete, ZK_NOAUTH)                                                             \
    R(ANSWER, ZK_OP_delete, ZK_NONODE)                                                             \
    R(ANSWER, ZK_OP_delete, ZK_BADARGUMENTS)                                                       \
    R(ANSWER, ZK_OP_delete, ZK_OK)                                                                 \
    R(ANSWER, ZK_OP_exists, ZK_NOAUTH)                                                             \
    R(ANSWER, ZK_OP_exists, ZK_NONODE)                                                             \
    R(ANSWER, ZK_OP_exists, ZK_BADARGUMENTS)                                                       \
    R(ANSWER, ZK_OP_exists, ZK_OK)                                                                 \
    R(ANSWER, ZK_OP_getData, ZK_NOAUTH)                                                            \
    R(ANSWER, ZK_OP_getData, ZK_NONODE)                                                            \
    R(ANSWER, ZK_OP_getData, ZK_OK)                                                                \
    R(ANSWER, ZK_OP_setData, ZK_BADVERSION)                                                        \
    R(ANSWER, ZK_OP_setData, ZK_NOAUTH)                                                            \
    R(ANSWER, ZK_OP_setData, ZK_NONODE)                                                            \
    R(ANSWER, ZK_OP_setData, ZK_BADARGUMENTS)                                                      \
    R(ANSWER, ZK_OP_setData, ZK_OK)                                                                \
    R(ANSWER, ZK_OP_getACL, ZK_NOAUTH)                                                             \
    R(ANSWER, ZK_OP_getACL, ZK_NONODE)                                                             \
    R(ANSWER, ZK_OP_getACL, ZK_OK)                                                                 \
    R(ANSWER, ZK_OP_setACL, ZK_INVALIDACL)                                                         \
    R(ANSWER, ZK_OP_setACL, ZK_BADVERSION)                                                         \
    R(ANSWER, ZK_OP_setACL, ZK_NOAUTH)                                                             \
    R(ANSWER, ZK_OP_setACL, ZK_NONODE)                                                             \
    R(ANSWER, ZK_OP_setACL, ZK_BADARGUMENTS)                                                       \
    R(ANSWER, ZK_OP_setACL, ZK_OK)                                                                 \
    R(ANSWER, ZK_OP_getChildren, ZK_NOAUTH)                                                        \
    R(ANSWER, ZK_OP_getChildren, ZK_NONODE)                                                        \
    R(ANSWER, ZK_OP_getChildren, ZK_OK)                                                            \
    R(ANSWER, ZK_OP_sync, ZK_OK)                                                                   \
    R(ANSWER, ZK_OP_getChildren2, ZK_NOAUTH)                                                       \
    R(ANSWER, ZK_OP_getChildren2, ZK_NONODE)                                                       \
    R(ANSWER, ZK_OP_getChildren2, ZK_OK)                                                           \
    R(ANSWER, ZK_OP_multi, ZK_OK)                                                                  \
    R(ANSWER, ZK_OP_create2, ZK_INVALIDACL)                                                        \
    R(ANSWER, ZK_OP_create2, ZK_NODEEXISTS)                                                        \
    R(ANSWER, ZK_OP_create2, ZK_NOCHILDRENFOREPHEMERALS)                                           \
    R(ANSWER, ZK_OP_create2, ZK_NOAUTH)                                                            \
    R(ANSWER, ZK_OP_create2, ZK_NONODE)                                                            \
    R(ANSWER, ZK_OP_create2, ZK_BADARGUMENTS)                                                      \
    R(ANSWER, ZK_OP_create2, ZK_OK)                                                                \
    R(ANSWER, ZK_OP_removeWatches, ZK_NOWATCHER)                                                   \
    R(ANSWER, ZK_OP_removeWatches, ZK_OK)                                                          \
    R(ANSWER, ZK_OP_createContainer, ZK_INVALIDACL)                                                \
    R(ANSWER, ZK_OP_createContainer, ZK_NODEEXISTS)                                                \
    R(ANSWER, ZK_OP_createContainer, ZK_NOCHILDRENFOREPHEMERALS)                                   \
    R(ANSWER, ZK_OP_createContainer, ZK_NOAUTH)                                                    \
    R(ANSWER, ZK_OP_createContainer, ZK_NONODE)                                                    \
    R(ANSWER, ZK_OP_createContainer, ZK_BADARGUMENTS)                                              \
    R(ANSWER, ZK_OP_createContainer, ZK_OK)                                                        \
    R(ANSWER, ZK_OP_createTTL, ZK_INVALIDACL)                                                      \
    R(ANSWER, ZK_OP_createTTL, ZK_NODEEXISTS)                                                      \
    R(ANSWER, ZK_OP_createTTL, ZK_NOCHILDRENFOREPHEMERALS)                                         \
    R(ANSWER, ZK_OP_createTTL, ZK_NOAUTH)                                                          \
    R(ANSWER, ZK_OP_createTTL, ZK_NONODE)                                                          \
    R(ANSWER, ZK_OP_createTTL, ZK_BADARGUMENTS)                                                    \
    R(ANSWER, ZK_OP_createTTL, ZK_OK)                                                              \
    R(ANSWER, ZK_OP_getEphemerals, ZK_OK)                                                          \
    R(ANSWER, ZK_OP_getAllChildrenNumber, ZK_NOAUTH)                                               \
    R(ANSWER, ZK_OP_getAllChildrenNumber, ZK_NONODE)                                               \
    R(ANSWER, ZK_OP_getAllChildrenNumber, ZK_OK)                                                   \
    R(ANSWER, ZK_OP_addWatch, ZK_OK)                                                               \
    R(PART, ZK_OP_create, true)                                                                    \
    R(PART, ZK_OP_delete, true)                                                                    \
    R(PART, ZK_OP_setData, true)                                                                   \
    R(PART, ZK_OP_check, true)                                                                     \
    R(PART, ZK_OP_create2, true)                                                                   \
    R(PART, ZK_OP_createContainer, true)                                                           \
    R(PART, ZK_OP_createTTL, true)                                                                 \
    R(PART, ZK_OP_create, false)                                                                   \
    R(PART, ZK_OP_delete, false)                                                                   \
    R(PART, ZK_OP_setData, false)                                                                  \
    R(PART, ZK_OP_check, false)                                                                    \
    R(PART, ZK_OP_create2, false)                                                                  \
    R(PART, ZK_OP_createContainer, false)                                                          \
    R(PART, ZK_OP_createTTL, false)                                                                \
    R(WATCH, ZK_EVENT_CREATED, WATCHED_EXIST)                                                      \
    R(WATCH, ZK_EVENT_CREATED, WATCHED_PERSISTENT)                                                 \
    R(WATCH, ZK_EVENT_CREATED, WATCHED_RECURSIVE)                                                  \
    R(WATCH, ZK_EVENT_DELETED, WATCHED_DATA)                                                       \
    R(WATCH, ZK_EVENT_DELETED, WATCHED_CHILD)                                                      \
    R(WATCH, ZK_EVENT_DELETED, WATCHED_PERSISTENT)                                                 \
    R(WATCH, ZK_EVENT_DELETED, WATCHED_RECURSIVE)                                                  \
    R(WATCH, ZK_EVENT_DATA_CHANGED, WATCHED_DATA)                                                  \
    R(WATCH, ZK_EVENT_DATA_CHANGED, WATCHED_PERSISTENT)                                            \
    R(WATCH, ZK_EVENT_DATA_CHANGED, WATCHED_RECURSIVE)                                             \
    R(WATCH, ZK_EVENT_CHILDREN_CHANGED, WATCHED_CHILD)                                             \
    R(WATCH, ZK_EVENT_CHILDREN_CHANGED, WATCHED_PERSISTENT)                                        \
    R(MISSED, ZK_EVENT_CREATED, WATCHED_EXIST)                                                     \
    R(MISSED, ZK_EVENT_DELETED, WATCHED_DATA)                                                      \
    R(MISSED, ZK_EVENT_DELETED, WATCHED_CHILD)                                                     \
    R(MISSED, ZK_EVENT_DATA_CHANGED, WATCHED_DATA)                                                 \
    R(MISSED, ZK_EVENT_CHILDREN_CHANGED, WATCHED_CHILD)                                            \
    R(SESSION, CLIENT_CONNECTING, 0)                                                               \
    R(SESSION, CLIENT_CONNECTED, 0)                                                                \
    R(SESSION, CLIENT_EXPIRED, 0)                                                                  \
    R(SESSION, CLIENT_CLOSED, 0)                                                                   \
    R(EVENT, NODE_CONN_OPENED, 0)                                                                  \
    R(EVENT, NODE_CONN_DATA, 0)                                                                    \
    R(EVENT, NODE_CONN_DRAINED, 0)                                                                 \
    R(EVENT, NODE_CONN_CLOSED, 0)                                                                  \
    R(EVENT, NODE_PERSISTED, 0)                                                                    \
    R(EVENT, NODE_SNAPSHOT_DONE, 0)                                                                \
    R(EVENT, NODE_TICK, 0)                                                                         \
    R(EVENT, NODE_FLUSH, 0)                                                                        \
    R(EVENT, NODE_PEER_UP, 0)                                                                      \
    R(EVENT, NODE_PEER_MESSAGE, 0)                                                                 \
    R(EVENT, NODE_LINK_OPENED, 0)                                                                  \
    R(EVENT, NODE_LINK_DATA, 0)                                                                    \
    R(EVENT, NODE_LINK_CLOSED, 0)                                                                  \
    R(EVENT, NODE_EPOCH_SAVED, 0)                                                                  \
    R(EVENT, NODE_TREE_SENT, 0)                                                                    \
    R(EVENT, NODE_TRUNCATED, 0)                                                                    \
    R(EVENT, NODE_TREE_INSTALLED, 0)                                                               \
    R(EVENT, NODE_LOG_READ, 0)                                                                     \
    R(EFFECT, NODE_APPEND, 0)                                                                      \
    R(EFFECT, NODE_SEND, 0)                                                                        \
    R(EFFECT, NODE_CLOSE, 0)                                                                       \
    R(EFFECT, NODE_RESUME, 0)                                                                      \
    R(EFFECT, NODE_SNAPSHOT, 0)                                                                    \
    R(EFFECT, NODE_LOG, 0)                                                                         \
    R(EFFECT, NODE_PEER_SEND, 0)                                                                   \
    R(EFFECT, NODE_LEADER_CONNECT, 0)                                                              \
    R(EFFECT, NODE_LEADER_CLOSE, 0)                                                                \
    R(EFFECT, NODE_SAVE_EPOCH, 0)                                                                  \
    R(EFFECT, NODE_SEND_TREE, 0)                                                                   \
    R(EFFECT, NODE_TRUNCATE, 0)                                                                    \
    R(EFFECT, NODE_INSTALL_TREE, 0)                                                                \
    R(EFFECT, NODE_READ_LOG, 0)                                                                    \
    R(CORE_EVENT, ZAB_EV_TICK, 0)                                                                  \
    R(CORE_EVENT, ZAB_EV_TREES, 0)                                                                 \
    R(CORE_EVENT, ZAB_EV_NOTIFICATION, 0)                                                          \
    R(CORE_EVENT, ZAB_EV_PEER_UP, 0)                                                               \
    R(CORE_EVENT, ZAB_EV_LEARNER_OPENED, 0)                                                        \
    R(CORE_EVENT, ZAB_EV_LEARNER_PACKET, 0)                                                        \
    R(CORE_EVENT, ZAB_EV_LEARNER_CLOSED, 0)                                                        \
    R(CORE_EVENT, ZAB_EV_LEADER_OPENED, 0)                                                         \
    R(CORE_EVENT, ZAB_EV_LEADER_PACKET, 0)                                                         \
    R(CORE_EVENT, ZAB_EV_LEADER_CLOSED, 0)                                                         \
    R(CORE_EVENT, ZAB_EV_SAVED, 0)                                                                 \
    R(CORE_EVENT, ZAB_EV_LOGGED, 0)                                                                \
    R(CORE_EVENT, ZAB_EV_PERSISTED, 0)                                                             \
    R(CORE_EVENT, ZAB_EV_TRUNCATED, 0)                                                             \
    R(CORE_EVENT, ZAB_EV_TREE_INSTALLED, 0)                                                        \
    R(CORE_EVENT, ZAB_EV_TREE_FAILED, 0)                                                           \
    R(CORE_EVENT, ZAB_EV_CONFIRM, 0)                                                               \
    R(CORE_EVENT, ZAB_EV_SYNC_CHOSEN, 0)                                                           \
    R(CORE_EFFECT, ZAB_FX_NOTIFY, 0)                                                               \
    R(CORE_EFFECT, ZAB_FX_CONNECT, 0)                                                              \
    R(CORE_EFFECT, ZAB_FX_CLOSE_LEADER, 0)                                                         \
    R(CORE_EFFECT, ZAB_FX_SEND_LEADER, 0)                                                          \
    R(CORE_EFFECT, ZAB_FX_SEND, 0)                                                                 \
    R(CORE_EFFECT, ZAB_FX_CLOSE_LEARNER, 0)                                                        \
    R(CORE_EFFECT, ZAB_FX_SAVE_ACCEPTED_EPOCH, 0)                                                  \
    R(CORE_EFFECT, ZAB_FX_SAVE_CURRENT_EPOCH, 0)                                                   \
    R(CORE_EFFECT, ZAB_FX_SAVE_PROPOSED_ID, 0)                                                     \
    R(CORE_EFFECT, ZAB_FX_SAVE_ENSEMBLE_ID, 0)                                                     \
    R(CORE_EFFECT, ZAB_FX_APPLY_ALL, 0)                                                            \
    R(CORE_EFFECT, ZAB_FX_CHOOSE_SYNC, 0)                                                          \
    R(CORE_EFFECT, ZAB_FX_SEND_HISTORY, 0)                                                         \
    R(CORE_EFFECT, ZAB_FX_SEND_PENDING, 0)                                                         \
    R(CORE_EFFECT, ZAB_FX_SEND_TREE, 0)                                                            \
    R(CORE_EFFECT, ZAB_FX_PROPOSE, 0)                                                              \
    R(CORE_EFFECT, ZAB_FX_INFORM, 0)                                                               \
    R(CORE_EFFECT, ZAB_FX_APPEND, 0)                                                               \
    R(CORE_EFFECT, ZAB_FX_TRUNCATE, 0)                                                             \
    R(CORE_EFFECT, ZAB_FX_RECEIVE_TREE, 0)                                                         \
    R(CORE_EFFECT, ZAB_FX_COMMIT, 0)                                                               \
    R(CORE_EFFECT, ZAB_FX_STATE, 0)                                                                \
    R(CORE_EFFECT, ZAB_FX_LEARNER_READY, 0)                                                        \
    R(CORE_EFFECT, ZAB_FX_DELIVER, 0)                                                              \
    R(CORE_EFFECT, ZAB_FX_NEED_TOUCHES, 0)                                                         \
    R(CORE_EFFECT, ZAB_FX_NEW_EPOCH, 0)                                                            \
    R(CORE_EFFECT, ZAB_FX_CONFIRMED, 0)                                                            \
    R(CORE_EFFECT, ZAB_FX_LOG, 0)                                                                  \
    R(PLIGHT, PLIGHT_DEAD, false)                                                                  \
    R(PLIGHT, PLIGHT_CUT_OFF, true)                                                                \
    R(PLIGHT, PLIGHT_SLOW_DISK, true)                                                              \
    R(PLIGHT, PLIGHT_BUSY, true)                                                                   \
    R(PHASE, ZAB_ELECTION, ZAB_DISCOVERY)                                                          \
    R(PHASE, ZAB_DISCOVERY, ZAB_ELECTION)                                                          \
    R(PHASE, ZAB_DISCOVERY, ZAB_SYNCHRONIZATION)                                                   \
    R(PHASE, ZAB_SYNCHRONIZATION, ZAB_ELECTION)                                                    \
    R(PHASE, ZAB_SYNCHRONIZATION, ZAB_BROADCAST)                                                   \
    R(PHASE, ZAB_BROADCAST, ZAB_ELECTION)                                                          \
    R(PACKET, ZAB_REQUEST, 0)                                                                      \
    R(PACKET, ZAB_PROPOSAL, 0)                                                                     \
    R(PACKET, ZAB_ACK, 0)                                                                          \
    R(PACKET, ZAB_COMMIT, 0)                                                                       \
    R(PACKET, ZAB_PING, 0)                                                                         \
    R(PACKET, ZAB_REVALIDATE, 0)                                                                   \
    R(PACKET, ZAB_SYNC, 0)                                                                         \
    R(PACKET, ZAB_INFORM, 0)                                                                       \
    R(PACKET, ZAB_NEWLEADER, 0)                                                                    \
    R(PACKET, ZAB_FOLLOWERINFO, 0)                                                                 \
    R(PACKET, ZAB_UPTODATE, 0)                                                                     \
    R(PACKET, ZAB_DIFF, 0)                                                                         \
    R(PACKET, ZAB_TRUNC, 0)                                                                        \
    R(PACKET, ZAB_SNAP, 0)                                                                         \
    R(PACKET, ZAB_OBSERVERINFO, 0)                                                                 \
    R(PACKET, ZAB_LEADERINFO, 0)                                                                   \
    R(PACKET, ZAB_ACKEPOCH, 0)

/* Of a swarm of operators. */
#define REQUIRED_DEEDS(R)                                                                          \
    R(DEED, DEED_OLD_DISK, 0)                                                                      \
    R(DEED, DEED_RESTORE, 0)                                                                       \
    R(DEED, DEED_SET_UP_BESIDE, 0)                                                                 \
    R(DEED, DEED_DIVERGE, 0)                                                                       \
    R(DEED, DEED_GROW, 0)

/* Of a swarm with mounts. */
#define REQUIRED_MOUNTS(R)                                                                         \
    R(MOUNT_REQUEST, MOUNT_LOOKUP, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_FORGET, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_GETATTR, 0)                                                             \
    R(MOUNT_REQUEST, MOUNT_SETATTR, 0)                                                             \
    R(MOUNT_REQUEST, MOUNT_ACCESS, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_STATFS, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_OPENDIR, 0)                                                             \
    R(MOUNT_REQUEST, MOUNT_READDIRPLUS, 0)                                                         \
    R(MOUNT_REQUEST, MOUNT_RELEASEDIR, 0)                                                          \
    R(MOUNT_REQUEST, MOUNT_OPEN, 0)                                                                \
    R(MOUNT_REQUEST, MOUNT_CREATE, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_READ, 0)                                                                \
    R(MOUNT_REQUEST, MOUNT_WRITE, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_FLUSH, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_RELEASE, 0)                                                             \
    R(MOUNT_REQUEST, MOUNT_FSYNC, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_MKDIR, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_MKNOD, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_UNLINK, 0)                                                              \
    R(MOUNT_REQUEST, MOUNT_RMDIR, 0)                                                               \
    R(MOUNT_REQUEST, MOUNT_RENAME, 0)                                                              \
    R(MOUNT_EVENT, MOUNT_REQUEST, 0)                                                               \
    R(MOUNT_EVENT, MOUNT_ANSWERED, 0)                                                              \
    R(MOUNT_EVENT, MOUNT_WATCH_FIRED, 0)                                                           \
    R(MOUNT_EVENT, MOUNT_SESSION, 0)                                                               \
    R(MOUNT_EVENT, MOUNT_INJECTED, 0)                                                              \
    R(MOUNT_EVENT, MOUNT_OPENER_SEEN, 0)                                                           \
    R(MOUNT_EVENT, MOUNT_MOUNTED, 0)                                                               \
    R(MOUNT_EVENT, MOUNT_TICK, 0)                                                                  \
    R(MOUNT_EVENT, MOUNT_STOP, 0)                                                                  \
    R(MOUNT_EFFECT, MOUNT_REPLY, 0)                                                                \
    R(MOUNT_EFFECT, MOUNT_ASK, 0)                                                                  \
    R(MOUNT_EFFECT, MOUNT_INJECT, 0)                                                               \
    R(MOUNT_EFFECT, MOUNT_INVAL_ENTRY, 0)                                                          \
    R(MOUNT_EFFECT, MOUNT_INVAL_INODE, 0)                                                          \
    R(MOUNT_EFFECT, MOUNT_LOOK_AT_OPENER, 0)                                                       \
    R(MOUNT_EFFECT, MOUNT_LOG, 0)                                                                  \
    R(MOUNT_EFFECT, MOUNT_DO_MOUNT, 0)                                                             \
    R(MOUNT_EFFECT, MOUNT_READY, 0)                                                                \
    R(MOUNT_EFFECT, MOUNT_END, 0)                                                                  \
    R(MOUNT_INJECT, MOUNT_INJECT_CREATE, false)                                                    \
    R(MOUNT_INJECT, MOUNT_INJECT_CREATE, true)                                                     \
    R(MOUNT_INJECT, MOUNT_INJECT_DELETE, false)                                                    \
    R(MOUNT_INJECT, MOUNT_INJECT_DELETE, true)                                                     \
    R(MOUNT_INJECT, MOUNT_INJECT_DATA, false)                                                      \
    R(MOUNT_INJECT, MOUNT_INJECT_RENAME, false)                                                    \
    R(MOUNT_INJECT, MOUNT_INJECT_PROBE, false)                                                     \
    R(MOUNT_KILLED, MOUNT_OPEN, true)                                                              \
    R(MOUNT_KILLED, MOUNT_LOOKUP, true)                                                            \
    R(MOUNT_ASK, ZK_OP_delete, 0)                                                                  \
    R(MOUNT_ASK, ZK_OP_exists, 0)                                                                  \
    R(MOUNT_ASK, ZK_OP_getData, 0)                                                                 \
    R(MOUNT_ASK, ZK_OP_setData, 0)                                                                 \
    R(MOUNT_ASK, ZK_OP_getACL, 0)                                                                  \
    R(MOUNT_ASK, ZK_OP_sync, 0)                                                                    \
    R(MOUNT_ASK, ZK_OP_getChildren2, 0)                                                            \
    R(MOUNT_ASK, ZK_OP_multi, 0)                                                                   \
    R(MOUNT_ASK, ZK_OP_create2, 0)                                                                 \
    R(MOUNT_ASK, ZK_OP_removeWatches, 0)                                                           \
    R(MOUNT_ASK, ZK_OP_addWatch, 0)                                                                \
    R(MOUNT_ASK, ZK_OP_whoAmI, 0)                                                                  \
    R(MOUNT_ANSWER, ZK_OP_delete, ZK_OK)                                                           \
    R(MOUNT_ANSWER, ZK_OP_delete, ZK_NONODE)                                                       \
    R(MOUNT_ANSWER, ZK_OP_delete, ZK_CONNECTIONLOSS)                                               \
    R(MOUNT_ANSWER, ZK_OP_exists, ZK_OK)                                                           \
    R(MOUNT_ANSWER, ZK_OP_exists, ZK_NOAUTH)                                                       \
    R(MOUNT_ANSWER, ZK_OP_exists, ZK_NONODE)                                                       \
    R(MOUNT_ANSWER, ZK_OP_exists, ZK_CONNECTIONLOSS)                                               \
    R(MOUNT_ANSWER, ZK_OP_exists, ZK_OPERATIONTIMEOUT)                                             \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_OK)                                                          \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_NOAUTH)                                                      \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_NONODE)                                                      \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_CONNECTIONLOSS)                                              \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_OPERATIONTIMEOUT)                                            \
    R(MOUNT_ANSWER, ZK_OP_getData, ZK_SESSIONEXPIRED)                                              \
    R(MOUNT_ANSWER, ZK_OP_setData, ZK_OK)                                                          \
    R(MOUNT_ANSWER, ZK_OP_setData, ZK_BADVERSION)                                                  \
    R(MOUNT_ANSWER, ZK_OP_setData, ZK_NONODE)                                                      \
    R(MOUNT_ANSWER, ZK_OP_setData, ZK_CONNECTIONLOSS)                                              \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_OK)                                                           \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_NOAUTH)                                                       \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_NONODE)                                                       \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_CONNECTIONLOSS)                                               \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_OPERATIONTIMEOUT)                                             \
    R(MOUNT_ANSWER, ZK_OP_getACL, ZK_SESSIONEXPIRED)                                               \
    R(MOUNT_ANSWER, ZK_OP_sync, ZK_OK)                                                             \
    R(MOUNT_ANSWER, ZK_OP_sync, ZK_CONNECTIONLOSS)                                                 \
    R(MOUNT_ANSWER, ZK_OP_sync, ZK_OPERATIONTIMEOUT)                                               \
    R(MOUNT_ANSWER, ZK_OP_getChildren2, ZK_OK)                                                     \
    R(MOUNT_ANSWER, ZK_OP_getChildren2, ZK_NONODE)                                                 \
    R(MOUNT_ANSWER, ZK_OP_getChildren2, ZK_CONNECTIONLOSS)                                         \
    R(MOUNT_ANSWER, ZK_OP_getChildren2, ZK_OPERATIONTIMEOUT)                                       \
    R(MOUNT_ANSWER, ZK_OP_getChildren2, ZK_SESSIONEXPIRED)                                         \
    R(MOUNT_ANSWER, ZK_OP_multi, ZK_OK)                                                            \
    R(MOUNT_ANSWER, ZK_OP_multi, ZK_NODEEXISTS)                                                    \
    R(MOUNT_ANSWER, ZK_OP_multi, ZK_CONNECTIONLOSS)                                                \
    R(MOUNT_ANSWER, ZK_OP_create2, ZK_OK)                                                          \
    R(MOUNT_ANSWER, ZK_OP_create2, ZK_NODEEXISTS)                                                  \
    R(MOUNT_ANSWER, ZK_OP_create2, ZK_NONODE)                                                      \
    R(MOUNT_ANSWER, ZK_OP_create2, ZK_CONNECTIONLOSS)                                              \
    R(MOUNT_ANSWER, ZK_OP_removeWatches, ZK_OK)                                                    \
    R(MOUNT_ANSWER, ZK_OP_addWatch, ZK_OK)                                                         \
    R(MOUNT_ANSWER, ZK_OP_addWatch, ZK_CONNECTIONLOSS)                                             \
    R(MOUNT_REPLY, MOUNT_LOOKUP, MOUNT_REPLY_ENTRY)                                                \
    R(MOUNT_REPLY, MOUNT_GETATTR, MOUNT_REPLY_ATTR)                                                \
    R(MOUNT_REPLY, MOUNT_SETATTR, MOUNT_REPLY_ATTR)                                                \
    R(MOUNT_REPLY, MOUNT_ACCESS, MOUNT_REPLY_ERR)                                                  \
    R(MOUNT_REPLY, MOUNT_STATFS, MOUNT_REPLY_STATFS)                                               \
    R(MOUNT_REPLY, MOUNT_OPENDIR, MOUNT_REPLY_OPEN)                                                \
    R(MOUNT_REPLY, MOUNT_READDIRPLUS, MOUNT_REPLY_DIR)                                             \
    R(MOUNT_REPLY, MOUNT_RELEASEDIR, MOUNT_REPLY_ERR)                                              \
    R(MOUNT_REPLY, MOUNT_OPEN, MOUNT_REPLY_OPEN)                                                   \
    R(MOUNT_REPLY, MOUNT_CREATE, MOUNT_REPLY_CREATE)                                               \
    R(MOUNT_REPLY, MOUNT_READ, MOUNT_REPLY_DATA)                                                   \
    R(MOUNT_REPLY, MOUNT_WRITE, MOUNT_REPLY_SIZE)                                                  \
    R(MOUNT_REPLY, MOUNT_FLUSH, MOUNT_REPLY_ERR)                                                   \
    R(MOUNT_REPLY, MOUNT_RELEASE, MOUNT_REPLY_ERR)                                                 \
    R(MOUNT_REPLY, MOUNT_FSYNC, MOUNT_REPLY_ERR)                                                   \
    R(MOUNT_REPLY, MOUNT_MKDIR, MOUNT_REPLY_ENTRY)                                                 \
    R(MOUNT_REPLY, MOUNT_MKNOD, MOUNT_REPLY_ENTRY)                                                 \
    R(MOUNT_REPLY, MOUNT_UNLINK, MOUNT_REPLY_ERR)                                                  \
    R(MOUNT_REPLY, MOUNT_RMDIR, MOUNT_REPLY_ERR)                                                   \
    R(MOUNT_REPLY, MOUNT_RENAME, MOUNT_REPLY_ERR)                                                  \
    R(MOUNT_ERROR, MOUNT_LOOKUP, ENOENT)                                                           \
    R(MOUNT_ERROR, MOUNT_LOOKUP, ETIMEDOUT)                                                        \
    R(MOUNT_ERROR, MOUNT_SETATTR, EROFS)                                                           \
    R(MOUNT_ERROR, MOUNT_SETATTR, ESTALE)                                                          \
    R(MOUNT_ERROR, MOUNT_OPEN, EACCES)                                                             \
    R(MOUNT_ERROR, MOUNT_OPEN, EROFS)                                                              \
    R(MOUNT_ERROR, MOUNT_OPEN, ESTALE)                                                             \
    R(MOUNT_ERROR, MOUNT_OPEN, ETIMEDOUT)                                                          \
    R(MOUNT_ERROR, MOUNT_READDIRPLUS, ETIMEDOUT)                                                   \
    R(MOUNT_ERROR, MOUNT_CREATE, EROFS)                                                            \
    R(MOUNT_ERROR, MOUNT_WRITE, EFBIG)                                                             \
    R(MOUNT_ERROR, MOUNT_FLUSH, EFBIG)                                                             \
    R(MOUNT_ERROR, MOUNT_FLUSH, EIO)                                                               \
    R(MOUNT_ERROR, MOUNT_FLUSH, ETIMEDOUT)                                                         \
    R(MOUNT_ERROR, MOUNT_MKDIR, EEXIST)                                                            \
    R(MOUNT_ERROR, MOUNT_MKDIR, EROFS)                                                             \
    R(MOUNT_ERROR, MOUNT_MKNOD, EROFS)                                                             \
    R(MOUNT_ERROR, MOUNT_UNLINK, ENOENT)                                                           \
    R(MOUNT_ERROR, MOUNT_UNLINK, EROFS)                                                            \
    R(MOUNT_ERROR, MOUNT_RMDIR, ENOTEMPTY)                                                         \
    R(MOUNT_ERROR, MOUNT_RMDIR, EROFS)                                                             \
    R(MOUNT_ERROR, MOUNT_RENAME, ENOENT)                                                           \
    R(MOUNT_ERROR, MOUNT_RENAME, ENOTEMPTY)                                                        \
    R(MOUNT_ERROR, MOUNT_RENAME, EROFS)                                                            \
    R(MOUNT_SESSION, CLIENT_CONNECTING, 0)                                                         \
    R(MOUNT_SESSION, CLIENT_CONNECTED, 0)                                                          \
    R(MOUNT_SESSION, CLIENT_EXPIRED, 0)                                                            \
    R(MOUNT_SESSION, CLIENT_CLOSED, 0)                                                             \
    R(MOUNT_INJECT, MOUNT_INJECT_ATTRIB, false)                                                    \
    R(MOUNT_INJECT, MOUNT_INJECT_RENAME, true)                                                     \
    R(MOUNT_INJECTED, 0, 0)                                                                        \
    R(MOUNT_INJECTED, -EPIPE, 0)                                                                   \
    R(MOUNT_INJECTED, -ENOENT, 0)                                                                  \
    R(CALL, CALL_OPEN, 0)                                                                          \
    R(CALL, CALL_CLOSE, 0)                                                                         \
    R(CALL, CALL_DUP, 0)                                                                           \
    R(CALL, CALL_READ, 0)                                                                          \
    R(CALL, CALL_WRITE, 0)                                                                         \
    R(CALL, CALL_LSEEK, 0)                                                                         \
    R(CALL, CALL_FSTAT, 0)                                                                         \
    R(CALL, CALL_STAT, 0)                                                                          \
    R(CALL, CALL_FTRUNCATE, 0)                                                                     \
    R(CALL, CALL_TRUNCATE, 0)                                                                      \
    R(CALL, CALL_FSYNC, 0)                                                                         \
    R(CALL, CALL_UTIMES, 0)                                                                        \
    R(CALL, CALL_CHMOD, 0)                                                                         \
    R(CALL, CALL_ACCESS, 0)                                                                        \
    R(CALL, CALL_GETDENTS, 0)                                                                      \
    R(CALL, CALL_MKDIR, 0)                                                                         \
    R(CALL, CALL_MKNOD, 0)                                                                         \
    R(CALL, CALL_UNLINK, 0)                                                                        \
    R(CALL, CALL_RMDIR, 0)                                                                         \
    R(CALL, CALL_RENAME, 0)                                                                        \
    R(CALL, CALL_WATCH, 0)                                                                         \
    R(CALL, CALL_FORK, 0)                                                                          \
    R(CALL, CALL_EXIT, 0)                                                                          \
    R(NOTIFY, IN_CREATE, 0)                                                                        \
    R(NOTIFY, IN_DELETE, 0)                                                                        \
    R(NOTIFY, IN_DELETE_SELF, 0)                                                                   \
    R(NOTIFY, IN_MODIFY, 0)                                                                        \
    R(NOTIFY, IN_CLOSE_WRITE, 0)                                                                   \
    R(NOTIFY, IN_MOVED_FROM, 0)                                                                    \
    R(NOTIFY, IN_MOVED_TO, 0)

static const struct row {
    enum cover_kind kind;
    int32_t a, b;
    const char *group, *name, *detail;
} rows[] = {
#define POINT_ROW(name, text) {COVER_POINT, COVER_##name, 0, "POINT", text, ""},
    COVER_POINTS(POINT_ROW)
#undef POINT_ROW
#define MOUNT_POINT_ROW(name, text) {COVER_MOUNT, MOUNT_POINT_##name, 0, "POINT", text, ""},
        MOUNT_POINTS(MOUNT_POINT_ROW)
#undef MOUNT_POINT_ROW
#define REQUIRED_ROW(kind, a, b) {COVER_##kind, (int32_t)(a), (int32_t)(b), #kind, #a, #b},
            REQUIRED(REQUIRED_ROW) REQUIRED_DEEDS(REQUIRED_ROW) REQUIRED_MOUNTS(REQUIRED_ROW)
#undef REQUIRED_ROW
};

static struct cover_count own[COVER_SLOTS], *counts = own;

void coverage_begin(struct cover_count *to)
{
    counts = to;
}

static struct cover_count *slot_of(enum cover_kind kind, int32_t a, int32_t b)
{
    uint64_t h = hash_u64((uint64_t)kind << 58 ^ (uint64_t)(uint32_t)a << 24 ^ (uint32_t)b);
    for (size_t i = 0; i < COVER_SLOTS; i++) {
        struct cover_count *c = &counts[(h + i) % COVER_SLOTS];
        if (c->kind == 0)
            *c = (struct cover_count){kind, a, b, 0};
        if (c->kind == kind && c->a == a && c->b == b)
            return c;
    }
    ensure(!"more is counted than there is room for");
}

void cover(enum cover_kind kind, int32_t a, int32_t b)
{
    slot_of(kind, a, b)->n++;
}

void coverage_add(const struct cover_count *more)
{
    for (size_t i = 0; i < COVER_SLOTS; i++) {
        if (more[i].kind != 0)
            slot_of(more[i].kind, more[i].a, more[i].b)->n += more[i].n;
    }
}
static void row_text(const struct row *r, char *text, size_t size)
{
    bool one = r->detail[0] == '\0' || strcmp(r->detail, "0") == 0;
    if (r->kind == COVER_POINT || r->kind == COVER_MOUNT)
        snprintf(text, size, "%s", r->name);
    else
        snprintf(text, size, "%s: %s%s%s", r->group, r->name, one ? "" : " ", one ? "" : r->detail);
}

void coverage_print(FILE *to)
{
    char text[128];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        row_text(&rows[i], text, sizeof(text));
        fprintf(to, "%10" PRIu64 "  %s\n", slot_of(rows[i].kind, rows[i].a, rows[i].b)->n, text);
    }
}

/* Which swarm has to cover it. */
static enum cover_swarm swarm_of(enum cover_kind kind)
{
    return kind == COVER_DEED    ? COVER_OPERATORS
           : kind >= COVER_MOUNT ? COVER_MOUNTS
                                 : COVER_SERVERS;
}

bool coverage_is_whole(FILE *to, enum cover_swarm swarm)
{
    char text[128];
    bool whole = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (swarm_of(rows[i].kind) != swarm || slot_of(rows[i].kind, rows[i].a, rows[i].b)->n > 0)
            continue;
        row_text(&rows[i], text, sizeof(text));
        fprintf(to, "not covered: %s\n", text);
        whole = false;
    }
    return whole;
}
