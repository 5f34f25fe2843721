# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: each function here puts its figures into bench.figures."""
import concurrent.futures
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from servers import START_SECONDS, Mount, wait_until, writes

# Name, in --only as well; arguments of zkload; the figures that count. "1x1": one session with one
# request outstanding. "cpu_us" is that of the servers for each operation.
SERVER_LOADS = [
    ("set1x1", "set -c 1 -p 1", ("ops_per_s", "p50_us")),
    ("set8x1", "set -c 8 -p 1", ("ops_per_s",)),
    ("set64x32", "set -c 64 -p 32", ("ops_per_s", "p99_us", "cpu_us")),
    ("get16x1", "get -c 16 -p 1", ("ops_per_s",)),
    ("get16x32", "get -c 16 -p 32", ("ops_per_s",)),
    ("mix16x32", "mix -c 16 -p 32", ("ops_per_s",)),
    ("fanout", "fanout -c 10000 -n 5", ("mean_ms",)),
    ("connect", "connect -c 5000", ("per_s",)),
]
FS_LOADS = ("read", "stat", "ls", "write", "create")
SNAPSHOT_SECONDS = 120  # longest wait for a snapshot to be taken
STARTS = 3
KILLS = 5
KILL_TICK_MS = 500
MISSED_CHANGES = 10000
DELETED_NAMES = 100000
TOO_MANY_NAMES = 200000  # for a reply of 1 MiB
DESCRIPTORS = 10000
MIB = 2**20


def run(*command):
    """The figures that a load generator prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return dict(word.split("=", 1) for word in done.stdout.split())


def zkload(bench, server, arguments):
    return run(bench.program("zkload"), server.address, *arguments.split())


def warm_up(bench, server):
    """For the compiler of the Java machine; the same for all."""
    for mode in "set", "get":
        zkload(bench, server, f"{mode} -c 32 -p 32 -d {bench.warm_seconds} -x /warm")


def fill(bench, server, options=""):
    figures = zkload(bench, server, f"create -c 32 -p 32 -n {bench.nodes} -x /fill {options}")
    bench.note(f"{server.name} fill: {figures}")
    return figures


def floor(bench):
    figures = run(bench.program("floor"), bench.base)
    total = float(figures["fdatasync_us"]) + float(figures["round_trip_us"])
    bench.figures.add("fdatasync + round trip", "us", total)
    bench.note(f"floor: {figures}")


def load(bench, server, name, arguments, wanted):
    if "-n" not in arguments and "connect" not in arguments:
        arguments += f" -d {bench.seconds}"
    begin = server.cpu_seconds()
    figures = zkload(bench, server, arguments)
    if "ops" in figures:
        figures["cpu_us"] = (server.cpu_seconds() - begin) * 1e6 / int(figures["ops"])
    bench.note(f"{server.name} {name}: {figures}")
    for figure in wanted:
        bench.figures.add(server.name, f"{name} {figure}", figures[figure])


def serve(bench, kind):
    loads = [item for item in SERVER_LOADS if bench.wants(item[0])]
    if not loads:
        return
    with bench.servers(kind) as server:
        warm_up(bench, server)
        for item in loads:
            bench.attempt(load, server, *item)


# ---- Ensembles ----


def create(bench, kind):
    """Fill, and start all again."""
    if not bench.wants("create"):
        return
    with bench.servers(kind) as server:
        warm_up(bench, server)
        figures = fill(bench, server)
        bench.figures.add(server.name, "create ops_per_s", figures["ops_per_s"])
        bench.figures.add(server.name, "create filled_mib", server.resident_mib())
        for _ in range(STARTS):
            bench.figures.add(server.name, "create start_s", start_again(server))


def next_write(port):
    """When a change was acknowledged at this port. Only an answer to a new request counts."""
    deadline = time.monotonic() + START_SECONDS
    while not writes(port):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no write is acknowledged at port {port}")
        time.sleep(0.005)
    return time.monotonic()


def kill_leader(ensemble):
    """Returns the seconds to the next write that was acknowledged, at any server."""
    leader = ensemble.leader()
    ports = [server.port for server in ensemble.others(leader)]
    begin = time.monotonic()
    leader.process.kill()
    leader.process.wait()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        seconds = min(pool.map(next_write, ports)) - begin
    join(ensemble, leader)
    return seconds


def join(ensemble, server):
    """Start it. Returns the seconds until it follows and has all changes."""
    begin = time.monotonic()
    server.launch()
    leader = ensemble.leader()

    def has_joined():
        state = server.srvr()
        return state.get("Mode") == "follower" and state["Zxid"] == leader.srvr().get("Zxid")

    wait_until(has_joined, ensemble.servers)
    return time.monotonic() - begin


def kill(bench, kind, filled):
    if not bench.wants("kill"):
        return
    name = "kill filled" if filled else "kill"
    with bench.servers(kind, tickTime=KILL_TICK_MS) as ensemble:
        if filled:
            fill(bench, ensemble)
        seconds = [kill_leader(ensemble) for _ in range(KILLS)]
    bench.note(f"{kind.name} {name}: {seconds}")
    bench.figures.add(kind.name, f"{name} s", statistics.median(seconds))
    bench.figures.add(kind.name, f"{name} worst_s", max(seconds))


def catch_up(bench, kind):
    if not bench.wants("catchup"):
        return
    with bench.servers(kind) as ensemble:
        leader = ensemble.leader()
        follower = ensemble.others(leader)[0]
        follower.stop()
        zkload(bench, leader, f"create -c 32 -p 32 -n {MISSED_CHANGES} -x /missed")
        bench.figures.add(kind.name, "catchup s", join(ensemble, follower))


# ---- A million znodes ----


def percentile99(values):
    return sorted(values)[len(values) * 99 // 100] if values else None


def is_whole(path, status):
    """zabd names a snapshot when it is whole; ZooKeeper's has not grown for a while."""
    return path.endswith(".zst") or (
        not path.endswith(".tmp") and time.time() - status.st_mtime > 2
    )


def start_again(server):
    server.stop()
    return server.start()


def sets_during_snapshot(bench, server):
    """Sets until a snapshot has been taken. Returns its path, and the p99 without and with it."""
    old = {path for path, _ in server.snapshots()}
    samples = os.path.join(server.dir, "samples")
    command = f"set -c 16 -p 8 -x /sets -d {SNAPSHOT_SECONDS} -o {samples}"
    load = subprocess.Popen(
        [bench.program("zkload"), server.address, *command.split()], stdout=subprocess.DEVNULL
    )
    begin, first_seen = time.time(), None
    try:
        while load.poll() is None:
            new = [item for item in server.snapshots() if item[0] not in old]
            if new and first_seen is None:
                first_seen = time.time()
            if new and is_whole(*new[0]):
                break
            time.sleep(0.01)
    finally:
        load.send_signal(signal.SIGTERM)
        load.wait()
    if first_seen is None or load.returncode != 0:
        raise RuntimeError(f"{server.name}: no snapshot within {SNAPSHOT_SECONDS} s of sets")
    path, status = new[0]
    without, during = [], []
    with open(samples, encoding="ascii") as f:
        for line in f:
            end_us, us = map(int, line.split())
            end = end_us / 1e6
            if first_seen <= end and end - us / 1e6 <= status.st_mtime:
                during.append(us)
            elif end > begin + 1:
                without.append(us)
    bench.note(f"{server.name}: the snapshot took {status.st_mtime - first_seen:.2f} s")
    return path, percentile99(without), percentile99(during)


def million(bench, kind, distinct=False):
    """Fill, take a snapshot under load, start again. With `distinct`, other data for each node,
    and nothing but the size of the snapshot counts."""
    if not bench.wants("million"):
        return
    add = bench.figures.add
    with kind(bench.base) as server:
        fill(bench, server, "-r" if distinct else "")
        filled_mib = server.resident_mib()
        filled_starts = [start_again(server) for _ in range(STARTS)]
        path, without, during = sets_during_snapshot(bench, server)
        size = os.path.getsize(path)
        if distinct:
            add(server.name, "million distinct snapshot_mib", size / MIB)
            return
        add(server.name, "million snapshot_mib", size / MIB)
        add(server.name, "million filled_mib", filled_mib)
        for seconds in filled_starts:
            add(server.name, "million filled_start_s", seconds)
        if without and during:
            add(server.name, "million p99_us", without)
            add(server.name, "million snapshot p99_us", during)
        for _ in range(STARTS):
            add(server.name, "million start_s", start_again(server))
        add(server.name, "million started_mib", server.resident_mib())


# ---- The mount ----


def fsload(bench, subject, directory, modes, suffix=""):
    for mode in modes:
        figures = run(bench.program("fsload"), directory, mode, "-d", str(bench.fs_seconds))
        bench.note(f"{subject} {mode}{suffix}: {figures}")
        bench.figures.add(subject, f"{mode}{suffix} p50_us", figures["p50_us"])


def tmpfs(bench):
    if not bench.wants("mount"):
        return
    directory = tempfile.mkdtemp(prefix="zabfs-bench-", dir="/dev/shm")
    try:
        fsload(bench, "tmpfs", os.path.join(directory, "files"), FS_LOADS)
    finally:
        shutil.rmtree(directory)


def mount(bench, kind):
    if not bench.wants("mount"):
        return
    with kind(bench.base) as server:
        warm_up(bench, server)
        subject = f"zabfs on {server.name}"
        with Mount(server) as m:
            fsload(bench, subject, os.path.join(m.dir, "files"), FS_LOADS)
        with Mount(server, "cache=pages") as m:
            fsload(bench, subject, os.path.join(m.dir, "pages"), ("read",), " pages")
        figures = zkload(bench, server, f"set -c 1 -p 1 -d {bench.fs_seconds}")
        bench.figures.add(f"setData on {server.name}", "p50_us", figures["p50_us"])


def notify(bench, kind):
    if not bench.wants("notify"):
        return
    with kind(bench.base) as server:
        warm_up(bench, server)
        with Mount(server) as m:
            figures = run(
                bench.program("notify"), server.address, m.dir, "-n", str(bench.changes)
            )
        bench.note(f"zabfs on {server.name} notify: {figures}")
        for name in "p50_ms", "lost":
            bench.figures.add(f"zabfs on {server.name}", f"notify {name}", figures[name])


# ---- Very large directories ----


@contextlib.contextmanager
def beside(bench, mount, mode, figure):
    """The worst wait of another process, which works on files of its own meanwhile."""
    other = subprocess.Popen(
        [bench.program("fsload"), os.path.join(mount.dir, "beside"), mode, "-d", "3600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(0.5)  # it makes its files first
        yield
    finally:
        other.send_signal(signal.SIGTERM)
        figures = dict(word.split("=", 1) for word in other.communicate()[0].split())
    bench.note(f"{figure}: {figures}")
    bench.figures.add("zabfs on zabd", figure, float(figures["worst_us"]) / 1000)


def list_names(directory, *options):
    begin = time.monotonic()
    subprocess.run(["ls", "-U", *options, directory], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def wait_for_nodes(mount, most):
    end = time.monotonic() + 120
    while mount.status("nodes") > most or mount.status("injections_waiting") > 0:
        if time.monotonic() > end:
            raise RuntimeError(f"zabfs still knows {mount.status('nodes')} nodes")
        time.sleep(0.1)


def large_directory(bench, server, mount, names):
    """List it, delete many of its names, have the rest forgotten."""
    add = bench.figures.add
    directory = os.path.join(mount.dir, "large/d0")
    received = int(server.srvr()["Received"])
    with beside(bench, mount, "read", "size list worst_ms"):
        add("zabfs on zabd", "size list s", list_names(directory, "-l"))
    received = int(server.srvr()["Received"]) - received
    add("zabfs on zabd", "size list requests", received / names)
    add("zabfs on zabd", "size listed_mib", mount.resident_mib())
    nodes = mount.status("nodes")
    with beside(bench, mount, "read", "size delete worst_ms"):
        zkload(bench, server, f"delete -p 1000 -n {DELETED_NAMES} -w 1 -x /large")
        wait_for_nodes(mount, nodes - DELETED_NAMES + 1000)
    if os.access("/proc/sys/vm/drop_caches", os.W_OK):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("2\n")
        wait_for_nodes(mount, 1000)
        add("zabfs on zabd", "size forgotten_mib", mount.resident_mib())


def too_large_directory(bench, mount):
    """Its listing is refused, again and again, and nobody else minds."""
    end = time.monotonic() + bench.fs_seconds
    with beside(bench, mount, "write", "size refused worst_ms"):
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(
                    ["ls", os.path.join(mount.dir, "large/d0")], capture_output=True, check=True
                )
                raise RuntimeError("the listing was not too long")


def size(bench, kind):
    if not bench.wants("size"):
        return
    names = max(bench.nodes, TOO_MANY_NAMES)
    with kind(bench.base) as server:
        zkload(bench, server, f"create -c 8 -p 128 -n {names} -w 1 -s 10 -x /large")
        with Mount(server, "maxreply=1M") as m:
            too_large_directory(bench, m)
            files = os.path.join(m.dir, "files")
            for name, others in 3 * (("write", 0), ("write descriptors", DESCRIPTORS)):
                options = ["-d", str(bench.fs_seconds), "-f", str(others)]
                figures = run(bench.program("fsload"), files, "write", *options)
                bench.figures.add("zabfs on zabd", f"size {name} p50_us", figures["p50_us"])
        with Mount(server, "maxreply=1G") as m:
            bench.figures.add("zabfs on zabd", "size mib", m.resident_mib())
            large_directory(bench, server, m, names)
