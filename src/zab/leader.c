/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The leader up to the point where it serves, and its clock (Leader, LearnerHandler).
 *
 * Discovery: learners tell the epochs that they accepted; with a quorum of them the leader takes
 * the next one, makes it durable, and tells it. Learners acknowledge it with what their history
 * is; none of the quorum may be ahead of the leader's. With a quorum of these the epoch becomes
 * the leader's current one, and each learner is synchronised. The sets only grow: what a server
 * promised stays promised when its connection is lost. */
#include "internal.h"

static int64_t after_ticks(const struct zab *z, int ticks)
{
    return z->now_ms + (int64_t)ticks * z->tick_ms;
}

/* ---- Learners ---- */

struct zab_learners zab_learners(const struct zab *z)
{
    struct zab_learners all = {.n = z->state == ZAB_LEADING ? z->leader.n_learners : 0};
    for (size_t i = 0; i < all.n; i++) {
        const struct learner *l = &z->leader.learners[i];
        if (l->step == LEARNER_READY)
            (*(l->observer ? &all.ready_observers : &all.ready_followers))++;
    }
    return all;
}

struct learner *leader_find(struct zab *z, uint64_t conn)
{
    struct leader *ld = &z->leader;
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (ld->learners[i].conn == conn)
            return &ld->learners[i];
    }
    return NULL;
}

static void forget(struct zab *z, struct learner *l)
{
    struct leader *ld = &z->leader;
    struct learner *end = ld->learners + ld->n_learners--;
    memmove(l, l + 1, (size_t)(end - l - 1) * sizeof(*l));
}

void leader_reject(struct zab *z, struct learner *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fx_vlog(z, LOG_LEVEL_WARN, fmt, ap);
    va_end(ap);
    fx_add(z, ZAB_FX_CLOSE_LEARNER)->conn = l->conn;
    forget(z, l);
}

/* Of those that are the least far the oldest gives way. Never one that is in sync: there is one of
 * each server at most. */
static void make_place(struct zab *z)
{
    struct leader *ld = &z->leader;
    struct learner *worst = &ld->learners[0];
    for (size_t i = 1; i < ld->n_learners; i++) {
        if (ld->learners[i].step < worst->step)
            worst = &ld->learners[i];
    }
    leader_reject(z, worst, "%d learners are connected: one that is not in sync is closed",
                  LEARNERS_MAX);
}

void leader_learner_opened(struct zab *z, uint64_t conn)
{
    struct leader *ld = &z->leader;
    ensure(conn != 0 && !leader_find(z, conn));
    if (ld->n_learners == LEARNERS_MAX)
        make_place(z);
    ld->learners[ld->n_learners++] = (struct learner){
        .conn = conn,
        .sid = -1,
        .deadline_ms = after_ticks(z, z->init_limit),
    };
}

void leader_learner_closed(struct zab *z, uint64_t conn)
{
    struct learner *l = leader_find(z, conn);
    if (!l)
        return;
    fx_log(z, LOG_LEVEL_INFO, "learner %lld has closed its connection", (long long)l->sid);
    forget(z, l);
}

/* ---- Discovery ---- */

static void send_epoch(struct zab *z, struct learner *l)
{
    size_t at = z->fx->bytes.len;
    jute_write_int(&z->fx->bytes, LEARNER_PROTOCOL);
    trailer_write(&z->fx->bytes, z->leader.id, z->leader.id_is_new);
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND);
    e->conn = l->conn;
    e->packet_type = ZAB_LEADERINFO;
    e->zxid = zxid_make(z->leader.epoch, 0);
    fx_set_data(z, e, at);
    l->step = LEARNER_ACKING_EPOCH;
    l->deadline_ms = after_ticks(z, z->init_limit);
}

static void named(struct zab *z)
{
    z->leader.step = LEADER_ACCEPTING;
    zab_save(z, SAVING_ACCEPTED, z->leader.epoch);
}

static void try_epoch(struct zab *z)
{
    struct leader *ld = &z->leader;
    if (ld->step != LEADER_COLLECTING || !quorum_contains(&z->quorum, ld->connecting))
        return;
    identity_choose(z);
    ld->step = LEADER_NAMING;
    if (!identity_is_first(ld->id_is_new, ld->epoch) || !identity_propose(z, ld->id))
        named(z);
}

static void joined(struct zab *z)
{
    z->leader.step = LEADER_ADOPTING;
    zab_save(z, SAVING_CURRENT, z->leader.epoch);
}

static void try_election(struct zab *z)
{
    struct leader *ld = &z->leader;
    if (ld->step != LEADER_ELECTING || !quorum_contains(&z->quorum, ld->electing))
        return;
    ld->step = LEADER_JOINING;
    if (!ld->id_is_new || !identity_propose(z, ld->id))
        joined(z);
}

void leader_begin(struct zab *z)
{
    struct leader *ld = &z->leader;
    int64_t last = MAX(z->accepted_epoch, z->epoch_seen);
    *ld = (struct leader){
        .epoch = MIN(last, EPOCH_MAX) + 1,
        .connecting = quorum_bit(&z->quorum, z->sid),
        .ours = quorum_bit(&z->quorum, z->sid),
        .deadline_ms = after_ticks(z, z->init_limit),
    };
    if (last >= EPOCH_MAX) {
        zab_look(z, "epoch numbers are exhausted after %lld", (long long)last);
        return;
    }
    try_epoch(z);
}

void leader_end(struct zab *z)
{
    struct leader *ld = &z->leader;
    for (size_t i = 0; i < ld->n_learners; i++)
        fx_add(z, ZAB_FX_CLOSE_LEARNER)->conn = ld->learners[i].conn;
    ld->n_learners = 0;
}

/* The epoch is acceptedEpoch: tell it to all that wait. */
static void accepted(struct zab *z)
{
    struct leader *ld = &z->leader;
    ld->step = LEADER_ELECTING;
    ld->deadline_ms = after_ticks(z, z->init_limit);
    ld->electing = quorum_bit(&z->quorum, z->sid);
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (ld->learners[i].step == LEARNER_WAIT_EPOCH)
            send_epoch(z, &ld->learners[i]);
    }
    try_election(z);
}

/* The epoch is currentEpoch: our history is the initial one of it. Synchronise all that wait. */
static void adopted(struct zab *z)
{
    struct leader *ld = &z->leader;
    ld->step = LEADER_SYNCING;
    ld->deadline_ms = after_ticks(z, z->init_limit);
    ld->synced = quorum_bit(&z->quorum, z->sid);
    ld->last_proposed = zxid_make(ld->epoch, 0);
    zab_enter(z, ZAB_LEADING, ZAB_SYNCHRONIZATION);
    if (z->tree_zxid < z->logged)
        fx_add(z, ZAB_FX_APPLY_ALL)->zxid = z->logged;
    z->tree_zxid = z->logged;
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (ld->learners[i].step == LEARNER_WAIT_ELECTION)
            leader_sync(z, &ld->learners[i]);
    }
    leader_try_establish(z);
}

void leader_saved(struct zab *z)
{
    switch (z->leader.step) {
    case LEADER_NAMING:
        named(z);
        break;
    case LEADER_ACCEPTING:
        accepted(z);
        break;
    case LEADER_JOINING:
        joined(z);
        break;
    case LEADER_ADOPTING:
        adopted(z);
        break;
    default: /* the id, which nothing waits for */
        break;
    }
}

/* A connection takes the place of those of its server that are no farther than it: who only says
 * whose it is replaces none, who has acknowledged the epoch those that synchronise, and who has
 * acknowledged NEWLEADER all. */
struct learner *leader_replace_older(struct zab *z, struct learner *l)
{
    struct leader *ld = &z->leader;
    uint64_t conn = l->conn;
    bool proven = l->step >= LEARNER_SYNCED;
    for (size_t i = ld->n_learners; i-- > 0;) {
        struct learner *other = &ld->learners[i];
        if (other->conn == conn || other->sid != l->sid ||
            (!proven && other->step >= LEARNER_SYNCED))
            continue;
        leader_reject(z, other, "learner %lld has reconnected", (long long)l->sid);
        l = leader_find(z, conn);
    }
    return l;
}

/* False: the learner was rejected. */
static bool check_identity(struct zab *z, struct learner *l, struct trailer t)
{
    if (t.ensemble_id != 0 && z->identity.proposed != t.ensemble_id &&
        z->identity.id != t.ensemble_id) {
        identity_say_foreign(z, l->sid, t.ensemble_id);
        leader_reject(z, l, "learner %lld belongs to another ensemble", (long long)l->sid);
        return false;
    }
    if (t.is_ours)
        z->leader.ours |= l->bit;
    return true;
}

/* The version that ZooKeeper's first leader gives a configuration has counter 0; a later one is
 * that of a reconfiguration, of which we know nothing. */
static bool check_config_version(struct zab *z, struct learner *l,
                                 const struct zk_learner_info *info)
{
    if (info->config_version <= z->config_version)
        return true;
    if (zxid_counter(info->config_version) == 0) {
        z->config_version = info->config_version;
        return true;
    }
    leader_reject(z, l,
                  "learner %lld has configuration 0x%llx, ours is 0x%llx: the ensemble was "
                  "reconfigured without this server; make its server lines those of the others",
                  (long long)info->server_id, (long long)info->config_version,
                  (long long)z->config_version);
    return false;
}

static void handle_info(struct zab *z, struct learner *l, const struct zk_quorum_packet *p)
{
    struct leader *ld = &z->leader;
    struct jute_reader r = jute_reader_of(p->data);
    struct zk_learner_info info;
    zk_learner_info_read(&r, &info);
    int64_t epoch = zxid_epoch(p->zxid);
    if ((p->type != ZAB_FOLLOWERINFO && p->type != ZAB_OBSERVERINFO) || !jute_ok(&r) ||
        info.protocol_version < LEARNER_PROTOCOL || epoch >= EPOCH_MAX) {
        leader_reject(z, l, "a learner's first packet (type %d) is not one of ours", p->type);
        return;
    }
    if (quorum_find(&z->quorum, info.server_id) < 0 || info.server_id == z->sid) {
        leader_reject(z, l, "a learner says that it is server %lld: not in the configuration",
                      (long long)info.server_id);
        return;
    }
    if (epoch > z->accepted_epoch + EPOCH_AHEAD_MAX) {
        leader_reject(
            z, l,
            "learner %lld says that it has accepted epoch %lld; ours is %lld: that is not "
            "believed",
            (long long)info.server_id, (long long)epoch, (long long)z->accepted_epoch);
        return;
    }
    if (!check_config_version(z, l, &info))
        return;
    l->sid = info.server_id;
    l->observer = p->type == ZAB_OBSERVERINFO;
    l->bit = l->observer ? 0 : quorum_bit(&z->quorum, l->sid) & z->quorum.voters;
    if (!check_identity(z, l, trailer_read(&r)))
        return;
    /* One that once accepted the epoch of a leader that was never established, and now meets an
     * established one of an earlier epoch, stays away until the next election, as it does from
     * ZooKeeper's: a number that somebody says ends no leader that a quorum follows. */
    z->epoch_seen = MAX(z->epoch_seen, epoch);
    l->step = LEARNER_WAIT_EPOCH;
    if (ld->step >= LEADER_ELECTING) {
        send_epoch(z, l);
    } else if (ld->step == LEADER_COLLECTING) {
        ld->epoch = MAX(ld->epoch, epoch + 1);
        ld->connecting |= l->bit;
        try_epoch(z);
    }
}

/* An ACKEPOCH with epoch -1 promises nothing: the learner had accepted the epoch before. */
static void handle_ack_epoch(struct zab *z, struct learner *l, const struct zk_quorum_packet *p)
{
    struct leader *ld = &z->leader;
    struct jute_reader r = jute_reader_of(p->data);
    int64_t epoch = jute_read_int(&r);
    if (p->type != ZAB_ACKEPOCH || !jute_ok(&r)) {
        leader_reject(z, l, "learner %lld answers LEADERINFO with packet type %d",
                      (long long)l->sid, p->type);
        return;
    }
    int64_t own = zab_history_epoch(z);
    bool says_zxid = p->zxid != ZXID_WANTS_TREE; /* which is more than all of epoch 0 */
    bool ahead = epoch > own || (epoch == own && says_zxid && p->zxid > z->logged);
    if (ld->step == LEADER_ELECTING && epoch != -1 && ahead) {
        leader_reject(z, l, "learner %lld is ahead of us: epoch %lld, last zxid 0x%llx",
                      (long long)l->sid, (long long)epoch, (long long)p->zxid);
        return;
    }
    l->last_zxid = p->zxid;
    l->step = LEARNER_WAIT_ELECTION;
    l = leader_replace_older(z, l);
    if (ld->step >= LEADER_SYNCING) {
        leader_sync(z, l);
    } else if (epoch != -1 && p->zxid != -1) {
        ld->electing |= l->bit;
        try_election(z);
    }
}

/* ---- PINGs ---- */

static void confirm_rounds(struct zab *z)
{
    struct leader *ld = &z->leader;
    int64_t best = ld->confirmed_round;
    for (size_t i = 0; i < ld->n_learners; i++) {
        int64_t round = ld->learners[i].answered_round;
        uint64_t set = quorum_bit(&z->quorum, z->sid);
        for (size_t j = 0; j < ld->n_learners; j++) {
            if (ld->learners[j].answered_round >= round)
                set |= ld->learners[j].bit;
        }
        if (round > best && quorum_contains(&z->quorum, set))
            best = round;
    }
    if (quorum_contains(&z->quorum, quorum_bit(&z->quorum, z->sid)))
        best = ld->ping_round;
    if (best > ld->confirmed_round) {
        ld->confirmed_round = best;
        fx_add(z, ZAB_FX_CONFIRMED);
    }
}

static void ping_answered(struct zab *z, struct learner *l, int64_t round)
{
    if (round <= l->answered_round || round > z->leader.ping_round)
        return;
    l->answered_round = round;
    confirm_rounds(z);
}

static void begin_round(struct zab *z)
{
    struct leader *ld = &z->leader;
    ld->ping_round++;
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (learner_is_forwarding(&ld->learners[i]))
            fx_send(z, ld->learners[i].conn, ZAB_PING, ld->ping_round);
    }
    confirm_rounds(z);
}

void leader_confirm(struct zab *z)
{
    if (z->state == ZAB_LEADING && z->leader.step == LEADER_SERVING)
        begin_round(z);
}

/* As long as it is sent, the driver sees to it that it comes on; then the learner's time begins. */
void leader_tree_sent(struct zab *z, uint64_t conn)
{
    struct learner *l = z->state == ZAB_LEADING ? leader_find(z, conn) : NULL;
    if (l && l->step == LEARNER_SYNCING)
        l->deadline_ms = after_ticks(z, z->init_limit);
}

bool zab_is_quorum(const struct zab *z, const uint64_t *conns, size_t n, bool with_self)
{
    const struct leader *ld = &z->leader;
    uint64_t set = with_self ? quorum_bit(&z->quorum, z->sid) : 0;
    for (size_t i = 0; i < n && z->state == ZAB_LEADING; i++) {
        for (size_t j = 0; j < ld->n_learners; j++)
            set |= ld->learners[j].conn == conns[i] ? ld->learners[j].bit : 0;
    }
    return quorum_contains(&z->quorum, set);
}

int64_t zab_ping_round(const struct zab *z)
{
    return z->leader.ping_round;
}

int64_t zab_confirmed_round(const struct zab *z)
{
    return z->leader.confirmed_round;
}

/* ---- Packets ---- */

static void deliver(struct zab *z, const struct learner *l, const struct zk_quorum_packet *p)
{
    struct zab_effect *e = fx_add(z, ZAB_FX_DELIVER);
    e->conn = l->conn;
    e->sid = l->sid;
    e->packet = p;
}

static void handle_ready(struct zab *z, struct learner *l, const struct zk_quorum_packet *p)
{
    switch (p->type) {
    case ZAB_ACK:
        leader_acked(z, l, p->zxid);
        break;
    case ZAB_PING:
        ping_answered(z, l, p->zxid);
        deliver(z, l, p);
        break;
    case ZAB_REQUEST:
    case ZAB_REVALIDATE:
    case ZAB_SYNC:
        deliver(z, l, p);
        break;
    default:
        leader_reject(z, l, "learner %lld sends packet type %d", (long long)l->sid, p->type);
    }
}

void leader_learner_packet(struct zab *z, uint64_t conn, const struct zk_quorum_packet *p)
{
    struct learner *l = leader_find(z, conn);
    if (!l)
        return;
    bool is_ack = p->type == ZAB_ACK;
    switch (l->step) {
    case LEARNER_NEW:
        handle_info(z, l, p);
        return;
    case LEARNER_ACKING_EPOCH:
        handle_ack_epoch(z, l, p);
        return;
    case LEARNER_SYNCING:
        if (p->type == ZAB_PING) { /* of a server of ours: it is at it */
            l->deadline_ms = after_ticks(z, z->init_limit);
            return;
        }
        if (is_ack && p->zxid == zxid_make(z->leader.epoch, 0)) {
            leader_newleader_acked(z, l);
            return;
        } /* fall through */
    case LEARNER_SYNCED:
        if (is_ack) {
            leader_acked(z, l, p->zxid);
            return;
        }
        break;
    case LEARNER_READY:
        l->heard_ms = z->now_ms;
        l->deadline_ms = after_ticks(z, z->sync_limit);
        handle_ready(z, l, p);
        return;
    default:
        break;
    }
    leader_reject(z, l, "learner %lld sends packet type %d, zxid 0x%llx, out of turn",
                  (long long)l->sid, p->type, (long long)p->zxid);
}

/* ---- Time ---- */

/* While a learner waits for us it has no deadline; ours is for all. */
static bool learner_is_late(const struct zab *z, const struct learner *l)
{
    bool waits = l->step == LEARNER_WAIT_EPOCH || l->step == LEARNER_WAIT_ELECTION ||
                 l->step == LEARNER_CHOOSING || l->step == LEARNER_SYNCED;
    bool silent = !waits && z->now_ms >= l->deadline_ms;
    bool no_ack = l->awaited_zxid != 0 &&
                  z->now_ms - l->awaited_since_ms >= (int64_t)z->sync_limit * z->tick_ms;
    return silent || no_ack;
}

static void reject_late(struct zab *z)
{
    struct leader *ld = &z->leader;
    for (size_t i = ld->n_learners; i-- > 0;) {
        struct learner *l = &ld->learners[i];
        if (learner_is_late(z, l))
            leader_reject(z, l, "learner %lld is too slow: nothing in time", (long long)l->sid);
    }
}

/* One that is being synchronised counts for initLimit: whatever time its tree then takes, others
 * are not to wait for it with a leader that has no quorum. */
static bool counts_as_present(const struct zab *z, const struct learner *l)
{
    return l->step >= LEARNER_SYNCED ||
           (l->step == LEARNER_SYNCING &&
            z->now_ms - l->chosen_ms < (int64_t)z->init_limit * z->tick_ms);
}

static bool has_synced_quorum(const struct zab *z)
{
    const struct leader *ld = &z->leader;
    uint64_t set = quorum_bit(&z->quorum, z->sid);
    for (size_t i = 0; i < ld->n_learners; i++)
        set |= counts_as_present(z, &ld->learners[i]) ? ld->learners[i].bit : 0;
    return quorum_contains(&z->quorum, set);
}

static void ping(struct zab *z)
{
    struct leader *ld = &z->leader;
    ld->next_ping_ms = z->now_ms + z->tick_ms / 2;
    ld->odd_ping = !ld->odd_ping;
    if (!ld->odd_ping && !has_synced_quorum(z)) {
        zab_look(z, "not enough learners follow");
        return;
    }
    begin_round(z);
}

/* A leader is held to what it asks of its learners: while something waits for its disk, that makes
 * progress within syncLimit. Alone it has nobody to give way to. */
static bool own_disk_is_late(struct zab *z)
{
    struct leader *ld = &z->leader;
    if (z->persisted == z->logged || z->persisted > ld->own_persisted ||
        quorum_contains(&z->quorum, quorum_bit(&z->quorum, z->sid))) {
        ld->own_persisted = z->persisted;
        ld->own_progress_ms = z->now_ms;
    }
    return z->now_ms - ld->own_progress_ms >= (int64_t)z->sync_limit * z->tick_ms;
}

void leader_tick(struct zab *z)
{
    struct leader *ld = &z->leader;
    reject_late(z);
    if (ld->step == LEADER_SERVING && own_disk_is_late(z))
        zab_look(z, "our own disk has taken nothing for %d ticks: another server is to lead",
                 z->sync_limit);
    else if (ld->step == LEADER_SERVING && z->now_ms >= ld->next_ping_ms)
        ping(z);
    else if (ld->step != LEADER_SERVING && z->now_ms >= ld->deadline_ms)
        zab_look(z, "no quorum of learners within initLimit, %d ticks", z->init_limit);
}
