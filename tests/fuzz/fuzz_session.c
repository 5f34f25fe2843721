/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server may send into the client's session. The input is steps (fuzz.h).
 *
 * What must hold: every request is answered once, in the order of their making; what is to be
 * written is whole frames; the session ends when it is told to. */
#include "fuzz.h"
#include "zab/session.h"

#include <inttypes.h>

struct driver {
    struct session session;
    int64_t now_ms;
    bool connecting, connected;
    bool ending, closed; /* it was told to end; it said so */
    bool probing;
    unsigned probed_host;
    uintptr_t n_made, n_answered;
};

static void take_effect(struct driver *d, const struct session_effect *fx)
{
    switch (fx->type) {
    case SESSION_DO_CONNECT:
        ensure(!d->connecting && !d->connected && fx->host < 2);
        d->connecting = true;
        break;
    case SESSION_DO_DISCONNECT:
        d->connecting = d->connected = false;
        break;
    case SESSION_DO_PROBE:
        d->probing = true;
        d->probed_host = fx->host;
        break;
    case SESSION_TELL_STATE:
        ensure(client_state_name(fx->state) && !d->closed);
        d->closed = fx->state == CLIENT_CLOSED;
        break;
    case SESSION_TELL_REPLY:
        ensure((uintptr_t)fx->reply.tag.arg == ++d->n_answered);
        fuzz_piece_free(fuzz_copy(fx->reply.body.data, slice_size(fx->reply.body)));
        break;
    case SESSION_TELL_EVENT:
        fuzz_piece_free(fuzz_copy(fx->event.path.data, slice_size(fx->event.path)));
        break;
    case SESSION_TELL_NOTE:
        ensure(fx->note[0]);
        break;
    }
}

static void take_effects(struct driver *d)
{
    struct session_effect fx;
    while (session_next_effect(&d->session, &fx))
        take_effect(d, &fx);
    struct buf *out = session_output(&d->session);
    struct jute_reader r = jute_reader_of(buf_slice(out));
    while (jute_left(&r) > 0) {
        struct slice frame = jute_read_buffer(&r);
        ensure(jute_ok(&r) && frame.len >= 8 && d->connected);
    }
    buf_reset(out);
}

static void receive(struct driver *d, struct slice bytes)
{
    struct slice copy = fuzz_copy(bytes.data, slice_size(bytes));
    if (d->connected)
        session_received(&d->session, d->now_ms, copy);
    take_effects(d);
    fuzz_piece_free(copy);
}

static void request(struct driver *d, unsigned number)
{
    static const enum zk_op ops[] = {ZK_OP_getData,     ZK_OP_exists,   ZK_OP_getChildren2,
                                     ZK_OP_setData,     ZK_OP_addWatch, ZK_OP_removeWatches,
                                     ZK_OP_getChildren, ZK_OP_multi};
    static const char *const paths[] = {"/", "/a", "/a/b"};
    struct session *s = &d->session;
    struct slice path = slice_str(paths[d->n_made % ARRAY_LEN(paths)]);
    enum zk_op op = ops[number % ARRAY_LEN(ops)];
    struct buf *b = session_request_begin(s, op);
    if (op == ZK_OP_setData)
        zk_set_data_write(b, &(struct zk_set_data){path, path, -1});
    else if (op == ZK_OP_addWatch)
        zk_watch_request_write(b, &(struct zk_watch_request){path, (int32_t)d->n_made & 1});
    else if (op == ZK_OP_removeWatches)
        zk_watch_request_write(b, &(struct zk_watch_request){path, ZK_WATCHER_ANY});
    else if (op == ZK_OP_multi)
        zk_multi_header_write(b, &(struct zk_multi_header){-1, true, -1});
    else
        zk_watched_read_write(b, &(struct zk_watched_read){path, true});
    session_request_end(s, d->now_ms, (struct session_tag){NULL, (void *)++d->n_made});
}

static void receive_frame(struct driver *d, struct slice frame)
{
    struct buf bytes = {0};
    jute_write_buffer(&bytes, frame);
    receive(d, buf_slice(&bytes));
    buf_close(&bytes);
}

static void close_session(struct driver *d)
{
    if (!d->ending)
        session_close(&d->session, d->now_ms);
    d->ending = true;
    take_effects(d);
}

static void take_step(struct driver *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    struct slice piece = SLICE_NULL;
    struct session *s = &d->session;
    switch ((enum fuzz_session_step)(FUZZ_STEP_KIND(what) % FUZZ_SESSION_STEPS)) {
    case FUZZ_SESSION_CONNECTED:
        if (d->connecting) {
            d->connecting = false;
            d->connected = true;
            session_connected(s, d->now_ms);
        }
        break;
    case FUZZ_SESSION_DISCONNECTED:
        if (d->connecting || d->connected) {
            d->connecting = d->connected = false;
            session_disconnected(s, d->now_ms);
        }
        break;
    case FUZZ_SESSION_BYTES:
        piece = fuzz_piece(in);
        receive(d, piece);
        break;
    case FUZZ_SESSION_FRAME:
        piece = fuzz_piece(in);
        receive_frame(d, piece);
        break;
    case FUZZ_SESSION_REQUEST:
        request(d, FUZZ_STEP_NUMBER(what));
        break;
    case FUZZ_SESSION_AUTH:
        session_add_auth(s, d->now_ms, slice_str("digest"), slice_str("u:p"));
        break;
    case FUZZ_SESSION_TICK:
        d->now_ms += 100 * fuzz_byte(in);
        session_tick(s, d->now_ms);
        break;
    case FUZZ_SESSION_PROBED:
        if (d->probing)
            session_probed(s, d->now_ms, d->probed_host, FUZZ_STEP_NUMBER(what) & 1);
        d->probing = false;
        break;
    default:
        close_session(d);
        break;
    }
    take_effects(d);
    fuzz_piece_free(piece);
}

/* The server says no more. */
static void finish(struct driver *d)
{
    close_session(d);
    d->now_ms += SESSION_CLOSE_MS;
    session_tick(&d->session, d->now_ms);
    take_effects(d);
    ensure(d->closed && !d->connecting && !d->connected);
    ensure(d->n_answered == d->n_made);
    session_free(&d->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct driver d = {.now_ms = 1000};
    const struct session_config config = {
        .n_hosts = 2, .timeout_ms = 6000, .read_only_ok = fuzz_byte(&in) & 1, .seed = 1};
    session_init(&d.session, &config);
    session_start(&d.session, d.now_ms);
    take_effects(&d);
    while (in.pos < in.end)
        take_step(&d, &in);
    finish(&d);
    return 0;
}
