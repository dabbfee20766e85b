#!/usr/bin/env python3
"""Thousands of random readings of many devices through the real gateway, compared with the model in
oracle.py: every OPEN and CLOSED of every rule and device, in order, with its time and value; and every
window in Valkey. In one go, across clean restarts, across kill -9, across faults of Valkey and the broker.

BRINK_ORACLE_SEED and BRINK_ORACLE_MESSAGES choose another run; the seed is printed.
"""

import collections
import os
import unittest

import judge
import oracle
import stream
from lib.harness import Case, wait_for

SEED = int(os.environ.get("BRINK_ORACLE_SEED", "20260101"))
MESSAGES = int(os.environ.get("BRINK_ORACLE_MESSAGES", "4000"))


class OracleTest(Case):
    def arrange(self, salt, config=None, whole=False):
        seed = SEED + salt
        print(f"{self.id()}: BRINK_ORACLE_SEED={SEED} (+{salt}) messages={MESSAGES}", flush=True)
        made = stream.rules()
        self.stream = stream.Stream(seed, whole=whole)
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
            wrong += judge.differences(key, expected.get(key, []), got.get(key, []))
        self.assertFalse(wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:12]))
        self.assertGreater(len(self.oracle.alerts), MESSAGES / 4)
        print(f"{self.id()}: {len(self.oracle.alerts)} alerts agree, {twice} repeats", flush=True)

    def compare_windows(self):
        n, wrong = judge.windows(self.store.client, self.oracle)
        self.assertFalse(wrong, f"{len(wrong)} of {n} windows differ:\n" + "\n".join(wrong[:8]))
        self.assertGreater(n, 300)
        print(f"{self.id()}: {n} windows agree", flush=True)

    # --- the runs ---

    def test_in_one_go(self):
        self.arrange(0)
        self.publish(MESSAGES)
        self.compare()

    def test_clean_restarts(self):
        self.arrange(1)
        for _ in range(5):
            self.publish(MESSAGES // 6)
            self.fence(timeout=60)  # else the stop comes between a number and its return
            self.stream.forget_seqs()
            self.stream.whole = True  # no number returns
            self.publish(MESSAGES // 40)  # of which some are on their way when it stops
            self.stream.whole = False
            self.assertEqual(self.brink.stop(), 0)
            self.stream.forget_seqs()
            self.publish(self.rng.randrange(1, 200))  # queued by the broker meanwhile
            self.brink.start()
        self.publish(MESSAGES // 6)
        self.compare()

    def test_kill_9_with_inbox_0(self):
        self.arrange(2, config={"mqtt": {"inbox": 0}}, whole=True)
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
