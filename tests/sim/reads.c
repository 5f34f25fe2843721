/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the log for a learner that is behind, while it is appended to. */
#include "sim.h"

#include <errno.h>

static struct node_event event_of(const struct log_reading *r)
{
    return (struct node_event){.type = NODE_LOG_READ, .log_read = r->what};
}

static void read_log(struct world *w, void *arg)
{
    struct server *s = arg;
    struct err e = {0};
    for (size_t i = 0; s->up && i < s->n_readings; i++) {
        struct node_log_read *r = s->readings[i].what;
        if (s->readings[i].done)
            continue;
        r->rc =
            txnlog_copy(&s->store, r->zxid, r->to_zxid, r->bytes_max, &r->entries, &r->floor, &e);
        s->readings[i].done = true;
        sim_trace(w, "%s: reads its log from 0x%" PRIx64 " to 0x%" PRIx64 "%s%s", s->name,
                  (uint64_t)r->zxid, (uint64_t)r->to_zxid, r->rc < 0 ? ": " : "",
                  r->rc < 0 ? e.text : "");
        if (logger_is_over(w, s, 0, false, &e))
            return;
    }
    server_turn_soon(w, s);
}

void reads_begin(struct world *w, struct server *s, struct node_log_read *r)
{
    ROOM_FOR_ONE(s->readings, s->n_readings, s->cap_readings);
    s->readings[s->n_readings++] = (struct log_reading){.what = r};
    sim_at(w, s->faults.slow_ms + between(w, 0, 20), read_log, s);
}

/* In its turn the replica gets what was read. */
void reads_take(struct world *w, struct server *s)
{
    while (s->up && s->n_readings > 0 && s->readings[0].done) {
        struct node_event ev = event_of(&s->readings[0]);
        s->n_readings--;
        memmove(s->readings, s->readings + 1, s->n_readings * sizeof(s->readings[0]));
        server_step(w, s, ev);
    }
}

/* The process ends: the node's memory goes back to it. */
void reads_died(struct world *w, struct server *s)
{
    for (size_t i = 0; i < s->n_readings; i++) {
        struct node_event ev = event_of(&s->readings[i]);
        ev.now_ms = server_clock(w, s);
        s->readings[i].what->rc = -ECANCELED;
        node_step(s->node, &ev, &s->fx);
    }
    s->n_readings = 0;
    s->fx.n = 0;
}
