/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The replica as the driver of the consensus core (zab.h): what happens to the node becomes an
 * event of the core, and the core's effects become the node's or are carried out here.
 *
 * An effect can cause an event at once (a sync is chosen, a proposal is logged): such events wait
 * until the list of effects is done. */
#include "internal.h"

#include <stdlib.h>

static void carry_out(struct node *n, const struct zab_effect *fx);
static void settle_waiting_links(struct node *n);

static void run(struct node *n, const struct zab_event *event)
{
    struct zab_event ev = *event;
    ev.now_ms = n->now_ms;
    zab_step(n->zab, &ev, &n->zab_fx);
    for (size_t i = 0; i < n->zab_fx.n; i++)
        carry_out(n, &n->zab_fx.list[i]);
}

/* Events with borrowed bytes only from outside of the core's effects. */
static void tell(struct node *n, const struct zab_event *event)
{
    if (n->in_zab) {
        ensure(!event->packet && event->data.len <= 0);
        buf_append(&n->zab_later, event, sizeof(*event));
        return;
    }
    n->in_zab = true;
    run(n, event);
    for (size_t pos = 0; pos < n->zab_later.len; pos += sizeof(*event)) {
        struct zab_event later;
        memcpy(&later, n->zab_later.data + pos, sizeof(later));
        run(n, &later);
    }
    buf_reset(&n->zab_later);
    n->in_zab = false;
    if (n->state_is_new) {
        n->state_is_new = false;
        settle_waiting_links(n);
    }
}

void ensemble_tell(struct node *n, enum zab_event_type type, int64_t zxid)
{
    tell(n, &(struct zab_event){.type = type, .zxid = zxid});
}

static void tell_type(struct node *n, enum zab_event_type type)
{
    tell(n, &(struct zab_event){.type = type});
}

/* ---- To serve or not ---- */

static void start_serving(struct node *n, int64_t epoch)
{
    n->serving = true;
    n->serving_since_ms = n->now_ms;
    if (n->config.history.loss_accepted)
        node_save_number(n, "acceptedLoss", 0); /* it was for this once */
    n->config.history.loss_accepted = false;
    n->last_committed = MAX(n->last_committed, zxid_make(epoch, 0));
    n->last_proposed = MAX(n->last_proposed, n->last_committed);
    n->logged = n->last_proposed;
    tracker_begin_era(n);
}

/* What was proposed here and not yet told to the core never was. */
static void stop_serving(struct node *n)
{
    n->serving = n->read_only = false;
    n->proposing = true;
    LIST_FOR_EACH_SAFE (c, &n->conns, struct node_conn, link)
        conn_close(n, c);
    rings_drop(n);
    change_forget(n, INT64_MAX);
    forward_stop(n);
    if (n->state == ZAB_LEADING)
        history_drop_open(n);
    n->last_proposed = n->logged;
}

static void state_changed(struct node *n, const struct zab_effect *fx)
{
    if (n->serving || n->read_only)
        stop_serving(n);
    if (n->state != ZAB_LOOKING)
        n->looking_since_ms = n->now_ms;
    n->state = fx->state;
    n->state_is_new = true;
    if (fx->phase == ZAB_BROADCAST)
        start_serving(n, fx->epoch);
}

/* ---- The log ---- */

static void append(struct node *n, int64_t zxid, struct slice txn)
{
    struct node_batch *b = history_open(n);
    if (b->entries.len == 0)
        b->first_zxid = zxid;
    txn_entry_append(&b->entries, txn);
    b->last_zxid = zxid;
    n->last_proposed = n->logged = zxid;
    if (n->serving)
        proposal_push(n, zxid, forward_proposed(n, zxid, txn));
}

/* On the leader: what was proposed since the last flush. */
void ensemble_logged(struct node *n)
{
    while (n->logged < n->last_proposed)
        tell(n, &(struct zab_event){.type = ZAB_EV_LOGGED, .zxid = ++n->logged});
}

void ensemble_confirm(struct node *n)
{
    n->confirm = false;
    tell_type(n, ZAB_EV_CONFIRM);
}

void ensemble_persisted(struct node *n)
{
    tell(n, &(struct zab_event){.type = ZAB_EV_PERSISTED, .zxid = n->persisted});
}

static void decide(struct node *n, int64_t zxid)
{
    n->decided = MAX(n->decided, zxid);
    commit_ready(n);
    if (n->state == ZAB_LEADING && n->serving)
        forward_answer_waits(n);
}

/* ---- Learners ---- */

static void send_txn(struct node *n, struct node_link *l, int64_t zxid, struct slice txn,
                     bool commit)
{
    link_send(n, l, ZAB_PROPOSAL, zxid, txn);
    if (commit)
        link_send(n, l, ZAB_COMMIT, zxid, SLICE_NULL);
}

static void send_range(struct node *n, struct node_link *l, int64_t after, int64_t to, bool commit)
{
    struct slice txn;
    int64_t zxid;
    if (l->log_read) {
        size_t pos = 0;
        while (txn_batch_next(&l->log_read->entries, &pos, &txn)) {
            zxid = txn_zxid(txn.data);
            if (zxid > after)
                send_txn(n, l, zxid, txn, commit);
        }
        after = MAX(after, l->log_read->to_zxid);
    }
    struct history_cursor at = history_after(n, after);
    while (history_read(n, &at, &txn, &zxid) && zxid <= to)
        send_txn(n, l, zxid, txn, commit);
}

/* A learner's log ends at `zxid`; `known` is the largest zxid of ours that is not larger, or -1. */
static void sync_chosen(struct node *n, uint64_t conn, int64_t zxid, int64_t known)
{
    struct zab_event ev = {
        .type = ZAB_EV_SYNC_CHOSEN, .conn = conn, .sync = ZAB_SYNC_SNAP, .zxid = known};
    if (known >= 0)
        ev.sync = ZAB_SYNC_TRUNC;
    if (known >= 0 && (known == zxid || zxid_counter(zxid) == 0)) {
        ev.sync = ZAB_SYNC_DIFF;
        ev.zxid = zxid;
    }
    struct node_link *l = link_find(n, conn);
    if (ev.sync == ZAB_SYNC_SNAP && l && tree_queue_enter(n, l))
        return;
    tell(n, &ev);
}

void ensemble_tree_turn(struct node *n, struct node_link *l)
{
    tell(n, &(struct zab_event){
                .type = ZAB_EV_SYNC_CHOSEN, .conn = l->id, .sync = ZAB_SYNC_SNAP, .zxid = -1});
}

/* How a learner whose log ends at `zxid` comes to the history that ends at `end`. */
static void choose_sync(struct node *n, uint64_t conn, int64_t zxid, int64_t end)
{
    struct node_link *l = link_find(n, conn);
    int64_t known = history_floor(n, MIN(zxid, end));
    if (known >= 0 || !l || !log_read_ask(n, l, zxid))
        sync_chosen(n, conn, zxid, known);
}

void ensemble_log_read(struct node *n, struct node_link *l)
{
    const struct node_log_read *r = l->log_read;
    /* What the log has from before its base is of another history: the base is the floor then. */
    sync_chosen(n, l->id, r->zxid, r->rc == 0 ? MAX(r->floor, n->log_base) : -1);
}

static void send_one(struct node *n, struct node_link *l, int32_t type, int64_t zxid)
{
    struct slice txn;
    bool there = history_find(n, zxid, &txn);
    ensure(there);
    link_send(n, l, type, zxid, txn);
}

static void to_learner(struct node *n, const struct zab_effect *fx)
{
    struct node_link *l = link_find(n, fx->conn);
    if (!l)
        return;
    switch (fx->type) {
    case ZAB_FX_SEND:
        buf_reset(&n->scratch);
        if (fx->packet_type == ZAB_PING)
            digest_tell(n, l, &n->scratch);
        link_send(n, l, fx->packet_type, fx->zxid,
                  n->scratch.len > 0 ? buf_slice(&n->scratch) : fx->data);
        if (fx->packet_type == ZAB_COMMIT)
            forward_answer_syncs(n, l, fx->zxid);
        break;
    case ZAB_FX_CLOSE_LEARNER:
        link_close(n, l);
        break;
    case ZAB_FX_SEND_HISTORY:
        send_range(n, l, fx->zxid, fx->to_zxid, true);
        break;
    case ZAB_FX_SEND_PENDING:
        send_range(n, l, fx->to_zxid, n->logged, false);
        break;
    case ZAB_FX_SEND_TREE:
        link_send_tree(n, l, fx->zxid);
        break;
    case ZAB_FX_PROPOSE:
        send_one(n, l, ZAB_PROPOSAL, fx->zxid);
        break;
    case ZAB_FX_INFORM:
        send_one(n, l, ZAB_INFORM, fx->zxid);
        forward_answer_syncs(n, l, fx->zxid);
        break;
    default:
        ensure(!"an effect on a learner");
    }
}

/* ---- Effects ---- */

static struct node_effect *effect(struct node *n, enum node_effect_type type)
{
    node_effect(n, type, NULL);
    return &n->fx->list[n->fx->n - 1];
}

static void notify(struct node *n, const struct zab_effect *fx)
{
    struct node_effect *out = effect(n, NODE_PEER_SEND);
    out->sid = fx->sid;
    out->data = (struct slice){(const uint8_t *)n->fx->text.len, fx->data.len};
    buf_append(&n->fx->text, fx->data.data, slice_size(fx->data));
}

static void close_leader(struct node *n)
{
    struct node_link *l = link_to_leader(n);
    if (l && l->load) {
        link_drop_tree(n, l);
        tell_type(n, ZAB_EV_TREE_FAILED);
    }
    if (l)
        link_close(n, l);
    effect(n, NODE_LEADER_CLOSE);
}

static void to_leader(struct node *n, const struct zab_effect *fx)
{
    struct node_link *l = link_to_leader(n);
    if (!l)
        return;
    switch (fx->type) {
    case ZAB_FX_SEND_LEADER:
        link_send(n, l, fx->packet_type, fx->zxid, fx->data);
        break;
    case ZAB_FX_NEED_TOUCHES:
        forward_touches(n, l, fx->zxid);
        break;
    case ZAB_FX_RECEIVE_TREE:
        link_receive_tree(n, l, fx->zxid);
        break;
    case ZAB_FX_TRUNCATE:
        link_hold(l, true);
        effect(n, NODE_TRUNCATE)->zxid = fx->zxid;
        break;
    default:
        ensure(!"an effect on the leader");
    }
}

static void learner_is_ready(struct node *n, uint64_t conn)
{
    struct node_link *l = link_find(n, conn);
    if (l)
        l->ready = true;
}

static void carry_out(struct node *n, const struct zab_effect *fx)
{
    switch (fx->type) {
    case ZAB_FX_NOTIFY:
        notify(n, fx);
        break;
    case ZAB_FX_CONNECT:
        effect(n, NODE_LEADER_CONNECT)->sid = fx->sid;
        break;
    case ZAB_FX_CLOSE_LEADER:
        close_leader(n);
        break;
    case ZAB_FX_SEND_LEADER:
    case ZAB_FX_NEED_TOUCHES:
    case ZAB_FX_RECEIVE_TREE:
    case ZAB_FX_TRUNCATE:
        to_leader(n, fx);
        break;
    case ZAB_FX_SAVE_ACCEPTED_EPOCH:
        node_save_for_core(n, "acceptedEpoch", fx->value);
        break;
    case ZAB_FX_SAVE_CURRENT_EPOCH:
        node_save_for_core(n, "currentEpoch", fx->value);
        break;
    case ZAB_FX_SAVE_PROPOSED_ID:
        node_save_for_core(n, "ensembleIdProposed", fx->value);
        break;
    case ZAB_FX_SAVE_ENSEMBLE_ID:
        node_save_for_core(n, "ensembleId", fx->value);
        break;
    case ZAB_FX_APPLY_ALL:
    case ZAB_FX_COMMIT:
        decide(n, fx->zxid);
        break;
    case ZAB_FX_CHOOSE_SYNC:
        choose_sync(n, fx->conn, fx->zxid, fx->to_zxid);
        break;
    case ZAB_FX_APPEND:
        append(n, fx->zxid, fx->data);
        break;
    case ZAB_FX_STATE:
        state_changed(n, fx);
        break;
    case ZAB_FX_DELIVER:
        forward_deliver(n, fx->conn, fx->packet);
        break;
    case ZAB_FX_NEW_EPOCH:
        n->proposing = false;
        break;
    case ZAB_FX_CONFIRMED:
        forward_confirmed(n);
        break;
    case ZAB_FX_LEARNER_READY:
        node_log(n, LOG_LEVEL_INFO, "server %lld is in sync", (long long)fx->sid);
        learner_is_ready(n, fx->conn);
        break;
    case ZAB_FX_LOG:
        node_log(n, fx->level, "%.*s", SLICE_ARG(fx->data));
        break;
    default:
        to_learner(n, fx);
        break;
    }
}

/* ---- Events ---- */

static int64_t init_limit_ms(const struct node *n)
{
    return (int64_t)n->config.ensemble->init_limit * n->config.ensemble->tick_ms;
}

/* The core waits for a tree without a limit: the limit is here, on the time without news of it. */
static void check_tree(struct node *n)
{
    struct node_link *l = link_to_leader(n);
    int64_t limit_ms = init_limit_ms(n);
    if (l && l->load && n->now_ms - l->heard_ms > limit_ms) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, nothing more of the leader's tree in %lld ms",
                 l->address, (long long)limit_ms);
        ensemble_link_failed(n, l);
    }
}

/* Who waits to learn from us asks again, or is no learner. */
static void check_waiting_links(struct node *n)
{
    LIST_FOR_EACH_SAFE (l, &n->links, struct node_link, link) {
        if (l->waiting && n->now_ms - l->heard_ms > init_limit_ms(n))
            link_close(n, l);
    }
}

static void begin_read_only(struct node *n)
{
    int64_t after_ms = MAX(READ_ONLY_AFTER_MS, n->config.tick_ms);
    if (!n->config.read_only_mode || n->read_only || n->state != ZAB_LOOKING ||
        n->now_ms - n->looking_since_ms < after_ms)
        return;
    n->read_only = true;
    node_log(n, LOG_LEVEL_WARN, "no quorum: read-only until there is one (readonlymode.enabled)");
}

/* Its tree is not the leader's, though it has applied the same transactions: the leader learns that
 * with the next PING, and finds out which of the two a quorum agrees with. */
static void say_if_diverged(struct node *n)
{
    if (!n->has_diverged)
        return;
    n->has_diverged = false;
    if (!n->serving || n->state == ZAB_LEADING)
        return;
    n->n_divergences++;
    node_log(
        n, LOG_LEVEL_ERROR,
        "this server's tree differs from the leader's (found at zxid 0x%llx); the leader decides "
        "which of them a quorum agrees with. Please report this as a bug",
        (unsigned long long)n->last_committed);
}

/* The leader says so, with a quorum. Where its tree does not help it is of no use to take it all
 * the time. */
void ensemble_repair(struct node *n)
{
    if (!n->serving || n->next_repair_ms > n->now_ms)
        return;
    n->next_repair_ms = n->now_ms + n->config.limits.repair_every_ms;
    tell_type(n, ZAB_EV_DIVERGED);
}

/* On the leader: a quorum of learners agrees on something else. */
void ensemble_has_diverged(struct node *n)
{
    n->n_divergences++;
    node_log(
        n, LOG_LEVEL_ERROR,
        "this server's tree differs from that of a quorum (found at zxid 0x%llx): it gives way "
        "to another leader. Please report this as a bug",
        (unsigned long long)n->last_committed);
    tell_type(n, ZAB_EV_DIVERGED);
}

void ensemble_tree_sent(struct node *n, struct node_link *l)
{
    tell(n, &(struct zab_event){.type = ZAB_EV_TREE_SENT, .conn = l->id});
}

void ensemble_tick(struct node *n)
{
    begin_read_only(n);
    say_if_diverged(n);
    check_tree(n);
    check_waiting_links(n);
    tell_type(n, ZAB_EV_TICK);
}

void ensemble_send_trees(struct node *n)
{
    tree_queue_run(n);
    tell_type(n, ZAB_EV_TREES);
}

void ensemble_peer(struct node *n, const struct node_event *event)
{
    bool up = event->type == NODE_PEER_UP;
    tell(n, &(struct zab_event){.type = up ? ZAB_EV_PEER_UP : ZAB_EV_NOTIFICATION,
                                .sid = event->sid,
                                .data = up ? SLICE_EMPTY : event->data});
}

/* A learner may know who leads a little earlier than the leader itself: it waits for that. */
void ensemble_link_opened(struct node *n, struct node_link *l)
{
    if (l->to_leader)
        tell_type(n, ZAB_EV_LEADER_OPENED);
    else if (n->state == ZAB_LEADING)
        tell(n, &(struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = l->id});
    else if (n->state == ZAB_LOOKING)
        l->waiting = l->held = true;
    else
        link_close(n, l);
}

/* It leads now, or another does. */
static void settle_waiting_links(struct node *n)
{
    LIST_FOR_EACH_SAFE (l, &n->links, struct node_link, link) {
        if (!l->waiting || l->closing || n->state == ZAB_LOOKING)
            continue;
        l->waiting = l->held = false;
        ensemble_link_opened(n, l);
        link_take(n, l);
    }
}

/* A transaction from the leader must be one that can be applied. */
static bool is_good(const struct zk_quorum_packet *p)
{
    struct jute_reader r = jute_reader_of(p->data);
    struct zk_txn_header h;
    if (p->type == ZAB_INFORMANDACTIVATE)
        (void)jute_read_long(&r);
    else if (p->type != ZAB_PROPOSAL && p->type != ZAB_INFORM)
        return true;
    zk_txn_header_read(&r, &h);
    return jute_ok(&r) && tree_check_txn(&h, jute_read_rest(&r));
}

void ensemble_packet(struct node *n, struct node_link *l, const struct zk_quorum_packet *p)
{
    if (l->to_leader && !is_good(p)) {
        node_log(n, LOG_LEVEL_ERROR, "%s: closed, transaction 0x%llx of the leader cannot be read",
                 l->address, (unsigned long long)p->zxid);
        ensemble_link_failed(n, l);
        return;
    }
    if (l->to_leader && p->type == ZAB_PING)
        digest_told(n, l, p->data);
    tell(n, &(struct zab_event){.type = l->to_leader ? ZAB_EV_LEADER_PACKET : ZAB_EV_LEARNER_PACKET,
                                .conn = l->id,
                                .packet = p});
}

void ensemble_link_closed(struct node *n, struct node_link *l)
{
    if (l->waiting)
        return;
    bool receiving = l->load != NULL;
    link_drop_tree(n, l);
    if (!l->to_leader)
        tell(n, &(struct zab_event){.type = ZAB_EV_LEARNER_CLOSED, .conn = l->id});
    else
        tell_type(n, ZAB_EV_LEADER_CLOSED);
    if (receiving)
        tell_type(n, ZAB_EV_TREE_FAILED);
}

/* It is of no use any more. */
void ensemble_link_failed(struct node *n, struct node_link *l)
{
    link_close(n, l);
    ensemble_link_closed(n, l);
}

void ensemble_tree_failed(struct node *n)
{
    tell_type(n, ZAB_EV_TREE_FAILED);
}

void ensemble_epoch_saved(struct node *n)
{
    tell_type(n, ZAB_EV_SAVED);
}
