"""Recomputes windows with exact fractions and compares with what window/ says.

Usage: oracle_window.py DRIVER. Prints TAP. The rules are SPEC 4.2-4.4, written down a second time from
the text: a span is worked out anew from the list of all readings at every step.
"""
import math
import random
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction

FUNCTIONS = ["avg", "min", "max", "sum", "count", "first", "last", "range", "stddev", "median",
             "percentile", "rate", "delta", "slope", "zscore", "changes"]
ALL = (1 << len(FUNCTIONS)) - 1
APPENDED, INSERTED, LATE, DUPLICATE = range(4)
EARLIEST = -(1 << 63)
UNKNOWN = None


def root(x):
    """The square root of a fraction, to 60 digits."""
    with localcontext() as c:
        c.prec, c.Emax, c.Emin = 60, 999999, -999999
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).sqrt())


class Span:
    def __init__(self, width, count):
        self.width, self.count = width, count

    def of(self, readings):
        if not readings:
            return []
        held = readings
        if self.width:
            held = [r for r in readings if r[0] >= readings[-1][0] - self.width]
        return held[-self.count:] if self.count else held

    def is_empty(self, readings, now):
        return not readings or bool(self.width) and now >= readings[-1][0] + self.width


class Oracle:
    def __init__(self, points_max, spans):
        self.points_max, self.spans, self.readings = points_max, spans, []

    def push(self, at, value):
        old = self.readings
        place = sum(1 for r in old if r[0] <= at)
        entry = (at, value, object())
        with_it = old[:place] + [entry] + old[place:]
        needed = max(len(s.of(with_it)) for s in self.spans)
        kept = with_it[len(with_it) - needed:]
        over = max(0, len(kept) - self.points_max)
        kept = kept[over:]
        if not any(r[2] is entry[2] for r in kept):
            return LATE, 0, 0
        if any(r[0] == at and r[1] == value for r in old):
            return DUPLICATE, 0, 0
        self.readings = kept
        late = bool(old) and at < old[-1][0]
        return (INSERTED if late else APPENDED), len(with_it) - len(kept), over

    def cutoff(self):
        """The oldest time at which a reading of a new value would be taken."""
        r = self.readings
        if not r:
            return EARLIEST
        cutoffs = []
        for s in self.spans:
            held = s.of(r)
            full = s.count and len(held) >= s.count
            cutoffs.append(max(r[-1][0] - s.width if s.width else EARLIEST,
                               held[0][0] if full else EARLIEST))
        return max(min(cutoffs), r[0][0] if len(r) >= self.points_max else EARLIEST)

    def value(self, span, fn, argument, min_points, now):
        """(exact value, what its error may be relative to); UNKNOWN."""
        s = self.spans[span]
        held = [] if s.is_empty(self.readings, now) else s.of(self.readings)
        if fn == "count":
            return Fraction(len(held)), 0
        least = min_points or s.count or (1 if fn in ("sum", "first", "last") else 2)
        if not held or len(held) < least:
            return UNKNOWN
        x = [Fraction(r[1]) for r in held]
        t = [Fraction(r[0], 10**6) for r in held]
        n = len(x)
        size = sum(map(abs, x))
        if fn in ("sum", "avg"):
            return sum(x) / (n if fn == "avg" else 1), size / 10**15
        if fn in ("min", "max"):
            return (min if fn == "min" else max)(x), 0
        if fn in ("first", "last"):
            return x[0 if fn == "first" else -1], 0
        if fn == "range":
            return max(x) - min(x), 0
        if fn == "changes":
            return Fraction(sum(a != b for a, b in zip(x, x[1:]))), 0
        if fn in ("median", "percentile"):
            x.sort()
            place = Fraction(50 if fn == "median" else argument) / 100 * (n - 1)
            k = math.floor(place)
            above = x[min(k + 1, n - 1)]
            return x[k] + (above - x[k]) * (place - k), abs(above - x[k]) + abs(x[k]) / 10**3
        if n < 2:
            return UNKNOWN
        if fn == "delta":
            return x[-1] - x[0], 0
        if fn == "rate":
            rises = [b - a if b >= a else b for a, b in zip(x, x[1:])]
            if t[-1] == t[0]:
                return UNKNOWN
            # Beside values of 1e150 and more, what is smaller by 1e200 is nought.
            size = sum(map(abs, rises)) / 10**3 + max(map(abs, x)) / 10**200
            return sum(rises) / (t[-1] - t[0]), size / (t[-1] - t[0])
        if fn == "zscore":
            latest = x.pop()
            n -= 1
        if n < 2 or fn == "slope" and t[0] == t[-1]:
            return UNKNOWN
        mean = sum(x) / n
        squares = sum((v - mean) ** 2 for v in x)
        if fn == "slope":
            t_mean = sum(t) / n
            tt = sum((u - t_mean) ** 2 for u in t)
            return (sum((u - t_mean) * (v - mean) for u, v in zip(t, x)) / tt,
                    root(squares) / root(tt))
        if squares == 0:
            return UNKNOWN
        deviation = root(squares / (n - 1))
        return (deviation, 0) if fn == "stddev" else ((latest - mean) / deviation, 1)


def fits(x):
    """Is x, rounded, a finite double that is not 0 (unless x is)?"""
    try:
        return math.isfinite(float(x)) and (float(x) != 0 or x == 0)
    except OverflowError:
        return False


def times(rng, kind):
    at = 1_700_000_000_000_000
    while True:
        if kind == "steady":
            at += 1_000_000
        elif kind == "jittered":
            at += rng.randrange(0, 2_000_000)
        elif kind == "bursts":
            at += rng.choice([0, 1000, 1000, 5000, 3_000_000, 30_000_000, 400_000_000])
        elif kind == "stuck":
            at += rng.choice([0] * 120 + [1, 70_000_000])
        back = rng.choice([0] * 6 + [1_000_000, 5_000_000, rng.randrange(1, 20_000_000),
                                     rng.randrange(1, 100_000_000)])
        late = kind != "in order" and (kind != "stuck" or rng.random() < 0.02)
        yield at - (back if late else 0)
        if kind == "in order":
            at += rng.randrange(1, 1_500_000)


def values(rng, kind):
    v, regime, spread = 20.0, 1.0, rng.choice([1, 1e-3, 1e-6])
    while True:
        if kind == "noise":
            yield rng.gauss(20, 1)
        elif kind == "steps":
            yield round(rng.gauss(20, 0.2), 1)
        elif kind == "flat":
            yield rng.choice([25.1] * 30 + [25.2])
        elif kind == "far":
            yield 1e9 + rng.random() * spread
        elif kind == "walk":
            v += rng.gauss(0, 1)
            yield v
        elif kind == "counter":
            v = 0.0 if rng.random() < 0.05 else v + rng.randrange(0, 100)
            yield v
        elif kind == "spikes":
            yield rng.choice([rng.gauss(0, 1)] * 20 + [1e15, -1e15, 1e308, -1.7e308, 1e200])
        elif kind == "spike up":
            yield rng.choice([rng.gauss(50, 1e-3)] * 40 + [1e15, 1e308])
        elif kind == "tiny":
            yield rng.choice([5e-324, 1e-310, -2e-320, 0.0, -0.0, 1e-200, 3e-200, -1e-160])
        elif kind == "huge":
            yield rng.choice([1.7e308, 1e308, -1.7e308, 1.1e308])
        elif kind == "sizes":
            yield rng.choice([1e-320, -1e-200, 0.0, -0.0, 1, -3, 1e100, 1e150, 1e200, 1e308,
                              -1.7e308]) * rng.choice([1, 0.5, 0.999])
        elif kind == "regimes":
            regime = regime if rng.random() < 0.98 else rng.choice(REGIMES)
            yield regime * rng.choice([1, rng.random(), 1 + rng.random() / 1e6])
        elif kind == "sentinels":
            yield rng.choice([rng.gauss(20, 1)] * 30 + [3.4028234663852886e38, -1.797e308, 1e-310])


REGIMES = [1e-310, 1e-130, 0.0, 1.0, 1e9, 1e140, 1e150, 1.5e308, -1e308]
VALUES = ["noise", "steps", "flat", "far", "walk", "counter", "spikes", "spike up", "tiny",
          "huge", "sizes", "regimes", "sentinels"]
TIMES = ["in order", "steady", "jittered", "bursts", "stuck"]


class Run:
    """400 readings, each followed by questions, or 2500 in longer windows with few."""

    def __init__(self, driver, seed, long=False):
        rng = random.Random(seed)
        self.rng, self.seed = rng, seed
        self.questions = 0.01 if long else 1
        self.value_kind, self.time_kind = VALUES[seed % len(VALUES)], rng.choice(TIMES)
        if self.value_kind in VALUES[-3:] and rng.random() < 0.7:
            self.time_kind = "in order"  # no late reading makes the figures be built anew
        spans = [Span(rng.choice([0, 1, 10_000_000, 60_000_000, 60_000_000, 200_000_000]),
                      rng.choice([0, 0, 1, 2, 5, 40])) for _ in range(rng.randrange(1, 5))]
        if long:
            spans = [Span(1_000_000_000, 0), Span(0, 700), Span(2_000_000_000, 1200)]
        for s in spans:
            if not s.width and not s.count:
                s.count = 10
        self.oracle = Oracle(rng.choice([3, 20, 60, 10_000, 10_000, 10_000]), spans)
        self.lines = ["new %d " % self.oracle.points_max +
                      " ".join("%d %d %d" % (s.width, s.count, ALL) for s in spans)]
        self.wanted = [None]
        for at, value, _ in zip(times(rng, self.time_kind), values(rng, self.value_kind),
                                range(2500 if long else 400)):
            self.push(at, value)
        answers = subprocess.run([driver], input="\n".join(self.lines) + "\n", text=True,
                                 capture_output=True, check=True).stdout.splitlines()
        self.failures = []
        wanted = [(l, w) for l, w in zip(self.lines, self.wanted) if w]
        if len(wanted) != len(answers):
            self.failures.append("%d answers for %d questions" % (len(answers), len(wanted)))
        for (line, check), answer in zip(wanted, answers):
            complaint = check(answer)
            if complaint:
                self.failures.append("%s: got %s, %s" % (line, answer, complaint))

    def ask(self, line, check):
        self.lines.append(line)
        self.wanted.append(check)

    def push(self, at, value):
        rng, oracle = self.rng, self.oracle
        if oracle.readings and rng.random() < 0.05:
            at, value, _ = rng.choice(oracle.readings)
        outcome = oracle.push(at, value)
        want = "%d %d %d %d %d" % (*outcome, len(oracle.readings), oracle.cutoff())
        self.ask("push %d %r" % (at, value),
                 lambda got, want=want: None if got == want else "wanted " + want)
        if rng.random() >= self.questions:
            return
        newest = oracle.readings[-1][0]
        span = rng.randrange(len(oracle.spans))
        now = newest + rng.choice([0, 0, 0, 1, 5_000_000, oracle.spans[span].width - 1,
                                   oracle.spans[span].width])
        for fn in rng.sample(FUNCTIONS, 5):
            argument = rng.choice([0, 100, 95, 50, 99.9, rng.uniform(0, 100)])
            min_points = rng.choice([0, 0, 1, 2, 3, 10])
            want = oracle.value(span, fn, argument, min_points, now)
            self.ask("value %d %d %r %d %d" % (span, FUNCTIONS.index(fn), argument, min_points,
                                               now),
                     lambda got, fn=fn, want=want: compare(fn, got, want))
        if rng.random() < 0.1:
            s = oracle.spans[span]
            held = [] if s.is_empty(oracle.readings, now) else s.of(oracle.readings)
            want_list = [float(len(held))] + [float(f) for r in held for f in r[:2]]
            self.ask("span %d %d" % (span, now),
                     lambda got: None if [float(f) for f in got.split()] == want_list
                     else "wanted %r" % want_list)


def compare(fn, got, want):
    if want is UNKNOWN or not fits(want[0]) and abs(want[0]) > 1:
        return None if got == "unknown" else "wanted unknown"
    exact, scale = want
    if got == "unknown":
        # Allowed at the very edge of what a double holds only.
        return None if not fits(exact * Fraction(1 + 1e-9)) else "wanted %.17g" % float(exact)
    error = abs(Fraction(float(got)) - exact)
    allowed = abs(exact) / 10**9 + Fraction(scale) / 10**9 + Fraction(5e-324)
    if error > allowed:
        return "wanted %.17g, off by %.3g of %.3g" % (float(exact), float(error), float(allowed))
    return None


def main():
    driver, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 52
    print("1..%d" % runs)
    failed = 0
    for seed in range(runs):
        run = Run(driver, seed, seed % 4 == 3)
        name = "oracle agrees on %s values at %s times, seed %d" % (run.value_kind,
                                                                   run.time_kind, seed)
        print("%s %d - %s" % ("not ok" if run.failures else "ok", seed + 1, name))
        for failure in run.failures[:5]:
            print("# " + failure)
        failed += bool(run.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
