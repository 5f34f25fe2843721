# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of servers while they run."""
import threading

from servers import Defect

BOUND_MIB = 300  # a tree of the load is small


class Sampler(threading.Thread):
    def __init__(self, servers):
        super().__init__(daemon=True)
        self.servers, self.ended = servers, threading.Event()
        self.largest = {server: 0 for server in servers}

    def run(self):
        while not self.ended.wait(0.2):
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
