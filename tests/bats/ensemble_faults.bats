# SPDX-License-Identifier: GPL-3.0-or-later
# Ensembles of zabd whose links are cut and whose servers hang: only what a quorum has is
# acknowledged, and there is one history in the end.

setup_file() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
}

setup() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
}

# An ensemble of $2 in a network.
networked() {
    NETWORK=1 make_ensemble "$1" "$2" snapCount=500
    use_ensemble "$1"
    start $ALL
    wait_formed $ALL
}

# Nothing that any of $1 sends reaches any of $2.
cut() {
    local a b
    for a in $1; do
        for b in $2; do
            network cut "$a" "$b"
        done
    done
}

without() {
    tr ' ' '\n' <<<"$ALL" | grep -vx "$1" | paste -s -d ' '
}

heal() {
    network heal
    wait_formed $ALL
    load_goes_on
}

no_leader_but() {
    local l
    l=$(leader) && [ "$l" != "$1" ]
}

@test "a leader that is cut off stops serving, the others go on, and there is one history" {
    local l others writer
    networked cut 3
    start_load cut
    l=$(leader)
    others=$(without "$l")
    py "${HOST_OF[$l]}" "$E/minority" 3>&- <<'PY' &
from ensemble import *
client = connect(sys.argv[1])
open(sys.argv[2], "w").close()
wait_for(20, lambda: os.path.exists(sys.argv[2] + ".cut"))
try:
    client.create_async("/minority").get(timeout=20)
except LOST:
    sys.exit(0)
sys.exit("acknowledged by a leader without a quorum")
PY
    writer=$!
    record_pid $writer
    wait_for 20 test -e "$E/minority"
    cut "$l" "$others"
    cut "$others" "$l"
    touch "$E/minority.cut"
    wait_for 20 does_not_serve "$l"
    wait $writer
    wait_for 20 have_formed $others
    load_goes_on 60
    run ! timeout 10 "${CLIENT[@]}" zabctl -t 1 -s "${HOST_OF[$l]}" create /never
    run ! timeout 10 "${CLIENT[@]}" zabctl -t 1 -s "${HOST_OF[$l]}" get /
    heal
    check_load
    run -0 "${CLIENT[@]}" zabctl ls /
    refute_line minority
    refute_line never
    stop $ALL
}

@test "a leader that is not heard, and one that does not hear, is replaced" {
    local l
    networked oneway 3
    start_load oneway
    l=$(leader)
    cut "$l" "$(without "$l")"
    wait_for 20 no_leader_but "$l"
    load_goes_on 60
    heal
    l=$(leader)
    cut "$(without "$l")" "$l"
    wait_for 20 no_leader_but "$l"
    load_goes_on 60
    heal
    check_load
    stop $ALL
}

@test "servers that heard nothing of each other for long serve soon after the network is well" {
    local i
    networked silent 3
    for i in $ALL; do
        cut "$i" "$(without "$i")"
    done
    wait_for 20 does_not_serve 1
    sleep 15
    network heal
    # The pause before an attempt to connect is 2 s at most, and a round that fails costs 5 s
    # (initLimit): a busy machine may lose one. ZooKeeper's pauses grow to a minute.
    wait_for 15 have_formed $ALL
}

@test "five servers of which one alone sees both sides go on" {
    networked bridge 5
    start_load bridge
    [ "$(leader)" = 5 ]
    cut "1 2" "4 5"
    cut "4 5" "1 2"
    load_goes_on 60
    wait_for 20 does_not_serve 1
    wait_for 20 does_not_serve 2
    load_goes_on 60
    have_formed 3 4 5
    # A leader has to be found within it, too.
    kill9 3
    wait_for 20 does_not_serve 5
    start 3
    wait_for 30 have_formed 3 4 5
    load_goes_on 60
    heal
    check_load
    stop $ALL
}

@test "a follower without data comes back over a slow link, and the others do not wait for it" {
    local f
    networked slow 3
    network rate 1 2mbit 2>"$E/tc.err" || skip "no slow link: $(cat "$E/tc.err")"
    py <<'PY'
from ensemble import *
client = connect()
for n in range(4):
    client.create(f"/big-{n}", os.urandom(100000))
PY
    start_load slow
    f=$(follower)
    network rate "$(leader)" 2mbit
    network rate "$f" 2mbit
    kill9 "$f"
    wipe "$f"
    start "$f"
    load_goes_on 60
    wait_formed $ALL
    log_has "$(leader)" "learner $f at 0x0: "
    check_load
    stop $ALL
}

@test "of five servers two may be lost; without a third nothing is served until one is back" {
    local l i three
    make_ensemble five 5
    use_ensemble five
    start $ALL
    wait_formed $ALL
    start_load five
    l=$(leader)
    kill9 "$l" "$(follower)"
    wait_for 20 leader
    load_goes_on 60
    mapfile -t three < <(for i in $ALL; do [ -z "$(mode_of "$i")" ] || echo "$i"; done)
    [ ${#three[@]} = 3 ]
    kill9 "${three[0]}"
    for i in "${three[@]:1}"; do
        wait_for 20 does_not_serve "$i"
        run ! timeout 10 zabctl -t 1 -s "${HOST_OF[$i]}" create /never
    done
    start "$l"
    load_goes_on 60
    have_formed "$l" "${three[@]:1}"
    for i in $ALL; do
        ! process_is_gone "$(cat "$E/$i/pid")" || start "$i"
    done
    wait_formed $ALL
    check_load
    run -0 zabctl ls /
    refute_line never
    stop $ALL
}

@test "a mount and its watchers go on while the leader hangs" {
    [ -x "$ZAB_BUILD/zabfs" ] || skip "no zabfs in $ZAB_BUILD"
    (exec 9<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
    require_program inotifywait
    local mount=$ZAB_TMP/hung-mount l pid writer
    make_ensemble hung 3
    use_ensemble hung
    start $ALL
    wait_formed $ALL
    mkdir "$mount"
    background zabfs "$HOSTS" "$mount" -f -o rw >"$mount.log" 2>&1
    pid=$BACKGROUND_PID
    wait_for 10 test -e "$mount/.zabfs/status"
    mkdir "$mount/files"
    background inotifywait -m --format '%e %f' -e create,close_write "$mount/files" \
        >"$mount.events" 2>"$mount.events.log"
    wait_for 10 grep -q established "$mount.events.log"
    background write_files "$mount/files" "$mount.closed"
    writer=$BACKGROUND_PID
    l=$(leader)
    signal STOP "$l"
    wait_for 30 has_more_lines "$mount.closed" $(($(wc -l <"$mount.closed") + 20))
    zabctl create /files/elsewhere 1
    wait_for 20 grep -qx "CREATE elsewhere" "$mount.events"
    [ "$(cat "$mount/files/elsewhere")" = 1 ]
    signal CONT "$l"
    wait_formed $ALL
    touch "$mount.closed.stop"
    wait_for 30 process_is_gone "$writer"
    expect_files "$mount/files" "$mount.closed" "$mount.events"
    kill "$pid"
    wait_for 10 process_is_gone "$pid"
    ens same
    stop $ALL
}
