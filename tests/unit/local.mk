# SPDX-License-Identifier: GPL-3.0-or-later
# One program a module, each a cmocka group. UNIT_LIBS are the pure archives, in link order.
if HAVE_CMOCKA
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

unit_tests = %D%/test_util %D%/test_jute
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

%C%_test_util_SOURCES = %D%/test_util.c
%C%_test_util_CFLAGS = $(UNIT_CFLAGS)
%C%_test_util_LDADD = libutil.a $(CMOCKA_LIBS)

%C%_test_jute_SOURCES = %D%/test_jute.c
%C%_test_jute_CFLAGS = $(UNIT_CFLAGS)
%C%_test_jute_LDADD = libjute.a libutil.a $(CMOCKA_LIBS)
endif
