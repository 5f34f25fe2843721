/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes over a client's connection, against the model: answers come in the order of the
 * requests, each is the model's at its zxid, and no zxid goes back, on whatever server. */
#include "sim.h"

enum {
    STALL_MS = 5000,
};

static struct entry *note_acked(struct world *w, int64_t zxid)
{
    w->max_acked = MAX(w->max_acked, zxid);
    return journal_at(w, zxid);
}

static struct server *server_of(const struct conn *conn)
{
    return conn->ends[1].server;
}

/* The next whole frame in `bytes`; false if there is none. */
static bool next_frame(const struct buf *bytes, size_t *pos, struct slice *frame)
{
    if (bytes->len - *pos < 4)
        return false;
    size_t len = be32_get(bytes->data + *pos);
    if (bytes->len - *pos - 4 < len)
        return false;
    *frame = slice_of(bytes->data + *pos + 4, len);
    *pos += 4 + len;
    return true;
}

/* ---- From the client ---- */

static struct request *waiting_request(struct world *w, struct client *c, int32_t xid)
{
    for (size_t i = 0; i < c->n_waiting; i++) {
        if (c->waiting[i]->xid == xid)
            return c->waiting[i];
    }
    sim_fail(w, SIM_BROKEN, "client %u: its session sends request %d, which was not made", c->index,
             xid);
}

static void sent_add(struct world *w, struct conn *conn, int32_t xid, struct request *r,
                     struct slice frame)
{
    ROOM_FOR_ONE(conn->sent, conn->n_sent, conn->cap_sent);
    struct sent *s = &conn->sent[conn->n_sent++];
    *s = (struct sent){.xid = xid, .request = r, .at_ms = w->now_ms};
    if (!r)
        buf_append(&s->frame, frame.data, slice_size(frame));
}

static void request_sent(struct world *w, struct conn *conn, int32_t xid, int32_t type)
{
    struct client *c = conn->client;
    struct request *r;
    if (type == ZK_OP_closeSession) {
        r = request_new(w, c);
        r->op.type = type;
        r->xid = xid;
    } else {
        r = waiting_request(w, c, xid);
    }
    r->session_id = c->session.id;
    r->acked_before = w->max_acked;
    sent_add(w, conn, xid, r, SLICE_EMPTY);
}

static void frame_sent(struct world *w, struct conn *conn, struct slice frame)
{
    struct jute_reader in = jute_reader_of(frame);
    struct zk_request_header h;
    zk_request_header_read(&in, &h);
    if (h.xid == ZK_XID_SET_WATCHES) {
        watchcheck_resetting(w, conn, frame);
        sent_add(w, conn, h.xid, NULL, frame);
    } else if (h.xid != ZK_XID_PING && h.xid != ZK_XID_AUTH) {
        request_sent(w, conn, h.xid, h.type);
    }
}

void check_sent(struct world *w, struct conn *conn, struct slice bytes)
{
    if (w->lenient || w->unmodelled)
        return;
    struct slice frame;
    size_t pos = 0;
    buf_append(&conn->tap_up, bytes.data, slice_size(bytes));
    while (next_frame(&conn->tap_up, &pos, &frame)) {
        if (conn->hailed)
            frame_sent(w, conn, frame);
        conn->hailed = true;
    }
    buf_consume(&conn->tap_up, pos);
    if (conn->greeted && !conn->tapped) {
        conn->tapped = true;
        watchcheck_all_reset(w, conn);
    }
}

/* The replica is about to get all of this request. */
void check_arrived(const struct conn *conn, int32_t xid)
{
    for (size_t i = 0; i < conn->n_sent; i++) {
        if (conn->sent[i].request && conn->sent[i].xid == xid)
            conn->sent[i].request->arrived_zxid = node_last_proposed(server_of(conn)->node);
    }
}

/* ---- To the client ---- */

/* A session that was refused must be gone, and for good. A server that is cut off from a later
 * epoch knows no session of it. */
static void check_refused(struct world *w, struct conn *conn)
{
    const struct server *s = server_of(conn);
    cover_point(COVER_check_refused);
    bool here = !s->up || model_session(&s->memory.applied->after, conn->session_id);
    if (conn->session_id == 0 || (here && model_session(&journal_tip(w)->after, conn->session_id)))
        sim_fail(w, SIM_BROKEN, "client %u: session 0x%" PRIx64 " is refused, but is there",
                 conn->client->index, (uint64_t)conn->session_id);
}

static void check_granted(struct world *w, struct conn *conn, const struct zk_connect_response *r)
{
    const struct client *c = conn->client;
    const struct session_seen *seen = journal_session(w, r->session_id);
    int32_t timeout_ms =
        MIN(MAX(c->session.config.timeout_ms, w->times.timeout_min_ms), w->times.timeout_max_ms);
    if (r->timeout != timeout_ms)
        sim_fail(w, SIM_BROKEN, "client %u: asked for %d ms, got %d", c->index,
                 c->session.config.timeout_ms, r->timeout);
    if (conn->session_id != 0 && conn->session_id != r->session_id)
        sim_fail(w, SIM_BROKEN, "client %u: got another session", c->index);
    if (!seen)
        sim_fail(w, SIM_BROKEN, "client %u: got session 0x%" PRIx64 ", which is not there",
                 c->index, (uint64_t)r->session_id);
    note_acked(w, seen->created_zxid);
    cover_point(COVER_check_granted);
}

static void greeting_received(struct world *w, struct conn *conn, struct slice frame)
{
    struct jute_reader in = jute_reader_of(frame);
    struct zk_connect_response r;
    zk_connect_response_read(&in, &r);
    jute_read_bool(&in);
    if (!jute_done(&in) || r.password.len != ZK_PASSWORD_SIZE)
        sim_fail(w, SIM_BROKEN, "client %u: bad connect response", conn->client->index);
    conn->greeted = true;
    if (r.session_id == 0) {
        check_refused(w, conn);
        return;
    }
    check_granted(w, conn, &r);
    conn->session_id = r.session_id;
    watchcheck_greeted(conn->client);
}

static void fail_answer(struct world *w, const struct request *r, int64_t zxid,
                        const struct buf *is, const char *must)
{
    struct buf text = {0};
    request_text(r, &text);
    sim_fail(w, SIM_BROKEN,
             "client %u: #%d %.*s is answered at zxid 0x%" PRIx64
             " with\n  %.*s\nand must be\n  %s",
             r->client->index, r->xid, (int)text.len, (char *)text.data, (uint64_t)zxid,
             (int)is->len, (char *)is->data, must);
}

/* Would it have been refused with this answer after that transaction? */
static bool refused_at(const struct request *r, const struct entry *e, const struct buf *answer)
{
    struct model m;
    struct buf must = {0};
    const struct model_actor who = {r->ids, r->session_id, e->zxid + 1, 0};
    model_copy(&m, &e->after);
    bool written = model_write(&m, r, &who, &must);
    bool same = !written && slice_eq(buf_slice(&must), buf_slice(answer));
    model_close(&m);
    buf_close(&must);
    return same;
}

/* A refusal is decided after the request arrived, and before the session's next write; and not by
 * what was there before something else that somebody knew of when it was asked for. */
static void check_refusal(struct world *w, struct conn *conn, const struct request *r, int64_t zxid,
                          const struct buf *answer)
{
    int64_t last = zxid;
    cover_point(COVER_check_refusal);
    for (size_t i = 0; i < conn->n_sent; i++) {
        const struct request *later = conn->sent[i].request;
        if (later && later->zxid > 0)
            last = MIN(last, later->zxid - 1);
    }
    int64_t known = journal_back_to(journal_tip(w), r->acked_before)->zxid;
    int64_t first = MAX(known, r->arrived_zxid);
    const struct entry *e = journal_back_to(journal_at(w, zxid), last);
    if (last < known)
        e = journal_tip(w);
    for (; e; e = e->prev) {
        if (refused_at(r, e, answer))
            return;
        if (e->zxid <= first)
            break;
    }
    char text[96];
    snprintf(text, sizeof(text), "nothing like it from zxid 0x%" PRIx64 " to 0x%" PRIx64,
             (uint64_t)first, (uint64_t)last);
    fail_answer(w, r, zxid, answer, text);
}

/* A client's requests are carried out in their order: what it asks for behind a read is not there
 * yet when that is answered. */
static void check_order(struct world *w, const struct conn *conn, const struct request *r,
                        int64_t zxid)
{
    for (size_t i = 0; i < conn->n_sent; i++) {
        const struct request *later = conn->sent[i].request;
        if (later && later->zxid > 0 && later->zxid <= zxid && later->session_id == r->session_id)
            sim_fail(w, SIM_BROKEN,
                     "client %u: #%d is answered at zxid 0x%" PRIx64
                     ", behind its own #%d, 0x%" PRIx64,
                     r->client->index, r->xid, (uint64_t)zxid, later->xid, (uint64_t)later->zxid);
    }
}

static void check_read(struct world *w, const struct request *r, int64_t zxid,
                       const struct buf *answer)
{
    struct buf must = {0};
    bool newest = !is_ensemble(w) || r->op.type == ZK_OP_sync;
    cover_point(newest ? COVER_check_newest : COVER_check_read);
    if (newest && zxid < r->acked_before)
        sim_fail(w, SIM_BROKEN,
                 "client %u: #%d reads the past, zxid 0x%" PRIx64 " before 0x%" PRIx64,
                 r->client->index, r->xid, (uint64_t)zxid, (uint64_t)r->acked_before);
    model_read(&journal_at(w, zxid)->after, r, &must);
    if (!slice_eq(buf_slice(&must), buf_slice(answer))) {
        *buf_extend(&must, 1) = '\0';
        fail_answer(w, r, zxid, answer, (char *)must.data);
    }
    buf_close(&must);
}

static void check_answer(struct world *w, struct conn *conn, struct request *r, int64_t zxid,
                         int32_t err, struct slice body)
{
    struct buf answer = {0};
    answer_text(r, err, body, &answer);
    bool is_done = strncmp((const char *)answer.data, "OK (error", MIN(answer.len, (size_t)9)) != 0;
    sim_trace(w, "client %u: #%d answered at 0x%" PRIx64 ": %.*s", r->client->index, r->xid,
              (uint64_t)zxid, (int)answer.len, (char *)answer.data);
    cover(COVER_ANSWER, r->op.type, err);
    for (int i = 0; err == ZK_OK && i < r->n_parts; i++)
        cover(COVER_PART, r->parts[i].type, is_done);
    r->answered = true;
    r->err = err;
    w->n_answers++;
    if (r->zxid != 0) {
        cover_point(COVER_check_written);
        if (r->zxid != zxid || !slice_eq_str(buf_slice(&answer), r->expected))
            fail_answer(w, r, zxid, &answer, r->expected);
    } else if (request_is_write(r)) {
        check_refusal(w, conn, r, zxid, &answer);
    } else if (r->op.type != ZK_OP_addWatch && r->op.type != ZK_OP_removeWatches) {
        check_read(w, r, zxid, &answer);
        check_order(w, conn, r, zxid);
    }
    buf_close(&answer);
    watchcheck_answered(w, conn, r, err);
}

static void take_sent(struct world *w, struct conn *conn, const struct zk_reply_header *h,
                      struct sent *sent)
{
    struct client *c = conn->client;
    if (conn->n_sent == 0 || conn->sent[0].xid != h->xid)
        sim_fail(w, SIM_BROKEN, "client %u: an answer to request %d, %d was due", c->index, h->xid,
                 conn->n_sent > 0 ? conn->sent[0].xid : 0);
    if (h->zxid < conn->last_zxid || h->zxid < c->replied_zxid)
        sim_fail(w, SIM_BROKEN, "client %u: zxid 0x%" PRIx64 " goes back behind 0x%" PRIx64,
                 c->index, (uint64_t)h->zxid, (uint64_t)MAX(conn->last_zxid, c->replied_zxid));
    *sent = conn->sent[0];
    conn->n_sent--;
    memmove(conn->sent, conn->sent + 1, conn->n_sent * sizeof(conn->sent[0]));
}

static void answer_received(struct world *w, struct conn *conn, const struct zk_reply_header *h,
                            struct slice body)
{
    struct sent sent;
    take_sent(w, conn, h, &sent);
    watchcheck_settle(w, conn, journal_at(w, h->zxid));
    if (sent.request) {
        watchcheck_nothing_open(w, conn);
        check_answer(w, conn, sent.request, h->zxid, h->err, body);
        conn->client->replied_zxid = h->zxid;
    } else {
        if (h->err != ZK_OK)
            sim_fail(w, SIM_BROKEN, "client %u: its watches are refused: %s", conn->client->index,
                     zk_error_name(h->err));
        watchcheck_reset(w, conn, buf_slice(&sent.frame), h->zxid);
        buf_close(&sent.frame);
    }
    conn->last_zxid = h->zxid;
}

static void frame_received(struct world *w, struct conn *conn, struct slice frame)
{
    struct jute_reader in = jute_reader_of(frame);
    struct zk_reply_header h;
    zk_reply_header_read(&in, &h);
    if (!jute_ok(&in))
        sim_fail(w, SIM_BROKEN, "client %u: a frame of %d bytes", conn->client->index, frame.len);
    const struct entry *at = note_acked(w, h.zxid);
    if (h.xid == ZK_XID_WATCH) {
        watchcheck_event(w, conn, &h, jute_read_rest(&in));
    } else if (h.xid == ZK_XID_PING || h.xid == ZK_XID_AUTH) {
        watchcheck_settle(w, conn, at);
        if (h.err != ZK_OK)
            sim_fail(w, SIM_BROKEN, "client %u: %s to xid %d", conn->client->index,
                     zk_error_name(h.err), h.xid);
    } else {
        answer_received(w, conn, &h, jute_read_rest(&in));
    }
}

void check_received(struct world *w, struct conn *conn, struct slice bytes)
{
    if (w->lenient)
        return;
    struct slice frame;
    size_t pos = 0;
    buf_append(&conn->tap_down, bytes.data, slice_size(bytes));
    while (next_frame(&conn->tap_down, &pos, &frame)) {
        if (conn->greeted && w->unmodelled)
            continue;
        if (conn->greeted)
            frame_received(w, conn, frame);
        else
            greeting_received(w, conn, frame);
    }
    buf_consume(&conn->tap_down, pos);
}

/* While all works, no request waits for long. In an ensemble that is seen at the end. */
void check_no_stall(struct world *w)
{
    for (unsigned i = 0; !is_ensemble(w) && i < w->n_clients; i++) {
        const struct conn *conn = w->clients[i].conn;
        if (conn && !conn->cut && net_is_alive(&conn->ends[1]) && conn->n_sent > 0 &&
            w->now_ms - conn->sent[0].at_ms > STALL_MS)
            sim_fail(w, SIM_STALLED, "client %u: no answer to request %d for %d ms", i,
                     conn->sent[0].xid, STALL_MS);
    }
}
