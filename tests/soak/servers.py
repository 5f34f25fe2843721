# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an ensemble as processes: started, killed, stopped, wiped, cut off."""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bats"))
NETWORK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bats/network")
CLONE_NEWNET = 0x40000000
ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"
JAVA = ["java", "-Xmx200m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
        "-Dzookeeper.admin.enableServer=false", "-cp", ZOOKEEPER_JAR,
        "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
CONFIG = """tickTime={tick}
initLimit=20
syncLimit=5
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
        with open(os.path.join(self.dir, "log"), "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

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

    def wipe(self):
        shutil.rmtree(os.path.join(self.dir, "data/version-2"))

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

    def mode(self):
        if self.stopped or not self.is_running():
            return None
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode: "):
                return line[6:]
        return None


class Ensemble:
    """In `network` (see tests/bats/network) each server has an address of its own."""

    def __init__(self, dir, kinds, rng, tick_ms, network=None):
        self.dir, self.network = dir, network
        n = len(kinds)
        if network:
            hosts = [(f"10.99.0.{i + 1}", 2888, 3888, 2181) for i in range(n)]
        else:
            ports = free_ports(3 * n)
            hosts = [("127.0.0.1", *ports[3 * i:3 * i + 3]) for i in range(n)]
        self.servers = [Server(self, i + 1, kind, (hosts[i][0], hosts[i][3]))
                        for i, kind in enumerate(kinds)]
        lines = "".join("server.{}={}:{}:{};{}:{}\n".format(i + 1, h[0], h[1], h[2], h[0], h[3])
                        for i, h in enumerate(hosts))
        for server in self.servers:
            os.makedirs(os.path.join(server.dir, "data"))
            with open(os.path.join(server.dir, "data/myid"), "w") as f:
                f.write(f"{server.number}\n")
            with open(os.path.join(server.dir, "zoo.cfg"), "w") as f:
                f.write(CONFIG.format(dir=server.dir, tick=tick_ms,
                                      snap_count=rng.choice([300, 1000, 5000])) + lines)

    def hosts(self):
        return ["%s:%d" % server.address for server in self.servers]

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

    def end(self):
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.process.kill()
                server.process.wait()

    def check_logs(self):
        """What zabd says of itself."""
        for server in self.servers:
            if server.kind != "zabd":
                continue
            with open(os.path.join(server.dir, "log")) as f:
                for line in f:
                    if " error " in line:
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
