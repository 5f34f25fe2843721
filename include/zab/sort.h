/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stable merge sort that is done in parts, so that what else there is to do need not wait for
 * all of it. */
#ifndef ZAB_SORT_H
#define ZAB_SORT_H

#include "zab/base.h"

typedef int sort_compare(const void *a, const void *b);

/* All zero: there is nothing to sort. */
struct sorter {
    uint8_t *items;     /* all of them, in sorted runs of `run`, */
    uint8_t *room;      /* which are merged in pairs into this */
    size_t n, size;     /* items, and bytes of each */
    size_t run;         /* items */
    size_t begin;       /* of the pair that is being merged, */
    size_t left, right; /* and the next item of each of the two */
    sort_compare *compare;
};

/* `items` is on the heap, and the sorter's until it is taken back. */
void sorter_begin(struct sorter *s, void *items, size_t n, size_t size, sort_compare *compare);

/* Place at most so many items; false: all are sorted. */
bool sorter_go_on(struct sorter *s, size_t n);

/* The items, in whatever order they are by now. They may have moved. */
void *sorter_take(struct sorter *s);

#endif
