# SPDX-License-Identifier: GPL-3.0-or-later
# What watches a mount, and what asks those who do; for mount_consumers.bats.
import os
import socket
import struct
import sys
import time
import urllib.request


def watch(directory):
    """python-watchdog: a line for each event."""
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer

    class Printer(FileSystemEventHandler):
        def on_any_event(self, event):
            paths = [event.src_path, getattr(event, "dest_path", "")]
            print(event.event_type, *[os.path.relpath(p, directory) for p in paths if p], flush=True)

    observer = Observer()
    observer.schedule(Printer(), directory, recursive=True)
    observer.start()
    print("ready", flush=True)
    while True:
        time.sleep(60)


def resolve(port, name):
    """The A record of name that the server on the port has; nothing is printed if there is none."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    s.sendto(struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + question + struct.pack(">HH", 1, 1),
             ("127.0.0.1", int(port)))
    answer = s.recv(512)
    if struct.unpack_from(">H", answer, 6)[0] > 0:
        print(socket.inet_ntoa(answer[-4:]))


def http(port):
    """What a web server says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as f:
        print(f.read().decode().strip())


def main():
    globals()[sys.argv[1]](*sys.argv[2:])


main()
