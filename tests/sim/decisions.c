/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts what the mount's core decides, which cannot be seen from outside: the linker lets its
 * calls of these functions go through here. */
#include "coverage.h"

#include "../../src/mount/model.h"

enum commit_next __real_decide_after_failure(const struct commit_failure *f);
enum commit_next __wrap_decide_after_failure(const struct commit_failure *f);
enum commit_next __real_decide_after_look(const struct commit_look *l);
enum commit_next __wrap_decide_after_look(const struct commit_look *l);
unsigned __real_sync_changes(const struct node *n);
unsigned __wrap_sync_changes(const struct node *n);
bool __real_sync_is_rename(const struct node *from, const struct node *to, bool maybe);
bool __wrap_sync_is_rename(const struct node *from, const struct node *to, bool maybe);

enum commit_next __wrap_decide_after_failure(const struct commit_failure *f)
{
    static const enum mount_point points[] = {
        [COMMIT_AGAIN] = MOUNT_POINT_commit_again,     [COMMIT_CREATE] = MOUNT_POINT_commit_create,
        [COMMIT_SET] = MOUNT_POINT_commit_set,         [COMMIT_VERIFY] = MOUNT_POINT_commit_verify,
        [COMMIT_NOWHERE] = MOUNT_POINT_commit_nowhere, [COMMIT_RACED] = MOUNT_POINT_commit_fail,
        [COMMIT_UNKNOWN] = MOUNT_POINT_commit_fail,    [COMMIT_FAIL] = MOUNT_POINT_commit_fail,
    };
    enum commit_next next = __real_decide_after_failure(f);
    cover_mount(points[next]);
    return next;
}

enum commit_next __wrap_decide_after_look(const struct commit_look *l)
{
    enum commit_next next = __real_decide_after_look(l);
    cover_mount(next == COMMIT_LANDED  ? MOUNT_POINT_look_landed
                : next == COMMIT_AGAIN ? MOUNT_POINT_look_again
                                       : MOUNT_POINT_look_raced);
    return next;
}

unsigned __wrap_sync_changes(const struct node *n)
{
    unsigned changes = __real_sync_changes(n);
    if (changes & SYNC_DELETED)
        cover_mount(MOUNT_POINT_tell_gone);
    if (changes & SYNC_CREATED)
        cover_mount(MOUNT_POINT_tell_new);
    if (changes & SYNC_DATA)
        cover_mount(MOUNT_POINT_tell_data);
    if (changes & SYNC_ACL)
        cover_mount(MOUNT_POINT_tell_acl);
    if (changes == 0)
        cover_mount(MOUNT_POINT_tell_nothing);
    return changes;
}

bool __wrap_sync_is_rename(const struct node *from, const struct node *to, bool maybe)
{
    bool one = __real_sync_is_rename(from, to, maybe);
    cover_mount(one ? MOUNT_POINT_renamed : MOUNT_POINT_not_renamed);
    return one;
}
