/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a swarm has covered, over all of its seeds. What is listed here and never happened is a
 * failure of the swarm: a generator that has stopped to make something, or a check that has
 * nothing to look at, says so itself. */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What is counted with one number, or with two. */
enum cover_kind {
    COVER_POINT = 1,      /* enum cover_point */
    COVER_ANSWER,         /* enum zk_op, enum zk_error */
    COVER_PART,           /* of a multi: enum zk_op, whether the multi was done */
    COVER_EVENT,          /* enum node_event_type */
    COVER_EFFECT,         /* enum node_effect_type */
    COVER_CORE_EVENT,     /* enum zab_event_type */
    COVER_CORE_EFFECT,    /* enum zab_effect_type */
    COVER_PACKET,         /* enum zab_packet_type */
    COVER_PHASE,          /* enum zab_phase: from, to */
    COVER_WATCH,          /* enum zk_event_type, kind of the watch */
    COVER_MISSED,         /* the same: told when it was set again */
    COVER_SESSION,        /* enum client_state */
    COVER_DEED,           /* of operators: which */
    COVER_PLIGHT,         /* who stays behind: how, whether it led */
    COVER_BREAKAGE,       /* enum breakage */
    COVER_MOUNT,          /* enum mount_point */
    COVER_MOUNT_REQUEST,  /* enum mount_op */
    COVER_MOUNT_EVENT,    /* enum mount_event_type */
    COVER_MOUNT_EFFECT,   /* enum mount_effect_type */
    COVER_MOUNT_KILLED,   /* enum mount_op, whether it was delivered */
    COVER_MOUNT_INJECT,   /* enum mount_inject, whether of a directory */
    COVER_MOUNT_INJECTED, /* its result */
    COVER_MOUNT_ASK,      /* enum zk_op */
    COVER_MOUNT_ANSWER,   /* enum zk_op, enum zk_error */
    COVER_MOUNT_REPLY,    /* enum mount_op, enum mount_reply_type */
    COVER_MOUNT_ERROR,    /* enum mount_op, errno */
    COVER_MOUNT_SESSION,  /* enum client_state */
    COVER_NOTIFY,         /* inotify's mask */
    COVER_CALL,           /* enum call_type */
    COVER_CALL_RC,        /* enum call_type, negative errno or 0 */
};

#define COVER_POINTS(P)                                                                            \
    P(fault_cut, "fault: a client's connection is cut")                                            \
    P(fault_power, "fault: the power fails")                                                       \
    P(fault_kill, "fault: the process ends")                                                       \
    P(fault_several, "fault: several machines at once")                                            \
    P(fault_disk_crash, "fault: a crash in the middle of work on the disk")                        \
    P(fault_disk_eio, "fault: an operation of the disk fails")                                     \
    P(fault_disk_enospc, "fault: an operation of the disk has no space")                           \
    P(fault_disk_full, "fault: the disk is full")                                                  \
    P(fault_disk_slow, "fault: the disk is slow")                                                  \
    P(fault_disk_lost, "fault: a disk is lost")                                                    \
    P(hostile_vote, "fault: an election message that nobody wrote")                                \
    P(hostile_epoch, "fault: a learner that says that it has accepted another epoch")              \
    P(fault_torn, "fault: recovery cuts a torn tail")                                              \
    P(fault_rot_refused, "fault: a bit turns over, and the replica does not start")                \
    P(fault_rot_survived, "fault: a bit turns over, and the replica starts with all")              \
    P(fault_replaced, "fault: a replica that does not start gets an empty disk")                   \
    P(fault_clock, "fault: a clock is turned")                                                     \
    P(fault_pause, "fault: a process stands still")                                                \
    P(fault_disks_full, "fault: several disks are full")                                           \
    P(fault_no_files, "fault: no file descriptors are left")                                       \
    P(log_waits, "the log waits for room")                                                         \
    P(fault_stall_disk, "fault: a disk stands still")                                              \
    P(fault_stall_loop, "fault: a loop is busy")                                                   \
    P(fault_stall_tree, "fault: a tree is slow")                                                   \
    P(fault_stall_all, "fault: disk, loop and tree stand still")                                   \
    P(fault_depose, "fault: a leader stands still or is cut off until there is another")           \
    P(fault_purge, "fault: a purge")                                                               \
    P(fault_isolate, "fault: a server is isolated")                                                \
    P(fault_one_way, "fault: one way between two servers is blocked")                              \
    P(fault_both_ways, "fault: two servers are apart")                                             \
    P(fault_split, "fault: the network is split")                                                  \
    P(fault_bridge, "fault: the network is split, and one server sees both sides")                 \
    P(fault_unblock, "fault: the network is whole again")                                          \
    P(fault_links, "fault: links are cut")                                                         \
    P(fault_tree_cut, "fault: a link breaks while a tree goes over it")                            \
    P(fault_mail, "fault: an election message is lost")                                            \
    P(fault_late, "fault: bytes come very late")                                                   \
    P(fault_silent, "fault: a machine dies and its peers learn it late")                           \
    P(sync_diff_memory, "sync: DIFF from memory")                                                  \
    P(sync_diff_log, "sync: DIFF from the log")                                                    \
    P(sync_trunc_memory, "sync: TRUNC from memory")                                                \
    P(sync_trunc_log, "sync: TRUNC from the log")                                                  \
    P(sync_snap_memory, "sync: SNAP, the log was not asked")                                       \
    P(sync_snap_log, "sync: SNAP, the log was no help")                                            \
    P(times_production, "tickTime, initLimit and syncLimit of ZooKeeper's sample file")            \
    P(many_clients, "more than five clients")                                                      \
    P(crowd, "more than a hundred nodes")                                                          \
    P(large_data, "more than a thousand bytes of data")                                            \
    P(single, "a single replica")                                                                  \
    P(observers, "an ensemble with observers")                                                     \
    P(snapshot_saved, "a snapshot is saved")                                                       \
    P(snapshot_cancelled, "a snapshot is given up")                                                \
    P(read_paused, "a connection is paused")                                                       \
    P(check_granted, "check: a session that is granted")                                           \
    P(check_refused, "check: a session that is refused")                                           \
    P(check_written, "check: the answer to a write")                                               \
    P(check_refusal, "check: a refused write")                                                     \
    P(check_read, "check: a read")                                                                 \
    P(check_newest, "check: a read or sync that may not be stale")                                 \
    P(check_error_txn, "check: a refusal that was proposed")                                       \
    P(check_expiry, "check: a session's expiry")                                                   \
    P(check_container, "check: a container or TTL node that is due")                               \
    P(check_tree, "check: a tree against the model")                                               \
    P(check_digest, "check: a tree's bytes against those of the others")                           \
    P(check_known, "check: what a learner appends")                                                \
    P(check_started, "check: what a start finds")                                                  \
    P(check_took_back, "check: what is taken back is not committed")                               \
    P(check_established, "check: a leader's initial history")                                      \
    P(check_begin, "check: the tree at the beginning of an epoch")                                 \
    P(check_in_quorum, "check: what is served is on a quorum's disks")                             \
    P(check_ack, "check: what is acknowledged is durable")                                         \
    P(check_ack_epoch, "check: an epoch that is acknowledged is durable")                          \
    P(check_epoch_told, "check: an epoch that is told is durable")                                 \
    P(check_real_time, "check: a write comes behind what was known")                               \
    P(check_core, "check: a majority serves while the others stay behind")                         \
    P(check_watch_reset, "check: watches that are set again")                                      \
    P(check_watch_removed, "check: a watch that is removed")                                       \
    P(check_calm, "check: nothing happens while all is well")

/* Of runs with mounts. */
#define MOUNT_POINTS(P)                                                                            \
    P(lock, "mount: a call waits for another's lock")                                              \
    P(forget, "mount: an inode is forgotten")                                                      \
    P(attr_old, "mount: attributes that are older than what is known")                             \
    P(attr_cached, "mount: attributes from the cache")                                             \
    P(name_cached, "mount: a name from the cache")                                                 \
    P(none_cached, "mount: from the cache that there is no such name")                             \
    P(revalidate, "mount: a name that is asked for again")                                         \
    P(name_stale, "mount: a name that is another now")                                             \
    P(dir_moved, "mount: a directory that is found at another place")                              \
    P(lookup_shared, "mount: two look for one name")                                               \
    P(estale, "mount: ESTALE at open, and one more try")                                           \
    P(drop_caches, "mount: caches are dropped")                                                    \
    P(listing_kept, "mount: a listing from the cache")                                             \
    P(listing_lost, "mount: a listing whose pages are gone")                                       \
    P(plus, "mount: an entry of READDIRPLUS makes a name")                                         \
    P(plus_other, "mount: an entry of READDIRPLUS is another than is known")                       \
    P(inval_entry, "mount: a name is invalidated")                                                 \
    P(inval_inode, "mount: an inode is invalidated")                                               \
    P(injector_killed, "mount: the injector is killed in a call")                                  \
    P(check_mirror, "mount: check: a mirror that follows events")                                  \
    P(check_log, "mount: check: lines stay")                                                       \
    P(check_made, "mount: check: what a call says of its name")                                    \
    P(check_content, "mount: check: what is there behind a close")                                 \
    P(check_missed, "mount: check: a name that is always there")                                   \
    P(check_read, "mount: check: a reader sees a whole version")                                   \
    P(check_listed, "mount: check: a listing")                                                     \
    P(program_killed, "mount: a program is killed")                                                \
    P(reply_lost, "mount: a reply that nobody takes")                                              \
    P(without_zxids, "mount: events do not say of which transaction they are")                     \
    P(pages, "mount: a mount with the page cache")                                                 \
    P(sync_option, "mount: a mount with -o sync")                                                  \
    P(acl_timeo, "mount: a mount that reads ACLs again")                                           \
    P(check_follow, "mount: check: a reader at the end")                                           \
    P(check_draft, "mount: check: a descriptor reads its draft")                                   \
    P(check_size, "mount: check: a descriptor knows its size")                                     \
    P(check_line, "mount: check: an appended line")                                                \
    P(check_wait, "mount: check: how long a request waits")                                        \
    P(check_step, "mount: check: how much a step does")                                            \
    P(check_too_large, "mount: check: the close behind a write that did not fit")                  \
    P(commit_again, "mount: a commit that failed begins again")                                    \
    P(commit_create, "mount: a file that is gone is made again")                                   \
    P(commit_set, "mount: a file that is there by now is set")                                     \
    P(commit_verify, "mount: a commit is looked for, as its answer was lost")                      \
    P(commit_nowhere, "mount: a file without a name has no commit")                                \
    P(commit_fail, "mount: a commit fails")                                                        \
    P(look_landed, "mount: what was looked for is there")                                          \
    P(look_again, "mount: what was looked for is not there, and is sent again")                    \
    P(look_raced, "mount: somebody else was first")                                                \
    P(tell_gone, "mount: a name that is gone is told")                                             \
    P(tell_new, "mount: a new name is told")                                                       \
    P(tell_data, "mount: other data are told")                                                     \
    P(tell_acl, "mount: another ACL is told")                                                      \
    P(tell_nothing, "mount: nothing is to be told")                                                \
    P(renamed, "mount: what is gone and what is new are one")                                      \
    P(not_renamed, "mount: what is gone and what is new are two")                                  \
    P(check_error, "mount: check: the close of a child that wrote nothing")                        \
    P(check_cache, "mount: check: a name that the kernel keeps")                                   \
    P(check_none, "mount: check: a name that the kernel keeps as one that is not there")           \
    P(check_attr, "mount: check: a size that the kernel keeps")                                    \
    P(check_pages, "mount: check: pages that the kernel keeps")                                    \
    P(check_kept_list, "mount: check: a listing that the kernel keeps")                            \
    P(check_list_closed, "mount: check: a listing with files that may not be read")                \
    P(check_moved, "mount: check: a move that is told")                                            \
    P(check_closed, "mount: check: a file that may not be read")                                   \
    P(check_open, "mount: check: a file that may be read again")

enum mount_point {
#define MOUNT_POINT_ENUM(name, text) MOUNT_POINT_##name,
    MOUNT_POINTS(MOUNT_POINT_ENUM)
#undef MOUNT_POINT_ENUM
        MOUNT_POINT_bad_inode, /* these must not happen often enough to be listed */
    MOUNT_POINT_made_other,
};

enum cover_point {
#define COVER_POINT_ENUM(name, text) COVER_##name,
    COVER_POINTS(COVER_POINT_ENUM)
#undef COVER_POINT_ENUM
};

/* How often each was covered. */
struct cover_count {
    enum cover_kind kind; /* 0: this place is free */
    int32_t a, b;
    uint64_t n;
};

enum {
    COVER_SLOTS = 2048,
};

/* Where to count from now on; room for COVER_SLOTS, all zero to begin with. */
void coverage_begin(struct cover_count *counts);
void coverage_add(const struct cover_count *counts);
void cover(enum cover_kind kind, int32_t a, int32_t b);
static inline void cover_point(enum cover_point p)
{
    cover(COVER_POINT, p, 0);
}

static inline void cover_mount(enum mount_point p)
{
    cover(COVER_MOUNT, p, 0);
}

/* The table. */
void coverage_print(FILE *to);

/* What a swarm is of: each has its own list. */
enum cover_swarm {
    COVER_SERVERS,
    COVER_OPERATORS,
    COVER_MOUNTS,
};

/* False if something that is listed was not covered; it is named. */
bool coverage_is_whole(FILE *to, enum cover_swarm swarm);

#endif
