# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that goes on from server to server, with many requests on the way, and that checks what
each answer must keep: replies in order, zxids that never go back, no expiry before its time."""
import collections
import struct
import time

from servers import Defect
from zk import CREATE, EXISTS, GET_DATA, SET_DATA, CLOSE, Wire, text

MULTI, DELETE = 14, 2
OK, SYSTEM_ERROR, NO_NODE, BAD_VERSION, NODE_EXISTS = 0, -1, -101, -103, -110
ANYONE = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
EPHEMERAL = 1
SESSION_MS = 6000
CLOCK_MS = 1500  # what a new leader, or a follower's late report, may be behind


def create_body(path, data=b"", flags=0):
    return text(path.encode()) + text(data) + ANYONE + struct.pack(">i", flags)


def set_body(path, data, version=-1):
    return text(path.encode()) + text(data) + struct.pack(">i", version)


def multi_body(*requests):
    """Of (op, body)."""
    return b"".join(struct.pack(">i?i", op, False, -1) + body for op, body in requests) + \
        struct.pack(">i?i", -1, True, -1)


class Lost(Exception):
    """The connection; what was on the way may have been done or not."""


class Session:
    def __init__(self, hosts, rng, stopping):
        self.hosts, self.rng, self.stopping = hosts, rng, stopping
        self.session, self.password, self.seen = 0, bytes(16), 0
        self.lives = 0     # connections
        self.expired = 0   # sessions
        self.closing = False
        self.sent = collections.deque()
        self.wire = None

    def connect(self):
        """Goes on with the session, or with a new one if that has expired."""
        while True:
            host = self.rng.choice(self.hosts)
            try:
                self.try_connect(host)
                self.lives += 1
                return
            except (OSError, EOFError, struct.error):
                self.disconnect()
                if self.stopping.is_set():
                    raise Lost()
                time.sleep(0.02)

    def try_connect(self, host):
        address, port = host.rsplit(":", 1)
        self.wire = Wire(address=(address, int(port)), timeout=0.5)
        if self.wire.open_session(SESSION_MS, self.session, self.password, self.seen):
            if self.session and self.wire.session != self.session:
                raise Defect(f"{host} answered with another session")
            self.session, self.password = self.wire.session, self.wire.password
            self.heard = time.monotonic()
            self.wire.socket.settimeout(2)
            return
        silent = (time.monotonic() - self.heard) * 1000
        if not self.closing and silent < SESSION_MS - CLOCK_MS:
            raise Defect(f"{host}: session 0x{self.session:x} expired after {silent:.0f} ms")
        self.expired += not self.closing
        self.forget()
        raise EOFError

    def forget(self):
        self.session, self.password, self.closing = 0, bytes(16), False

    def close(self):
        """The session; if the answer does not come it may have ended or not."""
        self.closing = True
        self.call(CLOSE, b"")
        self.forget()

    def disconnect(self):
        if self.wire:
            self.wire.socket.close()
        self.wire = None
        self.sent.clear()

    def send(self, op, body, tag=None):
        xid = self.sent[-1][0] + 1 if self.sent else 1
        self.sent.append((xid, tag, time.monotonic()))
        try:
            self.wire.request(op, body, xid)
        except OSError:
            raise Lost() from None

    def take(self):
        """The next answer: error, body, and the tag and the time of its request."""
        try:
            xid, zxid, error, body = self.wire.reply()
        except (OSError, EOFError, struct.error):
            raise Lost() from None
        expected, tag, at = self.sent.popleft()
        if xid != expected:
            raise Defect(f"xid {xid} was answered, and {expected} was next")
        if zxid > 0:
            if zxid < self.seen:
                raise Defect(f"zxid 0x{zxid:x} after 0x{self.seen:x} in one session")
            self.seen = zxid
        self.heard = time.monotonic()
        return error, body, tag, at

    def call(self, op, body):
        self.send(op, body)
        error, body, _, at = self.take()
        return error, body, at

    def get(self, path):
        """Data and version."""
        error, body, _ = self.call(GET_DATA, text(path.encode()) + b"\0")
        if error != OK:
            raise Defect(f"error {error} for reading {path}")
        size = max(0, struct.unpack_from(">i", body)[0])
        return body[4:4 + size], struct.unpack_from(">i", body, 4 + size + 32)[0]

    def exists(self, path):
        return self.call(EXISTS, text(path.encode()) + b"\0")[0] == OK
