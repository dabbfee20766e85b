#!/usr/bin/env python3
"""Thousands of random readings of many devices through the real gateway, compared with the model in
oracle.py: every OPEN and CLOSED of every rule and device, in order, with its time and value; and every
window in Valkey. In one go, across clean restarts, across kill -9, across faults of Valkey and the broker.

BRINK_ORACLE_SEED and BRINK_ORACLE_MESSAGES choose another run; the seed is printed.
"""

import collections
import json
import os
import unittest

import oracle
import stream
from lib.harness import Case, key_of, seconds, wait_for

SEED = int(os.environ.get("BRINK_ORACLE_SEED", "20260101"))
MESSAGES = int(os.environ.get("BRINK_ORACLE_MESSAGES", "4000"))
LATE_DECISION_MS = 600_000  # "now" of a device runs on between its newest reading and a late one


class OracleTest(Case):
    def arrange(self, salt, config=None, whole=False, arrays=True):
        seed = SEED + salt
        print(f"{self.id()}: BRINK_ORACLE_SEED={SEED} (+{salt}) messages={MESSAGES}", flush=True)
        made = stream.rules()
        self.stream = stream.Stream(seed, whole=whole, arrays=arrays)
        self.oracle = oracle.Oracle(made, stream.MAPPINGS)
        self.rng = self.stream.rng
        self.start_broker()
        self.start_store()
        # A machine so busy that Valkey is late must not count as an outage: rules would rightly be unknown.
        patient = {"store": {"timeout": "10s"}}
        self.brink = self.gateway(config={**patient, **(config or {})}, start=False)
        self.brink.rules(stream.rule_file(made))
        self.brink.start()

    def publish(self, n, qos=1):
        for topic, payload, said in self.stream.sent(n):
            self.publisher.publish_soon(topic, payload, qos, timeout=60)
            for message in said:
                self.oracle.take(message)
        self.publisher.flush(60)

    def compare(self, repeats=False):
        self.fence(timeout=60)
        self.compare_alerts(repeats)
        self.compare_windows()

    def compare_alerts(self, repeats):
        """repeats: an alert may have been delivered twice (6.3: at least once); it is the same then."""
        got, seen, twice = collections.defaultdict(list), {}, 0
        for alert in self.alerts.all():
            identity = (alert["alert_id"], alert["event_type"])
            if identity in seen:
                twice += 1
                self.assertTrue(repeats, f"delivered twice: {alert}")
                self.assertEqual(seen[identity]["event_at"], alert["event_at"])
                continue
            seen[identity] = alert
            got[alert["rule_id"], alert["device_id"]].append(alert)
        expected = self.oracle.sequences()
        wrong = []
        for key in sorted(set(got) | set(expected)):
            wrong += self._differences(key, expected.get(key, []), got.get(key, []))
        self.assertFalse(wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:12]))
        self.assertGreater(len(self.oracle.alerts), MESSAGES / 4)
        print(f"{self.id()}: {len(self.oracle.alerts)} alerts agree, {twice} repeats", flush=True)

    def _differences(self, key, expected, got):
        for i, (want, have) in enumerate(zip(expected, got)):
            at = seconds(have["event_at"])
            same_time = at == want.event_at if want.exact else (
                0 <= at - want.event_at <= LATE_DECISION_MS)
            if have["event_type"] != want.event_type or not same_time:
                return [f"{key} number {i}: expected {self._brief(expected[max(0, i - 2) : i + 3])}, got "
                        + str([(a["event_type"], seconds(a["event_at"])) for a in got[max(0, i - 2) : i + 3]])]
            if want.value is not None:
                where = f"{key} number {i}, {want.event_type} at {want.event_at}"
                details = have["details"]
                w = details["windows"][0]
                points = [(round(at * 1000) - stream.BASE_MS, v) for at, v in w["points"]]
                missing = [p for p in want.points[-len(points):] if not self._among(p, points)]
                surplus = [p for p in points if not self._among(p, want.points)]
                if w["count"] != len(want.points) or missing or surplus:
                    return [f"{where}: {w['count']} points of {len(want.points)}, missing {missing}, surplus {surplus}"]
                if abs(details["value"] - want.value) > 1e-9 * max(1, abs(want.value)):
                    return [f"{where}: value {details['value']!r} of {want.value!r}"]
                ends = tuple(round(w[k] * 1000) - stream.BASE_MS for k in ("first_ts", "last_ts"))
                if ends != (want.points[0][0], want.points[-1][0]):
                    return [f"{where}: from and to {ends}"]
        if len(expected) != len(got):
            i = min(len(expected), len(got))
            more = expected[i] if len(expected) > i else {
                k: got[i][k] for k in ("event_type", "event_at", "details")}
            return [f"{key}: expected {len(expected)} events, got {len(got)}; first without a partner: {more}"]
        return []

    @staticmethod
    def _among(point, points):
        return any(at == point[0] and abs(v - point[1]) <= 1e-12 * max(1, abs(v)) for at, v in points)

    @staticmethod
    def _brief(alerts):
        return [(a.event_type, a.event_at) for a in alerts]

    def compare_windows(self):
        expected = list(self.oracle.windows())
        values = self.store.client.pipeline([("GET", key_of(r, d, "acme", m)) for r, d, m, _, _ in expected])
        wrong = []
        for (rule, device, metric, spans, points), value in zip(expected, values):
            where = f"{rule} {device} {metric or ''}"
            if value is None:
                wrong.append(f"{where}: no key, expected {len(points)} points")
                continue
            stored = json.loads(value)
            found = oracle.live(stored, spans)
            if not self._agree(found, points):
                wrong.append(f"{where}: expected {points}, found {found}")
            live_text = json.dumps([[1767225600 + at / 1000, v] for at, v in found])
            if len(value) > 2 * len(live_text) + 4096:
                wrong.append(f"{where}: {len(value)} bytes for {len(live_text)} that live")
        self.assertFalse(wrong, f"{len(wrong)} of {len(expected)} windows differ:\n" + "\n".join(wrong[:8]))
        self.assertGreater(len(expected), 300)
        print(f"{self.id()}: {len(expected)} windows agree", flush=True)

    @staticmethod
    def _agree(found, expected):
        base = stream.BASE_MS
        return len(found) == len(expected) and all(
            at == base + want_at and abs(v - want) <= 1e-12 * max(1, abs(want))
            for (at, v), (want_at, want) in zip(found, expected))

    # --- the runs ---

    def test_in_one_go(self):
        self.arrange(0)
        self.publish(MESSAGES)
        self.compare()

    def test_clean_restarts(self):
        self.arrange(1)
        for _ in range(5):
            self.publish(MESSAGES // 6)
            self.assertEqual(self.brink.stop(), 0)
            self.stream.forget_seqs()
            self.publish(self.rng.randrange(1, 200))  # queued by the broker meanwhile
            self.brink.start()
        self.publish(MESSAGES // 6)
        self.compare()

    def test_kill_9_with_inbox_0(self):
        """Without arrays: all readings of one are in Valkey before the first of them has decided anything, so a
        kill in between may move an event to the last one's time. BRINK_ORACLE_ARRAYS=1 takes them in."""
        self.arrange(2, config={"mqtt": {"inbox": 0}}, whole=True, arrays="BRINK_ORACLE_ARRAYS" in os.environ)
        for _ in range(6):
            self.publish(self.rng.randrange(1, MESSAGES // 4))
            self.brink.kill()  # in the middle of what it was given
            self.publish(self.rng.randrange(1, 100))
            self.brink.start()
        self.publish(MESSAGES // 8)
        self.compare(repeats=True)

    def test_broker_restarts(self):
        self.arrange(3)
        for _ in range(3):
            self.publish(MESSAGES // 4)
            self.broker.stop()
            self.broker.start()
            self.reconnect()
        self.publish(MESSAGES // 4)
        self.compare(repeats=True)

    def test_windows_after_valkey_was_away(self):
        """What is decided depends on the moment of the fault; what is kept does not."""
        self.arrange(4)
        self.publish(MESSAGES // 4)
        self.store.kill()
        self.publish(MESSAGES // 4)
        self.store.start()
        self.publish(MESSAGES // 8)
        self.store.kill()
        self.publish(MESSAGES // 8)
        self.store.start(empty=True)
        self.publish(MESSAGES // 8)
        self.store.freeze()
        self.publish(MESSAGES // 8)
        self.store.thaw()
        self.fence()

        def settled():
            try:
                self.compare_windows()
                return True
            except AssertionError as error:
                self.last = error
                return False

        wait_for(settled, lambda: f"equal windows: {self.last}", 30)


if __name__ == "__main__":
    unittest.main()
