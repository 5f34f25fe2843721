# SPDX-License-Identifier: GPL-3.0-or-later
# A .bats file is a test of the programs in the build tree; run.sh gives it a time limit and
# removes what it leaves behind.
TEST_EXTENSIONS = .bats
BATS_LOG_COMPILER = $(SHELL) $(srcdir)/%D%/run.sh
AM_TESTS_ENVIRONMENT = ZAB_BUILD='$(abs_top_builddir)'; export ZAB_BUILD;

bats_tests = %D%/zabctl.bats
TESTS += $(bats_tests)
EXTRA_DIST += $(bats_tests) %D%/run.sh %D%/helpers.bash
