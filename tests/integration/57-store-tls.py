#!/usr/bin/env python3
"""Valkey over TLS (SPEC 2, 5): where hiredis has it (Debian 13), all of it; elsewhere (Debian 12) `check` says so."""

import subprocess
import unittest

from lib import proxy, tls
from lib.harness import BASE, Case, free_port, wait_for

RULES = [
    {"id": "hot", "when": "m > 100"},
    {"id": "avg", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "avg", "operator": "GT",
     "threshold": 25, "window_seconds": 86400},
]
HAS_TLS = subprocess.run(["pkg-config", "--exists", "hiredis_ssl"], check=False).returncode == 0


class Check(Case):
    def test_says_whether_this_build_can(self):
        self.start_broker()
        self.brink = self.gateway(RULES, start=False, config={"store": {"address": "valkeys://127.0.0.1:6380"}})
        status, _, errors = self.brink.check()
        if HAS_TLS:
            self.assertEqual(status, 0, errors)
        else:
            self.assertEqual(status, 1)
            self.assertRegex(errors, r"brink\.yaml:\d+:\d+: `store\.address`: this build has no TLS to the store")


class Tls(Case):
    def arrange(self, *options, name="server", start=True, ca="ca.crt", address=None, **store):
        self.made = tls.Certificates(self.folder)
        self.tls_port = free_port()
        self.start_broker()
        self.start_store("--tls-port", str(self.tls_port), "--tls-cert-file", self.made.path(f"{name}.crt"),
                         "--tls-key-file", self.made.path(f"{name}.key"), "--tls-ca-cert-file",
                         self.made.path("ca.crt"), "--tls-auth-clients", "no", *options)
        self.brink = self.gateway(RULES, start=False, config={"store": {
            "address": address or f"valkeys://127.0.0.1:{self.tls_port}/0", "timeout": "500ms", **store}})
        # No key of the configuration names an authority: the system's are asked.
        self.brink.environment["SSL_CERT_FILE"] = self.made.path(ca)
        if start:
            self.brink.start()

    def held(self, device, count):
        return wait_for(lambda: [v for _, v in self.store.window("avg", device) or []] == list(range(count)),
                        lambda: f"{count} readings of {device}; has {len(self.store.window('avg', device) or [])}", 25)

    def fill(self, device, begin, end):
        for k in range(begin, end):
            self.send(device, k, m=k, wait=False)
        self.fence()

    def test_history_over_tls(self):
        for address in ("valkeys://127.0.0.1:{}", "rediss://localhost:{}/0"):
            with self.subTest(address=address):
                self.anew()
                self.arrange(start=False)
                config = {**self.brink.config, "store": {**self.brink.config["store"],
                                                         "address": address.format(self.tls_port)}}
                self.brink.configure(config)
                self.brink.start()
                self.send("d1", 0, m=30)
                self.send("d1", 1, m=31)
                self.alerts.take("OPEN", "avg", "d1")
                self.assertEqual(self.store.window("avg", "d1"), [[BASE, 30], [BASE + 1, 31]])
                self.assertNotIn("unreachable", self.brink.log())

    def test_long_windows_of_many_devices_come_back(self):
        """Answers of many TLS records, requests larger than the socket takes at once."""
        self.arrange()
        self.fill("long", 0, 6000)
        for device in range(200):
            for k in range(20):
                self.send(f"d{device}", k, m=k, wait=False)
        self.fence()
        self.held("long", 6000)
        self.brink.kill()
        self.brink.start()
        self.send("long", 6000, m=6000)
        for device in range(200):
            self.send(f"d{device}", 20, m=20, wait=False)
        self.fence()
        self.held("long", 6001)
        for device in range(200):
            self.held(f"d{device}", 21)
        self.assertEqual(self.alerts.events("avg", "long"), ["OPEN"])

    def test_killed_back_empty_and_stopped_while_idle(self):
        self.arrange()
        self.fill("d1", 0, 20)
        self.held("d1", 20)
        self.store.kill()
        self.fill("d1", 20, 30)
        self.store.start()
        self.held("d1", 30)
        # With nothing to say on the connection: its end is noticed all the same.
        for end in (self.store.stop, self.store.kill):
            end()
            self.store.start(empty=True)
            self.held("d1", 30)

    def test_frozen_cut_and_stalled(self):
        self.arrange(start=False)
        between = proxy.Proxy(self.tls_port)
        self.addCleanup(between.close)
        self.brink.configure({**self.brink.config, "store": {
            **self.brink.config["store"], "address": f"valkeys://127.0.0.1:{between.port}"}})
        self.brink.start()
        self.fill("d1", 0, 10)
        self.store.freeze()
        self.fill("d1", 10, 20)
        self.send("d2", 0, m=101)
        self.alerts.take("OPEN", "hot", "d2")
        self.store.thaw()
        self.held("d1", 20)
        between.stall()
        self.fill("d1", 20, 30)
        between.cut()
        between.heal()
        self.held("d1", 30)
        for k in range(30, 80, 10):  # in the middle of records
            between.cut(after=k * 7)
            self.fill("d1", k, k + 10)
        self.held("d1", 80)

    def test_user_and_password_over_tls(self):
        secret = self.folder / "secret"
        secret.write_text("sesame")
        self.arrange("--user", "gw", "on", ">sesame", "~*", "&*", "+@all", username="gw", password_file=str(secret))
        self.fill("d1", 0, 10)
        self.held("d1", 10)
        self.assertNotIn("sesame", self.brink.log())

    def refused(self, why):
        """Never connected, told why; rules without a window go on."""
        self.brink.start()
        self.send("d1", 0, m=101)
        self.send("d1", 1, m=101)
        self.alerts.take("OPEN", "hot", "d1")
        self.logged(why)
        self.fence()
        self.assertEqual(self.alerts.events("avg"), [])
        self.assertIsNone(self.store.window("avg", "d1"))

    def test_stranger_is_refused(self):
        self.arrange(ca="stranger.crt", start=False)
        self.refused("certificate verify failed")

    def test_certificate_of_another_host_is_refused(self):
        self.arrange(name="other", start=False)
        self.refused("certificate verify failed")

    def test_server_without_tls_is_refused(self):
        self.arrange(start=False)
        self.brink.configure({**self.brink.config, "store": {
            **self.brink.config["store"], "address": f"valkeys://127.0.0.1:{self.store.port}"}})
        self.refused("SSL_connect failed|timed out")


if not HAS_TLS:
    del Tls

if __name__ == "__main__":
    unittest.main()
