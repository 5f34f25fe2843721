# SPDX-License-Identifier: GPL-3.0-or-later
# What the options promise, and what mount(8), fstab and common programs do by default.

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
    M=$ZAB_TMP/m$BATS_TEST_NUMBER
    SERVER=127.0.0.1:$SERVER_PORT
}

teardown() {
    while is_mounted "$M"; do
        fusermount3 -uz "$M"
    done
}

# zabfs does not start with these arguments; what it says is the output.
refuses() {
    run -1 timeout 20 zabfs "$@" 3>&-
}

mounts_on() {
    grep -cF " $1 fuse.zabfs " /proc/self/mounts
}

# ---- Of every file system ----

@test "what fstab may say of any file system is accepted" {
    start_mount "$M" "" nodiratime,strictatime,lazytime,dirsync,umask=022,max_read=131072
    echo x >"$M$T/f"
    assert_equal "$(cat "$A/f")" x
    stop_mount "$M"
}

@test "-o remount has nothing to do, and says nothing" {
    start_mount "$M"
    run -0 timeout 10 zabfs "$SERVER" "$M" -o remount,ro 3>&-
    assert_output ""
    assert_equal "$(mounts_on "$M")" 1
    echo x >"$A/f"
    wait_for 5 content_is "$M$T/f" x
    if command -v mount.fuse >/dev/null && [ "$(id -u)" = 0 ]; then
        run -0 timeout 10 mount.fuse "zabfs#$SERVER" "$M" -o remount,rw 3>&-
        assert_equal "$(mounts_on "$M")" 1
    fi
    stop_mount "$M"
}

@test "a second mount on a directory is refused, and the first goes on" {
    start_mount "$M"
    refuses "$SERVER" "$M"
    assert_output --partial "$M"
    assert_output --regexp 'mounted|already|busy'
    assert_equal "$(mounts_on "$M")" 1
    echo x >"$M$T/f"
    wait_for 5 content_is "$A/f" x
    stop_mount "$M"
}

@test "-o auth= is not left for others to see" {
    start_mount "$M" "" 'auth=digest:user:very\,secret,timeo=9'
    (umask 077 && echo x >"$M$T/f")
    run -0 zabctl --auth digest:user:very,secret get "$T/f"
    local pid
    for pid in $(cat "$M.pid") $(ps -o pid= --ppid "$(cat "$M.pid")"); do
        run tr '\0' ' ' <"/proc/$pid/cmdline"
        refute_output --partial secret
        run tr '\0' ' ' <"/proc/$pid/environ"
        refute_output --partial secret
    done
    run tr '\0' ' ' <"/proc/$(cat "$M.pid")/cmdline"
    assert_output --partial timeo=9
    run cat "$M.log" "$M/.zabfs/status"
    refute_output --partial secret
    rm "$M$T/f"
    stop_mount "$M"
}

# ---- Modes ----

# What admins, tar and configuration management do with the modes of a file.
set_modes() {
    cd "$1"
    echo x >"$LOGS/in"
    install -m 0640 "$LOGS/in" installed
    echo x >f
    chmod 600 f
    chmod 4755 f
    mkdir -m 700 d
    mkdir -p "$LOGS/tree/private"
    chmod 700 "$LOGS/tree/private"
    install -m 600 "$LOGS/in" "$LOGS/tree/private/f"
    cp -a "$LOGS/tree" copy
    tar -C "$LOGS" -cf - tree | tar -xpf -
    (umask 077 && echo x >masked)
}

@test "-o modes=ignore: modes that hide are accepted, and nothing is hidden" {
    start_mount "$M" "" modes=ignore
    (set -e && set_modes "$M$T")
    wait_for 5 content_is "$A/masked" x
    run -0 bash -c "cd '$A' && cat installed f copy/private/f tree/private/f masked"
    assert_output "x
x
x
x
x"
    # What cannot be enforced is not shown either.
    run -0 stat -c %a "$M$T/f" "$M$T/installed"
    assert_output "666
666"
    stop_mount "$M"
}

@test "-o modes=ignore with an identity: chmod changes no ACL" {
    start_mount "$M" "" modes=ignore,auth=digest:user:secret
    echo x >"$M$T/f"
    chmod 600 "$M$T/f"
    run -0 zabctl acl "$T/f"
    assert_output --partial world:anyone:cdrwa
    content_is "$A/f" x
    stop_mount "$M"
}

@test "-o modes=strict is the default: what would hide and cannot be enforced is EPERM" {
    start_mount "$M" "" modes=strict
    local dir
    for dir in "$M$T" "$A"; do
        echo x >"$dir/f"
        fails_with "Operation not permitted" chmod 600 "$dir/f"
    done
    stop_mount "$M"
    refuses "$SERVER" "$M" -o modes=maybe
    assert_output --partial "modes=maybe"
    assert_output --partial "strict|ignore"
}

# ---- Content that is the same ----

@test "-o unchanged=skip: writing what is there changes nothing, and tells nobody" {
    start_mount "$M" "" unchanged=skip
    start_watch w "$A"
    echo one >"$M$T/f"
    expect_events w "$B" "CREATE f" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    echo one >"$M$T/f"
    echo one >"$LOGS/in"
    cp "$LOGS/in" "$M$T/f"
    assert_equal "$(version_of "$T/f")" 0
    echo two >"$M$T/f"
    assert_equal "$(version_of "$T/f")" 1
    assert_equal "$(zabctl get "$T/f")" two
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    stop_mount "$M"
}

@test "-o unchanged=skip: what another wrote meanwhile is not taken for the same" {
    start_mount "$M" "" unchanged=skip
    local i
    for i in 1 2 3 4 5; do
        echo mine >"$M$T/f"
        zabctl set "$T/f" theirs
        echo mine >"$M$T/f"
        assert_equal "$(zabctl get "$T/f")" mine
    done
    stop_mount "$M"
}

@test "-o unchanged=skip: a second rsync changes no file" {
    require_program rsync
    start_mount "$M" "" unchanged=skip
    mkdir "$LOGS/tree"
    local i how
    for i in 1 2 3; do
        echo $i >"$LOGS/tree/$i"
    done
    chmod 644 "$LOGS/tree"/*
    touch -d 2001-01-01 "$LOGS/tree"/* # the mount keeps another time
    for how in "--inplace --whole-file" "--whole-file"; do
        rsync -a "$LOGS/tree/" "$M$T/"
        rsync -a $how "$LOGS/tree/" "$M$T/"
        for i in 1 2 3; do
            assert_equal "$how $(version_of "$T/$i")" "$how 0"
        done
    done
    stop_mount "$M"
}

@test "-o unchanged=write is the default: a deploy of the same content is told" {
    start_mount "$M" "" unchanged=write
    echo one >"$M$T/f"
    echo one >"$M$T/f"
    assert_equal "$(version_of "$T/f")" 1
    wait_for 5 test -e "$A/f"
    echo one >"$A/f"
    assert_equal "$(version_of "$T/f")" 2
    stop_mount "$M"
    refuses "$SERVER" "$M" -o unchanged=maybe
    assert_output --partial "unchanged=maybe"
}

# ---- Locks ----

# How flock, fcntl's and open file descriptions' locks end.
try_locks() {
    python3 - "$1" <<'P'
import errno, fcntl, os, struct, sys

def whole_file():
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

fd = os.open(sys.argv[1], os.O_RDWR)
for name, lock in (
    ("flock", lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    ("posix", lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    ("ofd", lambda: fcntl.fcntl(fd, 37, whole_file())), # F_OFD_SETLK
):
    try:
        lock()
        print(name, "ok")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
    if name == "posix":
        try:
            fcntl.lockf(fd, fcntl.LOCK_UN)
        except OSError:
            pass
P
}

@test "locks that would hold on one machine only are ENOLCK" {
    echo x >"$A/f"
    run -0 try_locks "$A/f"
    assert_output "flock ENOLCK
posix ENOLCK
ofd ENOLCK"
    require_program flock
    run flock -n "$A/f" true
    assert_failure
    assert_output --partial "No locks available"
    assert_equal "$(cat "$A/f")" x
}

@test "-o locks=local: they are this machine's" {
    start_mount "$M" "" locks=local
    echo x >"$M$T/f"
    run -0 try_locks "$M$T/f"
    assert_output "flock ok
posix ok
ofd ok"
    exec 7<>"$M$T/f"
    flock -n 7
    run flock -n "$M$T/f" true
    assert_failure
    exec 7>&-
    run -0 flock -n "$M$T/f" echo mine
    assert_output mine
    stop_mount "$M"
    refuses "$SERVER" "$M" -o locks=everywhere
    assert_output --partial "locks=everywhere"
}

# ---- Following a file ----

follow() {
    local name=$1
    shift
    background "$@" >"$LOGS/$name" 2>"$LOGS/$name.err"
    wait_for 5 grep -q first "$LOGS/$name"
}

@test "tail -f and tail -F follow what is appended, here and elsewhere" {
    echo first >"$A/log"
    wait_for 5 content_is "$B/log" first
    follow f tail -n +1 -s 0.2 -f "$A/log"
    follow F tail -n +1 -s 0.2 -F "$A/log"
    echo here >>"$A/log"
    wait_for 5 grep -q here "$LOGS/f"
    wait_for 5 grep -q here "$LOGS/F"
    wait_for 5 content_is "$B/log" "$(cat "$A/log")"
    echo elsewhere >>"$B/log"
    wait_for 5 grep -q elsewhere "$LOGS/f"
    wait_for 5 grep -q elsewhere "$LOGS/F"
    assert_equal "$(cat "$LOGS/f")" "first
here
elsewhere"
    assert_equal "$(cat "$LOGS/F")" "first
here
elsewhere"
}

@test "a reader at its end goes on when the file grew, and not when it became another" {
    echo first >"$A/f"
    exec 7<"$A/f"
    assert_equal "$(cat <&7)" first
    echo second >>"$B/f"
    wait_for 5 content_is "$A/f" "first
second"
    wait_for 5 reads_on second
    echo "something quite different, and longer than that" >"$B/f"
    wait_for 5 content_is "$A/f" "something quite different, and longer than that"
    assert_equal "$(cat <&7)" ""
    exec 7<&-
    # In the middle of a version it stays in it.
    exec 7<"$A/f"
    read -r -u 7 -n 9
    echo "once more something different, and longer than all that was there" >"$B/f"
    wait_for 5 content_is "$A/f" "$(cat "$B/f")"
    assert_equal "$(cat <&7)" " quite different, and longer than that"
    exec 7<&-
}

reads_on() {
    local more
    more=$(cat <&7)
    [ "$more" = "$1" ]
}

# ---- Room ----

# Blocks, what is free of them, and what users may have, in bytes.
room_of() {
    python3 -c 'import os, sys; s = os.statvfs(sys.argv[1])
print(s.f_blocks * s.f_frsize, s.f_bavail * s.f_frsize, s.f_files, s.f_favail)' "$1"
}

@test "statfs tells of the quota of the CHROOT" {
    zabctl create "$T/root"
    zabctl create "$T/root/f" "0123456789"
    zabctl create -p "/zookeeper/quota$T/root/zookeeper_limits" \
        "count=-1,bytes=-1=;byteHardLimit=1048576;countHardLimit=100"
    zabctl create "/zookeeper/quota$T/root/zookeeper_stats" "count=2,bytes=10"
    start_mount "$M" "$SERVER$T/root"
    local size free files names
    read -r size free files names < <(room_of "$M")
    assert_equal "$size" 1048576
    # Within a block.
    ((free <= 1048576 - 10 && free >= 1048576 - 10 - 4096))
    assert_equal "$files $names" "100 98"
    stop_mount "$M"
}

@test "statfs without a quota: room for a file, and no invented terabyte" {
    local size free files names
    read -r size free files names < <(room_of "$A")
    ((free >= 1048576))
    ((size != 1 << 40)) || fail "$size bytes are of no known limit"
}
