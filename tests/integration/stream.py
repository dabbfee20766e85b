"""Random telemetry for the oracle: what is sent, and what it says.

Devices come in kinds, by the first letter of their id, so that each outcome follows from the SPEC alone:
  o  in order (with redeliveries): every rule, durations too
  l  late readings within and beyond their windows
  g  silences longer than the windows
  m  metrics under raw names (`metrics:` mappings)
"""

import json
import random

from lib.harness import stamp
from oracle import (Message, Rule, both, compare, either, held, latest, window)

BASE_MS = 1767225600000

MAPPINGS = {"temp_c": [{"raw": "t1"}, {"raw": "temp_f", "multiplier": 0.5556, "offset": -17.78}]}


def field_form(id, metric, op, threshold, aggregation=None, seconds=0, count=0, **more):
    symbol = {"GT": ">", "GTE": ">=", "LT": "<", "LTE": "<=", "EQ": "==", "NE": "!="}[op]
    yaml = {"rule_type": "WINDOW" if aggregation else "THRESHOLD", "metric_name": metric,
            "operator": op, "threshold": threshold}
    left = latest(metric)
    if aggregation:
        left = window(aggregation, metric, seconds, count)
        yaml["aggregation"] = aggregation
        if seconds:
            yaml["window_seconds"] = seconds
        if count:
            yaml["window_count"] = count
    yaml.update(more.pop("extra", {}))
    return Rule(id, compare(left, symbol, threshold), yaml, **more)


def expression(id, text, when, **more):
    yaml = {"when": text, **more.pop("extra", {})}
    return Rule(id, when, yaml, **more)


def function_rule(fn, metric, width, op, threshold, p=None):
    inner = f"{fn}({metric}, {'' if p is None else str(p) + ', '}{width}s)"
    return expression(f"fn-{fn}", f"{inner} {op} {threshold}",
                      compare(window(fn, metric, width, p=p), op, threshold))


def rules():
    o = ("o-",)
    return [
        field_form("latest", "temp_c", "GT", 24.5),
        field_form("latest-eq", "state", "EQ", 1),
        field_form("avg", "temp_c", "GT", 22.70317, "avg", 600),
        field_form("avg-long", "temp_c", "LT", 21.60317, "avg", 3600, min_points=5,
                   extra={"min_points": 5}),
        field_form("min", "temp_c", "LTE", 18.5, "min", 900),
        field_form("max", "hum", "GTE", 97, "max", 300),
        field_form("sum", "hum", "GT", 500.00317, "sum", 300),
        field_form("count", "temp_c", "GTE", 20, "count", 600, devices=("o-", "l-", "m-")),
        field_form("last5", "temp_c", "GT", 23.50317, "avg", 0, 5),
        field_form("last20", "hum", "LT", 40.00317, "avg", 0, 20),
        field_form("last5in2m", "hum", "GT", 75.00317, "avg", 120, 5, min_points=2,
                   extra={"min_points": 2}),
        field_form("site", "temp_c", "GT", 22.00317, "avg", 300, sites=("s1",)),
        # Durations: where readings come in order, what they say follows from the readings alone.
        field_form("for", "temp_c", "GT", 23.2, for_s=120, devices=o, extra={"duration_seconds": 120}),
        field_form("keep", "temp_c", "GT", 23, keep_s=180, devices=o, extra={"keep_firing_for": "3m"}),
        expression("hysteresis", "avg(temp_c, 10m) > 22.50317",
                   compare(window("avg", "temp_c", 600), ">", 22.50317), devices=o, for_s=60, keep_s=60,
                   clear=compare(window("avg", "temp_c", 600), "<", 21.80317),
                   extra={"clear": "avg(temp_c, 10m) < 21.80317", "for": "1m", "keep_firing_for": "1m"}),
        Rule("all", both(held(compare(latest("temp_c"), ">", 22), 120), compare(latest("hum"), ">", 50)),
             {"rule_type": "THRESHOLD", "match_mode": "all", "conditions": [
                 {"metric_name": "temp_c", "operator": "GT", "threshold": 22, "duration_minutes": 2},
                 {"metric_name": "hum", "operator": ">", "threshold": 50}]}, devices=o),
        Rule("any", either(held(compare(latest("temp_c"), ">", 22), 300), compare(latest("hum"), ">=", 95)),
             {"rule_type": "THRESHOLD", "match_mode": "any", "conditions": [
                 {"metric_name": "temp_c", "operator": "gt", "threshold": 22, "duration_minutes": 5},
                 {"metric_name": "hum", "operator": "GTE", "threshold": 95}]}, devices=o),
        expression("mixed", "avg(temp_c, 10m) > 22.40317 and max(hum, #5) < 90 or state == 1 and count(temp_c, 5m) > 3",
                   either(both(compare(window("avg", "temp_c", 600), ">", 22.40317),
                               compare(window("max", "hum", 0, 5), "<", 90)),
                          both(compare(latest("state"), "==", 1),
                               compare(window("count", "temp_c", 300), ">", 3))),
                   devices=("o-", "l-", "m-")),
        expression("two-spans", "avg(temp_c, 20m) > 22.10317 and min(temp_c, #3) > 22.5",
                   both(compare(window("avg", "temp_c", 1200), ">", 22.10317),
                        compare(window("min", "temp_c", 0, 3), ">", 22.5))),
        function_rule("stddev", "temp_c", 900, ">", 1.70317),
        function_rule("median", "temp_c", 900, ">", 22.90317),
        function_rule("percentile", "hum", 900, ">", 93.00317, p=90),
        function_rule("range", "temp_c", 600, ">", 5.00317),
        function_rule("delta", "temp_c", 600, ">", 2.50317),
        function_rule("slope", "temp_c", 900, ">", 0.00300317),
        function_rule("rate", "litres", 900, ">", 0.0900317),
        function_rule("changes", "state", 900, ">=", 6),
        function_rule("first", "temp_c", 600, ">", 24),
        function_rule("last", "temp_c", 600, "<=", 20),
        function_rule("zscore", "hum", 1800, ">", 1.80317),
    ]


def rule_file(made):
    out = []
    for rule in made:
        entry = {"id": rule.id, **rule.yaml, "scope": {"tenants": ["acme"]}}
        if rule.devices != ("",):
            entry["scope"]["devices"] = [prefix + "*" for prefix in rule.devices]
        if rule.sites:
            entry["scope"]["sites"] = list(rule.sites)
        out.append(entry)
    return json.dumps({"metrics": MAPPINGS, "rules": out}, indent=1)


class Device:
    def __init__(self, name, rng):
        self.name, self.rng = name, rng
        self.at = rng.randrange(0, 3600_000)
        self.temp, self.litres, self.state, self.seq = 22.0, 0.0, 0, 0
        self.site = rng.choice(["s1", "s2"])
        self.style = rng.choice(["iso", "iso", "offset", "local", "ms", "s", "us"])
        self.has_seq = rng.random() < 0.7
        self.sent = []  # (topic, payload, messages)
        self.since_late = 99
        self.numbers, self.twins = [], set()  # numbers that may return; times that were used twice

    def stamp(self, at):
        text = stamp(at / 1000)
        if self.style == "offset":  # the same moment as written two hours further east
            return stamp(at / 1000 + 7200)[:-1] + "+02:00"
        return {"iso": text, "local": text[:-1], "ms": BASE_MS + at,
                "s": (BASE_MS + at) / 1000, "us": (BASE_MS + at) * 1000}[self.style]

    def readings(self):
        rng = self.rng
        self.temp += (22 - self.temp) * 0.08 + rng.gauss(0, 0.7)
        if rng.random() < 0.02:
            self.temp += rng.choice([-4, 4])
        self.litres = 0.0 if rng.random() < 0.02 else round(self.litres + rng.choice([0, 0, 1.5, 4.25]), 2)
        if rng.random() < 0.15:
            self.state = 1 - self.state
        temp = round(self.temp, 2)
        found = {"temp_c": temp, "hum": round(rng.uniform(0, 100), 1), "litres": self.litres,
                 "state": bool(self.state) if rng.random() < 0.5 else self.state}
        if self.name[0] == "m":
            del found["temp_c"]
            if rng.random() < 0.5:
                found["t1"] = temp
            if "t1" not in found or rng.random() < 0.2:
                found["temp_f"] = round(temp * 1.8 + 32, 2)
        return found


class Stream:
    """sent(n): the next n publishes as (topic, payload, [Message])."""

    def __init__(self, seed, devices_each=8, whole=False):
        """whole: every message carries every metric, and no sequence number returns with other content
        (for streams that are cut by kill -9, of which only what was acknowledged is sure to be remembered)."""
        self.rng, self.whole = random.Random(seed), whole
        self.devices = [Device(f"{kind}-{i}", self.rng) for kind in "olgm" for i in range(devices_each)]

    def forget_seqs(self):
        """To be called at a restart: the SPEC does not say that sequence numbers survive one, so from here on
        nothing is sent again that its number alone would tell as a redelivery."""
        for device in self.devices:
            device.numbers = []
            device.sent = [s for s in device.sent if not any(m.at in device.twins for m in s[2])]

    def sent(self, n):
        for _ in range(n):
            yield self._next(self.rng.choice(self.devices))

    def _next(self, device):
        rng = self.rng
        draw = rng.random()
        if device.sent and draw < 0.06:  # a redelivery, as a device or a broker makes it
            return rng.choice(device.sent[-20:])
        if device.numbers and draw < 0.08 and device.has_seq and not self.whole:
            seq = rng.choice(device.numbers[-20:])  # the number counts, whatever the rest says
            device.at += rng.randrange(1000, 30_000)
            return self._publish(device, [self._message(device, device.at, seq)], again=False)
        if device.name[0] in "lm" and draw < 0.25 and device.since_late > 0:
            back = rng.randrange(1, 1500_000) if rng.random() < 0.2 else rng.randrange(1, 400_000)
            device.since_late = 0
            return self._publish(device, [self._message(device, max(0, device.at - back))])
        device.since_late += 1
        batch = rng.randrange(2, 5) if rng.random() < 0.05 else 1
        made = []
        for _ in range(batch):
            if rng.random() < 0.02 and device.has_seq and not self.whole and device.at not in device.twins:
                device.twins.add(device.at)  # equal in time, another value: both are held
            else:
                device.at += rng.randrange(1, 60_000)
            if device.name[0] == "g" and rng.random() < 0.04:
                device.at += rng.choice([600_000, 900_001, 4_000_000])
            made.append(self._message(device, device.at))
        return self._publish(device, made, array=batch > 1)

    def _message(self, device, at, seq=None):
        found = device.readings()
        if not self.whole and self.rng.random() < 0.3:
            for metric in self.rng.sample(sorted(found), self.rng.randrange(1, len(found))):
                del found[metric]
        if seq is None:
            device.seq += 1
            seq = device.seq
            device.numbers.append(seq)
        body = {"ts": device.stamp(at), "site_id": device.site, "metrics": found}
        if device.has_seq:
            body["seq"] = seq
        said = Message(device.name, at, [(m, float(v)) for m, v in found.items()],
                       seq if device.has_seq else None, device.site)
        return body, said

    def _publish(self, device, made, array=False, again=True):
        bodies = [body for body, _ in made]
        sent = (f"tenant/acme/device/{device.name}/telemetry",
                json.dumps(bodies if array else bodies[0]), [said for _, said in made])
        if again:
            device.sent.append(sent)
        return sent
