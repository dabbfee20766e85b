#!/usr/bin/env python3
"""The MQTT session (SPEC 7): versions, QoS, TLS, status and will, persistence, back-pressure, reconnecting."""

import json
import os
import pathlib
import signal
import subprocess
import unittest

from lib import mqtt, proxy, tls
from lib.harness import Case, free_port, merge, wait_for
from lib.mqtt import SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE

SEEN = [{"id": "seen", "when": "m > 0"}]


class Mqtt(Case):
    def status_listener(self, **how):
        listener = self.broker.client(**how)
        listener.subscribe("brink/+/status", 1)
        self.addCleanup(listener.close)
        return listener

    def test_versions_and_qos(self):
        for version in ("5", "3.1.1"):
            for qos in (0, 1, 2):
                with self.subTest(version=version, qos=qos):
                    self.anew()
                    self.site(SEEN, config={
                        "mqtt": {"version": version if version != "5" else 5},
                        "alerts": {"topic": "alerts/{tenant}/{device}/{rule}", "qos": qos},
                        "telemetry": [{"topic": "tenant/{tenant}/device/{device}/telemetry", "qos": qos}]},
                        store=False)
                    self.send("d1", None, qos=qos, m=1)
                    self.assertEqual(self.alerts.take("OPEN")["device_id"], "d1")

    def test_tls_with_and_without_client_certificate(self):
        for mutual in (False, True):
            with self.subTest(mutual=mutual):
                self.anew()
                made = tls.Certificates(self.folder)
                self.start_broker(made.listener(mutual), tls=made.context(client=mutual))
                files = {"ca_file": made.path("ca.crt")}
                if mutual:
                    files.update(cert_file=made.path("client.crt"), key_file=made.path("client.key"))
                self.brink = self.gateway(SEEN, config={"mqtt": {
                    "servers": [f"mqtts://127.0.0.1:{self.broker.port}"], "tls": files}})
                self.send("d1", None, m=1)
                self.alerts.take("OPEN")

    def test_tls_to_a_stranger_is_refused(self):
        made = tls.Certificates(self.folder)
        self.start_broker(made.listener(), tls=made.context())
        self.brink = self.gateway(SEEN, start=False, config={"mqtt": {
            "servers": [f"mqtts://127.0.0.1:{self.broker.port}"], "tls": {"ca_file": made.path("stranger.crt")}}})
        self.brink.start(ready=False)
        self.counted("mqtt_connect_failures_total", at_least=2)
        self.assertEqual(self.brink.http("/readyz")[0], 503)
        self.brink.stop()
        self.brink = self.gateway(SEEN, config={"mqtt": {
            "servers": [f"mqtts://127.0.0.1:{self.broker.port}"], "tls": {"insecure": True}}})
        self.assertRegex(self.brink.log(), r"(?i)insecure|not verified|verif")

    def test_user_and_password(self):
        passwords = self.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "svc", "swordfish"], check=True,
                       capture_output=True)
        self.start_broker("listener {port} 127.0.0.1\nallow_anonymous false\n" + f"password_file {passwords}\n",
                          username="svc", password="swordfish")
        secret = self.folder / "secret"
        secret.write_text("swordfish\n")
        self.brink = self.gateway(SEEN, config={"mqtt": {"username": "svc", "password_file": str(secret)}})
        self.send("d1", None, m=1)
        self.alerts.take("OPEN")
        self.brink.stop()
        secret.write_text("wrong\n")
        self.brink.start(ready=False)
        self.counted("mqtt_connect_failures_total")
        self.assertNotIn("swordfish", self.brink.log())

    def test_websockets(self):
        port = free_port()
        self.start_broker("listener {port} 127.0.0.1\n" f"listener {port} 127.0.0.1\nprotocol websockets\n"
                          "allow_anonymous true\n")
        self.brink = self.gateway(SEEN, config={"mqtt": {"servers": [f"ws://127.0.0.1:{port}"]}})
        self.send("d1", None, m=1)
        self.alerts.take("OPEN")

    def test_alert_topic_of_levels_and_names(self):
        self.site([{"id": "seen", "when": "m > 0", "severity": "critical"}], config={
            "alerts": {"topic": "alerts/{gateway}/{severity}/{event_type}/{tenant}/site/{device}/{rule}"}})
        self.send("d1", 0, m=1)
        self.send("d1", 1, m=0)
        topics = [self.alerts.take(e)["_message"].topic for e in ("OPEN", "CLOSED")]
        self.assertEqual(topics, [f"alerts/gw-brink/critical/{e}/acme/site/d1/seen" for e in ("OPEN", "CLOSED")])

    def test_second_server_is_tried(self):
        self.start_broker()
        self.brink = self.gateway(SEEN, config={"mqtt": {
            "servers": [f"mqtt://127.0.0.1:{free_port()}", f"mqtt://127.0.0.1:{self.broker.port}"]}})
        self.send("d1", None, m=1)
        self.alerts.take("OPEN")

    def test_status_online_offline_and_will(self):
        self.start_broker()
        listener = self.status_listener()
        self.brink = self.gateway(SEEN)

        def last():
            return json.loads(listener.messages[-1].payload)["status"] if listener.messages else None

        wait_for(lambda: last() == "online", "online")
        self.assertEqual(listener.messages[-1].topic, "brink/gw-brink/status")
        self.assertEqual(listener.messages[-1].qos, 0)  # what Paho would repeat may be garbage by then
        late = self.status_listener()
        self.assertTrue(late.wait(lambda m: True).retain)
        self.assertEqual(self.brink.stop(), 0)
        wait_for(lambda: last() == "offline", "offline after a clean stop")
        self.brink.start()
        wait_for(lambda: last() == "online", "online again")
        self.brink.kill()
        wait_for(lambda: last() == "offline", "the will after kill -9")

    def test_broker_absent_at_start(self):
        self.start_broker()
        self.broker.stop()
        self.brink = self.gateway(SEEN, start=False)
        self.brink.start(ready=False)
        self.counted("mqtt_connect_failures_total", at_least=2)
        self.assertEqual(self.brink.http("/readyz")[0], 503)
        self.assertEqual(self.brink.http("/healthz")[0], 200)
        self.broker.start()
        self.reconnect()
        self.brink.wait_ready(40)
        self.send("d1", None, m=1)
        self.alerts.take("OPEN")

    def test_broker_restart(self):
        self.site(SEEN)
        self.send("before", None, m=1)
        self.alerts.take("OPEN", device="before")
        self.broker.kill()
        self.broker.start()
        self.reconnect()
        self.send("after", None, m=1)  # queued in the session, or after the subscription was renewed
        self.brink.wait_ready(40)
        self.send("later", None, m=1)
        self.alerts.take("OPEN", device="later", timeout=40)

    def test_session_gone_at_reconnect_subscribes_anew(self):
        self.site(SEEN)
        before = self.brink.metric("mqtt_connects_total")
        self.broker.stop()
        for file in self.broker.data.iterdir():
            file.unlink()
        self.broker.start()
        self.reconnect()
        wait_for(lambda: self.brink.metric("mqtt_connects_total") > before, "a connection made again", 40)
        self.brink.wait_ready(40)
        self.send("d1", None, m=1)
        self.alerts.take("OPEN")

    def test_messages_sent_while_down_are_taken_at_start(self):
        self.site(SEEN)
        self.fence()
        for end in (self.brink.stop, self.brink.kill):
            end()
            device = f"after-{end.__name__}"
            for i in range(50):
                self.send(f"{device}-{i}", None, m=1, wait=False)
            self.publisher.flush()
            self.brink.start()
            self.fence()
            self.assertEqual(sum(1 for a in self.alerts.all() if a["device_id"].startswith(device)), 50)

    def test_clean_session_takes_nothing_old(self):
        self.site(SEEN, config={"mqtt": {"session_expiry": 0}})
        self.brink.stop()
        self.send("old", None, m=1)
        self.brink.start()
        self.send("new", None, m=1)
        self.fence()
        self.assertEqual([a["device_id"] for a in self.alerts.all()], ["new"])

    def test_subscriptions_follow_the_configuration(self):
        one = {"topic": "one/{device}", "format": "value", "metric": "m"}
        two = {"topic": "two/{device}", "format": "value", "metric": "m"}
        fence = {"topic": "tenant/{tenant}/device/{device}/telemetry"}
        self.site(SEEN, config={"telemetry": [fence, one]})
        self.brink.stop()
        self.brink.configure({**self.brink.config, "telemetry": [fence, two]})
        self.brink.start()
        self.send_raw("one/gone", "1")
        self.send_raw("two/new", "1")
        self.fence()
        self.assertEqual([a["device_id"] for a in self.alerts.all()], ["new"])
        received = self.brink.metric("messages_received_total")
        self.send_raw("one/gone", "1")
        self.fence()
        self.assertEqual(self.brink.metric("messages_received_total"), received + 1)  # the fence alone

    def through_proxy(self, config=None):
        self.start_broker()
        between = proxy.Proxy(self.broker.port)
        self.addCleanup(between.close)
        self.brink = self.gateway(SEEN, start=False, config=merge(config or {}, {
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{between.port}"]}}))
        return between

    def test_link_cut_before_the_subscription_was_granted(self):
        for kind in (SUBSCRIBE, SUBACK):
            with self.subTest(kind=kind):
                self.anew()
                between = self.through_proxy()
                between.cut_before(lambda data, kind=kind: kind in mqtt.kinds(data))
                self.brink.start()  # ready is subscribed
                self.assertRegex(self.brink.log(), "lost")
                self.send("d1", None, m=1)
                self.alerts.take("OPEN")

    def test_link_cut_while_a_reload_subscribes(self):
        for kind in (SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK):
            with self.subTest(kind=kind):
                self.anew()
                entries = [{"topic": f"{name}/{{device}}", "format": "value", "metric": "m"}
                           for name in ("old", "new")]
                fence = {"topic": "tenant/{tenant}/device/{device}/telemetry"}
                between = self.through_proxy({"telemetry": [fence, entries[0]]})
                self.brink.start()
                between.cut_before(lambda data, kind=kind: kind in mqtt.kinds(data))
                self.brink.configure({**self.brink.config, "telemetry": [fence, entries[1]]})
                connects = self.brink.metric("mqtt_connects_total")
                self.brink.hang_up()
                wait_for(lambda: self.brink.metric("mqtt_connects_total") > connects, "a connection made again")
                self.brink.wait_ready()
                self.send_raw("new/d1", "1")
                self.alerts.take("OPEN", device="d1")
                self.assert_not_subscribed("old/d1")

    def assert_not_subscribed(self, topic):
        def gone():
            received = self.brink.metric("messages_received_total")
            self.send_raw(topic, "1")
            self.fence()
            return self.brink.metric("messages_received_total") == received + 1  # the fence alone

        wait_for(gone, f"{topic} to be left")

    def test_filter_gone_is_left_even_if_the_first_run_after_it_crashed(self):
        fence = {"topic": "tenant/{tenant}/device/{device}/telemetry"}
        old = {"topic": "old/{device}", "format": "value", "metric": "m"}
        between = self.through_proxy({"telemetry": [fence, old]})
        self.brink.start()
        self.brink.stop()
        self.brink.configure({**self.brink.config, "telemetry": [fence]})
        between.refuse()  # this run starts, but never reaches the broker
        self.brink.start(ready=False)
        self.counted("mqtt_connect_failures_total")
        self.brink.kill()
        between.heal()
        self.brink.start()
        self.assert_not_subscribed("old/d1")
        # And it is noted no longer: the next start does not ask again.
        self.brink.stop()
        lines = len(self.brink.log().splitlines())
        self.brink.start()
        self.assertNotIn("unsubscribing", "\n".join(self.brink.log().splitlines()[lines:]))

    def test_refused_subscription_is_told_and_asked_for_again(self):
        between = self.through_proxy({"telemetry": [
            {"topic": "tenant/{tenant}/device/{device}/telemetry"},
            {"topic": "secret/{device}", "format": "value", "metric": "m"}]})
        refusals = [b"\x87"]  # one
        between.alter(lambda data: data[:-1] + refusals.pop()
                      if refusals and SUBACK in mqtt.kinds(data) else None)
        self.brink.start(ready=False)
        self.logged("refused a subscription.*reason=135")
        self.assertEqual(self.brink.http("/readyz")[0], 503)
        self.send("d1", None, m=1)
        self.alerts.take("OPEN", device="d1")
        self.brink.wait_ready(20)  # asked again after 10 s

    def test_inbox_0_loses_nothing_to_kill_9(self):
        self.site([{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "count",
                    "operator": "LT", "threshold": 0, "window_seconds": 86400}], config={"mqtt": {"inbox": 0}})
        sent = 0
        for _ in range(6):
            for _ in range(400):
                self.send("d1", sent, m=sent, wait=False)
                sent += 1
            self.brink.kill()
            self.brink.start()
        self.publisher.flush()
        self.fence()
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(sent)))

    def test_connection_cut_in_the_middle_of_packets(self):
        self.start_broker()
        self.start_store()
        between = proxy.Proxy(self.broker.port)
        self.addCleanup(between.close)
        self.brink = self.gateway([{"id": "n", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "count",
                                    "operator": "LT", "threshold": 0, "window_seconds": 86400}], config={
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{between.port}"], "inbox": 0}})
        sent = 0
        for after in (1, 37, 1000, 5000):
            between.cut(after)
            for _ in range(100):
                self.send("d1", sent, m=sent)
                sent += 1
        self.fence(40)
        self.assertEqual([v for _, v in self.store.window("n", "d1")], list(range(sent)))

    def test_frozen_broker_is_noticed_by_keep_alive(self):
        self.start_broker()
        between = proxy.Proxy(self.broker.port)
        self.addCleanup(between.close)
        self.brink = self.gateway(SEEN, config={
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{between.port}"], "keep_alive": "1s"}})
        accepted = between.accepted
        between.stall()
        wait_for(lambda: between.accepted > accepted, "another connection", 15)
        between.cut()
        between.heal()
        self.send("d1", None, m=1)
        self.alerts.take("OPEN", timeout=40)

    def test_sender_process_that_dies_is_started_again(self):
        self.site(SEEN)
        children = wait_for(self.children, "a child that publishes")
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        self.send("d1", None, m=1)
        self.alerts.take("OPEN", timeout=20)

    def children(self):
        task = pathlib.Path(f"/proc/{self.brink.pid}/task")
        return [int(pid) for t in task.iterdir() for pid in (t / "children").read_text().split()]

    def test_another_client_with_our_id_does_not_stop_us(self):
        self.site(SEEN)
        before = self.brink.metric("mqtt_connects_total")
        thief = self.broker.client(client_id="brink-gw-brink")
        thief.close()
        wait_for(lambda: self.brink.metric("mqtt_connects_total") > before, "a connection made again", 40)
        self.brink.wait_ready(20)
        self.send("d1", None, m=1)
        self.alerts.take("OPEN", timeout=20)


if __name__ == "__main__":
    unittest.main()
