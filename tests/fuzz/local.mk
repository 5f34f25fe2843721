# SPDX-License-Identifier: GPL-3.0-or-later
# The fuzzers need clang and the whole library built for them, so they are built in a build
# directory of their own below this one; see fuzz.sh.
fuzzers = %D%/fuzz_config %D%/fuzz_ensemble %D%/fuzz_load %D%/fuzz_log %D%/fuzz_mount \
	%D%/fuzz_node %D%/fuzz_records %D%/fuzz_session %D%/fuzz_snapshot %D%/fuzz_tls
EXTRA_PROGRAMS += $(fuzzers) %D%/seeds
EXTRA_LIBRARIES = %D%/libfuzz.a
dist_check_SCRIPTS += %D%/fuzz.sh
TESTS += %D%/fuzz.sh
EXTRA_DIST += %D%/recorded/client.hex %D%/recorded/log.hex %D%/recorded/server.hex \
	%D%/recorded/snapshot.hex

%C%_libfuzz_a_SOURCES = %D%/fuzz.h %D%/input.c %D%/sample.c %D%/trees.c
FUZZ_LIBS = %D%/libfuzz.a libnode.a libzab.a libstore.a libdiskmem.a libtree.a libjute.a libutil.a \
	$(ZSTD_LIBS) $(ZLIB_LIBS) $(CRYPTO_LIBS)
FUZZER_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer

%C%_seeds_SOURCES = %D%/seeds.c %D%/seeds.h %D%/seeds_ensemble.c \
	%D%/seeds_mount.c
%C%_seeds_LDADD = $(FUZZ_LIBS)

%C%_fuzz_config_SOURCES = %D%/fuzz_config.c src/server/config.c \
	src/server/config_keys.c src/server/config_dynamic.c src/server/properties.c \
	src/server/config_ensemble.c src/server/ensemble.c
%C%_fuzz_config_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/server
%C%_fuzz_config_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_config_LDADD = $(FUZZ_LIBS) liblog.a libutil.a
%C%_fuzz_ensemble_SOURCES = %D%/fuzz_ensemble.c %D%/server.c %D%/server.h
%C%_fuzz_ensemble_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_ensemble_LDADD = $(FUZZ_LIBS)
%C%_fuzz_load_SOURCES = %D%/fuzz_load.c
%C%_fuzz_load_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_load_LDADD = $(FUZZ_LIBS)
%C%_fuzz_log_SOURCES = %D%/fuzz_log.c
%C%_fuzz_log_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_log_LDADD = $(FUZZ_LIBS)
%C%_fuzz_mount_SOURCES = %D%/fuzz_mount.c %D%/znodes.c %D%/znodes.h
%C%_fuzz_mount_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_mount_LDADD = %D%/libfuzz.a libmount.a libsession.a libjute.a libutil.a
%C%_fuzz_node_SOURCES = %D%/fuzz_node.c
%C%_fuzz_node_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_node_LDADD = $(FUZZ_LIBS)
%C%_fuzz_records_SOURCES = %D%/fuzz_records.c
%C%_fuzz_records_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_records_LDADD = $(FUZZ_LIBS)
%C%_fuzz_session_SOURCES = %D%/fuzz_session.c
%C%_fuzz_session_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_session_LDADD = %D%/libfuzz.a libsession.a libjute.a libutil.a
%C%_fuzz_snapshot_SOURCES = %D%/fuzz_snapshot.c
%C%_fuzz_snapshot_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_snapshot_LDADD = $(FUZZ_LIBS)
%C%_fuzz_tls_SOURCES = %D%/fuzz_tls.c
%C%_fuzz_tls_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_tls_LDADD = $(FUZZ_LIBS) libzabtls.a libutil.a $(SSL_LIBS) $(CRYPTO_LIBS)

FUZZ_SECONDS = 60
fuzz:
	srcdir=$(srcdir) FUZZ_SECONDS=$(FUZZ_SECONDS) $(SHELL) $(srcdir)/%D%/fuzz.sh

# For fuzz.sh, in the directory that it makes.
fuzz-programs: $(fuzzers) %D%/seeds

distclean-local: distclean-fuzz
distclean-fuzz:
	rm -rf fuzz-build

.PHONY: fuzz fuzz-programs distclean-fuzz
