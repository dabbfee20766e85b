"""One device that sends 50,000 readings a second beside 1,000 that send one each: with `limits.device_rate` no reading
of theirs is lost, no alert missing, and alerts come at most twice as late (docs/SECURITY.md)."""

import statistics

from lib.harness import wait_for
from loaded import LoadedSite

DEVICES, RATE = 1000, 1000  # normal ones: a reading a second each
NOISE = 50_000              # readings a second of the noisy one
DEVICE_RATE = 20            # of the normal ones' rate twenty times
RATIO = 2.0                 # of the alerts' p99


def dropped(site):
    return site.brink.metric("messages_dropped_total", 'reason="device_rate"')


def run(folder, rounds, seconds, qos, strict, say=print):
    quiet, noisy, noise = [], [], []
    with LoadedSite(folder, config={"limits": {"device_rate": DEVICE_RATE}}) as site:
        site.drive(devices=DEVICES, rate=RATE, messages=DEVICES)
        first = 61  # the warm-up's readings and one more

        def phase(into):
            nonlocal first
            into.append(site.drive(devices=DEVICES, rate=RATE, messages=RATE * seconds, first=first))
            first += RATE * seconds // DEVICES

        for _ in range(rounds):
            phase(quiet)
            found, before = {}, dropped(site)
            with site.flood(found, rate=NOISE, qos=qos):
                wait_for(lambda: dropped(site) > before, "the noise to be dropped", 30)
                phase(noisy)
            found["dropped"] = dropped(site) - before
            noise.append(found)
        site.devices = DEVICES
        site.check_windows(first * DEVICES)
        site.end()
    for name, runs in (("quiet", quiet), ("noisy", noisy)):
        say(f"{name}: p50 {statistics.median(r['p50_ms'] for r in runs):.2f} ms, "
            f"p99 {', '.join(format(r['p99_ms'], '.2f') for r in runs)} ms")
    ratio = statistics.median(b["p99_ms"] / a["p99_ms"] for a, b in zip(quiet, noisy))  # of one moment of the machine
    say(f"noise: {', '.join(format(n['rate'], '.0f') for n in noise)} readings/s at QoS {qos}; "
        f"{sum(n['dropped'] for n in noise):.0f} of {sum(n['messages'] for n in noise)} came and were dropped")
    say(f"median p99 {ratio:.2f} times as late beside the noise; none missing, none false, windows whole")
    assert not strict or ratio <= RATIO, f"alerts come {ratio:.2f} times as late"
