# SPDX-License-Identifier: GPL-3.0-or-later
"""Python for the .bats files of ensembles; $HOSTS are the servers.

ensemble.py load STATE: create nodes and count up, over several sessions, through whatever happens
to the servers, until the file STATE.stop is there. What was acknowledged is in STATE.created.
ensemble.py check STATE: is it all there, on each server, and each count exact?
ensemble.py same: has each server the same nodes, with the same data, Stats and ACLs?

A count is a node whose data is the number of its changes. One is counted up on the condition that
its version is the one that was read, in one transaction with a node that names the change: after an
answer that was lost that node says whether the change was made."""
import atexit
import logging
import os
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import *
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry

logging.getLogger("kazoo").setLevel(logging.CRITICAL)
HOSTS = os.environ["HOSTS"].split(",")
WRITERS = 3
LOST = (ConnectionLoss, ConnectionClosedError, SessionExpiredError, SessionMovedError,
        OperationTimeoutError, KazooTimeoutError)


def connect(*hosts, timeout=6, **options):
    retry = KazooRetry(max_tries=-1, delay=0.02, backoff=1, max_delay=0.1)
    client = KazooClient(",".join(hosts or HOSTS), timeout=timeout, connection_retry=retry, **options)
    client.start(timeout=20)
    atexit.register(lambda: (client.stop(), client.close()))
    return client


def wait_for(seconds, happened):
    """The first true value of happened()."""
    deadline = time.monotonic() + seconds
    while True:
        value = happened()
        if value:
            return value
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.02)


def nodes_of(state):
    """The parent of a load's nodes, and its count."""
    name = os.path.basename(state)
    return f"/nodes-{name}", f"/count-{name}"


class Writer(threading.Thread):
    def __init__(self, state, number):
        super().__init__(daemon=True)
        self.state, self.name, self.failure = state, str(number), None
        self.nodes, self.count = nodes_of(state)
        self.client = connect()

    def run(self):
        try:
            n = 0
            while not os.path.exists(self.state + ".stop"):
                self.once(self.create, n)
                self.once(self.count_up, n)
                n += 1
                time.sleep(0.01)
        except BaseException as e:
            self.failure = e
            raise

    def once(self, change, n):
        while True:
            try:
                return change(n)
            except LOST:
                time.sleep(0.02)

    def create(self, n):
        name = f"{self.name}-{n}"
        try:
            self.client.create_async(self.nodes + "/" + name, name.encode()).get(timeout=10)
        except NodeExistsError:
            pass  # by an attempt whose answer was lost
        self.acknowledged(name)

    def count_up(self, n):
        name = f"+{self.name}-{n}"
        while True:
            stat = self.client.get_async(self.count).get(timeout=10)[1]
            change = self.client.transaction()
            change.create(self.nodes + "/" + name)
            change.set_data(self.count, b"%d" % (stat.version + 1), stat.version)
            results = change.commit_async().get(timeout=10)
            if isinstance(results[0], NodeExistsError) or not isinstance(results[1], Exception):
                return self.acknowledged(name)
            assert isinstance(results[1], (BadVersionError, RuntimeInconsistency)), results
            self.client.sync_async(self.count).get(timeout=10)

    def acknowledged(self, name):
        with open(self.state + ".created", "a") as f:
            f.write(name + "\n")


def load(state):
    client = connect()
    nodes, count = nodes_of(state)
    client.create(nodes)
    client.create(count, b"0")
    writers = [Writer(state, n) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not any(writer.failure for writer in writers)


def check(state):
    with open(state + ".created") as f:
        created = set(f.read().split())
    nodes, count = nodes_of(state)
    for host in HOSTS:
        client = connect(host)
        client.sync("/")
        there = set(client.get_children(nodes))
        missing = created - there
        assert not missing, f"{host}: {len(missing)} acknowledged nodes are lost: {min(missing)}"
        data, stat = client.get(count)
        changes = sum(name.startswith("+") for name in there)
        assert int(data) == stat.version == changes, (host, data, stat.version, changes)
        assert len(there) <= len(created) + WRITERS * 2, f"{host}: nodes that were never asked for"


def tree_of(host):
    client = connect(host)
    client.sync("/")
    tree, level = {}, ["/"]
    while level:
        answers = [(path, client.get_async(path), client.get_children_async(path),
                    client.get_acls_async(path)) for path in level]
        level = []
        for path, data, children, acls in answers:
            if path == "/zookeeper/config":
                continue  # each server's own
            tree[path] = (data.get(timeout=15), sorted(children.get(timeout=15)), acls.get(timeout=15)[0])
            level += [path.rstrip("/") + "/" + name for name in tree[path][1]]
    client.stop()
    client.close()
    return tree


def same():
    first = tree_of(HOSTS[0])
    for host in HOSTS[1:]:
        tree = tree_of(host)
        for path in sorted(first.keys() | tree.keys()):
            assert first.get(path) == tree.get(path), (
                f"{path}:\n{HOSTS[0]}: {first.get(path)}\n{host}: {tree.get(path)}")


if __name__ == "__main__" and sys.argv[0].endswith("ensemble.py"):
    {"load": load, "check": check, "same": same}[sys.argv[1]](*sys.argv[2:])
