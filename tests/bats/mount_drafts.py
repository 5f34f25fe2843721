# SPDX-License-Identifier: GPL-3.0-or-later
# What one program sees of the files that it writes; for mount_drafts.bats. What `posix` and `programs`
# print on a mount is what they print on a local directory.
import errno
import os
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import time
import zipfile


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


# ---- What a descriptor with a draft shows ----


def seek_end(path):
    put(path, b"hello")
    fd = os.open(path, os.O_RDWR)
    for text in b" world", b"!":
        print(os.lseek(fd, 0, os.SEEK_END), os.write(fd, text))
    os.close(fd)


def w_plus(path):
    put(path, b"a longer old text\n")
    with open(path, "w+b") as f:
        f.write(b"abc\n")
        f.flush()
        print(f.seek(0, 2))
        f.write(b"def\n")
        f.seek(0)
        print(f.read())


def fstat_write(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    print(os.fstat(fd).st_size)
    os.write(fd, b"12345")
    print(os.fstat(fd).st_size)
    os.pwrite(fd, b"x", 9)
    print(os.fstat(fd).st_size)
    os.ftruncate(fd, 3)
    print(os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END))
    os.ftruncate(fd, 8)
    print(os.fstat(fd).st_size, os.pread(fd, 100, 0))
    os.close(fd)


def fstat_truncated(path):
    put(path, b"old text")
    fd = os.open(path, os.O_RDWR | os.O_TRUNC)
    print(os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END), os.read(fd, 10))
    os.write(fd, b"new")
    print(os.fstat(fd).st_size)
    os.close(fd)


def fstat_append(path):
    put(path, b"old")
    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    for text in b" and", b" new":
        os.write(fd, text)
        print(os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END))
    os.close(fd)
    with open(path, "ab") as f:
        print(f.tell())
        f.write(b"!")
        print(f.tell())


def read_appended(path):
    put(path, b"old")
    with open(path, "a+b", buffering=0) as f:
        for text in b" and", b" new":
            f.write(text)
            print(os.pread(f.fileno(), 100, 0), os.pread(f.fileno(), 100, 5))


def duplicate(path):
    put(path, b"0123456789")
    fd = os.open(path, os.O_RDWR)
    other = os.dup(fd)
    os.lseek(fd, 4, os.SEEK_SET)
    os.write(other, b"abcdefgh")
    print(os.lseek(fd, 0, os.SEEK_CUR), os.fstat(other).st_size)
    os.close(fd)
    print(os.fstat(other).st_size, os.pread(other, 100, 0))
    os.close(other)


def archives(path):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("one", "1" * 100)
    with zipfile.ZipFile(path, "a") as z:
        z.writestr("two", "2" * 100)
        z.writestr("three", "3" * 100)
    with zipfile.ZipFile(path) as z:
        print(z.testzip(), [(i.filename, i.file_size) for i in z.infolist()])
    os.unlink(path)
    for i in range(3):
        with tarfile.open(path, "a") as t:
            t.addfile(tarfile.TarInfo(f"n{i}"))
    with tarfile.open(path) as t:
        print(t.getnames())
    os.unlink(path)


def made_by_reader(path):
    """As flock(1) opens its file."""
    fd = os.open(path, os.O_RDONLY | os.O_CREAT)
    print(os.stat(path).st_size, os.listdir(os.path.dirname(path)).count(os.path.basename(path)))
    os.close(fd)


def listed_while_made(path):
    directory = path + ".d"
    os.mkdir(directory)
    early = os.open(directory, os.O_RDONLY)
    fd = os.open(directory + "/new", os.O_WRONLY | os.O_CREAT)
    os.listdir(early)
    os.listdir(directory)
    os.close(fd)
    print(os.listdir(directory), os.listdir(early))
    os.close(early)
    os.unlink(directory + "/new")
    os.rmdir(directory)


def truncate_new_append(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"abc")
    os.ftruncate(fd, 5)
    os.write(fd, b"def")
    os.close(fd)


def truncated_append(path):
    put(path, b"old text")
    fd = os.open(path, os.O_RDWR | os.O_TRUNC | os.O_APPEND)
    os.write(fd, b"new")
    print(os.lseek(fd, 0, os.SEEK_CUR), os.pread(fd, 10, 0))
    os.close(fd)


def unlinked(path):
    """As tmpfile() does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.unlink(path)
    print(os.write(fd, b"nameless"), os.pread(fd, 10, 0), os.fstat(fd).st_size)
    os.close(fd)


SCENES = (seek_end, w_plus, fstat_write, fstat_append, duplicate, archives, made_by_reader, listed_while_made,
          truncate_new_append, truncated_append, unlinked)


def posix(directory):
    for scene in SCENES:
        show(directory, scene)


def show(directory, scene):
    path = os.path.join(directory, scene.__name__)
    print(scene.__name__)
    scene(path)
    if os.path.exists(path):
        print(os.stat(path).st_size, get(path))


def truncated(directory):
    show(directory, fstat_truncated)


def appended(directory):
    show(directory, read_appended)


def truncated_append(directory):
    show(directory, append_truncate)


MODES = [os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC,
         os.O_RDWR | os.O_APPEND, os.O_WRONLY | os.O_APPEND]


def step(draw, fd, append):
    """One random call on fd, and what it returns."""
    names = ["write", "pwrite", "read", "pread", "end", "set", "fstat", "fsync"]
    call = draw.choice(names if append else names + ["truncate"])
    at, size = draw.randrange(40), draw.randrange(1, 12)
    text = bytes(draw.choices(b"abcdefgh", k=size))
    calls = {
        "write": (os.write, fd, text),
        "pwrite": (os.pwrite, fd, text, at),
        "read": (os.read, fd, size),
        "pread": (os.pread, fd, size, at),
        "end": (os.lseek, fd, 0, os.SEEK_END),
        "set": (os.lseek, fd, at, os.SEEK_SET),
        "fstat": (lambda: os.fstat(fd).st_size,),
        "truncate": (os.ftruncate, fd, at),
        "fsync": (os.fsync, fd),
    }
    try:
        return call, calls[call][0](*calls[call][1:])
    except OSError as e:
        return call, errno.errorcode[e.errno]


def programs(directory, first, last):
    """Random programs, each with one descriptor and its copies; a program is a line."""
    path = os.path.join(directory, "random")
    for seed in range(int(first), int(last) + 1):
        draw = random.Random(seed)
        mode = draw.choice(MODES)
        append = mode & os.O_APPEND
        put(path, b"0123456789abcdef"[: draw.randrange(16)])
        fds = [os.open(path, mode | os.O_CREAT)]
        done = [step(draw, fds[0], append) for _ in range(draw.randrange(1, 12))]
        if draw.randrange(4) == 0:
            fds.append(os.dup(fds[0]))
            done += [step(draw, draw.choice(fds), append) for _ in range(3)]
        for fd in fds:
            os.close(fd)
        print(seed, oct(mode), done, os.stat(path).st_size, get(path))


def append_truncate(path):
    """Cut to nothing, as programs that keep their log open do; and what is written then."""
    put(path, b"old lines")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b", more")
    say("ftruncate", os.ftruncate, fd, 3)
    os.write(fd, b" and new")
    say("ftruncate", os.ftruncate, fd, 20)
    os.close(fd)
    print(get(path))


def stat_by_another(path):
    """Size and time, as another process sees them: who writes may be shown the draft."""
    said = subprocess.run(["stat", "-c", "%s %.9Y", path], check=True, capture_output=True, text=True)
    size, mtime = said.stdout.split()
    return int(size), int(mtime.replace(".", ""))


def times(path):
    """A write moves the time that the descriptor shows, and the close that of the name."""
    put(path, b"old")
    before = os.stat(path).st_mtime_ns
    time.sleep(0.02)
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"new")
    assert os.fstat(fd).st_mtime_ns > before, "fstat shows the time of before the write"
    assert stat_by_another(path)[1] == before, "stat shows the time of a draft"
    os.close(fd)
    after = os.stat(path).st_mtime_ns
    assert after > before, "stat shows the time of before the write"
    assert stat_by_another(path)[1] == after


def both_sizes(path):
    """fstat is the draft's, another's stat the tree's, in whatever order they are asked."""
    put(path, b"old text")
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    for i in range(1, 6):
        os.write(fd, b"x")
        sizes = os.fstat(fd).st_size, stat_by_another(path)[0], os.fstat(fd).st_size
        print(*sizes, len(get(path)))
    os.close(fd)
    print(os.stat(path).st_size)


# ---- Two descriptors of one process ----


def second(path, mode):
    """Of two descriptors the written one is closed: its content is there at once, 30 times."""
    for i in range(30):
        put(path, b"a")
        with open(path, "r+b") as f, open(path, mode) as g:
            g.seek(100)
            g.write(b"z")
            g.close()
            there = len(get(path)), os.stat(path).st_size
        expected = 2 if mode == "ab" else 101
        if there != (expected, expected):
            sys.exit(f"{i}: read and stat say {there} behind the close, not {expected}")


def second_error(path, node):
    """... or its close says that it was not committed; the other has nothing to say."""
    put(path, b"old")
    keep = os.open(path, os.O_RDWR)
    fd = os.open(path, os.O_RDWR)
    os.write(fd, b"lost")
    subprocess.run(["zabctl", "set", node, "by another"], check=True)
    say("close", os.close, fd)
    say("close", os.close, keep)


def second_copy(path):
    """A copy of the written descriptor is still there at the first close: nothing yet."""
    put(path, b"old")
    keep = os.open(path, os.O_RDWR)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    copy = os.dup(fd)
    os.write(fd, b"one ")
    os.close(fd)
    print(get(path))
    os.write(copy, b"two")
    os.close(copy)
    print(get(path))
    os.close(keep)


# ---- A draft that meets an outage ----


def say(name, call, *args):
    try:
        call(*args)
        print(name, "ok", flush=True)
    except OSError as e:
        print(name, errno.errorcode[e.errno], flush=True)


def child():
    """Its exit closes its copies."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def on_command(path, commands):
    """Writes; then a line of the pipe is what to do next, until it is `close`. After each, a line
    of output."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    say("write", os.write, fd, b"written before\n")
    calls = {
        "child": (child,),
        "write": (os.write, fd, b"written later\n"),
        "fsync": (os.fsync, fd),
        "close": (os.close, fd),
    }
    with open(commands) as lines:
        for line in lines:
            say(line.strip(), *calls[line.strip()])
            if line.strip() == "close":
                break


# ---- What is too large, and what takes long ----


def too_large(path, flags):
    """3 MB in pieces, to the first error; then the close."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, flags))
    error = "none"
    try:
        for _ in range(300):
            os.write(fd, bytes(10000))
    except OSError as e:
        error = errno.errorcode[e.errno]
    print("write", error)
    say("close", os.close, fd)


def exactly(path, size):
    """So many bytes come back; or the error's name and text."""
    data = b"%07d\n" % 1234567 * (int(size) // 8 + 1)
    data = data[: int(size)]
    try:
        with open(path, "wb", buffering=0) as f:
            left = memoryview(data)
            while left:
                left = left[f.write(left) :]
    except OSError as e:
        print(errno.errorcode[e.errno], e.strerror)
        return
    print("ok" if get(path) == data else "other content")


def open_many(count):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count + 100, 1024), hard))
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]


def close_times(path, rounds):
    took = []
    for _ in range(rounds):
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        os.write(fd, b"x")
        start = time.monotonic()
        os.close(fd)
        took.append(time.monotonic() - start)
    return took


def weighted_median(took):
    """Half of the time was spent in what took at least so long: a stall counts with its length."""
    left = sum(took) / 2
    for one in sorted(took):
        left -= one
        if left <= 0:
            return one


def read_beside(path, start, stop, out):
    """From the byte on start until stop is there; tells out of the first read, and at the end."""
    os.read(start, 1)
    took = []
    while not took or not os.path.exists(stop):
        before = time.monotonic()
        get(path)
        took.append(time.monotonic() - before)
        if len(took) == 1:
            os.write(out, b"started\n")
    os.write(out, b"%f\n" % weighted_median(took))


def neighbour(*args):
    """A process that reads, and has none of the descriptors that are opened later."""
    pid = os.fork()
    if pid == 0:
        try:
            read_beside(*args)
        finally:
            os._exit(0)
    return pid


def beside(path, status, stop, descriptors):
    """What a close takes with so many other descriptors, and another process's read, in ms."""
    answers, out = os.pipe()
    start, go = os.pipe()
    pid = neighbour(status, start, stop, out)
    os.close(out)
    others = open_many(descriptors)
    with open(answers) as lines:
        os.write(go, b"x")
        assert lines.readline() == "started\n"
        closes = statistics.median(close_times(path, 30))
        put(stop, b"")
        reads = float(lines.readline())
    os.waitpid(pid, 0)
    for fd in others + [start, go]:
        os.close(fd)
    os.unlink(stop)
    return closes * 1000, reads * 1000


def many_descriptors(path, status, stop, count):
    """Closes, and another's reads, take about as long as without them."""
    put(path, b"x")
    few = beside(path, status, stop, 0)
    many = beside(path, status, stop, int(count))
    for name, one, other in zip(("close", "read by another"), few, many):
        print(f"{name}: {one:.2f} ms, with {count} descriptors {other:.2f} ms")
    for one, other in zip(few, many):
        if other > 8 * one + 8:
            sys.exit("many times slower")


def many_one_commit(path, count):
    """A child's exit in between, as in { echo a; /bin/echo b; } >f, in a process with many descriptors."""
    others = open_many(int(count))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert fd > others[-1]
    os.write(fd, b"a")
    child()
    os.write(fd, b"b")
    os.close(fd)


def main():
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])


main()
