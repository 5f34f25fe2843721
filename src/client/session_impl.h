/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the session share. */
#ifndef ZAB_SESSION_IMPL_H
#define ZAB_SESSION_IMPL_H

#include "zab/session.h"

/* A path that is watched, or that a request without a reply asks to watch. */
struct session_watch {
    struct hmap_node by_path;
    unsigned kinds;   /* bits of enum session_watch_kind: set at the server, not fired */
    unsigned pending; /* requests that point here */
    struct slice path;
};

/* In the order of setWatches2. */
enum session_watch_kind {
    SESSION_WATCH_DATA,
    SESSION_WATCH_EXIST,
    SESSION_WATCH_CHILD,
    SESSION_WATCH_PERSISTENT,
    SESSION_WATCH_RECURSIVE,
    SESSION_WATCH_KINDS,
};

struct session_request {
    int32_t xid;
    int32_t op;
    int32_t watch_type; /* of addWatch and removeWatches */
    uint32_t frame_size;
    int64_t deadline;
    struct session_tag tag;
    struct session_watch *watch; /* NULL if it has nothing to do with watches */
};

/* session.c */
struct session_effect *session_add_effect(struct session *s, enum session_effect_type type);
bool session_is_online(const struct session *s);

/* The connection is of no use: note why, drop it, go on to the next host. */
void session_fail(struct session *s, int64_t now_ms, const char *fmt, ...) PRINTF_LIKE(3, 4);
void session_established(struct session *s, int64_t now_ms, bool read_only);
void session_expired(struct session *s, int64_t now_ms);
void session_auth_refused(struct session *s);
void session_closed(struct session *s);

/* session_frame.c */
size_t session_frame_begin(struct buf *b, int32_t xid, int32_t op);
void session_frame_end(struct buf *b, size_t start);
void session_write_connect(struct session *s);

/* session_request.c */
const struct session_request *session_oldest(const struct session *s);

/* Answer the oldest request; `reply` has all but tag and op. Where it is too long, its err is still
 * the server's. */
void session_answer(struct session *s, const struct session_reply *reply);

/* Answer the `count` oldest requests with an error of our own. */
void session_answer_error(struct session *s, size_t count, enum zk_error err);
void session_send_waiting(struct session *s);

/* session_watch.c */
struct session_watch *session_watch_claim(struct session *s, struct session_request *r,
                                          struct slice record);
void session_watch_settle(struct session *s, const struct session_request *r, int32_t err);
void session_watch_fired(struct session *s, const struct zk_watcher_event *event);
void session_watch_forget_standard(struct session *s);
void session_watch_write(struct session *s);
void session_watch_free(struct session *s);

#endif
