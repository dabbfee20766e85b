#!/usr/bin/env python3
"""From bytes to readings (SPEC 3): formats, times, redeliveries, late readings, and input of every bad kind."""

import json
import os
import random
import time
import unittest

from lib.harness import BASE, Case, seconds, stamp, wait_for

SEED = int(os.environ.get("BRINK_TEST_SEED", "20260101"))
SEEN = [{"id": "seen", "when": "m > 0"}]  # opens at the first m > 0 of a device
COUNT = [{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "count", "operator": "GT",
          "threshold": 1000, "window_seconds": 600}]


class Ingest(Case):
    def topic(self, device, tenant="acme"):
        return f"tenant/{tenant}/device/{device}/telemetry"

    def opened(self):
        self.fence()
        return sorted(a["device_id"] for a in self.alerts.all() if a["event_type"] == "OPEN")

    def times(self, device):
        """Of the stored window of rule n, in seconds after BASE."""
        return [round(at - BASE, 6) for at, _ in self.store.window("n", device) or []]

    def test_forms_of_time(self):
        self.site(COUNT)
        forms = {"z": '"2026-01-01T00:01:40.250Z"', "east": '"2026-01-01T02:01:40.25+02:00"',
                 "west": '"2025-12-31T19:01:40.250-05:00"', "local": '"2026-01-01T00:01:40.250"',
                 "blank": '"2026-01-01 00:01:40.250Z"', "s": "1767225700.25", "ms": "1767225700250",
                 "us": "1767225700250000", "ns": "1767225700250000000"}
        for device, form in forms.items():
            self.send_raw(self.topic(device), f'{{"ts":{form},"metrics":{{"m":1}}}}')
        self.fence()
        for device in forms:
            self.assertEqual(self.times(device), [100.25], device)

    def test_arrival_time_where_the_device_has_none_to_be_believed(self):
        self.site(COUNT)
        before = time.time()
        cases = {"none": "", "null": '"ts":null,', "old": '"ts":"2001-09-08T23:59:59Z",', "small": '"ts":17,',
                 "text": '"ts":"soon",', "object": '"ts":{},', "ahead": f'"ts":{int(time.time()) + 3600},'}
        for device, ts in cases.items():
            self.send_raw(self.topic(device), f'{{{ts}"metrics":{{"m":1}}}}')
        self.send_raw(self.topic("bit-ahead"), f'{{"ts":{int(before) + 200},"metrics":{{"m":1}}}}')
        self.fence()
        for device in cases:
            at = self.store.window("n", device)[0][0]
            self.assertTrue(before - 0.01 <= at <= time.time() + 0.01, (device, at, before))
        self.assertEqual(self.store.window("n", "bit-ahead")[0][0], int(before) + 200)
        replaced = {k: v for k, v in self.brink.metrics().items() if "time_replaced" in k and v}
        self.assertEqual(sum(replaced.values()), len(cases) + 1, replaced)  # and the fence's own
        self.assertEqual(replaced['brink_time_replaced_total{reason="future"}'], 1)
        self.assertEqual(replaced['brink_time_replaced_total{reason="before_2001"}'], 2)

    def test_late_readings_go_to_their_place(self):
        self.site(COUNT + [{"id": "latest", "when": "m == 7 or m == 7 and x > 0"}])
        for k, m in ((1000, 1), (1100, 2), (1050, 7), (500, 7), (399, 7)):
            self.send("d1", k, m=m)
        self.send("d1", 1100, x=1)
        self.send("d1", 1100, m=3)
        self.fence()
        self.assertEqual(self.store.window("n", "d1"),
                         [[BASE + 500, 7], [BASE + 1000, 1], [BASE + 1050, 7], [BASE + 1100, 2], [BASE + 1100, 3]])
        self.assertEqual(self.alerts.events("latest"), [])  # late readings are never the latest value
        self.assertGreaterEqual(self.brink.metric("readings_dropped_total", 'reason="late"'), 1)

    def test_late_reading_changes_the_outcome(self):
        self.site([{"id": "avg", "when": "avg(m, 10m) > 10"}])
        self.send("d1", 100, m=8)
        self.send("d1", 200, m=9)
        self.send("d1", 150, m=100)
        opened = self.alerts.take("OPEN")
        self.assertEqual(opened["details"]["value"], 39)
        self.assertIn(seconds(opened["event_at"]), range(200_000, 230_000))

    def test_redeliveries_change_nothing(self):
        self.site(COUNT)
        for _ in range(3):  # equal in time and value
            self.send("plain", 0, m=1)
        self.send("plain", 0, m=2)  # equal in time alone
        for _ in range(3):
            self.send("seq", 0, seq=5, m=1)
        self.send("seq", 10, seq=5, m=3)  # the number says: that one again
        self.send("seq", 20, seq=6, m=4)
        for i in range(70):
            self.send("many", i, seq=i, m=1, wait=False)
        self.send("many", 500, seq=0, m=1)  # number 0 is more than 64 ago
        self.fence()
        self.assertEqual(self.store.window("n", "plain"), [[BASE, 1], [BASE, 2]])
        self.assertEqual(self.store.window("n", "seq"), [[BASE, 1], [BASE + 20, 4]])
        self.assertEqual(len(self.times("many")), 71)
        self.assertEqual(self.brink.metric("messages_dropped_total", 'reason="redelivered"'), 3)

    def test_array_is_that_many_messages(self):
        self.site(SEEN + COUNT)
        self.send_raw(self.topic("d1"), json.dumps(
            [{"ts": stamp(k), "metrics": {"m": m}} for k, m in ((0, 0), (1, 5), (2, 0), (3, 6))]))
        self.send_raw(self.topic("d1"), "[]")
        self.fence()
        self.assertEqual([(a["event_type"], a["event_at"]) for a in self.alerts.all()],
                         [("OPEN", stamp(1)), ("CLOSED", stamp(2)), ("OPEN", stamp(3))])
        self.assertEqual(self.times("d1"), [0, 1, 2, 3])

    def test_array_with_a_bad_message_keeps_the_good_ones(self):
        self.site(SEEN)
        self.send_raw(self.topic("d1"), '[{"metrics":{"m":0}}, 17, {"no":1}, {"metrics":{"m":1}}]')
        self.assertEqual(self.opened(), ["d1"])

    def test_numbers_booleans_nested_objects_and_named_values(self):
        self.site("""\
            rules:
              - {id: bool, when: a == 1}
              - {id: nested, when: motor.bearing.temp > 80}
              - {id: named, when: door == 1}
              - {id: text, when: note > 0}
              - {id: quoted, when: "`room temp` > 1"}
            """, config={"telemetry": [
                {"topic": "tenant/{tenant}/device/{device}/telemetry", "metrics": "/metrics",
                 "values": {"ON": 1, "OFF": 0}}]})
        self.send("d1", None, a=True, motor={"bearing": {"temp": 81}}, door="ON", note="17", **{"room temp": 2})
        self.fence()
        self.assertEqual(sorted(a["rule_id"] for a in self.alerts.all()), ["bool", "named", "nested", "quoted"])

    def test_empty_pointer_value_format_and_other_topics(self):
        self.site(SEEN + [{"id": "temp", "when": "temp > 20"}, {"id": "power", "when": "power > 5"}],
                  config={"telemetry": [
                      {"topic": "tenant/{tenant}/device/{device}/telemetry", "metrics": "/metrics"},
                      {"topic": "flat/{device}", "metrics": ""},
                      {"topic": "sensors/{site}/{device}/{metric}", "format": "value"},
                      {"topic": "meter/{device}/w", "format": "value", "metric": "power"},
                      {"topic": "deep/{device}", "metrics": "/a~1b/0/x", "timestamp": "/t~0t"}]})
        self.send_raw("flat/f", '{"m": 3, "label": "x"}')
        self.send_raw("sensors/s9/v/temp", "21.5")
        self.send_raw("sensors/s9/v2/temp", " 2.15e1\n")
        self.send_raw("sensors/s9/v3/temp", "[20, 21]")
        self.send_raw("meter/p/w", "6")
        self.send_raw("meter/none/w", "six")
        self.send_raw("deep/z", json.dumps({"a/b": [{"x": {"m": 1}}], "t~t": stamp(7)}))
        self.fence()
        self.assertEqual(sorted((a["tenant_id"], a["device_id"], a["rule_id"]) for a in self.alerts.all()),
                         [("default", "f", "seen"), ("default", "p", "power"), ("default", "v", "temp"),
                          ("default", "v2", "temp"), ("default", "v3", "temp"), ("default", "z", "seen")])
        self.assertEqual(self.alerts.all("seen", "z")[0]["event_at"], stamp(7))
        self.assertEqual(self.brink.metric("messages_dropped_total", 'reason="not_a_number"'), 1)

    def test_bad_input_is_dropped_and_counted_by_reason(self):
        self.site(SEEN, config={  # with MQTT 5 the broker would hold back what is too large
            "limits": {"payload_bytes": 2000}, "mqtt": {"version": "3.1.1"}})
        bad = [
            ("not_json", b""), ("not_json", b"{"), ("not_json", b'{"metrics":{"m":1}} x'), ("not_json", b"\xff\xfe"),
            ("not_json", b'{"metrics":{"m":01}}'), ("not_json", b'{"metrics":{"m":NaN}}'), ("not_json", b"[" * 1900),
            ("not_json", b'{"metrics":{"m":1},}'), ("not_json", b'{"metrics":{"\xc3\x28":1}}'),
            ("too_large", b'{"metrics":{"m":1},"x":"' + b"y" * 2000 + b'"}'),
            ("no_such_member", b'{"metric":{"m":1}}'), ("no_such_member", b"17"),
        ]
        for _, payload in bad:
            self.send_raw(self.topic("bad"), payload, wait=False)
        self.send_raw(self.topic("bad"), b'{"metrics":{"m":1e999}}')
        self.send_raw(self.topic("good"), b'{"metrics":{"m":1}}')
        self.assertEqual(self.opened(), ["good"])
        for reason in ("not_json", "too_large", "no_such_member"):
            self.assertEqual(self.brink.metric("messages_dropped_total", f'reason="{reason}"'),
                             sum(1 for r, _ in bad if r == reason), reason)
        self.assertEqual(self.brink.metric("readings_dropped_total", 'reason="not_finite"'), 1)

    def test_too_large_for_an_mqtt_5_client_holds_nothing_up(self):
        self.site(SEEN, config={"limits": {"payload_bytes": 2000}})
        for n in (1900, 2100, 100_000, 5_000_000):
            self.send_raw(self.topic(f"d{n}"), json.dumps({"metrics": {"m": 1}, "x": "y" * n}))
        self.send_raw(self.topic("small"), '{"metrics":{"m":1}}')
        self.assertEqual(self.opened(), ["d1900", "small"])

    def test_thousands_of_broken_payloads(self):
        """Good ones with bytes changed, cut and doubled at random: nothing but counters moves."""
        self.site(SEEN + COUNT)
        rng = random.Random(SEED)
        good = json.dumps([{"ts": stamp(0), "site_id": "s", "seq": 1, "metrics": {
            "a": {"b": [1, {"c": 2e3}], "d": True}, "e": "\u00e9\ud83d\ude00", "f": -0.5e-3, "g": None}}]).encode()
        for i in range(4000):
            data = bytearray(good)
            for _ in range(rng.randrange(1, 6)):
                at, what = rng.randrange(len(data)), rng.randrange(4)
                if what == 0:
                    data[at] = rng.randrange(256)
                elif what == 1:
                    del data[at : at + rng.randrange(1, 9)]
                elif what == 2:
                    data[at:at] = data[at : at + rng.randrange(1, 40)]
                else:
                    data[at:at] = rng.choice((b"[", b"{", b'"', b"\\u", b"1e9", b"\x00", b"-", b"\xed\xa0\x80"))
                data = data or bytearray(b"[")
            self.send_raw(self.topic(f"d{i % 7}"), bytes(data), wait=False)
        self.send_raw(self.topic("good"), '{"metrics":{"m":1}}')
        self.assertIn("good", self.opened())

    def test_bad_input_is_logged_at_most_once_a_second_for_a_reason(self):
        self.site(SEEN)
        began = time.monotonic()
        for _ in range(3000):
            self.send_raw(self.topic("bad"), b"{", wait=False)
        self.fence()
        took = time.monotonic() - began
        lines = [line for line in self.brink.log().splitlines() if "not_json" in line or "not JSON" in line]
        self.assertTrue(lines)
        self.assertLessEqual(len(lines), took + 2)
        self.assertEqual(self.brink.metric("messages_dropped_total", 'reason="not_json"'), 3000)

    def test_strange_ids(self):
        self.site(SEEN + COUNT)
        for device in ("a b", "ü", "x:y", "100%", '"quoted"', "a\\b", "\u202e"):
            self.send(device, 0, m=1)
        self.send_raw("tenant/acme/device//telemetry", '{"metrics":{"m":1}}')
        self.send_raw("tenant//device/d/telemetry", '{"metrics":{"m":1}}')
        found = self.opened()
        for device in ("a b", "ü", "x:y", "100%", '"quoted"', "a\\b"):
            self.assertIn(device, found)
        self.assertNotIn("", found)
        self.assertNotIn("d", found)
        self.assertGreaterEqual(self.brink.metric("messages_dropped_total", 'reason="bad_id"'), 2)
        self.assertFalse([c for c in self.brink.log() if ord(c) < 32 and c != "\n"])

    def test_retained_telemetry_is_ignored_unless_told(self):
        self.start_broker()
        self.publisher.publish(self.topic("kept"), '{"metrics":{"m":1}}', retain=True)
        self.start_store()
        self.brink = self.gateway(SEEN)
        self.counted("messages_dropped_total", 'reason="retained"')
        self.publisher.publish(self.topic("now"), '{"metrics":{"m":1}}', retain=True)  # live: not a retained one
        self.assertEqual(self.opened(), ["now"])
        self.brink.stop()
        entry = {"topic": "tenant/{tenant}/device/{device}/telemetry", "retained": "evaluate"}
        self.brink = self.gateway(SEEN, config={"telemetry": [entry]})
        self.alerts.take("OPEN", "seen", "kept")

    def test_device_limit(self):
        self.site(SEEN, config={"limits": {"devices": 10}})
        for i in range(15):
            self.send(f"d{i:02}", 0, m=1)
        self.counted("messages_dropped_total", 'reason="device_limit"', 5)
        wait_for(lambda: len(self.alerts.all()) >= 10, "ten alerts")
        self.assertEqual(sorted(a["device_id"] for a in self.alerts.all()), [f"d{i:02}" for i in range(10)])

    def test_a_few_readings_of_long_ago_do_not_start_windows_anew(self):
        self.site([{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "avg", "operator": "GT",
                    "threshold": 100, "window_seconds": 600}])
        self.send("d1", 100_000, m=1)
        for k in (0, 100, 200):
            self.send("d1", k, m=500)
        self.fence()
        self.assertEqual(self.times("d1"), [100_000])
        self.assertEqual(self.alerts.events(), [])


if __name__ == "__main__":
    unittest.main()
