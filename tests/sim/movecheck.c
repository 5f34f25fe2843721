/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told as a move must have been one, or look like one to whoever follows events and takes
 * what he has of the old name for the new one: a name was removed, and the other made or replaced,
 * by one and the same transaction; or what the new name has, the old one had. Only last names are
 * compared: directories above may have been renamed since. What a directory is taken for is not
 * checked: where no zxid says more, equal numbers of names and bytes have to do. */
#include "mountpoint.h"

struct move {
    char from[MODEL_PATH_MAX], to[MODEL_PATH_MAX]; /* last names */
};

struct state {
    char name[MODEL_PATH_MAX];
    uint64_t hash; /* of the data that it had */
};

struct movecheck {
    struct move *moves; /* that were committed */
    size_t n, cap;
    struct state *states;
    size_t n_states, cap_states;
};

void movecheck_open(struct world *w)
{
    w->movecheck = mem_zalloc(sizeof(*w->movecheck));
}

void movecheck_close(struct world *w)
{
    if (!w->movecheck)
        return;
    free(w->movecheck->moves);
    free(w->movecheck->states);
    free(w->movecheck);
    w->movecheck = NULL;
}

static void copy_name(char out[MODEL_PATH_MAX], struct slice path)
{
    snprintf(out, MODEL_PATH_MAX, "%.*s", SLICE_ARG(zk_path_name(path)));
}

static bool has_data(const struct tree_event *ev)
{
    return ev->type == ZK_EVENT_CREATED || ev->type == ZK_EVENT_DATA_CHANGED;
}

static void add_state(struct world *w, struct slice path)
{
    struct movecheck *c = w->movecheck;
    const struct znode *z = tree_find(w->shadow, path);
    struct slice data = z && !slice_is_null(znode_data(z)) ? znode_data(z) : SLICE_EMPTY;
    ROOM_FOR_ONE(c->states, c->n_states, c->cap_states);
    struct state *s = &c->states[c->n_states++];
    copy_name(s->name, path);
    s->hash = hash_bytes(data.data, slice_size(data), 0);
}

static void add_move(struct movecheck *c, struct slice from, struct slice to)
{
    ROOM_FOR_ONE(c->moves, c->n, c->cap);
    copy_name(c->moves[c->n].from, from);
    copy_name(c->moves[c->n++].to, to);
}

void movecheck_committed(struct world *w, const struct tree_outcome *outcome)
{
    const struct tree_event *events = outcome->events;
    for (size_t i = 0; i < outcome->n_events; i++) {
        if (has_data(&events[i]))
            add_state(w, events[i].path);
        for (size_t j = 0; j < outcome->n_events; j++) {
            if (events[i].type == ZK_EVENT_DELETED && has_data(&events[j]))
                add_move(w->movecheck, events[i].path, events[j].path);
        }
    }
}

static bool was_moved(const struct movecheck *c, const char *from, const char *to)
{
    for (size_t i = c->n; i > 0; i--) {
        if (strcmp(c->moves[i - 1].from, from) == 0 && strcmp(c->moves[i - 1].to, to) == 0)
            return true;
    }
    return false;
}

static bool had(const struct movecheck *c, const char *name, uint64_t hash)
{
    for (size_t i = c->n_states; i > 0; i--) {
        if (c->states[i - 1].hash == hash && strcmp(c->states[i - 1].name, name) == 0)
            return true;
    }
    return false;
}

static bool looks_moved(const struct movecheck *c, const char *from, const char *to)
{
    for (size_t i = c->n_states; i > 0; i--) {
        if (strcmp(c->states[i - 1].name, to) == 0 && had(c, from, c->states[i - 1].hash))
            return true;
    }
    return false;
}

void movecheck_inject(const struct mountpoint *m, const struct mount_effect *e)
{
    const struct movecheck *c = m->w->movecheck;
    if (e->inject.kind != MOUNT_INJECT_RENAME || e->inject.is_dir ||
        !checks(m->w, MOUNT_CHECK_moved))
        return;
    const char *from = strrchr(e->inject.from, '/') + 1, *to = strrchr(e->inject.path, '/') + 1;
    cover_mount(MOUNT_POINT_check_moved);
    if (!was_moved(c, from, to) && !looks_moved(c, from, to))
        sim_fail(m->w, SIM_BROKEN, "%s: %s is told to be moved to %s, and never was",
                 m->kernel->name, e->inject.from, e->inject.path);
}
