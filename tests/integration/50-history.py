#!/usr/bin/env python3
"""Window history in Valkey (SPEC 5.1-5.3, 5.6-5.8): key, bytes, TTL, other programs beside Brink, restarts."""

import json
import threading
import unittest

from lib import resp
from lib.harness import BASE, Case, key_of, wait_for

CALL = 300  # bytes of an exchange with Valkey, which the readings of a batch share


def avg(id="avg", seconds=600, threshold=25, metric="m", **more):
    return {"id": id, "rule_type": "WINDOW", "metric_name": metric, "aggregation": "avg", "operator": "GT",
            "threshold": threshold, "window_seconds": seconds, **more}


class History(Case):
    def test_key_bytes_and_time_to_live(self):
        self.site([avg("w600"), avg("w30", 30),
                   {**avg("n5", 0), "window_count": 5}, avg("w600x5", window_count=5)])
        self.send("d1", 0, m=25.1)
        self.send("d1", 1.5, m=25.3)
        self.fence()
        for rule, longest in (("w600", 1200), ("w30", 120), ("n5", 7 * 86400), ("w600x5", 1200)):
            self.assertEqual(self.store.raw(rule, "d1"), "[[1767225600.0,25.1],[1767225601.5,25.3]]", rule)
            self.assertIn(self.store.client("TTL", key_of(rule, "d1")), range(longest - 5, longest + 1), rule)
        self.store.client("EXPIRE", key_of("w600", "d1"), 10)
        self.send("d1", 2, m=1)
        self.fence()
        self.assertIn(self.store.client("TTL", key_of("w600", "d1")), range(1195, 1201))

    def test_strange_numbers_survive_the_way(self):
        self.site([avg()])
        values = [0.1, 1 / 3, 1e308, -1e-308, 5e-324, -0.0, 123456789012345680, 2.5e-7, 1e21]
        for k, value in enumerate(values):
            self.send("d1", k + k / 1000, m=value)
        self.fence()
        stored = self.store.window("avg", "d1")
        self.assertEqual([v for _, v in stored], values)
        self.assertEqual([round((at - BASE) * 1000) for at, _ in stored],
                         [1001 * k for k in range(len(values))])

    def test_key_of_tenants_and_devices_with_colons_and_percents(self):
        self.site([avg(threshold=0)])
        for tenant, device in (("a:b%c", "x:y"), ("plain", "1:2:3%"), ("ü", "ß")):
            for k in (0, 1):
                self.send(device, k, tenant=tenant, m=1)
        self.fence()
        self.assertEqual(self.store.keys_of("wbuf:*"), sorted([
            "wbuf:a%3Ab%25c:avg:x:y", "wbuf:plain:avg:1:2:3%", "wbuf:ü:avg:ß"]))
        self.assertEqual(sorted((a["tenant_id"], a["device_id"]) for a in self.alerts.all()),
                         sorted([("a:b%c", "x:y"), ("plain", "1:2:3%"), ("ü", "ß")]))
        self.brink.kill()
        self.brink.start()  # and they are found again
        self.send("x:y", 2, tenant="a:b%c", m=-9)
        self.assertEqual(self.alerts.take("CLOSED")["details"]["windows"][0]["count"], 3)

    def test_further_metrics_of_a_rule_have_keys_of_their_own(self):
        self.site([{"id": "two", "when": "avg(b, 5m) > 1 and max(a, 10m) > 2 and min(b, 20m) > 0"}])
        for k in (0, 1):
            self.send("d1", k, a=3, b=2, c=4)
        self.fence()
        self.assertEqual(self.store.keys_of("wbuf:*"), ["wbuf:acme:two:d1", "wbuf:acme:two:d1/a"])
        self.assertEqual([v for _, v in self.store.window("two", "d1")], [2, 2])
        self.assertEqual([v for _, v in self.store.window("two", "d1", metric="a")], [3, 3])
        self.assertGreater(self.store.client("TTL", "wbuf:acme:two:d1"), 1300)  # the longest use of b
        self.assertEqual(self.alerts.events(), ["OPEN"])

    def test_value_stays_within_twice_what_lives(self):
        self.site([avg(seconds=60), {**avg("n", 0), "window_count": 10}])
        for k in range(6000):
            self.send("d1", k, m=k + 0.25, wait=False)
            if k % 500 == 499:
                self.fence()
                for rule, live in (("avg", 61), ("n", 10)):
                    size = self.store.client("STRLEN", key_of(rule, "d1"))
                    self.assertLessEqual(size, 2 * live * len("[1767225600.0,5999.25],") + 4096)
                    stored = [v for _, v in self.store.window(rule, "d1")]
                    self.assertEqual(stored[-live:], [j + 0.25 for j in range(k - live + 1, k + 1)])

    def test_append_costs_the_same_whatever_the_length(self):
        self.site([avg(seconds=86400)])
        k = 0

        def traffic(n):
            nonlocal k
            self.fence()
            before = self.store.client.info("stats")
            for _ in range(n):
                self.send("d1", k, m=k % 7 + 0.5, wait=False)
                k += 1
            self.fence()
            after = self.store.client.info("stats")
            return [(int(after[f]) - int(before[f])) / n
                    for f in ("total_net_input_bytes", "total_net_output_bytes")]

        traffic(50)
        short = traffic(500)
        traffic(3000)
        long = traffic(500)
        self.assertEqual(len(self.store.window("avg", "d1")), k)
        for s, l in zip(short, long):
            self.assertLess(l, 1.5 * s + CALL)  # a busy machine may have had other batches
            self.assertLess(l, 700)

    def test_points_per_window(self):
        self.site([avg(seconds=86400)], config={"limits": {"points_per_window": 100}})
        for k in range(250):
            self.send("d1", k, m=k, wait=False)
        self.fence()
        self.assertGreaterEqual(self.brink.metric("points_dropped_total"), 150)
        self.assertEqual([v for _, v in self.store.window("avg", "d1")][-100:], list(range(150, 250)))

    # --- restarts ---

    def test_first_reading_after_a_restart_sees_the_whole_window(self):
        for end in ("stop", "kill"):
            with self.subTest(end):
                self.anew()
                self.site([avg(seconds=86400, threshold=50)])
                for k in range(100):
                    self.send("d1", k, m=50, wait=False)
                self.fence()
                getattr(self.brink, end)()
                self.brink.start()
                self.send("d1", 100, m=60)
                opened = self.alerts.take("OPEN")
                self.assertEqual(opened["details"]["windows"][0]["count"], 101)
                self.assertEqual(opened["details"]["windows"][0]["first_ts"], BASE)
                self.assertAlmostEqual(opened["details"]["value"], 5060 / 101, 9)

    def test_changed_first_metric_starts_anew(self):
        self.site([avg(metric="a", threshold=0)])
        self.send("d1", 0, a=1, b=2)
        self.send("d1", 1, a=1, b=2)
        self.fence()
        self.brink.stop()
        self.brink.rules([avg(metric="b", threshold=0)])
        self.brink.start()
        self.send("d1", 2, a=1, b=2)
        self.fence()
        self.assertEqual(self.store.window("avg", "d1"), [[BASE + 2, 2]])

    # --- other programs on the same key ---

    def platform_write(self, client, rule, device, at, value, seconds):
        """As the platform does it: GET, append, trim, SET EX in json.dumps' own form."""
        stored = client("GET", key_of(rule, device))
        entries = json.loads(stored) if stored else []
        entries.append([at, value])
        entries = [e for e in entries if e[0] >= at - seconds]
        client("SET", key_of(rule, device), json.dumps(entries), "EX", max(2 * seconds, 120))

    def test_platform_writes_between_our_readings(self):
        self.site([avg()])
        expected = []
        for k in range(40):
            if k % 2:
                self.platform_write(self.store.client, "avg", "d1", BASE + k + 0.5, 10.0 + k, 600)
                expected.append(10.0 + k)
            else:
                self.send("d1", k, m=k)
                self.fence()
                expected.append(k)
            self.assertEqual([v for _, v in self.store.window("avg", "d1")], expected)
        self.send("d1", 41, m=1000)
        opened = self.alerts.take("OPEN")
        self.assertEqual(opened["details"]["windows"][0]["count"], len(expected) + 1)

    def test_platform_reads_and_writes_at_full_speed_beside_us(self):
        self.site([avg(seconds=86400, threshold=1e9)])
        stop, reads, bad = threading.Event(), [0], []

        def reader():
            client = resp.Client(self.store.socket)
            while not stop.is_set():
                value = client("GET", key_of("avg", "d1"))
                if value is not None:
                    try:
                        entries = [e for e in json.loads(value) if e[0] >= BASE]
                        assert all(len(e) == 2 for e in entries)
                        reads[0] += 1
                    except (ValueError, AssertionError) as error:
                        bad.append((error, value))
            client.close()

        def writer():
            client, n = resp.Client(self.store.socket), 0
            while not stop.is_set():
                n += 1
                self.platform_write(client, "avg", "d1", BASE + n / 100, -1.0, 86400)
            client.close()

        threads = [threading.Thread(target=reader), threading.Thread(target=writer)]
        for thread in threads:
            thread.start()
        try:
            for k in range(1500):
                self.send("d1", k, m=k, wait=False)
            self.fence()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(bad[:1], [])
        self.assertGreater(reads[0], 50)
        self.send("d1", 2000, m=1)
        # Not a fence: where all that work makes Valkey too late for the gateway, the fence's alert is before it.
        stored = wait_for(lambda: (now := self.store.window("avg", "d1"))[-1] == [BASE + 2000, 1] and now,
                          "the last reading in Valkey", 20)
        self.assertEqual(stored, sorted(stored, key=lambda e: e[0]))

    def test_two_gateways_on_one_key_lose_nothing(self):
        self.start_broker()
        self.start_store()
        rules = [avg(seconds=86400, threshold=1e9)]
        both = []
        for side in "ab":
            fence = {"topic": f"tenant/{{tenant}}/device/{{device}}/{side}", "timestamp": "/ts"}
            both.append(self.gateway(rules, config={"telemetry": [fence]}, name=f"gw{side}"))
        stop, bad, reads = threading.Event(), [], [0]

        def reader():
            client = resp.Client(self.store.socket)
            while not stop.is_set():
                for d in range(4):
                    value = client("GET", key_of("avg", f"d{d}"))
                    try:
                        reads[0] += 1
                        json.loads(value or b"[]")
                    except ValueError as error:
                        bad.append((error, value))
            client.close()

        thread = threading.Thread(target=reader)
        thread.start()
        n = 1500
        for k in range(n):
            for side in "ab":
                body = {"ts": BASE + k + (0.5 if side == "b" else 0), "metrics": {"m": k}}
                self.publisher.publish_soon(f"tenant/acme/device/d{k % 4}/{side}", json.dumps(body))
        self.publisher.flush()
        for brink in both:
            wait_for(lambda: brink.metric("messages_received_total") >= n, "all to be taken", 30)
        for d in range(4):
            expected = [[BASE + k + half, float(k)] for k in range(d, n, 4) for half in (0, 0.5)]
            try:
                wait_for(lambda: self.store.window("avg", f"d{d}") == expected, "the union", 5)
            except AssertionError:
                self.assertEqual(self.store.window("avg", f"d{d}"), expected)
        stop.set()
        thread.join()
        self.assertEqual(bad[:1], [])
        self.assertGreater(reads[0], 100)
        self.assertGreater(sum(b.metric("store_conflicts_total") for b in both), 0)

    # --- what else may stand there ---

    def test_other_forms_are_read_leniently(self):
        self.site([avg(threshold=1e9)])
        forms = {
            "spaces": "[[1767225600.0, 1.0], [1767225601.0, 2.0]]",
            "newline": "[[1767225600.0,1.0],[1767225601.0,2.0]]\n",
            "indented": "[\n [1767225600, 1],\n [1767225601, 2]\n]",
            "unsorted": "[[1767225601.0,2.0],[1767225600.0,1.0]]",
            "nan": "[[1767225600.0,1.0],[1767225600.5,NaN],[1767225601.0,2.0]]",
            "infinity": "[[1767225600.0,1.0],[1767225600.5,-Infinity],[1767225601.0,2.0]]",
            "no pairs": '[[1767225600.0,1.0],7,"x",null,{},[],[1],["a",1],[1767225601.0,2.0],[1,2,{"a":[]}]]',
            "exponent": "[[1.7672256E9,1e0],[1767225601,0.2e1]]",
        }
        for name, value in forms.items():
            device = name.replace(" ", "-")
            self.store.client("SET", key_of("avg", device), value)
            self.send(device, 2, m=3)
        self.fence()
        for name in forms:
            with self.subTest(name):
                stored = self.store.window("avg", name.replace(" ", "-"))
                live = [e for e in stored if e[0] >= BASE - 600]
                self.assertEqual(live, [[BASE, 1], [BASE + 1, 2], [BASE + 2, 3]])

    def test_values_that_are_no_history_count_as_empty_and_are_replaced(self):
        self.site([avg(threshold=1e9)])
        for device, value in (("text", "hello"), ("object", "{}"), ("number", "17"), ("empty", ""),
                              ("half", "[[1767225600.0,1.0],[17672"), ("null", "null"), ("bytes", b"\xff\x00]]"),
                              ("deep", "[" * 5000), ("tail", "]]"), ("mebibyte", "x" * 1_000_000 + "]]")):
            self.store.client("SET", key_of("avg", device), value)
            self.send(device, 2, m=3)
            self.fence()
            with self.subTest(device):
                self.assertEqual(self.store.window("avg", device), [[BASE + 2, 3]])
        for device, command in (("list", ("RPUSH",)), ("hash", ("HSET", "f")), ("set", ("SADD",))):
            self.store.client(command[0], key_of("avg", device), *command[1:], "v")
            self.send(device, 2, m=3)
            self.fence()
            with self.subTest(device):
                self.assertEqual(self.store.window("avg", device), [[BASE + 2, 3]])
        counts = self.brink.metrics()
        self.assertEqual(counts['brink_store_values_replaced_total{reason="wrong_type"}'], 3)
        self.assertGreaterEqual(counts['brink_store_values_replaced_total{reason="not_json"}'], 8)

    def test_value_replaced_under_us_is_followed(self):
        self.site([avg(threshold=25)])
        key = key_of("avg", "d1")
        for k in range(5):
            self.send("d1", k, m=1)
        self.fence()
        at = 10
        for what, act, left in (
                ("deleted", lambda: self.store.client("DEL", key), 0),
                ("expired", lambda: self.store.client("PEXPIRE", key, 1), 0),
                ("emptied", lambda: self.store.client("SET", key, "[]"), 0),
                ("garbage", lambda: self.store.client("SET", key, "garbage"), 0),
                ("same length", lambda: self.store.client(
                    "SET", key, self.store.client("GET", key).replace(b",1", b",7")), None),
                ("list", lambda: (self.store.client("DEL", key), self.store.client("RPUSH", key, "x")), 0)):
            with self.subTest(what):
                for k in range(at, at + 3):
                    self.send("d1", k, m=1)
                self.fence()
                before = len(self.store.window("avg", "d1"))
                act()
                if what == "expired":
                    wait_for(lambda: self.store.client("EXISTS", key) == 0, "expiry")
                self.send("d1", at + 3, m=1.5)
                self.fence()
                stored = self.store.window("avg", "d1")
                self.assertEqual(stored[-1], [BASE + at + 3, 1.5])
                self.assertEqual(len(stored), (before if left is None else left) + 1)
                at += 10

    def test_decision_follows_what_valkey_holds(self):
        self.site([avg(threshold=25)])
        for k in range(3):
            self.send("d1", k, m=1)
        self.fence()
        self.store.client("SET", key_of("avg", "d1"), f"[[{BASE + 1}.0,99.0],[{BASE + 2}.0,99.0]]")
        self.send("d1", 3, m=1)
        self.assertAlmostEqual(self.alerts.take("OPEN")["details"]["value"], 199 / 3, 9)

    # --- ways to the server ---

    def test_database_number_over_both_ways(self):
        self.start_broker()
        self.start_store()
        for n, address in ((3, f"{self.store.address}?db=3"), (4, f"valkey://127.0.0.1:{self.store.port}/4"),
                           (5, f"redis://localhost:{self.store.port}/5")):
            with self.subTest(address):
                self.brink = self.gateway([avg()], config={"store": {"address": address}})
                self.send("d1", 0, m=1)
                self.fence()
                client = resp.Client(self.store.socket, db=n)
                self.assertEqual(client.keys("wbuf:*"), ["wbuf:acme:avg:d1"])
                client.close()
                self.brink.stop()

    def test_user_and_password(self):
        self.start_broker()
        self.start_store()
        self.store.client("ACL", "SETUSER", "gw", "on", ">sesame", "~*", "&*", "+@all")
        self.store.client("CONFIG", "SET", "requirepass", "other")
        self.store.credentials = {"password": "other"}
        self.store.drop_client()
        secret = self.folder / "secret"
        for user, password in (("gw", "sesame"), (None, "other")):
            with self.subTest(user):
                secret.write_text(password + "\n")
                self.brink = self.gateway([avg()], config={"store": {
                    "username": user, "password_file": str(secret)}})
                self.send(f"{user}", 0, m=1)
                self.fence()
                self.assertEqual(self.store.window("avg", f"{user}"), [[BASE, 1]])
                self.assertNotIn(password, self.brink.log())
                self.brink.stop()

    def test_history_in_memory_alone_is_said_at_start(self):
        self.site([avg(threshold=25)], store=False)
        self.assertRegex(self.brink.log(), r"(?i)memory.*(restart|forget)|(restart|forget).*memory")
        for k in range(3):
            self.send("d1", k, m=30)
        self.assertEqual(self.alerts.take("OPEN")["degraded"], False)

    def test_warnings_where_the_server_may_forget(self):
        self.start_broker()
        self.start_store("--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
        self.brink = self.gateway([avg()])
        self.logged(r"(?i)(allkeys-lru|evict)")
        self.logged(r"(?i)append")
        self.assertIn("brink_store_evicted_keys", "\n".join(self.brink.metrics()))
        self.brink.stop()
        self.store.client("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.store.client("CONFIG", "SET", "appendonly", "yes")
        quiet = self.gateway([avg()])
        self.send("d1", 0, m=1)
        self.fence()
        self.assertNotRegex(quiet.log(), r"(?i)evict|append-only|appendonly")


if __name__ == "__main__":
    unittest.main()
