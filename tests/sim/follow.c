/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tail -f: who stands at the end of a file gets what is appended to it, through the descriptor that
 * he has. */
#include "program.h"

#include <fcntl.h>

enum { TRIES = 20 };

struct follow {
    struct program *g;
    int n, fd;
    struct buf seen;
};

/* More of the file: 0, or an error. */
static int64_t read_on(struct follow *f)
{
    struct mountpoint *m = f->g->m;
    int64_t rc = sys_read_all(f->g->p, f->fd, &f->seen);
    if (checks(m->w, MOUNT_CHECK_follow))
        mountcheck_begins(m, f->n, buf_slice(&f->seen));
    return rc;
}

/* A line of its own is behind the end. */
static void wait_for_line(struct follow *f, const char *line, int64_t since_ms)
{
    struct mountpoint *m = f->g->m;
    for (int i = 0; i < TRIES; i++) {
        bool connected = m->connected_ms >= 0 && m->connected_ms < since_ms;
        if (read_on(f) < 0 || !connected || f->g->p->gone)
            return;
        cover_mount(MOUNT_POINT_check_follow);
        if (f->seen.len > 0 && memmem(f->seen.data, f->seen.len, line, strlen(line)))
            return;
        program_pause(m->w, 200);
    }
    if (checks(m->w, MOUNT_CHECK_follow))
        sim_fail(m->w, SIM_BROKEN, "%s: who follows /log/%d does not get %s", m->kernel->name, f->n,
                 line);
}

void follow_log(struct program *g)
{
    struct world *w = g->m->w;
    struct follow f = {.g = g, .n = (int)between(w, 0, MOUNT_LOGS - 1)};
    char path[16], line[48];
    snprintf(path, sizeof(path), "log/%d", f.n);
    if (g->m->config.cache == MOUNT_CACHE_PAGES)
        return; /* a page is of what is there when it is read */
    f.fd = (int)sys_open(g->p, path, O_RDONLY);
    bool at_end = f.fd >= 0 && read_on(&f) == 0 && f.seen.len > 0;
    for (int64_t n = between(w, 1, 3); at_end && n > 0 && !g->p->gone; n--) {
        int64_t since_ms = w->now_ms;
        if (append_line(g, path, line, sizeof(line)) >= 0)
            wait_for_line(&f, line, since_ms);
    }
    if (f.fd >= 0)
        sys_close(g->p, f.fd);
    buf_close(&f.seen);
}
