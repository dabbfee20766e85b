"""What every integration test stands on: a folder, a Mosquitto, a Valkey and the gateway of one test.

Nothing is shared between tests, so files may run side by side. Every wait is for a condition and has an
end; a test that fails prints the logs of what it started.
"""

import ctypes
import datetime
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from lib import mqtt, resp

SOURCE = pathlib.Path(__file__).resolve().parents[3]
BRINK = os.environ.get("BRINK", str(SOURCE / "build" / "src" / "cli" / "brink"))
BASE = 1767225600  # 2026-01-01T00:00:00Z: devices' clocks start here, whatever the day
# Under sanitizers and on a loaded machine everything takes longer; no test waits for this on success.
PATIENCE = float(os.environ.get("BRINK_TEST_PATIENCE", "1"))

_ports = random.Random(os.getpid() * 1000003 + time.time_ns())
_reserved = []
_libc = ctypes.CDLL(None, use_errno=True)


def free_port():
    """A port below the kernel's range for outgoing connections, so that none of those takes it. Nor does a test
    beside this one: a name that is bound until this process ends stands for the port."""
    while True:
        port = _ports.randrange(15000, 32000)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0brink-test-port-{port}")
        except OSError:
            name.close()
            continue
        _reserved.append(name)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_for(condition, what, timeout=10):
    """Returns the first true value of condition(), or fails."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout * PATIENCE:g} s for {what() if callable(what) else what}")
        time.sleep(0.01)


def stamp(k):
    """k seconds after BASE as a device or an alert writes it."""
    at = datetime.datetime.fromtimestamp(BASE, datetime.timezone.utc) + datetime.timedelta(
        milliseconds=round(k * 1000))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def seconds(text):
    """The other way round, in milliseconds after BASE: exact."""
    at = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return round((at - datetime.datetime(2026, 1, 1)).total_seconds() * 1000)


def merge(base, over):
    """`over` laid on `base`, member by member; None takes a member away."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class Process:
    """A child that dies with the test, with its output in a file."""

    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        self.log_path = self.folder / f"{name}.log"
        self.process = None

    def spawn(self, arguments, env=None, **options):
        def die_with_parent():
            _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

        log = open(self.log_path, "ab")
        log.write(f"--- {' '.join(map(str, arguments))}\n".encode())
        log.flush()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=env, preexec_fn=die_with_parent, **options)
        log.close()

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def hang_up(self):
        self.signal(signal.SIGHUP)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=15):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.running():
            self.thaw()
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {timeout * PATIENCE:g} s") from None

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def broken(self):
        """Crashed, or a sanitizer's report stands in its log (also of a child's, or of an earlier run)."""
        crashed = self.process is not None and self.process.poll() in (-4, -6, -7, -8, -11)
        return crashed or re.search(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:", self.log())

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Broker(Process):
    """Mosquitto with a persistent store, on one port that stays the same over restarts."""

    def __init__(self, folder, options="", name="mosquitto"):
        super().__init__(name, folder)
        self.port, self.options = free_port(), options
        self.data = self.folder / f"{name}.data"
        self.data.mkdir()

    def start(self):
        options = "user root\n" if os.geteuid() == 0 else ""
        config = self.folder / f"{self.name}.conf"
        listener = self.options if "listener" in self.options else (
            "listener {port} 127.0.0.1\nallow_anonymous true\n" + self.options)
        config.write_text(options + textwrap.dedent(f"""\
            persistence true
            persistence_location {self.data}/
            max_queued_messages 0
            set_tcp_nodelay true
            connection_messages true
            log_timestamp_format %H:%M:%S
            """) + listener.replace("{port}", str(self.port)) + "\n")
        self.spawn(["mosquitto", "-c", str(config)])
        wait_for(self._listening, f"mosquitto on port {self.port}")
        return self

    def _listening(self):
        if not self.running():
            raise AssertionError("mosquitto ended:\n" + self.log())
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def client(self, **options):
        return mqtt.Client(self.port, **options)


class Store(Process):
    """Valkey with an append-only file, on a unix socket and a port that stay the same over restarts."""

    def __init__(self, folder, options=(), name="valkey"):
        super().__init__(name, folder)
        self.port, self.options = free_port(), tuple(options)
        self.socket = str(self.folder / f"{name}.sock")
        self.data = self.folder / f"{name}.data"
        self.data.mkdir()
        self._client = None
        self.credentials = {}

    @property
    def address(self):
        return f"unix://{self.socket}"

    def start(self, empty=False):
        if empty:
            shutil.rmtree(self.data)
            self.data.mkdir()
        self.drop_client()
        self.spawn(["valkey-server", "--port", str(self.port), "--bind", "127.0.0.1",
                    "--unixsocket", self.socket, "--dir", str(self.data), "--save", "",
                    "--appendonly", "yes", "--maxmemory-policy", "noeviction",
                    "--enable-debug-command", "yes", "--daemonize", "no", *self.options])
        wait_for(self._answers, "valkey")
        return self

    def _answers(self):
        if not self.running():
            raise AssertionError("valkey ended:\n" + self.log())
        try:
            client = resp.Client(self.socket, timeout=1)
        except OSError:
            return False
        try:
            client("PING")
            return True
        except resp.ErrorAnswer as error:
            return not str(error).startswith("LOADING")
        except OSError:
            return False
        finally:
            client.close()

    def drop_client(self):
        if self._client:
            self._client.close()
        self._client = None

    @property
    def client(self):
        if self._client is None:
            self._client = resp.Client(self.socket, **self.credentials)
        return self._client

    def kill(self):
        self.drop_client()
        super().kill()

    def stop(self, timeout=15):
        self.drop_client()
        return super().stop(timeout)

    def window(self, rule, device, tenant="acme", metric=None):
        """The stored list, read as the platform reads it; None: no such key."""
        value = self.client("GET", key_of(rule, device, tenant, metric))
        return None if value is None else json.loads(value)

    def keys_of(self, pattern):
        """But for those of the fence's tenant."""
        return [key for key in self.client.keys(pattern) if ":fence:" not in key]

    def raw(self, rule, device, tenant="acme", metric=None):
        return self.client.text("GET", key_of(rule, device, tenant, metric))


def key_of(rule, device, tenant="acme", metric=None):
    """SPEC 5.1."""
    escaped = re.sub(r"[:%\x00-\x1f\x7f]", lambda m: f"%{ord(m[0]):02X}", tenant)
    return f"wbuf:{escaped}:{rule}:{device}" + (f"/{metric}" if metric else "")


class Brink(Process):
    """The gateway with its configuration file and rule files in the test's folder."""

    def __init__(self, folder, config, name="brink"):
        super().__init__(name, folder)
        self.home = self.folder / f"{name}.d"
        self.rules_folder = self.home / "rules.d"
        self.rules_folder.mkdir(parents=True)
        self.config_path = self.home / "brink.yaml"
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        for name_ in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name_ in os.environ:
                self.environment[name_] = os.environ[name_]
        self.configure(config)

    def configure(self, config):
        """JSON is YAML."""
        self.config = config
        self.config_path.write_text(json.dumps(config, indent=1) + "\n")

    def rules(self, text, name="10-rules.yaml"):
        """YAML text, or a list of rules."""
        if not isinstance(text, str):
            text = json.dumps({"rules": text}, indent=1) + "\n"
        # Put in place whole: a reload may be reading just now.
        draft = self.rules_folder / (name + ".draft")
        draft.write_text(textwrap.dedent(text))
        draft.rename(self.rules_folder / name)

    def start(self, ready=True, env=None):
        self.spawn([BRINK, "run", "-c", str(self.config_path)], env={**self.environment, **(env or {})})
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=15):
        def is_ready():
            if not self.running():
                raise AssertionError(f"brink ended with {self.process.returncode}")
            return self.http("/readyz")[0] == 200

        wait_for(is_ready, "brink to be ready", timeout)

    def http(self, path):
        """(status, text); (0, why) when there is no answer."""
        host, port = self.config["http"]["listen"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def metrics(self):
        """Once there is HTTP: {'brink_readings_total': 3.0, 'brink_messages_dropped_total{reason="late"}': 0.0, ...}"""
        answers = wait_for(lambda: [text for status, text in [self.http("/metrics")] if status == 200],
                           "/metrics")
        found = {}
        for line in answers[0].splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def metric(self, name, label=None):
        """brink_NAME{label}; 0 when it was never counted."""
        return self.metrics().get(f"brink_{name}" + (f"{{{label}}}" if label else ""), 0.0)

    def memory(self):
        """Resident bytes now."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def check(self, *arguments):
        return check(self.config_path, *arguments, env=self.environment)


def check(path, *arguments, env=None):
    """`brink check`: (status, standard output, standard error)."""
    return command("check", "-c", path, *arguments, env=env)


def command(*arguments, env=None):
    done = subprocess.run([BRINK, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60 * PATIENCE,
                          env=env if env is not None else {"PATH": os.environ["PATH"], "LC_ALL": "C"})
    return done.returncode, done.stdout, done.stderr


class Alerts:
    """Alerts as they come, each parsed; those of the fence kept apart."""

    def __init__(self, client, repeats=True):
        """repeats: also a second delivery of the same event is there, as after kill -9 it may (SPEC 6.3)."""
        self.client, self.repeats, self._taken = client, repeats, set()

    def _parsed(self):
        seen = set()
        for i, message in enumerate(list(self.client.messages)):
            if not hasattr(message, "alert"):
                message.alert = json.loads(message.payload) if message.payload else None
                if message.alert is not None:
                    message.alert["_message"] = message
            alert = message.alert
            if alert is None or alert["rule_id"] == "fence":
                continue
            identity = (alert["alert_id"], alert["event_type"], alert["event_at"])
            if self.repeats or identity not in seen:
                seen.add(identity)
                yield i, alert

    def all(self, rule=None, device=None):
        return [a for _, a in self._parsed()
                if rule in (None, a["rule_id"]) and device in (None, a["device_id"])]

    def events(self, rule=None, device=None):
        """['OPEN', 'CLOSED', ...]"""
        return [a["event_type"] for a in self.all(rule, device)]

    def take(self, event_type=None, rule=None, device=None, timeout=10):
        """The first such alert that was not taken yet; waits for it."""
        def look():
            for i, alert in self._parsed():
                if (i not in self._taken and event_type in (None, alert["event_type"])
                        and rule in (None, alert["rule_id"]) and device in (None, alert["device_id"])):
                    self._taken.add(i)
                    return alert
            return None

        return wait_for(look, lambda: f"{event_type} rule={rule} device={device}; came: " + str(
            [(a["rule_id"], a["device_id"], a["event_type"]) for a in self.all()]), timeout)


FENCE = [{"id": "fence", "metric_name": "fence", "operator": "GT", "threshold": 0,
          "rule_type": "THRESHOLD", "scope": {"tenants": ["fence"]}}]


class Case(unittest.TestCase):
    """A test's folder and processes; `self.site(...)` for the usual arrangement."""

    maxDiff = 4000
    repeats = True  # see Alerts

    def setUp(self):
        # Short: the path of a unix socket has 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brink-"))
        self.started, self._fences, self._gateways = [], 0, 0
        self.broker = self.store = self.alerts = self.publisher = None

    def anew(self):
        """For a test that goes over several arrangements: ends this one and begins another."""
        self.doCleanups()
        self.tearDown()
        Case.setUp(self)

    def tearDown(self):
        outcome = self._outcome.result
        failed = any(test is self for test, _ in outcome.failures + outcome.errors)
        for client in (self.publisher, self.alerts and self.alerts.client):
            if client:
                client.close()
        broken = [p.name for p in self.started if p.broken()]
        for process in reversed(self.started):
            process.kill()
        failed = failed or broken
        if failed or os.environ.get("BRINK_TEST_VERBOSE"):
            for process in self.started:
                if failed and not isinstance(process, Brink) and len(process.log()) == 0:
                    continue
                lines = process.log().splitlines()[-150 if isinstance(process, Brink) else -25:]
                print(f"=== {self.id()}: log of {process.name}", *lines, sep="\n", file=sys.stderr)
        if not os.environ.get("BRINK_TEST_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.assertFalse(broken, "ended by a signal that no test sent, or a sanitizer spoke")

    # --- arranging ---

    def start_broker(self, options="", **how):
        self.broker = Broker(self.folder, options)
        self.started.append(self.broker)
        self.broker.start()
        self.connect(**how)
        return self.broker

    def connect(self, **how):
        """The test's own connections: one publishes, one listens to alerts (in a session that the broker keeps)."""
        self.publisher = self.broker.client(**how)
        listener = self.broker.client(client_id="listener", clean=False, expiry=3600, **how)
        if not listener.session_present:
            listener.subscribe("alerts/#", 1)
        if self.alerts:
            listener.messages[:0] = self.alerts.client.messages
            self.alerts.client = listener
        else:
            self.alerts = Alerts(listener, self.repeats)

    def reconnect(self, **how):
        """After the broker was restarted."""
        self.publisher.close(gracefully=False)
        self.alerts.client.close(gracefully=False)
        self.connect(**how)

    def start_store(self, *options):
        self.store = Store(self.folder, options)
        self.started.append(self.store)
        return self.store.start()

    def gateway(self, rules="", start=True, config=None, name=None):
        """The gateway on self.broker and, where there is one, self.store."""
        self._gateways += 1
        name = name or ("brink" if self._gateways == 1 else f"brink{self._gateways}")
        base = {
            "gateway": {"id": f"gw-{name}", "state_dir": str(self.folder / f"{name}.state")},
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{self.broker.port}"]},
            "telemetry": [
                {"topic": "tenant/{tenant}/device/{device}/telemetry", "qos": 1, "format": "json",
                 "metrics": "/metrics", "timestamp": "/ts", "site": "/site_id", "seq": "/seq"},
                {"topic": "tenant/{tenant}/device/{device}/heartbeat", "format": "heartbeat"},
            ],
            "alerts": {"topic": "alerts/{tenant}/{device}/{rule}"},
            # A machine so busy that Valkey is late must not count as an outage: rules would rightly be unknown.
            "store": {"address": self.store.address, "timeout": "3s"} if self.store else {"address": "memory"},
            "rules": ["rules.d/*.yaml"],
            "http": {"listen": f"127.0.0.1:{free_port()}"},
        }
        brink = Brink(self.folder, merge(base, config or {}), name)
        self.started.append(brink)
        brink.rules(FENCE, "00-fence.yaml")
        if rules:
            brink.rules(rules)
        return brink.start() if start else brink

    def site(self, rules, config=None, store=True):
        """Broker, store, gateway, all up."""
        self.start_broker()
        if store:
            self.start_store()
        self.brink = self.gateway(rules, config=config)
        return self.brink

    # --- acting ---

    def send(self, device, k=None, tenant="acme", site=None, seq=None, wait=True, qos=1, **metrics):
        """One message of the platform's form, at BASE + k seconds."""
        body = {}
        if k is not None:
            body["ts"] = stamp(k)
        if site is not None:
            body["site_id"] = site
        if seq is not None:
            body["seq"] = seq
        body["metrics"] = metrics
        self.send_raw(f"tenant/{tenant}/device/{device}/telemetry", json.dumps(body), qos, wait)

    def send_raw(self, topic, payload, qos=1, wait=True):
        (self.publisher.publish if wait else self.publisher.publish_soon)(topic, payload, qos)

    def fence(self, timeout=20):
        """Returns once all that was sent before was applied and its alerts are here: a reading that
        raises an alert of its own goes the same way behind it."""
        self._fences += 1
        device = f"{os.urandom(3).hex()}-{self._fences}"
        self.publisher.publish(f"tenant/fence/device/{device}/telemetry", '{"metrics":{"fence":1}}')
        found = self.alerts.client.wait(lambda m: m.topic == f"alerts/fence/{device}/fence",
                                        timeout * PATIENCE)
        self.assertTrue(found, f"fence {device} did not come through")

    def counted(self, name, label=None, at_least=1, timeout=10):
        """Waits until brink counted it so often."""
        return wait_for(lambda: self.brink.metric(name, label) >= at_least,
                        lambda: f"brink_{name}{{{label}}} >= {at_least}; is "
                                f"{self.brink.metric(name, label):g}", timeout)

    def logged(self, pattern, brink=None, timeout=10):
        """Waits for a line of brink's log; returns the match."""
        brink = brink or self.brink
        return wait_for(lambda: re.search(pattern, brink.log(), re.M), f"log line {pattern!r}", timeout)
