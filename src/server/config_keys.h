/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What zoo.cfg's keys are. */
#ifndef ZAB_SERVER_CONFIG_KEYS_H
#define ZAB_SERVER_CONFIG_KEYS_H

#include "config.h"

/* As ZooKeeper reads the value of that key, but that its booleans are yes and no as well. */
enum config_kind {
    INTEGER,   /* Integer.parseInt: another value is an error */
    PROPERTY,  /* Integer.getInteger, with hexadecimal and octal: another value is the default */
    BOOLEAN,   /* another word is an error */
    LENIENT,   /* Boolean.parseBoolean: another word is "no" */
    ONLY_YES,  /* another word is "no" */
    UNLESS_NO, /* another word is "yes" */
    STRING,
    NOTHING, /* of the Java machine, and such */
    MISSING, /* what it asks for is not there, and nobody is harmed */
    REFUSED, /* it protects, or says what the ensemble is, and it is not there */
};

struct config_key {
    const char *name; /* a * at its end: all that begin so */
    enum config_kind kind;
    size_t offset; /* of its member of struct config */
    int64_t min, max;
    const char *default_value; /* NULL: none; REFUSED: the value that is harmless */
    const char *help;          /* what it is, or why it is not there */
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* NULL if nobody knows it. */
const struct config_key *config_find_key(const char *name);

/* The key that was probably meant, or NULL. */
const char *config_nearest_key(const char *name);

#endif
