#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who speaks to an ensemble's own ports and is none of its servers.

hostile.py ATTACK SECONDS: on all servers of $SERVERS ("1=host:learner port:election port,...") for
so long; ATTACKs are the functions at the end. Prints how many packets were taken."""
import os
import random
import socket
import struct
import sys
import time

ACK, PROPOSAL, PING, REVALIDATE, FOLLOWERINFO, NEWLEADER, OBSERVERINFO, ACKEPOCH = 3, 2, 5, 6, 11, 10, 16, 18
LOOKING, FOLLOWING, LEADING = 0, 1, 2
EPOCH_MAX = 0x7ffffffd
ROUND_MAX = (1 << 62) - 1
HELD_MAX = 60  # connections at once to one port


def packet(type, zxid=0, data=b""):
    return struct.pack(">iqi", type, zxid, len(data)) + data + struct.pack(">i", -1)


def info(sid, epoch=0, type=FOLLOWERINFO):
    """The first word of a learner."""
    return packet(type, epoch << 32, struct.pack(">qiq", sid, 0x10000, 0))


def greeting(sid, address=b"127.0.0.1:1"):
    return struct.pack(">qqi", -65536, sid, len(address)) + address


def notification(leader, zxid=0, round=1, epoch=1, state=LOOKING, config=b"version=0"):
    message = struct.pack(">iqqqqii", state, leader, zxid, round, epoch, 2, len(config)) + config
    return struct.pack(">i", len(message)) + message


def servers():
    """(sid, address of the learners' port, of the elections')"""
    for server in os.environ["SERVERS"].split(","):
        sid, address = server.split("=")
        host, learners, elections = address.rsplit(":", 2)
        yield int(sid), (host, int(learners)), (host, int(elections))


class Crowd:
    """Connections that are held, the oldest being let go."""

    def __init__(self):
        self.held, self.sent = {}, 0

    def say(self, address, data, keep=True):
        """On a new connection. What cannot be sent at once is not sent."""
        try:
            s = socket.create_connection(address, 0.5)
        except OSError:
            return None
        s.setblocking(False)
        held = self.held.setdefault(address, [])
        held.append(s)
        while len(held) > (HELD_MAX if keep else 1):
            held.pop(0).close()
        return s if self.go_on(s, data) else None

    def go_on(self, s, data):
        try:
            s.send(data)
        except OSError:
            return False
        self.sent += 1
        return True

    def drain(self):
        for held in self.held.values():
            for s in list(held):
                try:
                    if s.recv(65536) == b"":
                        raise EOFError
                except BlockingIOError:
                    pass
                except (OSError, EOFError):
                    s.close()
                    held.remove(s)


def leaders(crowd, data, keep=True):
    """To whoever listens for learners."""
    for sid, learners, _ in servers():
        crowd.say(learners, data(sid), keep)


def infos(crowd, rng):
    """Learners with the numbers of the servers."""
    sids = [sid for sid, _, _ in servers()]
    leaders(crowd, lambda _: info(rng.choice(sids)), keep=rng.random() < 0.5)


def epochs(crowd, rng):
    """The same from later epochs."""
    sids = [sid for sid, _, _ in servers()]
    leaders(crowd, lambda _: info(rng.choice(sids), rng.choice([5, 1000, 1 << 20, EPOCH_MAX, EPOCH_MAX + 2]),
                                  rng.choice([FOLLOWERINFO, OBSERVERINFO])))


def steps(crowd, rng):
    """A learner goes on as if it had been answered, but for what would say that it is in sync: who says
    that in the right epoch is a server, as far as anybody can tell without TLS."""
    sids = [sid for sid, _, _ in servers()]
    zxid = rng.choice([0, 1 << 32, (1 << 32) + 5, EPOCH_MAX << 32])
    leaders(crowd, lambda _: info(rng.choice(sids)) + packet(ACKEPOCH, zxid, struct.pack(">i", 1)) +
            packet(rng.choice([PING, REVALIDATE, PROPOSAL, NEWLEADER]), zxid, bytes(8)))


def votes(crowd, rng):
    """Notifications of all kinds in the names of servers and of others. A server takes connections only
    of those with larger numbers."""
    numbers = [sid for sid, _, _ in servers()] + [0, -1, 77, (1 << 63) - 1]
    for sid, _, elections in servers():
        name = rng.choice([n for n in numbers if n != sid])
        s = crowd.say(elections, greeting(name))
        for _ in range(rng.randrange(30)):
            if not s or not crowd.go_on(s, notification(
                    rng.choice(numbers), rng.choice([0, 1 << 32, EPOCH_MAX << 32, -1]),
                    rng.choice([0, 1, 2, 1 << 40, ROUND_MAX, ROUND_MAX + 5, -1]),
                    rng.choice([0, 1, 5, EPOCH_MAX, -1]), rng.choice([LOOKING, FOLLOWING, LEADING, 3, 9]))):
                break


def rounds(crowd, rng):
    """Looking, in an absurd round, for oneself and with the best history."""
    for sid, _, elections in servers():
        for name in [n for n, _, _ in servers() if n > sid]:
            s = crowd.say(elections, greeting(name), keep=False)
            if s:
                crowd.go_on(s, notification(name, EPOCH_MAX << 32, ROUND_MAX, EPOCH_MAX) * 3)


def halves(crowd, rng):
    """Half a packet, and no word more."""
    for _, learners, elections in servers():
        whole = info(1)
        crowd.say(learners, whole[:rng.randrange(len(whole))])
        whole = greeting(77) + notification(77)
        crowd.say(elections, whole[:rng.randrange(len(whole))])


def lengths(crowd, rng):
    """Packets of 64 MiB, with as much of them as is taken, and of no length that can be."""
    size = rng.choice([64 << 20, 0x7fffffff, -2])
    for sid, learners, elections in servers():
        s = crowd.say(learners, struct.pack(">iqi", FOLLOWERINFO, 0, size))
        s and crowd.go_on(s, bytes(1 << 20))
        s = crowd.say(elections, greeting(77) + struct.pack(">i", size))
        s and crowd.go_on(s, bytes(1 << 20))


def heads(crowd, rng):
    """Packets of 64 MiB that go on for as long as they are taken."""
    for _, learners, _ in servers():
        crowd.say(learners, struct.pack(">iqi", FOLLOWERINFO, 0, 64 << 20))
        for s in list(crowd.held.get(learners, [])):
            crowd.go_on(s, bytes(1 << 20))


def silence(crowd, rng):
    """Connections without a word."""
    for _, learners, elections in servers():
        crowd.say(learners, b"")
        crowd.say(elections, b"")


def garbage(crowd, rng):
    for _, learners, elections in servers():
        crowd.say(learners, rng.randbytes(rng.randrange(1, 3000)))
        crowd.say(elections, rng.randbytes(rng.randrange(1, 3000)))


ATTACKS = [infos, epochs, steps, votes, rounds, halves, lengths, heads, silence, garbage]


def attack(kinds, seconds, seed):
    crowd, rng = Crowd(), random.Random(seed)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rng.choice(kinds)(crowd, rng)
        crowd.drain()
        time.sleep(0.002)
    return crowd.sent


if __name__ == "__main__":
    names = {f.__name__: f for f in ATTACKS}
    kinds = ATTACKS if sys.argv[1] == "all" else [names[name] for name in sys.argv[1].split(",")]
    print(attack(kinds, float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1))
