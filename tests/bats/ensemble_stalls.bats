# SPDX-License-Identifier: GPL-3.0-or-later
# Ensembles of zabd that have more to do than one of them can: a disk that stands still, requests
# larger than a link, servers that cannot elect anybody.

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

# Servers from here on have a disk that can be told to stand still.
stalling() {
    local shim=$ZAB_BUILD/tests/soak/stall.so
    [ -e "$shim" ] || skip "no $shim"
    run_peer() {
        ZAB_STALL=${1%/zoo.cfg}/stall LD_PRELOAD=$ZAB_BUILD/tests/soak/stall.so \
            ASAN_OPTIONS=verify_asan_link_order=0 exec zabd "$1"
    }
}

@test "a leader whose disk stands still: writes go on, its memory is bounded, its sessions live" {
    local l
    stalling
    make_ensemble hung 3
    use_ensemble hung
    start $ALL
    wait_formed $ALL
    l=$(leader)
    grep -q stall.so "/proc/$(cat "$E/$l/pid")/maps"
    PY_TIMEOUT=120 py "$l" "$E/$l/stall" <<'PY'
import random
from ensemble import *

leader, stall = HOSTS[int(sys.argv[1]) - 1], sys.argv[2]
SYNC_S = 8 * 0.25
FOR_S = 5 * SYNC_S   # what 25 s are to a syncLimit of 5 s
writers = [connect(*[h for h in HOSTS if h != leader]) for _ in range(6)]
# Of the leader first, and of all, as clients are: 4 with ephemeral nodes.
its = [KazooClient(",".join([leader] + [h for h in HOSTS if h != leader]), timeout=6, randomize_hosts=False)
       for _ in range(4)]
for i, client in enumerate(its):
    client.start(timeout=15)
    client.create(f"/its-{i}", b"", ephemeral=True)
ids = [client.client_id[0] for client in its]
assert all(client._connection._socket.getpeername()[1] == int(leader.split(":")[1]) for client in its)
for i in range(6):
    writers[0].create(f"/large-{i}", b"")

ends, longest, count = threading.Event(), [0.0] * 6, [0] * 6

def write(i):
    """The longest time that one of its writes took, and how many there were."""
    while not ends.is_set():
        begin = time.monotonic()
        try:
            writers[i].set_async(f"/large-{i}", random.randbytes(300_000)).get(timeout=60)
            count[i] += 1
        except LOST:
            time.sleep(0.02)
            continue
        finally:
            longest[i] = max(longest[i], time.monotonic() - begin)

threads = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(6)]
for thread in threads:
    thread.start()
wait_for(30, lambda: all(count))
with open(stall, "w") as f:
    f.write("1000000000\n")
time.sleep(FOR_S)
during = list(count)
os.remove(stall)
ends.set()
for thread in threads:
    thread.join(60)
    assert not thread.is_alive()
print("writes", during, "longest", [round(s, 2) for s in longest])
assert max(longest) < SYNC_S + 6, longest
assert min(during) > 3, during
for i, client in enumerate(its):
    assert client.client_id[0] == ids[i], "a session of the leader was lost"
    assert client.retry(client.exists, f"/its-{i}").ephemeralOwner == ids[i]
PY
    wait_formed $ALL
    memory_was_below "$l" 300
    log_has "$l" 'our own disk has taken nothing for 8 ticks'
    ens same
    stop $ALL
}

@test "twenty clients of a follower with forty writes of 500 KB each lose no connection" {
    local f
    make_ensemble large 3
    use_ensemble large
    start $ALL
    wait_formed $ALL
    f=$(follower)
    PY_TIMEOUT=200 py "${HOST_OF[$f]}" <<'PY'
from ensemble import *

def lost(state):
    if state != KazooState.CONNECTED:
        states.append(state)

states, clients, results = [], [connect(sys.argv[1], timeout=10) for _ in range(20)], []
for i, client in enumerate(clients):
    client.create(f"/node-{i}", b"")
    client.add_listener(lost)
for n in range(40):
    for i, client in enumerate(clients):
        results.append(client.set_async(f"/node-{i}", bytes([n]) * 500_000))
for result in results:
    result.get(timeout=180)
assert not states, states
PY
    run ! log_has "$f" 'it does not read|too slow'
    have_formed $ALL
    ens same
    stop $ALL
}

# How often servers 1, 3 and 4 have written to anything.
all_writes() {
    awk '/^syscw/ { n += $2 } END { print n }' \
        "/proc/$(cat "$E/1/pid")/io" "/proc/$(cat "$E/3/pid")/io" "/proc/$(cat "$E/4/pid")/io"
}

@test "an observer and a server that cannot vote yet do not keep each other busy" {
    local before
    OBSERVER=4 make_ensemble storm 4
    use_ensemble storm
    start $ALL
    wait_formed $ALL
    zabctl create /kept x
    kill9 $ALL
    wipe 1
    start 1 3 4
    wait_for 20 log_has 1 'no vote before'
    wait_for 20 does_not_serve 4
    sleep 1
    before=$(all_writes)
    sleep 5
    echo "$(($(all_writes) - before)) writes in 5 s"
    [ $(($(all_writes) - before)) -lt 1000 ]
    start 2
    wait_formed $ALL
    stop $ALL
}
