# SPDX-License-Identifier: GPL-3.0-or-later
# One data directory, used by zabd and by Apache ZooKeeper in turn: every node, its Stat and its
# ACL stay as they were, and so do sessions. With ZAB_TEST_SERVER=zookeeper Apache ZooKeeper takes
# zabd's part too.

setup() {
    load helpers
    require_program java
    [ -e "$ZOOKEEPER_JAR" ] || skip "Apache ZooKeeper is not installed ($ZOOKEEPER_JAR)"
    NAME=$BATS_TEST_NUMBER
    DIR=$ZAB_TMP/$NAME
    FILES=$DIR/data/version-2
    mkdir -p "$FILES"
}

# snapCount, and more lines of the configuration.
config() {
    ZAB_TEST_CONFIG=$(printf '%s\n' maxSessionTimeout=60000 "snapCount=$1" "${@:2}")
}

start_ours() {
    start_server "$NAME"
}

start_theirs() {
    require_program zstd
    find "$FILES" -name 'snapshot.*.zst' -exec zstd -dq --rm {} +
    ZAB_TEST_SERVER=zookeeper start_server "$NAME"
}

# A tree with all that a tree can have. Its session stays open; prints who that is.
fill() {
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    zabctl create -c /container
    zabctl create /container/child
    zabctl create --ttl 3600000 /ttl
    py <<'END'
from zk import *
client = connect(timeout=30)
assert client.exists("/container/child") and client.exists("/ttl")
client.create("/null", None)
client.create("/empty", b"")
client.create("/bytes", bytes(range(256)) * 20)
client.create("/d\u00fcrer\u4e16", "\u00fc".encode())
client.create("/deep/er/than/that", makepath=True)
for i in range(5):
    client.create("/deep/s-", b"%d" % i, sequence=True)
client.delete("/deep/s-0000000003")
client.create("/acl", b"x", acl=[make_digest_acl("u", "p", read=True, write=True),
                                 make_acl("ip", "127.0.0.1", all=True)])
client.set_acls("/acl", [make_acl("world", "anyone", read=True, admin=True)])
client.create("/ephemeral", b"here", ephemeral=True)
client.create("/deep/e-", ephemeral=True, sequence=True)
t = client.transaction()
t.create("/multi", b"1")
t.set_data("/multi", b"2")
t.create("/multi/gone")
t.delete("/multi/gone")
t.check("/multi", 1)
assert not any(isinstance(r, Exception) for r in t.commit())
t = client.transaction()
t.create("/never")
t.check("/multi", 99)
t.commit()
for i in range(60):
    client.set("/null", None if i % 2 else b"%d" % i)
print(*client.client_id[:1], client.client_id[1].hex())
leave()
END
}

# More of the same on the next server, by the same session.
go_on() {
    py $1 <<'END'
from zk import *
session = int(sys.argv[1])
client = connect(timeout=30, client_id=(session, bytes.fromhex(sys.argv[2])))
assert client.client_id[0] == session
assert client.get("/ephemeral")[1].ephemeralOwner == session
assert client.create("/deep/s-", sequence=True) > "/deep/s-0000000005"
client.create("/ephemeral2", ephemeral=True)
client.set("/bytes", b"changed", version=0)
client.delete("/empty")
leave()
END
}

# Every node with all that is known of it.
dump() {
    py <<'END'
from zk import *
client = connect()
def show(path):
    data, stat = client.get(path)
    print(path, data, *stat)
    print("   ", *client.get_acls(path)[0])
    for child in sorted(client.get_children(path)):
        show(path.rstrip("/") + "/" + child)
show("/")
END
}

# The session ends, and with it its ephemeral nodes.
end_session() {
    py $1 <<'END'
from zk import *
client = connect(timeout=30, client_id=(int(sys.argv[1]), bytes.fromhex(sys.argv[2])))
assert client.exists("/ephemeral") and client.exists("/ephemeral2")
client.stop()
client = connect()
assert not client.exists("/ephemeral") and not client.exists("/ephemeral2")
assert not [name for name in client.get_children("/deep") if name.startswith("e-")]
END
}

has_snapshots() {
    [ "$(find "$FILES" -name 'snapshot.*' ! -name '*.tmp' | wc -l)" -ge "$1" ]
}

# Start, fill, stop by $3; start the other and compare; the same again the other way round.
there_and_back() {
    local first=$1 second=$2 stop=$3 session
    "$first"
    session=$(fill)
    [ -z "${SNAPSHOTS:-}" ] || wait_for 10 has_snapshots "$SNAPSHOTS"
    dump >"$DIR/before"
    "$stop" "$NAME"
    "$second"
    dump | diff "$DIR/before" -
    go_on "$session"
    dump >"$DIR/before"
    "$stop" "$NAME"
    "$first"
    dump | diff "$DIR/before" -
    end_session "$session"
    stop_server "$NAME"
}

@test "from zabd to Apache and back, by the log" {
    config 100000
    there_and_back start_ours start_theirs stop_server
    run -0 grep -c / "$DIR/before"
    ((output >= 20))
}

@test "from zabd to Apache and back, by snapshot and log, after kill -9" {
    config 20
    SNAPSHOTS=2 there_and_back start_ours start_theirs kill_server
}

@test "from Apache to zabd and back, by the log, after kill -9" {
    config 100000
    there_and_back start_theirs start_ours kill_server
}

@test "from Apache to zabd and back, by snapshot and log" {
    config 20
    SNAPSHOTS=2 there_and_back start_theirs start_ours stop_server
}

@test "from Apache to zabd and back, by gzip snapshots" {
    config 20 snapshot.compression.method=gz
    SNAPSHOTS=2 there_and_back start_theirs start_ours stop_server
    [ -n "$(find "$FILES" -name 'snapshot.*.gz')" ]
}
