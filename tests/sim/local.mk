# SPDX-License-Identifier: GPL-3.0-or-later
# The simulator. "make swarm SEEDS=N" runs more of it than "make check" does.
check_PROGRAMS += %D%/sim %D%/explore %D%/test_kernel
TESTS += %D%/check-sim.sh %D%/explore %D%/test_kernel
EXTRA_DIST += %D%/check-sim.sh %D%/scripts
sim_kernel = %D%/kernel.h %D%/kernel_call.c %D%/kernel_change.c %D%/kernel_dentry.c %D%/kernel_dir.c \
	%D%/kernel_file.c %D%/kernel_inject.c %D%/kernel_inode.c %D%/kernel_notify.c %D%/kernel_open.c \
	%D%/kernel_path.c %D%/kernel_queue.c %D%/kernel_task.c
%C%_sim_SOURCES = \
	%D%/aclcheck.c %D%/answer.c %D%/cachecheck.c %D%/check.c %D%/client.c %D%/command.c %D%/compare.c %D%/core.c %D%/coverage.c %D%/coverage.h %D%/decisions.c %D%/disks.c %D%/draw.c %D%/ending.c %D%/ends.c \
	%D%/faults.c %D%/follow.c %D%/hostile.c %D%/invariant.c %D%/journal.c %D%/journal.h %D%/links.c %D%/logger.c %D%/main.c \
	%D%/minority.c %D%/model.c %D%/model.h %D%/model_read.c %D%/model_write.c %D%/net.c %D%/operators.c %D%/options.c %D%/peers.c \
	%D%/proposal.c %D%/reads.c %D%/request.c %D%/rot.c %D%/script.c %D%/server.c %D%/server.h \
	$(sim_kernel) %D%/mirror.c %D%/mount_call.c %D%/mount_command.c %D%/mountcheck.c %D%/mountpoint.c %D%/mountpoint.h %D%/movecheck.c %D%/own_file.c \
	%D%/program.c %D%/program.h \
	%D%/shrink.c %D%/sim.h %D%/snapshots.c %D%/stalls.c %D%/tamper.c %D%/tamper_link.c %D%/tamper_mount.c %D%/watchcheck.c %D%/world.c
%C%_sim_LDFLAGS = -Wl,--wrap=zab_step -Wl,--wrap=decide_after_failure -Wl,--wrap=decide_after_look \
	-Wl,--wrap=sync_changes -Wl,--wrap=sync_is_rename
%C%_sim_LDADD = libmount.a libnode.a libzab.a libsession.a libstore.a libdiskmem.a libtree.a libjute.a libutil.a \
	$(CRYPTO_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS)

%C%_explore_SOURCES = %D%/explore.c tests/unit/zab_cluster.c tests/unit/zab_cluster.h
%C%_explore_LDADD = libzab.a libjute.a libutil.a

# The model of the kernel by itself.
%C%_test_kernel_SOURCES = %D%/test_kernel.c %D%/test_kernel.h %D%/test_kernel_fs.c $(sim_kernel) %D%/coverage.c %D%/coverage.h
%C%_test_kernel_LDADD = libutil.a

SEEDS = 20000
swarm: %D%/sim
	%D%/sim --seeds 1-$(SEEDS) --jobs $$(getconf _NPROCESSORS_ONLN)
	%D%/sim --operators --seeds 1-$$(($(SEEDS) / 10)) --jobs $$(getconf _NPROCESSORS_ONLN)

explore: %D%/explore
	%D%/explore 140 1 5
.PHONY: swarm explore
