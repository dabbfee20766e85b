#!/usr/bin/env python3
"""What survives a restart (SPEC 5.6, 6.3): alerts, cooldowns, timers, latest values, and what is on its way out."""

import contextlib
import json
import sqlite3
import time
import unittest

from lib import proxy
from lib.harness import BASE, Case, key_of, seconds, stamp, wait_for


class EachWay:
    """What holds after a clean stop and after kill -9."""

    def restart(self):
        if self.clean:
            self.assertEqual(self.brink.stop(), 0)
        else:
            self.brink.kill()
        self.brink.start()

    def test_firing_alert_survives_and_closes_with_the_same_id(self):
        self.site([{"id": "hot", "when": "m > 0"}, {"id": "avg", "when": "avg(m, 10m) > 0"}])
        for k in range(2):
            self.send("d1", k, m=1)
        opened = {rule: self.alerts.take("OPEN", rule) for rule in ("hot", "avg")}
        for n in range(3):
            self.restart()
            self.send("d1", 10 + n, m=1)
        self.fence()
        self.assertEqual(len(self.alerts.all()), 2)
        self.send("d1", 20, m=-100)
        for rule in ("hot", "avg"):
            closed = self.alerts.take("CLOSED", rule)
            self.assertEqual(closed["alert_id"], opened[rule]["alert_id"])
            self.assertEqual(closed["triggered_at"], opened[rule]["triggered_at"])
            self.assertEqual(closed["closed_at"], stamp(20))

    def test_many_firing_alerts_none_twice(self):
        self.site([{"id": f"r{i}", "when": f"m > {i}"} for i in range(5)])
        for d in range(100):
            self.send(f"d{d}", 0, m=10, wait=False)
        self.fence()
        self.assertEqual(len(self.alerts.all()), 500)
        self.restart()
        for d in range(100):
            self.send(f"d{d}", 1, m=11, wait=False)
        self.fence()
        self.assertEqual(len(self.alerts.all()), 500)
        for d in range(100):
            self.send(f"d{d}", 2, m=0, wait=False)
        self.fence()
        closed = [a for a in self.alerts.all() if a["event_type"] == "CLOSED"]
        self.assertEqual(len(closed), 500)
        opened = {a["alert_id"] for a in self.alerts.all() if a["event_type"] == "OPEN"}
        self.assertEqual({a["alert_id"] for a in closed}, opened)

    def test_cooldown_survives(self):
        self.site([{"id": "c", "when": "m > 0", "cooldown": "1h"}])
        for k, m in ((0, 1), (10, 0)):
            self.send("d1", k, m=m)
        self.alerts.take("CLOSED")
        self.restart()
        self.send("d1", 20, m=1)
        self.send("d1", 30, m=0)
        self.send("d1", 3590, m=0)
        self.send("d1", 3601, m=1)
        self.fence()
        self.assertEqual([(a["event_type"], seconds(a["event_at"]) // 1000) for a in self.alerts.all()],
                         [("OPEN", 0), ("CLOSED", 10), ("OPEN", 3601)])

    def test_first_reading_sees_every_window_of_its_rule(self):
        self.site([{"id": "two", "when": "avg(a, 1h) > 0 and avg(b, 1h) > 0"}])
        self.send("d1", 0, b=5)
        self.send("d1", 0, a=-10)
        for k in range(1, 3):
            self.send("d1", k, a=-10)
            self.send("d1", k, b=5)
        self.fence()
        self.restart()
        self.send("d1", 10, a=1000)
        self.assertEqual(self.alerts.take("OPEN")["event_at"], stamp(10))

    def test_readings_that_wait_for_valkey_survive(self):
        """Valkey away, then the gateway: what it had taken is written once both are back (SPEC 5.4, 7.3)."""
        self.start_broker()
        self.start_store("--appendfsync", "always")  # else the kill takes what Valkey had confirmed
        self.brink = self.gateway([{"id": "n", "when": "count(m, 1h) >= 30"},
                                   {"id": "two", "when": "avg(a, 1h) > max(b, 1h)"}])
        for k in range(10):
            self.send("d1", k, m=k)
        self.fence()
        self.store.kill()
        for start in (10, 20):
            for k in range(start, start + 10):
                self.send("d1", k, m=k)
            self.send("d2", start, a=start, b=1)
            self.fence()
            self.restart()
        self.assertEqual(len(self.alerts.all()), 0)
        self.store.start()
        self.alerts.take("OPEN", "n", "d1", timeout=20)
        self.alerts.take("OPEN", "two", "d2")
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(30)))
        self.assertEqual([v for _, v in self.store.window("two", "d2")], [10, 20])
        self.assertEqual([v for _, v in self.store.window("two", "d2", metric="b")], [1, 1])
        self.send("d1", 30, m=30)
        self.fence()
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(31)))
        self.assertEqual(self.alerts.events(), ["OPEN", "OPEN"])
        backlog = self.folder / "brink.state" / "backlog"
        wait_for(lambda: backlog.stat().st_size == 0, "nothing to wait any more")

    def test_device_that_is_silent_since_before_raises_its_alert(self):
        self.site([{"id": "silent", "rule_type": "HEARTBEAT", "timeout_seconds": 4}])
        self.send("d1", None, m=1)
        self.fence()
        if not self.clean:  # what is at most 5 s old is on its way to Valkey
            wait_for(lambda: any("acme/d1" in field.decode() for field in
                                 self.store.client("HKEYS", "brink:gw-brink:devices")), "the device's state")
        self.restart()
        self.alerts.take("OPEN", "silent", "d1", timeout=15)
        self.restart()
        self.send_raw("tenant/acme/device/d1/heartbeat", "x")
        self.alerts.take("CLOSED", "silent", "d1")
        self.assertEqual(self.alerts.events("silent", "d1"), ["OPEN", "CLOSED"])


    def test_lists_of_a_changed_first_metric_start_anew_once(self):
        """Also of a device that speaks only after a second start, and of which nothing else is known."""
        def restart():
            self.restart()
            self.store.client("DEL", "brink:gw-brink:devices")

        self.site([{"id": "w", "when": "count(a, 1h) >= 100"}], config={"mqtt": {"inbox": 0}})
        for device in ("d1", "d2", "d3"):
            for k in range(3):
                self.send(device, k, a=k)
        self.fence()
        self.store.client("DEL", "brink:gw-brink:devices")
        self.brink.rules([{"id": "w", "when": "count(b, 1h) >= 100"}])
        restart()
        self.send("d1", 10, b=10)
        self.fence()
        restart()
        self.send("d1", 11, b=11)
        self.send("d2", 11, b=11)
        self.fence()
        restart()
        for device in ("d1", "d2", "d3"):
            self.send(device, 12, b=12)
        self.fence()
        self.assertEqual({d: [v for _, v in self.store.window("w", d)] for d in ("d1", "d2", "d3")},
                         {"d1": [10, 11, 12], "d2": [11, 12], "d3": [12]})

    def test_lists_of_a_changed_first_metric_go_at_once(self):
        self.site([{"id": "w", "when": "count(a, 1h) >= 100"}])
        self.send("d1", 0, a=1)
        self.fence()
        wait_for(lambda: self.store.client("HLEN", "brink:gw-brink:devices") >= 2, "the device's state")
        self.brink.rules([{"id": "w", "when": "count(b, 1h) >= 100"}])
        self.restart()
        wait_for(lambda: self.store.window("w", "d1") is None, "the list of the old metric to go")
        self.assertEqual(self.alerts.all(), [])


class AfterKill9(EachWay, Case):
    clean, repeats = False, False


class AfterCleanStop(EachWay, Case):
    """And what only a clean stop keeps to the last moment."""

    clean = True

    def test_pending_duration_survives_a_clean_restart(self):
        self.site([{"id": "f", "when": "m > 0", "for": "10m"}, {"id": "h", "when": "held(m > 0, 10m)"},
                   {"id": "k", "when": "m < -5", "keep_firing_for": "10m"}])
        self.send("d1", 0, m=1)
        self.send("d2", 0, m=-6)
        self.send("d2", 1, m=0)
        self.fence()
        self.restart()
        self.send("d1", 599, m=1)
        self.send("d2", 600, m=0)
        self.fence()
        self.assertEqual([a["rule_id"] for a in self.alerts.all()], ["k"])
        self.send("d1", 600, m=1)
        self.send("d2", 601, m=0)
        self.fence()
        self.assertEqual(sorted((a["rule_id"], a["event_type"]) for a in self.alerts.all()),
                         [("f", "OPEN"), ("h", "OPEN"), ("k", "CLOSED"), ("k", "OPEN")])

    def test_latest_values_and_sites_survive_a_clean_restart(self):
        self.site([{"id": "both", "when": "a > 1 and b > 1"},
                   {"id": "site", "when": "a > 1", "scope": {"sites": ["s1"]}}])
        self.send("d1", 0, site="s1", a=2)
        self.send("d2", 0, site="s1", a=0)
        self.fence()
        self.restart()
        self.send("d1", 1, b=2)
        self.send("d2", 1, a=2)
        self.fence()
        self.assertEqual(sorted((a["rule_id"], a["device_id"]) for a in self.alerts.all()),
                         [("both", "d1"), ("site", "d1"), ("site", "d2")])
        self.assertEqual(self.alerts.all("site", "d2")[0]["site_id"], "s1")

    def test_device_that_speaks_right_after_the_restart_raises_none(self):
        self.site([{"id": "silent", "rule_type": "HEARTBEAT", "timeout_seconds": 2}])
        self.send("d1", None, m=1)
        self.fence()
        self.brink.stop()
        until = time.monotonic() + 2.5
        self.send("d1", None, m=1)  # queued by the broker
        wait_for(lambda: time.monotonic() > until, "the time that it may be silent")
        self.brink.start()
        self.send("d1", None, m=1)
        self.fence()
        self.assertEqual(self.alerts.events("silent", "d1"), [])

    def test_window_alert_closes_by_time_after_a_restart(self):
        self.site([{"id": "busy", "when": "count(m, 3s) >= 2"}])
        self.send("d1", None, m=1)
        self.send("d1", None, m=2)
        opened = self.alerts.take("OPEN")
        self.restart()
        self.assertEqual(self.alerts.take("CLOSED", timeout=15)["alert_id"], opened["alert_id"])

    def test_restart_without_valkey_forgets_no_firing_alert(self):
        self.site([{"id": "hot", "when": "m > 0"}])
        self.send("d1", 0, m=1)
        opened = self.alerts.take("OPEN")
        self.store.kill()
        self.restart()
        self.send("d1", 1, m=1)
        self.send("d1", 2, m=0)
        self.assertEqual(self.alerts.take("CLOSED")["alert_id"], opened["alert_id"])
        self.fence()
        self.assertEqual(len(self.alerts.all()), 2)


class WithInbox0(Case):
    """A kill -9 takes nothing along that was acknowledged, with Valkey or without it."""

    repeats = False

    def test_what_is_pending_and_latest_survives_kill_9_without_valkey(self):
        self.site([{"id": "f", "when": "m > 0", "for": "10m"}, {"id": "h", "when": "held(m > 0, 10m)"},
                   {"id": "both", "when": "a > 1 and b > 1"}], config={"mqtt": {"inbox": 0}})
        self.store.kill()
        self.send("d1", 0, m=1)
        self.send("d2", 0, a=2)
        self.fence()
        for k in (599, 600):
            self.brink.kill()
            self.brink.start()
            self.send("d1", k, m=1)
        self.send("d2", 1, b=2)
        self.fence()
        self.assertEqual(sorted((a["rule_id"], seconds(a["event_at"]) // 1000) for a in self.alerts.all()),
                         [("both", 1), ("f", 600), ("h", 600)])


    def test_reading_that_a_killed_run_wrote_is_decided_when_it_comes_again(self):
        self.site([{"id": "n", "when": "m > 5 and count(m, 1h) >= 2"}], config={"mqtt": {"inbox": 0}})
        self.send("d1", 0, m=1)
        self.fence()
        self.brink.kill()
        value = self.store.raw("n", "d1")  # as the next append, of which nobody lived to hear
        self.store.client("SET", key_of("n", "d1"), value[:-1] + f",[{BASE + 1}.0,9.0]]", "KEEPTTL")
        self.brink.start()
        self.send("d1", 1, m=9)
        self.assertEqual(self.alerts.take("OPEN")["event_at"], stamp(1))


    def test_message_that_a_killed_run_wrote_half_decides_nothing_before_it_comes_again(self):
        self.site([{"id": "sum", "when": "last(a, 1h) + last(b, 1h) > 0"}], config={"mqtt": {"inbox": 0}})
        self.send("d1", 0, a=1, b=1)
        self.alerts.take("OPEN")
        self.fence()
        self.brink.kill()
        value = self.store.raw("sum", "d1")
        self.store.client("SET", key_of("sum", "d1"), value[:-1] + f",[{BASE + 1}.0,-5.0]]", "KEEPTTL")
        self.brink.start()
        self.send("d1", 1, a=-5, b=10)
        self.fence()
        self.assertEqual(self.alerts.events(), ["OPEN"])


class Outbox(Case):
    repeats = False

    def arrange_outbox(self, **limits):
        self.start_broker()
        self.start_store()
        self.proxy = proxy.Proxy(self.broker.port)
        self.addCleanup(self.proxy.close)
        self.brink = self.gateway([{"id": "r", "when": "m > 0"}], config={
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{self.proxy.port}"], "inbox": 0}, "limits": limits or None})

    def decided(self, n):
        self.counted("alerts_total", 'event="OPEN"', n)

    def test_outbox_delivers_in_order_after_the_broker_was_away(self):
        self.arrange_outbox()
        self.send("first", 0, m=1)
        self.alerts.take("OPEN")
        self.proxy.block(b"-alerts")
        for i in range(300):
            self.send(f"d{i:03}", 0, m=1, wait=False)
        self.decided(301)
        self.assertEqual(len(self.alerts.all()), 1)
        self.proxy.heal()
        wait_for(lambda: len(self.alerts.all()) >= 301, "all alerts", 40)
        self.assertEqual([a["device_id"] for a in self.alerts.all()][1:], [f"d{i:03}" for i in range(300)])

    def test_outbox_survives_kill_9(self):
        self.arrange_outbox()
        self.proxy.block(b"-alerts")
        for part in range(4):
            before = self.brink.metric("alerts_total", 'event="OPEN"')
            for i in range(50):
                self.send(f"d{part}-{i:02}", 0, m=1, wait=False)
            self.publisher.flush()
            self.decided(before + 50)
            self.brink.kill()
            self.brink.start()
        self.proxy.heal()
        names = [f"d{part}-{i:02}" for part in range(4) for i in range(50)]
        wait_for(lambda: set(a["device_id"] for a in self.alerts.all()) == set(names), "all alerts", 40)
        first = list(dict.fromkeys(a["device_id"] for a in self.alerts.all()))
        self.assertEqual(first, names)
        self.assertEqual(len({a["alert_id"] for a in self.alerts.all()}), 200)

    def test_kill_9_in_the_middle_of_sending_loses_no_alert(self):
        self.site([{"id": "r", "when": "m > 0"}], config={"mqtt": {"inbox": 0}})
        sent = 0
        for _ in range(8):
            for _ in range(150):
                self.send(f"d{sent}", 0, m=1, wait=False)
                sent += 1
            self.brink.kill()
            self.brink.start()
        self.publisher.flush()
        self.fence()
        ids = {}
        for alert in self.alerts.all():
            ids.setdefault(alert["device_id"], set()).add(alert["alert_id"])
        self.assertEqual(len(ids), sent)
        self.assertEqual({len(v) for v in ids.values()}, {1})  # a repeat is recognizable

    def test_outbox_is_bounded_and_the_oldest_leave(self):
        self.arrange_outbox(outbox=100)
        self.proxy.block(b"-alerts")
        for i in range(600):
            self.send(f"d{i:03}", 0, m=1, wait=False)
        self.decided(600)
        self.logged("(?i)outbox")
        self.proxy.heal()
        wait_for(lambda: "d599" in [a["device_id"] for a in self.alerts.all()], "the newest", 40)
        names = [a["device_id"] for a in self.alerts.all()]
        self.assertEqual(names, sorted(names))
        self.assertEqual(names[-100:], [f"d{i:03}" for i in range(500, 600)])
        # Some were on their way to the broker besides: those came, and so are not counted.
        self.assertEqual(len(names), len(set(names)))
        self.counted("alerts_dropped_total", 'reason="outbox_full"', 600 - len(names))
        self.assertEqual(self.brink.metric("alerts_dropped_total", 'reason="outbox_full"'), 600 - len(names))
        self.assertGreaterEqual(600 - len(names), 200)

    def test_file_of_an_earlier_version_is_taken_over_and_shrinks(self):
        self.arrange_outbox()
        self.brink.stop()
        path = self.folder / "brink.state" / "outbox.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
            old.execute("PRAGMA auto_vacuum = NONE")
            old.execute("VACUUM")
            self.assertEqual(old.execute("PRAGMA auto_vacuum").fetchone(), (0,))
            old.execute("BEGIN")
            for i in range(2000):
                old.execute("INSERT INTO events (topic, payload, qos, retain) VALUES (?, ?, 1, 0)",
                            (f"old/{i}".encode(), json.dumps({"rule_id": "old", "pad": "x" * 2000}).encode()))
            old.execute("COMMIT")
        self.assertGreater(path.stat().st_size, 4_000_000)
        listener = self.broker.client()
        self.addCleanup(listener.close)
        listener.subscribe("old/#", 1)
        self.brink.start()
        wait_for(lambda: len(listener.messages) >= 2000, "the alerts of the old file", 40)
        wait_for(lambda: path.stat().st_size < 1_000_000, "the file to shrink")

    def test_broker_that_refuses_alerts_is_asked_again(self):
        rights = self.folder / "rights"
        rights.write_text("topic readwrite #\n")
        self.start_broker(f"acl_file {rights}\n")
        self.start_store()
        self.brink = self.gateway([{"id": "r", "when": "m > 0"}])
        rights.write_text("topic readwrite tenant/#\ntopic read alerts/#\ntopic write brink/#\n")
        self.broker.signal(1)
        wait_for(lambda: "Reloading config" in self.broker.log(), "the broker to reload")
        self.send("d1", 0, m=1)
        self.counted("alerts_retried_total", timeout=15)
        rights.write_text("topic readwrite #\n")
        self.broker.signal(1)
        self.alerts.take("OPEN", timeout=40)

    def test_second_gateway_on_one_state_dir_is_refused(self):
        self.site([{"id": "r", "when": "m > 0"}])
        second = self.gateway(start=False, config=self.brink.config)
        second.start(ready=False)
        wait_for(lambda: not second.running(), "the second to end")
        self.assertEqual(second.process.returncode, 1)
        self.assertIn(str(self.folder), second.log())
        self.send("d1", 0, m=1)
        self.alerts.take("OPEN")

    def test_damaged_outbox_is_put_aside(self):
        self.site([{"id": "r", "when": "m > 0"}])
        self.brink.stop()
        state = self.folder / "brink.state"
        for file in state.glob("outbox.db*"):
            file.unlink()
        (state / "outbox.db").write_bytes(b"this was a database " * 1000)
        self.brink.start()
        self.send("d1", 0, m=1)
        self.alerts.take("OPEN")
        self.assertTrue(list(state.glob("*damaged*")))
        self.logged("(?i)damaged")


if __name__ == "__main__":
    unittest.main()
