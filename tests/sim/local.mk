# SPDX-License-Identifier: GPL-3.0-or-later
# The simulator. "make swarm SEEDS=N" runs more of it than "make check" does.
check_PROGRAMS += %D%/sim
TESTS += %D%/check-sim.sh
EXTRA_DIST += %D%/check-sim.sh %D%/scripts
%C%_sim_SOURCES = \
	%D%/answer.c %D%/check.c %D%/client.c %D%/faults.c %D%/journal.c %D%/logger.c %D%/main.c \
	%D%/model.c %D%/model.h %D%/model_read.c %D%/model_write.c %D%/net.c %D%/request.c \
	%D%/script.c %D%/server.c %D%/sim.h %D%/tamper.c %D%/watchcheck.c %D%/world.c
%C%_sim_LDADD = libnode.a libzab.a libsession.a libstore.a libdiskmem.a libtree.a libjute.a libutil.a \
	$(CRYPTO_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS)

SEEDS = 20000
swarm: %D%/sim
	%D%/sim --seeds 1-$(SEEDS)
.PHONY: swarm
