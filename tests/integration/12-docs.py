#!/usr/bin/env python3
"""The manual's examples: rules that stand in it are the files that ship, and what it shows is true."""

import re
import unittest

from lib.harness import SOURCE, Case, check, command

RULES = (SOURCE / "docs" / "RULES.md").read_text()
COOKBOOK = SOURCE / "config" / "cookbook"
CONFIG = """\
gateway: {{id: g, state_dir: {folder}}}
telemetry: [{{topic: "tenant/{{tenant}}/device/{{device}}/telemetry"}}]
rules: [{rules}]
"""


def blocks(text):
    """The fenced blocks: (language, what stands right before it, body)."""
    found, end = [], 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```\n", text, re.M | re.S):
        found.append((match[1], text[end:match.start()], match[2]))
        end = match.end()
    return found


def recipes():
    found = {}
    for language, before, body in blocks(RULES):
        name = re.search(r"\*\*\[([\w-]+)\.yaml\]\(\.\./config/cookbook/\1\.yaml\)\*\*", before)
        if language == "yaml" and name:
            found[name[1]] = body
    return found


class Docs(Case):
    def check_rules(self, rules):
        path = self.folder / "brink.yaml"
        path.write_text(CONFIG.format(folder=self.folder, rules=rules))
        return check(path)

    def test_recipes_of_the_cookbook_are_the_files(self):
        shown = recipes()
        files = {p.stem: p.read_text() for p in COOKBOOK.glob("*.yaml")}
        self.assertGreaterEqual(len(files), 20)
        self.assertEqual(sorted(shown), sorted(files))
        for name, body in shown.items():
            self.assertEqual(body, files[name], f"docs/RULES.md and config/cookbook/{name}.yaml differ")
        self.assertEqual(int(re.search(r"\(#cookbook\): (\d+) tested rules", RULES)[1]), len(files))

    def test_each_recipe_has_a_test_that_can_fail(self):
        """Without its rules each test must fail: it expects something of them."""
        for path in sorted(COOKBOOK.glob("*.yaml")):
            with self.subTest(path.name):
                test = (COOKBOOK / "tests" / path.name).read_text()
                self.assertIn(f"rule_files: [../{path.name}]", test)
                (self.folder / "tests").mkdir(exist_ok=True)
                ids = re.findall(r"- id: ([\w-]+)", path.read_text())
                for rule in ids:
                    self.assertIn(f"rule: {rule}", test)
                never = re.sub(r"(- id: [\w-]+\n)", r"\1    enabled: false\n", path.read_text())
                (self.folder / path.name).write_text(never)
                (self.folder / "tests" / path.name).write_text(test)
                status, out, err = command("test", str(self.folder / "tests" / path.name))
                self.assertEqual(status, 1, out + err)
                self.assertIn("expected, but did not come", out)

    def test_whole_cookbook_loads_at_once_without_a_warning(self):
        status, out, err = self.check_rules(f"{COOKBOOK}/*.yaml")
        self.assertEqual(status, 0, out + err)
        self.assertNotRegex(err, r":\d+:\d+:")

    def test_other_examples_of_the_page_load(self):
        known = set(recipes().values())
        tried = 0
        for language, _, body in blocks(RULES):
            if language != "yaml" or body in known:
                continue
            with self.subTest(body):
                # Fragments name rules of the page's other examples, or of those that ship.
                named = "".join(f"  - {{id: {name}, when: x > 1}}\n" for name in
                                ("power-cut", "freezer-silent", "pump-a", "freezer-warm")) if "rules:" not in body.split(
                                    "\n")[0] and re.search(r"^(inhibit|maintenance):", body, re.M) else ""
                text = body + ("rules:\n" + named if named else "")
                (self.folder / "r.yaml").write_text(text)
                status, out, err = self.check_rules("r.yaml")
                self.assertEqual(status, 0, out + err)
                tried += 1
        self.assertGreaterEqual(tried, 4)

    def test_problems_are_told_as_the_page_shows(self):
        """The messages of the page, each from a rule that gives it."""
        shown = [line.split(": ", 1)[1] for language, _, body in blocks(RULES) if not language
                 for line in body.splitlines() if line.startswith("rules.d/")]
        self.assertEqual(len(shown), 3)
        (self.folder / "r.yaml").write_text("""\
rules:
  - {id: a, when: "averge(t, 5m) > 1"}
  - {id: b, when: "avg(t, 5 min) > 1"}
  - {id: c, when: "frz-temp > 1"}
""")
        _, _, err = self.check_rules("r.yaml")
        for message in shown:
            self.assertIn(": " + message, err)


if __name__ == "__main__":
    unittest.main()
