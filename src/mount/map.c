/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a znode looks as a file: type, mode, errors, names, extended attributes.
 *
 * The owner's bits of a mode are what the ACL grants to the mount's identity, the others' what it
 * grants to world:anyone. A directory's w is CREATE or DELETE. */
#include "model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PERMS_DIR_WRITE = ZK_PERM_CREATE | ZK_PERM_DELETE,
    PERMS_WRITE = ZK_PERM_WRITE | PERMS_DIR_WRITE,
};

void identity_add(struct identity *who, struct slice scheme, struct slice id)
{
    who->ids = mem_realloc(who->ids, (who->n + 1) * sizeof(*who->ids));
    who->ids[who->n++] = (struct identity_id){slice_dup_str(scheme), slice_dup_str(id)};
}

void identity_close(struct identity *who)
{
    for (size_t i = 0; i < who->n; i++) {
        free(who->ids[i].scheme);
        free(who->ids[i].id);
    }
    free(who->ids);
    *who = (struct identity){0};
}

bool map_is_dir(const struct zk_stat *stat, bool data_is_null)
{
    return data_is_null || stat->num_children > 0 || stat->cversion > 0;
}

/* Is the address `mine` in the ACL's ADDRESS or ADDRESS/BITS? */
static bool ip_matches(struct slice acl, const char *mine)
{
    char text[64];
    unsigned char net[16], own[16];
    if (acl.len <= 0 || (size_t)acl.len >= sizeof(text))
        return false;
    memcpy(text, acl.data, (size_t)acl.len);
    text[acl.len] = '\0';
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '\0';
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    long bits = family == AF_INET ? 32 : 128;
    if (inet_pton(family, text, net) != 1 || inet_pton(family, mine, own) != 1)
        return false;
    if (slash)
        bits = MAX(0, MIN(bits, atol(slash + 1)));
    size_t whole = (size_t)bits / 8;
    unsigned rest = (unsigned)bits % 8;
    return memcmp(net, own, whole) == 0 &&
           (rest == 0 || (net[whole] ^ own[whole]) >> (8 - rest) == 0);
}

static bool is_world(const struct zk_id *id)
{
    return slice_eq_str(id->scheme, "world") && slice_eq_str(id->id, "anyone");
}

static bool is_mine(const struct zk_id *id, const struct identity *who)
{
    for (size_t i = 0; i < who->n; i++) {
        const struct identity_id *mine = &who->ids[i];
        if (strcmp(mine->scheme, "super") == 0)
            return true;
        if (!slice_eq_str(id->scheme, mine->scheme))
            continue;
        if (slice_eq_str(id->id, mine->id))
            return true;
        if (strcmp(mine->scheme, "ip") == 0 && ip_matches(id->id, mine->id))
            return true;
    }
    return false;
}

void map_acl_perms(const struct jute_vector *acl, const struct identity *who, unsigned *own,
                   unsigned *world)
{
    struct jute_reader it = jute_vector_iter(acl);
    *own = *world = 0;
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl entry;
        zk_acl_read(&it, &entry);
        if (!jute_ok(&it))
            return;
        if (is_world(&entry.id))
            *world |= (unsigned)entry.perms & ZK_PERM_ALL;
        else if (is_mine(&entry.id, who))
            *own |= (unsigned)entry.perms & ZK_PERM_ALL;
    }
    *own |= *world;
}

static mode_t perm_bits(bool is_dir, unsigned perms)
{
    if (!is_dir)
        return (perms & ZK_PERM_READ ? 4 : 0) | (perms & ZK_PERM_WRITE ? 2 : 0);
    return (perms & ZK_PERM_READ ? 4 : 0) | (perms & PERMS_DIR_WRITE ? 2 : 0) | (perms ? 1 : 0);
}

mode_t map_mode(bool is_dir, unsigned own, unsigned world)
{
    mode_t others = perm_bits(is_dir, world);
    /* ZooKeeper asks nothing of the parents of a path, so that we can always pass. */
    mode_t owner = perm_bits(is_dir, own) | (is_dir ? 1 : 0);
    return (is_dir ? S_IFDIR : S_IFREG) | owner << 6 | others << 3 | others;
}

/* What a mode's three bits grant, of what `had` had. ADMIN is given by no mode: whoever could
 * change the ACL before, and keeps both reading and writing, still can. */
static unsigned bits_perms(mode_t bits, unsigned had)
{
    unsigned perms = (bits & 4 ? ZK_PERM_READ : 0) | (bits & 2 ? PERMS_WRITE : 0);
    if ((bits & 6) == 6)
        perms |= had & ZK_PERM_ADMIN;
    return perms;
}

static bool can_own(const struct identity *who)
{
    for (size_t i = 0; i < who->n; i++) {
        if (strcmp(who->ids[i].scheme, "ip") != 0 && strcmp(who->ids[i].scheme, "super") != 0)
            return true;
    }
    return false;
}

static void write_acl(struct jute_builder *vb, unsigned perms, struct slice scheme, struct slice id)
{
    if (perms == 0)
        return;
    zk_acl_write(vb->buf, &(struct zk_acl){.perms = (int32_t)perms, .id = {scheme, id}});
    vb->count++;
}

/* Ours get everything, since the owner may always change the mode back. */
static void write_own(struct jute_builder *vb, const struct identity *who)
{
    for (size_t i = 0; i < who->n; i++) {
        if (strcmp(who->ids[i].scheme, "ip") != 0 && strcmp(who->ids[i].scheme, "super") != 0)
            write_acl(vb, ZK_PERM_ALL, slice_str(who->ids[i].scheme), slice_str(who->ids[i].id));
    }
}

static bool has_own(const struct jute_vector *acl, const struct identity *who)
{
    struct jute_reader it = jute_vector_iter(acl);
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl entry;
        zk_acl_read(&it, &entry);
        if (jute_ok(&it) && !is_world(&entry.id) && is_mine(&entry.id, who) &&
            entry.perms & ZK_PERM_ADMIN)
            return true;
    }
    return false;
}

static mode_t other_bits(mode_t mode)
{
    return (mode & 7) & (mode >> 3 & 7);
}

enum map_chmod map_chmod(const struct jute_vector *acl, const struct identity *who, bool is_dir,
                         mode_t mode, struct buf *out)
{
    unsigned own, world;
    map_acl_perms(acl, who, &own, &world);
    mode_t now = perm_bits(is_dir, world) & 6, asked = other_bits(mode) & 6;
    if (asked == now)
        return MAP_CHMOD_NOTHING;
    /* Without an entry of our own, what we take from the world we take from ourselves. */
    bool owned = has_own(acl, who) || can_own(who);
    if (!owned && (now & ~asked & 4))
        return MAP_CHMOD_DENIED;
    if (!owned && (now & ~asked))
        return MAP_CHMOD_NOTHING;
    struct jute_builder vb = jute_vector_begin(out);
    struct jute_reader it = jute_vector_iter(acl);
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl entry;
        zk_acl_read(&it, &entry);
        if (!is_world(&entry.id))
            write_acl(&vb, (unsigned)entry.perms, entry.id.scheme, entry.id.id);
    }
    if (!has_own(acl, who))
        write_own(&vb, who);
    write_acl(&vb, bits_perms(asked, world), slice_str("world"), slice_str("anyone"));
    jute_vector_end(&vb);
    return MAP_CHMOD_SET;
}

bool map_create_acl(const struct identity *who, bool is_dir, mode_t mode, struct buf *out)
{
    (void)is_dir;
    mode_t asked = other_bits(mode) & 6;
    if (!can_own(who) || asked == 6)
        return false;
    struct jute_builder vb = jute_vector_begin(out);
    write_own(&vb, who);
    write_acl(&vb, bits_perms(asked, 0), slice_str("world"), slice_str("anyone"));
    jute_vector_end(&vb);
    return true;
}

struct jute_vector map_acl_vector(struct slice acl)
{
    if (acl.len < 4)
        return JUTE_VECTOR_EMPTY;
    return (struct jute_vector){(int32_t)be32_get(acl.data),
                                slice_of(acl.data + 4, (size_t)acl.len - 4)};
}

void map_acl_text(struct slice acl, struct buf *out)
{
    struct jute_vector v = map_acl_vector(acl);
    struct jute_reader it = jute_vector_iter(&v);
    for (int32_t i = 0; i < v.count; i++) {
        struct zk_acl entry;
        zk_acl_read(&it, &entry);
        if (!jute_ok(&it))
            return;
        char perms[6] = "";
        for (size_t bit = 0, n = 0; bit < 5; bit++) {
            /* The order of zkCli: cdrwa. */
            static const unsigned order[] = {ZK_PERM_CREATE, ZK_PERM_DELETE, ZK_PERM_READ,
                                             ZK_PERM_WRITE, ZK_PERM_ADMIN};
            if ((unsigned)entry.perms & order[bit])
                perms[n++] = "cdrwa"[bit];
        }
        buf_printf(out, "%s%.*s:%.*s:%s", i > 0 ? "," : "", SLICE_ARG(entry.id.scheme),
                   SLICE_ARG(entry.id.id), perms);
    }
}

int map_errno(int32_t zk_err, bool writing)
{
    switch (zk_err) {
    case ZK_OK:
        return 0;
    case ZK_NONODE:
        return ENOENT;
    case ZK_NOAUTH:
    case ZK_AUTHFAILED:
    case ZK_SESSIONCLOSEDREQUIRESASLAUTH:
        return EACCES;
    case ZK_BADVERSION:
        return ESTALE;
    case ZK_NODEEXISTS:
        return EEXIST;
    case ZK_NOTEMPTY:
        return ENOTEMPTY;
    case ZK_NOCHILDRENFOREPHEMERALS:
    case ZK_INVALIDACL:
        return EPERM;
    case ZK_NOTREADONLY:
        return EROFS;
    case ZK_OPERATIONTIMEOUT: /* it was never sent */
        return writing ? EROFS : ETIMEDOUT;
    case ZK_CONNECTIONLOSS: /* it may have been done */
    case ZK_SESSIONEXPIRED:
    case ZK_REQUESTTIMEOUT:
    case ZK_THROTTLEDOP:
        return ETIMEDOUT;
    case ZK_SYSTEMERROR: /* zabd's disk is full */
        return writing ? ENOSPC : EIO;
    case ZK_QUOTAEXCEEDED:
        return EDQUOT;
    case ZK_BADARGUMENTS:
        return EINVAL;
    case ZK_UNIMPLEMENTED:
        return EOPNOTSUPP;
    case ZK_REPLYTOOLONG:
        return writing ? EIO : EMSGSIZE;
    default:
        return EIO;
    }
}

bool map_is_name(struct slice name)
{
    size_t len = slice_size(name);
    return len > 0 && !memchr(name.data, '/', len) && !memchr(name.data, '\0', len) &&
           !slice_eq_str(name, ".") && !slice_eq_str(name, "..");
}

int map_errno_unknown(int32_t zk_err)
{
    bool silent =
        zk_err == ZK_CONNECTIONLOSS || zk_err == ZK_SESSIONEXPIRED || zk_err == ZK_OPERATIONTIMEOUT;
    return silent ? ETIMEDOUT : EIO;
}

int map_check_name(struct slice name)
{
    struct buf path = {0};
    if (slice_size(name) > NODE_NAME_MAX)
        return ENAMETOOLONG;
    buf_append(&path, "/", 1);
    buf_append(&path, name.data, slice_size(name));
    bool bad = zk_path_check(buf_slice(&path), false) != NULL;
    buf_close(&path);
    return bad ? EILSEQ : 0;
}

static bool ends_with(struct slice name, const char *suffix)
{
    size_t len = strlen(suffix), size = slice_size(name);
    return size > len && memcmp(name.data + size - len, suffix, len) == 0;
}

bool map_is_taken(struct slice name, bool in_root)
{
    while (ends_with(name, MAP_SUFFIX))
        name.len -= (int32_t)strlen(MAP_SUFFIX);
    return slice_eq_str(name, ".data") || (in_root && slice_eq_str(name, ".zabfs"));
}

struct slice map_real_name(struct slice shown, bool in_root)
{
    if (ends_with(shown, MAP_SUFFIX) && map_is_taken(shown, in_root))
        shown.len -= (int32_t)strlen(MAP_SUFFIX);
    return shown;
}

#define XATTR_PREFIX "user.zk."

static const struct xattr {
    const char *name;
    size_t offset;
    bool wide;
} xattrs[] = {
    {"czxid", offsetof(struct zk_stat, czxid), true},
    {"mzxid", offsetof(struct zk_stat, mzxid), true},
    {"pzxid", offsetof(struct zk_stat, pzxid), true},
    {"version", offsetof(struct zk_stat, version), false},
    {"cversion", offsetof(struct zk_stat, cversion), false},
    {"aversion", offsetof(struct zk_stat, aversion), false},
    {"ephemeralOwner", offsetof(struct zk_stat, ephemeral_owner), true},
};

bool map_xattr(const struct node *n, const char *name, struct buf *value)
{
    size_t prefix = strlen(XATTR_PREFIX);
    if (strncmp(name, XATTR_PREFIX, prefix) != 0)
        return false;
    name += prefix;
    if (strcmp(name, "acl") == 0) {
        if (n->acl.len < 0)
            buf_printf(value, "world:anyone:cdrwa");
        else
            map_acl_text(n->acl, value);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(xattrs); i++) {
        const char *field = (const char *)&n->stat + xattrs[i].offset;
        if (strcmp(name, xattrs[i].name) != 0)
            continue;
        if (xattrs[i].wide)
            buf_printf(value, "0x%llx", (unsigned long long)*(const int64_t *)(const void *)field);
        else
            buf_printf(value, "%d", *(const int32_t *)(const void *)field);
        return true;
    }
    return false;
}

void map_xattr_list(struct buf *names)
{
    for (size_t i = 0; i < ARRAY_LEN(xattrs); i++) {
        buf_printf(names, XATTR_PREFIX "%s", xattrs[i].name);
        buf_append(names, "", 1);
    }
    buf_append(names, XATTR_PREFIX "acl", sizeof(XATTR_PREFIX "acl"));
}
