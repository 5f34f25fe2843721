# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers and mounts that are measured. Each is a context manager: what it starts, it ends."""
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time

ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"
START_SECONDS = 180
SET_DATA = 5  # in the protocol
PORTS = iter(random.sample(range(10000, 32000), 10000))


class Unavailable(Exception):
    """Something that a row needs is not there."""


def free_port():
    """Also free when a server starts again: the kernel gives none of these to a client."""
    for port in PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise Unavailable("no port is free")


@contextlib.contextmanager
def session(port):
    """The socket of a new session. OSError if none opens."""
    request = struct.pack(">iqiqi16s?", 0, 0, 30000, 0, 16, b"", False)
    with socket.create_connection(("127.0.0.1", port), 1) as s:
        s.settimeout(10)
        s.sendall(struct.pack(">i", len(request)) + request)
        response = s.recv(64)
        if len(response) < 20 or struct.unpack(">q", response[12:20])[0] == 0:
            raise ConnectionError("no session")
        yield s


def serves(port):
    try:
        with session(port):
            return True
    except OSError:
        return False


def writes(port):
    """Is a change acknowledged at this port, in a new session?"""
    request = struct.pack(">iii1sii", 1, SET_DATA, 1, b"/", 0, -1)
    try:
        with session(port) as s:
            s.sendall(struct.pack(">i", len(request)) + request)
            reply = s.recv(256)
            return len(reply) >= 20 and struct.unpack(">i", reply[16:20])[0] == 0
    except OSError:
        return False


def end_processes(processes):
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def of_process(process, name):
    with open(f"/proc/{process.pid}/{name}", encoding="ascii") as f:
        return f.read()


def resident_kib(process):
    return int(re.search(r"VmRSS:\s+(\d+)", of_process(process, "status")).group(1))


def wait_until(happened, servers):
    """Look every few milliseconds, while the servers run."""
    begin = time.monotonic()
    while not happened():
        late = time.monotonic() - begin > START_SECONDS
        for server in servers:
            if late or server.process.poll() is not None:
                raise RuntimeError(f"{server.name} does not serve:\n{server.end_of_log()}")
        time.sleep(0.005)


class Servers:
    """One server or an ensemble: `servers`, with their data below `dir`; clients are given
    `address`."""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        """Until each serves. Returns the seconds until a session opened at one of them."""
        begin = time.monotonic()
        for server in self.servers:
            server.launch()
        wait_until(lambda: any(serves(s.port) for s in self.servers), self.servers)
        seconds = time.monotonic() - begin
        wait_until(lambda: all(serves(s.port) for s in self.servers), self.servers)
        return seconds

    def stop(self):
        end_processes([server.process for server in self.servers if server.process])
        for server in self.servers:
            server.process = None

    def __repr__(self):
        return self.name

    def resident_mib(self):
        return statistics.mean(server.resident_kib() for server in self.servers) / 1024

    def cpu_seconds(self):
        return sum(server.cpu_ticks() for server in self.servers) / os.sysconf("SC_CLK_TCK")


class Server(Servers):
    """A server with its data below `base`. Subclasses say how it is started."""

    keys = {}

    def __init__(self, base, **keys):
        self.servers = [self]
        self.dir = os.path.join(base, self.name)
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        keys = {
            "tickTime": 2000,
            "dataDir": self.data,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": 0,
            "maxSessionTimeout": 300000,
            "clientPortListenBacklog": 4096,
            "globalOutstandingLimit": 100000,
            "admin.enableServer": "false",
            **self.keys,
            **keys,
        }
        os.makedirs(self.data)
        with open(os.path.join(self.dir, "zoo.cfg"), "w", encoding="ascii") as f:
            f.writelines(f"{key}={value}\n" for key, value in keys.items())

    def launch(self):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.dir)

    def end_of_log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8") as log:
            return log.read()[-2000:]

    def resident_kib(self):
        return resident_kib(self.process)

    def cpu_ticks(self):
        user, system = of_process(self.process, "stat").rpartition(")")[2].split()[11:13]
        return int(user) + int(system)

    def srvr(self):
        """What it says of itself ("Mode", "Zxid"); nothing while it does not serve."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"srvr")
                answer = b"".join(iter(lambda: s.recv(4096), b"")).decode()
        except OSError:
            return {}
        return dict(re.findall(r"^(\w+): (.*)$", answer, re.M))

    def snapshots(self):
        """Path and status of each snapshot file, oldest first; also of those being written."""
        found = []
        for entry in os.scandir(os.path.join(self.data, "version-2")):
            if entry.name.startswith("snapshot."):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.path, entry.stat()))
        return sorted(found, key=lambda item: item[1].st_mtime_ns)


class Zabd(Server):
    name = "zabd"
    keys = {"zab.logLevel": "warn"}
    build = "."

    def command(self):
        return [os.path.join(self.build, "zabd"), os.path.join(self.dir, "zoo.cfg")]


class ZooKeeper(Server):
    """Apache ZooKeeper from Debian's package, with a heap of 2 GiB."""

    name = "zookeeper"
    log4j = (
        "log4j.rootLogger=ERROR, F\n"
        "log4j.appender.F=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.F.layout=org.apache.log4j.PatternLayout\n"
    )

    def __init__(self, base, **keys):
        if not os.path.exists(ZOOKEEPER_JAR) or not shutil.which("java"):
            raise Unavailable("Apache ZooKeeper is not installed (Debian: zookeeper)")
        super().__init__(base, **keys)
        with open(os.path.join(self.dir, "log4j.properties"), "w", encoding="ascii") as f:
            f.write(self.log4j)

    def command(self):
        return [
            "java",
            "-Xmx2g",
            f"-Dlog4j.configuration=file:{self.dir}/log4j.properties",
            "-Dzookeeper.globalOutstandingLimit=100000",
            "-cp",
            ZOOKEEPER_JAR,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            os.path.join(self.dir, "zoo.cfg"),
        ]


class Ensemble(Servers):
    """`size` servers of one kind, with their data below `base`."""

    def __init__(self, kind, base, size, **keys):
        self.name = kind.name
        self.dir = os.path.join(base, f"{kind.name}-ensemble")
        keys.update(initLimit=20, syncLimit=10)
        for i in range(1, size + 1):
            keys[f"server.{i}"] = f"127.0.0.1:{free_port()}:{free_port()}"
        self.servers = [kind(os.path.join(self.dir, str(i + 1)), **keys) for i in range(size)]
        for i, server in enumerate(self.servers, 1):
            with open(os.path.join(server.data, "myid"), "w", encoding="ascii") as f:
                f.write(f"{i}\n")
        self.address = ",".join(server.address for server in self.servers)

    def leader(self):
        for server in self.servers:
            if server.srvr().get("Mode") == "leader":
                return server
        raise RuntimeError(f"no {self.name} says that it leads")

    def others(self, server):
        return [s for s in self.servers if s is not server]


class Mount:
    """zabfs on a server."""

    build = "."

    def __init__(self, server, *options):
        self.dir = os.path.join(server.dir, "mount")
        self.log = os.path.join(server.dir, "mount.log")
        zabfs = os.path.join(self.build, "zabfs")
        if not os.path.exists(zabfs) or not os.access("/dev/fuse", os.W_OK):
            raise Unavailable("zabfs is not built, or /dev/fuse cannot be used")
        self.command = [zabfs, server.address, self.dir, "-f"]
        for option in options:
            self.command += ["-o", option]

    def __enter__(self):
        os.makedirs(self.dir, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        begin = time.monotonic()
        while not os.path.ismount(self.dir):
            if time.monotonic() - begin > 20 or self.process.poll() is not None:
                end_processes([self.process])
                with open(self.log, encoding="utf-8") as log:
                    raise RuntimeError(f"zabfs does not mount:\n{log.read()[-2000:]}")
            time.sleep(0.01)
        return self

    def resident_mib(self):
        return resident_kib(self.process) / 1024

    def status(self, key):
        with open(os.path.join(self.dir, ".zabfs/status"), encoding="utf-8") as f:
            return int(re.search(rf"^{key}: (\d+)", f.read(), re.M).group(1))

    def __exit__(self, *_):
        # Busy for a moment if an event is being raised in it.
        unmount = ["fusermount3", "-u", self.dir]
        for _ in range(100):
            if subprocess.run(unmount, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            subprocess.run(["fusermount3", "-uz", self.dir], check=False)
        end_processes([self.process])
        os.rmdir(self.dir)
