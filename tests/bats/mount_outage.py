# SPDX-License-Identifier: GPL-3.0-or-later
# Readers and writers that go on whatever happens; for mount_outage.bats.
import errno
import os
import sys
import time


def get(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1000000)
    finally:
        os.close(fd)


def calls(path):
    """Each is one that needs the server."""

    def write():
        fd = os.open(path + "/file", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"new\n")
        os.close(fd)

    def append():
        fd = os.open(path + "/file", os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"new\n")
        os.close(fd)

    return {
        "write": write,
        "append": append,
        "touch": lambda: os.utime(path + "/file"),
        "mkdir": lambda: os.mkdir(path + "/new directory"),
        "exclusive": lambda: os.close(os.open(path + "/exclusive", os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
        "unlink": lambda: os.unlink(path + "/other"),
        "rename": lambda: os.rename(path + "/other", path + "/another"),
        "stat": lambda: os.stat(path + "/never asked for"),
        "read": lambda: get(path + "/unread"),
    }


def waits(path):
    """All at once; how each ends, and after how many milliseconds."""
    for name, call in calls(path).items():
        if os.fork() == 0:
            start = time.monotonic()
            try:
                call()
                end = "ok"
            except OSError as e:
                end = errno.errorcode[e.errno]
            line = f"{name} {end} {int((time.monotonic() - start) * 1000)}\n"
            os.write(1, line.encode())  # in one piece: the others print too
            os._exit(0)
    for _ in calls(path):
        os.wait()


def replace(path, mine, count):
    """The file is replaced so many times by one that was written beside it."""
    for i in range(int(count)):
        with open(f"{path}.{mine}", "w") as f:
            f.write(f"{mine} {i}")
        os.rename(f"{path}.{mine}", path)


def read_until(path, stop):
    """The name is there all the time; so is its content."""
    failures, count = [], 0
    while not os.path.exists(stop):
        for name, call in ("read", get), ("stat", os.stat):
            count += 1
            try:
                call(path)
            except OSError as e:
                failures.append(f"{name} {errno.errorcode[e.errno]}")
    if failures:
        sys.exit(f"{len(failures)} of {count}: {failures[:5]}")


def main():
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])


main()
