/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of history that put what they replace aside: replaced.c, purge.c. */
#ifndef STORE_REPLACED_H
#define STORE_REPLACED_H

#include "store_impl.h"

#define REPLACED_PREFIX "replaced-"
#define INCOMING_PREFIX "incoming."

enum {
    REPLACED_NAME_MAX = 64,
};

enum replacement_kind {
    REPLACEMENT_TRUNCATE,     /* what is behind `zxid` goes */
    REPLACEMENT_INSTALL,      /* all goes, and incoming.ZXID.zst comes */
    REPLACEMENT_INSTALL_OVER, /* the same, and a snapshot of that zxid is among what goes */
};

struct replacement {
    enum replacement_kind kind;
    int64_t zxid;
    char dir[REPLACED_NAME_MAX];
};

/* The first entry behind a zxid; the file that it is cut out of, NULL if whole files go. */
struct replaced_cut {
    int64_t first_zxid;
    char *name;
    uint64_t offset;
};

/* 1, or 0 if the log has nothing behind `zxid`. */
int replaced_find_cut(struct store *s, int64_t zxid, struct replaced_cut *cut, struct err *e);

/* Cut history behind `zxid`, or put the tree that waits as incoming.ZXID.zst in its place. `dir`:
 * the name of the directories that have the rest. */
int replaced_truncate(struct store *s, int64_t zxid, const struct replaced_cut *cut, char *dir,
                      struct err *e);
int replaced_install(struct store *s, int64_t zxid, char *dir, struct err *e);

/* Go on with what was cut short: 1 if there was something. */
int replaced_finish(struct store *s, char *dir, struct err *e);

#endif
