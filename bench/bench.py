#!/usr/bin/env python3
"""End-to-end benchmarks: the real binary, a real Mosquitto and a real Valkey on this machine (README.md).

Every figure is the median of several runs with the least and the greatest beside it. What it is compared
with runs in between, not before or after, so that both see the same machine: read the ratios.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "integration"))
sys.dont_write_bytecode = True
from lib import resp  # noqa: E402
from lib.harness import BASE, Process, free_port, wait_for  # noqa: E402

RULES = """rules:
  - {id: hot, when: "avg(temp_c, %ds) > 30"}
  - {id: humid, when: humidity > 90}
"""
CONFIG = """gateway: {id: bench, state_dir: %(folder)s/state}
mqtt: {servers: ["mqtt://127.0.0.1:%(port)d"], inbox: %(inbox)d}
telemetry:
  - {topic: "bench/{device}/telemetry", qos: %(qos)d, timestamp: /ts, site: /site_id, seq: /seq}
alerts: {topic: "bench-alert/{device}/{rule}/{event_type}", qos: %(qos)d}
store: {address: "%(store)s"}
rules: [rules.yaml]
log: {level: warning}
"""


class Bench:
    """The servers of one measurement, and whatever stands in for the gateway."""

    def __init__(self, options, nodelay=True):
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brink-bench-"))
        self.port, self.socket = free_port(), self.folder / "valkey.sock"
        (self.folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"max_inflight_messages 100\nset_tcp_nodelay {'true' if nodelay else 'false'}\n"
            "sys_interval 0\nlog_type error\n")
        self.broker = Process("mosquitto", self.folder)
        self.valkey = Process("valkey", self.folder)
        self.gateway = None
        self.broker.spawn(["mosquitto", "-c", str(self.folder / "mosquitto.conf")])
        self.valkey.spawn(["valkey-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "",
                           "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir",
                           str(self.folder)])
        wait_for(self._listening, "the servers")
        self.store = f"unix://{self.socket}?db=0"

    def _listening(self):
        try:
            subprocess.run(["mosquitto_pub", "-p", str(self.port), "-t", "x", "-n"], check=True,
                           capture_output=True)
            resp.Client(str(self.socket)).close()
            return True
        except (OSError, subprocess.CalledProcessError):
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_gateway()
        for process in (self.broker, self.valkey):
            process.kill()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    def valkey_client(self):
        return resp.Client(str(self.socket))

    def configure(self, qos=0, inbox=1024, store=None, window=60, rules=None):
        (self.folder / "state").mkdir(exist_ok=True)
        (self.folder / "rules.yaml").write_text(rules or RULES % window)
        (self.folder / "brink.yaml").write_text(CONFIG % {
            "folder": self.folder, "port": self.port, "inbox": inbox, "qos": qos,
            "store": store or self.store})

    def start_brink(self, build, **settings):
        self.configure(**settings)
        self.gateway = Process("gateway", self.folder)
        self.gateway.spawn([str(build / "src/cli/brink"), "run", "-c", str(self.folder / "brink.yaml")])
        wait_for(lambda: self._subscribed() or not self.gateway.running(), "a subscription", 20)
        if not self.gateway.running():
            sys.exit(f"the gateway ended:\n{self.gateway.log()}")

    def _subscribed(self):
        """Its retained status is published once it is subscribed."""
        got = subprocess.run(["mosquitto_sub", "-p", str(self.port), "-t", "brink/bench/status", "-C", "1",
                              "-W", "1"], capture_output=True, check=False)
        return b"online" in got.stdout

    def start_other(self, *command):
        self.gateway = Process("gateway", self.folder)
        self.gateway.spawn([str(c) for c in command])
        wait_for(lambda: "ready" in self.gateway.log(), "the baseline")

    def stop_gateway(self):
        if self.gateway:
            self.gateway.signal(signal.SIGTERM)
            self.gateway.process.wait(20)
            self.gateway = None

    def children(self):
        path = f"/proc/{self.gateway.pid}/task/{self.gateway.pid}/children"
        return [int(pid) for pid in pathlib.Path(path).read_text().split()]

    def drive(self, **settings):
        """One run of the load; what it printed."""
        command = [str(self.options.build / "bench/load"), "drive", "--port", str(self.port)]
        for name, value in settings.items():
            name = "--" + name.replace("_", "-")
            command += [name] if value is True else [name, str(value)]
        for name, pid in [("gateway", self.gateway.pid), ("broker", self.broker.pid),
                          ("valkey", self.valkey.pid), *(("child", c) for c in self.children())]:
            command += ["--pid", f"{name}={pid}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            sys.exit(f"load failed: {done.stderr}\n{self.gateway.log()}")
        result = json.loads(done.stdout)
        if result["lost"] or result["false"] or not result["answering"]:
            print(f"  !! lost {result['lost']}, false {result['false']}, answering {result['answering']}")
        return result


def span(values, form="{:.0f}"):
    values = sorted(values)
    middle = form.format(statistics.median(values))
    return f"{middle:>9} ({form.format(values[0])} - {form.format(values[-1])})"


def median(results, *path):
    values = []
    for result in results:
        for name in path:
            result = result[name] if name in result else 0
        values.append(result)
    return statistics.median(values)


class Table:
    """Rows of results, the first of them the baseline."""

    def __init__(self, title, what="readings/s"):
        self.rows = {}
        print(f"\n{title}")
        self.what = what

    def add(self, name, result):
        self.rows.setdefault(name, []).append(result)

    def show(self):
        print(f"  {'':<34}{self.what:>30}  ratio   CPU us a reading: gateway  child broker valkey   MiB")
        first = None
        for name, results in self.rows.items():
            rate = median(results, "rate")
            first = first or rate
            bad = sum(r["lost"] + r["false"] for r in results)
            cpu = [median(results, "cpu_us", p) for p in ("gateway", "child", "broker", "valkey")]
            rss = median(results, "rss_mib", "gateway")
            print(f"  {name:<34}{span([r['rate'] for r in results]):>30}  {rate / first:5.2f}"
                  f"{cpu[0]:33.2f} {cpu[1]:6.2f} {cpu[2]:6.2f} {cpu[3]:6.2f} {rss:5.1f}"
                  f"{f'  lost or false: {bad}' if bad else ''}")


# --- the parts ---------------------------------------------------------------------------------

def builds(options):
    return [("brink", options.build)] + [(f"brink, {b.name}", b) for b in options.also]


def throughput(options, qos, messages):
    table = Table(f"QoS {qos}, closed loop, 1000 devices, avg over 60 readings and a threshold")
    for _ in range(options.rounds):
        with Bench(options) as b:
            b.start_other(options.build / "bench/load", "null", "--port", b.port, "--qos", qos)
            table.add("null subscriber", b.drive(qos=qos, messages=messages, opens_only=True, patience=3))
        with Bench(options) as b:
            b.start_other(options.build / "bench/paho", b.port, qos)
            table.add("least code on the same Paho", b.drive(qos=qos, messages=messages, opens_only=True))
        for name, build in builds(options):
            with Bench(options) as b:
                b.start_brink(build, qos=qos, store="memory")
                table.add(f"{name}, no history", b.drive(qos=qos, messages=messages))
            with Bench(options) as b:
                b.start_brink(build, qos=qos)
                table.add(f"{name}, history in Valkey", b.drive(qos=qos, messages=messages))
    table.show()


def inbox_zero(options, messages):
    table = Table("QoS 1, `inbox: 0`: acknowledged once applied")
    for _ in range(options.rounds):
        for inbox in (1024, 0):
            with Bench(options) as b:
                b.start_brink(options.build, qos=1, inbox=inbox)
                table.add(f"inbox: {inbox}", b.drive(qos=1, messages=messages))
    table.show()


def prefill(bench, devices, window):
    """Full windows, as a gateway before this one would have left them."""
    client = bench.valkey_client()
    value = "[" + ",".join(f"[{BASE + k}.0,22.5]" for k in range(window)) + "]"
    for d in range(devices):
        client("SET", f"wbuf:default:hot:d{d:07d}", value, "PX", 7 * 86400 * 1000)
    client.close()


def flat_windows(options, messages):
    table = Table("Window length: 10 devices, their windows full from the start")
    for _ in range(options.rounds):
        for window in (10, 3000, 86400):
            with Bench(options) as b:
                prefill(b, 10, window)
                b.start_brink(options.build, window=window)
                b.drive(devices=10, warm=window, first=window + 1, hot_window=window, messages=2000)
                table.add(f"{window} entries", b.drive(devices=10, warm=window, first=window + 201,
                                                       hot_window=window, messages=messages))
    table.show()


def flat_devices(options, messages):
    table = Table("Devices, 60 entries each")
    for _ in range(options.rounds):
        for devices in (10, 1000, 10000):
            with Bench(options) as b:
                b.start_brink(options.build)
                table.add(f"{devices} devices", b.drive(devices=devices, messages=messages))
    table.show()


def flat_rules(options, messages):
    table = Table("Rules, of which 3 apply to a device")
    for _ in range(options.rounds):
        for n in (3, 1000, 10000):
            rules = RULES % 60 + '  - {id: low, when: vbat < 1}\n' + "".join(
                f'  - {{id: r{i}, when: "avg(temp_c, 60s) > {i}", scope: {{devices: [other-{i}]}}}}\n'
                for i in range(n - 3))
            with Bench(options) as b:
                b.start_brink(options.build, rules=rules)
                table.add(f"{n} rules", b.drive(messages=messages))
    table.show()


def latency(options):
    print("\nFrom a reading's due time to its alert's arrival, ms")
    print(f"  {'':<40}{'p50':>24}{'p99':>26}   gateway CPU us")
    seconds = 4 if options.quick else 10
    for qos, rate in ((0, 1000), (0, 5000), (1, 250), (1, 5000)):
        results = {}
        load = {"qos": qos, "rate": rate, "messages": rate * seconds, "devices": min(1000, rate // 5)}
        for _ in range(options.rounds):
            with Bench(options) as b:
                b.start_other(options.build / "bench/paho", b.port, qos)
                results.setdefault("least code on the same Paho", []).append(
                    b.drive(**load, opens_only=True))
            for name, build in builds(options):
                with Bench(options) as b:
                    b.start_brink(build, qos=qos)
                    results.setdefault(f"{name}, history in Valkey", []).append(
                        b.drive(**load))
        for name, runs in results.items():
            print(f"  QoS {qos}, {rate:>5}/s, {name:<40.40}"
                  f"{span([r['p50_ms'] for r in runs], '{:.2f}'):>22}"
                  f"{span([r['p99_ms'] for r in runs], '{:.2f}'):>26}"
                  f"{median(runs, 'cpu_us', 'gateway'):10.1f}")


def status_mib(pid, *keys):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return [int(found[key].split()[0]) / 1024 for key in keys]


GIVEN_BACK_S = 30  # by then what growing left free went back to the system


def memory(options):
    print("\nResident memory, MiB (of it neither shared nor from files)")
    for name, build in builds(options):
        print(f"  {name}")
        with Bench(options) as b:
            b.start_brink(build)
            time.sleep(1)
            for what, pid in [("gateway", b.gateway.pid), *(("its child", c) for c in b.children())]:
                rss, anonymous = status_mib(pid, "VmRSS", "RssAnon")
                print(f"    idle, {what:<36}{rss:8.1f} ({anonymous:.1f})")
            idle = status_mib(b.gateway.pid, "RssAnon")[0]
            devices = 1000 if options.quick else 10000
            b.drive(devices=devices, messages=devices)
            time.sleep(GIVEN_BACK_S)
            rss, anonymous = status_mib(b.gateway.pid, "VmRSS", "RssAnon")
            print(f"    {devices} devices x 60 entries{'':<17}{rss:8.1f} ({anonymous:.1f}), "
                  f"{(anonymous - idle) * 1024 / devices:.2f} KiB a device")
        rules = RULES % 60 + "".join(f'  - {{id: r{i}, when: "avg(t{i}, 60s) > {i}", '
                                     f'scope: {{devices: [other-{i}]}}}}\n' for i in range(10000))
        with Bench(options) as b:
            b.start_brink(build, rules=rules)
            many = status_mib(b.gateway.pid, "RssAnon")[0]
            print(f"    10000 rules{'':<31}{many:8.1f}, {(many - idle) * 1024 / 10000:.2f} KiB a rule")
        size = (build / "src/cli/brink").stat().st_size
        print(f"    the binary{'':<32}{size / 1048576:8.2f}")


def start(options):
    print("\nFrom the start of the process to its first alert, ms")
    for name, build in builds(options):
        times = []
        for _ in range(max(options.rounds, 3)):
            with Bench(options) as b:
                b.configure()
                sub = subprocess.Popen(["mosquitto_sub", "-p", str(b.port), "-t", "bench-alert/#", "-C", "1"],
                                       stdout=subprocess.PIPE)
                pub = subprocess.Popen(["mosquitto_pub", "-p", str(b.port), "-t", "bench/d1/telemetry", "-l"],
                                       stdin=subprocess.PIPE)
                time.sleep(0.3)
                began = time.monotonic()
                b.gateway = Process("gateway", b.folder)
                b.gateway.spawn([str(build / "src/cli/brink"), "run", "-c", str(b.folder / "brink.yaml")])
                k = 0
                os.set_blocking(sub.stdout.fileno(), False)
                while not sub.stdout.read() and time.monotonic() - began < 10:
                    k += 1
                    pub.stdin.write(b'{"seq":%d,"metrics":{"humidity":99}}\n' % k)
                    pub.stdin.flush()
                    time.sleep(0.001)
                times.append((time.monotonic() - began) * 1000)
                pub.stdin.close()
                pub.wait()
                sub.wait()
        print(f"  {name:<40}{span(times, '{:.0f}')}")


def replay(options):
    lines = 100000 if options.quick else 1000000
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.yaml").write_text(RULES % 60)
        (folder / "brink.yaml").write_text(CONFIG % {"folder": folder, "port": 1, "inbox": 1024, "qos": 0,
                                                     "store": "memory"})
        (folder / "state").mkdir()
        helped = subprocess.run([str(options.build / "src/cli/brink"), "replay", "--help"],
                                capture_output=True, check=False)
        if helped.returncode != 0:
            print("\nbrink replay: this build has none")
            return
        with open(folder / "recording", "w") as recording:
            for i in range(lines):
                k = i // 1000
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BASE + k))
                payload = json.dumps({"ts": stamp + "Z", "seq": k, "metrics": {
                    "temp_c": 20 + i % 50 / 10, "humidity": 99.0 if (k + i) % 50 == 0 else 45.5}})
                recording.write(json.dumps({"tst": stamp + ".000000+0000", "topic":
                                            f"bench/d{i % 1000:07d}/telemetry", "qos": 0, "retain": 0,
                                            "payloadlen": len(payload), "payload": payload}) + "\n")
        times = []
        for _ in range(options.rounds):
            began = time.monotonic()
            subprocess.run([str(options.build / "src/cli/brink"), "replay", "-c", str(folder / "brink.yaml"),
                            str(folder / "recording")], stdout=subprocess.DEVNULL, check=True)
            times.append(lines / (time.monotonic() - began))
        print(f"\nbrink replay, 2 rules, messages/s\n  {'':<40}{span(times)}")


def e2e(options):
    for table in TABLES.values():
        table(options)


TABLES = {
    "throughput0": lambda o: throughput(o, 0, o.messages),
    "throughput1": lambda o: throughput(o, 1, o.messages // 2),
    "inbox": lambda o: inbox_zero(o, o.messages // 4),
    "windows": lambda o: flat_windows(o, o.messages // 2),
    "devices": lambda o: flat_devices(o, o.messages // 2),
    "rules": lambda o: flat_rules(o, o.messages // 2),
    "replay": replay,
}
PARTS = {"e2e": e2e, "latency": latency, "memory": memory, "start": start}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--build", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--also", type=lambda p: pathlib.Path(p).resolve(), action="append", default=[],
                        metavar="BUILD", help="a build to compare with, beside it in every round")
    parser.add_argument("--quick", action="store_true", help="small and twice: to see that it works")
    parser.add_argument("--rounds", type=int, help="default 5; with --quick 2")
    parser.add_argument("--messages", type=int, help="a run; default 400000; with --quick 60000")
    parser.add_argument("--only", choices=TABLES, help="one table of e2e")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.messages = options.messages or (60000 if options.quick else 400000)
    if options.only:
        TABLES[options.only](options)
    else:
        PARTS[options.part](options)


if __name__ == "__main__":
    main()
