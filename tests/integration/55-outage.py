#!/usr/bin/env python3
"""Valkey away in every way (SPEC 5.4, 5.5): rules without a window go on, the others wait, nothing is lost."""

import time
import unittest

from lib import proxy
from lib.harness import BASE, Case, Store, seconds, wait_for

RULES = [
    {"id": "hot", "when": "m > 100"},
    {"id": "avg", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "avg", "operator": "GT",
     "threshold": 25, "window_seconds": 600},
]
TIMEOUT = 0.3


class Outage(Case):
    def arrange(self, through_proxy=False, **store):
        self.start_broker()
        self.start_store()
        if through_proxy:
            self.proxy = proxy.Proxy(self.store.socket)
            self.addCleanup(self.proxy.close)
            store["address"] = f"valkey://127.0.0.1:{self.proxy.port}"
        self.brink = self.gateway(RULES, config={"store": {"timeout": "300ms", **store}})
        self.k, self.expected = 0, {}

    def put(self, device, *values):
        for value in values:
            self.send(device, self.k, m=value)
            self.expected.setdefault(device, []).append([BASE + self.k, float(value)])
            self.k += 1

    def before(self):
        """One device calm, one whose window alert fires."""
        self.put("calm", 10, 11)
        self.put("firing", 30, 31)
        self.alerts.take("OPEN", "avg", "firing")
        self.fence()

    def meanwhile(self):
        """What must hold while it is away."""
        self.put("calm", 90, 91)  # would fire
        self.put("firing", 1, 1, 1)  # would resolve
        self.put("new", 50, 60)  # would fire
        took = []
        for i in range(25):
            began = time.monotonic()
            self.send("latency", i, m=200 * (1 - i % 2))
            self.alerts.take("CLOSED" if i % 2 else "OPEN", "hot", "latency")
            took.append(time.monotonic() - began)
        self.assertLess(max(took), TIMEOUT + 0.5)
        # One stall; another is granted to a busy machine. One at each reconnect would be four and more.
        self.assertLessEqual(sum(1 for t in took if t > 0.2), 2, [round(t, 3) for t in took])
        self.assertEqual(self.alerts.events("avg"), ["OPEN"])
        self.assertEqual(self.brink.http("/healthz")[0], 200)

    def after(self, kept=True):
        """Once it is back each rule whose window changed is evaluated once, and all is in its place."""
        self.assertTrue(self.alerts.take("OPEN", "avg", "calm", timeout=25))
        self.alerts.take("OPEN", "avg", "new", timeout=25)
        self.alerts.take("CLOSED", "avg", "firing", timeout=25)
        if kept:
            for device, points in self.expected.items():
                wait_for(lambda: self.store.window("avg", device) == points,
                         lambda: f"{device}: {points}; is {self.store.window('avg', device)}")
        self.put("calm", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        self.alerts.take("CLOSED", "avg", "calm")
        self.fence()
        self.assertEqual(self.alerts.events("avg", "calm"), ["OPEN", "CLOSED"])
        self.assertEqual(self.alerts.events("avg", "firing"), ["OPEN", "CLOSED"])
        self.assertEqual(self.alerts.events("avg", "new"), ["OPEN"])
        self.assertFalse(any(a["degraded"] for a in self.alerts.all()))

    def test_frozen(self):
        self.arrange()
        self.before()
        self.store.freeze()
        self.meanwhile()
        self.store.thaw()
        self.after()

    def test_killed_and_back(self):
        self.arrange()
        self.before()
        self.store.kill()
        self.meanwhile()
        self.store.start()
        self.after()

    def test_killed_and_back_empty_is_written_back(self):
        self.arrange()
        self.before()
        self.store.kill()
        self.meanwhile()
        self.store.start(empty=True)
        self.after()

    def test_back_empty_with_nothing_new_is_written_back(self):
        self.arrange()
        self.before()
        self.store.kill()
        self.store.start(empty=True)
        for device in ("calm", "firing"):
            wait_for(lambda: self.store.window("avg", device) == self.expected[device],
                     lambda: f"{device} to be written back", 25)
        self.fence()
        self.assertEqual(self.alerts.events(), ["OPEN"])
        self.assertGreaterEqual(self.brink.metric("store_values_written_back_total"), 2)

    def test_full(self):
        self.arrange()
        self.before()
        self.store.client("CONFIG", "SET", "maxmemory", "1")
        self.meanwhile()
        self.assertGreater(self.brink.metric("store_failures_total", 'reason="error_answer"'), 0)
        self.store.client("CONFIG", "SET", "maxmemory", "0")
        self.after()

    def test_read_only(self):
        self.arrange()
        self.before()
        self.store.client("REPLICAOF", "127.0.0.1", "1")
        self.meanwhile()
        self.store.client("REPLICAOF", "NO", "ONE")
        self.after()

    def test_without_rights(self):
        self.start_broker()
        self.start_store()
        self.store.client("ACL", "SETUSER", "gw", "on", ">sesame", "~*", "&*", "+@all")
        secret = self.folder / "secret"
        secret.write_text("sesame")
        self.brink = self.gateway(RULES, config={"store": {
            "timeout": "300ms", "username": "gw", "password_file": str(secret)}})
        self.k, self.expected = 0, {}
        self.before()
        self.store.client("ACL", "SETUSER", "gw", "-@all", "+ping")
        self.meanwhile()
        self.store.client("ACL", "SETUSER", "gw", "+@all")
        self.after()

    def test_keys_without_rights(self):
        self.start_broker()
        self.start_store()
        self.store.client("ACL", "SETUSER", "gw", "on", ">sesame", "~*", "&*", "+@all")
        secret = self.folder / "secret"
        secret.write_text("sesame")
        self.brink = self.gateway(RULES, config={"store": {
            "timeout": "300ms", "username": "gw", "password_file": str(secret)}})
        self.k, self.expected = 0, {}
        self.before()
        self.store.client("ACL", "SETUSER", "gw", "resetkeys", "~other:*")
        self.meanwhile()
        self.store.client("ACL", "SETUSER", "gw", "~*")
        self.after()

    def test_wrong_password_then_the_right_one(self):
        self.start_broker()
        self.start_store()
        self.store.client("ACL", "SETUSER", "gw", "on", ">right", "~*", "&*", "+@all")
        secret = self.folder / "secret"
        secret.write_text("wrong")
        self.brink = self.gateway(RULES, config={"store": {
            "timeout": "300ms", "username": "gw", "password_file": str(secret)}})
        self.send("d1", 0, m=200)
        self.alerts.take("OPEN", "hot", "d1")
        self.send("d1", 1, m=201)
        self.logged("WRONGPASS|(?i:invalid username-password|password)")
        self.fence()
        self.assertEqual(self.alerts.events("avg"), [])
        self.store.client("ACL", "SETUSER", "gw", ">wrong")
        self.alerts.take("OPEN", "avg", "d1", timeout=25)
        self.assertEqual(self.store.window("avg", "d1"), [[BASE, 200], [BASE + 1, 201]])

    def test_absent_at_start(self):
        self.start_broker()
        self.store = Store(self.folder)
        self.started.append(self.store)
        began = time.monotonic()
        self.brink = self.gateway(RULES, config={"store": {"timeout": "300ms"}})
        self.assertLess(time.monotonic() - began, 5)
        self.k, self.expected = 0, {}
        self.put("d1", 200, 201)
        self.alerts.take("OPEN", "hot", "d1")
        self.fence()
        self.assertEqual(self.alerts.events("avg"), [])
        self.store.start()
        self.alerts.take("OPEN", "avg", "d1", timeout=25)
        self.assertEqual(self.store.window("avg", "d1"), self.expected["d1"])

    def test_what_it_held_before_is_joined_with_what_came_meanwhile(self):
        self.arrange()
        self.before()
        self.brink.stop()
        self.store.kill()
        self.brink.start()  # knows nothing of the window
        self.put("calm", 90)
        self.fence()
        self.store.start()
        opened = self.alerts.take("OPEN", "avg", "calm", timeout=25)
        self.assertEqual(opened["details"]["windows"][0]["count"], 3)
        self.assertEqual(self.store.window("avg", "calm"), self.expected["calm"])

    def test_rule_is_decided_although_nothing_of_its_window_waited(self):
        """What came meanwhile was a reading of a metric without a window."""
        self.start_broker()
        self.start_store()
        self.brink = self.gateway([{"id": "both", "when": "avg(m, 1h) > 5 and n > 1"}])
        for k in range(3):
            self.send("d1", k, m=10)
        self.fence()
        self.store.kill()
        wait_for(lambda: self.brink.metric("store_up") == 0, "Valkey to be missed")
        self.send("d1", 3, n=2)
        self.fence()
        self.assertEqual(self.alerts.events("both"), [])
        self.store.start()
        self.assertEqual(seconds(self.alerts.take("OPEN")["event_at"]), 3000)

    def test_firing_alert_is_neither_repeated_nor_resolved(self):
        self.start_broker()
        self.start_store()
        self.brink = self.gateway([{"id": "r", "when": "avg(m, 10m) > 25", "repeat": "1s"}],
                                  config={"store": {"timeout": "300ms"}})
        for k in range(2):
            self.send("d1", k, m=30)
        self.alerts.take("OPEN")
        self.alerts.take("REPEATED")
        self.store.kill()
        self.send("d1", 3, m=30)
        self.fence()
        seen = len(self.alerts.all())
        until = time.monotonic() + 2.5
        wait_for(lambda: time.monotonic() > until, "time for two repeats")
        self.assertEqual(len(self.alerts.all()), seen)
        self.store.start()
        self.alerts.take("REPEATED", timeout=25)

    def test_slow_beyond_the_timeout(self):
        self.arrange(through_proxy=True)
        self.before()
        self.proxy.delay(1.0)
        self.meanwhile()
        self.proxy.heal()
        self.after()

    def test_refused_connections(self):
        self.arrange(through_proxy=True)
        self.before()
        self.proxy.refuse()
        self.meanwhile()
        self.proxy.heal()
        self.after()

    def test_accepts_and_says_nothing(self):
        self.arrange(through_proxy=True)
        self.before()
        self.proxy.stall()
        self.meanwhile()
        self.proxy.cut()
        self.proxy.heal()
        self.after()

    def test_connections_cut_in_the_middle_of_answers(self):
        self.arrange(through_proxy=True)
        for n in range(1, 60, 7):
            self.put("d1", n)
            self.fence()
            self.proxy.cut(after=n)
            self.put("d1", n + 1, n + 2)
        wait_for(lambda: self.store.window("avg", "d1") == self.expected["d1"],
                 lambda: f"{self.expected['d1']}; is {self.store.window('avg', 'd1')}", 25)

    def test_connection_killed_by_the_server_and_script_flushed(self):
        self.arrange()
        for n in range(1, 20):
            self.put("d1", n)
            if n % 3 == 0:
                self.store.client("SCRIPT", "FLUSH")
            if n % 5 == 0:
                self.store.client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_for(lambda: self.store.window("avg", "d1") == self.expected["d1"],
                 lambda: f"{self.expected['d1']}; is {self.store.window('avg', 'd1')}", 25)

    def test_alerts_are_not_held_up_by_a_full_inbox(self):
        """Valkey stands still, the inbox is full: alerts that wait in the outbox still go out."""
        self.site("""\
            rules:
              - {id: seen, when: m > 0}
              - {id: w, when: "avg(m, 10m) > 1000"}
            """, config={"mqtt": {"inbox": 1}, "store": {"timeout": "200ms"}})
        self.send("warm", 0, m=1)
        self.fence()
        self.store.freeze()
        worst, began = 0.0, time.monotonic()
        for i in range(60):
            at = time.monotonic()
            self.send(f"d{i}", 0, m=1, wait=False)
            for j in range(20):
                self.send(f"noise-{j}", i, m=0, wait=False)
            self.alerts.take("OPEN", "seen", f"d{i}")
            took = time.monotonic() - at
            if i:
                worst = max(worst, took)
            else:
                self.assertLess(took, 3.0)  # the one stall
        self.assertLess(worst, 0.2, f"in {time.monotonic() - began:.1f} s")

    def test_many_readings_meanwhile_are_all_written(self):
        self.arrange()
        self.before()
        self.store.kill()
        for i in range(6000):
            self.send(f"d{i % 50}", 1000 + i / 100, m=i, wait=False)
        self.fence()
        self.store.start()
        for d in range(50):
            wait_for(lambda: [v for _, v in self.store.window("avg", f"d{d}") or []] == list(range(d, 6000, 50)),
                     f"all of d{d}", 25)

    def test_fallback_memory_decides_and_says_degraded(self):
        self.arrange(fallback="memory")
        self.before()
        self.assertFalse(self.alerts.all()[0]["degraded"])
        self.store.kill()
        self.put("firing", 1, 1, 1)
        closed = self.alerts.take("CLOSED", "avg", "firing")
        self.assertTrue(closed["degraded"])
        self.put("calm", 90, 91)
        opened = self.alerts.take("OPEN", "avg", "calm")
        self.assertTrue(opened["degraded"])
        self.assertIn(opened["details"]["windows"][0]["count"], (3, 4))
        self.store.start()
        for device in ("calm", "firing"):
            wait_for(lambda: self.store.window("avg", device) == self.expected[device], f"{device} in Valkey", 25)
        self.put("calm", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        self.assertFalse(self.alerts.take("CLOSED", "avg", "calm")["degraded"])

    def test_readiness_says_whether_valkey_is_reachable(self):
        self.arrange()
        self.put("d1", 1)
        self.fence()
        reachable = self.brink.http("/readyz")
        self.store.kill()
        self.put("d1", 2)
        wait_for(lambda: self.brink.http("/readyz")[1] != reachable[1], "another text")
        self.assertEqual(self.brink.http("/readyz")[0], 200)

    def test_log_is_quiet_during_a_long_outage(self):
        self.arrange()
        self.before()
        self.store.kill()
        lines = len(self.brink.log().splitlines())
        until = time.monotonic() + 3
        while time.monotonic() < until:
            self.put("d1", 1)
        self.assertLess(len(self.brink.log().splitlines()) - lines, 25)


if __name__ == "__main__":
    unittest.main()
