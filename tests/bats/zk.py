# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Python in the .bats files shares: "py <<END", then "from zk import *".

The server is the one at $SERVER_PORT. connect() gives kazoo's client, Wire a connection whose
bytes the test chooses; both end with the program."""
import atexit
import os
import socket
import struct
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import *
from kazoo.retry import KazooRetry
from kazoo.security import make_acl, make_digest_acl

PORT = int(os.environ.get("SERVER_PORT", "0"))
ROOT = os.environ.get("ROOT", "/")  # the node of the test, where it has one
CREATE, EXISTS, GET_DATA, SET_DATA, PING, ADD_WATCH, CLOSE = 1, 3, 4, 5, 11, 106, -11


def connect(port=PORT, **options):
    client = KazooClient(f"127.0.0.1:{port}", **options)
    client.start(timeout=15)
    atexit.register(lambda: (client.stop(), client.close()))
    return client


def wait_for(seconds, happened):
    """The first true value of happened()."""
    deadline = time.monotonic() + seconds
    while True:
        value = happened()
        if value:
            return value
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.02)


def leave():
    """End without a word to the server: sessions stay open."""
    sys.stdout.flush()
    os._exit(0)


def text(data):
    return struct.pack(">i", len(data)) + data


class Wire:
    """Frames out and in. The session's id and password are those of the server's answer."""

    def __init__(self, receive_buffer=None, address=None, timeout=15):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address or ("127.0.0.1", PORT))

    def send(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def is_closed(self):
        """By the server, which sends nothing more: waits for it."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def open_session(self, timeout_ms=10000, session=0, password=bytes(16), seen=0):
        """False if the server refuses the session."""
        self.send(struct.pack(">iqiq", 0, seen, timeout_ms, session) + text(password) + b"\0")
        answer = self.receive()
        self.timeout_ms, self.session = struct.unpack_from(">iq", answer, 4)
        self.password = answer[20:36]
        return self.session != 0

    def request(self, op, body=b"", xid=1):
        self.send(struct.pack(">ii", xid, op) + body)

    def reply(self):
        """(xid, zxid, error, body)"""
        answer = self.receive()
        return struct.unpack_from(">iqi", answer) + (answer[16:],)

    def call(self, op, body=b""):
        """The error of the request's answer."""
        self.request(op, body)
        return self.reply()[2]

    def create(self, path, data=b"", flags=0):
        anyone = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
        return self.call(CREATE, text(path) + text(data) + anyone + struct.pack(">i", flags))
