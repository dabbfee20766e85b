"""SIGHUP again and again under load, with rule files that change: memory, descriptors and threads stay flat, no
reading is passed over, and rules that stay as they are keep their state (SPEC 1.3)."""

import random

import usage
from lib.harness import wait_for
from loaded import LoadedSite

WARM = 300       # reloads, until the heap has seen all shapes of rules
BARE_EVERY = 20  # reloads; then there are no side rules, and memory is looked at
NAMES = [f"side{i}" for i in range(12)]
FILES = ("20-side.yaml", "30-side.yaml")


def side_rule(rng, name):
    """Work for the gateway; what it raises is nobody's business."""
    span, n = rng.choice([10, 60, 300]), rng.randrange(1, 40)
    rule = {"id": name, "when": rng.choice([
        f"humidity > {rng.randrange(42, 99)}",
        f"avg(vbat, {span}s) > {rng.uniform(3.4, 3.9):.2f}",
        f"max(temp_c, #{n}) > {rng.randrange(20, 30)} and min(humidity, {span}s) < 45",
        f"held(temp_c > {rng.randrange(20, 25)}, {n}s)",
        f"stddev(humidity, {span}s) > {rng.uniform(2, 4):.2f}",
        f"absent(vbat, {span}s) or silent({span}s)",
    ])}
    for key, value in (("for", f"{n}s"), ("keep_firing_for", f"{n}s"), ("cooldown", "1h"), ("severity", "critical"),
                       ("message", "{value} at " + name), ("scope", {"devices": [f"d*{n % 10}"]})):
        if rng.random() < 0.2:
            rule[key] = value
    return rule


BAD = (
    [{"id": "side0", "when": "humidity >"}],
    [{"id": "side0", "when": "avrage(humidity, 10s) > 1"}],
    [{"id": "side0", "wen": "humidity > 1"}],
    [{"id": "hot", "when": "humidity > 1"}],  # defined elsewhere
    [{"id": "side0", "when": "humidity > 1", "for": "-3s"}],
    "rules:\n  - {id: side0, when: humidity > 1\n",
    "rules: &a [*a]\n",
    "\x01",
)


class Reloads:
    def __init__(self, site, seed):
        self.site, self.rng = site, random.Random(seed)
        self.side = {name: {} for name in FILES}  # {file: {id: rule}}
        self.applied = self.refused = 0

    def count(self, result):
        return self.site.brink.metric("reloads_total", f'result="{result}"')

    def hang_up(self, result):
        before = self.count(result)
        self.site.brink.hang_up()
        wait_for(lambda: self.count(result) > before, f"a reload to be {result}", 20)

    def change(self):
        """Adds, removes and changes rules."""
        free = [name for name in NAMES if not any(name in rules for rules in self.side.values())]
        for rules in self.side.values():
            for name in list(rules):
                draw = self.rng.random()
                if draw < 0.3:
                    del rules[name]
                elif draw < 0.6:
                    rules[name] = side_rule(self.rng, name)
            for name in self.rng.sample(free, min(len(free), self.rng.randrange(3))):
                free.remove(name)
                rules[name] = side_rule(self.rng, name)

    def write(self):
        for name, rules in self.side.items():
            self.site.brink.rules(list(rules.values()), name)

    def one(self):
        if self.rng.random() < 0.2:
            self.site.brink.rules(self.rng.choice(BAD), self.rng.choice(FILES))
            self.hang_up("refused")
            self.refused += 1
        else:
            self.change()
            self.write()
            self.hang_up("applied")
            self.applied += 1

    def bare(self):
        """All side rules go; what the processes use then."""
        for rules in self.side.values():
            rules.clear()
        self.write()
        self.hang_up("applied")
        self.applied += 1
        self.site.wait_received(2 * self.site.devices)
        return usage.look(self.site.brink)


def run(folder, times, seed, say=print):
    with LoadedSite(folder) as site:
        reloads, looks = Reloads(site, seed), []
        site.begin_load(devices=200)
        site.wait_received(200 * 100)
        for n in range(times):
            if n % BARE_EVERY == BARE_EVERY - 1:
                looks.append(reloads.bare())
            else:
                reloads.one()
        found = site.end_load()
        points = site.check_windows(found["messages"])
        site.end()
        usage.check_flat(looks, say, usage.GROWTH if times >= 3 * WARM else usage.ROUGHLY)
        say(f"{reloads.applied} reloads applied, {reloads.refused} refused, {found['messages']} readings at "
            f"{found['rate']:.0f}/s, {found['alerts']} alerts of rules that stayed and none missing or false, "
            f"{points} points in windows as they must be")
