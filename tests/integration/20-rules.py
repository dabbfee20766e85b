#!/usr/bin/env python3
"""Rules through the whole way (SPEC 4, 6): each field form, its alert and what closes it."""

import unittest

from lib import mqtt
from lib.harness import BASE, Case, seconds, stamp, wait_for


class Rules(Case):
    def test_window_average_and_the_whole_payload(self):
        self.site("""\
            rules:
              - id: warm
                name: Too warm
                rule_type: WINDOW
                metric_name: temp_c
                aggregation: avg
                operator: GT
                threshold: 25
                window_seconds: 300
                severity: critical
                message: "{device} at {site}: {value:.1f} over {threshold}"
                labels: {runbook: "https://wiki.example/warm", team: cold chain}
            """)
        for k, value in ((0, 24.0), (10, 25.5), (20, 27.5), (30, 25.0)):
            self.send("d1", k, site="s1", temp_c=value)
        self.send("d1", 40, site="s1", temp_c=0)
        opened = dict(self.alerts.take("OPEN"))
        message = opened.pop("_message")
        self.assertEqual(message.topic, "alerts/acme/d1/warm")
        self.assertEqual(message.properties.get(mqtt.CONTENT_TYPE), b"application/json")
        self.assertFalse(message.retain)
        alert_id = opened.pop("alert_id")
        self.assertRegex(alert_id, r"^[0-9A-Za-z._-]{8,}$")
        value = (24.0 + 25.5 + 27.5) / 3
        self.assertAlmostEqual(opened["details"].pop("value"), value, 12)
        self.assertEqual(opened, {
            "schema": "brink.alert/1", "event_type": "OPEN", "alert_type": "WINDOW",
            "tenant_id": "acme", "device_id": "d1", "site_id": "s1", "rule_id": "warm",
            "rule_name": "Too warm", "severity": "critical", "message": "d1 at s1: 25.7 over 25",
            "triggered_at": stamp(20), "event_at": stamp(20), "closed_at": None, "trigger_count": 1,
            "gateway_id": "gw-brink", "degraded": False,
            "labels": {"runbook": "https://wiki.example/warm", "team": "cold chain"},
            "details": {
                "expression": "avg(temp_c, 5m) > 25", "operator": ">", "threshold": 25,
                "windows": [{
                    "metric_name": "temp_c", "aggregation": "avg", "window_seconds": 300, "count": 3,
                    "first_ts": BASE, "last_ts": BASE + 20,
                    "points": [[BASE, 24.0], [BASE + 10, 25.5], [BASE + 20, 27.5]]}]}})
        closed = self.alerts.take("CLOSED")
        self.assertEqual(closed["alert_id"], alert_id)
        self.assertEqual((closed["event_at"], closed["closed_at"]), (stamp(40), stamp(40)))
        self.assertEqual(closed["alert_type"], "WINDOW")
        self.fence()
        self.assertEqual(self.alerts.events(), ["OPEN", "CLOSED"])

    def test_threshold_opens_once_and_closes_once(self):
        self.site("""\
            rules:
              - {id: hot, rule_type: THRESHOLD, metric_name: temp_c, operator: GTE, threshold: 30}
            """)
        for k, value in enumerate((29.9, 30, 31, 35, 29, 28, 40, 41)):
            self.send("d1", k, temp_c=value)
        self.fence()
        got = [(a["event_type"], a["event_at"]) for a in self.alerts.all()]
        self.assertEqual(got, [("OPEN", stamp(1)), ("CLOSED", stamp(4)), ("OPEN", stamp(6))])
        first, closed, second = self.alerts.all()
        self.assertEqual(first["alert_type"], "THRESHOLD")
        self.assertEqual(first["alert_id"], closed["alert_id"])
        self.assertNotEqual(first["alert_id"], second["alert_id"])
        self.assertEqual(first["severity"], "warning")
        self.assertEqual((first["details"]["value"], first["details"]["threshold"]), (30, 30))
        self.assertEqual(first["details"]["windows"], [])
        self.assertIsNone(first["site_id"])
        self.assertTrue(first["message"])

    def test_each_operator(self):
        cases = {"GT": (2, 1), "GTE": (1, 0.5), "LT": (0.5, 1), "LTE": (1, 2), "EQ": (1, 2), "NE": (2, 1),
                 ">": (2, 1), ">=": (1, 0.5), "<": (0.5, 1), "<=": (1, 2), "==": (1, 2), "!=": (2, 1),
                 "gt": (2, 1)}
        self.site([{"id": f"r{i}", "rule_type": "THRESHOLD", "metric_name": f"m{i}", "operator": op, "threshold": 1}
                   for i, op in enumerate(cases)])
        for i, (true, false) in enumerate(cases.values()):
            self.send("d1", 3 * i, **{f"m{i}": false})
            self.send("d1", 3 * i + 1, **{f"m{i}": true})
            self.send("d1", 3 * i + 2, **{f"m{i}": false})
        self.fence()
        for i, op in enumerate(cases):
            self.assertEqual([(a["event_type"], a["event_at"]) for a in self.alerts.all(f"r{i}")],
                             [("OPEN", stamp(3 * i + 1)), ("CLOSED", stamp(3 * i + 2))], op)

    def test_each_aggregation(self):
        self.site([{"id": fn, "rule_type": "WINDOW", "metric_name": "m", "aggregation": fn, "operator": "GT",
                    "threshold": threshold, "window_seconds": 100}
                   for fn, threshold in (("avg", 4), ("min", 2), ("max", 8), ("sum", 30), ("count", 4))])
        values = (1, 9, 2, 8, 3, 12)
        for k, value in enumerate(values):
            self.send("d1", k * 10, m=value)
        self.send("d1", 140, m=5)  # now 3, 12 and 5 are left (closed bound: 40 is still in)
        self.fence()
        got = {fn: [(a["event_type"], seconds(a["event_at"]) // 1000) for a in self.alerts.all(fn)]
               for fn in ("avg", "min", "max", "sum", "count")}
        self.assertEqual(got, {
            "avg": [("OPEN", 10), ("CLOSED", 20), ("OPEN", 30)],  # 5, 4, 5, 4.6, 5.83, 6.67
            "min": [("OPEN", 140)],
            "max": [("OPEN", 10)],
            "sum": [("OPEN", 50), ("CLOSED", 140)],  # 1 10 12 20 23 35, 20
            "count": [("OPEN", 40), ("CLOSED", 140)]})
        self.assertEqual(self.alerts.all("avg")[0]["details"]["value"], 5)
        self.assertEqual(self.alerts.all("min")[0]["details"]["value"], 3)

    def test_bound_of_the_window_is_closed(self):
        self.site([{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "count",
                    "operator": "GTE", "threshold": 2, "window_seconds": 60}])
        self.send("exactly", 0, m=1)
        self.send("exactly", 60, m=1)
        self.send("beyond", 0, m=1)
        self.send("beyond", 60.001, m=1)
        self.fence()
        self.assertEqual([a["device_id"] for a in self.alerts.all()], ["exactly"])

    def test_window_by_count_and_by_both(self):
        self.site([{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "avg", "operator": "GT",
                    "threshold": 10, "window_count": 3},
                   {"id": "both", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "sum",
                    "operator": "GT", "threshold": 10, "window_count": 3, "window_seconds": 60}])
        self.send("d1", 0, m=100)
        self.send("d1", 10, m=100)  # two are fewer than #3 wants
        self.fence()
        self.assertEqual(self.alerts.events(), [])
        self.send("d1", 1000, m=4)  # the others are of another hour: by count they are there
        self.fence()
        self.assertEqual([(a["rule_id"], a["details"]["value"]) for a in self.alerts.all()], [("n", 68)])
        for k in (1010, 1020):
            self.send("d1", k, m=4)
        self.fence()
        self.assertEqual(self.alerts.events("n"), ["OPEN", "CLOSED"])
        self.assertEqual([(a["event_at"], a["details"]["value"]) for a in self.alerts.all("both")],
                         [(stamp(1020), 12)])
        window = self.alerts.all("both")[0]["details"]["windows"][0]
        self.assertEqual((window["window_seconds"], window["count"]), (60, 3))

    def test_min_points(self):
        self.site([{"id": "five", "when": "avg(m, 10m) > 0", "min_points": 5},
                   {"id": "default", "when": "avg(m, 10m) > 0"}, {"id": "sum", "when": "sum(m, 10m) > 0"},
                   {"id": "count", "when": "count(m, 10m) == 1"}])
        for k in range(6):
            self.send("d1", k, m=1)
        self.fence()
        at = {rule: seconds(self.alerts.all(rule)[0]["event_at"]) // 1000
              for rule in ("five", "default", "sum", "count")}
        self.assertEqual(at, {"five": 4, "default": 1, "sum": 0, "count": 0})

    def test_anomaly(self):
        self.site([{"id": "odd", "rule_type": "ANOMALY", "metric_name": "flow", "window_minutes": 60,
                    "z_threshold": 3, "min_samples": 10}])
        self.send("early", 0, flow=1)
        self.send("early", 1, flow=2)
        self.send("early", 2, flow=1)
        self.send("early", 3, flow=900)  # too few to judge by
        for k in range(20):
            self.send("up", k, flow=10 + k % 3)
            self.send("down", k, flow=10 + k % 3)
            self.send("flat", k, flow=10)
        self.send("up", 30, flow=17)
        self.send("down", 30, flow=4)
        self.send("flat", 30, flow=11)  # deviation 0 of the others: unknown
        self.fence()
        self.assertEqual([(a["device_id"], a["alert_type"], a["event_at"]) for a in self.alerts.all()],
                         [("up", "ANOMALY", stamp(30)), ("down", "ANOMALY", stamp(30))])

    def test_conditions_with_match_mode_and_durations(self):
        conditions = [{"metric_name": "a", "operator": "GT", "threshold": 10, "duration_minutes": 1},
                      {"metric_name": "b", "operator": "LT", "threshold": 5}]
        self.site([{"id": "all", "rule_type": "THRESHOLD", "match_mode": "all", "conditions": conditions},
                   {"id": "any", "rule_type": "THRESHOLD", "match_mode": "any", "conditions": conditions}])
        steps = ((0, 11, 9), (30, 12, 4), (59.999, 12, 4), (60, 12, 4), (90, 12, 6), (100, 9, 6), (110, 12, 6),
                 (169, 12, 6), (170, 12, 6), (180, 12, 4), (190, 1, 4))
        for k, a, b in steps:
            self.send("d1", k, a=a, b=b)
        self.fence()
        got = {rule: [(a["event_type"], seconds(a["event_at"]) / 1000) for a in self.alerts.all(rule)]
               for rule in ("all", "any")}
        self.assertEqual(got, {
            "all": [("OPEN", 60), ("CLOSED", 90), ("OPEN", 180), ("CLOSED", 190)],
            "any": [("OPEN", 30), ("CLOSED", 100), ("OPEN", 170)]})

    def test_duration_needs_readings_and_one_is_not_enough(self):
        self.site([{"id": "for", "rule_type": "THRESHOLD", "metric_name": "m", "operator": "GT", "threshold": 10, "duration_seconds": 60}])
        self.send("broken", 0, m=11)
        self.send("broken", 30, m=9)
        self.send("broken", 60, m=11)
        self.send("broken", 119, m=11)
        self.send("alone", 500, m=11)
        self.send("held", 0, m=11)
        self.send("held", 59.999, m=11)
        self.send("held", 61, m=11)
        self.send("held", 62, m=11)
        self.fence()
        self.assertEqual([(a["device_id"], a["event_at"]) for a in self.alerts.all()], [("held", stamp(61))])

    def test_telemetry_gap_and_heartbeat(self):
        self.site("""\
            rules:
              - {id: gap, rule_type: TELEMETRY_GAP, metric_name: m, gap_minutes: 0.03}
              - {id: silent, rule_type: HEARTBEAT, timeout_seconds: 2}
            """)
        self.send("talks", None, m=1)
        self.send("quiet", None, m=1)

        def talk():  # a device that goes on talking, of something else
            self.send("talks", None, other=1)
            return self.alerts.events("gap", "talks") and self.alerts.events("silent", "quiet")

        wait_for(talk, "both to be missed")
        self.assertEqual(self.alerts.take("OPEN", "silent", "quiet")["alert_type"], "NO_HEARTBEAT")
        self.assertEqual(self.alerts.take("OPEN", "gap", "quiet")["alert_type"], "NO_TELEMETRY")
        self.alerts.take("OPEN", "gap", "talks")
        self.assertEqual(self.alerts.events("silent", "talks"), [])
        self.send_raw("tenant/acme/device/quiet/heartbeat", "")
        self.alerts.take("CLOSED", "silent", "quiet")
        self.assertEqual(self.alerts.events("gap", "quiet"), ["OPEN"])  # a heartbeat is no telemetry
        self.send("quiet", None, m=1)
        self.alerts.take("CLOSED", "gap", "quiet")

    def test_scope(self):
        self.site("""\
            groups:
              freezers: ["frz-*", cold-1]
            rules:
              - {id: tenant, when: m > 0, scope: {tenants: [acme]}}
              - {id: site, when: m > 0, scope: {sites: [s1, s2]}}
              - {id: device, when: m > 0, scope: {devices: ["pump-?", "x*"]}}
              - {id: group, when: m > 0, scope: {groups: [freezers]}}
              - {id: narrow, when: m > 0, scope: {tenants: [acme], sites: [s1], devices: ["frz-*"]}}
              - {id: "off", when: m > 0, enabled: false}
            """)
        self.send("frz-7", 0, site="s1", m=1)
        self.send("cold-1", 0, tenant="other", site="s2", m=1)
        self.send("pump-1", 0, site="s3", m=1)
        self.send("pump-10", 0, m=1)
        self.send("x", 0, tenant="other", m=1)
        self.fence()
        got = {}
        for alert in self.alerts.all():
            got.setdefault(alert["rule_id"], set()).add(alert["device_id"])
        self.assertEqual(got, {
            "tenant": {"frz-7", "pump-1", "pump-10"}, "site": {"frz-7", "cold-1"},
            "device": {"pump-1", "x"}, "group": {"frz-7", "cold-1"}, "narrow": {"frz-7"}})

    def test_metric_mappings(self):
        self.site("""\
            metrics:
              temp_c: [{raw: t1}, {raw: temp_f, multiplier: 0.5556, offset: -17.78}]
            rules:
              - {id: normal, when: temp_c > 30}
              - {id: raw, when: temp_f > 80}
            """)
        self.send("c", 0, t1=31)
        self.send("f", 0, temp_f=86.5)
        self.send("first", 0, temp_f=200, t1=20)
        self.fence()
        self.assertEqual({(a["rule_id"], a["device_id"]) for a in self.alerts.all()},
                         {("normal", "c"), ("normal", "f"), ("raw", "f"), ("raw", "first")})
        self.assertAlmostEqual(self.alerts.all("normal", "f")[0]["details"]["value"], 86.5 * 0.5556 - 17.78, 9)

    def test_cooldown_holds_back_firing_only(self):
        self.site([{"id": "c", "when": "m > 0", "cooldown": "10m"}])
        for k, m in ((0, 1), (10, 0), (20, 1), (30, 0), (599, 1), (599.5, 0), (601, 0), (602, 1)):
            self.send("d1", k, m=m)
        self.fence()
        self.assertEqual([(a["event_type"], seconds(a["event_at"]) / 1000) for a in self.alerts.all()],
                         [("OPEN", 0), ("CLOSED", 10), ("OPEN", 602)])
        wait_for(lambda: self.store.client("GET", "cooldown:acme:c:d1") == b"1", "the cooldown's key")
        self.assertIn(self.store.client("TTL", "cooldown:acme:c:d1"), range(1, 601))

    def test_cooldown_ends_by_time_alone(self):
        self.site([{"id": "c", "when": "m > 0", "cooldown": "1s"}])
        for m in (1, 0, 1):
            self.send("d1", None, m=m)
        self.alerts.take("OPEN")
        self.alerts.take("CLOSED")
        second = self.alerts.take("OPEN")  # no reading comes any more
        self.assertGreaterEqual(seconds(second["event_at"]) - seconds(self.alerts.all()[0]["event_at"]), 1000)

    def test_window_that_empties_closes_by_time_alone(self):
        self.site([{"id": "busy", "when": "count(m, 1s) >= 2"}])
        self.send("d1", None, m=1)
        self.send("d1", None, m=1.5)
        opened = self.alerts.take("OPEN")
        closed = self.alerts.take("CLOSED")
        self.assertIn(seconds(closed["event_at"]) - seconds(opened["event_at"]), range(1000, 3000))

    def test_hysteresis_and_keep_firing_for(self):
        self.site([{"id": "h", "when": "m > 10", "clear": "m < 5", "keep_firing_for": "1m"}])
        for k, m in ((0, 11), (10, 7), (20, 4), (79, 4), (81, 6), (90, 4), (149, 4.5), (150, 4), (160, 4)):
            self.send("d1", k, m=m)
        self.fence()
        self.assertEqual([(a["event_type"], seconds(a["event_at"]) / 1000) for a in self.alerts.all()],
                         [("OPEN", 0), ("CLOSED", 150)])


if __name__ == "__main__":
    unittest.main()
