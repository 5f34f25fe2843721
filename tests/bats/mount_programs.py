# SPDX-License-Identifier: GPL-3.0-or-later
# Random programs of system calls: what each call gives on a mount, on a local directory, and on the
# simulator's model of the kernel over the mount's core. For mount_programs.bats.
#
#   compare LOCAL MOUNT SIM FIRST LAST   the programs of these seeds; the local directory is a tmpfs
#   same MOUNT OTHER                     both, of one tree, show the same names and contents
#   show LOCAL MOUNT SIM SEED            one of them, with what each call gives
#
# A program is a list of lines, `call name=value ...`, as tests/sim/mount_call.c takes them. Descriptors
# have the numbers that the program gives them.
#
# The mount and the model must give the same always. The local directory must give the same up to the
# first call that KNOWN is about: from there on a program's tmpfs and mount go their own ways. Every
# other program keeps away from such calls, and is compared to its end.
import ctypes
import errno
import fcntl
import itertools
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter

NOREPLACE, EXCHANGE = 1, 2
NO_FD = 1000
LIBC = ctypes.CDLL(None, use_errno=True)


# ---- A call on a real file system ----


def parse(line):
    name, *fields = line.split()
    return name, dict(field.split("=") for field in fields)


def tell_bytes(data):
    """3a2.: three times a, two zeros."""
    runs = ((len(list(run)), byte) for byte, run in itertools.groupby(data))
    return "".join(f"{n}{chr(byte) if byte else '.'}" for n, byte in runs)


def tell_stat(st):
    return "directory" if stat.S_ISDIR(st.st_mode) else f"file {st.st_size} {st.st_nlink}"


def renameat2(old, new, flags):
    at_fdcwd = -100
    if LIBC.renameat2(at_fdcwd, old.encode(), at_fdcwd, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "")


def rewind(fd):
    if fd != NO_FD and stat.S_ISDIR(os.fstat(fd).st_mode):
        os.lseek(fd, 0, os.SEEK_SET)


def getdents(fd):
    """Not os.listdir, which takes ENOENT for the end."""
    buffer = ctypes.create_string_buffer(4096)
    size = LIBC.getdents64(fd, buffer, len(buffer))
    if size < 0:
        raise OSError(ctypes.get_errno(), "")
    return buffer.raw[:size]


def names_of(data):
    while data:
        length = int.from_bytes(data[16:18], "little")
        yield data[19:length].split(b"\0")[0].decode()
        data = data[length:]


class Process:
    """The calls of one program, below a directory."""

    def __init__(self, top):
        self.top = top
        self.fds = {}

    def run(self, line):
        name, c = parse(line)
        try:
            return str(getattr(self, "do_" + name)(c))
        except OSError as e:
            return errno.errorcode[e.errno]

    def end(self):
        for fd in self.fds.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.fds = {}

    def path(self, c, name="path"):
        return os.path.join(self.top, c[name])

    def fd(self, c):
        return self.fds.get(int(c["fd"]), NO_FD)

    def place(self, n, fd):
        """Where calls went otherwise than on the local directory, its number may be taken."""
        if int(n) in self.fds:
            os.close(self.fds[int(n)])
        self.fds[int(n)] = fd

    def do_open(self, c):
        self.place(c["fd"], os.open(self.path(c), int(c["flags"]), 0o666))
        return 0

    def do_close(self, c):
        os.close(self.fds.pop(int(c["fd"]), NO_FD))
        return 0

    def do_dup(self, c):
        self.place(c["offset"], os.dup(self.fd(c)))
        return c["offset"]

    def do_read(self, c):
        if "offset" in c:
            return tell_bytes(os.pread(self.fd(c), int(c["size"]), int(c["offset"])))
        return tell_bytes(os.read(self.fd(c), int(c["size"])))

    def do_write(self, c):
        data = c["byte"].encode() * int(c["size"])
        if "offset" in c:
            return os.pwrite(self.fd(c), data, int(c["offset"]))
        return os.write(self.fd(c), data)

    def do_lseek(self, c):
        return os.lseek(self.fd(c), int(c["offset"]), int(c["whence"]))

    def do_fstat(self, c):
        return tell_stat(os.fstat(self.fd(c)))

    def do_stat(self, c):
        return tell_stat(os.stat(self.path(c)))

    def do_ftruncate(self, c):
        os.ftruncate(self.fd(c), int(c["size"]))
        return 0

    def do_truncate(self, c):
        os.truncate(self.path(c), int(c["size"]))
        return 0

    def do_fsync(self, c):
        os.fsync(self.fd(c))
        return 0

    def do_access(self, c):
        """Not os.access, which tells no errno."""
        if LIBC.access(self.path(c).encode(), int(c["mask"])) != 0:
            raise OSError(ctypes.get_errno(), "")
        return 0

    def do_getdents(self, c):
        fd, names = self.fd(c), []
        rewind(fd)
        while data := getdents(fd):
            names += names_of(data)
        return " ".join(sorted(names))

    def do_mkdir(self, c):
        os.mkdir(self.path(c), 0o777)
        return 0

    def do_rmdir(self, c):
        os.rmdir(self.path(c))
        return 0

    def do_unlink(self, c):
        os.unlink(self.path(c))
        return 0

    def do_rename(self, c):
        renameat2(self.path(c), self.path(c, "to"), int(c["flags"]))
        return 0


def run_here(top, lines):
    p = Process(top)
    try:
        return [p.run(line) for line in lines]
    finally:
        p.end()


# ---- The same on the model ----


def run_model(sim, programs, scratch):
    """What the calls of all programs give there; one script, so that there is one start."""
    with open(scratch, "w") as f:
        f.write("mounts\n- mount 0\n- run 300\n")
        for n, lines in enumerate(programs):
            for line in lines:
                f.write(f"on 0.{n % 8} call {line}\nwait\n")
            for fd in SLOTS:  # what was open there only
                f.write(f"- on 0.{n % 8} call close fd={fd}\n- wait\n")
    done = subprocess.run([sim, "--script", scratch, "--rewrite"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{sim} --script {scratch}: status {done.returncode}\n{done.stderr[-3000:]}")
    said = iter(re.findall(r"^  \[ *\d+\] = (.*)$", done.stdout, re.M))
    return [[errno_name(next(said)) for _ in lines] for lines in programs]


def errno_name(said):
    return errno.errorcode[-int(said)] if re.fullmatch(r"-\d+", said) else said


# ---- What is known to differ ----


class File:
    """What a descriptor and its copies refer to."""

    numbers = itertools.count()

    def __init__(self, fd, writes, version, draft, new):
        self.number = next(self.numbers)
        self.fd = fd
        self.writes = writes
        self.version = version
        self.draft = draft  # something waits for its commit
        self.new = new  # its name, too

    @property
    def position(self):
        append = fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_APPEND
        return self.stat.st_size if append else os.lseek(self.fd, 0, os.SEEK_CUR)

    @property
    def stat(self):
        return os.fstat(self.fd)

    @property
    def name(self):
        return os.readlink(f"/proc/self/fd/{self.fd}")


def draft_of_another(s, name, c):
    """Its file, or one on its path, has a draft that is another descriptor's."""
    own = s.files.get(c.get("fd")) if name != "open" else None
    inodes = s.inodes(c) | ({own.stat.st_ino} if own else set())
    return any(f.draft and f is not own and f.stat.st_ino in inodes for f in s.open_files())


def new_name_below(s, name, c):
    if name not in ("rmdir", "rename", "getdents"):
        return False
    own = s.files.get(c.get("fd"))
    tops = [own.name] if own else [s.p.path(c, key) for key in ("path", "to") if key in c]
    return any(f.new and f.name.startswith(os.path.abspath(top) + "/") for f in s.open_files() for top in tops)


def other_version(s, name, c):
    own = s.files.get(c.get("fd")) if name != "open" else None
    if not own or name in ("close", "dup", "getdents") or own.stat.st_ino not in s.versions:
        return False
    return own.version != s.versions[own.stat.st_ino]


def gone(s, name, c):
    own = s.files.get(c.get("fd")) if name != "open" else None
    return own is not None and own.stat.st_nlink == 0 and name in ("write", "ftruncate", "fsync", "close")


def too_large(s, name, c):
    """How long it would be, about."""
    size = int(c["size"]) if name in ("write", "truncate", "ftruncate") else 0
    own = s.files.get(c.get("fd"))
    if name == "write" and own:
        size += int(c.get("offset", own.position))
    return size > 1000000


def directory_offset(s, name, c):
    own = s.files.get(c.get("fd"))
    return name == "lseek" and own is not None and stat.S_ISDIR(own.stat.st_mode)


def exchanged_directory(s, name, c):
    paths = [s.p.path(c, key) for key in ("path", "to") if key in c]
    return name == "rename" and int(c["flags"]) == EXCHANGE and any(map(os.path.isdir, paths))


def truncated_reader(s, name, c):
    flags = int(c["flags"]) if name == "open" else os.O_WRONLY
    return flags & os.O_ACCMODE == os.O_RDONLY and flags & os.O_TRUNC != 0


def copied_beside(s, name, c):
    """Open for writing twice, once of them with a copy."""
    own = s.files.get(c.get("fd"))
    inodes = s.inodes(c) if name == "open" and int(c["flags"]) & os.O_ACCMODE else set()
    if name == "dup" and own and own.writes:
        return any(f is not own and f.writes and f.stat.st_ino == own.stat.st_ino for f in s.open_files())
    return any(f.writes and f.stat.st_ino in inodes and s.copies(f) > 1 for f in s.open_files())


def listed_by_earlier(s, name, c):
    """A directory in which a file is new that was made after the directory was opened."""
    own = s.files.get(c.get("fd"))
    inside = own.name + "/" if name == "getdents" and own else None
    return inside is not None and any(
        f.new and f.number > own.number and f.name.startswith(inside) for f in s.open_files())


KNOWN = [
    (draft_of_another, "a draft is its descriptor's until it is closed: others see what was committed"),
    (new_name_below, "a file that O_CREAT made is no entry of its directory before its close"),
    (other_version, "an open file is one version: it shows no other one's changes, and ESTALE refuses to"
     " write over them"),
    (too_large, "EFBIG: a node and its path must fit into a packet"),
    (gone, "what is written to a file without a name has no place to go"),
    (exchanged_directory, "EXDEV: only files are exchanged"),
    (truncated_reader, "POSIX does not say what O_TRUNC does without the right to write; the descriptor keeps"
     " the version that it opened"),
]

# No program makes such calls: what they give on a mount is a matter of time, or of its inode numbers.
NEVER = [
    (copied_beside, "a descriptor's copies are told from another open of the same file by their number only:"
     " the first of those closes may commit a moment later"),
    (listed_by_earlier, "the kernel keeps such a listing, and is told a moment after the file's close to drop it"),
    (directory_offset, "the offsets of a directory are the file system's own"),
]


# ---- Programs ----

PATHS = ["a", "b", "c", "d", "e", "d/a", "d/b", "d/e", "d/e/a", "e/a", "e/b", "d/e/b"]
ACCESS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]
FLAGS = [os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW]
WEIGHTS = {"open": 14, "close": 10, "dup": 2, "read": 6, "pread": 4, "write": 10, "pwrite": 4, "lseek": 5,
           "ftruncate": 3, "truncate": 2, "fstat": 5, "stat": 5, "access": 2, "mkdir": 3, "rmdir": 2,
           "unlink": 3, "rename": 5, "getdents": 2, "list": 3, "fsync": 2}
CALLS = set(WEIGHTS) - {"pread", "pwrite", "list"}
SLOTS = range(3, 9)
LARGE = [70000, 500000, 1040000]  # a WRITE of the kernel's is less than 1 MiB, as its buffer lies in pages


def look(fd, path, *lines):
    return [f"open fd={fd} path={path} flags={os.O_RDONLY}", *lines, f"close fd={fd}"]


class Program:
    """Draws calls, and makes them on the local directory."""

    def __init__(self, seed, top):
        self.draw = random.Random(seed)
        self.avoids = seed % 2 == 0
        self.names = self.draw.sample(PATHS, 4) + ["d/a"]
        self.dir = f"p{seed}"
        self.p = Process(top)
        self.lines, self.said = [], []
        self.known_at, self.known = None, Counter()
        self.byte = itertools.cycle("abcdefghijklmnopqrstuvwxyz")
        self.files = {}  # by descriptor
        self.versions = {}  # by inode

    # What is open.

    def open_files(self):
        return set(self.files.values())

    def copies(self, file):
        return list(self.files.values()).count(file)

    def inodes(self, c):
        """Of all that its paths lead over."""
        found = set()
        for key in ("path", "to"):
            path = self.p.path(c, key) if key in c else ""
            while path.startswith(self.p.top + "/"):
                if os.path.exists(path):
                    found.add(os.stat(path).st_ino)
                path = os.path.dirname(path)
        return found

    def changed(self, inode):
        self.versions[inode] = self.versions.get(inode, 0) + 1
        return self.versions[inode]

    def opened(self, c, was_there):
        flags = int(c["flags"])
        fd = self.p.fds[int(c["fd"])]
        inode = os.fstat(fd).st_ino
        new = not was_there and not flags & os.O_EXCL and flags & os.O_ACCMODE != os.O_RDONLY
        truncated = was_there and flags & os.O_TRUNC != 0
        if not was_there or truncated:
            self.changed(inode)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        self.files[c["fd"]] = File(fd, writes, self.versions.get(inode, 0), new or (truncated and writes), new)

    def follow(self, name, c, was_there):
        """A call that has succeeded."""
        file = self.files.get(c.get("fd"))
        if name == "open":
            self.opened(c, was_there)
        elif name == "dup":
            self.files[c["offset"]] = file
        elif name == "close":
            del self.files[c["fd"]]
            rest = [n for n, other in self.files.items() if other is file]
            if rest:
                file.fd = self.p.fds[int(rest[0])]
        elif name in ("write", "ftruncate"):
            file.draft = True
            file.version = self.changed(file.stat.st_ino)
        elif name == "fsync":
            file.draft = file.new = False
        elif name == "truncate":
            self.changed(os.stat(self.p.path(c)).st_ino)

    # Calls.

    def any_path(self):
        return f"{self.dir}/{self.draw.choice(self.names)}"

    def any_flags(self):
        flags = self.draw.choice(ACCESS)
        for flag in FLAGS:
            rare = flag in (os.O_EXCL, os.O_DIRECTORY, os.O_NOFOLLOW)
            if flag == os.O_TRUNC and not flags & os.O_ACCMODE:
                rare = self.draw.randrange(4) > 0
            if self.draw.randrange(8 if rare else 3) == 0:
                flags |= flag
        return flags

    def any_fd(self):
        if self.p.fds and self.draw.randrange(20):
            return self.draw.choice(sorted(self.p.fds))
        return self.draw.choice(SLOTS)

    def free_fd(self):
        return next((n for n in SLOTS if n not in self.p.fds), None)

    def size(self, most=40):
        return self.draw.randrange(most) if self.draw.randrange(100) else self.draw.choice(LARGE)

    def any_calls(self):
        name = self.draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if name in ("open", "dup", "list") and not self.free_fd():
            name = "close"
        if name == "list":
            return look(self.free_fd(), self.any_path(), f"getdents fd={self.free_fd()}")
        return [self.any_call(name)]

    def any_call(self, name):
        draw, fd, path = self.draw, self.any_fd(), self.any_path()
        free = self.free_fd()
        if name == "open":
            return f"open fd={free} path={path} flags={self.any_flags()}"
        if name == "dup":
            return f"dup fd={fd} offset={free}"
        if name in ("read", "pread"):
            at = f" offset={self.size()}" if name == "pread" else ""
            return f"read fd={fd} size={self.size()}{at}"
        if name in ("write", "pwrite"):
            at = f" offset={self.size()}" if name == "pwrite" else ""
            return f"write fd={fd} size={self.size(12)} byte={next(self.byte)}{at}"
        if name == "lseek":
            whence = draw.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            return f"lseek fd={fd} offset={draw.randrange(-5, 30)} whence={whence}"
        if name == "ftruncate":
            return f"ftruncate fd={fd} size={self.size()}"
        if name == "truncate":
            return f"truncate path={path} size={self.size()}"
        if name == "access":
            return f"access path={path} mask={draw.randrange(8)}"
        if name == "rename":
            return f"rename path={path} to={self.any_path()} flags={draw.choice([0, 0, NOREPLACE, EXCHANGE])}"
        if name in ("close", "fstat", "getdents", "fsync"):
            return f"{name} fd={fd}"
        return f"{name} path={path}"

    def do(self, line, must=False):
        name, c = parse(line)
        if any(rule(self, name, c) for rule, _ in NEVER):
            return False
        known = [rule.__name__ for rule, _ in KNOWN if rule(self, name, c)]
        self.known.update(known)
        if known and self.avoids and not must:
            return False
        if known and self.known_at is None:
            self.known_at = len(self.lines)
        was_there = "path" in c and os.path.exists(self.p.path(c))
        self.lines.append(line)
        self.said.append(self.p.run(line))
        if self.said[-1] not in errno.errorcode.values():
            self.follow(name, c, was_there)
        return True

    def begin(self):
        self.do(f"mkdir path={self.dir}")
        self.do(f"mkdir path={self.dir}/d")
        for path in self.draw.sample(["a", "b", "d/a"], 2):
            self.do(f"open fd=3 path={self.dir}/{path} flags={os.O_WRONLY | os.O_CREAT}")
            self.do(f"write fd=3 size={self.size()} byte={next(self.byte)}")
            self.do("close fd=3")

    def end(self):
        for fd in sorted(self.p.fds):
            self.do(f"close fd={fd}", must=True)
        for path in PATHS:
            self.do(f"stat path={self.dir}/{path}")
            for line in look(3, f"{self.dir}/{path}", "read fd=3 size=1100000", "getdents fd=3"):
                self.do(line)

    def make(self):
        try:
            self.begin()
            left = self.draw.randrange(5, 60)
            while left > 0:
                left -= all([self.do(line) for line in self.any_calls()])
            self.end()
        finally:
            self.p.end()
            shutil.rmtree(os.path.join(self.p.top, self.dir))
        return self


# ---- Comparing ----


def first_difference(one, other):
    return next((i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), None)


def report(program, results, last):
    for i, line in enumerate(program.lines[: last + 1]):
        said = [r[i] for r in results]
        names = ("local", "mount", "model")
        same = len(set(said)) == 1
        print(readable(line), "=", said[0] if same else ", ".join(f"{n}: {x}" for n, x in zip(names, said)))


def readable(line):
    name, c = parse(line)
    flags = [n for n in ("WRONLY", "RDWR", "CREAT", "EXCL", "TRUNC", "APPEND", "DIRECTORY", "NOFOLLOW")
             if name == "open" and int(c["flags"]) & getattr(os, "O_" + n)]
    return f"{line} ({' '.join(flags)})" if flags else line


def run_all(local, mount, sim, seeds):
    programs = [Program(seed, os.path.abspath(local)).make() for seed in seeds]
    real = [run_here(mount, p.lines) for p in programs]
    model = run_model(sim, [p.lines for p in programs], os.path.join(local, "script"))
    return zip(programs, real, model)


def difference(program, real, model):
    """Where the mount and the model differ, or the mount and the local directory without a reason."""
    at = first_difference(real, model)
    other = first_difference(program.said, real)
    if other is not None and (program.known_at is None or other < program.known_at):
        at = other if at is None else min(at, other)
    return at


def compare(local, mount, sim, first, last):
    seeds = range(int(first), int(last) + 1)
    counts, local_counts, known = Counter(), Counter(), Counter()
    failed = 0
    for seed, (program, real, model) in zip(seeds, run_all(local, mount, sim, seeds)):
        at = difference(program, real, model)
        if at is not None:
            print(f"seed {seed}:")
            report(program, (program.said, real, model), at)
            failed += 1
        kinds = [line.split()[0] for line in program.lines]
        counts.update(kinds)
        local_counts.update(kinds[: program.known_at])
        known.update(program.known)
    for name in sorted(CALLS):
        print(f"{name}: {counts[name]} calls on mount and model, {local_counts[name]} with the local directory's")
    for rule, _ in KNOWN:
        print(f"known to differ, {rule.__name__}: {known[rule.__name__]} calls")
    if failed:
        sys.exit(f"{failed} programs differ")
    missing = [n for n in CALLS if local_counts[n] == 0] + [r.__name__ for r, _ in KNOWN if known[r.__name__] == 0]
    if missing:
        sys.exit(f"never: {' '.join(missing)}")


def snapshot(top):
    """All names below it, and what is in the files."""
    found = {}
    for directory, dirs, files in os.walk(top):
        for name in dirs:
            found[os.path.relpath(os.path.join(directory, name), top)] = "directory"
        for name in files:
            with open(os.path.join(directory, name), "rb") as f:
                found[os.path.relpath(f.name, top)] = tell_bytes(f.read())
    return found


def same(mount, other, seconds=10):
    """The other one hears of what was done by events, a little later."""
    deadline = time.monotonic() + seconds
    while (one := snapshot(mount)) != (two := snapshot(other)):
        if time.monotonic() > deadline:
            for name in sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name)):
                print(name, one.get(name), two.get(name))
            sys.exit("the two mounts differ")
        time.sleep(0.1)
    print(len(one), "names")


def show(local, mount, sim, seed):
    for program, real, model in run_all(local, mount, sim, [int(seed)]):
        report(program, (program.said, real, model), len(real) - 1)
        print("known to differ from call", program.known_at, *program.known)


def main():
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])


main()
