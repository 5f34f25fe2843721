# SPDX-License-Identifier: GPL-3.0-or-later
# Three zabd and an observer, as processes: what an ensemble promises its clients while its servers
# are killed, stopped, wiped and replaced. $ZAB_KILL_ROUNDS: how often the leader is killed (5).

setup_file() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
    OBSERVER=4 make_ensemble main 4 snapCount=500
    use_ensemble main
    start $ALL
    wait_formed $ALL
}

setup() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    use_ensemble main
}

@test "it forms: one leader, followers, an observer, and all say so" {
    local i
    [ "$(for i in $ALL; do mode_of "$i"; done | sort | uniq -c | tr -s ' \n' ' ')" = \
        " 2 follower 1 leader 1 observer " ]
    [ "$(mode_of 4)" = observer ]
    for i in $ALL; do
        [ "$(ask "$i" mntr | sed -n 's/^zk_server_state\t//p')" = "$(mode_of "$i")" ]
        [ "$(ask "$i" isro)" = rw ]
        [ "$(ask "$i" ruok)" = imok ]
    done
    run -0 zabctl status
    [ "$(awk '{ print $2 }' <<<"$output" | sort | paste -s -d ' ')" = \
        "follower follower leader mode observer" ]
}

@test "every server serves reads and writes, and sync shows what was written on another" {
    py <<'PY'
from ensemble import *
clients = [connect(host) for host in HOSTS]
for i, client in enumerate(clients):
    client.create(f"/from-{i}", b"%d" % i)
    for other in clients:
        other.sync("/")
        assert other.get(f"/from-{i}")[0] == b"%d" % i
for n in range(200):
    clients[n % 4].set("/from-0", b"%d" % n)
    reader = clients[(n + 1) % 4]
    reader.sync("/from-0")
    data, stat = reader.get("/from-0")
    assert (data, stat.version) == (b"%d" % n, n + 1)
PY
}

@test "a multi is answered alike by every server, also one that is refused" {
    py <<'PY'
from ensemble import *
for i, host in enumerate(HOSTS):
    client = connect(host)
    client.create(f"/multi-{i}")
    for version in (9, 0):
        t = client.transaction()
        t.create(f"/multi-{i}/a")
        t.set_data(f"/multi-{i}", b"1", version)
        t.delete(f"/multi-{i}/a")
        answer = t.commit()
        if version == 9:
            assert [type(r) for r in answer] == [RolledBackError, BadVersionError,
                                                 RuntimeInconsistency], answer
        else:
            assert answer[0] == f"/multi-{i}/a" and answer[1].version == 1 and answer[2], answer
PY
}

@test "a watch on each server sees a write that was made on another" {
    py <<'PY'
from ensemble import *
clients = [connect(host) for host in HOSTS]
seen = [[] for host in HOSTS]
for round, writer in enumerate(clients):
    path = f"/watched-{round}"
    for events, client in zip(seen, clients):
        events.clear()
        client.sync("/")
        assert not client.exists(path, watch=events.append)
        client.get_children("/", watch=events.append)
    writer.create(path, b"")
    wait_for(5, lambda: all(len(events) == 2 for events in seen))
    for events in seen:
        assert sorted((e.type, e.path) for e in events) == [("CHILD", "/"), ("CREATED", path)]
PY
}

@test "a session moves to another server and keeps its ephemeral node, until it ends" {
    py <<'PY'
from ensemble import *
client = connect(timeout=10)
others = [connect(host) for host in HOSTS]
client.create("/mine", b"", ephemeral=True)
session = client.client_id[0]
states = []
client.add_listener(states.append)
for n in range(2):
    states.clear()
    client._connection._socket.shutdown(2)
    wait_for(10, lambda: KazooState.CONNECTED in states)
    assert KazooState.LOST not in states
    assert client.client_id[0] == session
    client.sync("/")
    assert client.get("/mine")[1].ephemeralOwner == session
for other in others:
    other.sync("/")
    assert other.get("/mine")[1].ephemeralOwner == session
gone = []
for other in others:
    other.exists("/mine", watch=gone.append)
client.stop()
wait_for(5, lambda: len(gone) == len(others))
assert all(not other.exists("/mine") for other in others)
PY
}

@test "a session outlives the server that it was on, and one that nobody renews expires everywhere" {
    local victim
    victim=$(follower)
    py "${HOST_OF[$victim]}" "$(cat "$E/$victim/pid")" <<'PY'
import signal
from ensemble import *
host, pid = sys.argv[1], int(sys.argv[2])
others = [h for h in HOSTS if h != host]
client = connect(host, timeout=10)
client.create("/kept", b"", ephemeral=True)
session = client.client_id
silent = connect(host, timeout=1)
silent.create("/lost", b"", ephemeral=True)
os.kill(pid, signal.SIGKILL)
again = connect(*others, timeout=10, client_id=session)
assert again.client_id == session
assert again.get("/kept")[1].ephemeralOwner == session[0]
for other in others:
    there = connect(other)
    wait_for(10, lambda: not there.exists("/lost"))
    assert there.exists("/kept")
again.stop()
os._exit(0)
PY
    wait_for 5 process_is_gone "$(cat "$E/$victim/pid")"
    start "$victim"
    wait_formed $ALL
}

@test "a minority serves nothing and says so, and goes on when there is a quorum" {
    local l stopped server
    l=$(leader)
    mapfile -t stopped < <(followers)
    zabctl create /before
    kill9 "${stopped[@]}"
    wait_for 10 does_not_serve "$l"
    wait_for 10 does_not_serve 4
    for server in $l 4; do
        run ! timeout 10 zabctl -t 1 -s "${HOST_OF[$server]}" create /never
        run ! timeout 10 zabctl -t 1 -s "${HOST_OF[$server]}" get /before
    done
    run ! timeout 10 zabctl -t 1 status
    start "${stopped[0]}"
    wait_formed "$l" "${stopped[0]}" 4
    zabctl create /after
    start "${stopped[1]}"
    wait_formed $ALL
    for server in $ALL; do
        zabctl -s "${HOST_OF[$server]}" sync /
        run -0 zabctl -s "${HOST_OF[$server]}" ls /
        assert_line before
        assert_line after
        refute_line never
    done
}

@test "kill -9 of the leader under load loses nothing that was acknowledged" {
    local l i
    start_load killed
    for ((i = 0; i < ${ZAB_KILL_ROUNDS:-5}; i++)); do
        l=$(leader)
        kill9 "$l"
        load_goes_on
        start "$l"
        wait_formed $ALL
        load_goes_on
    done
    check_load
}

@test "kill -9 of all servers at once under load loses nothing that was acknowledged" {
    local round i
    start_load all
    for round in 1 2; do
        signal KILL $ALL
        for i in $ALL; do
            wait_for 10 process_is_gone "$(cat "$E/$i/pid")"
        done
        start $ALL
        wait_formed $ALL
        load_goes_on
    done
    check_load
}

@test "servers that hang are gone on without, and come back" {
    local i
    start_load hung
    for i in $(follower) $(leader); do
        signal STOP "$i"
        sleep 1
        load_goes_on 60
        wait_for 10 have_formed $(tr -d "$i" <<<"$ALL")
        signal CONT "$i"
        wait_formed $ALL
    done
    check_load
}

@test "a wiped follower takes the whole tree" {
    local f
    start_load wiped
    f=$(follower)
    kill9 "$f"
    load_goes_on 600
    wipe "$f"
    start "$f"
    wait_formed $ALL
    # It asks for the tree by a zxid that no history has.
    log_has "$(leader)" "learner $f at 0xffffffff: SNAP"
    check_load
}

@test "a rolling restart under load" {
    local i
    start_load rolling
    for i in $ALL; do
        stop "$i"
        load_goes_on
        start "$i"
        wait_formed $ALL
    done
    check_load
}

@test "a mount goes on when each of its servers is killed in turn" {
    [ -x "$ZAB_BUILD/zabfs" ] || skip "no zabfs in $ZAB_BUILD"
    (exec 9<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
    require_program inotifywait
    local mount=$ZAB_TMP/mount i
    mkdir "$mount"
    background zabfs "$HOSTS" "$mount" -f -o rw >"$mount.log" 2>&1
    local pid=$BACKGROUND_PID
    wait_for 10 test -e "$mount/.zabfs/status"
    mkdir "$mount/files"
    background inotifywait -m --format '%e %f' -e create,close_write,modify "$mount/files" \
        >"$mount.events" 2>"$mount.events.log"
    wait_for 10 grep -q established "$mount.events.log"
    background write_files "$mount/files" "$mount.closed"
    for i in 1 2 3; do
        kill9 "$i"
        wait_for 15 has_more_lines "$mount.closed" $(($(wc -l <"$mount.closed") + 5))
        zabctl create "/files/elsewhere-$i" "$i"
        wait_for 15 grep -qx "CREATE elsewhere-$i" "$mount.events"
        start "$i"
        wait_formed $ALL
    done
    touch "$mount.closed.stop"
    wait_for 20 process_is_gone "$BACKGROUND_PID"
    expect_files "$mount/files" "$mount.closed" "$mount.events"
    kill "$pid"
    wait_for 10 process_is_gone "$pid"
    ens same
}

@test "all servers have the same tree, and none has died of anything but a signal" {
    ens same
    local server
    for server in $ALL; do
        ! grep -h " error " "$E/$server/log" || return 1
        stop "$server"
    done
}

@test "contrib/ensemble starts one, starts it again, and stops it" {
    local tool=$BATS_TEST_DIRNAME/../../contrib/ensemble dir=$ZAB_TMP/tool hosts pid i
    run -0 timeout 20 "$tool" 3 "$dir"
    hosts=${lines[0]}
    for i in 1 2 3; do
        record_pid "$(cat "$dir/$i/pid")"
    done
    ZABCTL_SERVERS=$hosts zabctl create /there
    pid=$(cat "$dir/1/pid")
    kill -9 "$pid"
    wait_for 5 process_is_gone "$pid"
    run -0 timeout 20 "$tool" 3 "$dir"
    record_pid "$(cat "$dir/1/pid")"
    [ "${lines[0]}" = "$hosts" ]
    run -0 zabctl -s "$hosts" status
    run -0 timeout 20 "$tool" stop "$dir"
    run ! zabctl -t 1 -s "$hosts" status
    run -0 timeout 20 "$tool" 3 "$dir"
    for i in 1 2 3; do
        record_pid "$(cat "$dir/$i/pid")"
    done
    run -0 zabctl -s "$hosts" ls /
    assert_line there
    run -1 timeout 20 "$tool" 5 "$dir"
    assert_output --partial "holds an ensemble of 3"
    timeout 20 "$tool" stop "$dir"
}
