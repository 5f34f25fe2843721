# SPDX-License-Identifier: GPL-3.0-or-later
# For the .bats files of the mount. Two mounts of one server stand for two machines:
#
#   start_mounts [OPTIONS]  in setup_file: a server, and mounts of it at $A and $B
#   stop_mounts             in teardown_file; fails if one of the programs has died
#   use_mounts              in setup: this test's directory, as $A, $B and (in the tree) $T
#   start_mount DIR [SOURCE] [OPTIONS]    one more; stop_mount DIR, kill_mount DIR
#   start_watch NAME PATH...   inotifywait -m -r on them; its events come to NAME's log
#   expect_events NAME DIR LINE...   these and no others have come, without those of earlier calls;
#                           DIR is where, elsewhere, the last change is made that marks the end
#
# run.sh unmounts what is left below $ZAB_TMP.
source "${BASH_SOURCE[0]%/*}/helpers.bash"

require_fuse() {
    [ -x "$ZAB_BUILD/zabfs" ] || skip "no zabfs in $ZAB_BUILD"
    (exec 9<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
    require_program fusermount3
}

is_mounted() {
    grep -qF " $1 fuse.zabfs " /proc/self/mounts
}

answers() {
    [ -e "$1/.zabfs/status" ]
}

start_mount() {
    local dir=$1 source=${2:-127.0.0.1:$SERVER_PORT} options=${3:-rw}
    mkdir -p "$dir"
    background zabfs "$source" "$dir" -f -o "$options" >>"$dir.log" 2>&1
    echo "$BACKGROUND_PID" >"$dir.pid"
    { wait_for 10 mount_is_up "$dir" && is_mounted "$dir"; } || {
        cat "$dir.log" >&2
        return 1
    }
}

mount_is_up() {
    process_is_gone "$(cat "$1.pid")" || { is_mounted "$1" && answers "$1"; }
}

stop_mount() {
    local pid
    pid=$(cat "$1.pid")
    if ! kill "$pid" 2>/dev/null; then
        echo "the mount $1 has died; its log:" >&2
        cat "$1.log" >&2
        return 1
    fi
    wait_for 10 process_is_gone "$pid"
    ! is_mounted "$1"
}

start_mounts() {
    require_fuse
    start_server
    export SERVER_PORT
    start_mount "$ZAB_TMP/a" "" "${1:-rw}"
    start_mount "$ZAB_TMP/b" "" "${1:-rw}"
}

stop_mounts() {
    # Nothing was started where setup_file skipped.
    [ -e "$ZAB_TMP/a.pid" ] || return 0
    stop_mount "$ZAB_TMP/a"
    stop_mount "$ZAB_TMP/b"
    stop_server
}

use_mounts() {
    T=/t$BATS_TEST_NUMBER
    A=$ZAB_TMP/a$T
    B=$ZAB_TMP/b$T
    LOGS=$BATS_TEST_TMPDIR
    mkdir "$A"
    wait_for 5 test -d "$B"
    export A B T ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
}

# A change made elsewhere is seen here when its event has come.
content_is() {
    [ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

gone() {
    [ ! -e "$1" ]
}

version_of() {
    zabctl stat "$1" | sed -n 's/^version: //p'
}

# A line of .zabfs/status.
status_of() {
    sed -n "s/^$2: //p" "$1/.zabfs/status"
}

# The message of the system call's error, as the shell's programs show it.
fails_with() {
    local message=$1
    shift
    run "$@"
    assert_failure
    assert_output --partial "$message"
}

start_watch() {
    local name=$1
    shift
    require_program inotifywait
    background inotifywait -m -r --format '%e %w%f' -e create,delete,delete_self,attrib \
        -e modify,open,close_write,move "$@" >"$LOGS/$name.raw" 2>"$LOGS/$name.err"
    wait_for 10 grep -q established "$LOGS/$name.err"
    : >"$LOGS/$name.seen"
}

# What has come since the last call, without what inotifywait -r itself and opendir cause, and with
# names below this test's directory.
events_of() {
    sed -e '/OPEN,ISDIR/d' -e "s|$A/||" -e "s|$A|.|" "$LOGS/$1.raw" |
        tail -n +"$(($(wc -l <"$LOGS/$1.seen") + 1))"
}

has_event() {
    events_of "$1" | grep -qxF -- "$2"
}

expect_events() {
    local name=$1 where=$2 end=end$RANDOM$RANDOM
    shift 2
    # A rename is known as one as long as it is its directory's last change.
    wait_for 5 has_event "$name" "${@: -1}"
    mkdir "$where/$end"
    wait_for 10 grep -q "CREATE,ISDIR .*$end" "$LOGS/$name.raw"
    rmdir "$where/$end"
    wait_for 10 grep -q "DELETE,ISDIR .*$end" "$LOGS/$name.raw"
    events_of "$name" >"$LOGS/$name.new"
    cat "$LOGS/$name.new" >>"$LOGS/$name.seen"
    assert_equal "$(grep -v "$end" "$LOGS/$name.new")" "$(printf '%s\n' "$@")"
}

# "nobody" as a user of this machine, where that can be.
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ "$@"
}

require_nobody() {
    require_program setpriv
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    as_nobody test -x "$ZAB_BUILD/zabfs" || skip "$ZAB_BUILD cannot be read by other users"
}
