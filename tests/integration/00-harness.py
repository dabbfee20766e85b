#!/usr/bin/env python3
"""The tests' own tools against the real servers: a green run elsewhere must not rest on a broken tool."""

import time
import unittest

import oracle
import stream
from lib import mqtt, proxy, resp, tls
from lib.harness import BASE, Case, key_of, seconds, stamp, wait_for


class Harness(Case):
    def test_mqtt_client_at_each_version_and_qos(self):
        self.start_broker()
        for version in (3, 5):
            listener = self.broker.client(version=version)
            listener.subscribe("a/+", 2)
            sender = self.broker.client(version=version)
            for qos in (0, 1, 2):
                sender.publish(f"a/{qos}", f"v{version}", qos)
                found = listener.wait(lambda m: m.topic == f"a/{qos}")
                self.assertEqual((found.payload, found.qos), (f"v{version}".encode(), qos))
            sender.close()
            listener.close()

    def test_mqtt_client_keeps_order_with_many_in_flight(self):
        self.start_broker()
        listener = self.broker.client()
        listener.subscribe("n", 1)
        for n in range(2000):
            self.publisher.publish_soon("n", str(n))
        self.publisher.flush()
        wait_for(lambda: len(listener.messages) == 2000, "2000 messages")
        self.assertEqual([int(m.payload) for m in listener.messages], list(range(2000)))
        listener.close()

    def test_mqtt_session_over_a_restart_of_the_broker(self):
        self.start_broker()
        first = self.broker.client(client_id="kept", clean=False, expiry=600)
        first.subscribe("kept/#", 1)
        first.close(gracefully=False)
        self.publisher.publish("kept/1", "queued", 1)
        self.broker.stop()
        self.broker.start()
        again = self.broker.client(client_id="kept", clean=False, expiry=600)
        self.assertTrue(again.session_present)
        self.assertEqual(again.wait(lambda m: True).payload, b"queued")
        again.close()

    def test_mqtt_over_tls_with_client_certificate(self):
        made = tls.Certificates(self.folder)
        self.start_broker(made.listener(mutual=True), tls=made.context(client=True))
        with self.assertRaises(OSError):
            mqtt.Client(self.broker.port, tls=made.context(), timeout=3)

    def test_resp_client(self):
        store = self.start_store()
        self.assertEqual(store.client("SET", "k", "v"), b"OK")
        self.assertEqual(store.client("GET", "k"), b"v")
        self.assertIsNone(store.client("GET", "none"))
        self.assertEqual(store.client("RPUSH", "l", 1, 2), 2)
        self.assertEqual(store.client("LRANGE", "l", 0, -1), [b"1", b"2"])
        with self.assertRaises(resp.ErrorAnswer):
            store.client("GET", "l")
        self.assertEqual(store.client.keys(), ["k", "l"])
        store.kill()
        store.start()
        self.assertEqual(store.client("GET", "k"), b"v")
        store.stop()
        store.start(empty=True)
        self.assertEqual(store.client.keys(), [])

    def test_proxy_faults(self):
        store = self.start_store()
        between = proxy.Proxy(store.socket)
        self.addCleanup(between.close)

        def connect(timeout=10):
            client = resp.Client(between.port, timeout=timeout)
            self.addCleanup(client.close)
            return client

        client = connect(timeout=0.3)
        self.assertEqual(client("PING"), b"PONG")
        between.stall()
        with self.assertRaises(TimeoutError):
            client("PING")
        between.heal()
        client = connect()
        client("SET", "k", "x" * 1000)
        between.cut(after=100)
        with self.assertRaises(OSError):
            client("GET", "k")
        between.refuse()
        with self.assertRaises(OSError):
            connect()("PING")
        between.heal()
        between.delay(0.1)
        began = time.monotonic()
        connect()("PING")
        self.assertGreater(time.monotonic() - began, 0.19)

    def test_stamps_and_keys(self):
        self.assertEqual(stamp(0), "2026-01-01T00:00:00.000Z")
        self.assertEqual(stamp(61.5), "2026-01-01T00:01:01.500Z")
        self.assertEqual(seconds(stamp(86400.001)), 86400001)
        self.assertEqual(key_of("r", "d:1", "a:b%c"), "wbuf:a%3Ab%25c:r:d:1")
        self.assertEqual(time.gmtime(BASE)[:6], (2026, 1, 1, 0, 0, 0))


class Model(unittest.TestCase):
    """oracle.py by examples that a reader can check by eye."""

    def run_through(self, rule, *readings):
        """[(event, at)] after readings (at_ms, value[, seq]) of metric m."""
        model = oracle.Oracle([rule])
        for at, value, *seq in readings:
            model.take(oracle.Message("d", at, [("m", value)], seq[0] if seq else None))
        return [(a.event_type, a.event_at) for a in model.alerts]

    def avg(self, op, number, seconds=0, count=0, **more):
        return oracle.Rule("r", oracle.compare(oracle.window("avg", "m", seconds, count), op, number), {}, **more)

    def test_bound_of_a_window_is_closed(self):
        rule = self.avg(">", 4.9, 10)
        self.assertEqual(self.run_through(rule, (0, 1.0), (10_000, 9.0)), [("OPEN", 10_000)])
        self.assertEqual(self.run_through(rule, (0, 1.0), (10_001, 9.0)), [])  # alone: unknown

    def test_count_wants_that_many(self):
        rule = self.avg(">", 0, 0, 3)
        self.assertEqual(self.run_through(rule, (0, 1.0), (1, 1.0), (2, 1.0), (3, -9.0)), [("OPEN", 2), ("CLOSED", 3)])

    def test_late_duplicate_and_redelivered(self):
        rule = oracle.Rule("r", oracle.compare(oracle.window("count", "m", 10), ">=", 3), {})
        self.assertEqual(self.run_through(rule, (0, 1.0), (5, 1.0), (5, 1.0)), [])
        self.assertEqual(self.run_through(rule, (0, 1.0), (5, 1.0), (3, 1.0)), [("OPEN", 5)])
        self.assertEqual(self.run_through(rule, (20_000, 1.0), (20_005, 1.0), (10_004, 1.0)), [])
        self.assertEqual(self.run_through(rule, (0, 1.0, 1), (5, 1.0, 2), (6, 2.0, 2)), [])
        late = oracle.Rule("r", oracle.compare(oracle.latest("m"), ">", 5), {})
        self.assertEqual(self.run_through(late, (10, 1.0), (9, 9.0), (11, 9.0)), [("OPEN", 11)])

    def test_durations_are_complete_at_a_reading(self):
        rule = oracle.Rule("r", oracle.compare(oracle.latest("m"), ">", 0), {}, for_s=10, keep_s=5)
        self.assertEqual(self.run_through(rule, (0, 1.0), (9_999, 1.0), (10_000, 1.0), (20_000, 0.0), (24_999, 0.0),
                                          (25_001, 0.0)), [("OPEN", 10_000), ("CLOSED", 25_001)])
        held = oracle.Rule("r", oracle.held(oracle.compare(oracle.latest("m"), ">", 0), 10), {})
        self.assertEqual(self.run_through(held, (0, 1.0), (5_000, 0.0), (10_000, 1.0), (20_000, 1.0), (20_001, 0.0)),
                         [("OPEN", 20_000), ("CLOSED", 20_001)])

    def test_functions(self):
        points = [(0, 1.0), (1000, 3.0), (2000, 2.0), (4000, 6.0)]
        for fn, expected in {"avg": 3, "sum": 12, "min": 1, "max": 6, "count": 4, "first": 1, "last": 6, "range": 5,
                             "delta": 5, "median": 2.5, "changes": 3, "rate": 2.0, "stddev": (14 / 3) ** 0.5,
                             "slope": 10 / 8.75, "zscore": 4.0}.items():
            self.assertAlmostEqual(oracle.function(fn, points, None, 1), expected, 12, fn)
        self.assertEqual(oracle.function("percentile", points, 50, 1), 2.5)
        self.assertAlmostEqual(oracle.function("percentile", points, 90, 1), 5.1, 12)
        self.assertIsNone(oracle.function("avg", points, None, 5))
        self.assertIsNone(oracle.function("zscore", [(0, 1.0), (1, 1.0), (2, 5.0)], None, 1))

    def test_stream_is_the_same_for_a_seed(self):
        first, second = ([sent[:2] for sent in stream.Stream(7).sent(300)] for _ in range(2))
        self.assertEqual(first, second)


if __name__ == "__main__":
    unittest.main()
