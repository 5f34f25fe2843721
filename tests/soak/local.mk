# SPDX-License-Identifier: GPL-3.0-or-later
# `make soak`: ensembles under load through many faults. SOAK_FLAGS: see soak --help.
dist_noinst_SCRIPTS += %D%/soak
EXTRA_DIST += %D%/servers.py %D%/clients.py %D%/workload.py %D%/txnlog.py %D%/mount.py \
	%D%/faults.py %D%/sampler.py %D%/stall.c

# It comes into the servers by LD_PRELOAD, with sanitizers or without.
check_DATA += %D%/stall.so
CLEANFILES += %D%/stall.so
%D%/stall.so: %D%/stall.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) -std=gnu11 -O2 -g $(WARN_CFLAGS) -fPIC -shared \
	    -o $@ $(srcdir)/%D%/stall.c

soak: zabd zabctl zabfs %D%/stall.so
	$(srcdir)/%D%/soak --build . $(SOAK_FLAGS)

.PHONY: soak
