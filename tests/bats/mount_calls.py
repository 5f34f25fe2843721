# SPDX-License-Identifier: GPL-3.0-or-later
# System calls that no shell command makes in just this way; for the .bats files of the mount.
import ctypes
import errno
import os
import subprocess
import sys


def fsync(path, command):
    """What the tree has between fsync and close."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b"synced\n")
    os.fsync(fd)
    subprocess.run(command.split(), check=True)
    os.close(fd)


def close_error(path, command):
    """The command runs between the write and the close."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"lost\n")
    subprocess.run(command.split(), check=True)
    os.close(fd)


def update(path, offset, text):
    fd = os.open(path, os.O_RDWR)
    os.pread(fd, 1, 0)
    os.pwrite(fd, text.encode(), int(offset))
    os.close(fd)


def rename(how, old, new):
    flags = {"plain": 0, "noreplace": 1, "exchange": 2}[how]
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd = -100
    if libc.renameat2(at_fdcwd, old.encode(), at_fdcwd, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "")


def read_lines(path, sizes, times):
    """Reads again and again; each time one whole line of digits, as long as its first says."""
    sizes = {int(size) for size in sizes.split(",")}
    for _ in range(int(times)):
        size = os.stat(path).st_size
        with open(path, "rb", buffering=0) as f:
            text = f.read(100000)
        if len(text) not in sizes or text[-1:] != b"\n" or text.count(text[:1]) != len(text) - 1:
            sys.exit(f"read {text!r}")
        if size not in sizes:
            sys.exit(f"stat said {size}")


def set_fast(path, times):
    for i in range(1, int(times) + 1):
        with open(path, "w") as f:
            f.write(f"{i}\n")


def follow(directory, name, last):
    """Reads at each CLOSE_WRITE: never less than at the event before, and at the end `last`."""
    libc = ctypes.CDLL(None, use_errno=True)
    in_close_write = 8
    fd = libc.inotify_init()
    libc.inotify_add_watch(fd, directory.encode(), in_close_write)
    print("ready", flush=True)
    seen = 0
    while seen < int(last):
        os.read(fd, 4096)
        with open(os.path.join(directory, name)) as f:
            now = int(f.read())
        if now < seen or seen == now == 0:
            sys.exit(f"read {now} after {seen}")
        seen = now
    print("done")


def write_on(directory, stop):
    """New files until `stop` is there; the name of each that close has acknowledged."""
    i = 100000
    while not os.path.exists(stop):
        i += 1
        try:
            fd = os.open(f"{directory}/{i}", os.O_WRONLY | os.O_CREAT)
            os.write(fd, str(i).encode())
            os.close(fd)
            print(i, flush=True)
        except OSError as e:
            print(i, e, file=sys.stderr)


def main():
    try:
        globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
    except OSError as e:
        print(errno.errorcode[e.errno])
        sys.exit(1)


main()
