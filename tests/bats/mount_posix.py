# SPDX-License-Identifier: GPL-3.0-or-later
# What each system call says under each condition: on a mount what it says on a tmpfs, but for what
# DIFFERS lists. For mount_posix.bats.
#
#   compare LOCAL MOUNT [identity]   tables of calls and conditions; as another user too, if the mount has
#                                    an identity, so that its modes are kept
#   read-only MOUNT                  what is there before: a file f, a directory d
#
# Not covered: ELOOP, since there are no symbolic links; ETXTBSY and EFAULT.
import ctypes
import errno
import fnmatch
import os
import shutil
import stat
import sys
import tempfile
from collections import Counter

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOBODY = 65534
FLAGS = {"plain": 0, "noreplace": 1, "exchange": 2}


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), "")


def said_by(call, *args):
    try:
        call(*args)
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]


# ---- Calls on one path ----


def opens(flags):
    return lambda path: os.close(os.open(path, flags, 0o666))


def put(path, text="text"):
    with open(path, "w") as f:
        f.write(text)


def on_open(flags, call):
    def run(path):
        fd = os.open(path, flags)
        try:
            call(fd)
        finally:
            os.close(fd)

    return run


CALLS = {
    "open r": opens(os.O_RDONLY),
    "open w": opens(os.O_WRONLY),
    "open rw": opens(os.O_RDWR),
    "open w trunc": opens(os.O_WRONLY | os.O_TRUNC),
    "open directory": opens(os.O_DIRECTORY),
    "open nofollow": opens(os.O_NOFOLLOW),
    "open path": opens(os.O_PATH),
    "open tmpfile": opens(os.O_TMPFILE | os.O_RDWR),
    "creat": opens(os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    "creat r": opens(os.O_RDONLY | os.O_CREAT),
    "creat excl": opens(os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "creat directory": opens(os.O_RDONLY | os.O_CREAT | os.O_DIRECTORY),
    "stat": os.stat,
    "access r": lambda path: os.access(path, os.R_OK) or os.stat(path),
    "readlink": os.readlink,
    "listdir": os.listdir,
    "mkdir": os.mkdir,
    "rmdir": os.rmdir,
    "unlink": os.unlink,
    "truncate 0": lambda path: os.truncate(path, 0),
    "truncate 100": lambda path: os.truncate(path, 100),
    "truncate -1": lambda path: os.truncate(path, -1),
    "truncate 2 MiB": lambda path: os.truncate(path, 2 << 20),
    "ftruncate": on_open(os.O_RDWR, lambda fd: os.ftruncate(fd, 3)),
    "ftruncate -1": on_open(os.O_RDWR, lambda fd: os.ftruncate(fd, -1)),
    "ftruncate 2 MiB": on_open(os.O_RDWR, lambda fd: os.ftruncate(fd, 2 << 20)),
    "ftruncate of a reader": on_open(os.O_RDONLY, lambda fd: os.ftruncate(fd, 3)),
    "write of a reader": on_open(os.O_RDONLY, lambda fd: os.write(fd, b"x")),
    "read of a writer": on_open(os.O_WRONLY, lambda fd: os.read(fd, 1)),
    "fsync": on_open(os.O_RDONLY, os.fsync),
    "chmod 0666": lambda path: os.chmod(path, 0o666),
    "chmod 0777": lambda path: os.chmod(path, 0o777),
    "chmod 0640": lambda path: os.chmod(path, 0o640),
    "chmod 0444": lambda path: os.chmod(path, 0o444),
    "chown": lambda path: os.chown(path, 1, 1),
    "utimensat now": os.utime,
    "utimensat": lambda path: os.utime(path, (1, 1)),
    "link from": lambda path: os.link(path, "linked"),
    "link to": lambda path: os.link("f", path),
    "symlink": lambda path: os.symlink("f", path),
    "mkfifo": os.mkfifo,
    "mknod": lambda path: os.mknod(path, 0o666 | stat.S_IFREG),
    "mknod device": lambda path: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
    "statvfs": os.statvfs,
}

PATHS = {
    "a file": "f",
    "a directory": "d",
    "a full directory": "full",
    "nothing": "none",
    "in nothing": "none/x",
    "in a file": "f/x",
    "a file with a slash": "f/",
    "nothing with a slash": "none/",
    "a directory with a slash": "d/",
    "dot": "d/.",
    "two dots": "d/..",
    "the empty path": "",
    "a new name of 255": "n" * 255,
    "a name of 256": "n" * 256,
    "in a name of 256": "n" * 256 + "/x",
    "a path of 4095": "d/../" * 818 + "none3",
    "a path of 4096": "d/../" * 819 + "f",
}


def make(top):
    put(os.path.join(top, "f"))
    os.mkdir(os.path.join(top, "d"))
    os.mkdir(os.path.join(top, "full"))
    put(os.path.join(top, "full", "x"))


def in_fresh(parent, call, *args):
    """Below it, with what make() makes there, and with what is there after it."""
    top = tempfile.mkdtemp(dir=parent)
    make(top)
    os.chdir(top)
    try:
        said = said_by(call, *args)
        kinds = ("directory" if os.path.isdir(name) else "file" for name in sorted(os.listdir(".")))
        names = (name if len(name) < 20 else "n..." for name in sorted(os.listdir(".")))
        return said, " ".join(f"{name}:{kind}" for name, kind in zip(names, kinds))
    finally:
        os.chdir(parent)
        shutil.rmtree(top)


def of_paths(parent):
    return {f"{call}: {condition}": in_fresh(parent, CALLS[call], path)
            for call in CALLS for condition, path in PATHS.items()}


# ---- Renames ----

MOVES = {"a file": "f", "a directory": "d", "a full directory": "full", "nothing": "none", "in nothing": "none/x",
         "in a file": "f/x", "in a directory": "full/x", "new in a directory": "d/new", "below": "full/d/x",
         "a name of 256": "n" * 256, "dot": "d/.", "two dots": "d/..", "a file with a slash": "f/",
         "nothing with a slash": "none/", "the empty path": ""}


def of_renames(parent):
    return {f"rename {how}: {one} to {other}": in_fresh(parent, renameat2, old, new, flags)
            for how, flags in FLAGS.items() for one, old in MOVES.items() for other, new in MOVES.items()}


def of_borders(parent, elsewhere):
    """Between file systems, and of the mount point itself."""
    out = os.path.join(elsewhere, "other")
    put(out)
    root = mount_point(parent)
    return {
        "rename: to elsewhere": in_fresh(parent, os.rename, "f", out),
        "rename: from elsewhere": in_fresh(parent, os.rename, out, "g"),
        "link: to elsewhere": in_fresh(parent, os.link, "f", out + "2"),
        "link: from elsewhere": in_fresh(parent, os.link, out, "g"),
        "rmdir: the mount point": in_fresh(parent, os.rmdir, root),
        "rename: the mount point": in_fresh(parent, os.rename, root, "x"),
        "rename: to the mount point": in_fresh(parent, os.rename, "d", root),
        "mkdir: the mount point": in_fresh(parent, os.mkdir, root),
    }


def mount_point(path):
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


# ---- Another user ----


def as_nobody(call, path):
    """What it says there, in a child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.write(write, said_by(call, path).encode())
        os._exit(0)
    os.close(write)
    with open(read) as f:
        said = f.read()
    os.waitpid(pid, 0)
    return said


# What chmod is asked for, and what a mount with an identity shows then: an ACL of the identity and of
# world:anyone has no group, takes no right from its owner, and lets who lists a directory also look up
# names in it.
FILE_MODES = {0o666: 0o666, 0o644: 0o644, 0o622: 0o622, 0o600: 0o600, 0o640: 0o600, 0o444: 0o644, 0o000: 0o600}
DIR_MODES = {0o777: 0o777, 0o755: 0o755, 0o733: 0o733, 0o700: 0o700, 0o750: 0o700, 0o711: 0o700, 0o744: 0o755,
             0o555: 0o755}
AS_NOBODY = {
    "file": ["open r", "open w", "open rw", "open w trunc", "stat", "truncate 0", "chmod 0666", "chown",
             "utimensat", "utimensat now", "unlink"],
    "directory": ["listdir", "stat", "rmdir", "chmod 0777", "chown", "utimensat"],
    "in it": ["open r", "stat", "creat", "unlink", "utimensat"],
    "new in it": ["creat", "creat excl", "mkdir", "mkfifo", "symlink", "stat"],
}


def with_mode(parent, kind, mode, call):
    """What another user may do with it, and the mode that it has."""
    top = tempfile.mkdtemp(dir=parent)
    os.chmod(top, 0o755)
    make(top)
    os.chmod(os.path.join(top, "full/x"), 0o644)
    name = os.path.join(top, "f" if kind == "file" else "full")
    os.chmod(name, mode)
    path = {"in it": "full/x", "new in it": "full/new"}.get(kind)
    said = as_nobody(CALLS[call], os.path.join(top, path) if path else name)
    shown = stat.S_IMODE(os.stat(name).st_mode)
    shutil.rmtree(top)
    return said, f"{shown:04o}"


def of_modes(local, mount):
    """The mode that a mount shows is what holds there, as it does on tmpfs."""
    for kind, calls in AS_NOBODY.items():
        for mode, shown in (FILE_MODES if kind == "file" else DIR_MODES).items():
            for call in calls:
                key = f"nobody {call}: {kind} {mode:04o}"
                yield key, with_mode(local, kind, shown, call), with_mode(mount, kind, mode, call)


# ---- What differs ----

LINKS = "ZooKeeper has no such thing"
DIFFERS = [  # what is done, what tmpfs says, what the mount says, and why
    ("*name of 256*", "ENAMETOOLONG", "ENOENT", "another client may have made such a name, and it can be read"),
    ("rename *to a name of 256", "ENAMETOOLONG", "ENOTDIR", "the same: that it is too long is found last"),
    ("symlink:*256", "ENAMETOOLONG", "EPERM", LINKS),
    ("mkfifo:*256", "ENAMETOOLONG", "EPERM", LINKS),
    ("mknod device:*256", "ENAMETOOLONG", "EPERM", LINKS),
    ("link to:*256", "ENAMETOOLONG", "EPERM", LINKS),
    ("symlink:*", "ok", "EPERM", LINKS),
    ("mkfifo:*", "ok", "EPERM", LINKS),
    ("mknod device:*", "ok", "EPERM", LINKS),
    ("link *", "ok", "EPERM", LINKS),
    ("nobody symlink:*", "ok", "EPERM", LINKS),
    ("nobody mkfifo:*", "ok", "EPERM", LINKS),
    ("open tmpfile:*", "ok", "ENOTSUP", "a file without a name has no place in the tree"),
    ("*truncate 2 MiB: a file", "ok", "EFBIG", "a node and its path must fit into a packet"),
    ("rename exchange:*director*", "ok", "EXDEV", "only files are exchanged"),
    ("chmod 0640:*", "ok", "EPERM", "without an identity it cannot be enforced, and would hide something"),
]


def reason(key, local, mount):
    for rule in DIFFERS:
        pattern, says, there, _ = rule
        if fnmatch.fnmatchcase(key, pattern) and (local[0], mount[0]) == (says, there):
            return rule
    return None


def of_tables(local, mount):
    for table in (of_paths, of_renames):
        here, there = table(local), table(mount)
        yield from ((key, here[key], there[key]) for key in here)
    here, there = of_borders(local, mount), of_borders(mount, local)
    yield from ((key, here[key], there[key]) for key in here)


def compare(local, mount, identity=""):
    os.umask(0)
    counts, used, failed = Counter(), Counter(), 0
    for key, here, there in [*of_tables(local, mount), *(of_modes(local, mount) if identity else [])]:
        counts[key.split(":")[0]] += 1
        rule = reason(key, here, there)
        used[rule] += here != there
        if here != there and not rule:
            failed += 1
            print(f"{key}: {' '.join(here)}; on the mount {' '.join(there)}")
    for name, n in sorted(counts.items()):
        print(f"{name}: {n} conditions")
    for rule in DIFFERS:
        print(f"differs {used[rule]} times, {rule[1]} or {rule[2]}: {rule[0]} ({rule[3]})")
    sys.exit(f"{failed} differ without a reason" if failed else 0)


# ---- Read-only ----

READ_ONLY = {"open r": "ok", "open w": "EROFS", "open rw": "EROFS", "open w trunc": "EROFS", "stat": "ok",
             "creat excl": "EEXIST", "mkdir": "EEXIST", "unlink": "EROFS", "truncate 0": "EROFS",
             "chmod 0666": "EROFS", "chown": "EROFS", "utimensat": "EROFS", "utimensat now": "EROFS",
             "link to": "EEXIST", "symlink": "EEXIST", "mkfifo": "EEXIST", "statvfs": "ok"}
READ_ONLY_NEW = {"creat": "EROFS", "creat excl": "EROFS", "creat r": "EROFS", "mkdir": "EROFS", "mknod": "EROFS",
                 "symlink": "EPERM", "mkfifo": "EPERM"}
READ_ONLY_DIRECTORY = {"rmdir": "EROFS", "listdir": "ok", "chmod 0777": "EROFS"}
READ_ONLY_RENAMES = {("f", "new"): "EROFS", ("d", "new"): "EROFS", ("f", "d"): "EISDIR", ("none", "new"): "ENOENT"}


def read_only(mount):
    os.chdir(mount)
    tables = {"f": READ_ONLY, "none": READ_ONLY_NEW, "d": READ_ONLY_DIRECTORY}
    results = [(f"{call} {path}", said_by(CALLS[call], path), must)
               for path, table in tables.items() for call, must in table.items()]
    results += [(f"rename {old} {new}", said_by(os.rename, old, new), must)
                for (old, new), must in READ_ONLY_RENAMES.items()]
    for what, said, must in results:
        print(f"{what}: {said}" + (f", must be {must}" if said != must else ""))
    sys.exit(any(said != must for _, said, must in results))


def main():
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])


main()
