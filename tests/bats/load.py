# SPDX-License-Identifier: GPL-3.0-or-later
"""load.py STATE [PID N]: is all there that STATE says was acknowledged, and nothing that was never
sent? Then change the tree over several connections, many requests on the way on each, until the
server's N-th acknowledgement: then it, process PID, is killed. STATE learns of it all.

Half of the requests create a node, the others count a number up on the condition that the node's
version is the number."""
import itertools
import json
import signal

from zk import *

CONNECTIONS, ON_THE_WAY = 3, 20
OPEN_ACL = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
lock = threading.Lock()
acknowledged = 0


class Load(threading.Thread):
    def __init__(self, state, number, pid, last):
        super().__init__()
        self.state, self.number, self.pid, self.last = state, number, pid, last
        self.counter = state["counters"][number]
        self.sent = []
        self.wire = Wire()
        assert self.wire.open_session(seen=state["zxid"])

    def run(self):
        try:
            for n in itertools.count():
                self.send(n)
                if n >= ON_THE_WAY:
                    self.take()
        except (EOFError, OSError):
            pass

    def send(self, n):
        if n % 2 == 0:
            name = f"{self.state['round']}-{self.number}-{n}"
            self.sent.append(name)
            body = text(b"/load/" + name.encode()) + text(name.encode()) + OPEN_ACL
            self.wire.request(CREATE, body + bytes(4))
        else:
            sent = self.counter["sent"]
            self.sent.append(None)
            self.counter["sent"] = sent + 1
            body = text(b"/counter%d" % self.number) + text(b"%d" % (sent + 1))
            self.wire.request(SET_DATA, body + struct.pack(">i", sent))

    def take(self):
        _, zxid, error, _ = self.wire.reply()
        assert error == 0, error
        name = self.sent.pop(0)
        with lock:
            global acknowledged
            acknowledged += 1
            self.state["zxid"] = max(self.state["zxid"], zxid)
            if name:
                self.state["created"].append(name)
            else:
                self.counter["acknowledged"] += 1
            if acknowledged == self.last:
                os.kill(self.pid, signal.SIGKILL)


def begin(client):
    client.create("/load")
    for number in range(CONNECTIONS):
        client.create(f"/counter{number}", b"0")
    return {"round": 0, "zxid": 0, "created": [], "perhaps": [],
            "counters": [{"sent": 0, "acknowledged": 0} for n in range(CONNECTIONS)]}


def check(client, state):
    there = set(client.get_children("/load"))
    missing = set(state["created"]) - there
    assert not missing, f"{len(missing)} acknowledged nodes are lost, such as {min(missing)}"
    never_sent = there - set(state["created"]) - set(state["perhaps"])
    assert not never_sent, f"{len(never_sent)} nodes that were never sent"
    for name in state["created"][-200:]:
        assert client.get("/load/" + name)[0] == name.encode(), name
    for number, counter in enumerate(state["counters"]):
        data, stat = client.get(f"/counter{number}")
        assert int(data) == stat.version, f"number {data} at version {stat.version}"
        assert counter["acknowledged"] <= stat.version <= counter["sent"], (counter, stat.version)
        counter["acknowledged"] = counter["sent"] = stat.version


def main(path, pid=0, last=0):
    client = connect()
    if os.path.exists(path):
        with open(path) as f:
            state = json.load(f)
        check(client, state)
    else:
        state = begin(client)
    client.stop()
    if not pid:
        return
    state["round"] += 1
    loads = [Load(state, n, int(pid), int(last)) for n in range(CONNECTIONS)]
    for load in loads:
        load.start()
    for load in loads:
        load.join()
    state["perhaps"] += [name for load in loads for name in load.sent if name]
    with open(path, "w") as f:
        json.dump(state, f)
    assert acknowledged >= int(last), "a connection failed before the server was killed"


main(*sys.argv[1:])
