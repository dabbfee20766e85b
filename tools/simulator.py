#!/usr/bin/env python3
"""A site of a few dozen devices, over MQTT: freezers, pumps, greenhouses, meters and trackers whose
values now and then go wrong, so that there is something to alert on. Python's standard library only.

The first faults come within seconds and in a fixed order, one of each kind; later ones at random."""

import argparse
import json
import math
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import minimqtt  # noqa: E402

TENANT = "demo"


class Device:
    """One device: metrics() gives its values after `age` seconds; a fault changes them for a while."""

    faults = ()

    def __init__(self, name, site, rng):
        self.name, self.site, self.rng = name, site, rng
        self.phase = rng.uniform(0, 2 * math.pi)
        self.seq = int(time.time() * 1000)  # a simulator started anew repeats no number
        self.fault, self.fault_age, self.fault_left = None, 0.0, 0.0

    def begin(self, fault, seconds):
        self.fault, self.fault_age, self.fault_left = fault, 0.0, seconds

    def step(self, elapsed):
        if self.fault:
            self.fault_age += elapsed
            self.fault_left -= elapsed
            if self.fault_left <= 0:
                self.fault = None

    def silent(self):
        return self.fault == "silent"

    def wave(self, age, period, height):
        return height * math.sin(2 * math.pi * age / period + self.phase)

    def noise(self, deviation):
        return self.rng.gauss(0, deviation)


class Freezer(Device):
    faults = (("door open", 25), ("sensor noise", 8))

    def __init__(self, *args):
        super().__init__(*args)
        self.temp = -20.0

    def step(self, elapsed):
        super().step(elapsed)
        # Warm air comes in through an open door; the compressor takes it out again.
        target, speed = (4.0, 0.09) if self.fault == "door open" else (-20.0, 0.25)
        self.temp += (target - self.temp) * (1 - math.exp(-speed * elapsed))

    def metrics(self, age):
        spike = self.rng.choice([0, 0, 0, 20]) if self.fault == "sensor noise" else 0
        return {
            "temp_c": round(self.temp + self.wave(age, 90, 0.6) + self.noise(0.15) + spike, 2),
            "door_open": self.fault == "door open",
            "power_w": round(180 + self.wave(age, 45, 40) + self.noise(5), 1),
        }


class Pump(Device):
    faults = (("silent", 25), ("bearing", 20))

    def metrics(self, age):
        worn = self.fault == "bearing"
        return {
            "flow_lpm": round(118 + self.wave(age, 60, 6) + self.noise(1.5) - (25 if worn else 0), 1),
            "vibration_mm_s": round(abs(1.8 + self.wave(age, 30, 0.3) + self.noise(0.1)
                                        + (7 if worn else 0)), 2),
            "running": True,
        }


class Greenhouse(Device):
    faults = (("co2 spike", 3), ("vent stuck", 30))

    def metrics(self, age):
        hot = min(self.fault_age, 15) * 0.9 if self.fault == "vent stuck" else 0
        return {
            "temp_c": round(24 + self.wave(age, 300, 2) + self.noise(0.1) + hot, 2),
            "humidity_pct": round(62 + self.wave(age, 200, 6) + self.noise(0.4), 1),
            "co2_ppm": round(640 + self.wave(age, 240, 20) + self.noise(6)
                             + (900 if self.fault == "co2 spike" else 0)),
        }


class Meter(Device):
    faults = (("overload", 15),)

    def metrics(self, age):
        return {
            "power_kw": round(31 + self.wave(age, 120, 4) + self.noise(0.6)
                              + (24 if self.fault == "overload" else 0), 2),
            "voltage_v": round(230 + self.noise(0.8) - (14 if self.fault == "overload" else 0), 1),
        }


class Tracker(Device):
    faults = (("battery", 30),)

    def metrics(self, age):
        return {"vbat": round(3.72 + self.noise(0.01) - (0.6 if self.fault == "battery" else 0), 3)}


KINDS = (("frz", Freezer, 12), ("pump", Pump, 8), ("ghs", Greenhouse, 6), ("mtr", Meter, 8),
         ("trk", Tracker, 6))
# What goes wrong first: seconds after the start, device, fault, for how long.
FIRST_FAULTS = ((3, "mtr-02", "overload", 12), (4, "frz-03", "door open", 20),
                (6, "pump-05", "silent", 25), (8, "trk-01", "battery", 25),
                (14, "ghs-04", "co2 spike", 2), (16, "pump-02", "bearing", 15))


def make_site(rng):
    devices = []
    for prefix, kind, count in KINDS:
        for i in range(1, count + 1):
            devices.append(kind(f"{prefix}-{i:02d}", "north" if i % 2 else "south", rng))
    return devices


def payload(device, age):
    device.seq += 1
    return json.dumps({"ts": round(time.time(), 3), "site_id": device.site, "seq": device.seq,
                       "metrics": device.metrics(age)}, separators=(",", ":"))


def connect(host, port, patience):
    deadline = time.monotonic() + patience
    while True:
        try:
            return minimqtt.Client(host, port, f"brink-simulator-{os.getpid()}")
        except minimqtt.MqttError as e:
            if time.monotonic() > deadline:
                raise
            print(f"simulator: {e}; trying again", file=sys.stderr, flush=True)
            time.sleep(1)


def run(options):
    rng = random.Random(options.seed)
    devices = make_site(rng)
    by_name = {d.name: d for d in devices}
    first = list(FIRST_FAULTS)
    next_random = options.calm
    client = connect(*options.broker, options.patience)
    print(f"simulator: {len(devices)} devices, one reading each every {options.interval:g} s",
          flush=True)
    started = time.monotonic()
    due = [started + i * options.interval / len(devices) for i in range(len(devices))]
    while True:
        now = time.monotonic()
        age = now - started
        if options.seconds and age > options.seconds:
            break
        while first and first[0][0] <= age:
            _, name, fault, seconds = first.pop(0)
            by_name[name].begin(fault, seconds)
        if age >= next_random:
            next_random = age + rng.uniform(0.5, 1.5) * options.calm
            device = rng.choice(devices)
            if not device.fault:
                device.begin(*rng.choice(device.faults))
        try:
            for i, device in enumerate(devices):
                if now < due[i]:
                    continue
                due[i] += options.interval
                if due[i] < now:
                    due[i] = now + options.interval
                device.step(options.interval)
                if not device.silent():
                    client.publish(f"tenant/{TENANT}/device/{device.name}/telemetry",
                                   payload(device, age), qos=1)
            client.idle()
            if options.alive:
                pathlib.Path(options.alive).touch()
        except minimqtt.MqttError as e:
            print(f"simulator: {e}; connecting anew", file=sys.stderr, flush=True)
            client = connect(*options.broker, options.patience)
        time.sleep(max(0.0, min(min(due) - time.monotonic(), 0.2)))
    client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default="127.0.0.1:1883", type=minimqtt.parse_address,
                        metavar="HOST:PORT")
    parser.add_argument("--interval", default=1.0, type=float, metavar="SECONDS",
                        help="between two readings of a device (default 1)")
    parser.add_argument("--calm", default=20.0, type=float, metavar="SECONDS",
                        help="between two random faults, on average (default 20)")
    parser.add_argument("--seconds", default=0.0, type=float, help="end after this time (default never)")
    parser.add_argument("--patience", default=60.0, type=float, metavar="SECONDS",
                        help="how long to go on trying to reach the broker (default 60)")
    parser.add_argument("--alive", metavar="FILE", help="touch this file while all is well")
    parser.add_argument("--seed", default=None, type=int, help="for the same faults every time")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(options)
    except KeyboardInterrupt:
        pass
    except minimqtt.MqttError as e:
        sys.exit(f"simulator: {e}")


if __name__ == "__main__":
    main()
