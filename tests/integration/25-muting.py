#!/usr/bin/env python3
"""What is held back and when it is told after all (SPEC 6.5, 6.6), on the gateway's own clock."""

import datetime
import json
import time
import unittest

from lib.harness import PATIENCE, Case, wait_for

# Far from UTC, and half an hour off, so that a mistaken zone shows.
ZONE = {"TZ": "IST-5:30"}
AHEAD = datetime.timedelta(hours=5, minutes=30)


def local(after):
    """So many seconds from now, as a clock in ZONE shows it."""
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=after)
    return (now + AHEAD).replace(tzinfo=None)


class Muting(Case):
    repeats = False

    def rule_file(self, rules, **more):
        return json.dumps({"rules": rules, **more}) + "\n"

    def start_site(self, rules, **more):
        """Rules and what else stands in their file."""
        self.start_broker()
        self.start_store()
        self.brink = self.gateway(self.rule_file(rules, **more), start=False)
        self.brink.environment.update(ZONE)
        self.brink.start()

    def reload(self, rules, **more):
        before = self.brink.metric("reloads_total", 'result="applied"')
        self.brink.rules(self.rule_file(rules, **more))
        self.brink.hang_up()
        wait_for(lambda: self.brink.metric("reloads_total", 'result="applied"') > before, "the reload")

    def held_back(self, reason, at_least):
        self.counted("alerts_held_back_total", f'reason="{reason}"', at_least)

    def withheld(self, reason, alerts):
        wait_for(lambda: self.brink.metrics()[f'brink_alerts_withheld{{reason="{reason}"}}'] == alerts,
                 f"{alerts} alerts withheld: {reason}")

    def told(self):
        return [(a["event_type"], a["rule_id"], a["device_id"]) for a in self.alerts.all()]


class Maintenance(Muting):
    RULES = [{"id": "hot", "when": "m > 5"}, {"id": "other", "when": "m > 50"}]

    def window(self, seconds, **more):
        """Open now, for so long; all but the fence."""
        return {"name": "works", "from": f"{local(-5):%Y-%m-%dT%H:%M:%S}",
                "until": f"{local(seconds):%Y-%m-%dT%H:%M:%S}", "scope": {"tenants": ["acme"]}, **more}

    def test_alert_is_told_when_the_window_ends_and_only_if_it_still_fires(self):
        end = time.time() + 4 * PATIENCE
        self.start_site(self.RULES, maintenance=[self.window(4 * PATIENCE)])
        self.send("stays", None, m=9)
        self.send("ends", None, m=9)
        self.send("ends", None, m=1)
        self.held_back("maintenance", 2)
        self.withheld("maintenance", 1)
        self.fence()
        self.assertEqual(self.told(), [])
        opened = self.alerts.take("OPEN", "hot", "stays", timeout=20)
        self.assertGreaterEqual(time.time(), end - 1)
        self.assertLess(opened["triggered_at"], opened["event_at"])
        self.withheld("maintenance", 0)
        self.send("stays", None, m=1)
        closed = self.alerts.take("CLOSED", "hot", "stays")
        self.assertEqual(closed["alert_id"], opened["alert_id"])
        self.fence()
        self.assertEqual(len(self.told()), 2)

    def test_what_is_held_back_survives_stop_and_kill(self):
        self.start_site(self.RULES, maintenance=[self.window(86400)])
        self.send("d1", 0, m=9)
        self.held_back("maintenance", 1)
        for stop in (self.brink.stop, self.brink.kill):
            stop()
            self.brink.start()
        self.fence()
        self.assertEqual(self.told(), [])
        self.brink.stop()
        self.brink.rules(self.RULES)  # the window is taken out while nobody runs
        self.brink.start()
        opened = self.alerts.take("OPEN", "hot", "d1")
        self.assertEqual(opened["triggered_at"], "2026-01-01T00:00:00.000Z")
        self.brink.kill()
        self.brink.start()
        self.fence()
        self.assertEqual(self.told(), [("OPEN", "hot", "d1")])

    def test_reload_takes_a_window_in_and_out(self):
        self.start_site(self.RULES)
        self.send("d1", 0, m=9)
        self.alerts.take("OPEN", "hot", "d1")
        self.reload(self.RULES, maintenance=[self.window(86400, rules=["ho*"])])
        self.send("d1", 1, m=60)
        self.alerts.take("OPEN", "other", "d1")
        self.send("d2", 1, m=9)
        self.send("d1", 2, m=1)
        self.alerts.take("CLOSED", "hot", "d1")  # it was told, so is its end
        self.held_back("maintenance", 1)
        self.reload(self.RULES)
        self.alerts.take("OPEN", "hot", "d2")
        self.fence()
        self.assertEqual(len(self.told()), 5)

    def test_weekly_window_goes_by_the_local_clock(self):
        today = f"{local(0):%a}".lower()
        now = local(0)
        if (now + datetime.timedelta(minutes=2)).date() != now.date():
            wait_for(lambda: local(0).date() != now.date(), "midnight", 150)
            today, now = f"{local(0):%a}".lower(), local(0)
        begin = max(now - datetime.timedelta(hours=1), now.replace(hour=0, minute=0, second=0))
        window = {"name": "weekly", "days": [today], "from": f"{begin:%H:%M}", "until": "24:00",
                  "scope": {"tenants": ["acme"]}}
        self.start_site(self.RULES, maintenance=[window])
        self.send("d1", 0, m=9)
        self.held_back("maintenance", 1)
        tomorrow = f"{now + datetime.timedelta(days=1):%a}".lower()
        self.reload(self.RULES, maintenance=[{**window, "days": [tomorrow]}])
        self.alerts.take("OPEN", "hot", "d1")


class Inhibit(Muting):
    RULES = [{"id": "power", "when": "v < 1"}, {"id": "hot", "when": "m > 5"}]
    INHIBIT = [{"source": "power", "target": ["hot"], "equal": ["site"]}]

    def test_power_cut_mutes_its_site_across_kill_and_reload(self):
        self.start_site(self.RULES, inhibit=self.INHIBIT)
        self.send("meter", 0, site="s1", v=0)
        self.alerts.take("OPEN", "power", "meter")
        for d in range(20):
            self.send(f"d{d}", 1, site="s1", m=9, wait=False)
        self.send("far", 1, site="s2", m=9)
        self.alerts.take("OPEN", "hot", "far")
        self.held_back("inhibit", 20)
        self.brink.kill()
        self.brink.start()
        self.reload(self.RULES, inhibit=[{**self.INHIBIT[0], "equal": []}])
        self.send("late", 2, site="s3", m=9)
        self.reload(self.RULES, inhibit=self.INHIBIT)
        self.alerts.take("OPEN", "hot", "late")
        self.send("d0", 3, site="s1", m=1)
        self.send("meter", 4, site="s1", v=230)
        self.alerts.take("CLOSED", "power", "meter")
        self.fence()
        self.assertEqual(sorted(d for e, r, d in self.told() if r == "hot"),
                         sorted(["far", "late", *(f"d{d}" for d in range(1, 20))]))


class Storm(Muting):
    def test_storm_is_bounded_told_once_and_drained_across_kill(self):
        self.start_broker()
        self.start_store()
        self.brink = self.gateway(
            [{"id": "hot", "when": "m > 5"}, {"id": "fire", "when": "m > 50", "severity": "critical"}],
            config={"alerts": {"storm": {"alerts": 10, "within": "3s"}, "retain": True}})
        for d in range(35):
            self.send(f"d{d:02}", 0, m=9, wait=False)
        self.send("last", 1, m=99)
        storm = self.alerts.take("OPEN", "@storm")
        self.assertEqual((storm["device_id"], storm["tenant_id"], storm["schema"]), ("gw-brink", "acme", "brink.alert/1"))
        self.assertEqual(storm["_message"].topic, "alerts/acme/gw-brink/@storm")
        self.held_back("storm", 27)
        self.brink.kill()
        self.brink.start()
        self.send("d34", 2, m=1)  # never told of
        over = self.alerts.take("CLOSED", "@storm", timeout=40)
        self.assertEqual(over["alert_id"], storm["alert_id"])
        opened = [a["device_id"] for a in self.alerts.all("hot")]
        self.assertEqual(opened[:10], [f"d{d:02}" for d in range(10)])
        self.assertEqual(sorted(set(opened)), sorted(["last", *(f"d{d:02}" for d in range(34))]))
        self.assertEqual([a["rule_id"] for a in self.alerts.all() if a["rule_id"] != "@storm"][10], "fire")


if __name__ == "__main__":
    unittest.main()
