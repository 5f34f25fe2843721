/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inputs that fuzz_ensemble starts from: a server that leads, one that follows and one that
 * observes, up to where clients are served. */
#include "seeds.h"
#include "zab/zab.h"

static void append_ensemble_packet(struct buf *b, unsigned link, enum zab_packet_type type,
                                   uint8_t zxid, const char *data, size_t len)
{
    struct buf piece = {0};
    buf_append(&piece, data, len);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_PACKET, link));
    append_byte(b, (uint8_t)type);
    append_byte(b, zxid);
    append_piece(b, &piece);
    buf_close(&piece);
}

/* The others elect server `leader`. */
static void append_election(struct buf *b, uint8_t leader)
{
    const uint8_t tick[] = {FUZZ_STEP(FUZZ_ENSEMBLE_TICK, 0), 3};
    buf_append(b, tick, sizeof(tick));
    for (unsigned sid = 2; sid <= 3; sid++) {
        const uint8_t vote[] = {FUZZ_STEP(FUZZ_ENSEMBLE_VOTE, sid), ZAB_LOOKING, leader,
                                FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0)};
        buf_append(b, vote, sizeof(vote));
    }
    buf_append(b, tick, sizeof(tick));
}

/* A client that has a session, and what the recorded one asked for. */
static void append_client_of_ensemble(void *arg, const struct buf *frame)
{
    struct buf *b = arg;
    const uint8_t steps[] = {
        FUZZ_STEP(FUZZ_ENSEMBLE_ANSWER, 0),
        FUZZ_STEP(FUZZ_ENSEMBLE_PERSIST, 0),
        FUZZ_STEP(FUZZ_ENSEMBLE_PACKET, 0),
        ZAB_ACK,
        FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0),
        0,
        0,
        FUZZ_STEP(FUZZ_ENSEMBLE_TURN, 0),
    };
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_FRAME, 0));
    append_piece(b, frame);
    buf_append(b, steps, sizeof(steps));
}

/* Of session 200, by learner 0. */
static void append_request(struct buf *b, int32_t type, const char *body, size_t len)
{
    struct buf piece = {0};
    buf_append(&piece, body, len);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_REQUEST, 0));
    append_byte(b, 200);
    append_byte(b, (uint8_t)type);
    append_piece(b, &piece);
    buf_close(&piece);
}

/* Server `sid`, whose log ends at `zxid`, follows us on link `link`. */
static void append_learner(struct buf *b, unsigned link, enum zab_packet_type type, uint8_t sid,
                           uint8_t zxid)
{
    const char info[] = {0, 0, 0, 0, 0, 0, 0, (char)sid, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_LINK, link));
    append_ensemble_packet(b, link, type, FUZZ_ZXID(FUZZ_ZXID_EPOCH, 0), info, sizeof(info));
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_DONE, 0));
    append_ensemble_packet(b, link, ZAB_ACKEPOCH, zxid, "\0\0\0\1", 4);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_DONE, 0));
    append_ensemble_packet(b, link, ZAB_ACK, FUZZ_ZXID(FUZZ_ZXID_EPOCH, 0), "", 0);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_TURN, 0));
}

static void write_leading(struct buf *b)
{
    append_byte(b, 0);
    append_election(b, 1);
    append_learner(b, 0, ZAB_FOLLOWERINFO, 2, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0));
    append_learner(b, 1, ZAB_OBSERVERINFO, 4, FUZZ_ZXID(FUZZ_ZXID_FIRST, 2));
    append_request(b, ZK_OP_createSession, "\0\0\20\0", 4);
    append_request(b, ZK_OP_check, "\0\0\0\2/a\377\377\377\377", 10);
    append_request(b, ZK_OP_delete, "\0\0\0\2/b\377\377\377\377", 10);
    append_request(b, ZK_OP_sync, "\0\0\0\2/a", 6);
    append_ensemble_packet(b, 1, ZAB_REVALIDATE, FUZZ_ZXID(FUZZ_ZXID_ZERO, -1),
                           "\0\0\0\0\0\0\0\310\0\0\20\0", 12);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_PERSIST, 0));
    append_ensemble_packet(b, 0, ZAB_ACK, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "", 0);
    append_ensemble_packet(b, 0, ZAB_PING, FUZZ_ZXID(FUZZ_ZXID_ZERO, 1),
                           "\0\0\0\0\0\0\0\310\0\0\20\0", 12);
    append_request(b, ZK_OP_closeSession, "", 0);
    read_hex("client.hex", append_client_of_ensemble, b);
    write_seed("ensemble", "leading", b);
}

static void append_proposal(struct buf *b)
{
    const uint8_t steps[] = {FUZZ_STEP(FUZZ_ENSEMBLE_TXN, 3), ZAB_PROPOSAL, (uint8_t)ZK_OP_error,
                             FUZZ_ZXID(FUZZ_ZXID_NEXT, 0)};
    struct buf error = {0};
    jute_write_int(&error, ZK_OK);
    buf_append(b, steps, sizeof(steps));
    append_piece(b, &error);
    buf_close(&error);
}

static void append_following(struct buf *b, enum zab_packet_type sync, uint8_t zxid)
{
    append_election(b, 3);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_LINK, 3));
    append_ensemble_packet(b, 3, ZAB_LEADERINFO, FUZZ_ZXID(FUZZ_ZXID_NEW, 0), "\0\1\0\0", 4);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_DONE, 0));
    append_ensemble_packet(b, 3, sync, zxid, "", 0);
    if (sync == ZAB_SNAP) {
        append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_TREE, 0));
        append_byte(b, 0);
    }
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_DONE, 0));
    append_proposal(b);
    append_ensemble_packet(b, 3, ZAB_COMMIT, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "", 0);
    append_ensemble_packet(b, 3, ZAB_NEWLEADER, FUZZ_ZXID(FUZZ_ZXID_EPOCH, 0), "", 0);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_PERSIST, 0));
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_DONE, 0));
    append_ensemble_packet(b, 3, ZAB_UPTODATE, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "", 0);
}

static void append_clients(struct buf *b)
{
    read_hex("client.hex", append_client_of_ensemble, b);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_CONNECT, 1));
    append_byte(b, 1);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_REVALIDATE, 0));
    append_byte(b, 1);
    append_ensemble_packet(b, 3, ZAB_PING, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "", 0);
}

/* An observer is told of what was decided; the last one cannot be applied. */
static void write_observing(struct buf *b)
{
    static const uint8_t txns[][2] = {{ZAB_INFORM, (uint8_t)ZK_OP_error},
                                      {ZAB_INFORMANDACTIVATE, (uint8_t)ZK_OP_error},
                                      {ZAB_INFORMANDACTIVATE, ZK_OP_check}};
    append_byte(b, 8);
    append_following(b, ZAB_DIFF, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0));
    append_clients(b);
    for (size_t i = 0; i < ARRAY_LEN(txns); i++) {
        size_t at = b->len + 1;
        append_proposal(b);
        memcpy(b->data + at, txns[i], sizeof(txns[i]));
    }
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_PERSIST, 0));
    write_seed("ensemble", "observing", b);
}

/* It follows, loses its leader before a proposal is committed, and follows again. */
static void write_following(struct buf *b, enum zab_packet_type sync, uint8_t zxid,
                            const char *name)
{
    append_byte(b, 0);
    append_following(b, ZAB_DIFF, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0));
    append_clients(b);
    append_proposal(b);
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_PERSIST, 0));
    append_byte(b, FUZZ_STEP(FUZZ_ENSEMBLE_UNLINK, 3));
    append_following(b, sync, zxid);
    append_clients(b);
    write_seed("ensemble", name, b);
}

void write_ensemble_seeds(struct buf *b)
{
    write_leading(b);
    write_observing(b);
    write_following(b, ZAB_DIFF, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "diff");
    write_following(b, ZAB_TRUNC, FUZZ_ZXID(FUZZ_ZXID_LOGGED, -1), "trunc");
    write_following(b, ZAB_SNAP, FUZZ_ZXID(FUZZ_ZXID_LOGGED, 0), "snap");
}
