"""SIGTERM while readings come in at a high rate: nothing is lost, nothing is applied twice (SPEC 7.3, 8.3)."""

import signal
import time

from lib.harness import PATIENCE
from loaded import RULES, LoadedSite
from usage import SANITIZED

# Readings a second, each a message of QoS 1; what a sanitizer keeps up with is no matter here.
RATE = 3_000 if SANITIZED else 20_000
DEVICES = 200
# Holds every reading of the run: the whole of it is compared.
KEPT = {"id": "kept", "when": "count(temp_c, 1d) > 1e9"}
STOP_BOUND = 15  # seconds that a stop may take at most; systemd/brink.service grants 20


def stop_and_start(site):
    site.wait_received(RATE)  # a second's worth
    began, before = time.monotonic(), site.received()
    site.wait_received(RATE / 4)
    rate = (site.received() - before) / (time.monotonic() - began)
    began = time.monotonic()
    site.brink.signal(signal.SIGTERM)
    status = site.brink.process.wait(STOP_BOUND * PATIENCE)
    took = time.monotonic() - began
    assert status == 0, f"ended with {status}"
    site.brink.start(ready=False)
    site.brink.wait_ready(60)  # it begins with what came meanwhile
    return f"{rate:.0f}/s came in, SIGTERM: ended with 0 after {took * 1000:.0f} ms"


def run(folder, stops, say=print):
    with LoadedSite(folder, [*RULES, KEPT]) as site:
        site.begin_load(rate=RATE, devices=DEVICES)
        for _ in range(stops):
            say(stop_and_start(site))
        site.wait_received(RATE)
        found = site.end_load()
        points = site.check_windows(found["messages"], "kept", 86400)
        assert points == found["messages"]
        site.check_windows(found["messages"])
        site.end()
        say(f"{found['messages']} readings published, each applied once, {found['alerts']} alerts and none missing "
            f"or false over {stops} stops")
