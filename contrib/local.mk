# SPDX-License-Identifier: GPL-3.0-or-later
EXTRA_DIST += %D%/check %D%/ensemble %D%/packages.sh %D%/quickstart %D%/README
EXTRA_DIST += %D%/systemd/zabd.service.in

if HAVE_SYSTEMD
systemdsystemunit_DATA = %D%/systemd/zabd.service
CLEANFILES += $(systemdsystemunit_DATA)

%D%/systemd/zabd.service: %D%/systemd/zabd.service.in
	$(AM_V_GEN)$(MKDIR_P) %D%/systemd && sed 's|[@]sbindir[@]|$(sbindir)|g' $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@
endif
