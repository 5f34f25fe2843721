/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>

#include "zab/client.h"

int client_tls_open(struct tls_context **out, const struct client_tls *t, struct err *e)
{
    char ca[32], cert[32], key[32];
    *out = NULL;
    if (!t->ca && (t->cert || t->key || t->any_host))
        return err_set(e, -EINVAL, "%sca is missing: TLS needs a file of the certificates to trust",
                       t->prefix);
    if (!t->ca)
        return 0;
    if (t->key && !t->cert)
        return err_set(e, -EINVAL, "%skey: the certificate to it is missing, %scert", t->prefix,
                       t->prefix);
    snprintf(ca, sizeof(ca), "%sca", t->prefix);
    snprintf(cert, sizeof(cert), "%scert", t->prefix);
    snprintf(key, sizeof(key), "%skey", t->prefix);
    const struct tls_settings settings = {
        .prefix = t->prefix,
        .trust = {ca, t->ca, "PEM", NULL},
        .key = {cert, t->cert, "PEM", NULL},
        .separate_key = {key, t->key, "PEM", NULL},
        .verify_server_name = !t->any_host,
    };
    return tls_context_open(out, &settings, e);
}
