/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The format of java.util.Properties, which zoo.cfg is written in: comments, continued lines,
 * "key=value", "key: value" and "key value", and escapes with backslashes in all of them. */
#ifndef ZAB_SERVER_PROPERTIES_H
#define ZAB_SERVER_PROPERTIES_H

#include "zab/buf.h"
#include "zab/err.h"

struct property {
    char *key; /* both without white space at their ends, in UTF-8 */
    char *value;
    unsigned line;     /* where it begins, from 1 */
    unsigned was_line; /* where the key was set before, since the last one counts; 0: nowhere */
};

struct properties {
    struct property *list;
    size_t n;
};

/* Read what a file has. `name` begins the sentence of an error. Close in either case. */
int properties_parse(struct properties *p, const char *name, struct slice text, struct err *e);

/* The same with the file of that name. */
int properties_load(struct properties *p, const char *path, struct err *e);
void properties_close(struct properties *p);

#endif
