#!/usr/bin/env python3
"""What the running compose project promises: alerts come out, a window outlives a restart of Valkey
and of the gateway, and a network that was cut heals. Started by test.sh."""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import minimqtt  # noqa: E402


class Site:
    def __init__(self, options):
        self.project = options.project
        self.http = options.http
        host, port = options.broker
        self.client = minimqtt.Client(host, port, "brink-test")
        self.client.subscribe(["alerts/#", "brink/+/status"])
        self.alerts, self.status = [], None
        self.sent = 0

    def docker(self, *arguments):
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def container(self, service):
        return f"{self.project}-{service}-1"

    def network(self, what, service):
        arguments = ["--alias", service] if what == "connect" else []
        self.docker("network", what, *arguments, f"{self.project}_default", self.container(service))

    def wait_healthy(self, service, seconds=60):
        self.wait(f"{service} is healthy again", seconds, lambda: self.docker(
            "inspect", "-f", "{{.State.Health.Status}}", self.container(service)) == "healthy")

    def send(self, device, **metrics):
        """One reading. The times lie a second apart, however fast the test is."""
        if not self.sent:
            self.sent = time.time() - 300
        self.sent += 1
        self.client.publish(f"tenant/test/device/{device}/telemetry", json.dumps(
            {"ts": self.sent, "seq": int(self.sent * 1000), "metrics": metrics}), qos=1)
        self.client.flush()

    def valkey(self, *command):
        return self.docker("exec", self.container("valkey"), "valkey-cli", "--raw", *command)

    def window(self, device):
        try:
            return json.loads(self.valkey("get", f"wbuf:test:test-fifth:{device}"))
        except ValueError:
            return []

    def take(self, seconds):
        for topic, payload, _ in self.client.wait(seconds):
            if topic.startswith("alerts/"):
                self.alerts.append(json.loads(payload))
            else:
                self.status = json.loads(payload)["status"]

    def of(self, **fields):
        return [a for a in self.alerts if all(a.get(k) == v for k, v in fields.items())]

    def wait(self, promise, seconds, condition):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                print(f"FAILED: {promise}\nalerts so far:", file=sys.stderr)
                for alert in self.alerts:
                    print(" ", {k: alert.get(k) for k in ("event_type", "rule_id", "device_id")},
                          file=sys.stderr)
                sys.exit(1)
            self.take(0.2)
        print(f"  {promise}", flush=True)

    def page(self, path):
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as answer:
            return answer.read().decode()


def check(options):
    site = Site(options)
    open_of = lambda device, rule: site.of(event_type="OPEN", device_id=device, rule_id=rule)  # noqa: E731

    site.wait("the gateway says that it is online", 10, lambda: site.status == "online")
    site.wait("its page of metrics has something to tell", 10,
              lambda: "brink_" in site.page("/metrics"))
    site.wait("the simulated site raises an alert", 60, lambda: site.of(tenant_id="demo"))

    for _ in range(3):
        site.send("w1", flow=1)
    site.wait("a window is written to Valkey", 10, lambda: len(site.window("w1")) == 3)
    site.docker("restart", "--time", "10", site.container("valkey"))
    site.wait_healthy("valkey")
    site.wait("a restart of Valkey keeps it", 10, lambda: len(site.window("w1")) == 3)
    site.send("w1", flow=1)
    site.wait("and it goes on growing", 20, lambda: len(site.window("w1")) == 4)
    site.docker("restart", "--time", "20", site.container("brink"))
    site.wait_healthy("brink")
    site.send("w1", flow=1)
    site.wait("after a restart of the gateway the fifth reading sees the other four", 20,
              lambda: open_of("w1", "test-fifth"))
    detail = json.dumps(open_of("w1", "test-fifth")[0]["details"])
    site.wait("as the alert's details tell", 0, lambda: '"count":5' in detail.replace(" ", ""))

    site.network("disconnect", "valkey")
    for _ in range(5):
        site.send("w2", flow=1)
    site.send("t1", level=101)
    site.wait("cut off from Valkey, a limit still raises its alert", 20,
              lambda: open_of("t1", "test-limit"))
    site.wait("while a window decides nothing", 0, lambda: not open_of("w2", "test-fifth"))
    site.network("connect", "valkey")
    site.wait("healed, what came meanwhile is written", 40, lambda: len(site.window("w2")) == 5)
    site.wait("and decided", 20, lambda: open_of("w2", "test-fifth"))

    site.network("disconnect", "brink")
    site.wait("cut off from the broker, the gateway is offline by its will", 90,
              lambda: site.status == "offline")
    site.send("t2", level=102)
    site.send("t1", level=50)
    site.network("connect", "brink")
    site.wait("healed, it is online again", 60, lambda: site.status == "online")
    site.wait("what the broker kept for it is decided", 30, lambda: open_of("t2", "test-limit"))
    site.wait("an alert is closed under its name", 30, lambda: site.of(
        event_type="CLOSED", device_id="t1", alert_id=open_of("t1", "test-limit")[0]["alert_id"]))
    for device, rule in (("w1", "test-fifth"), ("w2", "test-fifth"), ("t1", "test-limit"),
                         ("t2", "test-limit")):
        ids = {a["alert_id"] for a in open_of(device, rule)}
        site.wait(f"{device} was raised once", 0, lambda: len(ids) == 1)
    print("compose: all promises held")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--broker", required=True, type=minimqtt.parse_address)
    parser.add_argument("--http", required=True)
    check(parser.parse_args())


if __name__ == "__main__":
    main()
