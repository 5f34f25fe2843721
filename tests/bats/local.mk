# SPDX-License-Identifier: GPL-3.0-or-later
# A .bats file is tests of the programs in the build tree; run.sh gives it a time limit and removes
# what it leaves behind. The driver reads its output, TAP, so that each test in it counts.
TEST_EXTENSIONS = .bats
BATS_LOG_COMPILER = $(SHELL) $(srcdir)/%D%/run.sh
BATS_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_BATS_LOG_DRIVER_FLAGS = --ignore-exit
AM_TESTS_ENVIRONMENT = ZAB_BUILD='$(abs_top_builddir)'; export ZAB_BUILD;

bats_tests = %D%/zabctl.bats %D%/server.bats %D%/recovery.bats %D%/interop.bats %D%/clients.bats
TESTS += $(bats_tests)
EXTRA_DIST += $(bats_tests) %D%/run.sh %D%/helpers.bash %D%/zk.py %D%/load.py
