#!/usr/bin/env python3
"""Ends and beginnings (SPEC 1.3, 8.3): SIGTERM and SIGINT, what was taken is applied, systemd's messages."""

import os
import signal
import socket
import time
import unittest

from lib.harness import Case, wait_for

COUNT = [{"id": "n", "when": "count(m, 1d) > 1e9"}, {"id": "r", "when": "m > 1e8"}]


class Stop(Case):
    def test_term_and_int_exit_0(self):
        self.site(COUNT)
        for number in (signal.SIGTERM, signal.SIGINT):
            began = time.monotonic()
            self.brink.signal(number)
            self.assertEqual(self.brink.process.wait(10), 0)
            self.assertLess(time.monotonic() - began, 5)
            self.brink.start()

    def test_no_process_is_left_behind(self):
        self.site(COUNT)
        listing = f"/proc/{self.brink.pid}/task/{self.brink.pid}/children"
        children = open(listing).read().split()
        self.brink.stop()
        wait_for(lambda: not [c for c in children if os.path.exists(f"/proc/{c}/exe")], "children to end")
        self.brink.start()
        children = open(f"/proc/{self.brink.pid}/task/{self.brink.pid}/children").read().split()
        self.brink.kill()
        wait_for(lambda: not [c for c in children if os.path.exists(f"/proc/{c}/exe")],
                 "children to end after kill -9")

    def test_stop_under_load_loses_nothing(self):
        self.site(COUNT)
        sent = 0
        for _ in range(4):
            for _ in range(1200):
                self.send("d1", sent, m=sent, wait=False)
                sent += 1
            self.assertEqual(self.brink.stop(), 0)
            self.brink.start()
        self.publisher.flush()
        self.fence()
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(sent)))

    def test_alerts_are_flushed(self):
        self.site([{"id": "r", "when": "m > 0"}])
        for i in range(300):
            self.send(f"d{i}", 0, m=1, wait=False)
        self.publisher.flush()
        wait_for(lambda: self.brink.metric("alerts_total", 'event="OPEN"') >= 300, "300 decisions")
        self.assertEqual(self.brink.stop(), 0)
        wait_for(lambda: len(self.alerts.all()) == 300, "300 alerts without a gateway")

    def test_stop_with_valkey_frozen(self):
        self.site(COUNT, config={"store": {"timeout": "200ms"}})
        for k in range(10):
            self.send("d1", k, m=k)
        self.fence()
        self.store.freeze()
        self.send("d1", 10, m=1e9)
        self.alerts.take("OPEN", "r")
        began = time.monotonic()
        self.assertEqual(self.brink.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.store.thaw()

    def test_stop_with_broker_frozen_or_gone(self):
        for fault in ("freeze", "kill"):
            with self.subTest(fault):
                self.anew()
                self.site(COUNT)
                getattr(self.broker, fault)()
                began = time.monotonic()
                self.assertEqual(self.brink.stop(30), 0)
                self.assertLess(time.monotonic() - began, 15)
                if fault == "freeze":
                    self.broker.thaw()

    def test_stop_before_ever_connected(self):
        self.start_broker()
        self.broker.stop()
        self.brink = self.gateway(COUNT, start=False)
        self.brink.start(ready=False)
        wait_for(lambda: self.brink.http("/healthz")[0] == 200, "life")
        self.assertEqual(self.brink.stop(), 0)

    def test_systemd_is_told(self):
        self.start_broker()
        self.start_store()
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(10)
            self.brink = self.gateway(COUNT, start=False)
            self.brink.start(ready=False, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"})
            said = []

            def until(word):
                while not any(word in text for text in said):
                    said.append(notify.recv(4096).decode())

            until("READY=1")
            self.assertEqual(self.brink.http("/readyz")[0], 200)
            self.assertTrue(any("STATUS=" in text for text in said), said)
            for _ in range(3):
                said.clear()
                until("WATCHDOG=1")
            self.brink.signal(signal.SIGTERM)
            said.clear()
            until("STOPPING=1")
            self.assertEqual(self.brink.process.wait(10), 0)

    def test_unusable_state_dir_is_told_and_exits_1(self):
        self.start_broker()
        (self.folder / "file").write_text("")
        self.brink = self.gateway(COUNT, start=False,
                                  config={"gateway": {"state_dir": str(self.folder / "file" / "state")}})
        self.brink.start(ready=False)
        self.assertEqual(self.brink.process.wait(10), 1)
        self.assertIn("file/state", self.brink.log())

    def test_bad_configuration_exits_1_with_all_problems(self):
        self.start_broker()
        self.brink = self.gateway("rules:\n  - id: a\n    when: m >\n  - id: a\n    wen: m > 1\n", start=False)
        self.brink.start(ready=False)
        self.assertEqual(self.brink.process.wait(10), 1)
        self.assertRegex(self.brink.log(), r"10-rules\.yaml:3:\d+: ")
        self.assertRegex(self.brink.log(), r"10-rules\.yaml:5:5: ")

    def test_taken_http_port_is_told(self):
        self.start_broker()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.brink = self.gateway(COUNT, start=False, config={"http": {"listen": f"127.0.0.1:{port}"}})
            self.brink.start(ready=False)
            self.logged(str(port))


if __name__ == "__main__":
    unittest.main()
