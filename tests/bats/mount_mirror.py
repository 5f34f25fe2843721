# SPDX-License-Identifier: GPL-3.0-or-later
"""A mirror that knows of a tree only what inotify says, and changes for it to follow; for
mount_mirror.bats: "py <<END", then "from mount_mirror import *".

The mirror is a process that watches the directories d0 to d3 of $A, and opens each file at its
event, as whoever reloads files does. It must never be told of the creation of a name that it has,
nor of a change of one that it has not; and when things are quiet it has what the server has."""
import ctypes
import json
import os
import random
import signal
import struct
import sys
import time

DIRECTORIES = ["d0", "d1", "d2", "d3"]
MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 2, 8, 0x40, 0x80, 0x100, 0x200
OVERFLOW, ISDIR = 0x4000, 0x40000000
WORDS = {MODIFY: "MODIFY", CLOSE_WRITE: "CLOSE_WRITE", MOVED_FROM: "MOVED_FROM",
         MOVED_TO: "MOVED_TO", CREATE: "CREATE", DELETE: "DELETE", OVERFLOW: "OVERFLOW"}


class Mirror:
    """entries: "d0/name" to its content, None for a directory. A mirror that does not read has "told"
    for what it would have read."""

    def __init__(self, root, reads=True):
        libc = ctypes.CDLL(None, use_errno=True)
        self.root = root
        self.reads = reads
        self.inotify = libc.inotify_init1(os.O_NONBLOCK)
        self.directories = {}
        self.entries = {}
        self.moved = {}
        self.wrong = []
        self.history = []
        for name in DIRECTORIES:
            watch = libc.inotify_add_watch(self.inotify, os.path.join(root, name).encode(), sum(WORDS))
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self.directories[watch] = name
        for name in DIRECTORIES:
            assert os.listdir(os.path.join(root, name)) == []

    def read(self, path):
        """A file that has gone again will be told as deleted."""
        if not self.reads:
            return "told"
        try:
            with open(os.path.join(self.root, path), "rb", buffering=0) as f:
                return f.read(100).decode()
        except OSError as e:
            return str(e)

    def complain(self, word, path, why):
        self.wrong.append(f"{word} of {path}, {why}; last told: {self.told(path)}")

    def told(self, path):
        return [event for event in self.history if event.endswith(f" {path}")][-8:]

    def take(self, watch, mask, cookie, name):
        word = WORDS.get(mask & ~ISDIR, hex(mask))
        if mask & OVERFLOW:
            self.complain(word, "the queue", "no event may be lost")
            return
        path = f"{self.directories[watch]}/{name}"
        self.history.append(f"{word} {path}")  # for the complaints
        known = path in self.entries
        if mask & CREATE:
            if known:
                self.complain(word, path, "which is there")
            self.entries[path] = None if mask & ISDIR else self.read(path)
        elif mask & MOVED_TO:
            # What was read under the old name may have been another file's already.
            if cookie not in self.moved:
                self.complain(word, path, "from nowhere")
            is_file = self.moved.pop(cookie, "?") is not None
            self.entries[path] = (self.read(path) if self.reads else "moved") if is_file else None
        elif not known:
            self.complain(word, path, "which is unknown")
        elif mask & MOVED_FROM:
            self.moved[cookie] = self.entries.pop(path)
        elif mask & DELETE:
            del self.entries[path]
        elif self.entries[path] is None:
            self.complain(word, path, "which is a directory")
        else:
            self.entries[path] = self.read(path)

    def follow(self):
        """What has come. False if nothing has."""
        try:
            data = os.read(self.inotify, 65536)
        except BlockingIOError:
            return False
        at = 0
        while at < len(data):
            watch, mask, cookie, size = struct.unpack_from("iIII", data, at)
            at += 16
            self.take(watch, mask, cookie, data[at : at + size].rstrip(b"\0").decode())
            at += size
        return True

    def differences(self, truth):
        for path in sorted(set(truth) | set(self.entries)):
            ours, theirs = self.entries.get(path, "absent"), truth.get(path, "absent")
            if ours != theirs:
                yield f"{path}: mirror {ours}, tree {theirs}; last told: {self.told(path)}"


def mirror_process(root, reads, requests, answers):
    """For each line of requests, a tree, it answers with what is wrong once it is equal, or late."""
    mirror = Mirror(root, reads)
    answers.write("[]\n")
    answers.flush()
    os.set_blocking(requests.fileno(), False)
    buffer = b""
    while True:
        quiet = not mirror.follow()
        try:
            more = os.read(requests.fileno(), 65536)
            if more == b"":
                return
            buffer += more
        except BlockingIOError:
            pass
        if b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            order = json.loads(line)
            deadline = time.monotonic() + order["seconds"]
            while list(mirror.differences(order["tree"])) and time.monotonic() < deadline:
                if not mirror.follow():
                    time.sleep(0.01)
            answers.write(json.dumps(list(mirror.differences(order["tree"])) + mirror.wrong) + "\n")
            answers.flush()
        elif quiet:
            time.sleep(0.002)


class Follower:
    """A mirror process, and what it is asked."""

    def __init__(self, root, reads=True):
        down, up = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(down[1])
            try:
                mirror_process(root, reads, open(down[0], "rb", buffering=0), open(up[1], "w"))
            except BaseException as e:
                print("the mirror:", repr(e), file=sys.stderr, flush=True)
            os._exit(0)
        os.close(down[0])
        os.close(up[1])
        self.requests, self.answers = open(down[1], "w"), open(up[0])
        self.answers.readline()

    def check(self, tree, seconds=10):
        """It has this tree within the time, and was told nothing that cannot be."""
        self.requests.write(json.dumps({"tree": tree, "seconds": seconds}) + "\n")
        self.requests.flush()
        line = self.answers.readline()
        wrong = json.loads(line) if line else ["the mirror has ended"]
        if wrong:
            self.end()
            sys.exit("\n".join([f"{len(wrong)} faults"] + wrong[:8]))

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Local:
    """The control: the same changes in a local directory."""

    def __init__(self, root):
        self.root = self.other = root
        for name in DIRECTORIES:
            os.mkdir(os.path.join(root, name))

    def path(self, name):
        return os.path.join(self.root, name)

    def create(self, name, data):
        self.set(name, data)

    def set(self, name, data):
        with open(self.path(name), "w") as f:
            f.write(data)

    def delete(self, name):
        os.unlink(self.path(name))

    def become_directory(self, name):
        self.delete(name)
        os.mkdir(self.path(name))

    def delete_directory(self, name):
        os.rmdir(self.path(name))

    def settle(self):
        pass

    def tree(self):
        found = {}
        for directory in DIRECTORIES:
            for name in os.listdir(self.path(directory)):
                path = f"{directory}/{name}"
                found[path] = None if os.path.isdir(self.path(path)) else open(self.path(path)).read()
        return found


class Remote:
    """Changes by another client, which does not wait for the answers, and renames by the mount
    `other`."""

    def __init__(self, node, other):
        from zk import connect

        self.zk = connect()
        self.node = node
        self.other = other
        self.waiting = []

    def submit(self, call, name, *args):
        self.waiting.append(call(f"{self.node}/{name}", *args))

    def create(self, name, data):
        self.submit(self.zk.create_async, name, data.encode())

    def set(self, name, data):
        self.submit(self.zk.set_async, name, data.encode())

    def delete(self, name):
        self.submit(self.zk.delete_async, name)

    def become_directory(self, name):
        self.submit(self.zk.create_async, f"{name}/child", b"x")

    def delete_directory(self, name):
        self.delete(f"{name}/child")
        self.delete(name)

    def settle(self):
        for one in self.waiting:
            one.get(timeout=20)
        self.waiting = []

    def tree(self):
        found = {}
        for directory in DIRECTORIES:
            for name in self.zk.get_children(f"{self.node}/{directory}"):
                data, stat = self.zk.get(f"{self.node}/{directory}/{name}")
                is_dir = data is None or stat.numChildren > 0 or stat.cversion > 0
                found[f"{directory}/{name}"] = None if is_dir else data.decode()
        return found


class Changes:
    """Random changes of few names, so that each has a history."""

    def __init__(self, on, seed):
        self.on = on
        self.draw = random.Random(seed)
        self.entries = {}
        self.last = None
        self.count = 0

    def content(self):
        """All of one length, so that a length says nothing."""
        self.count += 1
        return f"{self.count:06}"

    def rename(self, old, new):
        """By the other mount, which need not know of the names yet."""
        self.on.settle()
        try:
            os.rename(os.path.join(self.on.other, old), os.path.join(self.on.other, new))
        except OSError:
            return
        self.entries[new] = self.entries.pop(old)

    def change(self):
        """Half of them are of the name that was changed last."""
        path = self.last
        if path is None or self.draw.random() < 0.5:
            path = f"{self.draw.choice(DIRECTORIES)}/n{self.draw.randrange(8)}"
        self.last = path
        other = f"{self.draw.choice(DIRECTORIES)}/n{self.draw.randrange(8)}"
        what = self.draw.random()
        if path not in self.entries:
            self.entries[path] = self.content()
            self.on.create(path, self.entries[path])
        elif self.entries[path] is None:
            del self.entries[path]
            self.on.delete_directory(path)
        elif what < 0.3:
            self.entries[path] = self.content()
            self.on.set(path, self.entries[path])
        elif what < 0.6:
            del self.entries[path]
            self.on.delete(path)
        elif what < 0.9 and other != path and self.entries.get(other, "") is not None:
            self.rename(path, other)
        else:
            self.entries[path] = None
            self.on.become_directory(path)

    def burst(self, count, each_second):
        """In groups, 25 a second, as a deployment's changes come."""
        start = time.monotonic()
        group = max(1, each_second // 25)
        for i in range(count):
            if i % group == 0:
                time.sleep(max(0, start + i / each_second - time.monotonic()))
            self.change()
        self.on.settle()


def run(on, root, seed, rounds, count, each_second):
    """So many rounds of so many changes; after each, things are quiet."""
    follower = Follower(root)
    changes = Changes(on, seed)
    for _ in range(rounds):
        changes.burst(count, each_second)
        follower.check(on.tree())
    follower.end()


def come_and_go(on, root, count, milliseconds):
    """Each file is gone again soon after it was made: at the end there is none."""
    follower = Follower(root)
    for i in range(count):
        name = f"{DIRECTORIES[i % 4]}/n{i}"
        on.create(name, "soon gone")
        time.sleep(milliseconds / 1000)
        on.delete(name)
        time.sleep(0.001)
    on.settle()
    assert on.tree() == {}
    follower.check({})
    follower.end()


def exchanged(on, root, times, reads):
    """One file is removed and another made, of the same length, with nothing in between. The mount
    knows what was in the old one only if somebody has read it."""
    follower = Follower(root, reads)
    for i in range(times):
        on.create(f"d0/old{i}", "AAAA")
        on.settle()
        follower.check(on.tree() if reads else dict.fromkeys(on.tree(), "told"))
        on.delete(f"d0/old{i}")
        on.create(f"d0/new{i}", "BBBB")
        on.settle()
        follower.check(on.tree() if reads else dict.fromkeys(on.tree(), "told"))
    follower.end()
