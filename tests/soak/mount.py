# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount that a shell writes through, and inotifywait watches, while another client writes too.

The shell writes files of their own and appends lines to one; what its programs said of each is in
NAME.done and NAME.failed. A mirror holds what it read when it was last told of a file."""
import os
import random
import subprocess
import threading
import time

import ensemble
from clients import *
from servers import wait_for

# Programs of their own: the shell does not look at what close says.
SHELL = r"""
n=0
while [ ! -e "$2.stop" ]; do
    n=$((n + 1))
    for change in "file-$n >" "lines >>"; do
        set -- "$1" "$2" ${change}
        if [ "$4" = ">" ]; then /bin/echo "$n" >"$1/$3"; else /bin/echo "$n" >>"$1/$3"; fi
        if [ $? = 0 ]; then echo "$3 $n" >>"$2.done"; else echo "$3 $n" >>"$2.failed"; fi
    done
    sleep 0.03
done 2>>"$2.errors"
"""


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def lines_of(path):
    return (read(path) or "").splitlines()


class Elsewhere(threading.Thread):
    """Sets nodes again and again, each to what it never was; `last` has what was acknowledged."""

    def __init__(self, hosts, root):
        super().__init__(daemon=True)
        self.root, self.stopping, self.n, self.failure = root, threading.Event(), 0, None
        self.session = Session(hosts, random.Random(), self.stopping)
        self.there = set()

    def run(self):
        try:
            while not self.stopping.is_set():
                try:
                    self.session.connect()
                    while not self.stopping.is_set():
                        self.change()
                        time.sleep(0.05)
                except Lost:
                    self.session.disconnect()
        except BaseException as e:
            self.failure = e

    def change(self):
        name = f"elsewhere-{self.n % 20}"
        path, data = f"{self.root}/{name}", b"%d" % self.n
        self.n += 1
        if name in self.there:
            error = self.session.call(SET_DATA, set_body(path, data))[0]
        else:
            error = self.session.call(CREATE, create_body(path, data))[0]
        if error == SYSTEM_ERROR:
            return  # a server without room has refused it
        if error not in (OK, NODE_EXISTS):
            raise Defect(f"error {error} for {path}")
        self.there.add(name)


class Mirror(threading.Thread):
    """What each file was when inotifywait last said something of it."""

    def __init__(self, watched, err):
        super().__init__(daemon=True)
        self.watched, self.known = watched, {}
        self.process = subprocess.Popen(
            ["inotifywait", "-m", "--format", "%f", "-e", "create,modify,close_write,delete,move", watched],
            stdout=subprocess.PIPE, stderr=open(err, "w"), text=True)
        wait_for(20, lambda: "established" in (read(err) or ""), "inotifywait watches")

    def run(self):
        for line in self.process.stdout:
            name = line.rstrip("\n")
            self.known[name] = read(os.path.join(self.watched, name))

    def there(self):
        """What it has read, without the files that it could not."""
        return {name: text for name, text in list(self.known.items()) if text is not None}


class Mount:
    def __init__(self, hosts, name, dir, log):
        self.hosts, self.root, self.log = hosts, "/" + name, log
        self.point = os.path.join(dir, name + ".mount")
        self.state = os.path.join(dir, name)
        self.files = self.point + self.root
        os.mkdir(self.point)
        with open(self.state + ".log", "a") as f:
            self.process = subprocess.Popen(["zabfs", ",".join(hosts), self.point, "-f", "-o", "rw"],
                                            stdout=f, stderr=f)
        wait_for(20, lambda: os.path.exists(self.point + "/.zabfs/status"), "the mount is there")
        os.mkdir(self.files)
        self.mirror = Mirror(self.files, self.state + ".inotify")
        self.mirror.start()
        self.elsewhere = Elsewhere(hosts, self.root)
        self.elsewhere.start()
        self.shell = subprocess.Popen(["bash", "-c", SHELL, "-", self.files, self.state])

    def done(self):
        return lines_of(self.state + ".done")

    def goes_on(self):
        count = len(self.done()) + 10
        wait_for(90, lambda: len(self.done()) >= count, "writes through the mount are done")

    def verify(self):
        open(self.state + ".stop", "w").close()
        self.shell.wait(60)
        self.elsewhere.stopping.set()
        self.elsewhere.join(30)
        if self.elsewhere.failure:
            raise Defect(f"the other client: {self.elsewhere.failure!r}")
        tree = {host: self.contents(host) for host in self.hosts}
        expected = tree[self.hosts[0]]
        if any(contents != expected for contents in tree.values()):
            raise Defect("the servers' files differ")
        self.verify_done(expected)
        wait_for(20, lambda: self.read_all() == expected, "the mount shows what is there")
        wait_for(20, lambda: self.mirror.known.keys() >= expected.keys(), "each file had an event")
        try:
            wait_for(20, lambda: self.mirror.there() == expected, "")
        except Defect:
            known = self.mirror.there()
            differ = {n: (known.get(n), expected.get(n)) for n in known.keys() | expected.keys()
                      if known.get(n) != expected.get(n)}
            raise Defect(f"no event came behind the last change of {differ}") from None
        self.end()
        status = self.process.wait(30)
        if status != 0:
            raise Defect(f"zabfs has ended with status {status}")

    def contents(self, host):
        client = ensemble.connect(host)
        client.sync("/")
        names = client.get_children(self.root)
        contents = {name: client.get(f"{self.root}/{name}")[0].decode() for name in names}
        client.stop()
        client.close()
        return contents

    def read_all(self):
        return {name: read(os.path.join(self.files, name)) for name in os.listdir(self.files)}

    def verify_done(self, contents):
        done, failed = self.done(), lines_of(self.state + ".failed")
        lines = contents.get("lines", "").split()
        if lines != sorted(set(lines), key=int):
            raise Defect(f"appended lines came twice or out of order: {lines}")
        for name, n in map(str.split, done):
            if n not in lines if name == "lines" else contents.get(name) != n + "\n":
                raise Defect(f"{name} {n} was written, and is not there")
        lies = [line for line in failed if contents.get(line.split()[0]) == line.split()[1] + "\n" or
                line.startswith("lines ") and line.split()[1] in lines]
        print(f"mount: {len(done)} writes done, all there; {len(failed)} failed, of which {len(lies)} are "
              f"there; {len(self.mirror.known)} files known by inotify", flush=True)

    def end(self):
        for process in (self.shell, self.mirror.process, self.process):
            if process.poll() is None:
                process.terminate()
        self.elsewhere.stopping.set()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if os.path.ismount(self.point):
            subprocess.run(["fusermount3", "-uz", self.point])
