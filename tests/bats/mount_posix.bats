# SPDX-License-Identifier: GPL-3.0-or-later
# Tables of what each system call says under each condition, as on tmpfs or with a reason why not; on
# mounts without an identity, with one (where modes are kept, also as another user), and read-only.

setup_file() {
    load mount_helpers
    start_mounts
    export IDENTITY=$ZAB_TMP/identity
    [ "$(id -u)" != 0 ] || start_mount "$IDENTITY" "" "rw,allow_other,auth=digest:posix:secret"
}

teardown_file() {
    load mount_helpers
    [ ! -e "$IDENTITY.pid" ] || stop_mount "$IDENTITY"
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
    LOCAL=$(mktemp -d /dev/shm/zab-posix.XXXXXX) || skip "there is no /dev/shm"
    chmod 755 "$LOCAL"
    POSIX="python3 $BATS_TEST_DIRNAME/mount_posix.py"
}

teardown() {
    rm -rf "$LOCAL"
}

compare_posix() {
    run timeout 120 $POSIX compare "$LOCAL" "$@"
    echo "$output"
    assert_success
}

@test "calls and conditions, on a mount without an identity" {
    [ "$(id -u)" = 0 ] || skip "needs root, for whom a mount has no owners"
    compare_posix "$A"
}

@test "calls and conditions, modes and another user, on a mount with an identity" {
    require_nobody
    chmod 755 "$ZAB_TMP"
    mkdir "$IDENTITY/own"
    compare_posix "$IDENTITY/own" identity
}

@test "a read-only mount refuses each change with EROFS" {
    echo text >"$A/f"
    mkdir "$A/d"
    start_mount "$ZAB_TMP/ro" "127.0.0.1:$SERVER_PORT" ro
    run $POSIX read-only "$ZAB_TMP/ro$T"
    echo "$output"
    assert_success
    stop_mount "$ZAB_TMP/ro"
}
