# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an ensemble as processes: started, killed, stopped, wiped, cut off."""
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bats"))
NETWORK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bats/network")
CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x20000
SYNC_LIMIT = 5
DISK = 1 << 30  # what a small disk has, when it has room
ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"
JAVA = ["java", "-Xmx200m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
        "-Dzookeeper.admin.enableServer=false", "-cp", ZOOKEEPER_JAR,
        "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
CONFIG = """tickTime={tick}
initLimit=20
syncLimit={sync_limit}
maxSessionTimeout=30000
maxClientCnxns=0
dataDir={dir}/data
admin.enableServer=false
extendedTypesEnabled=true
4lw.commands.whitelist=*
snapCount={snap_count}
"""


class Defect(Exception):
    """Something that must not be."""


def wait_for(seconds, happened, what):
    """The first true value of happened()."""
    deadline = time.monotonic() + seconds
    while True:
        value = happened()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Defect(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def free_ports(count):
    """Consecutive ones that the kernel gives to no outgoing connection."""
    while True:
        first = random.randrange(10000, 32000 - count)
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()


class Server:
    def __init__(self, ensemble, number, kind, address):
        self.ensemble, self.number, self.kind = ensemble, number, kind
        self.dir = os.path.join(ensemble.dir, str(number))
        self.data = os.path.join(self.dir, "data")
        self.address = address
        self.process = None
        self.expected = None  # the signal that we have sent
        self.stopped = False

    def __str__(self):
        return f"server {self.number} ({self.kind})"

    def start(self):
        config = os.path.join(self.dir, "zoo.cfg")
        command = ["zabd", config] if self.kind == "zabd" else JAVA + [config]
        if self.ensemble.network:
            command = [NETWORK, "in", self.ensemble.network, str(self.number)] + command
        self.expected, self.stopped = None, False
        environ = dict(os.environ)
        if self.ensemble.stall:
            environ.update(LD_PRELOAD=self.ensemble.stall, ZAB_STALL=os.path.join(self.dir, "stall"))
        with open(os.path.join(self.dir, "log"), "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)

    def is_running(self):
        """It is a defect if it has ended without our signal."""
        if self.process is None:
            return False
        status = self.process.poll()
        if status is None:
            return True
        if self.expected is None:
            raise Defect(f"{self} has ended by itself, with status {status}")
        return False

    def signal(self, number):
        self.is_running()
        self.process.send_signal(number)

    def kill(self):
        self.is_running()
        self.expected = signal.SIGKILL
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.stopped = True
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.stopped = False
        self.signal(signal.SIGCONT)

    def terminate(self):
        self.is_running()
        self.expected = signal.SIGTERM
        self.process.terminate()
        status = self.process.wait(30)
        if status != (0 if self.kind == "zabd" else 143):
            raise Defect(f"{self} has ended with status {status} after SIGTERM")

    # ---- Its disk ----

    def wipe(self):
        shutil.rmtree(os.path.join(self.data, "version-2"))

    def copy_to(self, dir):
        shutil.rmtree(dir, ignore_errors=True)
        copy(os.path.join(self.data, "version-2"), dir)

    def become(self, dir):
        self.wipe()
        copy(dir, os.path.join(self.data, "version-2"))

    def check_shim(self):
        with open(f"/proc/{self.process.pid}/maps") as f:
            if self.ensemble.stall not in f.read():
                raise Defect(f"{self} runs without {self.ensemble.stall}")

    def stall(self, ms):
        """How long each sync takes from now on."""
        name = os.path.join(self.dir, "stall")
        if ms:
            with open(name + ".new", "w") as f:
                f.write(f"{ms}\n")
            os.rename(name + ".new", name)
        elif os.path.exists(name):
            os.remove(name)

    def fill(self, left):
        def is_full():
            disk = os.statvfs(self.data)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            return resize(self.data, used + left)
        wait_for(10, is_full, f"{self.data} is full")

    def make_room(self):
        if not resize(self.data, DISK):
            raise Defect(f"{self.data} does not grow")

    def rss_mib(self):
        try:
            with open(f"/proc/{self.process.pid}/statm") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        except (OSError, IndexError, ValueError):
            return 0

    def ask(self, word):
        try:
            with socket.create_connection(self.address, 1) as s:
                s.settimeout(1)
                s.sendall(word.encode())
                answer = b""
                while more := s.recv(65536):
                    answer += more
                return answer.decode()
        except OSError:
            return ""

    def epoch(self):
        for line in self.ask("srvr").splitlines():
            if line.startswith("Zxid: "):
                return int(line[6:], 16) >> 32
        return None

    def mode(self):
        if self.stopped or not self.is_running():
            return None
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode: "):
                return line[6:]
        return None


class Ensemble:
    """In `network` (see tests/bats/network) each server has an address of its own."""

    def __init__(self, dir, kinds, rng, tick_ms, network=None, stall=None, small_disks=False):
        self.dir, self.network, self.stall, self.small_disks = dir, network, stall, small_disks
        n = len(kinds)
        if small_disks:
            own_mounts()
        if network:
            hosts = [(f"10.99.0.{i + 1}", 2888, 3888, 2181) for i in range(n)]
        else:
            ports = free_ports(3 * n)
            hosts = [("127.0.0.1", *ports[3 * i:3 * i + 3]) for i in range(n)]
        self.servers = [Server(self, i + 1, kind, (hosts[i][0], hosts[i][3]))
                        for i, kind in enumerate(kinds)]
        lines = "".join("server.{}={}:{}:{};{}:{}\n".format(i + 1, h[0], h[1], h[2], h[0], h[3])
                        for i, h in enumerate(hosts))
        self.peers = hosts
        for server in self.servers:
            os.makedirs(server.data)
            if small_disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", server.data], check=True)
            with open(os.path.join(server.dir, "data/myid"), "w") as f:
                f.write(f"{server.number}\n")
            with open(os.path.join(server.dir, "zoo.cfg"), "w") as f:
                f.write(CONFIG.format(dir=server.dir, tick=tick_ms, sync_limit=SYNC_LIMIT,
                                      snap_count=rng.choice([300, 1000, 5000])) + lines)

    def hosts(self):
        return ["%s:%d" % server.address for server in self.servers]

    def ports(self):
        """As tests/bats/hostile.py wants to know them."""
        return ["%d=%s:%d:%d" % (i + 1, *host[:3]) for i, host in enumerate(self.peers)]

    def start(self):
        """Those that do not run, and those that were stopped."""
        for server in self.servers:
            if server.stopped:
                server.go_on()
            if not server.is_running():
                server.start()

    def modes(self):
        return [server.mode() for server in self.servers]

    def leader(self):
        return next((s for s in self.servers if s.mode() == "leader"), None)

    def has_formed(self):
        return sorted(filter(None, self.modes())) == \
            ["follower"] * (len(self.servers) - 1) + ["leader"]

    def wait_formed(self, seconds=60):
        wait_for(seconds, self.has_formed, "all servers serve, one of them as the leader")

    def quorum(self):
        return len(self.servers) // 2 + 1

    def running(self):
        return [s for s in self.servers if s.is_running() and not s.stopped]

    def check_running(self):
        for server in self.servers:
            server.is_running()

    def end(self, kept):
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.process.kill()
                server.process.wait()
            if self.small_disks and os.path.ismount(server.data):
                self.leave_disk(server, kept)

    @staticmethod
    def leave_disk(server, kept):
        """The small disks end with this process; what is on them need not."""
        if kept:
            copy(server.data, server.data + ".kept")
        subprocess.run(["umount", "-l", server.data], check=True)
        if kept:
            os.rmdir(server.data)
            os.rename(server.data + ".kept", server.data)

    def check_logs(self):
        """What zabd says of itself."""
        for server in self.servers:
            if server.kind != "zabd":
                continue
            with open(os.path.join(server.dir, "log")) as f:
                for line in f:
                    if " error " in line and not (self.small_disks and re.search("(is|are) full|[Nn]o space left", line)):
                        raise Defect(f"{server} says: {line}")


# ---- The network of tests/bats/network ----

def make_network(dir, n):
    """This process sees the servers from the network's middle from now on."""
    network = os.path.join(dir, "network")
    subprocess.run([NETWORK, "up", network, str(n)], check=True)
    with open(os.path.join(network, "0")) as f, open(f"/proc/{f.read().strip()}/ns/net") as ns:
        if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    return network


def network_cut(network, a, b):
    subprocess.run([NETWORK, "cut", network, str(a), str(b)], check=True)


def network_heal(network):
    subprocess.run([NETWORK, "heal", network], check=True)


# ---- Disks; those of this process and its children, see mount_namespaces(7) ----

def own_mounts():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def copy(dir, to):
    """Holes stay holes: ZooKeeper's logs are made of them."""
    subprocess.run(["cp", "-a", "--sparse=always", dir, to], check=True)


def resize(disk, size):
    """False if there is more on it."""
    return subprocess.run(["mount", "-o", f"remount,size={max(size, 4096)}", disk],
                          stderr=subprocess.DEVNULL).returncode == 0
