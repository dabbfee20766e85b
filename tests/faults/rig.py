"""What every cell of the matrix stands on: a site whose links to the broker and to Valkey go through proxies,
a story of readings whose outcome is known beforehand, and the checks that hold at its end.

The story's rules: `hot` needs no window, so its alerts must be exactly those of an undisturbed run, to the
second; `avg` rests on a window, so while Valkey is away it neither fires nor resolves, and afterwards each alert
has happened once. Every reading of the metric is in a window of `avg`: at the end Valkey's lists are those of an
undisturbed run, to the byte of their JSON.
"""

import os
import pathlib
import resource
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from lib import proxy, resp  # noqa: E402
from lib.harness import BASE, PATIENCE, Case, merge, seconds, wait_for  # noqa: E402

TIMEOUT = 0.3     # store.timeout
MARGIN = 0.7      # what a busy machine may add to an alert's way
STOP_BOUND = 15   # seconds that a stop may take at most; systemd/brink.service grants 20
START_BOUND = 8   # ... until it answers over HTTP and, with a broker, is ready
BACK_BOUND = 40   # ... until all is as before once the fault is over: the longest pause of a connection is 30 s
RELOAD_BOUND = 5

RULES = [
    {"id": "hot", "when": "m > 100"},
    {"id": "avg", "rule_type": "WINDOW", "metric_name": "m", "aggregation": "avg", "operator": "GT",
     "threshold": 25, "window_seconds": 3600},
]
MORE = {"id": "more", "when": "m > 1000"}


class Story:
    """The readings sent, and what must have come of them."""

    def __init__(self, site):
        self.site, self.k = site, 0
        self.points, self.hot, self.over = {}, [], set()

    def put(self, device, *values, wait=True):
        for value in values:
            self.site.send(device, self.k, m=value, wait=wait)
            self.note(device, value)

    def note(self, device, value):
        self.points.setdefault(device, []).append([BASE + self.k, float(value)])
        if (value > 100) != (device in self.over):
            self.over ^= {device}
            self.hot.append((device, "OPEN" if value > 100 else "CLOSED", self.k))
        self.k += 1


class Site(Case):
    """One cell's run: `cell` is what the runner calls."""

    repeats = False  # at least once: a second delivery of the same event is none (SPEC 6.3)
    run_cell = None
    bound = BACK_BOUND
    longMessage = True

    def cell(self):
        type(self).run_cell(self)

    # --- arranging ---

    def arrange(self, config=None, rules=None, start=True, store=()):
        self.start_broker()
        self.start_store(*store)
        self.to_broker, self.to_store = proxy.Proxy(self.broker.port), proxy.Proxy(self.store.socket)
        self.addCleanup(self.to_broker.close)
        self.addCleanup(self.to_store.close)
        base = {
            "mqtt": {"servers": [f"mqtt://127.0.0.1:{self.to_broker.port}"], "keep_alive": "2s"},
            "store": {"address": f"valkey://127.0.0.1:{self.to_store.port}", "timeout": f"{TIMEOUT * 1000:g}ms"},
        }
        self.rules = rules or RULES
        self.brink = self.gateway(self.rules, start=start, config=merge(base, config or {}))
        self.story = Story(self)
        return self.brink

    # --- the story ---

    def before(self):
        """Ends with one window alert and one plain alert firing."""
        self.story.put("calm", 10, 11)
        self.story.put("firing", 30, 31)
        self.story.put("hot", 200, 5, 200)
        self.alerts.take("OPEN", "avg", "firing")
        self.fence()
        self.avg_before = self.alerts.events("avg")
        self.descriptors = self.count_descriptors()

    def within(self, wait=True):
        """What comes during the fault; or, where nobody can reach the broker, right after it."""
        self.story.put("calm", 90, 91, wait=wait)
        self.story.put("firing", 1, 1, 1, wait=wait)
        self.story.put("new", 50, 60, wait=wait)
        self.story.put("hot", 5, 200, 5, wait=wait)

    def after(self):
        self.story.put("calm", *[1] * 10)
        self.story.put("hot", 200)
        self.story.put("late", 300)

    AVG = {"calm": ["OPEN", "CLOSED"], "firing": ["OPEN", "CLOSED"], "new": ["OPEN"]}

    # --- what must hold ---

    def settled(self):
        """All of the story so far is decided, delivered and in Valkey."""
        wait_for(lambda: self.windows() == self.story.points, self.windows_differ, self.bound)
        wait_for(lambda: len(self.alerts.all("hot")) >= len(self.story.hot),
                 lambda: f"hot: {self.story.hot}; came {self.hot_events()}", self.bound)

    def windows(self):
        prefix = "wbuf:acme:avg:"
        return {key[len(prefix):]: self.window(key[len(prefix):]) for key in self.store.client.keys(prefix + "*")}

    def window(self, device):
        try:
            return self.store.window("avg", device)
        except (ValueError, RecursionError, resp.ErrorAnswer) as error:
            return f"no list: {error}"

    def windows_differ(self):
        windows = self.windows()
        return "Valkey to hold the undisturbed windows; differing: " + ", ".join(
            f"{d}: {windows.get(d)} in place of {p}" for d, p in self.story.points.items() if windows.get(d) != p)

    def hot_events(self):
        return [(a["device_id"], a["event_type"], seconds(a["event_at"]) // 1000) for a in self.alerts.all("hot")]

    def nothing_lost_or_doubled(self):
        """The alerts are those of an undisturbed run: per device, in order, each once, with one id a life."""
        self.fence(BACK_BOUND)
        for device in {d for d, _, _ in self.story.hot}:
            self.assertEqual([e for e in self.hot_events() if e[0] == device],
                             [e for e in self.story.hot if e[0] == device])
        for device, events in self.AVG.items():
            self.assertEqual(self.alerts.events("avg", device), events, device)
        lives = {}
        for alert in self.alerts.all():
            life = lives.setdefault((alert["rule_id"], alert["device_id"]), [])
            if alert["event_type"] == "OPEN":
                self.assertNotIn(alert["alert_id"], life, alert)
                life.append(alert["alert_id"])
            else:
                self.assertEqual(alert["alert_id"], life[-1], alert)
        self.assertFalse([a for a in self.alerts.all() if a["degraded"]])

    def whole(self):
        """The end of every cell: the story goes on to its end, and all is as if nothing had been."""
        self.settled()
        for device, events in self.AVG.items():
            wait_for(lambda: self.alerts.events("avg", device)[:1] == events[:1], f"avg of {device}", BACK_BOUND)
        wait_for(lambda: len(self.alerts.events("avg", "firing")) > 1, "avg of firing to close", BACK_BOUND)
        self.after()
        self.settled()
        self.nothing_lost_or_doubled()
        self.assertTrue(self.brink.running())

    def alive(self):
        self.assertTrue(self.brink.running(), "ended")
        wait_for(lambda: self.brink.http("/healthz")[0] == 200, "/healthz", START_BOUND)

    def plain_alerts_go_on(self, n=10):
        """One stall of at most `timeout`, then none; another is granted to a busy machine."""
        took = []
        for i in range(n):
            began = time.monotonic()
            self.story.put("latency", 200 * (1 - i % 2))
            self.alerts.take("CLOSED" if i % 2 else "OPEN", "hot", "latency")
            took.append(time.monotonic() - began)
        self.assertLess(max(took), (TIMEOUT + MARGIN) * PATIENCE, took)
        self.assertLessEqual(sum(1 for t in took if t > 0.2 * PATIENCE), 2, [round(t, 3) for t in took])

    def quiet(self, cores=0.5):
        """A context: neither the processor nor the log is kept busy by a fault. cores: of a processor, at most."""
        return Quiet(self, cores)

    def stops_cleanly(self):
        began = time.monotonic()
        self.assertEqual(self.brink.stop(STOP_BOUND * 2), 0)
        self.assertLess(time.monotonic() - began, STOP_BOUND * PATIENCE)

    def reload(self, applied=True):
        result = f'result="{"applied" if applied else "refused"}"'
        before = self.brink.metric("reloads_total", result)
        self.brink.hang_up()
        wait_for(lambda: self.brink.metric("reloads_total", result) > before, f"a reload with {result}", RELOAD_BOUND)

    def reloads_whole_or_not(self):
        self.brink.rules([*self.rules, MORE, {"id": "broken", "when": "m >"}])
        self.reload(applied=False)
        self.brink.rules([*self.rules, MORE])
        self.reload()

    def more_in_force(self):
        """The rule that the reload brought."""
        self.story.put("extra", 2000, 5)
        self.alerts.take("OPEN", "more", "extra", BACK_BOUND)

    def received(self):
        return self.brink.metric("messages_received_total")

    def within_and_taken(self):
        """As within(), and the gateway has it: what a stop finds is its own, not the broker's."""
        received, sent = self.received(), self.story.k
        self.within(wait=False)
        wait_for(lambda: self.received() - received >= self.story.k - sent, "all readings to be taken")

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.brink.pid}/fd"))

    def no_descriptor_lost(self):
        """Connections of HTTP come and go."""
        wait_for(lambda: self.count_descriptors() <= self.descriptors + 2,
                 lambda: f"{self.descriptors} descriptors; {self.count_descriptors()} are open")


class Quiet:
    LINES = 60

    def __init__(self, site, cores):
        self.site, self.cores = site, cores

    def _now(self):
        fields = pathlib.Path(f"/proc/{self.site.brink.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = sum(int(fields[i]) for i in (11, 12))
        return (ticks / os.sysconf("SC_CLK_TCK"), len(self.site.brink.log().splitlines()), time.monotonic())

    def __enter__(self):
        self.began = self._now()

    def __exit__(self, kind, value, trace):
        if kind is None and self.site.brink.running():
            cpu, lines, took = (b - a for a, b in zip(self.began, self._now()))
            self.site.assertLess(cpu, self.cores * (0.4 + took), f"processor seconds in {took:.1f} s")
            self.site.assertLess(lines, self.LINES + 10 * took, f"lines of log in {took:.1f} s")


def set_descriptors(pid, soft):
    """The limit of a running process; None: as at first."""
    old, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if soft is None else soft, hard))
    return old


class Repeating:
    """Does something every now and then on a thread of its own, until it is stopped."""

    def __init__(self, act):
        self._stop = threading.Event()

        def loop():
            while not self._stop.wait(act()):
                pass

        self._thread = threading.Thread(target=loop, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()
