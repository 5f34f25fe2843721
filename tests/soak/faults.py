# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to an ensemble, each a method of Faults by the name of its fault. At its end all
servers serve again."""
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from servers import *

HOSTILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bats/hostile.py")


@dataclass
class Fault:
    """The bound of the time without an acknowledged write; generous, for loaded machines: ticks,
    and seconds for an election and for clients to find their way. 0: a quorum may be away."""
    ticks: int = 0
    seconds: float = 0
    weight: int = 1
    needs_root: bool = False

    def bound_s(self, tick_s):
        return self.ticks * tick_s + self.seconds


FAULTS = {
    "leader": Fault(2, 10, weight=2),
    "all": Fault(),
    "stop": Fault(),
    "any": Fault(weight=2),
    "stall": Fault(SYNC_LIMIT, 10, weight=2),
    "full": Fault(SYNC_LIMIT, 10, weight=2, needs_root=True),
    "hostile": Fault(0, 5, weight=2),
    "old": Fault(2, 10),
    "partition": Fault(needs_root=True),
}


class Faults:
    def leader(self):
        leader = wait_for(60, self.ensemble.leader, "there is a leader")
        self.measure(f"kill of the leader, {leader.kind}", leader.kill, f"kill {leader}")
        time.sleep(self.rng.random())
        if self.rng.random() < 0.5:
            self.load.goes_on(self.rng.randrange(200))
        leader.start()
        self.log(f"start {leader}")
        self.everybody()

    def measure(self, name, fault, text):
        self.log(text)
        fault()
        begin = time.monotonic()
        seconds = self.load.wait_written(begin)
        self.log(f"the next write was acknowledged after {seconds:.3f} s")
        self.latencies[name].append(seconds)

    def all(self):
        def restart():
            for server in self.ensemble.servers:
                server.kill()
            for server in self.rng.sample(self.ensemble.servers, len(self.ensemble.servers)):
                server.start()
        self.measure("kill of all, and start", restart, "kill all")
        self.everybody()

    def stop(self):
        n = len(self.ensemble.servers)
        wait_for(60, self.ensemble.leader, "there is a leader")
        modes = self.ensemble.modes()
        leader = [s for s, mode in zip(self.ensemble.servers, modes) if mode == "leader"]
        followers = [s for s, mode in zip(self.ensemble.servers, modes) if mode == "follower"]
        victims = self.rng.choice([leader, followers[:1], followers[:n // 2], followers])
        begin = time.monotonic()
        for server in victims:
            self.log(f"stop {server}")
            server.stop()
        if len(victims) <= n - self.ensemble.quorum():
            seconds = self.load.wait_written(begin)
            if victims == leader:
                self.latencies[f"SIGSTOP of the leader, {leader[0].kind}"].append(seconds)
        time.sleep(self.rng.uniform(0.05, 8))
        for server in victims:
            self.log(f"continue {server}")
            server.go_on()
        self.everybody()

    def any(self):
        if self.rng.random() < 0.3:
            self.lose_disk()
        for _ in range(self.rng.randrange(3, 12)):
            server = self.rng.choice(self.ensemble.servers)
            self.log(f"{'kill' if server.is_running() else 'start'} {server}")
            if server.is_running():
                server.kill()
            else:
                server.start()
            if self.rng.random() < 0.2:
                time.sleep(self.rng.uniform(0.3, 2))
            else:
                time.sleep(self.rng.uniform(0.05, 0.3))
        self.everybody()

    def lose_disk(self):
        """Only with all others there: what it acknowledged is theirs too, but not the other's."""
        self.everybody()
        follower = self.rng.choice([s for s in self.ensemble.servers if s.mode() == "follower"])
        others = [s for s in self.ensemble.servers if s is not follower]
        follower.kill()
        self.log(f"kill and wipe {follower}")
        self.load.goes_on(self.rng.choice([5, 400]))
        wait_for(60, lambda: all(s.mode() for s in others), "all others serve")
        follower.wipe()
        follower.start()
        self.everybody()

    def partition(self):
        leader = wait_for(60, self.ensemble.leader, "there is a leader")
        others = [s for s in self.ensemble.servers if s is not leader]
        one = self.rng.choice(others)
        cuts = self.rng.choice([
            [(a, b) for o in others for a, b in ((leader, o), (o, leader))],
            [(leader, o) for o in others],
            [(o, leader) for o in others],
            [(leader, one), (one, leader)],
            [(leader, one)],
            [(one, leader)],
        ])
        for a, b in cuts:
            self.log(f"cut {a} -> {b}")
            network_cut(self.network, a.number, b.number)
        begin = time.monotonic()
        seconds = self.load.wait_written(begin)
        self.log(f"a write was acknowledged after {seconds:.3f} s")
        if len(cuts) == 2 * len(others):
            self.latencies["leader cut off"].append(seconds)
        time.sleep(self.rng.uniform(0, 6))
        self.log("heal")
        network_heal(self.network)
        self.everybody()

    def stall(self):
        """One disk stands still, or is slow. Others' writes need it no longer than syncLimit."""
        leader = wait_for(60, self.ensemble.leader, "there is a leader")
        victim = self.rng.choice([leader, self.rng.choice(self.ensemble.servers)])
        victim.check_shim()
        sync_s = SYNC_LIMIT * self.options.tick / 1000
        ms, seconds = self.rng.choice([(10 ** 9, self.rng.uniform(1.2, 4) * sync_s), (150, self.rng.uniform(3, 8)),
                                       (10 ** 9, self.rng.uniform(0.2, 1) * sync_s)])
        self.log(f"each sync of {victim} takes {ms} ms{', it leads' if victim is leader else ''}; {seconds:.1f} s")
        victim.stall(ms)
        time.sleep(seconds)
        if self.rng.random() < 0.3:
            self.log(f"kill {victim}")
            victim.kill()
        victim.stall(0)
        self.log("the disk is well")
        self.everybody()

    def full(self):
        """One disk has no room. It may lead, and start, like this."""
        victim = self.rng.choice([s for s in self.ensemble.servers if s.kind == "zabd"])
        left = self.rng.choice([0, 0, 4096, 1 << 20])
        self.log(f"{victim} ({victim.mode()}) has no room but {left} bytes")
        victim.fill(left)
        time.sleep(self.rng.uniform(1, 6))
        if self.rng.random() < 0.3:
            self.log(f"kill and start {victim}")
            victim.kill()
            victim.start()
            time.sleep(self.rng.uniform(0.5, 3))
        self.load.goes_on()
        victim.make_room()
        self.log("there is room")
        self.everybody()

    def hostile(self):
        """Nothing that they say costs a write or an election."""
        leader = wait_for(60, self.ensemble.leader, "there is a leader")
        epoch = leader.epoch()
        kinds = self.rng.choice(["all", "infos", "epochs", "votes", "rounds", "lengths,heads", "steps,garbage",
                                 "silence,halves"])
        seconds = self.rng.uniform(4, 8)
        self.log(f"hostile: {kinds} for {seconds:.1f} s")
        attack = subprocess.run([sys.executable, HOSTILE, kinds, str(seconds), str(self.rng.randrange(1 << 31))],
                                stdout=subprocess.PIPE, check=True, timeout=60, text=True)
        self.log(f"hostile: {attack.stdout.strip()} packets")
        if int(attack.stdout) < 100:
            raise Defect(f"only {attack.stdout.strip()} packets of {kinds} were taken in {seconds:.1f} s")
        self.everybody()
        if self.all_ours and (not leader.mode() == "leader" or leader.epoch() != epoch):
            raise Defect(f"{kinds} on the servers' ports led to an election, {leader} led epoch {epoch}")

    def old(self):
        """As lose_disk(), but what a server has forgotten is what came after a copy."""
        self.everybody()
        victim = self.rng.choice(self.ensemble.servers)
        victim.kill()
        if victim not in self.copies or self.rng.random() < 0.5:
            self.log(f"copy {victim}")
            self.copies[victim] = os.path.join(self.dir, f"copy-{victim.number}")
            victim.copy_to(self.copies[victim])
            self.load.goes_on(self.rng.choice([5, 400]))
            victim.start()
            self.everybody()
            victim.kill()
        others = [s for s in self.ensemble.servers if s is not victim]
        self.load.goes_on(self.rng.choice([5, 400]))
        wait_for(60, lambda: all(s.mode() for s in others), "all others serve")
        self.log(f"{victim} has its old directory again")
        victim.become(self.copies[victim])
        victim.start()
        self.everybody()
