/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The options of zabfs: one table, from which help and manual are made. */
#ifndef ZAB_MOUNT_OPTIONS_H
#define ZAB_MOUNT_OPTIONS_H

#include "zab/client.h"
#include "zab/err.h"
#include "zab/mount.h"

struct options {
    char *source;     /* HOST:PORT,.../CHROOT or standalone:DATADIR */
    char *mountpoint; /* absolute */
    char *data_dir;   /* of standalone: */
    bool foreground;
    bool help;
    bool help_roff;
    bool version;
    int timeo_ms;
    int draft_ms;      /* 0: never */
    int acl_timeo_ms;  /* 0: never */
    int32_t max_reply; /* 0: the client's default */
    bool cache_pages;
    bool sync;
    bool stale_error;
    bool skip_unchanged;
    bool ignore_modes;
    bool local_locks;
    bool remount;
    mode_t umask;
    bool read_only;
    bool allow_other;
    bool default_permissions;
    bool auto_unmount;
    uid_t uid;
    gid_t gid;
    char *fsname;
    char *log;
    char *tls_ca, *tls_cert, *tls_key; /* NULL: not set */
    bool tls_any_host;
    char **auth; /* SCHEME:CREDENTIAL */
    size_t n_auth;
};

void options_init(struct options *o);
void options_close(struct options *o);
int options_parse(struct options *o, int argc, char **argv, struct err *e);

/* Once they are parsed: credentials become asterisks. */
void options_hide_auth(int argc, char **argv);
void options_help(struct buf *out);
void options_roff(struct buf *out);

#endif
