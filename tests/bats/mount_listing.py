# SPDX-License-Identifier: GPL-3.0-or-later
# Listings by the C library's own calls; for mount_listing.bats.
import ctypes
import os
import sys
import time


class Dirent(ctypes.Structure):
    _fields_ = [
        ("ino", ctypes.c_uint64),
        ("off", ctypes.c_int64),
        ("reclen", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    ]


libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
for call in libc.readdir, libc.closedir, libc.telldir, libc.dirfd:
    call.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    """A directory that is being read."""

    def __init__(self, path):
        self.dir = libc.opendir(path.encode())
        if not self.dir:
            raise OSError(ctypes.get_errno(), "opendir")

    def read(self, count=None):
        """The next names: so many, or all."""
        names = []
        while count is None or len(names) < count:
            ctypes.set_errno(0)
            entry = libc.readdir(self.dir)
            if not entry:
                if ctypes.get_errno() != 0:
                    raise OSError(ctypes.get_errno(), "readdir")
                break
            names.append(entry.contents.name.decode())
        return names

    def tell(self):
        return libc.telldir(self.dir)

    def seek(self, place):
        libc.seekdir(self.dir, place)

    def forget(self):
        """The kernel's copy of the listing is dropped, as memory pressure does at any time."""
        os.posix_fadvise(libc.dirfd(self.dir), 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self):
        libc.closedir(self.dir)


def compare(names, expected):
    """Each of the expected names once."""
    twice = len(names) - len(set(names))
    missing = len(set(expected) - set(names))
    if twice or missing:
        sys.exit(f"{len(names)} names: {twice} for a second time, {missing} are missing")


def seek(path):
    """Each place of a stream is that place of another one."""
    first = Stream(path)
    places, names = [], []
    while True:
        places.append(first.tell())
        name = first.read(1)
        if not name:
            break
        names += name
    first.close()
    for i in range(0, len(names), 61):
        stream = Stream(path)
        stream.forget()
        stream.seek(places[i])
        rest = stream.read()
        stream.close()
        if rest != names[i:]:
            sys.exit(f"at {i} there are {len(rest)}, first {rest[0][-9:]}, not {names[i][-9:]}")


def back_and_forth(path):
    """One stream, to places of its own."""
    stream = Stream(path)
    names = stream.read(100)
    stream.forget()
    place = stream.tell()
    rest = stream.read()
    stream.seek(place)
    if stream.read() != rest:
        sys.exit("another rest at the second time")
    libc.rewinddir(ctypes.c_void_p(stream.dir))
    if stream.read() != names + rest:
        sys.exit("another listing after rewinddir")
    stream.close()


def forgotten(path):
    """The kernel's copy goes in the middle of a listing that it had whole."""
    whole = Stream(path)
    expected = whole.read()
    whole.close()
    for part in 1, 10, len(expected) // 4, len(expected) - 1:
        stream = Stream(path)
        names = stream.read(part)
        stream.forget()
        names += stream.read()
        stream.close()
        compare(names, expected)


def changed(path, other):
    """While it is read, others remove what was read, and add: what was there throughout comes once."""
    stream = Stream(path)
    names = stream.read(len(os.listdir(other)) // 2)
    gone = [name for name in names if name[0] != "."][:100]
    for name in gone:
        os.unlink(os.path.join(other, name))
    added = [f"{name}-added" for name in gone]
    for name in added:
        with open(os.path.join(other, name), "w"):
            pass
    deadline = time.monotonic() + 10
    while os.path.exists(os.path.join(path, gone[-1])) or not os.path.exists(os.path.join(path, added[-1])):
        assert time.monotonic() < deadline, "the changes do not arrive"
        time.sleep(0.01)
    stream.forget()
    names += stream.read()
    stream.close()
    compare(names, set(os.listdir(other)) - set(added))


def main():
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])


main()
