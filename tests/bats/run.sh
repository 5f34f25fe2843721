#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh FILE.bats: run it within $ZAB_BATS_TIMEOUT seconds (300). The test's processes, mounts
# and directories are below $ZAB_TMP, which goes when it ends, however it ends.
: "${ZAB_BUILD:?the build directory; make check sets it}"
if ! command -v bats >/dev/null; then
    echo "1..0 # SKIP bats is not installed"
    exit 0
fi
ZAB_TMP=$(mktemp -d /tmp/zab-bats.XXXXXX) || exit 99
export ZAB_BUILD ZAB_TMP
: >"$ZAB_TMP/pids"

# Only processes that were recorded, and that are still those that were started.
clean_up() {
    while read -r pid started; do
        [ "$(ps -o lstart= -p "$pid" 2>/dev/null | tr -d ' ')" = "$started" ] &&
            kill -9 "$pid" 2>/dev/null
    done <"$ZAB_TMP/pids"
    awk -v below="$ZAB_TMP/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts |
        while read -r dir; do
            fusermount3 -uz "$dir"
        done
    rm -rf --one-file-system "$ZAB_TMP"
}
trap clean_up EXIT
trap 'exit 99' INT TERM HUP

timeout -k 10 "${ZAB_BATS_TIMEOUT:-300}" bats "$@"
