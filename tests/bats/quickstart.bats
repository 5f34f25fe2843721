# SPDX-License-Identifier: GPL-3.0-or-later
# contrib/quickstart on a copy of the sources, in a home of its own.

setup() {
    load mount_helpers
    require_fuse
    SOURCES=$BATS_TEST_DIRNAME/../..
    [ -e "$SOURCES/configure" ] && [ -e "$SOURCES/contrib/quickstart" ] ||
        skip "$SOURCES is not a source tree"
    . "$SOURCES/contrib/packages.sh"
    dpkg-query -W $BUILD_PACKAGES >/dev/null 2>&1 ||
        skip "the packages to build with are not installed, and a test installs none"
}

@test "quickstart builds, mounts, and what it says works" {
    local copy=$ZAB_TMP/sources
    mkdir "$copy" "$ZAB_TMP/home"
    tar -C "$SOURCES" --exclude=.git --exclude='build*/' --exclude=san-* --exclude=autom4te.cache \
        --exclude='*.o' -cf - build-aux configure configure.ac aclocal.m4 Makefile.am Makefile.in \
        include src tests man contrib README COPYING HACKING .clang-format | tar -C "$copy" -xf -
    unset MAKEFLAGS MFLAGS MAKELEVEL
    export HOME=$ZAB_TMP/home XDG_STATE_HOME=$ZAB_TMP/home/state
    run "$copy/contrib/quickstart" 3>&-
    assert_success
    assert_line --partial "A tree is mounted at $HOME/zabfs"
    local tree=$HOME/zabfs try
    # The lines that it shows are run as they are.
    try=$(sed -n 's/^ *\(echo hello .*\)$/\1/p' <<<"$output")
    run -0 bash -c "$try"
    assert_line hello
    assert_line --partial etc
    run -0 bash -c "$(grep -F 'zabctl -s' <<<"$output")"
    [ -s "$XDG_STATE_HOME/zabfs/zoo.cfg" ]
    # A second time there is nothing to build, and nothing is lost.
    fusermount3 -u "$tree"
    wait_for 10 gone "$tree/greeting"
    run -0 "$copy/contrib/quickstart" 3>&-
    assert_equal "$(cat "$tree/greeting")" hello
    fusermount3 -u "$tree"
}
