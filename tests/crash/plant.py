"""What a lane kills: one Mosquitto, one Valkey and one gateway, and the test's own connections to them.

    publisher ──▶ Mosquitto ──▶ gate ──▶ brink ──▶ Valkey
    listener  ◀──           ◀── gate ◀── its child

A killed Mosquitto loses what it had acknowledged and not yet passed on; nobody but it can mend that. So that the
gateway's promise is what is tested:
  - the publisher keeps all that is not known to be applied, and sends it again after the broker was killed: a
    redelivery is harmless (SPEC 3.6, 4.4);
  - the gate lets the gateway's alerts through only while the listener listens, and the listener's subscription has
    QoS 0, so that Mosquitto has written an alert to the listener's socket before it acknowledges it.
"""

import json
import os
import pathlib
import signal
import time

from lib import mqtt, proxy
from lib.harness import FENCE, PATIENCE, Brink, Broker, Store, free_port, wait_for

ALERTS_CLIENT = b"-alerts"  # ends the client id of the connection that alerts go out on
# A machine so busy that Valkey is late must not count as an outage: rules would rightly be unknown.
STORE_TIMEOUT = "10s"
# Writes its file often, and not always: what it comes back with may be a little old.
BROKER = "autosave_on_changes true\nautosave_interval 20\n"
FIGURES_AGE_S = 1.2
# kill -9 loses nothing that was answered; a rewrite of the file now and then is hit, too.
STORE = ("--appendfsync", "always", "--auto-aof-rewrite-percentage", "50", "--auto-aof-rewrite-min-size", "2mb")


class Plant:
    def __init__(self, folder, rules, config=None):
        """rules: the text of a rule file."""
        folder = pathlib.Path(folder)
        self.broker, self.store = Broker(folder, BROKER), Store(folder, STORE)
        self.gate = proxy.Proxy(self.broker.port)
        self.brink = Brink(folder, {
            "gateway": {"id": "gw", "state_dir": str(folder / "brink.state")},
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{self.gate.port}"], "inbox": 0},
            "telemetry": [{"topic": "tenant/{tenant}/device/{device}/telemetry", "qos": 1, "format": "json",
                           "metrics": "/metrics", "timestamp": "/ts", "site": "/site_id", "seq": "/seq"}],
            "alerts": {"topic": "alerts/{tenant}/{device}/{rule}"},
            "store": {"address": self.store.address, "timeout": STORE_TIMEOUT},
            "rules": ["rules.d/*.yaml"],
            "http": {"listen": f"127.0.0.1:{free_port()}"},
            **(config or {}),
        })
        self.brink.rules(FENCE, "00-fence.yaml")
        self.brink.rules(rules)
        self.wal = folder / "brink.state" / "outbox.db-wal"
        self.publisher = self.listener = None
        self.alerts = []      # messages of listeners that are gone
        self.kept = []        # (topic, payload) not known to be applied
        self.sent = 0         # of them on the present connection
        self.broker_lost = False  # since the last fence
        self._fences = 0

    def start(self):
        self.broker.start()
        self.store.start()
        self.connect()
        self.brink.start()
        # It comes back with an old file, but never without the gateway's session: what is published before the
        # gateway is there again must not leave a gap.
        database = self.broker.data / "mosquitto.db"
        self.broker.signal(signal.SIGUSR1)
        wait_for(lambda: database.exists() and b"tenant/+/device/+/telemetry" in database.read_bytes(),
                 "the broker to save the gateway's session")

    def close(self):
        self._disconnect()
        for process in (self.brink, self.store, self.broker):
            process.kill()
        self.gate.close()

    def processes(self):
        return (self.brink, self.store, self.broker)

    # --- killing ---

    def kill(self, name):
        """kill -9; False: it is not there."""
        if name == "sender":
            return self._kill_sender()
        process = {"brink": self.brink, "broker": self.broker, "store": self.store}[name]
        if process.process is None:
            return False
        if not process.running() and process.process.returncode != -signal.SIGKILL:
            raise AssertionError(f"{process.name} ended by itself with {process.process.returncode}")
        alive = process.running()
        process.kill()
        if name == "broker":
            self.gate.block(ALERTS_CLIENT)
            self._disconnect()
            self.broker_lost = True
        return alive

    def _kill_sender(self):
        """The gateway's child, which publishes the alerts."""
        try:
            pid = self.brink.pid
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            return bool(children)
        except OSError:  # one of them just ended
            return False

    def revive(self, name):
        if name == "brink" and not self.brink.running():
            self.brink.start(ready=False)
        elif name == "store" and not self.store.running():
            self.store.start()
        elif name == "broker" and not self.broker.running():
            self.broker.start()
            self.connect()

    def ended_well(self):
        """Has brink ended by itself, as after SIGTERM? It must have said 0."""
        if self.brink.running():
            return False
        if self.brink.process.returncode != 0:
            raise AssertionError(f"brink ended with {self.brink.process.returncode} after SIGTERM")
        self.brink.process = None
        return True

    # --- the test's connections ---

    def connect(self):
        self.publisher = mqtt.Client(self.broker.port)
        self.listener = mqtt.Client(self.broker.port)
        self.listener.subscribe("alerts/#", 0)
        self.gate.heal()
        if self.broker_lost:
            self.sent = 0

    def _disconnect(self):
        for client in (self.publisher, self.listener):
            if client:
                client.join()
        if self.listener:
            self.alerts += self.listener.messages
        self.publisher = self.listener = None

    def send(self, topic, payload):
        self.kept.append((topic, payload))
        self.pump()

    def pump(self):
        """What was not sent yet, where there is a broker."""
        try:
            while self.publisher and self.sent < len(self.kept):
                self.publisher.publish_soon(*self.kept[self.sent])
                self.sent += 1
        except OSError:
            if self.broker.running():
                raise

    def fence(self, timeout=60):
        """Returns once all that was sent is applied and its alerts are here: an alert that opens and closes went the
        same way behind them. It is always the same one, so that fences leave nothing behind in the gateway, whose
        memory a soak looks at; its value says which fence it is of."""
        def through():
            self._fences += 1
            self.pump()
            for value in (self._fences, -self._fences):
                self.publisher.publish("tenant/fence/device/f/telemetry", f'{{"metrics":{{"fence":{value}}}}}')
            found = self.listener.wait(
                lambda m: m.topic == "alerts/fence/f/fence" and json.loads(m.payload)["details"]["value"] == value,
                (5 if self.broker_lost else timeout) * PATIENCE)
            if not found and self.broker_lost:
                self.sent = 0  # the broker may have lost it, or the gateway's subscription
            return found

        wait_for(through, "a fence to come through", timeout)
        self.kept, self.sent, self.broker_lost = [], 0, False

    def await_history(self):
        """Returns once the gateway has Valkey again and nothing waits for it. What Valkey holds does not say so: an
        exchange whose answer was lost wrote it as well. The gateway's figures are up to a second old."""
        since = None

        def settled():
            nonlocal since
            figures = self.brink.metrics()
            if figures["brink_store_up"] != 1 or figures["brink_store_pending_points"] != 0:
                since = None
                return False
            since = since or time.monotonic()
            return time.monotonic() - since > FIGURES_AGE_S

        wait_for(settled, "the gateway to have Valkey again", 30)

    def take_alerts(self):
        """All messages since the last call, but for the fences'."""
        came, self.listener.messages = self.alerts + self.listener.messages, []
        self.alerts = []
        return [m for m in came if not m.topic.startswith("alerts/fence/")]
