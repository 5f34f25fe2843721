/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client's session with an ensemble: what ZooKeeper's ClientCnxn does, as a pure state machine.
 *
 * The driver (client.c, or the simulator) tells it what happened and then carries out what it
 * asks for:
 *   1. Call one of the session_ functions that take the time. Times are milliseconds of a clock
 *      that never goes back.
 *   2. Take the effects one by one with session_next_effect() until there are none. Slices in them
 *      borrow the bytes given to session_received() or the session's own buffer: both must stay
 *      until the effects are taken. New requests may be made meanwhile.
 *   3. Write session_output() to the connection at leisure, and reset it as far as it is written.
 *   4. Call session_tick() when session_deadline() has come.
 *
 * Requests are answered in the order in which they were made, whatever the answer. One whose reply
 * is longer than reply_max is answered REPLYTOOLONG; the rest of that frame is dropped as it comes
 * in, and nothing else suffers. */
#ifndef ZAB_SESSION_H
#define ZAB_SESSION_H

#include "zab/hmap.h"
#include "zab/records.h"
#include "zab/rng.h"

enum client_state {
    CLIENT_CONNECTING,  /* no connection now; what the session held is still there */
    CLIENT_CONNECTED,   /* a session, and every server promise that goes with it */
    CLIENT_READ_ONLY,   /* connected to a server without a quorum */
    CLIENT_EXPIRED,     /* the session is gone with its ephemeral nodes; CONNECTING follows */
    CLIENT_AUTH_FAILED, /* an auth was refused: all requests are answered AUTHFAILED */
    CLIENT_CLOSED,
};

const char *client_state_name(enum client_state state);

enum {
    SESSION_PING_MAX_MS = 10000,          /* longest silence of ours */
    SESSION_CLOSE_MS = 1000,              /* how long to wait for the server's goodbye */
    SESSION_PROBE_MIN_MS = 1000,          /* in READ_ONLY: until the first look for a quorum, */
    SESSION_PROBE_MAX_MS = 60000,         /* and between two later on */
    SESSION_BACKOFF_MAX_MS = 1000,        /* between two attempts to connect */
    SESSION_FRAME_MAX = 1 << 30,          /* a longer one is none: the server speaks nonsense */
    SESSION_REPLY_DEFAULT = 4 << 20,      /* of reply_max, as Java's client has it */
    SESSION_REPLY_MIN = 1 << 20,          /* of reply_max: an event's path always fits */
    SESSION_WATCH_PACKET_MAX = 128 << 10, /* longest setWatches2 */
};

struct session_config {
    unsigned n_hosts;
    int timeout_ms;         /* session timeout to ask for */
    int request_timeout_ms; /* 0: the session timeout */
    int32_t reply_max;      /* longest frame taken, up to SESSION_FRAME_MAX; 0: the default */
    bool read_only_ok;
    uint64_t seed; /* order of the hosts, jitter of the back-off */
};

enum session_phase {
    SESSION_WAITING,     /* for the time of the next attempt */
    SESSION_CONNECTING,  /* the driver is connecting */
    SESSION_HANDSHAKE,   /* connect request sent */
    SESSION_ESTABLISHED, /* with a server that has a quorum */
    SESSION_READ_ONLY,   /* with one that has none */
    SESSION_AUTH_FAILED,
    SESSION_CLOSING, /* closeSession sent */
    SESSION_CLOSED,
};

/* The caller's mark on a request, handed back with its reply. */
struct session_tag {
    void (*call)(void);
    void *arg;
};

enum session_effect_type {
    SESSION_DO_CONNECT,    /* to `host`; report session_connected() or session_disconnected() */
    SESSION_DO_DISCONNECT, /* drop the connection or the attempt; nothing is reported of it */
    SESSION_DO_PROBE,      /* ask `host` if it has a quorum ("isro"); report session_probed() */
    SESSION_TELL_STATE,
    SESSION_TELL_REPLY,
    SESSION_TELL_EVENT,
    SESSION_TELL_NOTE, /* the server did what it must not: worth a line in the log */
};

struct session_reply {
    struct session_tag tag;
    int32_t op;
    int32_t err;
    int64_t zxid;
    struct slice body;
    int32_t too_long; /* with REPLYTOOLONG: the bytes of the frame */
};

struct session_effect {
    enum session_effect_type type;
    union {
        unsigned host;
        enum client_state state;
        struct session_reply reply;
        struct {
            struct zk_watcher_event event;
            int64_t event_zxid; /* of its transaction; -1: the server does not say */
        };
        const char *note;
    };
};

struct session_request;

struct session {
    struct session_config config;
    enum session_phase phase;
    enum client_state told;
    struct rng rng;
    unsigned *order;    /* of the hosts */
    unsigned next_host; /* index in `order` of the next attempt */
    unsigned failures;  /* attempts in a row */

    int64_t id;
    uint8_t password[ZK_PASSWORD_SIZE];
    int timeout_ms;       /* as granted, or as asked for while there is no session */
    bool seen_read_write; /* the session is known to a quorum */
    int64_t last_zxid;
    int32_t last_xid;
    int32_t close_xid;

    int64_t retry_at;       /* WAITING */
    int64_t connect_by;     /* CONNECTING, HANDSHAKE */
    int64_t established_at; /* the rest: of this connection */
    int64_t last_recv;
    int64_t last_send;
    int64_t close_by; /* CLOSING */
    int64_t probe_at; /* READ_ONLY */
    int64_t probe_ms; /* from that probe to the next */

    /* A ring of requests without a reply; the first n_sent of them have been sent. */
    struct session_request *ring;
    size_t cap, head, n, n_sent;
    struct buf waiting; /* frames of those that are not, without the `waiting_used` first bytes */
    size_t waiting_used;

    struct buf out; /* to be written */
    size_t begin;   /* where the frame of session_request_begin() starts */
    struct buf in;  /* a frame that has not arrived whole, behind `in_used` bytes of effects */
    size_t in_used;
    size_t skip;      /* bytes to come of a frame that is too long */
    struct buf auths; /* auth frames, for each connection anew */

    struct hmap watches;
    uint64_t watch_seed;

    struct session_effect *effects;
    size_t n_effects, cap_effects, next_effect;
    char note[256];
};

/* Nothing happens before session_start(), which asks for the first connection. */
void session_init(struct session *s, const struct session_config *config);
void session_start(struct session *s, int64_t now_ms);
void session_free(struct session *s);

void session_connected(struct session *s, int64_t now_ms);
void session_received(struct session *s, int64_t now_ms, struct slice bytes);
void session_disconnected(struct session *s, int64_t now_ms);
void session_tick(struct session *s, int64_t now_ms);

/* What became of a SESSION_DO_PROBE; with a quorum the session moves to that host. */
void session_probed(struct session *s, int64_t now_ms, unsigned host, bool has_quorum);

/* The time of the next session_tick(), INT64_MAX if none is needed. */
int64_t session_deadline(const struct session *s);

/* Make a request: begin, write its record to the buf, end. It is sent at once, or kept for the
 * next connection. What it means for the watches is read from the record. */
struct buf *session_request_begin(struct session *s, enum zk_op op);
void session_request_end(struct session *s, int64_t now_ms, struct session_tag tag);

/* Authenticate now and on each connection to come. */
void session_add_auth(struct session *s, int64_t now_ms, struct slice scheme, struct slice auth);

/* End it: all that is outstanding is answered CONNECTIONLOSS; CLIENT_CLOSED is told when the server
 * has answered, or after SESSION_CLOSE_MS. */
void session_close(struct session *s, int64_t now_ms);

bool session_next_effect(struct session *s, struct session_effect *out);

/* The bytes to write. Empty while there is no connection. */
struct buf *session_output(struct session *s);

enum client_state session_state(const struct session *s);

#endif
