#!/usr/bin/env python3
"""`brink test` (SPEC 1.2, 9.1): what passes, what fails and how it is told, on a clock that nobody waits for."""

import os
import re
import unittest
import xml.etree.ElementTree as xml

from lib.harness import SOURCE, Case, command

HOT = "rules: [{id: hot, when: t > 30}]\n"


class Test(Case):
    def run_test(self, text, *arguments, name="t.yaml"):
        path = self.folder / name
        path.write_text(text)
        return command("test", *arguments, str(path))

    def passes(self, text):
        status, out, err = self.run_test(text)
        self.assertEqual((status, err), (0, ""), out + err)
        self.assertRegex(out, r"^\d+ tests? passed\n$")

    def fails(self, text):
        """What is told, without the timeline."""
        status, out, err = self.run_test(text)
        self.assertEqual((status, err), (1, ""), out + err)
        self.assertRegex(out, r"\d+ of \d+ tests? failed\n$")
        return out.replace(f"{self.folder}/", "").split("  what happened:")[0]

    def refused(self, text):
        status, out, err = self.run_test(text)
        self.assertEqual((status, out), (1, ""), out + err)
        return err.replace(f"{self.folder}/", "")

    # --- what passes ---

    def test_the_page_of_the_spec(self):
        self.passes(HOT + """
input: [{tenant: acme, device: d, metric: t, interval: 1s, values: "20x5 25+1x10 _x3"}]
expect: [{at: 12s, alerts: [{rule: hot, device: d, event_type: OPEN}]}]
""")

    def test_all_that_can_be_asked(self):
        self.passes("""
rules:
  - {id: hot, when: t > 30, severity: critical, message: "{device} is at {value}", repeat: 5s, escalate: {after: 3s}}
input: [{tenant: acme, site: s1, device: d, metric: t, values: "20x2 31x10 20"}]
expect:
  - {at: 1s, alerts: [], firing: [], pending: []}
  - at: 4s
    alerts:
      - {rule: hot, tenant: acme, device: d, site: s1, event_type: open, severity: critical, alert_type: EXPRESSION,
         message: "d is at 31", operator: ">", value: 31, threshold: 30, trigger_count: 1, at: 2s}
    firing: [{rule: hot, tenant: acme, device: d}]
  - {at: 5s, alerts: [{rule: hot, event_type: ESCALATED, at: 5s}]}
  - {at: 11s, alerts: [{rule: hot, event_type: REPEATED, trigger_count: 2, at: 7s}]}
  - {at: 12s, alerts: [{rule: hot, event_type: CLOSED, at: 12s}], firing: []}
""")

    def test_silence_ends_at_its_very_moment(self):
        self.passes("""
rules:
  - {id: quiet, rule_type: HEARTBEAT, timeout_seconds: 1.5}
  - {id: gap, when: "absent(x, 2s)"}
  - {id: few, when: "count(x, 2500ms) < 1"}
input:
  - {device: d, heartbeat: "_x2 1x4"}
  - {device: d, metric: x, interval: 500ms, values: "1x2"}
expect:
  - at: 10s
    alerts:
      - {rule: gap, event_type: OPEN, at: 2500ms}
      - {rule: few, event_type: OPEN, at: 3s}
      - {rule: quiet, event_type: OPEN, at: 6500ms}
""")

    def test_a_reading_at_a_deadline_comes_before_it(self):
        self.passes("""
rules: [{id: quiet, when: silent(10s)}]
input: [{device: d, heartbeat: 1x5, interval: 10s}]
expect: [{at: 49s, alerts: []}, {at: 50s, alerts: [{rule: quiet, event_type: OPEN}]}]
""")

    def test_readings_of_one_time_are_one_message(self):
        self.passes("""
rules: [{id: both, when: a > 1 and b < 1}]
input:
  - {device: d, metric: a, values: "0 2"}
  - {device: d, metric: b, values: "0 2"}
expect: [{at: 5s, alerts: []}]
""")

    def test_a_message_as_it_is_and_readings_that_come_late(self):
        self.passes("""
rules: [{id: hot, when: "max(t, 10s, #1) > 30", min_points: 1}]
telemetry: [{topic: "x/{device}/{metric}", format: value}, {topic: "y/{device}", metrics: "", timestamp: /at}]
input:
  - {topic: x/d/t, payload: "31", at: 2s, interval: 3s, times: 2}
  - {topic: y/e, payload: '{"at": "2026-01-01T00:00:00Z", "t": 40}'}
  - {device: f, metric: t, values: "20x5"}
  - {device: f, metric: t, values: "99", delay: 3s, start: 3500ms}
expect:
  - at: 8s
    alerts: [{rule: hot, device: d, at: 2s}, {rule: hot, device: e, at: 0s, value: 40}]
""")

    def test_redelivery_and_a_restarted_sequence(self):
        self.passes("""
rules: [{id: sum, when: "sum(t, 1m) > 5"}]
input:
  - {topic: tenant/a/device/d/telemetry, at: 1s, payload: '{"seq":1,"metrics":{"t":3}}'}
  - {topic: tenant/a/device/d/telemetry, at: 2s, payload: '{"seq":1,"metrics":{"t":3}}'}
  - {topic: tenant/a/device/d/telemetry, at: 3s, payload: '{"seq":2,"metrics":{"t":3}}'}
expect: [{at: 2s, alerts: []}, {at: 3s, alerts: [{rule: sum, tenant: a, value: 6}]}]
""")

    def test_rule_files_and_groups_of_both(self):
        (self.folder / "more.yaml").write_text("groups: {g: [d]}\nrules: [{id: more, when: t > 1, scope: {groups: [own]}}]\n")
        self.passes("""
rule_files: ["mo*.yaml"]
groups: {own: [e]}
rules: [{id: here, when: t > 1, scope: {groups: [g]}}]
input: [{device: d, metric: t, values: 2}, {device: e, metric: t, values: 2}]
expect: [{at: 1s, alerts: [{rule: here, device: d}, {rule: more, device: e}]}]
""")

    def test_only_looks_at_these_rules(self):
        self.passes("""
rules: [{id: a, when: t > 1}, {id: b, when: t > 1}]
tests:
  - {name: one, only: [a], input: [{device: d, metric: t, values: 2}], expect: [{at: 0s, alerts: [{rule: a}], firing: [{rule: a}]}]}
  - {name: anew, input: [{device: d, metric: t, values: 0}], expect: [{at: 0s, alerts: []}]}
""")

    def test_the_same_alert_is_found_for_each_that_asks(self):
        # The first asks for any, the second for one in particular: neither takes the other's.
        self.passes(HOT + """
input: [{device: a, metric: t, values: 31}, {device: b, metric: t, values: 31}]
expect: [{at: 0s, alerts: [{rule: hot}, {rule: hot, device: a}]}]
""")

    def test_a_year_passes_in_no_time(self):
        self.passes("""
rules: [{id: quiet, when: "silent(300d)"}]
limits: {forget_after: 3650d}
input: [{device: d, heartbeat: 1}]
expect: [{at: 299d, alerts: []}, {at: 365d, alerts: [{rule: quiet, at: 300d}]}]
""")

    # --- what fails ---

    def test_an_alert_that_did_not_come(self):
        self.assertEqual(self.fails(HOT + """
input: [{device: d, metric: t, values: "20x5"}]
expect: [{at: 3s, alerts: [{rule: hot, device: d, event_type: OPEN}]}]
"""), "FAILED t.yaml:1:1: test 1\n"
            "  t.yaml:4:28: by 3s expected, but did not come: OPEN hot device=d\n")

    def test_an_alert_that_nobody_asked_for(self):
        told = self.fails(HOT + """
input: [{device: d, metric: t, values: "31x5"}]
expect: [{at: 3s, alerts: []}]
""")
        self.assertIn('t.yaml:4:27: by 3s came unexpected: OPEN hot default/d warning "hot: 31 > 30" at=0s', told)

    def test_an_alert_that_is_another(self):
        told = self.fails(HOT + """
input: [{device: d, metric: t, values: "31x5"}]
expect: [{at: 3s, alerts: [{rule: hot, severity: critical, value: 32, at: 1s}]}]
""")
        self.assertIn("expected, but did not come: hot at=1s severity=critical value=32\n", told)
        self.assertIn("which differs in severity=warning value=31 at=0s\n", told)
        self.assertNotIn("came unexpected", told)

    def test_states_that_are_others(self):
        told = self.fails("""
rules: [{id: hot, when: t > 30, for: 3s}]
input: [{device: d, metric: t, values: "31x9"}]
expect: [{at: 2s, firing: [{rule: hot}], pending: []}, {at: 3s, pending: [{rule: hot}]}]
""")
        self.assertIn("t.yaml:4:28: at 2s does not fire: hot\n", told)
        self.assertIn("t.yaml:4:51: at 2s is pending, and should not be: hot default/d\n", told)

    def test_the_timeline_tells_what_happened(self):
        _, out, _ = self.run_test(HOT + """
input: [{device: d, metric: t, values: "20x3 31"}]
expect: [{at: 4s, alerts: []}]
""")
        self.assertIn("  what happened:\n"
                      "          0s  default/d t=20 (3 times until 2s)\n"
                      "          3s  default/d t=31\n"
                      '          3s  OPEN hot default/d warning "hot: 31 > 30"\n', out)

    # --- what is refused ---

    def test_all_faults_at_once_with_their_places(self):
        told = self.refused(HOT + """
rule_fils: []
tests:
  - input: [{device: d/e, metric: t, values: "1+2"}, {metric: t, values: 1}, {device: d, values: 1}, {device: d}]
    expect: [{at: 1s}, {at: 1s, alerts: [{rule: hot, event_type: GONE}]}]
""")
        for line in ("t.yaml:3:1: unknown key `rule_fils`, did you mean `rule_files`?",
                     "t.yaml:5:22: a level of a topic cannot hold",
                     "t.yaml:5:50: `input.values`: a step needs a count",
                     "t.yaml:5:54: `input.device` is missing",
                     "t.yaml:5:78: `input.metric` is missing",
                     "t.yaml:5:102: an input needs",
                     "t.yaml:6:14: nothing is expected here",
                     "t.yaml:6:24: each `at` must be later",
                     "t.yaml:6:66: `alerts.event_type` must be OPEN, CLOSED, REPEATED or ESCALATED, not `GONE`",
                     "1 file could not be run"):
            self.assertIn(line, told)

    def test_faults_of_form_hide_none_of_the_rules(self):
        told = self.refused("""
start: someday
rules: [{id: a, when: averge(t) > 1}, {id: b, when: t > 1, colour: red}]
input: [{topic: nobody/listens}]
expect: [{at: 1s, alerts: [{rule: b}], fring: []}]
""")
        for line in ("t.yaml:2:8: `start` must be", "t.yaml:3:23: ", "t.yaml:3:60: unknown key `colour`",
                     "t.yaml:5:40: unknown key `fring`"):
            self.assertIn(line, told)
        self.assertNotIn("no rule", told)

    def test_rules_and_topics_that_are_not_there(self):
        told = self.refused(HOT + """
start: someday
input: [{topic: nobody/listens}]
expect: [{at: 1s, alerts: [{rule: hut}], firing: [{rule: hot}]}]
""")
        self.assertIn("t.yaml:3:8: `start` must be a time", told)
        self.assertIn("t.yaml:4:17: no entry of `telemetry` takes the topic `nobody/listens`", told)
        self.assertIn("t.yaml:5:35: there is no rule `hut`, did you mean `hot`?", told)

    def test_a_rule_that_does_not_compile(self):
        told = self.refused("rules: [{id: a, when: averge(t) > 1}]\ninput: []\nexpect: [{at: 1s, alerts: []}]\n")
        self.assertRegex(told, r"t\.yaml:1:23: .*averge")

    def test_usage(self):
        for arguments in ((), ("--junit",), ("--colour", "x.yaml")):
            status, out, err = command("test", *arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("brink test --help", err)
        status, out, _ = command("test", "--help")
        self.assertEqual(status, 0)
        self.assertIn("--junit", out)

    def test_one_file_that_is_missing_does_not_stop_the_others(self):
        good = self.folder / "good.yaml"
        good.write_text(HOT + "input: []\nexpect: [{at: 1s, alerts: []}]\n")
        status, out, err = command("test", str(self.folder / "none.yaml"), str(good))
        self.assertEqual((status, out), (1, "1 test passed\n"))
        self.assertIn("none.yaml: cannot be read", err)

    # --- JUnit ---

    def test_junit_is_well_formed_whatever_the_names(self):
        hostile = r'<&>\" ]]> é \ufffe \u2028'
        report = self.folder / "report.xml"
        status, _, err = self.run_test(HOT + f"""
tests:
  - {{name: passes, input: [], expect: [{{at: 1s, alerts: []}}]}}
  - name: fails
    input: [{{device: "{hostile}", metric: t, values: 31}}]
    expect: [{{at: 1s, alerts: []}}]
""", "--junit", str(report), name="a<b>&\"c.yaml")
        self.assertEqual((status, err), (1, ""))
        suite = xml.parse(report).getroot().find("testsuite")
        self.assertEqual(suite.get("name"), str(self.folder / "a<b>&\"c.yaml"))
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("errors")), ("2", "1", "0"))
        cases = suite.findall("testcase")
        self.assertEqual([c.get("name") for c in cases], ["passes", "fails"])
        self.assertIsNone(cases[0].find("failure"))
        self.assertIn("came unexpected", cases[1].find("failure").text)

    def test_junit_tells_of_files_that_are_not_in_order(self):
        report = self.folder / "report.xml"
        status, _, _ = self.run_test("rules: 1\n", "--junit", str(report))
        self.assertEqual(status, 1)
        suite = xml.parse(report).getroot().find("testsuite")
        self.assertEqual(suite.get("errors"), "1")
        self.assertIn("1:8:", suite.find("testcase/error").text)

    def test_junit_that_cannot_be_written(self):
        status, _, err = self.run_test(HOT + "input: []\nexpect: [{at: 1s, alerts: []}]\n", "--junit", "/proc/none/x.xml")
        self.assertEqual(status, 1)
        self.assertIn("cannot write /proc/none/x.xml", err)

    # --- what comes with the project ---

    def test_the_examples_of_the_manual_pass(self):
        manual = (SOURCE / "docs" / "TESTING.md").read_text()
        blocks = [b for b in re.findall(r"```yaml\n(.*?)```", manual, re.S) if "expect:" in b]
        self.assertGreaterEqual(len(blocks), 1)
        os.symlink(SOURCE / "config" / "rules.d", self.folder / "rules.d")
        for block in blocks:
            with self.subTest(block.splitlines()[0]):
                self.passes(block)


if __name__ == "__main__":
    unittest.main()
