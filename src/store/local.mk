# SPDX-License-Identifier: GPL-3.0-or-later
# libdiskmem.a is the disk of the simulator and the tests.
noinst_LIBRARIES += libstore.a libdiskmem.a
libstore_a_SOURCES = \
	%D%/disk.c %D%/disk_posix.c %D%/epochs.c %D%/purge.c %D%/recover.c %D%/replaced.c %D%/replaced.h %D%/snapshot_load.c \
	%D%/snapshot_save.c %D%/snapshot_source.c %D%/snapshot_source.h %D%/store.c \
	%D%/store_impl.h %D%/txnlog.c %D%/txnlog_copy.c %D%/txnlog_cut.c %D%/txnlog_damage.c %D%/txnlog_mark.c \
	%D%/txnlog_read.c
libstore_a_CFLAGS = $(AM_CFLAGS) $(ZSTD_CFLAGS) $(ZLIB_CFLAGS)
libdiskmem_a_SOURCES = %D%/disk_mem.c %D%/disk_mem_crash.c %D%/disk_mem_impl.h
