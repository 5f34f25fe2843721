/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Doubly linked lists whose links are members of what they link. The head is a link too; a head
 * that points to itself is an empty list. The list owns nothing. */
#ifndef ZAB_LIST_H
#define ZAB_LIST_H

#include "zab/base.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_append(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Leaves `item` an empty list of its own, so that removing it again does no harm. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

#define LIST_ENTRY(link, type, member) container_of(link, type, member)
#define LIST_FIRST(head, type, member) LIST_ENTRY((head)->next, type, member)

#define LIST_FOR_EACH(it, head, type, member)                                                      \
    for (type *it = LIST_ENTRY((head)->next, type, member); &it->member != (head);                 \
         it = LIST_ENTRY(it->member.next, type, member))

/* As above; the body may remove and free `it`. */
#define LIST_FOR_EACH_SAFE(it, head, type, member)                                                 \
    for (type *it = LIST_ENTRY((head)->next, type, member),                                        \
              *it##_next = LIST_ENTRY(it->member.next, type, member);                              \
         &it->member != (head);                                                                    \
         it = it##_next, it##_next = LIST_ENTRY(it->member.next, type, member))

#endif
