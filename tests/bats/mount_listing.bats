# SPDX-License-Identifier: GPL-3.0-or-later
# A directory lists each name that is there, once, whatever else is in it or happens to it.

setup_file() {
    load mount_helpers
    start_mounts
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
    FS="python3 $BATS_TEST_DIRNAME/mount_listing.py"
    M=$ZAB_TMP/m$BATS_TEST_NUMBER
    OTHER=$ZAB_TMP/other$BATS_TEST_NUMBER
}

# ---- What may not be read ----

# Alice's mount at $M and Bob's at $OTHER; what is below $A/open anybody may read.
alice_and_bob() {
    start_mount "$M" "" auth=digest:alice:secret
    start_mount "$OTHER" "" auth=digest:bob:secret
    mkdir "$A/open" "$A/open/d"
    for i in 1 2 3; do
        echo $i >"$A/open/$i"
    done
    wait_for 5 test -e "$M$T/open/3"
    (umask 077 && echo secret >"$M$T/open/al")
}

no_alice_and_bob() {
    stop_mount "$OTHER"
    stop_mount "$M"
}

names_are() {
    [ "$(ls -A "$1" | tr '\n' ' ')" = "$2 " ]
}

# Its name is no secret to who may list the directory; anything else of it is.
is_closed() {
    run cat "$1"
    assert_failure
    assert_output --partial "Permission denied"
    run stat -c %a "$1"
    if ((status == 0)); then
        assert_output 0
    else
        assert_output --partial "Permission denied"
    fi
}

@test "a file that may not be read does not hide its directory" {
    alice_and_bob
    local dir
    for dir in "$OTHER$T/open" "$A/open"; do
        wait_for 5 test -e "$dir/3"
        run -0 ls "$dir"
        assert_output "1
2
3
al
d"
        is_closed "$dir/al"
        run -0 bash -c "cat '$dir'/[0-9]"
        assert_output "1
2
3"
    done
    no_alice_and_bob
}

@test "a file that may not be read is in the listing of a mount that comes later, and of find" {
    alice_and_bob
    stop_mount "$OTHER"
    start_mount "$OTHER" "" auth=digest:bob:secret
    run -0 ls "$OTHER$T/open"
    assert_line al
    assert_line 3
    run find "$OTHER$T/open" -name '[a3]*'
    assert_line "$OTHER$T/open/al"
    assert_line "$OTHER$T/open/3"
    run -0 ls -f "$OTHER$T"
    assert_line open
    no_alice_and_bob
}

@test "a closed file in the root, and a directory that is closed, spoil nothing else" {
    alice_and_bob
    (umask 077 && echo secret >"$M/closed$BATS_TEST_NUMBER" && mkdir "$M$T/open/dir" && echo x >"$M$T/open/dir/f")
    stop_mount "$OTHER"
    start_mount "$OTHER" "" auth=digest:bob:secret
    run -0 ls "$OTHER"
    assert_line "closed$BATS_TEST_NUMBER"
    assert_line "t$BATS_TEST_NUMBER"
    run -0 ls "$OTHER$T/open"
    assert_line dir
    assert_line d
    # Whether it is a directory is closed as well.
    run ls "$OTHER$T/open/dir"
    refute_line f
    run cat "$OTHER$T/open/dir/f"
    assert_failure
    rm "$M/closed$BATS_TEST_NUMBER"
    wait_for 5 not_listed "$OTHER" "closed$BATS_TEST_NUMBER"
    no_alice_and_bob
}

not_listed() {
    ! ls "$1" | grep -qx "$2"
}

@test "what was closed and is opened is read within -o acl_timeo=" {
    alice_and_bob
    stop_mount "$OTHER"
    start_mount "$OTHER" "" auth=digest:bob:secret,acl_timeo=1
    run -0 ls "$OTHER$T/open"
    is_closed "$OTHER$T/open/al"
    chmod 644 "$M$T/open/al"
    wait_for 5 content_is "$OTHER$T/open/al" secret
    wait_for 5 mode_is "$OTHER$T/open/al" 444
    no_alice_and_bob
}

mode_is() {
    [ "$(stat -c %a "$1")" = "$2" ]
}

# ---- Places in a listing ----

make_many() {
    mkdir "$A/many"
    # Long names, so that a read of the directory has few of them.
    (cd "$A/many" && python3 -c 'for i in range(300): open(f"n{i:0200}", "w").close()')
    wait_for 10 test -e "$B/many/n$(printf %0200d 299)"
}

@test "telldir and seekdir: a place is one in another stream too" {
    make_many
    $FS back-and-forth "$A/many"
    $FS seek "$A/many"
    ls "$A/many" >/dev/null
    $FS seek "$A/many"
    $FS seek "$B/many"
}

@test "the kernel's listing is reclaimed in the middle: no name comes twice, none is missing" {
    make_many
    $FS forgotten "$A/many"
    $FS forgotten "$B/many"
}

@test "names come and go while a directory is read: what was there throughout comes once" {
    make_many
    $FS changed "$A/many" "$A/many"
    $FS changed "$B/many" "$A/many"
}

# ---- Names that mean something else ----

# A mount of this test's directory only, so that .zabfs in its root is $T/.zabfs.
@test "a znode called .zabfs in the root is listed under some name, read and removed" {
    zabctl create "$T/.zabfs" real
    start_mount "$M" "127.0.0.1:$SERVER_PORT$T"
    run -0 ls -A "$M"
    [ "${#lines[@]}" = 1 ]
    content_is "$M/$output" real
    grep -q "^state: connected" "$M/.zabfs/status"
    rm "$M/$output"
    run -3 zabctl stat "$T/.zabfs"
    run -0 ls -A "$M"
    assert_output ""
    grep -q "^state: connected" "$M/.zabfs/status"
    stop_mount "$M"
}

@test "a znode called .zabfs with children can be removed" {
    zabctl create "$T/.zabfs"
    zabctl create "$T/.zabfs/status" real
    start_mount "$M" "127.0.0.1:$SERVER_PORT$T"
    run -0 ls -A "$M"
    [ "${#lines[@]}" = 1 ]
    content_is "$M/$output/status" real
    rm -r "$M/$output"
    run -3 zabctl stat "$T/.zabfs"
    stop_mount "$M"
}

@test "a znode called .data is listed under some name, read and removed" {
    zabctl create "$T/d"
    zabctl create "$T/d/.data" real
    wait_for 5 test -d "$A/d"
    run -0 ls -A "$A/d"
    [ "${#lines[@]}" = 1 ]
    local name=$output
    content_is "$A/d/$name" real
    fails_with "Directory not empty" rmdir "$A/d"
    rm "$A/d/$name"
    run -3 zabctl stat "$T/d/.data"
    rmdir "$A/d"
    run -3 zabctl stat "$T/d"
}

@test "a directory with data and a znode called .data: both are read, and rm -r removes all" {
    zabctl create "$T/d"
    zabctl create "$T/d/.data" real
    zabctl set "$T/d" "of the directory"
    wait_for 5 content_is "$A/d/.data" "of the directory"
    run -0 bash -c "cd '$A/d' && ls -A | xargs -d '\n' cat | sort"
    assert_output "of the directory
real" || assert_output "of the directoryreal"
    rm -r "$A/d"
    run -3 zabctl stat "$T/d"
}

# ---- Names that are too long ----

long_name() {
    printf "%0$1d" 0
}

@test "a name of 5,000 bytes does not end the listing" {
    local i
    for i in 1 2 3 4 5; do
        zabctl create "$T/a$i" x
        zabctl create "$T/z$i" x
    done
    zabctl create "$T/$(long_name 5000)" x
    wait_for 5 test -e "$A/z5"
    run ls -A "$A"
    assert_success
    for i in 1 2 3 4 5; do
        assert_line "a$i"
        assert_line "z$i"
    done
    echo x >"$A/new"
    run -0 ls -A "$A"
    assert_line new
    zabctl rm "$T/$(long_name 5000)"
}

@test "a name of 300 bytes is listed, read and removed" {
    local name
    name=$(long_name 300)
    zabctl create "$T/$name" x
    wait_for 5 names_are "$A" "$name"
    content_is "$A/$name" x
    rm "$A/$name"
    run -3 zabctl stat "$T/$name"
}

@test "a name of 300 bytes is found also where it was not listed before" {
    local name
    name=$(long_name 300)
    zabctl create "$T/$name" x
    wait_for 5 content_is "$B/$name" x
}

xattr_requests() {
    local n
    n=$(status_of "$M" requests_getxattr)
    echo "${n:-0}"
}

@test "ls -l asks for no label and no ACL of each file" {
    make_many
    start_mount "$M"
    local before
    before=$(xattr_requests)
    ls -l "$M$T/many" >/dev/null
    (($(xattr_requests) - before <= 10))
    run python3 -c 'import os, sys; os.getxattr(sys.argv[1], "security.none")' "$M$T/many"
    assert_output --partial "Operation not supported"
    stop_mount "$M"
}

# ---- A listing that is too large, and one of nothing ----

@test "a listing beyond -o maxreply= fails alone; others are not held up, and ls says why" {
    start_mount "$M" "" maxreply=1M
    mkdir "$A/big"
    # 20,000 times 64 bytes are 1.2 MiB.
    ROOT=$T/big py <<'END'
from zk import *
zk = connect()
for first in range(0, 20000, 1000):
    t = zk.transaction()
    for i in range(first, first + 1000):
        t.create(f"{ROOT}/{i:060}")
    t.commit()
END
    local connections i
    wait_for 5 test -d "$M$T/big"
    connections=$(grep -c ' connected ' "$M.log")
    for i in 1 2 3 4 5; do
        run ls "$M$T/big"
        assert_failure
        assert_output --regexp "File too large|Message too long"
        echo $i >"$M$T/small"
        assert_equal "$(zabctl get "$T/small")" $i
    done
    assert_equal "$(grep -c ' connected ' "$M.log")" "$connections"
    grep -q maxreply "$M.log"
    run -0 ls "$M$T"
    assert_output "big
small"
    stop_mount "$M"
}

@test "the CHROOT of a mount is removed: its listing fails, and is well when it is there again" {
    zabctl create "$T/root"
    zabctl create "$T/root/f" x
    start_mount "$M" "127.0.0.1:$SERVER_PORT$T/root"
    run -0 ls -A "$M"
    assert_output f
    mkdir "$LOGS/copy"
    cp "$M/f" "$LOGS/copy"
    zabctl rm -r "$T/root"
    wait_for 5 gone "$M/f"
    run ls -A "$M"
    assert_failure
    assert_output --regexp "No such file|Stale file handle"
    if command -v rsync >/dev/null; then
        run rsync -a --delete "$M/" "$LOGS/copy/"
        assert_failure
        assert_equal "$(cat "$LOGS/copy/f")" x
    fi
    zabctl create "$T/root"
    zabctl create "$T/root/g" y
    wait_for 10 content_is "$M/g" y
    run -0 ls -A "$M"
    assert_output g
    stop_mount "$M"
}
