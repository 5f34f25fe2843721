# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers and mounts that are measured. Each is a context manager: what it starts, it ends."""
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"
START_SECONDS = 180


class Unavailable(Exception):
    """Something that a row needs is not there."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def serves(port):
    """Does a session open at this port?"""
    request = struct.pack(">iqiqi16s?", 0, 0, 30000, 0, 16, b"", False)
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.settimeout(10)
            s.sendall(struct.pack(">i", len(request)) + request)
            response = s.recv(64)
            return len(response) >= 20 and struct.unpack(">q", response[12:20])[0] != 0
    except OSError:
        return False


def end_process(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """A server of one replica with its data below `base`. Subclasses say how it is started."""

    keys = ""

    def __init__(self, base, **keys):
        self.dir = os.path.join(base, self.name)
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        os.makedirs(self.data)
        with open(os.path.join(self.dir, "zoo.cfg"), "w", encoding="ascii") as f:
            f.write(
                f"tickTime=2000\ndataDir={self.data}\nclientPort={self.port}\n"
                "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nmaxSessionTimeout=300000\n"
                "clientPortListenBacklog=4096\n"
                f"globalOutstandingLimit=100000\nadmin.enableServer=false\n{self.keys}"
            )
            f.writelines(f"{key}={value}\n" for key, value in keys.items())
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        """Returns the seconds until a session opens."""
        begin = time.monotonic()
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.dir)
        while not serves(self.port):
            late = time.monotonic() - begin > START_SECONDS
            if late or self.process.poll() is not None:
                with open(os.path.join(self.dir, "log"), encoding="utf-8") as log:
                    raise RuntimeError(f"{self.name} does not serve:\n{log.read()[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - begin

    def stop(self):
        if self.process:
            end_process(self.process)
            self.process = None

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024

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
    keys = "zab.logLevel=warn\n"
    build = "."

    def command(self):
        return [os.path.join(self.build, "zabd"), os.path.join(self.dir, "zoo.cfg")]


class ZooKeeper(Server):
    """Apache ZooKeeper from Debian's package, standalone, with a heap of 2 GiB."""

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
                end_process(self.process)
                with open(self.log, encoding="utf-8") as log:
                    raise RuntimeError(f"zabfs does not mount:\n{log.read()[-2000:]}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        # Busy for a moment if an event is being raised in it.
        unmount = ["fusermount3", "-u", self.dir]
        for _ in range(100):
            if subprocess.run(unmount, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            subprocess.run(["fusermount3", "-uz", self.dir], check=False)
        end_process(self.process)
        os.rmdir(self.dir)
