/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Four-letter words: four bytes instead of a first frame, answered with text and the end of the
 * connection. The formats are ZooKeeper's, since programs parse them. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

static const char *mode_name(const struct node *n)
{
    static const char *const names[] = {[ZAB_LOOKING] = "read-only",
                                        [ZAB_FOLLOWING] = "follower",
                                        [ZAB_LEADING] = "leader",
                                        [ZAB_OBSERVING] = "observer"};
    return n->zab ? names[n->state] : "standalone";
}

static void say_version(struct node *n, struct buf *out)
{
    buf_printf(out, "Zookeeper version: %s\n", n->config.version);
}

static double average_latency(const struct node *n)
{
    const struct node_stats *s = &n->stats;
    return s->n_latencies ? (double)s->total_latency_ms / (double)s->n_latencies : 0;
}

static void say_summary(struct node *n, struct buf *out)
{
    const struct node_stats *s = &n->stats;
    buf_printf(out,
               "Latency min/avg/max: %" PRId64 "/%.4g/%" PRId64 "\n"
               "Received: %" PRIu64 "\nSent: %" PRIu64 "\nConnections: %zu\nOutstanding: %zu\n"
               "Zxid: 0x%" PRIx64 "\nMode: %s\nNode count: %zu\n",
               MAX(s->min_latency_ms, 0), average_latency(n), s->max_latency_ms, s->received,
               s->sent, n->n_conns, n->outstanding, (uint64_t)n->last_committed, mode_name(n),
               tree_count(n->tree));
}

static void say_srvr(struct node *n, struct buf *out)
{
    say_version(n, out);
    say_summary(n, out);
}

static void say_conn_brief(const struct node_conn *c, struct buf *out)
{
    buf_printf(out, " /%s[%d](queued=%u,recved=%" PRIu64 ",sent=%" PRIu64, c->address,
               c->pub.paused ? 0 : 1, c->queue_len, c->stats.received, c->stats.sent);
}

static void say_stat(struct node *n, struct buf *out)
{
    say_version(n, out);
    buf_printf(out, "Clients:\n");
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        if (out->len > FOUR_LETTER_MAX)
            break;
        say_conn_brief(c, out);
        buf_printf(out, ")\n");
    }
    buf_printf(out, "\n");
    say_summary(n, out);
}

/* As ZooKeeper shortens them for cons. */
static const char *short_op_name(int32_t op)
{
    static const struct {
        int32_t op;
        const char *name;
    } names[] = {
        {ZK_OP_create, "CREA"},        {ZK_OP_create2, "CREA"},
        {ZK_OP_createTTL, "CREA"},     {ZK_OP_createContainer, "CREA"},
        {ZK_OP_delete, "DELE"},        {ZK_OP_exists, "EXIS"},
        {ZK_OP_getData, "GETD"},       {ZK_OP_setData, "SETD"},
        {ZK_OP_getACL, "GETA"},        {ZK_OP_setACL, "SETA"},
        {ZK_OP_getChildren, "GETC"},   {ZK_OP_getChildren2, "GETC"},
        {ZK_OP_sync, "SYNC"},          {ZK_OP_check, "CHEC"},
        {ZK_OP_multi, "MULT"},         {ZK_OP_multiRead, "MLTR"},
        {ZK_OP_reconfig, "RECO"},      {ZK_OP_closeSession, "CLOS"},
        {ZK_OP_setWatches, "SETW"},    {ZK_OP_setWatches2, "STW2"},
        {ZK_OP_addWatch, "ADDW"},      {ZK_OP_checkWatches, "CHKW"},
        {ZK_OP_removeWatches, "REMW"}, {ZK_OP_getEphemerals, "GETE"},
        {ZK_OP_whoAmI, "HOMI"},        {ZK_OP_getAllChildrenNumber, "GETACN"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i].op == op)
            return names[i].name;
    }
    return "NA";
}

static void say_conn_session(const struct node_conn *c, struct buf *out)
{
    const struct conn_stats *s = &c->stats;
    int64_t average = s->n_latencies ? s->total_latency_ms / (int64_t)s->n_latencies : 0;
    buf_printf(out, ",sid=0x%" PRIx64 ",lop=%s,est=%" PRId64 ",to=%d", (uint64_t)c->session->id,
               s->n_latencies ? short_op_name(s->last_op) : "NA", s->established_ms,
               (int)c->timeout_ms);
    if (s->last_cxid >= 0)
        buf_printf(out, ",lcxid=0x%x", (unsigned)s->last_cxid);
    buf_printf(out,
               ",lzxid=0x%" PRIx64 ",lresp=%" PRId64 ",llat=%" PRId64 ",minlat=%" PRId64
               ",avglat=%" PRId64 ",maxlat=%" PRId64,
               (uint64_t)s->last_zxid, s->last_response_ms, s->last_latency_ms,
               MAX(s->min_latency_ms, 0), average, s->max_latency_ms);
}

static void say_cons(struct node *n, struct buf *out)
{
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        if (out->len > FOUR_LETTER_MAX)
            break;
        say_conn_brief(c, out);
        if (c->session)
            say_conn_session(c, out);
        buf_printf(out, ")\n");
    }
    buf_printf(out, "\n");
}

/* The part of mntr that is about the ensemble. */
static void say_quorum(struct node *n, struct buf *out)
{
    struct zab_learners learners = zab_learners(n->zab);
    size_t syncs = 0;
    buf_printf(out, "zk_peer_state\t%s - %s\nzk_quorum_size\t%zu\n", zab_state_name(n->state),
               n->serving ? "broadcast" : "election", zab_quorum_size(n->zab));
    buf_printf(out, "zk_digest_mismatches_count\t%" PRIu64 "\n", n->n_divergences);
    if (n->state != ZAB_LEADING)
        return;
    LIST_FOR_EACH (l, &n->links, struct node_link, link)
        syncs += l->syncs.len / sizeof(struct sync_wait);
    buf_printf(out,
               "zk_learners\t%zu\nzk_synced_followers\t%zu\nzk_synced_non_voting_followers\t0\n"
               "zk_synced_observers\t%zu\nzk_pending_syncs\t%zu\nzk_leader_uptime\t%" PRId64 "\n",
               learners.n, learners.ready_followers, learners.ready_observers, syncs,
               n->now_ms - n->serving_since_ms);
}

static void say_mntr(struct node *n, struct buf *out)
{
    const struct node_stats *s = &n->stats;
    buf_printf(out,
               "zk_version\t%s\nzk_server_state\t%s\n"
               "zk_avg_latency\t%.4f\nzk_min_latency\t%" PRId64 "\nzk_max_latency\t%" PRId64 "\n"
               "zk_packets_received\t%" PRIu64 "\nzk_packets_sent\t%" PRIu64 "\n"
               "zk_num_alive_connections\t%zu\nzk_outstanding_requests\t%zu\n",
               n->config.version, mode_name(n), average_latency(n), MAX(s->min_latency_ms, 0),
               s->max_latency_ms, s->received, s->sent, n->n_conns, n->outstanding);
    buf_printf(out,
               "zk_znode_count\t%zu\nzk_watch_count\t%zu\nzk_ephemerals_count\t%zu\n"
               "zk_approximate_data_size\t%" PRIu64 "\nzk_global_sessions\t%zu\n"
               "zk_local_sessions\t0\nzk_open_file_descriptor_count\t%" PRId64 "\n"
               "zk_max_file_descriptor_count\t%" PRId64 "\nzk_uptime\t%" PRId64 "\n"
               "zk_max_turn_ms\t%" PRId64 "\n",
               tree_count(n->tree), n->watches.n_watches, tree_ephemeral_count(n->tree),
               tree_data_size(n->tree), n->sessions.count, n->gauges.open_fds, n->gauges.max_fds,
               n->now_ms - n->started_ms, s->max_turn_ms);
    if (n->zab)
        say_quorum(n, out);
}

static void say_ruok(struct node *n, struct buf *out)
{
    (void)n;
    buf_printf(out, "imok");
}

static void say_isro(struct node *n, struct buf *out)
{
    buf_printf(out, "%s", n->serving ? "rw" : n->read_only ? "ro" : "null");
}

static void say_conf(struct node *n, struct buf *out)
{
    buf_printf(out, "%s", n->config.conf_text);
}

static void say_envi(struct node *n, struct buf *out)
{
    buf_printf(out, "Environment:\nzookeeper.version=%s\n%s", n->config.version,
               n->config.envi_text);
}

static void say_wchs(struct node *n, struct buf *out)
{
    size_t watching = 0;
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link)
        watching += c->watcher.count > 0;
    buf_printf(out, "%zu connections watching %zu paths\nTotal watches:%zu\n", watching,
               n->watches.n_paths, n->watches.n_watches);
}

static void say_wchc(struct node *n, struct buf *out)
{
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        if (c->watcher.count == 0 || !c->session)
            continue;
        buf_printf(out, "0x%" PRIx64 "\n", (uint64_t)c->session->id);
        const struct watch *w = NULL;
        while (out->len <= FOUR_LETTER_MAX && (w = watcher_next(&c->watcher, w)) != NULL)
            buf_printf(out, "\t%.*s\n", SLICE_ARG(watch_path(w)));
    }
    buf_printf(out, "\n");
}

/* By the watch: the session that has it, under each of its paths. */
static void say_wchp(struct node *n, struct buf *out)
{
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        const struct watch *w = NULL;
        while (c->session && out->len <= FOUR_LETTER_MAX &&
               (w = watcher_next(&c->watcher, w)) != NULL)
            buf_printf(out, "%.*s\n\t0x%" PRIx64 "\n", SLICE_ARG(watch_path(w)),
                       (uint64_t)c->session->id);
    }
    buf_printf(out, "\n");
}

/* They need what zabd does not have: sizes of directories, trace masks, the sum over the tree. */
static void say_missing(struct node *n, struct buf *out)
{
    (void)n;
    buf_printf(out, "zabd does not have this command.\n");
}

static void say_ephemerals(struct node *n, const struct session *s, struct buf *out)
{
    const struct znode *z = tree_first_ephemeral(n->tree, s->id);
    if (z)
        buf_printf(out, "0x%" PRIx64 ":\n", (uint64_t)s->id);
    for (; z && out->len <= FOUR_LETTER_MAX; z = tree_next_ephemeral(n->tree, z)) {
        buf_append(out, "\t", 1);
        tree_path(n->tree, z, out);
        buf_append(out, "\n", 1);
    }
}

static void say_dump(struct node *n, struct buf *out)
{
    size_t with_ephemerals = 0;
    buf_printf(out, "SessionTracker dump:\nGlobal Sessions(%zu):\n", n->sessions.count);
    HMAP_FOR_EACH (s, &n->sessions, struct session, by_id) {
        with_ephemerals += tree_first_ephemeral(n->tree, s->id) != NULL;
        if (out->len <= FOUR_LETTER_MAX)
            buf_printf(out, "0x%" PRIx64 "\t%dms\n", (uint64_t)s->id, (int)s->timeout_ms);
    }
    buf_printf(out, "ephemeral nodes dump:\nSessions with Ephemerals (%zu):\n", with_ephemerals);
    HMAP_FOR_EACH (s, &n->sessions, struct session, by_id)
        say_ephemerals(n, s, out);
    buf_printf(out, "Connections dump:\n");
    say_cons(n, out);
}

static void say_srst(struct node *n, struct buf *out)
{
    n->stats = (struct node_stats){.min_latency_ms = -1};
    buf_printf(out, "Server stats reset.\n");
}

static void say_crst(struct node *n, struct buf *out)
{
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        int64_t established_ms = c->stats.established_ms;
        c->stats = (struct conn_stats){
            .established_ms = established_ms, .min_latency_ms = -1, .last_cxid = -1};
    }
    buf_printf(out, "Connection stats reset.\n");
}

static const struct four_letter {
    char word[5];
    bool always; /* also while there is no quorum */
    void (*say)(struct node *n, struct buf *out);
} words[] = {
    {"conf", true, say_conf},    {"cons", false, say_cons},   {"crst", false, say_crst},
    {"dirs", true, say_missing}, {"dump", false, say_dump},   {"envi", true, say_envi},
    {"gtmk", true, say_missing}, {"hash", true, say_missing}, {"isro", true, say_isro},
    {"mntr", false, say_mntr},   {"ruok", true, say_ruok},    {"srst", false, say_srst},
    {"srvr", false, say_srvr},   {"stat", false, say_stat},   {"stmk", true, say_missing},
    {"wchc", false, say_wchc},   {"wchp", false, say_wchp},   {"wchs", false, say_wchs},
};

/* Is the word in a list like "srvr, stat", or the list "*"? */
static bool is_in(const char *list, const char *word)
{
    while (*list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if ((len == 1 && *list == '*') || (len == 4 && memcmp(list, word, 4) == 0))
            return true;
        list += len;
    }
    return false;
}

/* Clients and zkServer.sh use two of them themselves: FourLetterCommands.isEnabled(). */
static bool is_allowed(const struct node *n, const char *word)
{
    return strcmp(word, "srvr") == 0 || (n->config.read_only_mode && strcmp(word, "isro") == 0) ||
           is_in(n->config.four_letter, word);
}

static void answer(struct node *n, const struct four_letter *w, struct buf *out)
{
    if (!is_allowed(n, w->word))
        buf_printf(out, "%s is not executed because it is not in the whitelist.\n", w->word);
    else if (!n->serving && !n->read_only && !w->always)
        buf_printf(out, "This ZooKeeper instance is not currently serving requests\n");
    else
        w->say(n, out);
}

/* True if the connection began with a four-letter word: it was answered and is being closed. */
bool four_letter_try(struct node *n, struct node_conn *c, const uint8_t word[4])
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (memcmp(words[i].word, word, 4) != 0)
            continue;
        answer(n, &words[i], &c->pub.out);
        conn_close(n, c);
        return true;
    }
    return false;
}
