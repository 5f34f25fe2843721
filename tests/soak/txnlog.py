# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs on disk of ended servers: are they whole, and one history?"""
import glob
import os
import struct
import zlib

from servers import Defect

HEADER = 16          # "ZKLG", version, database
TXN_HEADER = 32      # client, cxid, zxid, time, type


def entries_of(path):
    """zxid and header of each entry, up to the zeros behind the last one."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] != b"ZKLG":
        raise Defect(f"{path} has no header")
    at = HEADER
    while at + 12 <= len(data):
        sum_, size = struct.unpack_from(">qi", data, at)
        if size <= 0:
            break
        txn = data[at + 12:at + 12 + size]
        if len(txn) < size or zlib.adler32(txn) != sum_ or data[at + 12 + size:at + 13 + size] != b"B":
            raise Defect(f"{path}: a bad entry at {at}")
        yield struct.unpack_from(">q", txn, 12)[0], txn[:TXN_HEADER]
        at += 13 + size
    if data[at:].strip(b"\0"):
        raise Defect(f"{path}: something behind the end, {at}")


def follows(zxid, last):
    return zxid == last + 1 or zxid >> 32 > last >> 32 and zxid & 0xffffffff == 1


def history_of(server):
    """From zxid to the header of its transaction. Where a tree was taken from the leader the log has a
    hole, up to its snapshot."""
    files = glob.glob(os.path.join(server.dir, "data/version-2/log.*"))
    snapshots = {int(path.split("/snapshot.")[1].split(".")[0], 16)
                 for path in glob.glob(os.path.join(server.dir, "data/version-2/snapshot.*"))}
    history, last = {}, None
    for path in sorted(files, key=lambda p: int(p.rsplit(".", 1)[1], 16)):
        for zxid, header in entries_of(path):
            if server.kind == "zabd" and last is not None and not follows(zxid, last) and \
                    not (zxid > last and any(s >= last and follows(zxid, s) for s in snapshots)):
                raise Defect(f"{path}: 0x{zxid:x} after 0x{last:x}")
            history[zxid], last = header, zxid
    return history


def verify(servers):
    known = {}
    for server in servers:
        for zxid, header in history_of(server).items():
            owner, other = known.setdefault(zxid, (server, header))
            if other != header:
                raise Defect(f"0x{zxid:x}: {owner} has {other.hex()}, {server} has {header.hex()}")
    return len(known)
