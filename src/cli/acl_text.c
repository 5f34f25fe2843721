/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An ACL entry as text, SCHEME:ID:PERMS, such as world:anyone:r or digest:user:HASH=:cdrwa. The id
 * may have colons, the other two have none. */
#include "cli.h"

static const struct {
    char letter;
    int perm;
} perms[] = {
    {'c', ZK_PERM_CREATE}, {'d', ZK_PERM_DELETE}, {'r', ZK_PERM_READ},
    {'w', ZK_PERM_WRITE},  {'a', ZK_PERM_ADMIN},
};

static int perm_of(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(perms); i++) {
        if (perms[i].letter == letter)
            return perms[i].perm;
    }
    return 0;
}

const char *cli_acl_parse(const char *text, struct zk_acl *acl)
{
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');
    if (!first || first == last || first == text)
        return "must be SCHEME:ID:PERMS";
    acl->perms = 0;
    for (const char *p = last + 1; *p; p++) {
        int perm = perm_of(*p);
        if (perm == 0)
            return "permissions are letters of cdrwa: create, delete, read, write, admin";
        acl->perms |= perm;
    }
    acl->id.scheme = slice_of(text, (size_t)(first - text));
    acl->id.id = slice_of(first + 1, (size_t)(last - first - 1));
    return acl->perms != 0 ? NULL : "no permissions";
}

void cli_acl_print(struct buf *b, const struct zk_acl *acl)
{
    buf_printf(b, "%.*s:%.*s:", SLICE_ARG(acl->id.scheme), SLICE_ARG(acl->id.id));
    for (size_t i = 0; i < ARRAY_LEN(perms); i++) {
        if (acl->perms & perms[i].perm)
            buf_append(b, &perms[i].letter, 1);
    }
}
