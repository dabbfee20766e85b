#!/usr/bin/env python3
"""Memory is bounded by the configuration, and what is silent leaves it."""

import json
import os
import unittest

from lib.harness import BASE, Case, wait_for

MIB = 1 << 20
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"))


class Memory(Case):
    def arrays(self, devices, points, start=0, prefix="d"):
        """`points` readings of each device, up to 500 in one message."""
        for first in range(start, start + points, 500):
            for d in range(devices):
                body = [{"ts": BASE + k, "metrics": {"m": d % 50 + k / 4}}
                        for k in range(first, min(first + 500, start + points))]
                self.send_raw(f"tenant/acme/device/{prefix}{d}/telemetry", json.dumps(body), wait=False)
        self.fence(120)

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory would be measured")
    def test_ten_thousand_devices_of_sixty_entries(self):
        self.site([{"id": "avg", "when": "avg(m, 60s) > 1e6"}])
        self.arrays(10_000, 60)
        used = self.brink.memory()
        print(f"10,000 devices x 60 entries: {used / MIB:.1f} MiB", flush=True)
        self.assertEqual(len(self.store.window("avg", "d9999")), 60)
        self.assertLess(used, 40 * MIB)

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory would be measured")
    def test_a_flood_of_devices_stops_at_the_limit(self):
        self.site([{"id": "avg", "when": "avg(m, 60s) > 1e6"}], config={"limits": {"devices": 500}})
        self.arrays_without_fence(500)
        at_limit = self.settled(500)
        self.arrays_without_fence(20_000)
        self.settled(20_500)
        self.assertGreaterEqual(self.brink.metric("messages_dropped_total", 'reason="device_limit"'), 19_000)
        self.assertLess(self.brink.memory() - at_limit, 4 * MIB)

    def arrays_without_fence(self, devices):
        for d in range(devices):
            self.send(f"d{d}", 0, m=1, wait=False)
        self.publisher.flush()

    def settled(self, messages):
        wait_for(lambda: self.brink.metric("messages_received_total") >= messages, "all messages", 60)
        return self.brink.memory()

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory would be measured")
    def test_many_readings_of_a_few_devices_leave_memory_flat(self):
        self.site([{"id": "avg", "when": "avg(m, 60s) > 1e6"}])
        self.arrays(20, 500)
        early = self.brink.memory()
        for n in range(1, 20):
            self.arrays(20, 500, start=500 * n)
        self.assertLess(self.brink.memory() - early, 3 * MIB)

    def test_valkey_away_keeps_no_more_than_the_limit(self):
        self.site([{"id": "avg", "when": "avg(m, 1d) > 1e6"}], config={"limits": {"points_per_window": 200}})
        self.arrays(10, 10)
        self.store.kill()
        self.arrays(10, 2000, start=100)
        self.assertGreater(self.brink.metric("points_dropped_total"), 10 * 1700)
        self.store.start()
        wait_for(lambda: all([at for at, _ in self.store.window("avg", f"d{d}") or []][-200:]
                             == list(range(BASE + 1900, BASE + 2100)) for d in range(10)),
                 "the newest 200 of each", 25)

    def test_silent_devices_leave_memory_and_come_back_from_valkey(self):
        self.site([{"id": "avg", "when": "avg(m, 3s) > 1e6"}])
        for d in range(200):
            self.send(f"d{d}", None, m=d, wait=False)
        self.fence()
        loads = self.brink.metric("store_loads_total")

        def series():
            return self.brink.metric("series")

        wait_for(lambda: series() >= 200, lambda: f"200 series; are {series():g}")

        wait_for(lambda: series() <= 5, lambda: f"series to leave memory; are {series():g}", 30)
        self.send("d7", None, m=8)
        self.fence()
        self.assertGreater(self.brink.metric("store_loads_total"), loads)
        self.assertEqual([v for _, v in self.store.window("avg", "d7")][-1], 8)


if __name__ == "__main__":
    unittest.main()
