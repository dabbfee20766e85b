#!/usr/bin/env python3
"""`brink check` and the command line (SPEC 1, 2): every problem at once, where it is, and the exit status."""

import re
import unittest

from lib.harness import SOURCE, Case, check, command

CONFIG = """\
gateway:
  id: gw-01
  state_dir: {folder}/state
mqtt:
  servers: [mqtt://127.0.0.1:1883]
telemetry:
  - topic: tenant/{{tenant}}/device/{{device}}/telemetry
    timestamp: /ts
store:
  address: memory
rules: [rules.d/*.yaml]
"""


class Check(Case):
    def setUp(self):
        super().setUp()
        self.rules_folder = self.folder / "rules.d"
        self.rules_folder.mkdir()
        self.path = self.folder / "brink.yaml"
        self.config()
        self.rules("rules: []\n")

    def config(self, more="", without=None):
        text = CONFIG.format(folder=self.folder)
        if without:
            text = re.sub(without, "", text, flags=re.M)
        self.path.write_text(text + more)

    def rules(self, text, name="a.yaml"):
        (self.rules_folder / name).write_text(text)

    def problems(self, status=1, env=None):
        """[(file's name, line, column, message)] of `brink check`."""
        got, out, err = check(self.path, env=env)
        self.assertEqual(got, status, f"{out}\n{err}")
        if status:
            self.assertEqual(out, "")
            self.assertNotRegex(err, "(?m)^:", "a problem without a file")
        found = []
        for line in err.splitlines():
            match = re.fullmatch(r"(?:/[^:]*/)?([^/:\s]+\.yaml):(?:(\d+):(\d+):)? (.+)", line)
            if match and "all is well" not in line:  # no place: the file as a whole
                found.append((match[1], int(match[2] or 0), int(match[3] or 0), match[4]))
        return found

    def assertProblem(self, problems, file, line, column, pattern):
        for f, n, c, message in problems:
            if (f, n) == (file, line) and (column is None or c == column) and re.search(pattern, message, re.I):
                return
        self.fail(f"no problem {file}:{line}:{column} like {pattern!r} in\n" +
                  "\n".join(":".join(map(str, p)) for p in problems))

    def test_valid_configuration_exits_0(self):
        self.assertEqual(self.problems(0), [])

    def test_examples_of_the_tree_pass(self):
        found = sorted((SOURCE / "config").glob("*.yaml"))
        self.assertIn("brink.yaml", [p.name for p in found])
        self.assertIn("minimal.yaml", [p.name for p in found])
        for path in found:
            with self.subTest(path.name):
                status, out, err = check(path, env={"PATH": "/usr/bin", "STATE_DIRECTORY": str(self.folder)})
                self.assertEqual(status, 0, out + err)
                self.assertNotRegex(err, r":\d+:\d+: ")

    def test_all_problems_of_the_configuration_at_once(self):
        self.config("""\
colour: blue
gateway:
  id: twice
http: {listen: 127.0.0.1:9464, tokn_file: null}
limits:
  payload_bytes: lots
  devices: -4
  points_per_window: 99999999999999999999
log: {level: loud}
""", without=r"^store:\n.*\n")
        found = self.problems()
        self.assertProblem(found, "brink.yaml", 10, 1, "colour")
        self.assertProblem(found, "brink.yaml", 11, 1, "gateway")
        self.assertProblem(found, "brink.yaml", 13, 32, "tokn_file")
        self.assertProblem(found, "brink.yaml", 15, 18, "payload_bytes|integer|number")
        self.assertProblem(found, "brink.yaml", 16, 12, "devices|range|least")
        self.assertProblem(found, "brink.yaml", 17, 22, "points_per_window|range|most|large")
        self.assertProblem(found, "brink.yaml", 18, 14, "level|loud")

    def test_problems_of_several_rule_files_together(self):
        self.config("nonsense: 1\n")
        self.rules("""\
rules:
  - id: one
    rule_type: THRESHOLD
    metric_name: temp
    operator: ABOVE
    threshold: high
  - id: "not an id"
    when: temp > 3
  - id: no-condition
    name: nothing to decide
""")
        self.rules("""\
rules:
  - id: one
    when: avg(temp, 5m) > 3
  - id: wrong
    when: avrage(temp, 5m) > 3
    sevrity: info
  - id: for-twice
    when: temp > 3
    for: 3m
    cooldown: 10 apples
""", "b.yaml")
        found = self.problems()
        self.assertProblem(found, "brink.yaml", 12, 1, "nonsense")
        self.assertProblem(found, "a.yaml", 5, 15, "operator|ABOVE")
        self.assertProblem(found, "a.yaml", 6, 16, "threshold|number")
        self.assertProblem(found, "a.yaml", 7, 10, "id")
        self.assertProblem(found, "a.yaml", 9, None, "when|rule_type|condition")
        self.assertProblem(found, "b.yaml", 2, 9, "one")
        self.assertProblem(found, "b.yaml", 5, 11, "avrage.*avg")
        self.assertProblem(found, "b.yaml", 6, 5, "sevrity.*severity|sevrity")
        self.assertProblem(found, "b.yaml", 10, 15, "duration|apples")

    def test_column_within_an_expression(self):
        self.rules("rules:\n  - id: x\n    when: temp > 3 and (hum < 4\n")
        self.assertProblem(self.problems(), "a.yaml", 3, 32, r"\)")
        self.rules("rules:\n  - id: x\n    when: temp > 3 and hum << 4\n")
        self.assertProblem(self.problems(), "a.yaml", 3, 29, "<")

    def test_column_within_an_expression_of_any_style(self):
        for text, line, column in (
                ("when: 'temp > 3 and averge(x, 5m) > 1'", 3, 25),
                ('when: "temp > 3 and \\x61verge(x, 5m) > 1"', 3, 25),
                ('when: "temp > 3 \\\n        and averge(x, 5m) > 1"', 4, 13),
                ("when: temp > 3\n        and averge(x, 5m) > 1", 4, 13),
                ("when: >\n      temp > 3\n\n      and averge(x, 5m) > 1", 6, 11),
                ("when: |-\n      `\u00e9` > 3 and\n        averge(x, 5m) > 1", 5, 9),
                ("when: temp > 3\n    clear: temp < 1 or averge(x, 5m) < 1", 4, 24),
                ("when:\n      temp > 3 and\n        averge(x, 5m) > 1  # note", 5, 9)):
            with self.subTest(text):
                self.rules("rules:\n  - id: x\n    " + text + "\n")
                found = self.problems()
                self.assertEqual(len(found), 1)
                self.assertProblem(found, "a.yaml", line, column, "unknown function `averge`, did you mean `avg`")
        self.rules("rules:\n  - id: x\n    when: temp > 3\n    message: >\n      too warm,\n      {valu}\n")
        self.assertProblem(self.problems(), "a.yaml", 6, 7, "did you mean `{value}`")

    def test_expression_of_any_style_loads(self):
        for text in (">\n      temp > 3\n      and hum > 4", "|\n      temp > 3\n      and hum > 4",
                     '"temp > 3\n      and hum > 4"', "temp > 3\n      and hum > 4"):
            with self.subTest(text):
                self.rules("rules:\n  - id: x\n    when: " + text + "\n")
                self.assertEqual(self.problems(0), [])

    def test_comment_that_ate_an_expression_is_named(self):
        self.rules("rules:\n  - id: x\n    when: max(temp, #5) > 8\n")
        self.assertProblem(self.problems(), "a.yaml", 3, 20, "begins a comment.*quotes")
        self.rules('rules:\n  - id: x\n    when: "max(temp, 5m > 8"\n')
        found = self.problems()
        self.assertProblem(found, "a.yaml", 3, 25, "expected `\\)`")
        self.assertNotRegex(str(found), "comment")

    def test_likely_mistakes_load_with_a_warning(self):
        self.rules("rules:\n  - id: x\n    when: frz-temp > 3 or\n          door == true\n")
        found = self.problems(0)
        self.assertProblem(found, "a.yaml", 3, 11, "warning: `frz-temp` is read as a difference.*backquotes")

    def test_monstrous_expressions_are_refused(self):
        for text, pattern in (("(" * 10000 + "temp > 1" + ")" * 10000, "nested.*deep"),
                              ("not " * 10000 + "temp > 1", "nested.*deep"),
                              ("temp > " + "-" * 10000 + "1", "nested.*deep"),
                              ("abs(" * 10000 + "temp" + ")" * 10000 + " > 1", "nested.*deep"),
                              ("temp > 1" + " or temp > 1" * 10000, "longer than|chained"),
                              ("temp > " + "1" * (1 << 20), "longer than"),
                              ("a" * (1 << 20) + " > 1", "longer than"),
                              ("temp > 1 " + " " * (1 << 20) + "and", "longer than|expected")):
            with self.subTest(text[:20]):
                self.rules(f"rules:\n  - id: x\n    when: \"{text}\"\n")
                self.assertProblem(self.problems(), "a.yaml", 3, None, pattern)

    def test_yaml_that_is_none(self):
        for text in ("rules: [\n", "rules:\n\t- id: x\n", "rules: *nobody\n", "- 1\n", "rules: 7\n",
                     "\x00\x01\x02", "rules: !!binary aGVsbG8=\n"):
            with self.subTest(text):
                self.rules(text)
                found = self.problems()
                self.assertTrue([p for p in found if p[0] == "a.yaml"], found)

    def test_bombs_end_quickly_with_a_problem(self):
        laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
        deep = "rules: " + "[" * 100_000
        huge = "rules:\n" + "# filler filler filler filler filler\n" * 150_000
        for name, text in (("laughs", laughs), ("deep", deep), ("huge", huge)):
            with self.subTest(name):
                self.rules(text)
                self.assertTrue([p for p in self.problems() if p[0] == "a.yaml"])

    def test_environment_variables(self):
        self.config(without=r"^  id: gw-01\n")
        text = self.path.read_text().replace("gateway:\n", "gateway:\n  id: ${SITE}-gw\n")
        self.path.write_text(text)
        self.assertProblem(self.problems(), "brink.yaml", 2, 7, "SITE")
        self.problems(0, env={"PATH": "/usr/bin", "SITE": "north"})

    def test_secrets_in_files(self):
        secret = self.folder / "secret"
        text = self.path.read_text().replace("mqtt:\n", f"mqtt:\n  username: u\n  password_file: {secret}\n")
        self.path.write_text(text)
        self.assertProblem(self.problems(), "brink.yaml", 6, None, "secret|password_file")
        secret.write_text("much-too-secret\n")
        self.problems(0)
        _, out, err = check(self.path, "--print")
        self.assertNotIn("much-too-secret", out + err)

    def test_overlapping_filters_are_refused(self):
        for topic in ("tenant/{tenant}/device/{device}/telemetry", "tenant/acme/{x}/{device}/telemetry"):
            with self.subTest(topic):
                text = CONFIG.format(folder=self.folder).replace(
                    "store:", f"  - topic: {topic}\nstore:")
                self.path.write_text(text)
                self.assertProblem(self.problems(), "brink.yaml", 9, None, "overlap")

    def test_alert_or_status_topic_that_telemetry_would_match_is_refused(self):
        self.config("alerts: {topic: 'tenant/{tenant}/device/{device}/telemetry'}\n")
        self.assertProblem(self.problems(), "brink.yaml", 7, 12, "alerts")
        text = CONFIG.format(folder=self.folder).replace(
            "mqtt:\n", "mqtt:\n  status_topic: tenant/brink/device/{gateway}/telemetry\n")
        self.path.write_text(text)
        self.assertProblem(self.problems(), "brink.yaml", 8, 12, "status")

    def test_store_addresses(self):
        for address, status in (("valkey://127.0.0.1:6379/0", 0), ("redis://localhost", 0),
                                ("unix:///run/valkey.sock?db=3", 0), ("memory", 0), ("http://x", 1),
                                ("valkey://", 1), ("valkey://h:99999", 1), ("unix://", 1)):
            with self.subTest(address):
                self.config()
                self.path.write_text(self.path.read_text().replace("address: memory", f"address: {address}"))
                found = self.problems(status)
                if status:
                    self.assertProblem(found, "brink.yaml", 10, None, "")

    def test_unreadable_files(self):
        self.assertEqual(check(self.folder / "absent.yaml")[0], 1)
        self.assertIn("absent.yaml", check(self.folder / "absent.yaml")[2])
        self.assertEqual(check(self.folder)[0], 1)
        (self.rules_folder / "dangling.yaml").symlink_to(self.folder / "nowhere")
        self.assertIn("dangling.yaml", check(self.path)[2])

    def test_print_shows_each_field_form_as_its_expression(self):
        self.rules("""\
rules:
  - {id: t, rule_type: threshold, metric_name: temp, operator: gte, threshold: 30}
  - {id: t-for, rule_type: THRESHOLD, metric_name: temp, operator: "!=", threshold: 30.5, window_seconds: 0, duration_seconds: 90}
  - {id: w, rule_type: WINDOW, metric_name: vbat, aggregation: avg, operator: LT, threshold: 3.3, window_seconds: 600}
  - {id: w-n, rule_type: WINDOW, metric_name: vbat, aggregation: MAX, operator: GT, threshold: -3, window_count: 5}
  - {id: w-both, rule_type: WINDOW, metric_name: vbat, aggregation: count, operator: EQ, threshold: 0, window_seconds: 60, window_count: 5}
  - {id: odd, rule_type: THRESHOLD, metric_name: room temp/1, operator: LTE, threshold: 1e-3}
  - {id: a, rule_type: ANOMALY, metric_name: flow, window_minutes: 60, z_threshold: 3, min_samples: 10}
  - {id: g, rule_type: TELEMETRY_GAP, metric_name: flow, gap_minutes: 10}
  - {id: h, rule_type: HEARTBEAT, timeout_seconds: 120}
  - id: any
    rule_type: THRESHOLD
    match_mode: any
    conditions:
      - {metric_name: temp, operator: GT, threshold: 30, duration_minutes: 5}
      - {metric_name: hum, operator: LT, threshold: 20}
  - id: all
    rule_type: THRESHOLD
    match_mode: all
    conditions:
      - {metric_name: temp, operator: GT, threshold: 30}
      - {metric_name: hum, operator: "<", threshold: 20, duration_minutes: 1}
  - {id: hand, when: "not (avg( temp ,300s )>-15) or `room temp/1`<1"}
""")
        status, out, err = check(self.path, "--print")
        self.assertEqual(status, 0, err)
        for rule, wanted in {
                "t": "temp >= 30", "t-for": "temp != 30.5", "w": "avg(vbat, 10m) < 3.3",
                "w-n": "max(vbat, #5) > -3", "w-both": "count(vbat, 1m, #5) == 0",
                "odd": "`room temp/1` <= 0.001", "a": "abs(zscore(flow, 1h)) > 3",
                "g": "absent(flow, 10m)", "h": "silent(2m)",
                "any": "held(temp > 30, 5m) or hum < 20", "all": "temp > 30 and held(hum < 20, 1m)",
                "hand": "not avg(temp, 5m) > -15 or `room temp/1` < 1"}.items():
            with self.subTest(rule):
                line = re.search(rf"^.*\b{rule}\b: (.*)$", out, re.M)
                self.assertTrue(line, out)
                self.assertEqual(line[1].split(" for ")[0].strip(), wanted)  # policies may follow

    def test_printed_expressions_parse_to_themselves(self):
        self.rules("rules:\n  - {id: x, when: '((a + b) * -c / (2 - d) >= abs(e)) and not (f == 1 or g != 2)'}\n")
        first = check(self.path, "--print")[1]
        expression = re.search(r"\bx: (.*)", first)[1]
        self.rules(f"rules:\n  - id: x\n    when: {expression}\n")
        self.assertEqual(check(self.path, "--print")[1], first)

    def test_field_forms_that_do_not_hold_together(self):
        for form in ("{rule_type: WINDOW, metric_name: t, operator: GT, threshold: 1}",
                     "{rule_type: WINDOW, metric_name: t, operator: GT, threshold: 1, window_seconds: 60}",
                     "{rule_type: WINDOW, metric_name: t, aggregation: avg, operator: GT, threshold: 1, window_seconds: -5}",
                     "{rule_type: HEARTBEAT}", "{rule_type: TELEMETRY_GAP, metric_name: t}",
                     "{rule_type: ANOMALY, metric_name: t, z_threshold: 3}", "{rule_type: SOMETHING}",
                     "{rule_type: THRESHOLD, metric_name: t, operator: GT}", "{metric_name: t, operator: GT, threshold: 1}", "{when: t > 1, metric_name: t}", "{when: t + 1}",
                     "{rule_type: THRESHOLD, conditions: []}", "{when: t > 1, min_points: 0}", "{when: 'avg(t, 5m) > 1', severity: dire}",
                     "{rule_type: THRESHOLD, metric_name: t, operator: GT, threshold: .nan}"):
            with self.subTest(form):
                self.rules(f"rules:\n  - {form.replace('{', '{id: x, ', 1)}\n")
                self.assertTrue([p for p in self.problems() if p[0] == "a.yaml"])


class Usage(unittest.TestCase):
    def test_wrong_usage_exits_2_with_a_hint_on_standard_error(self):
        for arguments in ([], ["fly"], ["check"], ["run"], ["check", "-c"], ["check", "--colour"],
                          ["run", "-c", "x", "y"], ["--colour"]):
            with self.subTest(arguments):
                status, out, err = command(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("brink", err)

    def test_help_and_version_are_results(self):
        for arguments in (["--help"], ["run", "--help"], ["check", "--help"]):
            with self.subTest(arguments):
                status, out, err = command(*arguments)
                self.assertEqual((status, err), (0, ""))
                self.assertIn("brink", out.lower())
        status, out, err = command("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^brink \d+\.\d+")


if __name__ == "__main__":
    unittest.main()
