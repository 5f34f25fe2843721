/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: one table of the -o options, from which they are parsed and described. What
 * mount(8) and fstab hand on to every file system is accepted and needs no words. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum option_kind {
    OPT_FLAG,    /* sets a bool */
    OPT_NO_FLAG, /* clears a bool */
    OPT_SECONDS, /* decimal fractions allowed; kept in milliseconds */
    OPT_STRING,
    OPT_ID,
    OPT_AUTH,
    OPT_AUTH_FILE,
    OPT_CHOICE, /* of two words, the default first; the second sets a bool */
    OPT_SIZE,
    OPT_UMASK,
    OPT_IGNORED,
};

static const struct option_entry {
    const char *name; /* ending in '=' if there is a value */
    const char *value;
    enum option_kind kind;
    size_t offset;
    const char *help; /* NULL: not described */
} table[] = {
#define FIELD(f) offsetof(struct options, f)
    {"timeo=", "SECONDS", OPT_SECONDS, FIELD(timeo_ms),
     "longest wait for the servers, before a request fails (10)"},
    {"draft=", "SECONDS", OPT_SECONDS, FIELD(draft_ms),
     "commit what was written to a file that stays open after so long without a write; 0: only "
     "when it is closed or synced (1)"},
    {"cache=", "versions|pages", OPT_CHOICE, FIELD(cache_pages),
     "versions: an open file is one version, read whole. pages: the kernel's page cache, for "
     "shared mmap and fast reads, without that promise (versions)"},
    {"sync", NULL, OPT_FLAG, FIELD(sync), "sync with the leader before each open"},
    {"stale=", "serve|error", OPT_CHOICE, FIELD(stale_error),
     "without a quorum: read what is known, or fail (serve)"},
    {"unchanged=", "write|skip", OPT_CHOICE, FIELD(skip_unchanged),
     "a close that changes nothing: write makes a version all the same, which tells those who "
     "watch; skip makes none, so that cp and rsync --inplace of what is there cost nothing "
     "(write)"},
    {"modes=", "strict|ignore", OPT_CHOICE, FIELD(ignore_modes),
     "a mode that would hide a file and cannot be enforced, since the mount has no identity: fail "
     "with EPERM, or accept it and change no ACL (strict)"},
    {"locks=", "none|local", OPT_CHOICE, FIELD(local_locks),
     "flock and fcntl locks: fail with ENOLCK, or hold within this mount only, while other "
     "machines know nothing of them (none)"},
    {"acl_timeo=", "SECONDS", OPT_SECONDS, FIELD(acl_timeo_ms),
     "look at the ACLs of files that are in use after so long, since servers do not tell of their "
     "changes; 0: never (60)"},
    {"maxreply=", "SIZE", OPT_SIZE, FIELD(max_reply),
     "the longest answer to take, 1M to 1G: a directory or file that is larger fails with EMSGSIZE "
     "(4M)"},
    {"ro", NULL, OPT_FLAG, FIELD(read_only), "change nothing through this mount"},
    {"rw", NULL, OPT_NO_FLAG, FIELD(read_only), NULL},
    {"auth=", "SCHEME:CREDENTIAL", OPT_AUTH, 0,
     "authenticate, e.g. digest:user:password; other users of the machine can see it: prefer "
     "authfile="},
    {"authfile=", "FILE", OPT_AUTH_FILE, 0, "authenticate with each line of FILE, as in auth="},
    {"tls_ca=", "FILE", OPT_STRING, FIELD(tls_ca),
     "speak TLS with servers that a certificate in FILE (PEM) vouches for"},
    {"tls_cert=", "FILE", OPT_STRING, FIELD(tls_cert),
     "the certificate to show to servers that want one, with its chain (PEM)"},
    {"tls_key=", "FILE", OPT_STRING, FIELD(tls_key),
     "its private key (PEM), if that is not in the same file"},
    {"tls_any_host", NULL, OPT_FLAG, FIELD(tls_any_host),
     "the server's certificate may be for another host than the one asked for"},
    {"umask=", "OCTAL", OPT_UMASK, 0, "take these bits from all modes that are shown (0)"},
    {"uid=", "UID", OPT_ID, FIELD(uid), "owner of all files (who mounts)"},
    {"gid=", "GID", OPT_ID, FIELD(gid), "group of all files (who mounts)"},
    {"allow_other", NULL, OPT_FLAG, FIELD(allow_other),
     "other users may use the mount, within the modes that it shows"},
    {"default_permissions", NULL, OPT_FLAG, FIELD(default_permissions),
     "the kernel checks the modes (always with allow_other)"},
    {"noauto_unmount", NULL, OPT_NO_FLAG, FIELD(auto_unmount),
     "leave the mount point behind if zabfs dies"},
    {"auto_unmount", NULL, OPT_FLAG, FIELD(auto_unmount), NULL},
    {"fsname=", "NAME", OPT_STRING, FIELD(fsname), "the source that mount(8) shows"},
    {"log=", "FILE", OPT_STRING, FIELD(log), "append the log to FILE once in the background"},
    {"remount", NULL, OPT_FLAG, FIELD(remount), NULL},
    {"defaults", NULL, OPT_IGNORED, 0, NULL},
    {"auto", NULL, OPT_IGNORED, 0, NULL},
    {"noauto", NULL, OPT_IGNORED, 0, NULL},
    {"user", NULL, OPT_IGNORED, 0, NULL},
    {"nouser", NULL, OPT_IGNORED, 0, NULL},
    {"users", NULL, OPT_IGNORED, 0, NULL},
    {"nofail", NULL, OPT_IGNORED, 0, NULL},
    {"_netdev", NULL, OPT_IGNORED, 0, NULL},
    {"nosuid", NULL, OPT_IGNORED, 0, NULL},
    {"nodev", NULL, OPT_IGNORED, 0, NULL},
    {"exec", NULL, OPT_IGNORED, 0, NULL},
    {"noexec", NULL, OPT_IGNORED, 0, NULL},
    {"dev", NULL, OPT_IGNORED, 0, NULL},
    {"suid", NULL, OPT_IGNORED, 0, NULL},
    {"atime", NULL, OPT_IGNORED, 0, NULL},
    {"noatime", NULL, OPT_IGNORED, 0, NULL},
    {"relatime", NULL, OPT_IGNORED, 0, NULL},
    {"async", NULL, OPT_IGNORED, 0, NULL},
    {"dirsync", NULL, OPT_IGNORED, 0, NULL},
    {"diratime", NULL, OPT_IGNORED, 0, NULL},
    {"nodiratime", NULL, OPT_IGNORED, 0, NULL},
    {"norelatime", NULL, OPT_IGNORED, 0, NULL},
    {"strictatime", NULL, OPT_IGNORED, 0, NULL},
    {"nostrictatime", NULL, OPT_IGNORED, 0, NULL},
    {"lazytime", NULL, OPT_IGNORED, 0, NULL},
    {"nolazytime", NULL, OPT_IGNORED, 0, NULL},
    {"owner", NULL, OPT_IGNORED, 0, NULL},
    {"group", NULL, OPT_IGNORED, 0, NULL},
    {"silent", NULL, OPT_IGNORED, 0, NULL},
    {"loud", NULL, OPT_IGNORED, 0, NULL},
    {"max_read=", "BYTES", OPT_IGNORED, 0, NULL},
#undef FIELD
};

void options_init(struct options *o)
{
    *o = (struct options){.timeo_ms = 10000,
                          .draft_ms = 1000,
                          .acl_timeo_ms = 60000,
                          .auto_unmount = true,
                          .uid = getuid(),
                          .gid = getgid()};
}

void options_close(struct options *o)
{
    free(o->source);
    free(o->mountpoint);
    free(o->data_dir);
    free(o->fsname);
    free(o->log);
    free(o->tls_ca);
    free(o->tls_cert);
    free(o->tls_key);
    for (size_t i = 0; i < o->n_auth; i++) {
        explicit_bzero(o->auth[i], strlen(o->auth[i]));
        free(o->auth[i]);
    }
    free(o->auth);
}

static int bad_value(struct err *e, const struct option_entry *opt, const char *value)
{
    return err_set(e, -EINVAL, "option %s%s: it must be %s%s", opt->name, value, opt->name,
                   opt->value);
}

static int parse_seconds(const char *value, int *ms)
{
    char *end;
    double s = strtod(value, &end);
    if (end == value || *end != '\0' || !(s >= 0 && s <= 86400))
        return -EINVAL;
    *ms = (int)(s * 1000 + 0.5);
    return 0;
}

static int parse_id(const char *value, unsigned *id)
{
    char *end;
    unsigned long v = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || v >= UINT_MAX)
        return -EINVAL;
    *id = (unsigned)v;
    return 0;
}

static int parse_umask(const char *value, mode_t *mask)
{
    char *end;
    unsigned long v = strtoul(value, &end, 8);
    if (*value < '0' || *value > '7' || *end != '\0' || v > 0777)
        return -EINVAL;
    *mask = (mode_t)v;
    return 0;
}

static int choose(const char *words, const char *value, bool *second)
{
    size_t first = strcspn(words, "|");
    *second = strcmp(value, words + first + 1) == 0;
    bool ok = *second || (strlen(value) == first && strncmp(value, words, first) == 0);
    return ok ? 0 : -EINVAL;
}

static int add_auth(struct options *o, const char *value, struct err *e)
{
    const char *colon = strchr(value, ':');
    if (!colon || colon == value)
        return err_set(e, -EINVAL,
                       "an auth must be SCHEME:CREDENTIAL, such as digest:user:password");
    o->auth = mem_realloc(o->auth, (o->n_auth + 1) * sizeof(*o->auth));
    o->auth[o->n_auth++] = mem_strdup(value);
    return 0;
}

static int read_auth_file(struct options *o, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "authfile=%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    for (ssize_t n; rc == 0 && (n = getline(&line, &cap, f)) > 0;) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            rc = add_auth(o, line, e);
    }
    if (line)
        explicit_bzero(line, cap);
    free(line);
    fclose(f);
    return rc;
}

static int apply(struct options *o, const struct option_entry *opt, const char *value,
                 struct err *e)
{
    void *field = (char *)o + opt->offset;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)field = true;
        return 0;
    case OPT_NO_FLAG:
        *(bool *)field = false;
        return 0;
    case OPT_SECONDS:
        return parse_seconds(value, field) == 0 ? 0 : bad_value(e, opt, value);
    case OPT_ID:
        return parse_id(value, field) == 0 ? 0 : bad_value(e, opt, value);
    case OPT_STRING:
        free(*(char **)field);
        *(char **)field = mem_strdup(value);
        return 0;
    case OPT_AUTH:
        return add_auth(o, value, e);
    case OPT_AUTH_FILE:
        return read_auth_file(o, value, e);
    case OPT_CHOICE:
        return choose(opt->value, value, field) == 0 ? 0 : bad_value(e, opt, value);
    case OPT_SIZE:
        return client_parse_reply_max(value, field) == 0 ? 0 : bad_value(e, opt, value);
    case OPT_UMASK:
        return parse_umask(value, &o->umask) == 0 ? 0 : bad_value(e, opt, value);
    case OPT_IGNORED:
        return 0;
    }
    return 0;
}

static int parse_one(struct options *o, const char *text, struct err *e)
{
    if (text[0] == '\0' || strncmp(text, "x-", 2) == 0 || strncmp(text, "comment=", 8) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option_entry *opt = &table[i];
        size_t len = strlen(opt->name);
        if (opt->name[len - 1] == '=' ? strncmp(text, opt->name, len) == 0
                                      : strcmp(text, opt->name) == 0)
            return apply(o, opt, text + len, e);
    }
    return err_set(e, -EINVAL, "unknown option '-o %s'; zabfs --help lists them", text);
}

/* A list with commas; a backslash takes the next character as it is. */
static int parse_list(struct options *o, const char *list, struct err *e)
{
    char *one = mem_alloc(strlen(list) + 1);
    int rc = 0;
    while (rc == 0 && *list != '\0') {
        size_t n = 0;
        for (; *list != '\0' && *list != ','; list++) {
            if (*list == '\\' && list[1] != '\0')
                list++;
            one[n++] = *list;
        }
        one[n] = '\0';
        list += *list == ',';
        rc = parse_one(o, one, e);
    }
    free(one);
    return rc;
}

static int take_source(struct options *o, struct err *e)
{
    static const char standalone[] = "standalone:";
    if (strncmp(o->source, standalone, strlen(standalone)) != 0)
        return 0;
    const char *dir = o->source + strlen(standalone);
    if (*dir == '\0')
        return err_set(e, -EINVAL, "'%s' names no data directory: standalone:DATADIR", o->source);
    o->data_dir = mem_strdup(dir);
    return 0;
}

static int take_word(struct options *o, const char *word, struct err *e)
{
    if (!o->source)
        o->source = mem_strdup(word);
    else if (!o->mountpoint)
        o->mountpoint = mem_strdup(word);
    else
        return err_set(e, -EINVAL, "'%s' is one argument too many; see zabfs --help", word);
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    bool words_only = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int rc = 0;
        if (words_only || arg[0] != '-')
            rc = take_word(o, arg, e);
        else if (strcmp(arg, "--") == 0)
            words_only = true;
        else if (strcmp(arg, "-f") == 0 || strcmp(arg, "--foreground") == 0)
            o->foreground = true;
        else if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0)
            o->help = true;
        else if (strcmp(arg, "--help=roff") == 0)
            o->help = o->help_roff = true;
        else if (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0)
            o->version = true;
        else if (strcmp(arg, "-o") == 0 && i + 1 < argc)
            rc = parse_list(o, argv[++i], e);
        else if (strncmp(arg, "-o", 2) == 0 && arg[2] != '\0')
            rc = parse_list(o, arg + 2, e);
        else
            rc = err_set(e, -EINVAL, "unknown argument '%s'; see zabfs --help", arg);
        if (rc < 0)
            return rc;
    }
    if (o->help || o->version)
        return 0;
    if (!o->source || !o->mountpoint)
        return err_set(e, -EINVAL, "usage: zabfs HOST:PORT[,HOST:PORT...][/CHROOT] DIR [-o ...]");
    if (o->timeo_ms < 100)
        return err_set(e, -EINVAL, "option timeo=: it must be at least 0.1 seconds");
    return take_source(o, e);
}

/* What others see of the arguments (ps, /proc) shall not have credentials in it. */
static void hide_auth(char *list)
{
    while (*list != '\0') {
        bool auth = strncmp(list, "auth=", 5) == 0;
        for (size_t n = 0; *list != '\0' && *list != ','; list++, n++) {
            bool escaped = *list == '\\' && list[1] != '\0';
            if (auth && n >= 5)
                *list = '*';
            list += escaped;
            if (auth && escaped)
                *list = '*';
        }
        list += *list == ',';
    }
}

void options_hide_auth(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            hide_auth(argv[++i]);
        else if (strncmp(argv[i], "-o", 2) == 0)
            hide_auth(argv[i] + 2);
    }
}

/* `text` in lines of 54 characters behind a column of 24. */
static void append_wrapped(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strlen(text);
        if (len > 54) {
            len = 54;
            while (len > 1 && text[len] != ' ')
                len--;
        }
        buf_printf(out, "%.*s\n", (int)len, text);
        text += len;
        text += strspn(text, " ");
        if (*text != '\0')
            buf_printf(out, "%24s", "");
    }
}

/* The options for the man page. */
void options_roff(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option_entry *opt = &table[i];
        if (opt->help)
            buf_printf(out, ".TP\n.B \\-o %s\\fI%s\\fR\n%s.\n", opt->name,
                       opt->value ? opt->value : "", opt->help);
    }
}

void options_help(struct buf *out)
{
    buf_printf(out, "usage: zabfs HOST:PORT[,HOST:PORT...][/CHROOT] DIR [-f] [-o OPTION[,...]]\n"
                    "       zabfs standalone:DATADIR DIR [-f] [-o OPTION[,...]]\n\n"
                    "Mount a ZooKeeper tree. With standalone: zabfs runs a server of its own.\n\n"
                    "  -f, --foreground      stay in the foreground, log to standard error\n"
                    "  -h, --help            this text\n"
                    "  -V, --version         the version\n\n"
                    "Options for -o:\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option_entry *opt = &table[i];
        char name[64];
        if (!opt->help)
            continue;
        snprintf(name, sizeof(name), "%s%s", opt->name, opt->value ? opt->value : "");
        if (strlen(name) > 21)
            buf_printf(out, "  %s\n%24s", name, "");
        else
            buf_printf(out, "  %-22s", name);
        append_wrapped(out, opt->help);
    }
}
