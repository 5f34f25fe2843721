/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk in memory that loses power, for the simulator and the tests.
 *
 * For each file it keeps what is written and what is durable, in sectors of 512 bytes, and for
 * each name the file that it means and the file that it durably means. One seed and one sequence
 * of calls give one result, always.
 *
 * disk_mem_crash() is the loss of power. Of a file's unsynced sectors it keeps none, all, any of
 * them (as if the drive had reordered them), or a first part whose last sector is garbage; its
 * size is the old one or the new one. Each unsynced create, rename and unlink took place or did
 * not, each for itself.
 * disk_mem_kill() is the end of the process alone: all that was written is still there, durable
 * or not.
 * Both make the disk work again, and leave the files that were open dead: every call on them but
 * disk_close() gives -EIO. */
#ifndef ZAB_DISK_MEM_H
#define ZAB_DISK_MEM_H

#include "zab/disk.h"
#include "zab/rng.h"

struct disk_mem;

struct disk_mem *disk_mem_open(uint64_t seed);
void disk_mem_close(struct disk_mem *m); /* the open files must be closed */
struct disk *disk_mem_disk(struct disk_mem *m);

void disk_mem_crash(struct disk_mem *m);
void disk_mem_kill(struct disk_mem *m);

enum disk_mem_fault {
    DISK_MEM_EIO,    /* that operation fails; a write or sync may have done a part */
    DISK_MEM_ENOSPC, /* the same, for want of space */
    DISK_MEM_CRASH,  /* it and all behind it fail with -EIO, until disk_mem_crash() or _kill() */
};

/* The n-th operation from now (1: the next) meets the fault; 0: none does. All calls are
 * operations but disk_size(), disk_free_bytes(), disk_stat(), disk_now_s() and disk_close().
 *
 * A disk_sync() that fails leaves what the kernel leaves: some of the sectors are durable, and all
 * of them count as written back. A later disk_sync() does not write them again, though reading
 * still gives them: only writing them again does. */
void disk_mem_fail_after(struct disk_mem *m, uint64_t n, enum disk_mem_fault fault);

/* What disk_now_s() says from now on; 0 at first. */
void disk_mem_set_time(struct disk_mem *m, int64_t seconds);

/* Bytes that all files together may have; no limit at first. */
void disk_mem_set_capacity(struct disk_mem *m, uint64_t bytes);

/* How many files and directories may be open at a time; no limit at first. */
void disk_mem_set_files_max(struct disk_mem *m, unsigned n);

struct disk_mem_counters {
    uint64_t operations;
    uint64_t writes;
    uint64_t syncs; /* of files */
    uint64_t dir_syncs;
};
struct disk_mem_counters disk_mem_counters(const struct disk_mem *m);

/* Damage to what is durable: 0, or -ENOENT or -ERANGE. */
int disk_mem_flip(struct disk_mem *m, const char *path, uint64_t offset, uint8_t mask);
int disk_mem_cut(struct disk_mem *m, const char *path, uint64_t size);

#endif
