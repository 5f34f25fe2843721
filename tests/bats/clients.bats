# SPDX-License-Identifier: GPL-3.0-or-later
# Other people's clients: Apache ZooKeeper's zkCli.sh and cli_mt, and kazoo with its recipes. With
# ZAB_TEST_SERVER=zookeeper they talk to Apache's server, which must look the same to them.

setup_file() {
    load helpers
    start_server
    export SERVER_PORT
}

teardown_file() {
    load helpers
    stop_server
}

# Each test works below a node of its own.
setup() {
    load helpers
    ROOT=/t$BATS_TEST_NUMBER
    export ROOT
    zabctl -s "127.0.0.1:$SERVER_PORT" create "$ROOT"
}

ZKCLI=/usr/share/zookeeper/bin/zkCli.sh
CLI_MT=/usr/lib/zookeeper/bin/cli_mt

# One command a line.
zkcli() {
    [ -x $ZKCLI ] || skip "$ZKCLI is not installed (package zookeeper)"
    run timeout 30 $ZKCLI -server "127.0.0.1:$SERVER_PORT"
}

cli_mt() {
    [ -x $CLI_MT ] || skip "$CLI_MT is not installed (package zookeeper-bin)"
    run -0 timeout 30 $CLI_MT -h "127.0.0.1:$SERVER_PORT" -c "$1"
}

# ---- zkCli.sh ----

@test "zkCli: create, get, set, stat, delete" {
    zkcli <<END
create $ROOT/a hello
get -s $ROOT/a
set $ROOT/a other
set -v 7 $ROOT/a x
stat $ROOT/a
create -s $ROOT/s-
create $ROOT/a
delete $ROOT/a
get $ROOT/a
END
    assert_line "Created $ROOT/a"
    assert_line hello
    assert_line "dataLength = 5"
    assert_line "dataVersion = 1"
    assert_line "version No is not valid : $ROOT/a"
    assert_line "Created $ROOT/s-0000000001"
    assert_line "Node already exists: $ROOT/a"
    assert_line "Node does not exist: $ROOT/a"
}

@test "zkCli: ls, ls -R, deleteall, counts, ephemerals, containers, TTL" {
    zkcli <<END
create $ROOT/a
create $ROOT/a/b
create -e $ROOT/a/b/e
create -c $ROOT/c
create -t 100000 $ROOT/ttl
ls $ROOT
ls -R $ROOT/a
getAllChildrenNumber $ROOT
getEphemerals $ROOT
delete $ROOT/a
deleteall $ROOT/a
ls $ROOT
create -e $ROOT/e
create $ROOT/e/child
END
    assert_line "[a, c, ttl]"
    assert_line "$ROOT/a/b/e"
    assert_line 5
    assert_line "[$ROOT/a/b/e]"
    assert_line "Node not empty: $ROOT/a"
    assert_line "[c, ttl]"
    assert_line "Ephemerals cannot have children: $ROOT/e/child"
}

@test "zkCli: a watch of each kind fires" {
    zkcli <<END
create $ROOT/a
ls -w $ROOT
get -w $ROOT/a
stat -w $ROOT/none
addWatch -m PERSISTENT_RECURSIVE $ROOT/a
create $ROOT/none
set $ROOT/a x
create $ROOT/a/b
removewatches $ROOT/a
removewatches $ROOT/a
sync $ROOT
ls $ROOT
END
    assert_line "WatchedEvent state:SyncConnected type:NodeChildrenChanged path:$ROOT"
    assert_line "WatchedEvent state:SyncConnected type:NodeCreated path:$ROOT/none"
    assert_line "WatchedEvent state:SyncConnected type:NodeDataChanged path:$ROOT/a"
    assert_line "WatchedEvent state:SyncConnected type:NodeCreated path:$ROOT/a/b"
    assert_line --partial "type:PersistentWatchRemoved path:$ROOT/a"
    assert_line "Sync is OK"
}

@test "zkCli: ACLs, authentication, whoami" {
    zkcli <<END
create $ROOT/a x
setAcl $ROOT/a ip:127.0.0.1:r
set $ROOT/a y
getAcl -s $ROOT/a
addauth digest u:p
whoami
create $ROOT/mine x auth::cdrwa
getAcl $ROOT/mine
END
    assert_line --partial "Insufficient permission : $ROOT/a"
    assert_line "'ip,'127.0.0.1"
    assert_line ": r"
    assert_line "aclVersion = 1"
    assert_line "digest: u"
    assert_line "ip: 127.0.0.1"
    assert_line "Created $ROOT/mine"
    assert_line --regexp "^'digest,'u:.*=$"
    zkcli <<END
get $ROOT/mine
addauth digest u:p
get $ROOT/mine
END
    assert_line "Insufficient permission : $ROOT/mine"
    assert_line x
}

@test "zkCli: quotas" {
    zkcli <<END
create $ROOT/a
setquota -n 10 $ROOT/a
create $ROOT/a/b xyz
listquota $ROOT/a
delquota -n $ROOT/a
delquota $ROOT/a
listquota $ROOT/a
END
    assert_line --partial "Output quota for $ROOT/a count=10,bytes=-1"
    assert_line --partial "Output stat for $ROOT/a count=2,bytes=3"
    assert_line --partial "quota for $ROOT/a does not exist"
}

# ---- cli_mt ----

@test "cli_mt: create, set, get, ls, sync, delete" {
    cli_mt "create $ROOT/a"
    assert_line --partial "name = $ROOT/a"
    cli_mt "create +s $ROOT/a"
    assert_line --regexp "name = $ROOT/a0000000001"
    cli_mt "set $ROOT/a hello"
    cli_mt "get $ROOT/a"
    assert_line --partial "value_len = 5"
    assert_line hello
    assert_line --partial "version=1	aversion=0"
    cli_mt "ls $ROOT"
    assert_line --regexp "^	a$"
    assert_line --regexp "^	a0000000001$"
    cli_mt "sync $ROOT"
    cli_mt "delete $ROOT/a"
    cli_mt "get $ROOT/a"
    assert_output --partial "rc = -101"
}

@test "cli_mt: a container, a TTL node and an ephemeral one" {
    cli_mt "create2 +c $ROOT/c"
    assert_line --partial "name = $ROOT/c"
    cli_mt "create2 +t=100000 $ROOT/t"
    assert_line --partial "name = $ROOT/t"
    cli_mt "create +e $ROOT/e"
    assert_line --partial "name = $ROOT/e"
    cli_mt "ls $ROOT"
    refute_line --regexp "^	e$"
}

# ---- kazoo ----

@test "kazoo: what a client reads is what it wrote, up to 900 KB" {
    py <<'END'
from zk import *
client = connect()
for size in 0, 1, 1000, 900000:
    path, data = f"{ROOT}/{size}", os.urandom(size)
    client.create(path, data)
    assert client.get(path)[0] == data
    assert client.exists(path).data_length == size
try:
    client.create(f"{ROOT}/big", bytes(1100000))
    assert False, "taken"
except (ConnectionLoss, ConnectionClosedError, SessionExpiredError):
    pass
assert not client.retry(client.exists, f"{ROOT}/big")
END
}

@test "kazoo: a hundred requests on the way are answered in order" {
    py <<'END'
from zk import *
client = connect()
made = [client.create_async(f"{ROOT}/n-", sequence=True) for i in range(100)]
assert [r.get(10) for r in made] == [f"{ROOT}/n-{i:010}" for i in range(100)]
sets = [client.set_async(ROOT, b"%d" % i, version=i) for i in range(100)]
assert [r.get(10).version for r in sets] == list(range(1, 101))
assert len(client.get_children(ROOT)) == 100
END
}

@test "kazoo: errors are the right ones" {
    py <<'END'
from zk import *
client = connect()
def fails(error, f, *args, **named):
    try:
        f(*args, **named)
    except error:
        return
    assert False, (error, f)
client.create(f"{ROOT}/e", ephemeral=True)
client.create(f"{ROOT}/a/b", makepath=True)
fails(NoNodeError, client.get, f"{ROOT}/none")
fails(NoNodeError, client.create, f"{ROOT}/none/x")
fails(NodeExistsError, client.create, f"{ROOT}/a")
fails(NotEmptyError, client.delete, f"{ROOT}/a")
fails(BadVersionError, client.set, f"{ROOT}/a", b"", version=3)
fails(BadVersionError, client.delete, f"{ROOT}/e", version=3)
fails(NoChildrenForEphemeralsError, client.create, f"{ROOT}/e/x")
fails(InvalidACLError, client.set_acls, f"{ROOT}/a", [make_acl("nonsense", "x", all=True)])
END
}

@test "kazoo: a transaction is all or nothing" {
    py <<'END'
from zk import *
client = connect()
t = client.transaction()
t.create(f"{ROOT}/a", b"1")
t.create(f"{ROOT}/a/b")
t.set_data(f"{ROOT}/a", b"2")
t.check(f"{ROOT}/a", 1)
t.delete(f"{ROOT}/a/b")
path, _, stat, _, _ = t.commit()
assert path == f"{ROOT}/a" and stat.version == 1
t = client.transaction()
t.set_data(f"{ROOT}/a", b"3")
t.delete(f"{ROOT}/none")
t.create(f"{ROOT}/c")
assert [type(r) for r in t.commit()] == [RolledBackError, NoNodeError, RuntimeInconsistency]
assert client.get(f"{ROOT}/a")[0] == b"2" and not client.exists(f"{ROOT}/c")
END
}

@test "kazoo: digest authentication" {
    py <<'END'
from zk import *
owner, stranger = connect(auth_data=[("digest", "u:p")]), connect()
acl = [make_digest_acl("u", "p", all=True)]
owner.create(f"{ROOT}/a", b"secret", acl=acl)
assert owner.get(f"{ROOT}/a")[0] == b"secret"
for attempt in (lambda: stranger.get(f"{ROOT}/a"), lambda: stranger.set(f"{ROOT}/a", b""),
                lambda: stranger.set_acls(f"{ROOT}/a", acl)):
    try:
        attempt()
        assert False, "allowed"
    except NoAuthError:
        pass
stranger.add_auth("digest", "u:p")
assert stranger.get(f"{ROOT}/a")[0] == b"secret"
END
}

@test "kazoo: Lock lets one in at a time, and goes with its owner's session" {
    py <<'END'
from zk import *
clients = [connect() for i in range(3)]
inside, order = [], []
def enter(number):
    with clients[number].Lock(f"{ROOT}/lock", str(number)):
        inside.append(number)
        assert len(inside) == 1
        order.append(inside.pop())
threads = [threading.Thread(target=enter, args=(n,)) for n in range(3)]
gone = connect()
held = gone.Lock(f"{ROOT}/lock", "gone")
assert held.acquire(timeout=5)
for t in threads:
    t.start()
wait_for(5, lambda: len(clients[0].get_children(f"{ROOT}/lock")) == 4)
assert order == []
gone.stop()
for t in threads:
    t.join()
assert sorted(order) == [0, 1, 2]
END
}

@test "kazoo: Counter adds up what several clients add" {
    py <<'END'
from zk import *
def add(client):
    counter = client.Counter(f"{ROOT}/counter")
    for i in range(20):
        counter += 1
clients = [connect() for i in range(3)]
threads = [threading.Thread(target=add, args=(c,)) for c in clients]
[t.start() for t in threads]
[t.join() for t in threads]
assert clients[0].Counter(f"{ROOT}/counter").value == 60
END
}

@test "kazoo: Election, Queue and Barrier" {
    py <<'END'
from zk import *
one, two = connect(), connect()
leaders = []
def lead(client, name):
    client.Election(f"{ROOT}/election", name).run(leaders.append, name)
threads = [threading.Thread(target=lead, args=a) for a in ((one, "one"), (two, "two"))]
[t.start() for t in threads]
[t.join() for t in threads]
assert sorted(leaders) == ["one", "two"]

queue = one.LockingQueue(f"{ROOT}/queue")
queue.put_all([b"a", b"b"])
queue.put(b"first", priority=1)
taken = two.LockingQueue(f"{ROOT}/queue")
assert taken.get(timeout=5) == b"first" and queue.get(timeout=5) == b"a"
assert taken.consume() and queue.consume() and len(queue) == 1

barrier = one.Barrier(f"{ROOT}/barrier")
barrier.create()
assert not two.Barrier(f"{ROOT}/barrier").wait(0.1)
threading.Timer(0.1, barrier.remove).start()
assert two.Barrier(f"{ROOT}/barrier").wait(5)
END
}

@test "kazoo: DataWatch, ChildrenWatch and TreeCache follow" {
    py <<'END'
from zk import *
from kazoo.recipe.cache import TreeCache
watching, client = connect(), connect()
data, children = [], []
watching.DataWatch(f"{ROOT}/d", lambda value, stat: data.append(value))
watching.ChildrenWatch(ROOT, lambda names: children.append(sorted(names)))
cache = TreeCache(watching, ROOT)
cache.start()
client.create(f"{ROOT}/d", b"1")
wait_for(5, lambda: data == [None, b"1"] and children == [[], ["d"]])
client.set(f"{ROOT}/d", b"2")
client.create(f"{ROOT}/d/deep", b"x")
wait_for(5, lambda: data == [None, b"1", b"2"])
wait_for(5, lambda: getattr(cache.get_data(f"{ROOT}/d/deep"), "data", None) == b"x")
client.delete(ROOT + "/d", recursive=True)
wait_for(5, lambda: data[-1] is None and children[-1] == [])
wait_for(5, lambda: cache.get_data(f"{ROOT}/d") is None)
END
}

@test "kazoo: session, ephemeral node, lock and watch survive the server's kill" {
    start_server killed
    py <<'END' 3>&- &
from zk import *
client = connect(timeout=10)
seen, states = [], []
client.add_listener(states.append)
client.DataWatch("/d", lambda value, stat: seen.append(value))
client.create("/e", ephemeral=True)
lock = client.Lock("/lock")
assert lock.acquire(timeout=5)
session = client.client_id[0]
client.create("/ready")
wait_for(20, lambda: "SUSPENDED" in states and states[-1] == "CONNECTED")
assert client.client_id[0] == session
assert client.retry(client.exists, "/e").ephemeralOwner == session
client.retry(client.create, "/d", b"new")
wait_for(5, lambda: seen[-1] == b"new")
assert lock.is_acquired and client.exists(f"/lock/{lock.node}")
END
    local pid=$!
    record_pid $pid
    wait_for 10 zabctl -s "127.0.0.1:$SERVER_PORT" stat /ready
    kill_server killed
    start_server killed
    wait $pid
    stop_server killed
}
