# SPDX-License-Identifier: GPL-3.0-or-later
EXTRA_DIST += %D%/check %D%/packages.sh %D%/quickstart %D%/README
