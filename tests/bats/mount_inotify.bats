# SPDX-License-Identifier: GPL-3.0-or-later
# inotify on mount $A, for changes made on mount $B or by another client.

setup_file() {
    load mount_helpers
    require_program inotifywait
    start_mounts
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
    FS="python3 $BATS_TEST_DIRNAME/mount_calls.py"
}

@test "a file is created, written and removed elsewhere" {
    start_watch w "$A"
    echo hello >"$B/f"
    expect_events w "$B" "CREATE f" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    echo again >"$B/f"
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    echo more >>"$B/f"
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    touch "$B/f"
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    rm "$B/f"
    expect_events w "$B" "DELETE f"
    : >"$B/empty"
    expect_events w "$B" "CREATE empty"
}

@test "a directory is created and removed elsewhere" {
    start_watch w "$A"
    mkdir "$B/d"
    expect_events w "$B" "CREATE,ISDIR d"
    rmdir "$B/d"
    expect_events w "$B" "DELETE_SELF d/" "DELETE,ISDIR d"
}

@test "the same by zabctl: what another client does" {
    start_watch w "$A"
    zabctl create "$T/f" x
    zabctl set "$T/f" y
    zabctl create "$T/d"
    zabctl rm "$T/d"
    wait_for 5 gone "$A/d"
    zabctl rm "$T/f"
    expect_events_of_kinds w "$B" CREATE CREATE,ISDIR DELETE DELETE,ISDIR
}

# Changes that follow each other at once may come together, and then in another order; the final
# state is told, each creation and removal at most once.
expect_events_of_kinds() {
    local name=$1 where=$2 end=end$RANDOM
    shift 2
    mkdir "$where/$end"
    wait_for 10 grep -q "CREATE,ISDIR .*$end" "$LOGS/$name.raw"
    wait_for 5 all_that_came_went "$name" "$end"
    local kind count
    for kind; do
        count=$(count_kind "$kind")
        ((count <= 1))
    done
}

count_kind() {
    grep -cx "$1" "$LOGS/kinds" || true
}

all_that_came_went() {
    events_of "$1" | grep -v "$2" | sed 's/ .*//' >"$LOGS/kinds"
    [ "$(count_kind CREATE)" = "$(count_kind DELETE)" ] &&
        [ "$(count_kind CREATE,ISDIR)" = "$(count_kind DELETE,ISDIR)" ]
}

@test "one by one, the same by kazoo and by zkCli.sh" {
    /usr/bin/python3 -c "import kazoo" 2>/dev/null || skip "kazoo is not installed"
    start_watch w "$A"
    /usr/bin/python3 - "$SERVER_PORT" "$T/f" <<'P'
import sys
from kazoo.client import KazooClient
zk = KazooClient("127.0.0.1:" + sys.argv[1])
zk.start()
zk.create(sys.argv[2], b"x")
zk.stop()
P
    expect_events w "$B" "CREATE f" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    [ -x /usr/share/zookeeper/bin/zkCli.sh ] || skip "zkCli.sh is not installed"
    /usr/share/zookeeper/bin/zkCli.sh -server "127.0.0.1:$SERVER_PORT" set "$T/f" y \
        >"$LOGS/zkCli" 2>&1
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    assert_equal "$(cat "$A/f")" y
}

@test "a watch on the file itself" {
    echo 1 >"$A/f"
    start_watch w "$A/f"
    zabctl set "$T/f" 2
    expect_self w "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    zabctl rm "$T/f"
    wait_for 5 grep -q DELETE_SELF "$LOGS/w.raw"
    run -0 events_of w
    assert_output "ATTRIB f
DELETE_SELF f"
}

# The watch is on one file, so that no directory can mark the end.
expect_self() {
    local name=$1
    shift
    wait_for 5 grep -q CLOSE_WRITE "$LOGS/$name.raw"
    events_of "$name" >"$LOGS/$name.new"
    cat "$LOGS/$name.new" >>"$LOGS/$name.seen"
    assert_equal "$(cat "$LOGS/$name.new")" "$(printf '%s\n' "$@")"
}

@test "a rename by another mount is MOVED_FROM and MOVED_TO" {
    mkdir "$A/d"
    echo x >"$A/f"
    wait_for 5 test -e "$B/f"
    # Where the server does not say which transaction an event is of, the contents decide.
    cat "$A/f"
    start_watch w "$A"
    mv "$B/f" "$B/g"
    expect_events w "$B" "MOVED_FROM f" "MOVED_TO g"
    wait_for 5 test -d "$B/d"
    mv "$B/g" "$B/d/h"
    expect_events w "$B" "MOVED_FROM g" "MOVED_TO d/h"
    echo y >"$B/f"
    expect_events w "$B" "CREATE f" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    cat "$A/f" "$A/d/h"
    start_watch over "$A"
    mv "$B/f" "$B/d/h"
    expect_events over "$B" "MOVED_FROM f" "MOVED_TO d/h"
    mv "$B/d" "$B/e"
    expect_events over "$B" "MOVED_FROM,ISDIR d" "MOVED_TO,ISDIR e"
    content_is "$A/e/h" y
}

@test "one file removed and another made is no rename" {
    local i
    start_watch w "$A"
    for i in 1 2 3 4 5; do
        echo "a$i" >"$B/f"
        wait_for 5 content_is "$A/f" "a$i"
        rm "$B/f"
        echo "b$i" >"$B/g"
        wait_for 5 content_is "$A/g" "b$i"
        rm "$B/g"
        wait_for 5 gone "$A/g"
    done
    run -1 grep MOVED "$LOGS/w.raw"
}

@test "own changes are told as a local directory tells them, once" {
    local real=$A local=$LOGS/local
    mkdir -p "$local/d" "$A/real/d" # inotifywait -r is late for a new directory
    start_watch there "$local"
    start_watch here "$A/real"
    change_things "$local"
    change_things "$A/real"
    wait_for 5 grep -q "DELETE .*end" "$LOGS/there.raw"
    wait_for 5 grep -q "DELETE .*end" "$LOGS/here.raw"
    mkdir "$B/end"
    wait_for 5 test -d "$A/end"
    A=$local events_of there >"$LOGS/expected"
    A=$real/real events_of here >"$LOGS/actual"
    diff <(uniq "$LOGS/expected") <(uniq "$LOGS/actual")
}

change_things() {
    (
        cd "$1"
        echo hello >f
        echo more >>f
        echo again >f
        mv f g
        touch g
        truncate -s 2 g
        mv g d/h
        mv d e
        rm -r e
        : >end
        rm end
    )
}

@test "own changes and others' of one file: none is told twice, none is lost" {
    local i
    echo 0 >"$A/f"
    wait_for 5 content_is "$B/f" 0
    start_watch w "$A"
    for i in 1 2 3; do
        echo "b$i" >"$B/f"
        expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
        echo "a$i" >>"$A/f"
        expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f"
    done
}

@test "a new ACL is ATTRIB" {
    echo x >"$A/f"
    start_watch w "$A"
    # ZooKeeper has no event for it: it is found when the node is read again.
    zabctl acl "$T/f" world:anyone:crwa
    zabctl set "$T/f" y
    expect_events w "$B" "OPEN f" "MODIFY f" "CLOSE_WRITE,CLOSE f" "ATTRIB f"
}

@test "a file in a new directory, both from elsewhere" {
    start_watch w "$A"
    mkdir "$B/d"
    expect_events w "$B" "CREATE,ISDIR d"
    echo x >"$B/d/f"
    expect_events w "$B" "CREATE d/f" "OPEN d/f" "MODIFY d/f" "CLOSE_WRITE,CLOSE d/f"
    mkdir -p "$B/d/e/g"
    wait_for 5 test -d "$A/d/e/g"
    wait_for 5 grep -q "CREATE,ISDIR .*d/e" "$LOGS/w.raw"
}

@test "a file that becomes a directory: what is read is what was told" {
    echo x >"$A/f"
    start_watch w "$A"
    zabctl create "$T/f/child" y
    wait_for 5 test -d "$A/f"
    content_is "$A/f/child" y
    content_is "$A/f/.data" x
    mkdir "$B/end"
    wait_for 5 grep -q "CREATE,ISDIR .*end" "$LOGS/w.raw"
    run -0 events_of w
    assert_line "DELETE f"
    assert_line "CREATE,ISDIR f"
}

@test "the events of a path keep the order of the changes" {
    local i
    start_watch w "$A"
    for i in $(seq 30); do
        echo $i >"$B/f"
        rm "$B/f"
    done
    echo last >"$B/f"
    mkdir "$B/end"
    wait_for 10 grep -q "CREATE,ISDIR .*end" "$LOGS/w.raw"
    assert_equal "$(cat "$A/f")" last
    # Never two creations, nor two removals, one behind the other; and last there is the file.
    events_of w | grep -E '^(CREATE|DELETE) f$' >"$LOGS/order"
    assert_equal "$(uniq "$LOGS/order" | wc -l)" "$(wc -l <"$LOGS/order")"
    assert_equal "$(head -1 "$LOGS/order") $(tail -1 "$LOGS/order")" "CREATE f CREATE f"
}

@test "2,000 fast sets: what is read after the last event is the last" {
    echo 0 >"$A/f"
    start_watch w "$A/f"
    $FS set-fast "$B/f" 2000
    wait_for 10 content_is "$A/f" 2000
    wait_for 10 reads_on_event
    assert_equal "$(tail -1 "$LOGS/contents")" 2000
}

# For each event of the log so far, as a watcher does: read.
reads_on_event() {
    local before after
    before=$(grep -c CLOSE_WRITE "$LOGS/w.raw")
    cat "$A/f" >>"$LOGS/contents"
    [ "$(status_of "$ZAB_TMP/a" injections_waiting)" = 0 ] || return 1
    after=$(grep -c CLOSE_WRITE "$LOGS/w.raw")
    ((before > 0 && before == after))
}

@test "an event never comes before what it tells of can be read" {
    echo 0 >"$A/f"
    wait_for 5 content_is "$B/f" 0
    background $FS follow "$A" f 200 >"$LOGS/follow" 2>&1
    local pid=$BACKGROUND_PID i
    wait_for 5 grep -q ready "$LOGS/follow"
    for i in $(seq 200); do
        echo $i >"$B/f"
    done
    wait "$pid" || {
        cat "$LOGS/follow"
        return 1
    }
}

@test "where nobody looks nothing is injected" {
    local before dir=$ZAB_TMP/quiet i
    mkdir -p "$A/far/away"
    start_mount "$dir"
    before=$(status_of "$dir" injections)
    for i in 1 2 3 4 5; do
        echo $i >"$A/far/away/f"
        echo $i >"$A/far/away/f$i"
    done
    # This one is looked at, and so marks the end.
    start_watch w "$dir"
    mkdir "$A/end"
    zabctl create "/seen$BATS_TEST_NUMBER" x
    wait_for 5 grep -q "CREATE .*/seen" "$LOGS/w.raw"
    run status_of "$dir" injections
    zabctl rm "/seen$BATS_TEST_NUMBER"
    ((output - before <= 3)) || fail "there were $((output - before)) injections"
    end_process "$BACKGROUND_PID" TERM || true
    stop_mount "$dir"
}

@test "what changed while the server was down, or out of reach, arrives" {
    local dir=$ZAB_TMP/outage
    unset ZAB_TEST_CONFIG
    local port=$SERVER_PORT
    start_server reached
    ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    zabctl create /d
    zabctl create /d/changed 1
    zabctl create /d/removed 1
    zabctl create /d/kept 1
    start_mount "$dir"
    assert_equal "$(cat "$dir"/d/*)" 111
    A=$dir
    start_watch w "$dir/d"
    # The mount is out of reach while others change things: it is stopped until the server has
    # forgotten its session.
    kill -STOP "$(cat "$dir.pid")"
    zabctl set /d/changed 2
    zabctl rm /d/removed
    zabctl create /d/created 2
    stop_server reached
    kill -CONT "$(cat "$dir.pid")"
    start_server reached
    SERVER_PORT=$port
    wait_for 15 grep -q "CLOSE_WRITE.*created" "$LOGS/w.raw"
    wait_for 15 grep -q "CLOSE_WRITE.*changed" "$LOGS/w.raw"
    wait_for 15 grep -q "DELETE.*removed" "$LOGS/w.raw"
    assert_equal "$(sed "s|$dir/||" "$LOGS/w.raw" | grep -v ISDIR | sort | uniq -c | sed 's/^ *//')" \
        "1 CLOSE_WRITE,CLOSE d/changed
1 CLOSE_WRITE,CLOSE d/created
1 CREATE d/created
1 DELETE d/removed
1 MODIFY d/changed
1 MODIFY d/created
1 OPEN d/changed
1 OPEN d/created"
    assert_equal "$(cat "$dir/d/changed" "$dir/d/created")" 22
    end_process "$BACKGROUND_PID" TERM || true
    stop_mount "$dir"
    stop_server reached
}

@test "an inotify watch does not hold the mount up, nor do many" {
    local i
    for i in $(seq 40); do
        mkdir "$A/d$i"
    done
    start_watch w "$A"
    for i in $(seq 40); do
        echo $i >"$B/d$i/f" &
    done
    wait $(jobs -p | grep -v "$BACKGROUND_PID")
    wait_for 10 all_told
    run -0 events_of w
    assert_equal "$(grep -c '^CREATE d[0-9]*/f$' <<<"$output")" 40
}

all_told() {
    [ "$(grep -c 'CLOSE_WRITE,CLOSE .*/f' "$LOGS/w.raw")" = 40 ]
}
