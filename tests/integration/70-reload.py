#!/usr/bin/env python3
"""SIGHUP (SPEC 1.3): all or nothing, and what did not change keeps its state."""

import unittest

from lib.harness import Case, seconds, wait_for


class Reload(Case):
    def reload(self, applied=True):
        result = f'result="{"applied" if applied else "refused"}"'
        before = self.brink.metric("reloads_total", result)
        self.brink.hang_up()
        wait_for(lambda: self.brink.metric("reloads_total", result) > before, f"a reload with {result}")

    def test_valid_rules_are_swapped(self):
        self.site([{"id": "old", "when": "m > 10"}])
        self.brink.rules([{"id": "new", "when": "m > 5"}])
        self.reload()
        self.send("d1", 0, m=20)
        self.fence()
        self.assertEqual([a["rule_id"] for a in self.alerts.all()], ["new"])

    def test_invalid_rules_change_nothing_and_say_where(self):
        self.site([{"id": "good", "when": "m > 10"}])
        self.brink.rules("rules:\n  - id: good\n    when: m > 5\n  - id: bad\n    when: avrage(m, 5m) > 5\n")
        self.brink.rules("rules:\n  - id: other\n    whn: m > 5\n", "20-more.yaml")
        self.reload(applied=False)
        self.logged(r"10-rules\.yaml:5:11: .*avrage")
        self.logged(r"20-more\.yaml:3:5: .*whn")
        self.send("d1", 0, m=7)
        self.send("d1", 1, m=11)
        self.fence()
        self.assertEqual([(a["rule_id"], seconds(a["event_at"])) for a in self.alerts.all()], [("good", 1000)])
        self.brink.rules("rules: []\n", "20-more.yaml")
        self.brink.rules([{"id": "good", "when": "m > 5"}])
        self.reload()
        self.assertTrue(self.brink.running())

    def test_missing_configuration_changes_nothing(self):
        self.site([{"id": "good", "when": "m > 10"}])
        text = self.brink.config_path.read_text()
        self.brink.config_path.unlink()
        self.reload(applied=False)
        self.send("d1", 0, m=11)
        self.alerts.take("OPEN")
        self.brink.config_path.write_text(text + "nonsense: [\n")
        self.reload(applied=False)
        self.send("d2", 0, m=11)
        self.alerts.take("OPEN")

    def test_unchanged_rule_keeps_its_state(self):
        kept = [{"id": "firing", "when": "m > 0"}, {"id": "pending", "when": "m > 0", "for": "10m"},
                {"id": "held", "when": "held(m > 0, 10m)"}, {"id": "cooling", "when": "c > 0", "cooldown": "1h"},
                {"id": "window", "when": "count(m, 1h) >= 4"}]
        self.site(kept)
        self.send("d1", 0, m=1, c=1)
        self.send("d1", 1, m=1, c=0)
        self.fence()
        self.brink.rules([*kept, {"id": "more", "when": "m > 100"}])
        self.reload()
        self.send("d1", 300, m=1, c=1)
        self.send("d1", 600, m=1, c=1)
        self.fence()
        self.assertEqual(sorted((a["rule_id"], a["event_type"], seconds(a["event_at"]) // 1000)
                                for a in self.alerts.all()),
                         [("cooling", "CLOSED", 1), ("cooling", "OPEN", 0), ("firing", "OPEN", 0),
                          ("held", "OPEN", 600), ("pending", "OPEN", 600), ("window", "OPEN", 600)])

    def test_removed_disabled_or_no_longer_covering_closes_with_a_reason(self):
        rules = [{"id": name, "when": "m > 0"} for name in ("removed", "disabled", "scope", "stays")]
        self.site(rules)
        self.send("d1", 0, m=1)
        opened = {name: self.alerts.take("OPEN", name) for name in ("removed", "disabled", "scope", "stays")}
        self.brink.rules([{**rules[1], "enabled": False}, {**rules[2], "scope": {"devices": ["other-*"]}}, rules[3]])
        self.reload()
        for name in ("removed", "disabled", "scope"):
            closed = self.alerts.take("CLOSED", name)
            self.assertEqual(closed["alert_id"], opened[name]["alert_id"])
            self.assertTrue(closed["reason"])
        self.fence()
        self.assertEqual(self.alerts.events("stays"), ["OPEN"])
        self.brink.rules(rules)
        self.reload()
        self.send("d1", 1, m=1)
        self.alerts.take("OPEN", "removed")

    def test_rule_removed_while_down_closes_at_start(self):
        self.site([{"id": "removed", "when": "m > 0"}])
        self.send("d1", 0, m=1)
        opened = self.alerts.take("OPEN")
        self.brink.stop()
        self.brink.rules([])
        self.brink.start()
        closed = self.alerts.take("CLOSED")
        self.assertEqual(closed["alert_id"], opened["alert_id"])
        self.assertTrue(closed["reason"])

    def test_changed_condition_keeps_firing_and_cooldown_and_starts_pending_anew(self):
        self.site([{"id": "firing", "when": "m > 0"}, {"id": "pending", "when": "m > 0", "for": "10m"},
                   {"id": "cooling", "when": "c > 0", "cooldown": "1h"}])
        self.send("d1", 0, m=2, c=1)
        self.send("d1", 1, m=2, c=0)
        self.fence()
        first = self.alerts.all("firing")[0]
        self.brink.rules([{"id": "firing", "when": "m > 1"}, {"id": "pending", "when": "m > 1", "for": "10m"},
                          {"id": "cooling", "when": "c > 0.5", "cooldown": "1h"}])
        self.reload()
        for k in (500, 601):
            self.send("d1", k, m=2, c=1)
        self.fence()
        self.assertEqual(self.alerts.events("firing"), ["OPEN"])
        self.assertEqual(self.alerts.events("pending"), [])
        self.assertEqual(self.alerts.events("cooling"), ["OPEN", "CLOSED"])
        self.send("d1", 1200, m=2, c=1)
        self.send("d1", 1300, m=1, c=0)
        self.fence()
        self.assertEqual(self.alerts.events("pending"), ["OPEN", "CLOSED"])
        self.assertEqual(self.alerts.all("firing")[1]["alert_id"], first["alert_id"])

    def test_changed_rule_keeps_what_valkey_could_not_take(self):
        self.site([{"id": "n", "when": "count(m, 1h) >= 100"}])
        for k in range(3):
            self.send("d1", k, m=k)
        self.fence()
        self.store.kill()
        for k in range(3, 6):
            self.send("d1", k, m=k)
        self.fence()
        self.brink.rules([{"id": "n", "when": "count(m, 30m) >= 6"}])
        self.reload()
        self.store.start()
        self.assertEqual(self.alerts.take("OPEN")["details"]["value"], 6)
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(6)))

    def test_changed_message_keeps_what_is_pending(self):
        rule = {"id": "p", "when": "m > 0", "for": "10m"}
        self.site([rule])
        self.send("d1", 0, m=1)
        self.fence()
        self.brink.rules([{**rule, "message": "{value} is too much"}])
        self.reload()
        self.send("d1", 600, m=1)
        self.assertEqual(self.alerts.take("OPEN")["message"], "1 is too much")

    def test_changed_mqtt_or_store_needs_a_restart(self):
        self.site([{"id": "old", "when": "m > 0"}])
        config = {**self.brink.config, "mqtt": {**self.brink.config["mqtt"], "keep_alive": "99s"}}
        self.brink.configure(config)
        self.reload()
        self.logged(r"(?i)mqtt.*restart|restart.*mqtt")
        self.send("d1", 0, m=1)
        self.alerts.take("OPEN")

    def test_inbox_0_goes_on_until_the_restart(self):
        self.site([{"id": "both", "when": "a > 1 and b > 1"}], config={"mqtt": {"inbox": 0}})
        self.brink.configure({**self.brink.config, "mqtt": {**self.brink.config["mqtt"], "inbox": 1024}})
        self.reload()
        self.send("d1", 0, a=2)
        self.fence()
        self.brink.kill()
        self.brink.start()
        self.send("d1", 1, b=2)
        self.alerts.take("OPEN")

    def test_telemetry_entries_follow(self):
        self.site([{"id": "r", "when": "m > 0"}])
        more = {"topic": "more/{device}", "format": "value", "metric": "m"}
        self.brink.configure({**self.brink.config, "telemetry": [*self.brink.config["telemetry"], more]})
        self.reload()

        def subscribed():
            self.send_raw("more/d1", "1")
            return self.alerts.all(device="d1")

        wait_for(subscribed, "an alert of the new topic")
        self.brink.configure({**self.brink.config, "telemetry": self.brink.config["telemetry"][:-1]})
        self.reload()
        self.fence()

        def unsubscribed():
            before = self.brink.metric("messages_received_total")
            self.send_raw("more/d2", "1")
            self.fence()
            return self.brink.metric("messages_received_total") == before + 1

        wait_for(unsubscribed, "the old topic to be left")

    def test_alert_topic_and_log_level_follow(self):
        self.site([{"id": "r", "when": "m > 0"}])
        self.brink.configure({**self.brink.config, "alerts": {"topic": "alerts/v2/{tenant}/{device}/{rule}"},
                              "log": {"level": "debug", "format": "json"}})
        self.reload()
        self.send("d1", 0, m=1)
        self.assertEqual(self.alerts.take("OPEN")["_message"].topic, "alerts/v2/acme/d1/r")
        self.assertTrue(any(line.startswith("{") for line in self.brink.log().splitlines()))

    def test_larger_payloads_are_taken_after_a_reload(self):
        """The broker keeps back what is larger than we announced (MQTT 5): a reload has to tell it."""
        for version in (5, "3.1.1"):
            with self.subTest(version=version):
                self.anew()
                self.site([{"id": "r", "when": "m > 0"}], config={"mqtt": {"version": version},
                                                                  "limits": {"payload_bytes": 1000}})

                def large(device, size):
                    self.send_raw(f"tenant/acme/device/{device}/telemetry",
                                  '{"metrics": {"m": 1}, "pad": "' + "x" * size + '"}')

                large("before", 2000000)
                self.fence()
                self.assertEqual(self.alerts.all(), [])
                self.brink.configure({**self.brink.config, "limits": {"payload_bytes": 3000000}})
                connects = self.brink.metric("mqtt_connects_total")
                self.reload()
                for k in range(50):  # nothing of what comes meanwhile is lost
                    self.send(f"d{k}", None, m=1)
                wait_for(lambda: version != 5 or self.brink.metric("mqtt_connects_total") > connects,
                         "the larger size to be announced")
                self.brink.wait_ready()
                large("after", 2000000)
                self.alerts.take("OPEN", device="after")
                self.fence()
                self.assertEqual(len(self.alerts.all()), 51)
                # Less needs no new connection.
                connects = self.brink.metric("mqtt_connects_total")
                self.brink.configure({**self.brink.config, "limits": {"payload_bytes": 1000}})
                self.reload()
                large("less", 2000000)
                self.counted("messages_dropped_total", 'reason="too_large"')
                self.assertEqual(self.brink.metric("mqtt_connects_total"), connects)

    def test_reload_under_load_applies_every_reading(self):
        rules = [{"id": "n", "when": "count(m, 1d) > 1e9"}]
        self.site(rules)
        for k in range(2000):
            self.send("d1", k, m=k, wait=False)
            if k % 100 == 50:
                self.brink.rules([*rules, {"id": f"x{k}", "when": "m < 0"}])
                self.brink.hang_up()
        self.fence()
        # At once, or, where a busy machine held Valkey up for `timeout`, once it is written.
        wait_for(lambda: [v for _, v in self.store.window("n", "d1")] == list(range(2000)), "every reading")
        self.assertEqual(self.brink.metric("reloads_total", 'result="refused"'), 0)


if __name__ == "__main__":
    unittest.main()
