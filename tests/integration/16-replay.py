#!/usr/bin/env python3
"""`brink replay` (SPEC 1.2, 9.2): the same alerts as live, the same bytes each time, whatever stands in the recording."""

import datetime
import importlib
import json
import os
import pty
import random
import re
import select
import subprocess
import unittest

import oracle
import stream
from lib.harness import BASE, BRINK, PATIENCE, Case, Process, command, stamp, wait_for

oracle_test = importlib.import_module("90-oracle")  # a class by itself would be run here too

SEED = int(os.environ.get("BRINK_ORACLE_SEED", "20260101"))
MESSAGES = int(os.environ.get("BRINK_ORACLE_MESSAGES", "4000"))
DAY = 86400  # the recording's clock is ahead of all that devices say, or their times were not believed (SPEC 3.3)


class Recorder(Process):
    """A real mosquitto_sub, whose output is the recording."""

    def __init__(self, folder, port, form="%J", name="recorder", zone="UTC"):
        super().__init__(name, folder)
        self.port, self.form, self.zone = port, form, zone
        self.path = self.folder / f"{name}.jsonl"

    def start(self):
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                ["mosquitto_sub", "-p", str(self.port), "-q", "1", "-t", "tenant/#", "-F", self.form],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "TZ": self.zone})
        return self

    def lines(self):
        return self.path.read_text().splitlines()


class Replay(Case):
    def config(self, rules, more="", store="memory"):
        """A configuration, and its rules as they would stand in a file."""
        (self.folder / "r.yaml").write_text(rules if isinstance(rules, str) else json.dumps({"rules": rules}))
        path = self.folder / "c.yaml"
        path.write_text(f"""\
gateway: {{id: gw, state_dir: {self.folder}}}
telemetry:
  - {{topic: "tenant/{{tenant}}/device/{{device}}/telemetry", timestamp: /ts, seq: /seq}}
  - {{topic: "tenant/{{tenant}}/device/{{device}}/heartbeat", format: heartbeat}}
  - {{topic: "plain/{{device}}/{{metric}}", format: value, values: {{ON: 1}}}}
store: {{address: "{store}"}}
rules: [r.yaml]
{more}""")
        return path

    def recording(self, lines):
        path = self.folder / "recording.jsonl"
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        return path

    def replay(self, *arguments, config=None, status=0):
        """(standard output, standard error)"""
        got, out, err = command("replay", "-c", config or self.folder / "c.yaml", *arguments)
        self.assertEqual(got, status, out[:2000] + err)
        return out, err

    @staticmethod
    def line(k, payload, device="d", topic=None, **more):
        at = datetime.datetime.fromtimestamp(BASE + k, datetime.timezone.utc)
        return {"tst": at.strftime("%Y-%m-%dT%H:%M:%S.%f+0000"),
                "topic": topic or f"tenant/acme/device/{device}/telemetry", "qos": 1, "retain": 0, "payload": payload,
                **more}

    @staticmethod
    def brief(out):
        return [(a["event_type"], a["rule_id"], a["device_id"]) for a in map(json.loads, out.splitlines())]

    def hot(self, n=10, devices=1):
        """t rises by one each second."""
        self.config([{"id": "hot", "when": "t > 4"}])
        return self.recording([self.line(k, {"ts": BASE + k, "metrics": {"t": k}}, device=f"d{i}")
                               for k in range(n) for i in range(devices)])

    # --- as it is live ---

    def test_the_same_alerts_as_live(self):
        """Sent through a real broker to a gateway with a real Valkey, recorded by a real mosquitto_sub in both of its
        forms, and replayed: each alert is the same, whole."""
        print(f"{self.id()}: BRINK_ORACLE_SEED={SEED} messages={MESSAGES}", flush=True)
        source = stream.Stream(SEED + 9)
        self.start_broker()
        self.start_store()
        self.brink = self.gateway(config={"store": {"timeout": "10s"}}, start=False)
        rules = json.loads(stream.rule_file(stream.rules()))
        rules["rules"] += [{"id": "quiet", "when": "silent(1500ms)", "scope": {"devices": ["quiet-*"]}},
                           {"id": "gap", "when": "absent(x, 1s)", "scope": {"devices": ["quiet-*"]}},
                           {"id": "empty", "when": "count(x, 2s) < 1", "scope": {"devices": ["quiet-*"]}}]
        self.brink.rules(json.dumps(rules))
        self.brink.start()
        recorders = [Recorder(self.folder, self.broker.port, "%J", "whole").start(),
                     Recorder(self.folder, self.broker.port, "%j", "quoted", zone="Asia/Kolkata").start()]
        self.started += recorders
        # A recorder is there once it has this one; there is no other way to know.
        wait_for(lambda: (self.send("probe", probe=1), all(r.lines() for r in recorders))[1], "the recorders")
        for i in range(3):
            self.send(f"quiet-{i}", k=i, x=1)
        for topic, payload, _ in source.sent(MESSAGES):
            self.publisher.publish_soon(topic, payload, 1, timeout=60)
        self.publisher.flush(60)
        for i in range(3):
            for rule in ("quiet", "gap", "empty"):
                self.alerts.take("OPEN", rule, f"quiet-{i}", timeout=30)
        self.fence(timeout=60)
        last = self.alerts.client.messages[-1].topic.split("/")[2]
        wait_for(lambda: all(last in r.path.read_text() for r in recorders), "the end of the recordings")
        live = self.alerts.all()
        for recorder in recorders:
            recorder.stop()
            out, err = self.replay(recorder.path, config=self.brink.config_path)
            self.compare(live, [a for a in map(json.loads, out.splitlines()) if a["rule_id"] != "fence"], err)

    def compare(self, live, replayed, err):
        self.assertGreater(len(live), MESSAGES / 4)

        def by_rule_and_device(alerts):
            found = {}
            for alert in alerts:
                whole = {k: v for k, v in alert.items() if k != "_message"}
                found.setdefault((alert["rule_id"], alert["device_id"]), []).append(whole)
            return found

        a, b = by_rule_and_device(live), by_rule_and_device(replayed)
        for key in sorted(set(a) | set(b)):
            self.assertEqual(a.get(key), b.get(key), f"{key}: live against replayed\n{err}")
        print(f"{self.id()}: {len(live)} alerts agree", flush=True)

    def test_silence_by_heartbeats_as_live(self):
        """Where the device tells no time, arrival is its time: recorded to the microsecond by another clock."""
        self.site([{"id": "quiet", "rule_type": "HEARTBEAT", "timeout_seconds": 1}], store=False)
        recorder = Recorder(self.folder, self.broker.port).start()
        self.started.append(recorder)
        wait_for(lambda: (self.send_raw("tenant/acme/device/h/heartbeat", "0"), recorder.lines())[1], "the recorder")
        self.alerts.take("OPEN", "quiet", "h", timeout=20)
        self.send_raw("tenant/acme/device/h/heartbeat", "0")
        self.alerts.take("CLOSED", "quiet", "h")
        wait_for(lambda: len(recorder.lines()) >= 2, "the last heartbeat")
        recorder.stop()
        out, _ = self.replay(recorder.path, config=self.brink.config_path)
        self.assertEqual([e for e in self.brief(out) if e[1] == "quiet"],
                         [("OPEN", "quiet", "h"), ("CLOSED", "quiet", "h")])

    # --- the same each time ---

    def random_recording(self, n=MESSAGES):
        rng = random.Random(SEED)
        made = stream.rules()
        self.config(json.dumps({"metrics": stream.MAPPINGS, "rules": json.loads(stream.rule_file(made))["rules"] + [
            {"id": "quiet", "when": "silent(20s)", "repeat": "30s", "escalate": {"after": "10s"}},
            {"id": "empty", "when": "count(hum, 30s) < 1"}]}),
            "limits: {forget_after: 60s}\n")
        at, lines = DAY, []
        for topic, payload, _ in stream.Stream(SEED + 4).sent(n):
            at += rng.choice([0, 0.0004, 0.3, 2])
            if rng.random() < 0.002:
                at += 90  # devices fall silent, and are forgotten
            lines.append(self.line(at, json.loads(payload), topic=topic))
        return self.recording(lines)

    def test_the_same_bytes_each_time(self):
        path = self.random_recording()
        first, _ = self.replay(path)
        self.assertGreater(len(first.splitlines()), MESSAGES / 4)
        self.assertIn('"reason":"device_forgotten"', first)
        for _ in range(3):
            again, _ = self.replay(path)
            self.assertEqual(first, again)
        summary, _ = self.replay("--summary", path)
        self.assertEqual(summary, self.replay("--summary", path)[0])

    def test_the_same_however_it_is_read(self):
        """From a pipe that gives a few bytes at a time, batches end elsewhere."""
        path = self.random_recording(800)
        whole, _ = self.replay(path)
        got, log = self.folder / "out", self.folder / "err"
        with open(got, "wb") as out, open(log, "wb") as err:
            process = subprocess.Popen([BRINK, "replay", "-c", self.folder / "c.yaml", "-"], stdin=subprocess.PIPE,
                                       stdout=out, stderr=err)
        rng, data = random.Random(1), path.read_bytes()
        while data:
            n = rng.randrange(1, 5000)
            process.stdin.write(data[:n])
            process.stdin.flush()
            data = data[n:]
        process.stdin.close()
        self.assertEqual(process.wait(60 * PATIENCE), 0, log.read_text())
        self.assertEqual(got.read_text(), whole)

    def test_filters_choose_among_the_whole_output(self):
        path = self.random_recording()
        whole = self.replay(path)[0].splitlines()
        parsed = [(line, json.loads(line)) for line in whole]

        def expect(chosen, *arguments):
            self.assertGreater(len(chosen), 3)
            self.assertLess(len(chosen), len(whole))
            self.assertEqual(self.replay(*arguments, path)[0].splitlines(), chosen)

        expect([t for t, a in parsed if a["rule_id"] == "avg"], "--rule", "avg")
        expect([t for t, a in parsed if a["rule_id"] in ("avg", "min")], "--rule", "min", "--rule", "avg")
        expect([t for t, a in parsed if a["device_id"] == "o-1"], "--device", "o-1")
        expect([t for t, a in parsed if a["device_id"][0] in "og"], "--device", "o-*", "--device", "acm?/g-*")
        self.assertEqual(self.replay("--device", "other/*", path)[0], "")

    def test_from_and_to_are_times_of_the_recording(self):
        path = self.hot()
        self.assertEqual(self.brief(self.replay(path)[0]), [("OPEN", "hot", "d0")])
        at = stamp(5)
        self.assertEqual(len(self.replay("--from", at, path)[0].splitlines()), 1)
        self.assertEqual(self.replay("--from", stamp(5.001), path)[0], "")
        self.assertEqual(len(self.replay("--to", at, path)[0].splitlines()), 1)
        out, err = self.replay("--to", stamp(4.999), path)
        self.assertEqual(out, "")
        self.assertIn("5 messages", err)

    def test_what_is_due_before_the_end_happens(self):
        self.config([{"id": "quiet", "when": "silent(3s)"}])
        path = self.recording([self.line(0, {"metrics": {"t": 1}}, "a"), self.line(3, {"metrics": {"t": 1}}, "b"),
                               self.line(5.9, {"metrics": {"t": 1}}, "c")])
        self.assertEqual(self.brief(self.replay(path)[0]), [("OPEN", "quiet", "a")])
        out, _ = self.replay("--to", stamp(5.95), self.recording(
            [self.line(0, {"metrics": {"t": 1}}, "a"), self.line(9, {"metrics": {"t": 1}}, "b")]))
        alert = json.loads(out)
        self.assertEqual((alert["device_id"], alert["event_at"]), ("a", stamp(3)))

    # --- with a store ---

    def test_with_the_store_the_same_alerts_and_the_windows_remain(self):
        self.start_store()
        made = stream.rules()
        self.oracle = oracle.Oracle(made, stream.MAPPINGS)
        path = self.config(stream.rule_file(made), store=self.store.address)
        path.write_text(path.read_text().replace("seq: /seq", "seq: /seq, site: /site_id")
                        .replace("store: {", "store: {timeout: 10s, "))
        lines = []
        for i, (topic, payload, said) in enumerate(stream.Stream(SEED + 5).sent(MESSAGES)):
            lines.append(self.line(DAY + i / 100, json.loads(payload), topic=topic))
            for message in said:
                self.oracle.take(message)
        recording = self.recording(lines)
        memory, _ = self.replay(recording)
        self.assertEqual(self.store.keys_of("*"), [])
        stored, _ = self.replay("--store", recording)
        self.assertEqual(stored, memory)
        oracle_test.OracleTest.compare_windows(self)

    @staticmethod
    def _agree(found, expected):
        return oracle_test.OracleTest._agree(found, expected)

    def test_a_store_that_is_not_there(self):
        path = self.hot()
        config = self.config([{"id": "hot", "when": "avg(t, 5s) > 4"}], store="valkey://127.0.0.1:1")
        out, err = self.replay("--store", path, status=1)
        self.assertEqual(out, "")
        self.assertIn("cannot reach valkey://127.0.0.1:1", err)
        self.replay(path, config=config)  # it is not asked

    # --- what may stand in a recording ---

    def test_lines_that_are_none_are_left_out_and_told(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        good = self.line(1, {"metrics": {"t": 9}})
        path = self.recording([
            "\n", "Error: Message payload is not valid JSON on topic a/c.\n", "{}\n", '{"tst":"x"\n', "[1]\n",
            {**good, "tst": "yesterday"}, {k: v for k, v in good.items() if k != "topic"}, good,
            json.dumps(good)[:-20] + "\n", '{"tst":"2026-01-01T00:00:02+00:00","topic":"\\ud800","payload":1}\n',
            self.line(3, {"metrics": {"t": 1}})])
        out, err = self.replay(path)
        self.assertEqual(self.brief(out), [("OPEN", "hot", "d"), ("CLOSED", "hot", "d")])
        for line in (r"recording.jsonl:2: is not a JSON object, left out", r"recording.jsonl:3: has no topic",
                     r"recording.jsonl:6: has no time", r"recording.jsonl:10: has a text with a bad escape",
                     r"lines left out: 4 is not a JSON object, 1 has a text with a bad escape, 1 has no time .*, "
                     r"2 has no topic", r"2 messages, 2 readings, 2 alerts in "):
            self.assertRegex(err, line)
        self.assertNotIn("recording.jsonl:1:", err)

    def test_many_bad_lines_are_told_a_few_times(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        path = self.recording(["x\n"] * 10000 + [self.line(0, {"metrics": {"t": 5}})])
        out, err = self.replay(path)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertLess(len(err.splitlines()), 8)
        self.assertIn("10000 is not a JSON object", err)

    def test_a_recording_of_something_else(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        out, err = self.replay(self.recording(["a b c\n"] * 3), status=1)
        self.assertIn("not one line is a message; record with mosquitto_sub -F %J", err)

    def test_messages_that_the_gateway_would_drop(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        path = self.recording([self.line(0, {"metrics": {"t": 5}}, topic="else/where"), self.line(1, "{not json"),
                               self.line(2, {"metrics": {"t": 5}}, retain=1), self.line(3, {"metrics": {"t": 5}})])
        out, err = self.replay(path)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertRegex(err, r"messages dropped: .*not_json 1")
        self.assertRegex(err, r"retained 1")

    def test_the_clock_never_goes_back(self):
        self.config([{"id": "quiet", "when": "silent(10s)"}])
        path = self.recording([self.line(100, {"metrics": {"t": 1}}), self.line(50, {"metrics": {"t": 1}}),
                               self.line(105, {"metrics": {"t": 1}})])
        out, err = self.replay(path)
        self.assertEqual(out, "")
        self.assertIn("1 lines are older than the line before", err)

    def test_zones_and_forms_of_time(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        forms = ["2026-01-01T00:00:01.000000Z+0000", "2026-01-01T05:30:02.000000Z+0530",
                 "2025-12-31T19:00:03.000000-0500", "2026-01-01T00:00:04Z", 1767225605.5, 1767225606000]
        path = self.recording([{**self.line(0, {"metrics": {"t": i % 2 * 9}}), "tst": t} for i, t in enumerate(forms)])
        out, err = self.replay(path)
        self.assertEqual([json.loads(a)["event_at"] for a in out.splitlines()],
                         [stamp(2), stamp(3), stamp(4), stamp(5.5), stamp(6)])
        self.assertNotIn("left out", err)

    def test_payloads_of_both_forms(self):
        self.config([{"id": "on", "when": "open == 1"}])
        path = self.recording([
            self.line(0, "ON", topic="plain/a/open", payloadlen=2),        # %j
            self.line(1, 1, topic="plain/b/open", payloadlen=1),           # %J
            self.line(2, "ON", topic="plain/c/open", payloadlen=4),        # %J of "ON", quotes and all: no number
            self.line(3, '{"metrics": {"open": true}}', device="d"),
            self.line(4, [{"metrics": {"open": 1}}], device="e"),
            self.line(5, None, topic="plain/f/open", payloadlen=0)])
        self.assertEqual([e[2] for e in self.brief(self.replay(path)[0])], ["a", "b", "d", "e"])

    def test_a_line_that_is_too_long(self):
        self.config([{"id": "hot", "when": "t > 4"}])
        path = self.recording([self.line(0, {"metrics": {"t": 5}}), self.line(1, {"pad": "x" * 3_000_000}),
                               self.line(2, {"metrics": {"t": 1}})])
        out, err = self.replay(path)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("recording.jsonl:2: is too long, left out", err)

    # --- the summary ---

    def test_the_summary_tells_what_a_threshold_needs(self):
        path = self.hot(n=100, devices=3)
        out, _ = self.replay("--summary", path)
        self.assertEqual(out, """\
hot: 3 times, for 4m 42s in all, 1m 34s the longest, 3 still firing at the end
    acme/d0: 1 time, for 1m 34s in all, 1m 34s the longest, 1 still firing at the end
    acme/d1: 1 time, for 1m 34s in all, 1m 34s the longest, 1 still firing at the end
    acme/d2: 1 time, for 1m 34s in all, 1m 34s the longest, 1 still firing at the end
  evaluated 300 times: true 285, false 15, unknown 0
  t > 4
    300 values on the left:  least 0  1% 0  5% 4  25% 24  50% 49  75% 74  95% 94  99% 98  most 99
""")
        one, _ = self.replay("--summary", "--device", "d1", path)
        self.assertIn("hot: 1 time,", one)
        self.assertIn("evaluated 100 times", one)

    def test_the_summary_of_a_rule_that_no_device_has(self):
        path = self.hot()
        self.config([{"id": "hot", "when": "t > 4"}, {"id": "other", "when": "nothing > 4"}])
        out, _ = self.replay("--summary", path)
        self.assertRegex(out, r"(?m)^other: 0 times\n  never evaluated")
        self.assertNotIn("hot", self.replay("--summary", "--rule", "other", path)[0])

    # --- usage ---

    def test_usage(self):
        path = self.hot()
        for arguments in ((), ("-c",), ("-c", "x", "--from", "noon"), ("-c", "x", "--colour"), ("-c", "x", "a", "b")):
            status, out, err = command("replay", *arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("brink replay --help", err)
        self.assertIn("there is no rule hut", self.replay("--rule", "hut", path, status=1)[1])
        self.assertIn("cannot read /none: No such file", self.replay("/none", status=1)[1])
        _, _, err = command("replay", "-c", self.folder / "none.yaml", path)
        self.assertIn("none.yaml: cannot be read", err)
        status, out, _ = command("replay", "--help")
        self.assertEqual(status, 0)
        for option in ("--from", "--to", "--rule", "--device", "--summary", "--store"):
            self.assertIn(option, out)

    def test_progress_is_for_terminals_alone(self):
        self.hot()
        terminal, end = pty.openpty()
        process = subprocess.Popen([BRINK, "replay", "-c", self.folder / "c.yaml", "-"], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=end)
        os.close(end)
        told = re.compile(rb"\r\x1b\[K2026-01-01T.*Z  \d+ messages, 0 alerts")
        seen, k = b"", 0
        while not told.search(seen) and k < 2000 * PATIENCE:
            k += 1
            process.stdin.write(json.dumps(self.line(k, {"metrics": {"t": 1}})).encode() + b"\n")
            process.stdin.flush()
            if select.select([terminal], [], [], 0.01)[0]:
                seen += os.read(terminal, 4096)
        process.stdin.close()
        self.assertRegex(seen, told)
        self.assertEqual(process.wait(20 * PATIENCE), 0)
        os.close(terminal)
        _, err = self.replay(self.folder / "recording.jsonl")
        self.assertNotIn("\r", err)

    def test_output_that_nobody_takes(self):
        path = self.hot(n=50, devices=3000)
        done = subprocess.run(f"'{BRINK}' replay -c '{self.folder}/c.yaml' '{path}' >/dev/full",
                              shell=True, capture_output=True, text=True, timeout=60 * PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"brink replay: cannot write: No space")
        self.assertFalse(re.search("Sanitizer", done.stderr))


if __name__ == "__main__":
    unittest.main()
