/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Protocols and ciphers, by the names that ZooKeeper's configuration has for them (Java's). */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int version;
} protocols[] = {
    {"TLSv1.2", TLS1_2_VERSION},
    {"TLSv1.3", TLS1_3_VERSION},
};

/* The next name of a list with commas, without the blanks around it; false at its end. */
static bool next_name(const char **list, struct slice *name)
{
    const char *p = *list + strspn(*list, ", ");
    size_t len = strcspn(p, ",");
    *list = p + len;
    while (len > 0 && p[len - 1] == ' ')
        len--;
    *name = slice_of(p, len);
    return len > 0;
}

static int protocol_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        if (slice_eq_str(name, protocols[i].name))
            return protocols[i].version;
    }
    return 0;
}

static int bad_protocol(const struct tls_settings *s, const char *key, struct slice name,
                        struct err *e)
{
    return err_set(e, -EINVAL, "%s%s: \"%.*s\" is not supported; it may be TLSv1.2 or TLSv1.3",
                   s->prefix, key, SLICE_ARG(name));
}

/* The smallest and the largest version that are allowed. */
static int choose_protocols(const struct tls_settings *s, int *min, int *max, struct err *e)
{
    const char *list = s->enabled_protocols;
    struct slice name;
    *min = TLS1_2_VERSION;
    *max = TLS1_3_VERSION;
    if (list) {
        *min = TLS1_3_VERSION;
        *max = TLS1_2_VERSION;
        while (next_name(&list, &name)) {
            int version = protocol_find(name);
            if (version == 0)
                return bad_protocol(s, "enabledProtocols", name, e);
            *min = MIN(*min, version);
            *max = MAX(*max, version);
        }
    } else if (s->protocol && strcmp(s->protocol, "TLS") != 0) {
        *max = protocol_find(slice_str(s->protocol));
        if (*max == 0)
            return bad_protocol(s, "protocol", slice_str(s->protocol), e);
    }
    if (*min > *max)
        return err_set(e, -EINVAL, "%senabledProtocols: the list is empty", s->prefix);
    return 0;
}

/* TLS 1.3 has suites of its own, which OpenSSL wants in a list of their own. */
static int split_ciphers(SSL_CTX *ssl, const struct tls_settings *s, struct buf *v12,
                         struct buf *v13, struct err *e)
{
    const char *list = s->ciphers;
    struct slice name;
    while (next_name(&list, &name)) {
        char *text = slice_dup_str(name);
        const char *known = OPENSSL_cipher_name(text);
        bool iana = known && strcmp(known, "(NONE)") != 0;
        const char *ours = iana ? known : text;
        struct buf *to = strncmp(ours, "TLS_", 4) == 0 ? v13 : v12;
        bool ok = to == v13 ? iana : SSL_CTX_set_cipher_list(ssl, ours) == 1;
        if (ok)
            buf_printf(to, "%s%s", to->len > 0 ? ":" : "", ours);
        free(text);
        if (!ok)
            return err_set(e, -EINVAL, "%sciphersuites: OpenSSL has no suite \"%.*s\"", s->prefix,
                           SLICE_ARG(name));
    }
    return 0;
}

/* A version of which no cipher is listed is not spoken. */
static int set_ciphers(SSL_CTX *ssl, const struct tls_settings *s, int *min, int *max,
                       struct err *e)
{
    struct buf v12 = {0}, v13 = {0};
    int rc = split_ciphers(ssl, s, &v12, &v13, e);
    if (rc == 0 && ((v12.len > 0 && !SSL_CTX_set_cipher_list(ssl, (const char *)v12.data)) ||
                    (v13.len > 0 && !SSL_CTX_set_ciphersuites(ssl, (const char *)v13.data))))
        rc = err_set(e, -EINVAL, "%sciphersuites: %s", s->prefix, tls_reason());
    if (v12.len == 0)
        *min = TLS1_3_VERSION;
    if (v13.len == 0)
        *max = TLS1_2_VERSION;
    buf_close(&v12);
    buf_close(&v13);
    if (rc == 0 && *min > *max)
        rc = err_set(e, -EINVAL, "%sciphersuites: none of them is for an enabled protocol",
                     s->prefix);
    return rc;
}

int tls_set_rules(SSL_CTX *ssl, const struct tls_settings *s, struct err *e)
{
    int min, max;
    int rc = choose_protocols(s, &min, &max, e);
    if (rc == 0 && s->ciphers)
        rc = set_ciphers(ssl, s, &min, &max, e);
    ERR_clear_error();
    if (rc == 0 &&
        (!SSL_CTX_set_min_proto_version(ssl, min) || !SSL_CTX_set_max_proto_version(ssl, max)))
        rc = err_set(e, -EINVAL, "%sprotocol: %s", s->prefix, tls_reason());
    return rc;
}
