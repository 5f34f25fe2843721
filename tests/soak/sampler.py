# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of servers while they run, and whether the machine lets anybody run."""
import threading
import time

from servers import Defect

BOUND_MIB = 300  # a tree of the load is small
PERIOD_S = 0.2
STOOD_STILL_S = 1.5  # longer without a look: it was not us


class Sampler(threading.Thread):
    def __init__(self, servers):
        super().__init__(daemon=True)
        self.servers, self.ended = servers, threading.Event()
        self.largest = {server: 0 for server in servers}
        self.stood_still = 0  # seconds, since somebody set it to 0

    def run(self):
        last = time.monotonic()
        while not self.ended.wait(PERIOD_S):
            now = time.monotonic()
            if now - last > STOOD_STILL_S:
                self.stood_still += now - last
            last = now
            for server in self.servers:
                self.largest[server] = max(self.largest[server], server.rss_mib())

    def check(self):
        for server, mib in self.largest.items():
            if mib > BOUND_MIB:
                raise Defect(f"{server} has taken {mib:.0f} MiB of memory")

    def stop(self):
        self.ended.set()
        if self.is_alive():
            self.join()

    def report(self):
        for server, mib in self.largest.items():
            print(f"{server}: at most {mib:.1f} MiB of memory", flush=True)
