/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/sort.h"

#include <stdlib.h>
#include <string.h>

static void begin_pair(struct sorter *s, size_t begin)
{
    s->begin = s->left = begin;
    s->right = MIN(begin + s->run, s->n);
}

void sorter_begin(struct sorter *s, void *items, size_t n, size_t size, sort_compare *compare)
{
    *s = (struct sorter){.items = items, .n = n, .size = size, .run = 1, .compare = compare};
    s->room = n > 1 ? mem_alloc(n * size) : NULL;
    begin_pair(s, 0);
}

/* The next item of the pair; false: there is none. */
static bool place(struct sorter *s)
{
    size_t middle = MIN(s->begin + s->run, s->n), end = MIN(s->begin + 2 * s->run, s->n);
    if (s->left == middle && s->right == end)
        return false;
    const uint8_t *left = s->items + s->left * s->size, *right = s->items + s->right * s->size;
    bool is_left = s->right == end || (s->left < middle && s->compare(left, right) <= 0);
    uint8_t *to = s->room + (s->left + s->right - middle) * s->size;
    memcpy(to, is_left ? left : right, s->size);
    if (is_left)
        s->left++;
    else
        s->right++;
    return true;
}

static void next_pair(struct sorter *s)
{
    size_t end = s->begin + 2 * s->run;
    if (end >= s->n) {
        uint8_t *sorted = s->room;
        s->room = s->items;
        s->items = sorted;
        s->run *= 2;
        end = 0;
    }
    begin_pair(s, end);
}

bool sorter_go_on(struct sorter *s, size_t n)
{
    while (s->run < s->n && n > 0) {
        if (place(s))
            n--;
        else
            next_pair(s);
    }
    return s->run < s->n;
}

void *sorter_take(struct sorter *s)
{
    void *items = s->items;
    free(s->room);
    *s = (struct sorter){0};
    return items;
}
