/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files in /closed that other clients forbid to be read, and allow again: what is forbidden is not
 * served when the mount has had the time to notice, and hides neither itself nor others in a
 * listing. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>

enum { RETRIES = 100 };

static bool grants_read(const struct jute_vector *acl, unsigned ids)
{
    struct jute_reader in = jute_reader_of(acl->bytes);
    bool grants = false;
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl a;
        zk_acl_read(&in, &a);
        bool ours = slice_eq(a.id.scheme, slice_str("world")) || (ids & MODEL_BOB);
        grants = grants || (ours && (a.perms & ZK_PERM_READ));
    }
    return grants;
}

/* Digests in there are of one identity only. */
static bool may_read(const struct mountpoint *m, const char *path)
{
    char full[32];
    snprintf(full, sizeof(full), "/%s", path);
    const struct znode *z = tree_find(m->w->shadow, slice_str(full));
    if (!z || znode_acl_id(z) == -1)
        return z != NULL;
    const struct jute_vector acl = tree_acl(m->w->shadow, znode_acl_id(z));
    return grants_read(&acl, m->client->ids);
}

/* What a client forbids, or allows again; the first client that is no identity has no way back. */
void aclcheck_fill(struct world *w, struct op *op)
{
    static const struct model_acl acls[] = {
        {1, {{ZK_PERM_ALL, MODEL_WORLD}}},
        {1, {{ZK_PERM_ALL, MODEL_BOB}}},
        {2, {{ZK_PERM_ALL, MODEL_BOB}, {ZK_PERM_ALL & ~ZK_PERM_READ, MODEL_WORLD}}},
    };
    op->type = ZK_OP_setACL;
    op->version = -1;
    op->acl = acls[rng_below(&w->rng, ARRAY_LEN(acls))];
    snprintf(op->path, sizeof(op->path), "/closed/%d", (int)between(w, 0, MOUNT_CLOSED - 1));
}

void aclcheck_listed(struct mountpoint *m, int64_t rc, const struct buf *names)
{
    size_t count[MOUNT_CLOSED] = {0};
    if (!checks(m->w, MOUNT_CHECK_acl))
        return;
    if (rc == -EACCES)
        sim_fail(m->w, SIM_BROKEN, "%s: a file that may not be read hides its directory",
                 m->kernel->name);
    if (rc != 0)
        return;
    cover_mount(MOUNT_POINT_check_list_closed);
    for (size_t i = 0; i < names->len; i += strlen((char *)names->data + i) + 1) {
        int n = atoi((char *)names->data + i);
        if (names->data[i] != '.' && n < MOUNT_CLOSED)
            count[n]++;
    }
    for (int n = 0; n < MOUNT_CLOSED; n++) {
        bool *seen = &m->closed_seen[n];
        if (count[n] > 1 || (count[n] == 0 && *seen)) /* it may be new, and this an outage */
            sim_fail(m->w, SIM_BROKEN, "%s: a listing has closed/%d %zu times", m->kernel->name, n,
                     count[n]);
        *seen |= count[n] == 1;
    }
}

/* ---- At the end ---- */

static void look(struct program *g, int n)
{
    char path[24];
    struct mountpoint *m = g->m;
    snprintf(path, sizeof(path), "closed/%d", n);
    int64_t fd = sys_open(g->p, path, O_RDONLY);
    for (int i = 0; i < RETRIES && (fd == -ETIMEDOUT || fd == -EIO); i++) { /* an election */
        program_pause(m->w, 200);
        fd = sys_open(g->p, path, O_RDONLY);
    }
    if (fd >= 0)
        sys_close(g->p, (int)fd);
    bool may = may_read(m, path);
    cover_mount(may ? MOUNT_POINT_check_open : MOUNT_POINT_check_closed);
    if (fd >= 0 && !may)
        sim_fail(m->w, SIM_BROKEN, "%s: /%s may not be read any more, and open says 0",
                 m->kernel->name, path);
    if (fd < 0 && may)
        sim_fail(m->w, SIM_BROKEN, "%s: /%s may be read, and open says %s", m->kernel->name, path,
                 strerror((int)-fd));
    if (fd < 0 && fd != -EACCES)
        sim_fail(m->w, SIM_BROKEN, "%s: /%s may not be read, and open says %s", m->kernel->name,
                 path, strerror((int)-fd));
}

static void run(struct world *w, void *arg)
{
    struct mountpoint *m = arg;
    struct program g = {.m = m, .p = program_process(m, "last")};
    for (int n = 0; n < MOUNT_CLOSED; n++)
        look(&g, n);
    struct call c = {.type = CALL_EXIT};
    sys(g.p, &c);
    m->n_programs--;
    (void)w;
}

/* All is quiet, for longer than an ACL may be old. */
void aclcheck_end(struct mountpoint *m)
{
    bool bounded = m->config.acl_timeo_ms > 0;
    if (m->w->options.script || !bounded || !m->ready || m->ended || !checks(m->w, MOUNT_CHECK_acl))
        return;
    m->n_programs++;
    task_start(m->w, 0, run, m);
}
