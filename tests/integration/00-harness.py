#!/usr/bin/env python3
"""The tests' own tools against the real servers: a green run elsewhere must not rest on a broken tool."""

import time
import unittest

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


if __name__ == "__main__":
    unittest.main()
