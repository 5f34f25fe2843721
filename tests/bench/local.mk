# SPDX-License-Identifier: GPL-3.0-or-later
# `make bench`: this build beside Apache ZooKeeper and tmpfs. BENCH_FLAGS: see bench --help.
# `make turns`: how long the longest turn of the loop is, where that is hard.
bench_programs = %D%/floor %D%/fsload %D%/notify %D%/turns %D%/zkload
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)
dist_noinst_SCRIPTS = %D%/bench
EXTRA_DIST += %D%/loads.py %D%/servers.py %D%/table.py

BENCH_LIBS = libjute.a libutil.a
%C%_floor_SOURCES = %D%/floor.c
%C%_fsload_SOURCES = %D%/fsload.c
%C%_fsload_LDADD = $(BENCH_LIBS)
%C%_notify_SOURCES = %D%/notify.c %D%/zk_conn.c %D%/zk_conn.h
%C%_notify_LDADD = $(BENCH_LIBS)
%C%_turns_SOURCES = %D%/turns.c
%C%_turns_LDADD = libnode.a libzab.a libstore.a libtree.a libjute.a libutil.a $(ZSTD_LIBS) \
	$(ZLIB_LIBS) $(CRYPTO_LIBS)
%C%_zkload_SOURCES = %D%/zkload.c %D%/zk_conn.c %D%/zk_conn.h
%C%_zkload_LDADD = $(BENCH_LIBS)

bench: zabd zabfs $(bench_programs)
	$(srcdir)/%D%/bench --build . $(BENCH_FLAGS)

turns: %D%/turns
	%D%/turns

.PHONY: bench turns
