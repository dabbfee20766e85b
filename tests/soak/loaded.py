"""A gateway under the benchmarks' load, of which it is known what it must raise (bench/work.h).

    load ──▶ Mosquitto ──▶ brink ──▶ Valkey
         ◀──           ◀── its child

Each reading's alerts are checked by `load` itself, by device, rule and the reading's time: none may be missing, none
more. What raises none is seen all the same: `gap` would fire at the first reading behind one that was not applied.
"""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess

from lib.harness import BASE, PATIENCE, SOURCE, Brink, Broker, Store, free_port, wait_for

LOAD = os.environ.get("BRINK_LOAD", str(SOURCE / "build" / "bench" / "load"))
WINDOW_S = 60  # of `hot`: with a reading a second 61 readings
RULES = [
    {"id": "hot", "when": f"avg(temp_c, {WINDOW_S}s) > 30"},
    {"id": "humid", "when": "humidity > 90"},
    {"id": "gap", "when": f"count(temp_c, {WINDOW_S}s) <= {WINDOW_S} and count(temp_c, {2 * WINDOW_S}s) > {WINDOW_S}",
     "scope": {"devices": ["d0*"]}},
]
# A machine so busy that Valkey is late must not count as an outage: rules would rightly be unknown.
STORE_TIMEOUT = "10s"


class LoadedSite:
    def __init__(self, folder, rules=None, config=None):
        self.folder = pathlib.Path(folder)
        self.broker = Broker(folder, "max_inflight_messages 100\n")
        self.store = Store(folder)
        self.brink = Brink(folder, {
            "gateway": {"id": "gw", "state_dir": str(self.folder / "brink.state")},
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{self.broker.port}"]},
            "telemetry": [{"topic": "bench/{device}/telemetry", "qos": 1, "timestamp": "/ts", "site": "/site_id",
                           "seq": "/seq"}],
            "alerts": {"topic": "bench-alert/{device}/{rule}/{event_type}", "qos": 1},
            "store": {"address": self.store.address, "timeout": STORE_TIMEOUT},
            "rules": ["rules.d/*.yaml"],
            "http": {"listen": f"127.0.0.1:{free_port()}"},
            **(config or {}),
        })
        self.brink.rules(rules or RULES)
        self.devices, self._load = 0, None

    def __enter__(self):
        self.broker.start()
        self.store.start()
        self.brink.start()
        return self

    def __exit__(self, *_):
        if self._load:
            self._load.kill()
        for process in (self.brink, self.store, self.broker):
            process.kill()

    # --- the load ---

    def begin_load(self, devices=1000, **settings):
        """Publishes until end_load(); without a `rate` as fast as the gateway keeps up with."""
        self.devices = devices
        self._load = self._spawn("drive", devices=devices, messages=20_000_000, **settings)

    def end_load(self):
        """Waits for the last alert. What `load` found; fails if an alert was missing or one too many."""
        self._load.send_signal(signal.SIGTERM)
        load, self._load = self._load, None
        return self._result(load)

    def drive(self, **settings):
        """A load of so many `messages`, to its end."""
        return self._result(self._spawn("drive", **settings))

    @contextlib.contextmanager
    def flood(self, found, **settings):
        """Meanwhile one more device sends without end; `found` is given what it sent."""
        load = self._spawn("flood", id="flood", **settings)
        try:
            yield
            load.send_signal(signal.SIGTERM)
            found.update(self._result(load))
        finally:
            load.kill()
            load.wait()

    def _spawn(self, what, **settings):
        settings = {"port": self.broker.port, "qos": 1, "patience": round(30 * PATIENCE), **settings}
        options = [str(text) for name, value in settings.items() for text in (f"--{name}", value)]
        return subprocess.Popen([LOAD, what, *options], stdout=subprocess.PIPE, text=True)

    @staticmethod
    def _result(load):
        out, _ = load.communicate(timeout=120 * PATIENCE)
        found = json.loads(out) if out else {}
        assert load.returncode == 0, f"load ended with {load.returncode}: {found}"
        return found

    def received(self):
        return self.brink.metric("messages_received_total")

    def wait_received(self, more, timeout=60):
        """Until the gateway took so many messages more."""
        target = self.received() + more
        wait_for(lambda: self.received() >= target, f"{more} more messages", timeout)

    # --- what must be in Valkey ---

    def readings(self, messages):
        """{device: [(time, temp_c)]} of the first so many messages."""
        lines = subprocess.run([LOAD, "print", "--devices", str(self.devices), "--messages", str(messages)],
                               check=True, capture_output=True, text=True).stdout.splitlines()
        found = collections.defaultdict(list)
        for i, line in enumerate(lines):
            topic, payload = line.split(" ", 1)
            found[topic.split("/")[1]].append([float(BASE + i // self.devices),
                                               json.loads(payload)["metrics"]["temp_c"]])
        return found

    def check_windows(self, messages, rule="hot", width_s=WINDOW_S):
        """Each device's stored list: what the window holds of these messages, each once. (A list may begin with what
        left the window and was not yet cut off.)"""
        expected = self.readings(messages)
        last = []

        def agree():
            last.clear()
            values = self.store.client.pipeline([("GET", f"wbuf:default:{rule}:{device}") for device in expected])
            for (device, points), value in zip(expected.items(), values):
                stored = [p for p in json.loads(value or "[]") if p[0] >= points[-1][0] - width_s]
                if stored != points[-(width_s + 1):]:
                    last.append(f"{device}: {len(stored)} points from {stored[:1]} to {stored[-1:]}")
            return not last

        wait_for(agree, lambda: f"equal windows; {len(last)} of {len(expected)} differ: {last[:5]}", 30)
        return sum(min(len(points), width_s + 1) for points in expected.values())

    def end(self):
        """Stops the gateway; a leak that a sanitizer found is a status of its own."""
        status = self.brink.stop()
        assert status == 0, f"brink ended with {status}"
        for process in (self.brink, self.store, self.broker):
            assert not process.broken(), f"{process.name} broke"
