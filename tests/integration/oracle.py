"""An independent model of rules, windows and alerts, from the SPEC alone (3.5, 3.6, 4.2-4.6).

Slow and plain on purpose: a window is a sorted list, every function is recomputed from it at each
evaluation. Times are whole milliseconds. A condition is True, False or None (unknown).

The model says nothing about what time alone does (absent, silent, emptied windows, the end of a cooldown):
streams for it are made so that readings decide.
"""

import math
import statistics
from dataclasses import dataclass, field

# --- expressions: small tuples, made by these ---


def latest(metric):
    return ("latest", metric)


def window(fn, metric, seconds=0, count=0, p=None):
    return ("window", fn, metric, round(seconds * 1000), count, p)


def compare(left, op, number):
    return ("compare", left, op, number)


def both(*parts):
    return ("and", *parts)


def either(*parts):
    return ("or", *parts)


def negated(part):
    return ("not", part)


def held(part, seconds):
    return ("held", part, round(seconds * 1000))


@dataclass
class Rule:
    id: str
    when: tuple
    yaml: dict  # as it goes into the rule file; id is added
    devices: tuple = ("",)  # prefixes of device ids
    sites: tuple = ()
    clear: tuple = None
    for_s: float = 0
    keep_s: float = 0
    min_points: int = 0

    def metrics(self):
        found = []

        def visit(node):
            if node[0] in ("latest", "window"):
                name = node[1] if node[0] == "latest" else node[2]
                if name not in found:
                    found.append(name)
            for part in node[1:]:
                if isinstance(part, tuple):
                    visit(part)

        visit(self.when)
        if self.clear:
            visit(self.clear)
        return found

    def spans(self):
        """{metric: [(width_ms, count), ...]} of the metrics that it looks back on."""
        found = {}

        def visit(node):
            if node[0] == "window":
                found.setdefault(node[2], []).append((node[3], node[4]))
            for part in node[1:]:
                if isinstance(part, tuple):
                    visit(part)

        visit(self.when)
        if self.clear:
            visit(self.clear)
        return found

    def covers(self, device, site):
        return device.startswith(tuple(self.devices)) and (not self.sites or site in self.sites)


@dataclass
class Message:
    """What one payload says, decoded."""
    device: str
    at: int
    readings: list  # [(metric, value)]
    seq: int = None
    site: str = None


@dataclass
class Alert:
    rule: str
    device: str
    event_type: str
    event_at: int
    exact: bool  # event_at is a reading's own time; else (decided at a late reading) it is this or a little more
    value: float = None  # of the deciding window function, where one decided alone
    points: list = None


class Window:
    """SPEC 4.3, 4.4: one series' readings, sorted by time, equal times in order of arrival."""

    def __init__(self, spans):
        self.spans, self.points = spans, []

    @staticmethod
    def _kept(points, width, count):
        """How many of the last points a span holds."""
        n = len(points)
        if width:
            n = sum(1 for at, _ in points if at >= points[-1][0] - width)
        return min(n, count) if count else n

    def push(self, at, value):
        """True: it is in the window now."""
        if (at, value) in self.points:
            return False
        i = len(self.points)
        while i > 0 and self.points[i - 1][0] > at:
            i -= 1
        after = self.points[:i] + [(at, value)] + self.points[i:]
        keep = max(self._kept(after, *span) for span in self.spans)
        if i < len(after) - keep:
            return False  # late, and no span covers it any more
        self.points = after[len(after) - keep :]
        return True

    def of(self, width, count):
        n = self._kept(self.points, width, count) if self.points else 0
        return self.points[len(self.points) - n :]


def function(fn, points, p, min_points):
    """None: unknown."""
    values = [v for _, v in points]
    if fn == "count":
        return float(len(values))
    if len(values) < min_points or not values:
        return None
    n = len(values)
    if fn == "avg":
        result = math.fsum(values) / n
    elif fn == "min":
        result = min(values)
    elif fn == "max":
        result = max(values)
    elif fn == "sum":
        result = math.fsum(values)
    elif fn == "first":
        result = values[0]
    elif fn == "last":
        result = values[-1]
    elif fn == "range":
        result = max(values) - min(values)
    elif fn == "stddev":
        result = (statistics.stdev(values) or None) if n > 1 else None  # 0 is unknown: SPEC 4.3
    elif fn == "median":
        result = statistics.median(values)
    elif fn == "percentile":
        ordered, place = sorted(values), p / 100 * (n - 1)
        low = math.floor(place)
        high = min(low + 1, n - 1)
        result = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
    elif fn == "delta":
        result = values[-1] - values[0]
    elif fn == "changes":
        result = float(sum(1 for a, b in zip(values, values[1:]) if a != b))
    elif fn == "rate":
        took = (points[-1][0] - points[0][0]) / 1000
        rise = math.fsum(b - a if b >= a else b for a, b in zip(values, values[1:]))
        result = rise / took if took else None
    elif fn == "slope":
        times = [(at - points[0][0]) / 1000 for at, _ in points]
        mean_t, mean_v = math.fsum(times) / n, math.fsum(values) / n
        below = math.fsum((t - mean_t) ** 2 for t in times)
        above = math.fsum((t - mean_t) * (v - mean_v) for t, v in zip(times, values))
        result = above / below if below else None
    elif fn == "zscore":
        others = values[:-1]
        deviation = statistics.stdev(others) if len(others) > 1 else 0
        result = (values[-1] - math.fsum(others) / len(others)) / deviation if deviation else None
    else:
        raise ValueError(fn)
    return result if result is not None and math.isfinite(result) else None


def default_min_points(fn, count):
    return count if count else 1 if fn in ("sum", "first", "last") else 2


class TooClose(Exception):
    """A computed value lies so close to its threshold that rounding decides: use another seed."""


COMPARE = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b,
           "<=": lambda a, b: a <= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b}
EXACT = ("count", "min", "max", "first", "last", "changes")


@dataclass
class _Rule:
    """One rule at one device."""
    windows: dict
    onset: int = None
    firing: bool = False
    clear_onset: int = None
    held: dict = field(default_factory=dict)  # node -> [onset, complete]
    truth: bool = None  # of what is asked for now (`when`, or while firing `clear`); None: unknown


class _Device:
    def __init__(self):
        self.newest = None
        self.latest = {}  # metric -> (at, value)
        self.seqs = []
        self.rules = {}
        self.site = None


class Oracle:
    def __init__(self, rules, mappings=None, seq_memory=64):
        self.rules, self.mappings, self.seq_memory = rules, mappings or {}, seq_memory
        self.devices, self.alerts = {}, []
        self.late = self.duplicates = 0

    def take(self, message):
        device = self.devices.setdefault(message.device, _Device())
        if message.seq is not None:
            if message.seq in device.seqs:
                self.duplicates += 1
                return
            device.seqs = (device.seqs + [message.seq])[-self.seq_memory :]
        if message.site is not None:
            device.site = message.site
        readings = self._with_mapped(message.readings)
        device.newest = max(message.at, device.newest if device.newest is not None else message.at)
        for metric, value in readings:
            known = device.latest.get(metric)
            if known is None or message.at >= known[0]:
                device.latest[metric] = (message.at, value)
        touched = []
        for rule in self.rules:
            if not rule.covers(message.device, device.site):
                continue
            names = set(rule.metrics())
            if names & {metric for metric, _ in readings}:
                state = device.rules.setdefault(rule.id, _Rule(
                    {m: Window(spans) for m, spans in rule.spans().items()}))
                for metric, value in readings:
                    if metric in state.windows:
                        state.windows[metric].push(message.at, value)
                touched.append((rule, state))
        for rule, state in touched:
            self._step(rule, state, message, device)

    def _with_mapped(self, readings):
        """SPEC 3.5: the first raw name present wins; raw names stay."""
        raw = dict(readings)
        found = list(readings)
        for normal, sources in self.mappings.items():
            for source in sources:
                if source["raw"] in raw:
                    found.append((normal, raw[source["raw"]] * source.get("multiplier", 1)
                                  + source.get("offset", 0)))
                    break
        return found

    # --- evaluation ---

    def _value(self, node, rule, state, device):
        if node[0] == "latest":
            known = device.latest.get(node[1])
            return None if known is None else known[1]
        _, fn, metric, width, count, p = node
        points = state.windows[metric].of(width, count)
        return function(fn, points, p, rule.min_points or default_min_points(fn, count))

    def _truth(self, node, rule, state, device, now, at):
        kind = node[0]
        if kind == "compare":
            value = self._value(node[1], rule, state, device)
            if value is None:
                return None
            inexact = node[1][0] == "window" and node[1][1] not in EXACT
            if inexact and abs(value - node[3]) <= 1e-9 * max(1e-3, abs(value), abs(node[3])):
                raise TooClose(f"{rule.id}: {value!r} against {node[3]!r}")
            return COMPARE[node[2]](value, node[3])
        if kind == "not":
            inner = self._truth(node[1], rule, state, device, now, at)
            return None if inner is None else not inner
        if kind == "held":
            inner = self._truth(node[1], rule, state, device, now, at)
            if inner is not True:
                state.held.pop(node, None)
                return inner
            timer = state.held.setdefault(node, [now, False])
            timer[1] = timer[1] or at >= timer[0] + node[2]
            return timer[1]
        parts = [self._truth(part, rule, state, device, now, at) for part in node[1:]]
        if kind == "and":
            return False if False in parts else None if None in parts else True
        return True if True in parts else None if None in parts else False

    def _step(self, rule, state, message, device):
        late = message.at < device.newest
        now, at = device.newest, message.at  # durations are complete by a reading's own time (4.6)
        when = self._truth(rule.when, rule, state, device, now, at)
        if rule.clear:
            clear = self._truth(rule.clear, rule, state, device, now, at)
        else:
            clear = None if when is None else not when
        state.truth = clear if state.firing else when
        if not state.firing:
            if when is not True:
                state.onset = None
                return
            if state.onset is None:
                state.onset = now
            if rule.for_s and at < state.onset + round(rule.for_s * 1000):
                return
            state.firing, state.onset, state.clear_onset = True, None, None
            self._publish("OPEN", rule, state, message.device, device, now, late)
        elif clear is True:
            if state.clear_onset is None:
                state.clear_onset = now
            if not rule.keep_s or at >= state.clear_onset + round(rule.keep_s * 1000):
                state.firing = False
                self._publish("CLOSED", rule, state, message.device, device, now, late)
        elif clear is False:
            state.clear_onset = None

    def _publish(self, event_type, rule, state, name, device, now, late):
        alert = Alert(rule.id, name, event_type, now, not late)
        if event_type == "OPEN" and rule.when[0] == "compare" and rule.when[1][0] == "window":
            node = rule.when[1]
            points = state.windows[node[2]].of(node[3], node[4])
            alert.value, alert.points = self._value(node, rule, state, device), points
        self.alerts.append(alert)

    # --- what to compare with ---

    def sequences(self):
        """{(rule, device): [Alert, ...]}"""
        found = {}
        for alert in self.alerts:
            found.setdefault((alert.rule, alert.device), []).append(alert)
        return found

    def windows(self):
        """(rule, device, metric or None for the first, spans, points) of every series that holds any."""
        for name, device in self.devices.items():
            for rule in self.rules:
                state = device.rules.get(rule.id)
                if state is None:
                    continue
                for i, (metric, w) in enumerate(state.windows.items()):
                    if w.points:
                        yield rule.id, name, metric if i else None, w.spans, w.points


def live(stored, spans):
    """Of a stored list what any of the spans holds, as the platform's reader would take it."""
    points = [(round(at * 1000), value) for at, value in stored]
    if not points:
        return []
    return points[len(points) - max(Window._kept(points, *span) for span in spans) :]
