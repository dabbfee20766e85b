#!/usr/bin/env python3
"""What a device, a broker, a store or a local user can and cannot do (docs/SECURITY.md)."""

import json
import os
import pathlib
import re
import resource
import signal
import stat
import subprocess
import unittest

from lib.harness import Case, wait_for

SEEN = [{"id": "seen", "when": "m > 0"}, {"id": "win", "when": "sum(m, 10m) > 0"}]
# What a device may be called on the broker's side and still should not reach anything as it is.
HOSTILE = ["per%cent", "%2F", "%00", "co:lon:x", "quo\"te", "back\\slash", "$share", "$SYS", "back`tick", "sp ace",
           "{rule}", "{tenant}", "*", "a*b?[c]", "d\U0001F600", "nb\u00a0sp", "'; DROP TABLE", "-n", "..", "e=1 f=2",
           "\u202etxt.exe", "<script>", "a,b]", "[[1,2]]", "x" * 400]
CONTROLS = ["esc\x1b[2J", "bell\x07", "new\nline", "tab\t", "del\x7f", "c1\u009b31m", "nel\u0085"]
SECRETS = {"mqtt": "mqtt-S3cr3t-Pa55", "store": "store-S3cr3t-Pa55", "http": "http-S3cr3t-T0ken"}


class Ids(Case):
    def test_an_id_reaches_topic_key_payload_and_log_as_itself_or_escaped(self):
        self.site(SEEN, config={"log": {"level": "debug"}})
        for i, device in enumerate(HOSTILE):
            self.send(device, 100 + i, m=1)
            self.send(device, 100 + i, tenant=device, m=1)
        self.fence()
        for device in HOSTILE:
            level = re.sub(r"[%+#/\x00-\x1f\x7f]", lambda m: f"%{ord(m[0]):02X}", device)
            for tenant in ("acme", device):
                [alert] = [a for a in self.alerts.all("seen", device) if a["tenant_id"] == tenant]
                tenant_level = re.sub(r"[%+#/\x00-\x1f\x7f]", lambda m: f"%{ord(m[0]):02X}", tenant)
                self.assertEqual(alert["_message"].topic, f"alerts/{tenant_level}/{level}/seen")
                self.assertEqual(len(self.store.window("win", device, tenant)), 1, (tenant, device))
        self.assertEqual(len(self.store.keys_of("wbuf:*:win:*")), 2 * len(HOSTILE))

    def test_no_control_character_gets_further_than_a_counter(self):
        # In a topic Mosquitto lets none pass (and other brokers' are tests/unit/decode's).
        self.site(SEEN, config={"log": {"level": "debug"}})
        for text in CONTROLS:
            self.send_raw("tenant/acme/device/d1/telemetry", json.dumps({"metrics": {f"m{text}": 1}}))
            self.send_raw("tenant/acme/device/d1/telemetry", json.dumps({"site_id": text, "metrics": {}}))
            self.send_raw("tenant/acme/device/d1/telemetry", f'{{"metrics":{{"m":1{text}}}}}')
        self.send_raw("tenant/acme/device/d1/telemetry", b"\x1b]0;owned\x07\xff\xfe")
        self.fence()
        self.assertEqual(self.brink.metric("readings_dropped_total", 'reason="bad_name"'), len(CONTROLS))
        self.assertEqual(self.store.keys_of("wbuf:*"), [])
        self.assertEqual(self.alerts.all(), [])
        log = self.brink.log_path.read_bytes().decode()  # UTF-8 throughout
        self.assertEqual([c for c in log if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f")], [])
        for line in log.splitlines()[1:]:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z (error|warning|info|debug) ")

    def test_a_device_speaks_for_itself_whatever_its_payload_says(self):
        self.site(SEEN)
        self.send_raw("tenant/acme/device/d1/telemetry", json.dumps(
            {"tenant_id": "zeta", "tenant": "zeta", "device_id": "d9", "device": "d9", "rule_id": "x",
             "site_id": "../../zeta", "metrics": {"m": 1, "tenant": 5, "device": 6}}))
        self.fence()
        self.assertEqual({(a["tenant_id"], a["device_id"]) for a in self.alerts.all()}, {("acme", "d1")})
        self.assertEqual(self.store.keys_of("wbuf:*"), ["wbuf:acme:win:d1"])

    def test_ids_that_join_alike_share_no_key(self):
        """`a:b` + `c` and `a` + `b:c` would be one key if the tenant were not escaped."""
        self.site([{"id": "r", "when": "sum(m, 10m) > 0"}])
        self.send("c", 1, tenant="a:r:b", m=1)
        self.send("b:r:c", 1, tenant="a", m=2)
        self.fence()
        self.assertEqual(self.store.keys_of("wbuf:*"), ["wbuf:a%3Ar%3Ab:r:c", "wbuf:a:r:b:r:c"])


class Shares(Case):
    def test_a_noisy_device_is_cut_to_its_rate_and_the_others_lose_nothing(self):
        self.site(SEEN, config={"limits": {"device_rate": 20}})
        self.send("loud", 1, m=0)
        for k in range(2, 1502):
            self.send("loud", k, wait=False, qos=0, m=0)
            if k % 10 == 0:
                self.send(f"calm-{k}", k, wait=False, m=1)
        self.fence()
        self.assertEqual(len(self.alerts.all("seen")), 150)
        self.assertGreaterEqual(self.brink.metric("messages_dropped_total", 'reason="device_rate"'), 1000)
        self.logged(r"message dropped topic=tenant/acme/device/loud/telemetry reason=device_rate hint=")

    def test_a_tenant_cannot_take_all_devices(self):
        self.site(SEEN, config={"limits": {"devices": 100, "tenant_devices": 5}})
        for i in range(300):
            self.send(f"made-up-{i}", 1, tenant="mallory", wait=False, m=0)
        self.send("d1", 1, m=1)
        self.alerts.take("OPEN", "seen", "d1")
        self.fence()
        self.assertEqual(self.brink.metric("messages_dropped_total", 'reason="tenant_devices"'), 295)
        self.logged("limits.tenant_devices reached.* tenant=mallory")


class Secrets(Case):
    def start_with_secrets(self):
        self.start_locked_store()
        self.start_broker(f"listener {{port}} 127.0.0.1\npassword_file {self.passwords()}\n",
                          username="svc", password=SECRETS["mqtt"])
        folder = self.folder / "secrets"
        folder.mkdir()
        config = {"mqtt": {"username": "svc"}, "store": {}, "http": {}, "log": {"level": "debug"}}
        for part, name in (("mqtt", "password_file"), ("store", "password_file"), ("http", "token_file")):
            path = folder / part
            path.write_text(SECRETS[part] + "\n")
            path.chmod(0o600)
            config[part][name] = str(path)
        self.brink = self.gateway(SEEN, config=config)

    def passwords(self):
        path = self.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(path), "svc", SECRETS["mqtt"]], check=True)
        path.chmod(0o644)
        return path

    def start_locked_store(self):
        self.start_store()
        self.store.client("CONFIG", "SET", "requirepass", SECRETS["store"])
        self.store.credentials = {"password": SECRETS["store"]}

    def test_no_secret_in_log_metrics_state_or_command_line(self):
        self.start_with_secrets()
        self.send("d1", 1, m=1)
        self.alerts.take("OPEN", "win")
        self.store.client("CONFIG", "SET", "requirepass", "another")  # connecting fails, and is logged
        self.store.client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.logged("WRONGPASS|NOAUTH|invalid.*password")
        self.brink.hang_up()
        self.logged(" reloaded ")
        seen = {"log": self.brink.log_path.read_bytes()}
        for path in ("/metrics", "/healthz", "/readyz", "/api/v1/status"):
            seen[path] = self.brink.http(path)[1].encode()
        children = pathlib.Path(f"/proc/{self.brink.pid}/task/{self.brink.pid}/children").read_text().split()
        self.assertTrue(children)
        for pid in [self.brink.pid, *children]:
            for name in ("cmdline", "environ"):
                seen[f"{name} of {pid}"] = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        for path in (self.folder / "brink.state").iterdir():
            seen[path.name] = path.read_bytes()
        for message in self.alerts.client.messages:
            seen[message.topic] = message.payload
        for where, data in seen.items():
            for secret in SECRETS.values():
                self.assertNotIn(secret.encode(), data, where)

    def test_a_crash_leaves_no_core_behind(self):
        """With the limit that would let one be written, and in a folder that could take it."""
        self.start_broker()
        self.brink = self.gateway(SEEN, start=False)
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        try:
            self.brink.start()
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
        [child] = wait_for(lambda: pathlib.Path(
            f"/proc/{self.brink.pid}/task/{self.brink.pid}/children").read_text().split(), "the sender")
        for pid in (self.brink.pid, child):
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            if not self.sanitized():
                self.assertRegex(limits, r"Max core file size +0 +0 ", pid)
        os.kill(self.brink.pid, signal.SIGABRT)
        _, status = os.waitpid(self.brink.pid, 0)
        self.assertEqual(os.WTERMSIG(status), signal.SIGABRT)
        self.assertFalse(os.WCOREDUMP(status))
        self.brink.process.returncode = 0  # this test asked for it

    def sanitized(self):
        """Sanitizers need to look into their process, and forbid cores by themselves."""
        data = pathlib.Path(self.brink.process.args[0]).read_bytes()
        return b"__asan_init" in data or b"__tsan_init" in data

    def test_files_are_for_the_gateway_alone_whatever_the_umask(self):
        before = os.umask(0)
        try:
            self.site(SEEN)
        finally:
            os.umask(before)
        self.send("d1", 1, m=1)
        self.alerts.take("OPEN", "seen")
        state = self.folder / "brink.state"
        self.assertEqual(stat.S_IMODE(state.stat().st_mode), 0o700)
        for path in state.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)
        # No socket but to broker, store and the HTTP clients: nothing listens that was not asked for.
        inodes = {os.readlink(f)[8:-1] for f in pathlib.Path(f"/proc/{self.brink.pid}/fd").iterdir()
                  if os.readlink(f).startswith("socket:")}
        listening = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = [line[1] for line in listening if line[3] == "0A" and line[9] in inodes]
        port = int(self.brink.config["http"]["listen"].rsplit(":", 1)[1])
        self.assertEqual(ours, [f"0100007F:{port:04X}"])

    def test_a_secret_that_everybody_can_read_is_warned_of(self):
        self.start_broker()
        path = self.folder / "open.password"
        path.write_text("x\n")
        path.chmod(0o644)
        self.brink = self.gateway(SEEN, start=False, config={"store": {"password_file": str(path)}})
        status, _, errors = self.brink.check()
        self.assertEqual(status, 0)
        self.assertIn("can be read by everybody (mode 0644): chmod o-r", errors)


if __name__ == "__main__":
    unittest.main()
