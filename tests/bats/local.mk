# SPDX-License-Identifier: GPL-3.0-or-later
# A .bats file is tests of the programs in the build tree; run.sh gives it a time limit and removes
# what it leaves behind. The driver reads its output, TAP, so that each test in it counts.
TEST_EXTENSIONS = .bats
BATS_LOG_COMPILER = $(SHELL) $(srcdir)/%D%/run.sh
BATS_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_BATS_LOG_DRIVER_FLAGS = --ignore-exit
AM_TESTS_ENVIRONMENT = ZAB_BUILD='$(abs_top_builddir)'; export ZAB_BUILD;

bats_tests = %D%/zabctl.bats %D%/server.bats %D%/config.bats %D%/recovery.bats %D%/interop.bats %D%/clients.bats \
	%D%/ensemble.bats %D%/ensemble_mixed.bats \
	%D%/ensemble_faults.bats %D%/ensemble_disks.bats %D%/ensemble_hostile.bats %D%/ensemble_stalls.bats %D%/operators.bats %D%/tls.bats %D%/tls_ensemble.bats
TESTS += $(bats_tests)
EXTRA_DIST += $(bats_tests) %D%/run.sh %D%/helpers.bash %D%/ensemble_helpers.bash \
	%D%/tls_helpers.bash \
	%D%/zk.py %D%/load.py %D%/ensemble.py %D%/hostile.py %D%/network

# The mount's tests run on zabd, and once more on Apache ZooKeeper: in a copy of each that says so.
mount_tests = %D%/mount_basic.bats %D%/mount_write.bats %D%/mount_read.bats \
	%D%/mount_inotify.bats %D%/mount_life.bats %D%/mount_drafts.bats \
	%D%/mount_listing.bats %D%/mount_mirror.bats %D%/mount_outage.bats
mount_zookeeper_tests = %D%/mount_basic_zookeeper.bats %D%/mount_write_zookeeper.bats \
	%D%/mount_read_zookeeper.bats %D%/mount_inotify_zookeeper.bats %D%/mount_life_zookeeper.bats \
	%D%/mount_drafts_zookeeper.bats %D%/mount_listing_zookeeper.bats \
	%D%/mount_mirror_zookeeper.bats %D%/mount_outage_zookeeper.bats
$(mount_zookeeper_tests): $(mount_tests)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && { echo 'export ZAB_TEST_SERVER=zookeeper' && \
	    sed -e 's|load mount_helpers|load $(abs_srcdir)/%D%/mount_helpers|' \
	        -e 's|$$BATS_TEST_DIRNAME|$(abs_srcdir)/%D%|' \
	        $(srcdir)/$(@:_zookeeper.bats=.bats); } >$@.tmp && mv $@.tmp $@

# What is not the server's runs on zabd only.
mount_other_tests = %D%/mount_options.bats %D%/mount_consumers.bats %D%/mount_programs.bats %D%/mount_posix.bats \
	%D%/quickstart.bats

TESTS += $(mount_tests) $(mount_zookeeper_tests) $(mount_other_tests)
CLEANFILES += $(mount_zookeeper_tests)
EXTRA_DIST += $(mount_tests) $(mount_other_tests) %D%/mount_helpers.bash %D%/mount_calls.py \
	%D%/mount_drafts.py %D%/mount_listing.py %D%/mount_mirror.py %D%/mount_outage.py \
	%D%/mount_consumers.py %D%/mount_programs.py %D%/mount_posix.py
