# SPDX-License-Identifier: GPL-3.0-or-later
"""Load on an ensemble, and whether what it was told has come true.

A load has a node of its own. Below it, and counted by what was acknowledged and what may have been:
  created/S-L-N   by session S over its connection L, many on the way at once: those that are there
                  are the first ones of each connection, in the order in which they were sent
  count           several sessions count it up on the condition that it has the version they read
  multi/S-N-a, -b two creates and a change in one transaction: all or none
  mine/S          the ephemeral node of each session: is there as long as the session is
A reader looks whether the count ever goes back. Where disks get full a server may refuse a write, with
SYSTEMERROR: that one is not done then."""
import os
import random
import threading
import time
from collections import defaultdict

import ensemble
from clients import *
from servers import Defect, wait_for

ON_THE_WAY = 8


class Worker(threading.Thread):
    """Runs life() over one connection after the other until the load is to end."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.name = load, f"{type(self).__name__.lower()}{number}"
        self.session = Session(load.hosts, random.Random(load.rng.random()), load.stopping)
        self.mine = f"{load.root}/mine/{self.name}"
        self.owns = False

    def run(self):
        try:
            while not self.load.stopping.is_set():
                self.one_life()
            self.end()
        except Lost:
            pass
        except BaseException as e:
            self.load.failed(self, e)

    def connect(self):
        before = self.session.session
        self.session.connect()
        self.owns = self.owns and self.session.session == before
        self.own()

    def one_life(self):
        try:
            self.connect()
            self.life()
        except Lost:
            self.lost()
            self.session.disconnect()

    def own(self):
        """The ephemeral node; one of an earlier session may still be there."""
        while not self.owns:
            error, _, _ = self.session.call(CREATE, create_body(self.mine, self.name.encode(), EPHEMERAL))
            if error == NODE_EXISTS and self.is_mine():
                error = OK
            if error not in (OK, NODE_EXISTS) and not self.is_refusal(error):
                raise Defect(f"error {error} for {self.mine}")
            self.owns = error == OK
            time.sleep(0.02)
        if not self.session.exists(self.mine):
            raise Defect(f"{self.mine} is gone, and its session 0x{self.session.session:x} is not")

    def is_refusal(self, error):
        refused = error == SYSTEM_ERROR and self.load.may_refuse
        if refused:
            self.load.count_refusal()
        return refused

    def is_mine(self):
        error, body, _ = self.session.call(EXISTS, text(self.mine.encode()) + b"\0")
        return error == OK and struct.unpack_from(">q", body, 44)[0] == self.session.session

    def lost(self):
        """What is on the way may have been done."""

    def end(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.session.disconnect()
            try:
                self.connect()
                self.session.close()
                return
            except Lost:
                time.sleep(0.05)

    def pause(self):
        time.sleep(self.load.pause_seconds)


class Creator(Worker):
    def __init__(self, load, number):
        super().__init__(load, number)
        self.n = 0
        self.acknowledged, self.perhaps, self.refused = [], [], set()

    def life(self):
        while not self.load.stopping.is_set():
            while len(self.session.sent) < ON_THE_WAY:
                name = f"{self.name}-{self.session.lives}-{self.n}"
                self.n += 1
                path = f"{self.load.root}/created/{name}"
                self.session.send(CREATE, create_body(path, name.encode()), name)
            self.take()
            self.pause()
        while self.session.sent:
            self.take()

    def take(self):
        error, _, name, at = self.session.take()
        if self.is_refusal(error):
            self.refused.add(name)
            return
        if error != OK:
            raise Defect(f"error {error} for the creation of {name}")
        self.acknowledged.append(name)
        self.load.acknowledged(at, name)

    def lost(self):
        self.perhaps += [name for _, name, _ in self.session.sent if isinstance(name, str)]


class Counter(Worker):
    def __init__(self, load, number):
        super().__init__(load, number)
        self.versions, self.perhaps, self.waiting = [], 0, False

    def life(self):
        path = self.load.root + "/count"
        while not self.load.stopping.is_set():
            data, version = self.session.get(path)
            if int(data) != version:
                raise Defect(f"the count is {data} at version {version}")
            self.waiting = True
            error, _, at = self.session.call(SET_DATA, set_body(path, b"%d" % (version + 1), version))
            self.waiting = False
            if error == OK:
                self.versions.append(version + 1)
                self.load.acknowledged(at)
            elif error != BAD_VERSION and not self.is_refusal(error):
                raise Defect(f"error {error} for counting")
            self.pause()

    def lost(self):
        self.perhaps += self.waiting
        self.waiting = False


class Multi(Worker):
    def __init__(self, load, number):
        super().__init__(load, number)
        self.n = 0
        self.acknowledged, self.refused = [], set()

    def life(self):
        while not self.load.stopping.is_set():
            name = f"{self.name}-{self.n}"
            self.n += 1
            path = f"{self.load.root}/multi/{name}"
            error, _, at = self.session.call(MULTI, multi_body(
                (CREATE, create_body(path + "-a")), (SET_DATA, set_body(self.load.root + "/multi", b"")),
                (CREATE, create_body(path + "-b"))))
            if self.is_refusal(error):
                self.refused.add(name)
            elif error != OK:
                raise Defect(f"error {error} for multi {name}")
            else:
                self.acknowledged.append(name)
                self.load.acknowledged(at)
            self.pause()


class Reader(Worker):
    def __init__(self, load, number):
        super().__init__(load, number)
        self.last = 0

    def life(self):
        while not self.load.stopping.is_set():
            version = self.session.get(self.load.root + "/count")[1]
            if version < self.last:
                raise Defect(f"the count went back from {self.last} to {version} in one session")
            self.last = version
            self.pause()


class Visitor(Worker):
    """Its session ends and begins all the time; after the answer its ephemeral node is gone."""

    def life(self):
        self.session.close()
        self.owns = False
        self.session.disconnect()
        self.pause()

    def end(self):
        pass


class Load:
    def __init__(self, hosts, name, directory, rng, may_refuse=False, pause_seconds=0.015):
        self.hosts, self.root, self.rng = hosts, "/" + name, rng
        self.pause_seconds = pause_seconds
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.last_sent, self.count, self.failure = 0, 0, None
        self.last_at, self.gap = time.monotonic(), 0
        self.may_refuse, self.n_refused = may_refuse, 0
        self.log = open(os.path.join(directory, name + ".acknowledged"), "w", buffering=1)
        client = ensemble.connect(*hosts)
        for path, data in (("", b""), ("/created", b""), ("/count", b"0"), ("/multi", b""), ("/mine", b"")):
            client.create(self.root + path, data)
        client.stop()
        client.close()
        self.workers = [kind(self, n) for kind, count in
                        ((Creator, 3), (Counter, 3), (Multi, 1), (Reader, 2), (Visitor, 1))
                        for n in range(count)]
        for worker in self.workers:
            worker.start()

    def acknowledged(self, sent_at, name=None):
        with self.changed:
            if name:
                self.log.write(name + "\n")
            self.last_sent = max(self.last_sent, sent_at)
            self.note_gap()
            self.count += 1
            self.changed.notify_all()

    def count_refusal(self):
        with self.changed:
            self.n_refused += 1

    def note_gap(self):
        now = time.monotonic()
        self.gap, self.last_at = max(self.gap, now - self.last_at), now

    def begin_gaps(self):
        with self.changed:
            self.gap = 0

    def longest_gap(self):
        """Without an acknowledged write, in seconds."""
        with self.changed:
            return max(self.gap, time.monotonic() - self.last_at)

    def failed(self, worker, e):
        with self.changed:
            self.failure = self.failure or f"{worker.name}: {e!r}"
            self.changed.notify_all()

    def check(self):
        if self.failure:
            raise Defect(self.failure)

    def wait_written(self, since, seconds=60):
        """Until a write is acknowledged that was sent after `since`; the seconds from then."""
        with self.changed:
            self.changed.wait_for(lambda: self.last_sent > since or self.failure,
                                  since + seconds - time.monotonic())
            self.check()
            if self.last_sent <= since:
                raise Defect(f"no write was acknowledged for {seconds} s")
            return time.monotonic() - since

    def goes_on(self, writes=20, seconds=60):
        with self.changed:
            count = self.count + writes
            if not self.changed.wait_for(lambda: self.count >= count or self.failure, seconds):
                raise Defect(f"no {writes} writes were acknowledged in {seconds} s")
            self.check()

    def of(self, kind):
        return [w for w in self.workers if isinstance(w, kind)]

    # ---- The end ----

    def stop(self):
        self.stopping.set()
        for worker in self.workers:
            worker.join(60)
            if worker.is_alive():
                raise Defect(f"{worker.name} hangs")
        self.log.close()
        self.check()

    def verify(self):
        """All servers serve, and the load has been stopped."""
        wait_for(40, self.all_sessions_are_gone, "the ephemeral nodes of ended sessions are gone")
        trees = {host: ensemble.tree_of(host) for host in self.hosts}
        self.verify_same(trees)
        tree = trees[self.hosts[0]]
        self.verify_created(tree)
        self.verify_count(tree)
        self.verify_multi(tree)

    def all_sessions_are_gone(self):
        left = []
        for host in self.hosts:
            client = ensemble.connect(host)
            left += client.get_children(self.root + "/mine")
            client.stop()
            client.close()
        return not left

    def verify_same(self, trees):
        first_host, first = next(iter(trees.items()))
        for host, tree in trees.items():
            for path in sorted(first.keys() | tree.keys()):
                if first.get(path) != tree.get(path):
                    raise Defect(f"{path} differs: {self.short(first_host, first.get(path))}, "
                                 f"{self.short(host, tree.get(path))}")

    @staticmethod
    def short(host, node):
        if not node:
            return f"{host} does not have it"
        data, children, acl = node
        return f"{host}: {data[1]}, data {data[0][:40]}, {len(children)} children, ACL {acl}"

    def verify_created(self, tree):
        there = set(tree[self.root + "/created"][1])
        for creator in self.of(Creator):
            missing = set(creator.acknowledged) - there
            if missing:
                raise Defect(f"{len(missing)} acknowledged nodes are lost: {sorted(missing)[:20]}")
            self.verify_order(tree, creator, there)
            there -= set(creator.acknowledged) | set(creator.perhaps)
        if there:
            raise Defect(f"nodes that nobody created: {sorted(there)[:20]}")

    def verify_order(self, tree, creator, there):
        lives, last = defaultdict(list), 0
        for name in sorted(creator.acknowledged + creator.perhaps, key=lambda s: int(s.split("-")[2])):
            lives[name.split("-")[1]].append(name)
        for names in lives.values():
            done = [name in there for name in names]
            if done != sorted(done, reverse=True):
                raise Defect(f"a request was done, and one before it on its connection was not: "
                             f"{[n for n, d in zip(names, done) if not d][:5]} of {names[-20:]}")
            for name in names[:sum(done)]:
                data = tree[f"{self.root}/created/{name}"][0]
                if data[0] != name.encode() or data[1].czxid < last:
                    raise Defect(f"{name} was created out of order: {data}")
                last = data[1].czxid

    def verify_count(self, tree):
        data, stat = tree[self.root + "/count"][0]
        versions = [v for counter in self.of(Counter) for v in counter.versions]
        perhaps = sum(counter.perhaps for counter in self.of(Counter))
        if len(versions) != len(set(versions)):
            raise Defect("one version of the count was acknowledged twice")
        if int(data) != stat.version or not len(versions) <= stat.version <= len(versions) + perhaps:
            raise Defect(f"{len(versions)} counts and perhaps {perhaps} more were acknowledged; it is "
                         f"{data} at version {stat.version}")

    def verify_multi(self, tree):
        there = set(tree[self.root + "/multi"][1])
        for name in {name[:-2] for name in there}:
            if (name + "-a" in there) != (name + "-b" in there):
                raise Defect(f"half of multi {name} was done")
        for worker in self.of(Multi):
            done = [name for name in worker.refused if name + "-a" in there]
            if done:
                raise Defect(f"multi {done[0]} was refused, and done")
            for name in worker.acknowledged:
                if name + "-a" not in there:
                    raise Defect(f"acknowledged multi {name} is lost")

    def remove(self):
        client = ensemble.connect(*self.hosts)
        for path in ("/created", "/multi", "/mine"):
            results = [client.delete_async(f"{self.root}{path}/{name}")
                       for name in client.get_children(self.root + path)]
            for result in results:
                result.get(timeout=30)
        client.delete(self.root, recursive=True)
        client.stop()
        client.close()
