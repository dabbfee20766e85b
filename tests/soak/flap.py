"""Telemetry at a steady rate while the broker, Valkey and the links to them fail and come back, for as long as one
likes. Each round ends with all of it well again: then the oracle judges alerts and windows as in the crash test, and
the gateway's memory, descriptors, threads and files are looked at."""

import collections
import time

import lane
import plant
import usage
from lib import proxy
from lib.harness import merge

RATE = 300          # messages a second, of four metrics each
DEVICES_EACH = 25   # of the stream's four kinds
RULES = 10          # of the oracle's, drawn by the seed: it takes longer than the gateway
STORE_TIMEOUT = "3s"
FAULT_S, FAULT_MAX_S = 3.0, 10.0  # a fault's mean length, and its greatest: no window may empty by time alone
CALM_S = 2.0        # mean time between two
STATE_BYTES_MAX = 8 << 20  # of state_dir, once all that waited is gone again
WARM = 30           # rounds


class FlappingPlant(plant.Plant):
    """The crash test's plant with a proxy before Valkey as well; nobody publishes while the broker is frozen."""

    def __init__(self, folder, rules):
        super().__init__(folder, rules)
        self.to_store = proxy.Proxy(self.store.socket)
        self.frozen = False
        self.brink.configure(merge(self.brink.config, {
            "mqtt": {"inbox": 1024, "keep_alive": "2s"},
            "store": {"address": f"valkey://127.0.0.1:{self.to_store.port}", "timeout": STORE_TIMEOUT}}))

    def close(self):
        super().close()
        self.to_store.close()

    def pump(self):
        if not self.frozen:
            super().pump()

    def stop_broker(self):
        """In order: it keeps its sessions."""
        self.gate.block(plant.ALERTS_CLIENT)
        self.broker.stop()
        self._disconnect()
        self.broker_lost = True

    def freeze_broker(self):
        self.frozen = True
        self.broker.freeze()

    def thaw_broker(self):
        self.broker.thaw()
        self.frozen = False

    def mend_link(self):
        if self.broker.running():  # else the alerts stay blocked until somebody listens
            self.gate.heal()

    def state_bytes(self):
        folder = self.wal.parent
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def faults(self):
        """{server: {name: (begin, end)}}"""
        def broker_back():
            self.revive("broker")

        def store_back():
            self.revive("store")

        to_store = self.to_store
        return {
            "broker": {
                "killed": (lambda: self.kill("broker"), broker_back),
                "restarted": (self.stop_broker, broker_back),
                "frozen": (self.freeze_broker, self.thaw_broker),
                "link cut": (self.gate.cut, self.mend_link),
                "link silent": (self.gate.stall, self.mend_link),
                "link refused": (self.gate.refuse, self.mend_link),
            },
            "store": {
                "killed": (lambda: self.kill("store"), store_back),
                "restarted": (self.store.stop, store_back),
                "frozen": (self.store.freeze, self.store.thaw),
                "link cut": (to_store.cut, to_store.heal),
                "link silent": (to_store.stall, to_store.heal),
                "link refused": (to_store.refuse, to_store.heal),
            },
        }


class Soak(lane.Lane):
    def __init__(self, folder, seed, rate):
        super().__init__(folder, "all", seed, plant=FlappingPlant, n_rules=RULES, devices_each=DEVICES_EACH)
        self.interval, self.due = 1 / rate, 0
        self.faults = collections.Counter()
        self.looks, self.state_bytes, self.timeouts = [], [], 0

    def feed(self, duration):
        """At the steady rate; what a fence or a look took is not caught up with."""
        now = time.monotonic()
        end, self.due = now + duration, max(self.due, now)
        while self.due < end:
            time.sleep(max(0, self.due - time.monotonic()))
            self.due = max(self.due + self.interval, time.monotonic() - 1)
            super().feed(0)

    def random_s(self, mean, most):
        return min(most, self.rng.expovariate(1 / mean))

    def flap(self):
        """One server or both, one fault each."""
        possible = self.plant.faults()
        chosen = [(server, self.rng.choice(sorted(possible[server])))
                  for server in self.rng.sample(sorted(possible), 2 if self.rng.random() < 0.3 else 1)]
        for server, name in chosen:
            self.faults[f"{server} {name}"] += 1
            self.store_was_down |= server == "store"
            possible[server][name][0]()
            self.feed(self.rng.uniform(0, 0.5))
        self.feed(self.random_s(FAULT_S, FAULT_MAX_S))
        self.rng.shuffle(chosen)
        for server, name in chosen:
            possible[server][name][1]()
            self.feed(self.rng.uniform(0, 0.5))

    def round(self):
        self.store_was_down = False
        for _ in range(self.rng.randrange(1, 4)):
            self.feed(self.random_s(CALM_S, 4 * CALM_S))
            self.flap()
        self.feed(1)
        self.settle()
        self.looks.append(usage.look(self.plant.brink))
        self.state_bytes.append(self.plant.state_bytes())

    def settle_windows(self):
        """Valkey may have been too late for the gateway without any fault, on a machine that does other work."""
        timeouts = self.plant.brink.metric("store_failures_total", 'reason="timeout"')
        self.store_was_down |= timeouts > self.timeouts
        self.timeouts = timeouts
        super().settle_windows()

    def soak(self, seconds):
        self.plant.start()
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end or len(self.looks) < 3:
                self.round()
            status = self.plant.brink.stop()
            assert status == 0, f"brink ended with {status}"
            for process in self.plant.processes():
                assert not process.broken(), f"{process.name} broke"
        finally:
            self.plant.close()


def run(folder, minutes, seed, rate, say=print):
    soak = Soak(folder, seed, rate or RATE)
    soak.soak(minutes * 60)
    say("faults: " + ", ".join(f"{n} {name}" for name, n in sorted(soak.faults.items())))
    say(f"{len(soak.looks)} rounds, {soak.messages} messages, {soak.events} alert events agree, {soak.repeats} "
        f"delivered twice; state_dir {max(soak.state_bytes)} bytes at most, {soak.state_bytes[-1]} at the end")
    usage.check_flat(soak.looks, say, usage.GROWTH if len(soak.looks) >= 2 * WARM else usage.ROUGHLY)
    assert max(soak.state_bytes) <= STATE_BYTES_MAX, f"state_dir: {soak.state_bytes} bytes"
