/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A socket that the node speaks over: a client's connection, or a link between servers. */
#ifndef ZAB_SERVER_STREAM_H
#define ZAB_SERVER_STREAM_H

#include <uv.h>

#include "secure.h"
#include "zab/list.h"
#include "zab/node.h"

struct server;
struct tree_sender;

/* A turn of the loop costs one write a stream. It frees itself when it has ended. */
struct stream {
    uv_tcp_t tcp;
    struct list open_link;    /* server.streams */
    struct list drained_link; /* server.drained */
    struct server *server;
    struct node_conn *conn; /* one of the two is set: what the node knows it as */
    struct node_link *link;
    struct node_conn_public *pub; /* NULL before that */
    uv_write_t write;
    struct buf sending;         /* what libuv writes now */
    struct tree_sender *sender; /* a child writes a tree; the node's bytes wait */
    struct secure_conn secure;
    struct buf clear;     /* with TLS: what was taken of pub->out, or of the tree */
    size_t clear_at;      /* how much of it is encrypted */
    bool writing;         /* `sending` */
    bool closing;         /* ends when all is sent, or overdue */
    bool ended;           /* uv_close() was called */
    uint64_t deadline_ms; /* to be closed, or to have shown that it speaks as it must; 0: none */
};

/* Take a connection of the listener, and tell the node as `type`. */
void stream_accept(uv_stream_t *listener, int status, enum node_event_type type);

/* The link to the leader at `host`, on a connected socket, which is the stream's from now on. */
void stream_open_leader(struct server *s, int fd, const char *host);

/* The node has given it a name: before the effects of that event are carried out. */
void stream_opened(const struct node_event *event);

/* Effects. */
void stream_send(struct stream *st);
void stream_close(struct stream *st);
void stream_resume(struct stream *st);
/* Behind the first `before` bytes of pub->out. */
void stream_send_tree(struct stream *st, const struct tree *t, size_t before);

/* At once, whatever waits to be sent. */
void stream_end(struct stream *st);

/* What the socket takes of `b` now; the rest is libuv's. False: there is one, or it has ended. */
bool stream_write(struct stream *st, struct buf *b);

/* "1.2.3.4:5" or "[::1]:5"; an IPv4 address that came in over IPv6 as itself. */
void stream_address(const struct stream *st, char *text, size_t size);

/* stream_tls.c: of a stream that speaks TLS, or may. As secure_conn_receive(); and true if all is
 * sent. */
int stream_tls_receive(struct stream *st, struct slice *data);
bool stream_tls_send(struct stream *st);

void streams_tell_drained(struct server *s);
void streams_close_overdue(struct server *s);
void streams_end_all(struct server *s);

/* tree_sender.c: the tree in the child's hands. -> NULL: no process for it. */
struct tree_sender *tree_sender_start(struct stream *st, const struct tree *t, size_t before);
void tree_sender_go(struct tree_sender *ts);   /* what was written before it is through */
void tree_sender_more(struct tree_sender *ts); /* with TLS: append the next bytes to st->clear */
bool tree_sender_is_stuck(const struct tree_sender *ts);
void tree_sender_cancel(struct tree_sender *ts);

#endif
