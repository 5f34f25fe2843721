/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to a ZooKeeper server as records, with a chroot in front of their paths.
 *
 * Each function appends to `b` what follows the request's header; paths are below `chroot`, which
 * is empty where there is none. */
#ifndef ZAB_REQUEST_H
#define ZAB_REQUEST_H

#include "zab/records.h"

void request_path(struct buf *b, struct slice chroot, struct slice path);
void request_read(struct buf *b, struct slice chroot, struct slice path, bool watch);

/* A path and a version, a mode or a type. */
void request_path_int(struct buf *b, struct slice chroot, struct slice path, int32_t number);
void request_set(struct buf *b, struct slice chroot, struct slice path, struct slice data,
                 int32_t version);
void request_set_acl(struct buf *b, struct slice chroot, struct slice path,
                     const struct jute_vector *acl, int32_t version);

/* The operation for an enum zk_create_mode, and its record; `acl` NULL: world:anyone, all. `ttl_ms`
 * only for the two TTL modes. */
enum zk_op request_create_op(int32_t mode);
void request_create(struct buf *b, struct slice chroot, struct slice path, struct slice data,
                    const struct jute_vector *acl, int32_t mode, int64_t ttl_ms);

/* A multi: begin, add operations, end or close. All or nothing. */
struct request_multi {
    struct slice chroot;
    struct buf buf;
    int n_ops;
};

void request_multi_begin(struct request_multi *m, struct slice chroot);
void request_multi_create(struct request_multi *m, struct slice path, struct slice data,
                          const struct jute_vector *acl, int32_t mode);
void request_multi_set(struct request_multi *m, struct slice path, struct slice data,
                       int32_t version);
void request_multi_delete(struct request_multi *m, struct slice path, int32_t version);
void request_multi_check(struct request_multi *m, struct slice path, int32_t version);

/* The bytes that the request has, to be held against the packet limit. */
size_t request_multi_size(const struct request_multi *m);

/* The whole record, without more operations from now on. */
struct slice request_multi_end(struct request_multi *m);
void request_multi_close(struct request_multi *m);

/* The next result in a multi's body: its op (ZK_OP_error for a failed one, then *err says why) and
 * its Stat where it has one (create2, setData; old servers answer a create without).
 * False at the end, and then jute_done() tells whether it was the right one. */
bool request_multi_next(struct jute_reader *body, int32_t *op, int32_t *err, struct zk_stat *stat);

/* The first error in a multi's results. */
int32_t request_multi_error(struct slice body);

#endif
