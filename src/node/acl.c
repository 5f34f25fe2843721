/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may do what: ACLs, and the identities that a connection has (ZooKeeper's checkACL,
 * fixupACL, and its digest, ip, x509 and world providers). */
#include "internal.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* False if the connection has as many identities as it may have. */
static bool auth_append(struct node_conn *c, const char *scheme, struct slice id)
{
    struct jute_reader ids = jute_reader_of(buf_slice(&c->auth));
    for (int32_t i = 0; i < c->n_auth; i++) {
        struct zk_id have;
        zk_id_read(&ids, &have);
        if (slice_eq_str(have.scheme, scheme) && slice_eq(have.id, id))
            return true;
    }
    if (c->n_auth >= AUTH_MAX || c->auth.len + slice_size(id) > AUTH_BYTES_MAX)
        return false;
    struct zk_id v = {slice_str(scheme), id};
    zk_id_write(&c->auth, &v);
    c->n_auth++;
    return true;
}

static struct slice address_ip(const char *address)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']')
        return slice_of(address + 1, len - 2);
    return slice_of(address, len);
}

/* Every connection is somebody at an address. */
void auth_init(struct node_conn *c)
{
    auth_append(c, "ip", address_ip(c->address));
}

/* What acl_fixup() appended to an empty buf: the count, then the entries. */
struct jute_vector acl_encoded(const struct buf *encoded)
{
    return (struct jute_vector){(int32_t)be32_get(encoded->data),
                                slice_of(encoded->data + 4, encoded->len - 4)};
}

struct jute_vector auth_ids(const struct node_conn *c)
{
    return (struct jute_vector){c->n_auth, buf_slice(&c->auth)};
}

/* "user:password" -> "user:base64(sha1(user:password))". Without a colon all of it is the user, as
 * with ZooKeeper. */
static bool digest_of(const char *algorithm, struct slice auth, struct buf *out)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t len;
    if (auth.len < 0 ||
        !EVP_Q_digest(NULL, algorithm, NULL, auth.data, (size_t)auth.len, hash, &len))
        return false;
    const uint8_t *colon = auth.len > 0 ? memchr(auth.data, ':', (size_t)auth.len) : NULL;
    buf_append(out, auth.data, colon ? (size_t)(colon - auth.data) : (size_t)auth.len);
    buf_append(out, ":", 1);
    uint8_t base64[(EVP_MAX_MD_SIZE + 2) / 3 * 4 + 1];
    int n = EVP_EncodeBlock(base64, hash, (int)len);
    buf_append(out, base64, (size_t)n);
    return true;
}

static bool same_secret(struct slice a, const char *b)
{
    size_t len = strlen(b);
    return slice_size(a) == len && CRYPTO_memcmp(a.data, b, len) == 0;
}

/* Whom the certificate of its TLS connection is for. */
void auth_secured(struct node *n, struct node_conn *c, const char *x509)
{
    if (n->config.super_x509 && strcmp(x509, n->config.super_x509) == 0)
        auth_append(c, "super", slice_str(x509));
    auth_append(c, "x509", slice_str(x509));
}

static bool has_scheme(const struct jute_vector *ids, const char *scheme)
{
    struct jute_reader it = jute_vector_iter(ids);
    for (int32_t i = 0; i < ids->count; i++) {
        struct zk_id id;
        zk_id_read(&it, &id);
        if (slice_eq_str(id.scheme, scheme))
            return true;
    }
    return false;
}

int32_t auth_add(struct node *n, struct node_conn *c, struct slice scheme, struct slice auth)
{
    struct jute_vector have = auth_ids(c);
    if (slice_eq_str(scheme, "ip"))
        return ZK_OK; /* it has that already */
    if (slice_eq_str(scheme, "x509"))
        return has_scheme(&have, "x509") ? ZK_OK : ZK_AUTHFAILED;
    struct buf digest = {0};
    bool ok = slice_eq_str(scheme, "digest") && !n->config.digest_disabled &&
              digest_of(n->config.digest_alg ? n->config.digest_alg : "SHA1", auth, &digest);
    if (ok && n->config.super_digest && same_secret(buf_slice(&digest), n->config.super_digest))
        ok = auth_append(c, "super", SLICE_EMPTY);
    ok = ok && auth_append(c, "digest", buf_slice(&digest));
    buf_close(&digest);
    return ok ? ZK_OK : ZK_AUTHFAILED;
}

/* "1.2.3.4" or "1.2.3.0/24", the same for IPv6: the address and the number of bits. */
static bool parse_ip(struct slice text, uint8_t addr[16], size_t *size, unsigned *bits)
{
    char s[INET6_ADDRSTRLEN + 5];
    if (slice_size(text) == 0 || slice_size(text) >= sizeof(s))
        return false;
    memcpy(s, text.data, (size_t)text.len);
    s[text.len] = '\0';
    char *slash = strchr(s, '/');
    if (slash)
        *slash = '\0';
    if (inet_pton(AF_INET, s, addr) == 1)
        *size = 4;
    else if (inet_pton(AF_INET6, s, addr) == 1)
        *size = 16;
    else
        return false;
    *bits = (unsigned)*size * 8;
    if (!slash)
        return true;
    char *end;
    unsigned long v = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end || v > *bits)
        return false;
    *bits = (unsigned)v;
    return true;
}

static bool ip_matches(struct slice ip, struct slice pattern)
{
    uint8_t a[16], b[16];
    size_t a_size, b_size;
    unsigned a_bits, bits;
    if (!parse_ip(ip, a, &a_size, &a_bits) || !parse_ip(pattern, b, &b_size, &bits))
        return false;
    if (a_size != b_size || memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

static bool id_matches(const struct zk_id *have, const struct zk_id *want)
{
    if (!slice_eq(have->scheme, want->scheme))
        return false;
    if (slice_eq_str(have->scheme, "ip"))
        return ip_matches(have->id, want->id);
    return have->id.len == want->id.len &&
           CRYPTO_memcmp(have->id.data, want->id.data, slice_size(have->id)) == 0;
}

static bool is_world(const struct zk_id *id)
{
    return slice_eq_str(id->scheme, "world") && slice_eq_str(id->id, "anyone");
}

/* Is one of the identities this one? */
static bool is_among(const struct jute_vector *ids, const struct zk_id *want)
{
    struct jute_reader it = jute_vector_iter(ids);
    for (int32_t i = 0; i < ids->count; i++) {
        struct zk_id id;
        zk_id_read(&it, &id);
        if (id_matches(&id, want))
            return true;
    }
    return false;
}

bool acl_allows(const struct node *n, const struct jute_vector *ids, const struct jute_vector *acl,
                int32_t perms)
{
    if (n->config.skip_acl || acl->count <= 0)
        return true;
    struct jute_reader it = jute_vector_iter(acl);
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl a;
        zk_acl_read(&it, &a);
        if ((a.perms & perms) != 0 && (is_world(&a.id) || is_among(ids, &a.id)))
            return true;
    }
    return has_scheme(ids, "super");
}

static bool is_valid_id(const struct node *n, const struct zk_id *id)
{
    uint8_t addr[16];
    size_t size;
    unsigned bits;
    if (slice_eq_str(id->scheme, "ip"))
        return parse_ip(id->id, addr, &size, &bits);
    if (slice_eq_str(id->scheme, "digest") && !n->config.digest_disabled) {
        const uint8_t *colon = id->id.len > 0 ? memchr(id->id.data, ':', (size_t)id->id.len) : NULL;
        return colon && !memchr(colon + 1, ':', (size_t)(id->id.data + id->id.len - colon - 1));
    }
    if (slice_eq_str(id->scheme, "x509"))
        return id->id.len > 1 && memchr(id->id.data + 1, '=', (size_t)id->id.len - 1);
    return is_world(id);
}

/* Add an entry unless it is there already. */
static void acl_append(struct jute_builder *vb, const struct zk_acl *acl)
{
    struct jute_vector so_far = jute_vector_built(vb);
    struct jute_reader it = jute_vector_iter(&so_far);
    for (int32_t i = 0; i < so_far.count; i++) {
        struct zk_acl a;
        zk_acl_read(&it, &a);
        if (a.perms == acl->perms && slice_eq(a.id.scheme, acl->id.scheme) &&
            slice_eq(a.id.id, acl->id.id))
            return;
    }
    zk_acl_write(vb->buf, acl);
    vb->count++;
}

/* "auth" stands for all that somebody has authenticated as. */
static bool acl_append_auth(const struct jute_vector *ids, struct jute_builder *vb, int32_t perms)
{
    bool any = false;
    struct jute_reader it = jute_vector_iter(ids);
    for (int32_t i = 0; i < ids->count; i++) {
        struct zk_acl a = {.perms = perms};
        zk_id_read(&it, &a.id);
        if (slice_eq_str(a.id.scheme, "ip") || slice_eq_str(a.id.scheme, "super"))
            continue;
        acl_append(vb, &a);
        any = true;
    }
    return any;
}

/* Append the ACL as it is to be stored: a vector with its count. Its limits are on what "auth"
 * grows to, too. */
int32_t acl_fixup(const struct node *n, const struct jute_vector *ids,
                  const struct jute_vector *acl, struct buf *out)
{
    if (acl->count <= 0 || acl->count > ACL_ENTRIES_MAX)
        return ZK_INVALIDACL;
    struct jute_builder vb = jute_vector_begin(out);
    struct jute_reader it = jute_vector_iter(acl);
    for (int32_t i = 0; i < acl->count; i++) {
        struct zk_acl a;
        zk_acl_read(&it, &a);
        bool ok = slice_eq_str(a.id.scheme, "auth") ? acl_append_auth(ids, &vb, a.perms)
                                                    : is_valid_id(n, &a.id);
        if (!ok)
            return ZK_INVALIDACL;
        if (!slice_eq_str(a.id.scheme, "auth"))
            acl_append(&vb, &a);
        if (vb.count > ACL_ENTRIES_MAX || out->len - vb.start > ACL_BYTES_MAX)
            return ZK_INVALIDACL;
    }
    jute_vector_end(&vb);
    return ZK_OK;
}

/* What somebody without ADMIN sees: "digest", "user:x". */
void acl_mask_digests(const struct jute_vector *acl, struct buf *out)
{
    struct jute_builder vb = jute_vector_begin(out);
    struct jute_reader it = jute_vector_iter(acl);
    for (; vb.count < acl->count; vb.count++) {
        struct zk_acl a;
        zk_acl_read(&it, &a);
        jute_write_int(out, a.perms);
        jute_write_buffer(out, a.id.scheme);
        const uint8_t *colon =
            a.id.id.len > 0 ? memchr(a.id.id.data, ':', (size_t)a.id.id.len) : NULL;
        if (!slice_eq_str(a.id.scheme, "digest") || !colon) {
            jute_write_buffer(out, a.id.id);
            continue;
        }
        size_t user = (size_t)(colon - a.id.id.data) + 1;
        jute_write_int(out, (int32_t)user + 1);
        buf_append(out, a.id.id.data, user);
        buf_append(out, "x", 1);
    }
    jute_vector_end(&vb);
}
