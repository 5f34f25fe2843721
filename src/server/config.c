/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From zoo.cfg to struct config: each key as its line of the table says. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "config_keys.h"
#include "properties.h"
#include "zab/log.h"
#include "zab/protocol.h"

enum {
    PURGE_RETAIN_MIN = 3,
    PACKET_MAX = 60 << 20, /* what a packet becomes has to fit into a transaction */
};

/* ---- Values ---- */

/* A decimal number, or as Java's Integer.decode has it (0x, 0X, # and 0 in front), of 32 bits; or
 * one of 64 bits that a key of its own allows. */
static bool parse_number(const char *text, bool decode, int64_t *v)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    if (decode && (*digits == '#' || strncasecmp(digits, "0x", 2) == 0)) {
        digits += *digits == '#' ? 1 : 2;
        base = 16;
    } else if (decode && *digits == '0' && digits[1]) {
        base = 8;
    }
    char *end;
    errno = 0;
    *v = strtoll(digits, &end, base);
    bool starts =
        (*digits >= '0' && *digits <= '9') || (base == 16 && strchr("abcdefABCDEF", *digits));
    if (errno || !*digits || !starts || *end)
        return false;
    *v = *text == '-' ? -*v : *v;
    return *v >= INT32_MIN && *v <= INT32_MAX;
}

static int set_integer(struct config *c, const struct config_key *k, const char *value,
                       const char *where, struct err *e)
{
    int64_t v;
    if (!parse_number(value, false, &v) || v < k->min || v > k->max)
        return err_set(e, -EINVAL,
                       "%s: %s: \"%s\" is not a whole number from %" PRId64 " to %" PRId64, where,
                       k->name, value, k->min, k->max);
    *(int64_t *)((char *)c + k->offset) = v;
    return 0;
}

/* A system property, of which ZooKeeper takes the default if it is no number. */
static int set_property(struct config *c, const struct config_key *k, const char *value,
                        const char *where)
{
    int64_t given, v;
    bool number = parse_number(value, true, &given);
    if (!number)
        ensure(parse_number(k->default_value, false, &given));
    v = MIN(MAX(given, k->min), k->max);
    if (!number || v != given)
        log_warn("%s: %s: \"%s\" is not a whole number from %" PRId64 " to %" PRId64
                 "; using %" PRId64,
                 where, k->name, value, k->min, k->max, v);
    *(int64_t *)((char *)c + k->offset) = v;
    return 0;
}

static int set_boolean(struct config *c, const struct config_key *k, const char *value,
                       const char *where, struct err *e)
{
    bool yes = strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0;
    bool no = strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0;
    if (k->kind == BOOLEAN && !yes && !no)
        return err_set(e, -EINVAL, "%s: %s: \"%s\" is neither yes nor no", where, k->name, value);
    bool on = k->kind == ONLY_YES    ? strcmp(value, "yes") == 0
              : k->kind == UNLESS_NO ? strcmp(value, "no") != 0
                                     : yes;
    if ((!yes && !no) || on != yes)
        log_warn("%s: %s: \"%s\" means \"%s\" here, as with ZooKeeper", where, k->name, value,
                 on ? "yes" : "no");
    *(bool *)((char *)c + k->offset) = on;
    return 0;
}

static int set_string(struct config *c, const struct config_key *k, const char *value,
                      const char *where, struct err *e)
{
    char **at = (char **)((char *)c + k->offset);
    if (!*value)
        return err_set(e, -EINVAL, "%s: %s: the value is empty", where, k->name);
    free(*at);
    *at = mem_strdup(value);
    return 0;
}

static int set_key(struct config *c, const struct config_key *k, const char *value,
                   const char *where, struct err *e)
{
    switch (k->kind) {
    case INTEGER:
        return set_integer(c, k, value, where, e);
    case PROPERTY:
        return set_property(c, k, value, where);
    case STRING:
        return set_string(c, k, value, where, e);
    default:
        return set_boolean(c, k, value, where, e);
    }
}

/* ---- Keys of ZooKeeper's that mean nothing here ---- */

/* A class of ZooKeeper's that does what is built in. */
static bool is_built_in(const char *value)
{
    static const char *const classes[] = {"X509", "Digest", "IP"};
    static const char package[] = "org.apache.zookeeper.server.auth.";
    if (strncmp(value, package, strlen(package)) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%sAuthenticationProvider", classes[i]);
        if (strcmp(value + strlen(package), name) == 0)
            return true;
    }
    return false;
}

static int pass_over(struct config *c, const struct config_key *k, const char *name,
                     const char *value, const char *where, struct err *e)
{
    if (k->kind == MISSING && strcasecmp(value, "false") != 0)
        log_warn("%s: %s is ignored: %s", where, name, k->help);
    else if (k->kind == NOTHING)
        buf_printf(&c->pointless, " %s", name);
    if (k->kind != REFUSED || (k->default_value && strcasecmp(value, k->default_value) == 0) ||
        (strcmp(k->name, "authProvider.*") == 0 && is_built_in(value)))
        return 0;
    return err_set(e, -ENOTSUP, "%s: %s=%s: %s; remove the line if that is what you want", where,
                   name, value, k->help);
}

/* ---- The file ---- */

/* Passwords, and what stands for one. */
static bool is_secret(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".password") == 0 || strcmp(dot, ".superDigest") == 0);
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool config_is_of_ensemble(const char *name)
{
    return starts_with(name, "server.") || starts_with(name, "weight.") ||
           starts_with(name, "group.");
}

void config_where(const char *path, const struct property *p, char where[CONFIG_WHERE_MAX])
{
    snprintf(where, CONFIG_WHERE_MAX, "%s:%u", path, p->line);
    if (p->was_line > 0)
        log_warn("%s: %s is set in line %u too; the last one counts", where, p->key, p->was_line);
}

void config_add_text(struct config *c, const char *name, const char *value)
{
    if (!is_secret(name))
        buf_printf(&c->text, "%s=%s\n", name, value);
}

static void say_unknown(const char *where, const char *name)
{
    const char *nearest = config_nearest_key(name);
    log_warn("%s: unknown key \"%s\" is ignored%s%s%s", where, name,
             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Java's name of a system property is taken for the key. */
static const struct config_key *find_key(const char **name)
{
    static const char prefix[] = "zookeeper.";
    const char *short_name = *name + strlen(prefix);
    const struct config_key *k = config_find_key(*name);
    if (!k && starts_with(*name, prefix) && (k = config_find_key(short_name)) != NULL)
        *name = short_name;
    return k;
}

static int take_property(struct config *c, const struct property *p, struct err *e)
{
    char where[CONFIG_WHERE_MAX];
    const char *name = p->key;
    config_where(c->path, p, where);
    if (config_is_of_ensemble(name))
        return 0; /* see config_take_servers() */
    const struct config_key *k = find_key(&name);
    if (!k) {
        say_unknown(where, name);
        return 0;
    }
    if (k->kind == ONLY_YES && name != p->key) { /* what opens all doors must be said as it is */
        log_warn("%s: %s has no effect, as with ZooKeeper; the key is %s", where, p->key, name);
        return 0;
    }
    if (k->kind >= NOTHING)
        return pass_over(c, k, name, p->value, where, e);
    config_add_text(c, name, p->value);
    return set_key(c, k, p->value, where, e);
}

/* "[::1]" and "::1" are the same address. */
static void strip_brackets(char *address)
{
    size_t len = address ? strlen(address) : 0;
    if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
        memmove(address, address + 1, len - 2);
        address[len - 2] = '\0';
    }
}

/* What ZooKeeper corrects, too. */
static void correct(struct config *c)
{
    if (c->purge_retain < PURGE_RETAIN_MIN) {
        log_warn("%s: autopurge.snapRetainCount %" PRId64 " is too few; using %d", c->path,
                 c->purge_retain, PURGE_RETAIN_MIN);
        c->purge_retain = PURGE_RETAIN_MIN;
    }
    if (c->packet_max > PACKET_MAX) {
        log_warn("%s: jute.maxbuffer %" PRId64 " is larger than zabd can serve; using %d", c->path,
                 c->packet_max, PACKET_MAX);
        c->packet_max = PACKET_MAX;
    }
    c->purge_hours = MAX(c->purge_hours, 0);
    c->max_client_conns = MAX(c->max_client_conns, 0);
    c->max_conns = MAX(c->max_conns, 0);
    strip_brackets(c->client_address);
    strip_brackets(c->secure_client_address);
}

static int check_digest(const struct config *c, struct err *e)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t len;
    if (EVP_Q_digest(NULL, c->digest_alg, NULL, "", 0, hash, &len))
        return 0;
    return err_set(e, -EINVAL,
                   "%s: DigestAuthenticationProvider.digestAlg: OpenSSL knows no hash \"%s\"; name "
                   "one such as SHA1, SHA-256 or SHA3-256",
                   c->path, c->digest_alg);
}

static int check(struct config *c, struct err *e)
{
    correct(c);
    if (!c->data_dir)
        return err_set(e, -EINVAL, "%s: dataDir is not set; name the directory for the data",
                       c->path);
    if (c->min_session_timeout_ms < 0)
        c->min_session_timeout_ms = 2 * c->tick_ms;
    if (c->max_session_timeout_ms < 0)
        c->max_session_timeout_ms = 20 * c->tick_ms;
    if (c->min_session_timeout_ms > c->max_session_timeout_ms)
        return err_set(e, -EINVAL,
                       "%s: minSessionTimeout %" PRId64
                       " is larger than maxSessionTimeout %" PRId64,
                       c->path, c->min_session_timeout_ms, c->max_session_timeout_ms);
    if (log_level_parse(c->log_level) < 0)
        return err_set(e, -EINVAL, "%s: zab.logLevel: \"%s\" is none of error, warn, info, debug",
                       c->path, c->log_level);
    if (c->quorum_timeout_ms <= 0)
        c->quorum_timeout_ms = c->sync_limit * c->tick_ms;
    int rc = check_digest(c, e);
    return rc ? rc : config_check_ensemble(c, e);
}

static void set_defaults(struct config *c)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        struct err e;
        if (config_keys[i].kind < NOTHING && config_keys[i].default_value &&
            set_key(c, &config_keys[i], config_keys[i].default_value, "default", &e) != 0)
            ensure(!"a default is within its bounds");
    }
}

int config_load(struct config *c, const char *path, struct err *e)
{
    struct properties file;
    *c = (struct config){.path = mem_strdup(path)};
    set_defaults(c);
    c->client_port = CLIENT_PORT_UNSET;
    int rc = properties_load(&file, path, e);
    for (size_t i = 0; rc == 0 && i < file.n; i++)
        rc = take_property(c, &file.list[i], e);
    if (rc == 0)
        rc = config_take_servers(c, &file, e);
    properties_close(&file);
    if (c->pointless.len > 0)
        log_info("%s: these keys have no effect here:%.*s", path,
                 SLICE_ARG(buf_slice(&c->pointless)));
    return rc ? rc : check(c, e);
}

void config_close(struct config *c)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].kind == STRING)
            free(*(char **)((char *)c + config_keys[i].offset));
    }
    ensemble_close(&c->ensemble);
    free(c->path);
    buf_close(&c->text);
    buf_close(&c->pointless);
}
