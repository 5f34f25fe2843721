# SPDX-License-Identifier: GPL-3.0-or-later
# `make soak`: ensembles under load through many faults. SOAK_FLAGS: see soak --help.
dist_noinst_SCRIPTS += %D%/soak
EXTRA_DIST += %D%/servers.py %D%/clients.py %D%/workload.py %D%/txnlog.py %D%/mount.py

soak: zabd zabctl zabfs
	$(srcdir)/%D%/soak --build . $(SOAK_FLAGS)

.PHONY: soak
