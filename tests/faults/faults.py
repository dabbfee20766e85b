"""What can be wrong with a server: something that begins and ends."""

import random
import threading
import time

from rig import Repeating, wait_for

SLOW = {"broker": 0.15, "valkey": 1.0}  # seconds a piece; Valkey: beyond `timeout`
TRICKLE = {"broker": 0.002, "valkey": 0.005}  # seconds a byte; Valkey: any exchange lasts beyond `timeout`
BACK_AFTER = 0.3  # seconds into what happens meanwhile (a start, a reload, a stop)


class Fault:
    """begin(), then what happens meanwhile, then end(). `target`: broker or valkey."""

    def __init__(self, site, target):
        self.site, self.target = site, target

    @property
    def server(self):
        return self.site.broker if self.target == "broker" else self.site.store

    @property
    def link(self):
        return self.site.to_broker if self.target == "broker" else self.site.to_store

    @property
    def silences_devices(self):
        """Nobody can publish or listen meanwhile: the broker itself is away."""
        return self.target == "broker" and isinstance(self, (Down, Frozen))

    @property
    def passes_readings_on(self):
        """What devices send reaches the gateway meanwhile, sooner or later."""
        return self.target == "valkey" or isinstance(self, (Slow, Trickling))

    @property
    def leaves_broker_mute(self):
        """The connection to the broker stays open, and nothing comes."""
        return self.target == "broker" and isinstance(self, (Frozen, Stalled))

    def meanwhile(self):
        """Called the moment before what happens meanwhile."""


class Down(Fault):
    """Ended: the broker in order (it keeps its sessions), Valkey by kill -9, once its file has all that it
    confirmed (while it syncs, it may confirm what it has not written yet)."""

    def begin(self):
        if self.target == "broker":
            self.server.stop()
        else:
            wait_for(lambda: self.server.client.info("persistence")["aof_buffer_length"] == "0", "Valkey's file")
            self.server.kill()

    def end(self):
        self.server.start()
        if self.target == "broker":
            self.site.reconnect()


class Back(Down):
    """Down before, and back while something else happens."""

    def meanwhile(self):
        self.is_back, self.over = threading.Event(), threading.Event()

        def come_back():
            time.sleep(BACK_AFTER)
            self.server.start()
            self.is_back.set()
            self.over.wait()  # a server dies with the thread that started it

        threading.Thread(target=come_back, daemon=True).start()
        self.site.addCleanup(self.over.set)

    def end(self):
        wait_for(self.is_back.is_set, f"the {self.target} to be back")
        if self.target == "broker":
            self.site.reconnect()


class Frozen(Fault):
    """SIGSTOP: the kernel still takes connections and bytes for it, nobody answers."""

    def begin(self):
        self.server.freeze()

    def end(self):
        self.server.thaw()


class Slow(Fault):
    def begin(self):
        self.link.delay(SLOW[self.target])

    def end(self):
        self.link.heal()


class Trickling(Fault):
    """Bytes go on one by one, both ways."""

    def begin(self):
        self.link.trickle(TRICKLE[self.target])

    def end(self):
        self.link.heal()


class Stalled(Fault):
    """Connections stay open and new ones are made, but no byte passes; the server is well, and other clients reach it."""

    def begin(self):
        self.link.stall()

    def end(self):
        self.link.heal()


class Cutting(Fault):
    """Connections are reset after any number of bytes, again and again: in the middle of packets."""

    def begin(self):
        self.random = random.Random(20261127)

        def cut():
            self.link.cut(self.random.randrange(1, 400), of_client=self.random.random() < 0.5)
            return self.random.uniform(0.05, 0.4)

        self.cutting = Repeating(cut)

    def end(self):
        self.cutting.stop()
        self.link.heal()


class Refusing(Fault):
    """What is open is reset, what is new is refused."""

    def begin(self):
        self.link.refuse()

    def end(self):
        self.link.heal()


class Both:
    """The same of both servers."""

    passes_readings_on = property(lambda self: all(f.passes_readings_on for f in self.faults))
    silences_devices = property(lambda self: any(f.silences_devices for f in self.faults))
    leaves_broker_mute = property(lambda self: any(f.leaves_broker_mute for f in self.faults))

    def __init__(self, kind, site):
        self.faults = [kind(site, "broker"), kind(site, "valkey")]

    def begin(self):
        for fault in self.faults:
            fault.begin()

    def meanwhile(self):
        for fault in self.faults:
            fault.meanwhile()

    def end(self):
        for fault in self.faults:
            fault.end()


KINDS = {"down": Down, "frozen": Frozen, "slow": Slow, "trickling": Trickling, "stalled": Stalled, "cutting": Cutting,
         "refusing": Refusing, "back": Back}


def make(site, target, kind):
    return Both(KINDS[kind], site) if target == "both" else KINDS[kind](site, target)
