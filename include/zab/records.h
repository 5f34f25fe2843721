/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of zookeeper.jute (ZooKeeper 3.9): client protocol, transactions, quorum packets and
 * file headers, all from the one table below.
 *
 * For each record NAME there are
 *     struct zk_NAME
 *     void zk_NAME_read(struct jute_reader *, struct zk_NAME *)       borrows from the input
 *     void zk_NAME_write(struct buf *, const struct zk_NAME *)
 *
 * A field is F(kind, name); the kinds are at ZK_TYPE_* below. Where two records of zookeeper.jute
 * have the same fields there is one here, and its comment names both. */
#ifndef ZAB_RECORDS_H
#define ZAB_RECORDS_H

#include "zab/jute.h"
#include "zab/protocol.h"

/* org.apache.zookeeper.data */
#define ZK_REC_ID(F) F(string, scheme) F(string, id)
#define ZK_REC_ACL(F) F(int, perms) F(id, id)
#define ZK_REC_STAT(F)                                                                             \
    F(long, czxid)                                                                                 \
    F(long, mzxid)                                                                                 \
    F(long, ctime)                                                                                 \
    F(long, mtime)                                                                                 \
    F(int, version)                                                                                \
    F(int, cversion)                                                                               \
    F(int, aversion)                                                                               \
    F(long, ephemeral_owner)                                                                       \
    F(int, data_length)                                                                            \
    F(int, num_children)                                                                           \
    F(long, pzxid)
#define ZK_REC_STAT_PERSISTED(F)                                                                   \
    F(long, czxid)                                                                                 \
    F(long, mzxid)                                                                                 \
    F(long, ctime)                                                                                 \
    F(long, mtime)                                                                                 \
    F(int, version)                                                                                \
    F(int, cversion)                                                                               \
    F(int, aversion)                                                                               \
    F(long, ephemeral_owner)                                                                       \
    F(long, pzxid)
#define ZK_REC_CLIENT_INFO(F) F(string, auth_scheme) F(string, user)

/* org.apache.zookeeper.proto. ConnectRequest and ConnectResponse end in a boolean readOnly that
 * clients and servers before 3.4 do not send: it is read and written apart, if there is a byte. */
#define ZK_REC_CONNECT_REQUEST(F)                                                                  \
    F(int, protocol_version)                                                                       \
    F(long, last_zxid_seen)                                                                        \
    F(int, timeout)                                                                                \
    F(long, session_id)                                                                            \
    F(buffer, password)
#define ZK_REC_CONNECT_RESPONSE(F)                                                                 \
    F(int, protocol_version)                                                                       \
    F(int, timeout)                                                                                \
    F(long, session_id)                                                                            \
    F(buffer, password)
#define ZK_REC_SET_WATCHES(F)                                                                      \
    F(long, relative_zxid)                                                                         \
    F(strings, data_watches)                                                                       \
    F(strings, exist_watches)                                                                      \
    F(strings, child_watches)
#define ZK_REC_SET_WATCHES2(F)                                                                     \
    F(long, relative_zxid)                                                                         \
    F(strings, data_watches)                                                                       \
    F(strings, exist_watches)                                                                      \
    F(strings, child_watches)                                                                      \
    F(strings, persistent_watches)                                                                 \
    F(strings, persistent_recursive_watches)
#define ZK_REC_REQUEST_HEADER(F) F(int, xid) F(int, type)
#define ZK_REC_MULTI_HEADER(F) F(int, type) F(bool, done) F(int, err)
#define ZK_REC_AUTH_PACKET(F) F(int, type) F(string, scheme) F(buffer, auth)
#define ZK_REC_REPLY_HEADER(F) F(int, xid) F(long, zxid) F(int, err)
/* GetDataRequest, ExistsRequest, GetChildrenRequest, GetChildren2Request */
#define ZK_REC_WATCHED_READ(F) F(string, path) F(bool, watch)
/* SetDataRequest, SetDataTxn */
#define ZK_REC_SET_DATA(F) F(string, path) F(buffer, data) F(int, version)
#define ZK_REC_RECONFIG_REQUEST(F)                                                                 \
    F(string, joining_servers)                                                                     \
    F(string, leaving_servers)                                                                     \
    F(string, new_members)                                                                         \
    F(long, cur_config_id)
/* GetSASLRequest, SetSASLRequest, SetSASLResponse */
#define ZK_REC_SASL(F) F(buffer, token)
#define ZK_REC_CREATE_REQUEST(F) F(string, path) F(buffer, data) F(acls, acl) F(int, flags)
#define ZK_REC_CREATE_TTL_REQUEST(F)                                                               \
    F(string, path)                                                                                \
    F(buffer, data)                                                                                \
    F(acls, acl)                                                                                   \
    F(int, flags)                                                                                  \
    F(long, ttl)
/* DeleteRequest, CheckVersionRequest, CheckVersionTxn */
#define ZK_REC_PATH_VERSION(F) F(string, path) F(int, version)
/* SyncRequest, SyncResponse, GetACLRequest, CreateResponse, GetAllChildrenNumberRequest,
 * GetEphemeralsRequest, DeleteTxn */
#define ZK_REC_PATH(F) F(string, path)
/* SetACLRequest, SetACLTxn */
#define ZK_REC_SET_ACL(F) F(string, path) F(acls, acl) F(int, version)
/* AddWatchRequest, CheckWatchesRequest, RemoveWatchesRequest: the second field is a mode or a
 * type */
#define ZK_REC_WATCH_REQUEST(F) F(string, path) F(int, type)
#define ZK_REC_WATCHER_EVENT(F) F(int, type) F(int, state) F(string, path)
/* ErrorResponse, ErrorTxn */
#define ZK_REC_ERROR(F) F(int, err)
#define ZK_REC_CREATE2_RESPONSE(F) F(string, path) F(stat, stat)
#define ZK_REC_GET_DATA_RESPONSE(F) F(buffer, data) F(stat, stat)
/* GetChildrenResponse, GetEphemeralsResponse, CloseSessionTxn */
#define ZK_REC_STRINGS(F) F(strings, strings)
#define ZK_REC_GET_ALL_CHILDREN_NUMBER_RESPONSE(F) F(int, total_number)
#define ZK_REC_GET_CHILDREN2_RESPONSE(F) F(strings, children) F(stat, stat)
#define ZK_REC_GET_ACL_RESPONSE(F) F(acls, acl) F(stat, stat)
#define ZK_REC_WHO_AM_I_RESPONSE(F) F(client_infos, client_info)

/* org.apache.zookeeper.server.quorum */
#define ZK_REC_LEARNER_INFO(F) F(long, server_id) F(int, protocol_version) F(long, config_version)
#define ZK_REC_QUORUM_PACKET(F) F(int, type) F(long, zxid) F(buffer, data) F(ids, authinfo)
#define ZK_REC_QUORUM_AUTH_PACKET(F) F(long, magic) F(int, status) F(buffer, token)

/* org.apache.zookeeper.server.persistence */
#define ZK_REC_FILE_HEADER(F) F(int, magic) F(int, version) F(long, dbid)

/* org.apache.zookeeper.txn */
#define ZK_REC_TXN_DIGEST(F) F(int, version) F(long, tree_digest)
#define ZK_REC_TXN_HEADER(F)                                                                       \
    F(long, client_id)                                                                             \
    F(int, cxid)                                                                                   \
    F(long, zxid)                                                                                  \
    F(long, time)                                                                                  \
    F(int, type)
#define ZK_REC_CREATE_TXN_V0(F) F(string, path) F(buffer, data) F(acls, acl) F(bool, ephemeral)
#define ZK_REC_CREATE_TXN(F)                                                                       \
    F(string, path)                                                                                \
    F(buffer, data)                                                                                \
    F(acls, acl)                                                                                   \
    F(bool, ephemeral)                                                                             \
    F(int, parent_cversion)
#define ZK_REC_CREATE_TTL_TXN(F)                                                                   \
    F(string, path)                                                                                \
    F(buffer, data)                                                                                \
    F(acls, acl)                                                                                   \
    F(int, parent_cversion)                                                                        \
    F(long, ttl)
#define ZK_REC_CREATE_CONTAINER_TXN(F)                                                             \
    F(string, path)                                                                                \
    F(buffer, data)                                                                                \
    F(acls, acl)                                                                                   \
    F(int, parent_cversion)
#define ZK_REC_CREATE_SESSION_TXN(F) F(int, timeout)
#define ZK_REC_TXN(F) F(int, type) F(buffer, data)
#define ZK_REC_MULTI_TXN(F) F(txns, txns)

/* A record after those whose kinds it uses. */
#define ZK_RECORDS(R)                                                                              \
    R(id, ZK_REC_ID)                                                                               \
    R(acl, ZK_REC_ACL)                                                                             \
    R(stat, ZK_REC_STAT)                                                                           \
    R(stat_persisted, ZK_REC_STAT_PERSISTED)                                                       \
    R(client_info, ZK_REC_CLIENT_INFO)                                                             \
    R(connect_request, ZK_REC_CONNECT_REQUEST)                                                     \
    R(connect_response, ZK_REC_CONNECT_RESPONSE)                                                   \
    R(set_watches, ZK_REC_SET_WATCHES)                                                             \
    R(set_watches2, ZK_REC_SET_WATCHES2)                                                           \
    R(request_header, ZK_REC_REQUEST_HEADER)                                                       \
    R(multi_header, ZK_REC_MULTI_HEADER)                                                           \
    R(auth_packet, ZK_REC_AUTH_PACKET)                                                             \
    R(reply_header, ZK_REC_REPLY_HEADER)                                                           \
    R(watched_read, ZK_REC_WATCHED_READ)                                                           \
    R(set_data, ZK_REC_SET_DATA)                                                                   \
    R(reconfig_request, ZK_REC_RECONFIG_REQUEST)                                                   \
    R(sasl, ZK_REC_SASL)                                                                           \
    R(create_request, ZK_REC_CREATE_REQUEST)                                                       \
    R(create_ttl_request, ZK_REC_CREATE_TTL_REQUEST)                                               \
    R(path_version, ZK_REC_PATH_VERSION)                                                           \
    R(path, ZK_REC_PATH)                                                                           \
    R(set_acl, ZK_REC_SET_ACL)                                                                     \
    R(watch_request, ZK_REC_WATCH_REQUEST)                                                         \
    R(watcher_event, ZK_REC_WATCHER_EVENT)                                                         \
    R(error_response, ZK_REC_ERROR)                                                                \
    R(create2_response, ZK_REC_CREATE2_RESPONSE)                                                   \
    R(get_data_response, ZK_REC_GET_DATA_RESPONSE)                                                 \
    R(strings, ZK_REC_STRINGS)                                                                     \
    R(get_all_children_number_response, ZK_REC_GET_ALL_CHILDREN_NUMBER_RESPONSE)                   \
    R(get_children2_response, ZK_REC_GET_CHILDREN2_RESPONSE)                                       \
    R(get_acl_response, ZK_REC_GET_ACL_RESPONSE)                                                   \
    R(who_am_i_response, ZK_REC_WHO_AM_I_RESPONSE)                                                 \
    R(learner_info, ZK_REC_LEARNER_INFO)                                                           \
    R(quorum_packet, ZK_REC_QUORUM_PACKET)                                                         \
    R(quorum_auth_packet, ZK_REC_QUORUM_AUTH_PACKET)                                               \
    R(file_header, ZK_REC_FILE_HEADER)                                                             \
    R(txn_digest, ZK_REC_TXN_DIGEST)                                                               \
    R(txn_header, ZK_REC_TXN_HEADER)                                                               \
    R(create_txn_v0, ZK_REC_CREATE_TXN_V0)                                                         \
    R(create_txn, ZK_REC_CREATE_TXN)                                                               \
    R(create_ttl_txn, ZK_REC_CREATE_TTL_TXN)                                                       \
    R(create_container_txn, ZK_REC_CREATE_CONTAINER_TXN)                                           \
    R(create_session_txn, ZK_REC_CREATE_SESSION_TXN)                                               \
    R(txn, ZK_REC_TXN)                                                                             \
    R(multi_txn, ZK_REC_MULTI_TXN)

#define ZK_TYPE_bool bool
#define ZK_TYPE_int int32_t
#define ZK_TYPE_long int64_t
#define ZK_TYPE_buffer struct slice
#define ZK_TYPE_string struct slice
#define ZK_TYPE_id struct zk_id
#define ZK_TYPE_stat struct zk_stat
#define ZK_TYPE_strings struct jute_vector      /* vector<ustring> */
#define ZK_TYPE_ids struct jute_vector          /* vector<Id> */
#define ZK_TYPE_acls struct jute_vector         /* vector<ACL> */
#define ZK_TYPE_client_infos struct jute_vector /* vector<ClientInfo> */
#define ZK_TYPE_txns struct jute_vector         /* vector<Txn> */

#define ZK_FIELD(kind, name) ZK_TYPE_##kind name;
#define ZK_RECORD(rec, FIELDS)                                                                     \
    struct zk_##rec {                                                                              \
        FIELDS(ZK_FIELD)                                                                           \
    };                                                                                             \
    void zk_##rec##_read(struct jute_reader *r, struct zk_##rec *v);                               \
    void zk_##rec##_write(struct buf *b, const struct zk_##rec *v);
ZK_RECORDS(ZK_RECORD)
#undef ZK_RECORD
#undef ZK_FIELD

#endif
