# SPDX-License-Identifier: GPL-3.0-or-later
# How a tree of znodes looks as a directory, and the error for each thing that cannot be.

setup_file() {
    load mount_helpers
    export ZAB_TEST_CONFIG=enforceQuota=true
    start_mounts
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
}

@test "echo, cat, ls, mkdir, mv and rm -r do here what shows there" {
    echo hello >"$A/greeting"
    wait_for 5 content_is "$B/greeting" hello
    mkdir "$B/etc"
    wait_for 5 test -d "$A/etc"
    mv "$A/greeting" "$A/etc/motd"
    wait_for 5 content_is "$B/etc/motd" hello
    run -0 ls "$B"
    assert_output etc
    rm -r "$B/etc"
    wait_for 5 gone "$A/etc"
    run -0 zabctl ls "$T"
    assert_output ""
}

@test "null data is a directory, empty data an empty file" {
    mkdir "$A/dir"
    : >"$A/file"
    run -0 zabctl --json get "$T/dir"
    assert_output --partial '"data":null'
    run -0 zabctl --json get "$T/file"
    assert_output --partial '"data":""'
    zabctl create "$T/null"
    zabctl create "$T/empty" ""
    wait_for 5 test -e "$A/empty"
    run -0 stat -c '%n %F %s %h' "$A/null" "$A/empty"
    assert_output "$A/null directory 0 1
$A/empty regular empty file 0 1"
}

@test "size, times and type are the znode's" {
    printf 12345 >"$A/f"
    run -0 stat -c '%s %F %a' "$A/f"
    assert_output "5 regular file 666"
    run -0 date -u -d "$(stat -c %y "$A/f")" +%Y-%m-%dT%H:%M:%S.%3NZ
    assert_output "$(zabctl stat "$T/f" | sed -n 's/^mtime: //p')"
    [ "$(stat -c %Y.%y "$A/f")" = "$(stat -c %Z.%z "$A/f")" ]
    local ino
    ino=$(stat -c %i "$A/f")
    printf 1234567 >"$B/f"
    wait_for 5 content_is "$A/f" 1234567
    run -0 stat -c '%s %i' "$A/f"
    assert_output "7 $ino"
}

@test "the data of a directory is its file .data" {
    mkdir "$A/dir"
    run -0 ls -A "$A/dir"
    assert_output ""
    zabctl create "$T/dir/child" x
    zabctl set "$T/dir" "of the directory"
    wait_for 5 content_is "$A/dir/.data" "of the directory"
    run -0 ls -A "$A/dir"
    assert_output ".data
child"
    echo written >"$A/dir/.data"
    run -0 zabctl get "$T/dir"
    assert_output written
    fails_with "Directory not empty" rmdir "$A/dir"
    rm "$A/dir/.data"
    run -0 zabctl --json get "$T/dir"
    assert_output --partial '"data":null'
    run -0 ls -A "$A/dir"
    assert_output child
}

@test "a new directory stays one when its .data is written" {
    mkdir "$A/dir"
    echo x >"$A/dir/.data"
    wait_for 5 test -d "$B/dir"
    wait_for 5 content_is "$B/dir/.data" x
    rm -r "$A/dir"
    wait_for 5 gone "$B/dir"
}

@test "a file that gains a child over the wire becomes a directory, and stays one" {
    echo data >"$A/f"
    [ -f "$A/f" ]
    zabctl create "$T/f/child" x
    wait_for 5 test -d "$A/f"
    run -0 cat "$A/f/.data" "$A/f/child"
    assert_output "data
x"
    zabctl rm "$T/f/child"
    wait_for 5 gone "$A/f/child"
    [ -d "$A/f" ]
    run -0 ls -A "$A/f"
    assert_output .data
}

@test "names: UTF-8, spaces and quotes are fine, control characters are EILSEQ" {
    local name
    for name in 'with space' 'grüße' '日本' "quo'te\"" '*' '-n' '~' '...' '.hidden'; do
        printf '%s\n' "$name" >"$A/$name"
        wait_for 5 content_is "$B/$name" "$name"
        run -0 zabctl get "$T/$name"
        assert_output "$name"
        rm "$A/$name"
    done
    for name in $'line\nbreak' $'\x7f' $'\x01'; do
        fails_with "Invalid or incomplete multibyte" touch "$A/$name"
        fails_with "Invalid or incomplete multibyte" mkdir "$A/$name"
        fails_with "No such file" cat "$A/$name"
    done
    fails_with "Invalid or incomplete multibyte" touch "$A/"$'\xff\xfe'
}

@test "errors: too long, too large, there already, not empty, not there" {
    fails_with "File name too long" touch "$A/$(printf '%0256d' 0)"
    touch "$A/$(printf '%0255d' 0)"
    run dd if=/dev/zero of="$A/large" bs=1M count=2
    assert_failure
    assert_output --partial "File too large"
    run truncate -s 2M "$A/large2"
    assert_output --partial "File too large"
    mkdir -p "$A/dir/sub"
    fails_with "File exists" mkdir "$A/dir"
    fails_with "Directory not empty" rmdir "$A/dir"
    fails_with "No such file" rm "$A/none"
    fails_with "No such file" mkdir "$A/none/sub"
    echo x >"$A/file"
    fails_with "Not a directory" mkdir "$A/file/sub"
    fails_with "Not a directory" cat "$A/file/sub"
    fails_with "Is a directory" cat "$A/dir"
    run bash -c "echo x >'$A/dir'"
    assert_output --partial "Is a directory"
}

@test "the largest file that is allowed comes back whole" {
    head -c 1040000 /dev/urandom >"$LOGS/large"
    cp "$LOGS/large" "$A/large"
    cmp "$LOGS/large" "$A/large"
    wait_for 5 cmp -s "$LOGS/large" "$B/large"
}

@test "an edit of what has changed meanwhile is ESTALE" {
    echo old content >"$A/f"
    run python3 - "$A/f" "$T/f" <<'P'
import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b"x", 3)
subprocess.check_call(["zabctl", "set", sys.argv[2], "new"])
try:
    os.close(fd)
except OSError as e:
    print(e.strerror)
P
    assert_output "Stale file handle"
    run -0 zabctl get "$T/f"
    assert_output new
}

@test "what the ACL forbids is EACCES, at the open already" {
    local dir=$ZAB_TMP/guest
    echo readable >"$A/f"
    echo secret >"$A/g"
    mkdir "$A/d"
    zabctl acl "$T/f" world:anyone:ra
    zabctl acl "$T/g" world:anyone:wa
    zabctl acl "$T/d" world:anyone:ra
    start_mount "$dir"
    run bash -c "echo x >'$dir$T/f'"
    assert_output --partial "Permission denied"
    run bash -c "echo x >>'$dir$T/f'"
    assert_output --partial "Permission denied"
    run -0 cat "$dir$T/f"
    assert_output readable
    fails_with "Permission denied" cat "$dir$T/g"
    fails_with "Permission denied" touch "$dir$T/d/new"
    fails_with "Permission denied" mkdir "$dir$T/d/new"
    run -0 stat -c %a "$dir$T/f" "$dir$T/g" "$dir$T/d"
    assert_output "444
222
555"
    stop_mount "$dir"
}

cannot_read() {
    ! cat "$1" 2>/dev/null
}

@test "a quota is EDQUOT" {
    mkdir "$A/limited"
    zabctl create -p "/zookeeper/quota$T/limited/zookeeper_limits" \
        "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=-1"
    zabctl create "/zookeeper/quota$T/limited/zookeeper_stats" "count=1,bytes=0"
    echo small >"$A/limited/f"
    fails_with "Disk quota exceeded" dd if=/dev/zero of="$A/limited/g" bs=21 count=1
    [ ! -e "$A/limited/g" ]
}

@test "extended attributes show the rest of the Stat, and the ACL" {
    require_program getfattr
    echo 1 >"$A/f"
    echo 2 >"$A/f"
    local name
    for name in czxid mzxid pzxid version cversion aversion ephemeralOwner; do
        run -0 getfattr --absolute-names --only-values -n "user.zk.$name" "$A/f"
        assert_output "$(zabctl stat "$T/f" | sed -n "s/^$name: //p")"
    done
    run -0 getfattr --absolute-names --only-values -n user.zk.acl "$A/f"
    assert_output world:anyone:cdrwa
    run -0 getfattr -d "$A/f"
    assert_line 'user.zk.version="1"'
    fails_with "No such attribute" getfattr -n user.other "$A/f"
}

@test "chmod: what cannot be enforced and hides nothing succeeds, what would hide is EPERM" {
    echo x >"$A/f"
    chmod 755 "$A/f"
    chmod u+x,o-w "$A/f"
    fails_with "Operation not permitted" chmod 600 "$A/f"
    fails_with "Operation not permitted" chmod o-r "$A/f"
    run -0 stat -c %a "$A/f"
    assert_output 666
    chown "$(id -u)" "$A/f"
}

@test "chmod with an identity sets the ACL and grants no more than was asked" {
    local dir=$ZAB_TMP/auth
    start_mount "$dir" "" auth=digest:user:password
    echo x >"$dir$T/f"
    chmod 640 "$dir$T/f"
    run -0 stat -c %a "$dir$T/f"
    assert_output 600
    wait_for 5 cannot_read "$B/f"
    run -0 zabctl --auth digest:user:password acl "$T/f"
    refute_output --partial world
    assert_output --partial digest:user:
    chmod 644 "$dir$T/f"
    wait_for 5 content_is "$B/f" x
    run bash -c "echo y >'$B/f'"
    assert_output --partial "Permission denied"
    (umask 077 && echo private >"$dir$T/g")
    fails_with "Permission denied" cat "$A/g"
    run -0 cat "$dir$T/g"
    assert_output private
    rm "$dir$T/f" "$dir$T/g"
    stop_mount "$dir"
}

@test "df and statfs answer" {
    run -0 df --output=fstype,target "$A"
    assert_line --regexp "^fuse.zabfs +$ZAB_TMP/a\$"
    run -0 stat -f -c '%l %a' "$A"
    assert_output --regexp '^255 [1-9]'
}

@test "links and devices are EPERM" {
    echo x >"$A/f"
    fails_with "Operation not permitted" ln -s f "$A/s"
    fails_with "Operation not permitted" ln "$A/f" "$A/h"
    fails_with "Operation not permitted" mkfifo "$A/p"
}

@test ".zabfs/status is there, not listed, and cannot be changed" {
    run -0 cat "$ZAB_TMP/a/.zabfs/status"
    assert_line "source: 127.0.0.1:$SERVER_PORT"
    assert_line "state: connected"
    assert_line "stale: no"
    run -0 ls -A "$ZAB_TMP/a"
    refute_line .zabfs
    run bash -c "echo x >'$ZAB_TMP/a/.zabfs/status'"
    assert_failure
    run rm "$ZAB_TMP/a/.zabfs/status"
    assert_failure
    run mkdir "$ZAB_TMP/a/.zabfs/dir"
    assert_failure
    run mkdir "$ZAB_TMP/a/.zabfs"
    assert_failure
}

@test "a read-only mount changes nothing" {
    local dir=$ZAB_TMP/ro
    echo x >"$A/f"
    start_mount "$dir" "" ro
    run -0 cat "$dir$T/f"
    assert_output x
    run bash -c "echo y >'$dir$T/f'"
    assert_output --partial "Read-only file system"
    fails_with "Read-only file system" touch "$dir$T/g"
    fails_with "Read-only file system" mkdir "$dir$T/g"
    fails_with "Read-only file system" rm "$dir$T/f"
    fails_with "Read-only file system" mv "$dir$T/f" "$dir$T/g"
    stop_mount "$dir"
}

@test "a chroot shows only what is below it" {
    local dir=$ZAB_TMP/chroot
    mkdir "$A/inner"
    start_mount "$dir" "127.0.0.1:$SERVER_PORT$T/inner"
    echo x >"$dir/f"
    run -0 ls -A "$dir"
    assert_output f
    wait_for 5 content_is "$A/inner/f" x
    stop_mount "$dir"
}

@test "without a server writes are EROFS, reads go on, and status says since when" {
    local dir=$ZAB_TMP/alone
    ZAB_TEST_CONFIG='' start_server other
    start_mount "$dir" "127.0.0.1:$SERVER_PORT" timeo=1
    mkdir "$dir/d"
    echo x >"$dir/d/f"
    cat "$dir/d/f"
    stop_server other
    wait_for 10 is_stale "$dir"
    run bash -c "echo y >'$dir/d/f'"
    assert_output --partial "Read-only file system"
    fails_with "Read-only file system" mkdir "$dir/e"
    fails_with "Read-only file system" rm "$dir/d/f"
    run -0 cat "$dir/d/f"
    assert_output x
    run -0 ls "$dir/d"
    assert_output f
    run -0 cat "$dir/.zabfs/status"
    assert_line --regexp '^stale_since: 20'
    stop_mount "$dir"
}

is_stale() {
    [ "$(status_of "$1" stale)" = yes ]
}
