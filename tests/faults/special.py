"""The faults that are no matter of one server's link: disk, descriptors, clock, the broker's session, Valkey's answers."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

from cells import Cell
from matrix import AFTERWARDS, KNOWN_BOUND, PLAIN
from rig import (BACK_BOUND, MARGIN, MORE, RELOAD_BOUND, RULES, START_BOUND, STOP_BOUND, TIMEOUT, Repeating,
                 set_descriptors, wait_for)

from lib import resp
from lib.harness import BASE, BRINK, PATIENCE

CELLS = []


def cell(group, name, what, moment, holds, cannot=""):
    def register(run):
        CELLS.append(Cell(group, name, what, moment, holds, run, cannot))
        return run

    return register


# --- the disk under state_dir ---

DISK = "The disk"


def as_root(*command):
    subprocess.run((*([] if os.geteuid() == 0 else ["sudo", "-n"]), *command), check=True, capture_output=True)


class Disk:
    """A small file system of its own for state_dir."""

    def __init__(self, site):
        self.site, self.path = site, site.folder / "disk"
        self.path.mkdir()
        as_root("mount", "-t", "tmpfs", "-o", f"size=2m,mode=0755,uid={os.geteuid()}", "none", str(self.path))
        site.addCleanup(as_root, "umount", "-l", str(self.path))
        self.config = {"gateway": {"state_dir": str(self.path / "state")}}

    def fill(self):
        with open(self.path / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError:
                pass

    def empty(self):
        (self.path / "ballast").unlink()

    def read_only(self, on):
        as_root("mount", "-o", "remount," + ("ro" if on else "rw"), str(self.path))


def fill_up(site):
    """Alerts until the file has grown into its last free page: from then on nothing is durable."""
    site.disk.fill()
    site.story.put("filler", *[200, 5] * 40, wait=False)
    site.fence()
    site.counted("outbox_failures_total")


@cell(DISK, "disk-full-run", "no space left", "run",
      f"alerts go out all the same, the failures are counted and told; {AFTERWARDS}, and a kill -9 once there is room "
      "forgets nothing")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    fill_up(site)
    with site.quiet():
        site.plain_alerts_go_on()
        site.within()
        site.alive()
        site.settled()
    site.logged("(?i)disk|space|full")
    site.disk.empty()
    failures = site.brink.metric("outbox_failures_total")
    site.story.put("filler", 200)
    site.settled()
    site.fence()
    site.logged("outbox written again")
    site.assertLess(site.brink.metric("outbox_failures_total") - failures, 10)
    site.brink.kill()
    site.brink.start()
    site.whole()


@cell(DISK, "disk-full-start", "no space left", "start",
      f"either starts, or ends with status 1 within {START_BOUND} s and says which folder; once there is room, "
      f"{AFTERWARDS}")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    site.stops_cleanly()
    site.disk.fill()
    starts_or_says_why(site)
    site.disk.empty()
    site.brink.start()
    site.within()
    site.whole()


def starts_or_says_why(site):
    site.brink.start(ready=False)
    wait_for(lambda: not site.brink.running() or site.brink.http("/readyz")[0] == 200, "a start or an end", START_BOUND)
    if site.brink.running():
        site.alive()
        site.stops_cleanly()
    else:
        site.assertEqual(site.brink.process.returncode, 1)
        site.assertIn(str(site.disk.path), site.brink.log().rsplit("\n--- ", 1)[-1])


@cell(DISK, "disk-full-reload", "no space left", "reload",
      f"bad rules change nothing, good ones are taken within {RELOAD_BOUND} s; {AFTERWARDS}")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    fill_up(site)
    site.reloads_whole_or_not()
    site.more_in_force()
    site.disk.empty()
    site.within()
    site.whole()


@cell(DISK, "disk-full-stop", "no space left", "stop",
      f"exit status 0 within {STOP_BOUND} s, and what was decided is delivered")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    fill_up(site)
    site.within_and_taken()
    site.stops_cleanly()
    wait_for(lambda: len(site.alerts.all("hot")) >= len(site.story.hot), "all that was decided")


@cell(DISK, "disk-full-stop-after", "no space left", "stop",
      AFTERWARDS,
      cannot="what became of an alert while the disk took nothing is known to that process alone; a stop forgets it, "
             "and an alert that is still true opens once more under another id")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    fill_up(site)
    site.within()
    site.story.put("kept", 200)  # opens while nothing can be written
    site.settled()
    site.stops_cleanly()
    site.disk.empty()
    site.brink.start()
    site.story.put("kept", 201)
    site.whole()


@cell(DISK, "disk-read-only-start", "read-only", "start",
      f"ends with status 1 within {START_BOUND} s and says which folder; once it can be written, {AFTERWARDS}")
def _(site):
    site.disk = Disk(site)
    site.arrange(config=site.disk.config)
    site.before()
    site.stops_cleanly()
    site.disk.read_only(True)
    site.brink.start(ready=False)
    site.assertEqual(site.brink.process.wait(START_BOUND * 2), 1)
    site.assertIn(str(site.disk.path), site.brink.log().rsplit("\n--- ", 1)[-1])
    site.disk.read_only(False)
    site.brink.start()
    site.within()
    site.whole()


def immutable(site, on):
    """As a disk that the kernel made read-only under the open files (a remount refuses that)."""
    state = site.folder / "brink.state"
    if not state.exists():
        return  # a cleanup after the folder went
    files = [str(f) for f in state.iterdir()] + [str(state)]
    as_root("chattr", "+i" if on else "-i", *files)


@cell(DISK, "disk-read-only-run", "read-only", "run",
      f"alerts go out all the same, the failures are counted and told; {AFTERWARDS}, and a kill -9 once it can be "
      "written forgets nothing")
def _(site):
    site.arrange()
    site.before()
    immutable(site, True)
    site.addCleanup(lambda: immutable(site, False))
    with site.quiet():
        site.plain_alerts_go_on()
        site.within()
        site.alive()
        site.settled()
    site.counted("outbox_failures_total")
    immutable(site, False)
    site.story.put("filler", 200)
    site.settled()
    site.logged("outbox written again")
    site.brink.kill()
    site.brink.start()
    site.whole()


@cell(DISK, "disk-read-only-reload", "read-only", "reload",
      f"bad rules change nothing, good ones are taken within {RELOAD_BOUND} s; {AFTERWARDS}, and a kill -9 once it can be "
      "written forgets nothing")
def _(site):
    site.arrange()
    site.before()
    immutable(site, True)
    site.addCleanup(lambda: immutable(site, False))
    site.story.put("filler", 200)
    site.counted("outbox_failures_total")
    site.reloads_whole_or_not()
    site.more_in_force()
    site.plain_alerts_go_on()
    site.within()
    site.settled()
    immutable(site, False)
    site.story.put("filler", 5)
    site.settled()
    site.logged("outbox written again")
    site.brink.kill()
    site.brink.start()
    site.more_in_force()
    site.whole()


@cell(DISK, "disk-read-only-stop", "read-only", "stop", f"exit status 0 within {STOP_BOUND} s, and what was decided "
      "is delivered")
def _(site):
    site.arrange()
    site.before()
    immutable(site, True)
    site.addCleanup(lambda: immutable(site, False))
    site.within_and_taken()
    site.stops_cleanly()
    wait_for(lambda: len(site.alerts.all("hot")) >= len(site.story.hot), "all that was decided")


# --- file descriptors ---

DESCRIPTORS = "No file descriptor left"


@cell(DESCRIPTORS, "descriptors-start", "any limit from 4 to 40", "start",
      f"is ready, or ends with status 1 within {START_BOUND} s and says why; afterwards as undisturbed")
def _(site):
    site.arrange()
    site.before()
    site.stops_cleanly()
    for limit in range(4, 41, 3):
        log = len(site.brink.log())
        site.brink.spawn(["prlimit", f"--nofile={limit}:", BRINK, "run", "-c", str(site.brink.config_path)],
                         env=site.brink.environment)
        until = time.monotonic() + 1
        wait_for(lambda: not site.brink.running() or time.monotonic() > until, "a moment", START_BOUND)
        if site.brink.running():
            site.stops_cleanly()
        else:
            site.assertEqual(site.brink.process.returncode, 1, f"limit {limit}")
            site.assertTrue(site.brink.log()[log:].count("\n") > 1, f"limit {limit}: no word why")
    site.brink.start()
    site.within()
    site.whole()


def use_up(site):
    """The next descriptor is one too many. Those of the questions over HTTP so far have to be gone first."""
    seen = []

    def settled():
        seen.append(sorted(int(fd) for fd in os.listdir(f"/proc/{site.brink.pid}/fd")))
        time.sleep(0.02)
        return len(seen) > 10 and all(now == seen[-1] for now in seen[-10:])

    wait_for(settled, "descriptors to be the same for a while")
    tighten(site)


def tighten(site):
    """As it is now: a connection that breaks leaves no descriptor for the next one."""
    used = {int(fd) for fd in os.listdir(f"/proc/{site.brink.pid}/fd")}
    set_descriptors(site.brink.pid, min(set(range(len(used) + 1)) - used))


def last(seconds, meanwhile=lambda: None):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        meanwhile()
        time.sleep(0.05)


def children(site):
    tasks = f"/proc/{site.brink.pid}/task"
    return [int(pid) for t in os.listdir(tasks) for pid in open(f"{tasks}/{t}/children").read().split()]


@cell(DESCRIPTORS, "descriptors-run", "while connections break and the sending process dies", "run",
      f"stays alive, neither processor nor log is busy; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()
    use_up(site)
    host, port = site.brink.config["http"]["listen"].rsplit(":", 1)
    # Somebody asks, and nobody can answer; else there is nothing to do.
    with socket.create_connection((host, int(port))), site.quiet(cores=0.1):
        last(2)
    with site.quiet():
        site.to_broker.cut()
        site.to_store.cut()
        for pid in children(site):
            os.kill(pid, signal.SIGKILL)
        site.within(wait=False)
        last(4, lambda: tighten(site))
        site.assertTrue(site.brink.running())
    set_descriptors(site.brink.pid, None)
    site.whole()
    site.no_descriptor_lost()


@cell(DESCRIPTORS, "descriptors-reload", "no file can be opened", "reload",
      f"refused whole within {RELOAD_BOUND} s, and says why; alerts go on; later the same reload is taken; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()
    refused = site.brink.metric("reloads_total", 'result="refused"')
    site.brink.rules([*RULES, MORE])
    use_up(site)
    site.brink.hang_up()
    site.logged("reload refused", timeout=RELOAD_BOUND)
    site.plain_alerts_go_on()
    set_descriptors(site.brink.pid, None)
    site.assertEqual(site.brink.metric("reloads_total", 'result="refused"'), refused + 1)
    site.reload()
    site.more_in_force()
    site.within()
    site.whole()


@cell(DESCRIPTORS, "descriptors-stop", "no file can be opened", "stop", f"exit status 0 within {STOP_BOUND} s; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()
    use_up(site)
    site.within()
    site.stops_cleanly()
    site.brink.start()
    site.whole()


# --- the wall clock ---

CLOCK = "The wall clock"
YEARS_10 = 10 * 365 * 86400


class Clock:
    def __init__(self, site, add=0, held=False):
        self.path = site.folder / "clock"
        self.path.write_bytes(b"\0" * 16)
        self.set(add, held)
        library = os.environ.get("FAULTS_CLOCK", str(pathlib.Path(BRINK).parents[2] / "tests/faults/libclock.so"))
        assert os.path.exists(library), f"{library} is not built (FAULTS_CLOCK names it)"
        self.environment = {"LD_PRELOAD": library, "FAULTS_CLOCK": str(self.path)}

    def set(self, seconds, held):
        with open(self.path, "r+b") as f:
            f.write(struct.pack("=qq", int(seconds * 1e6), held))


QUIET = {"id": "quiet", "when": "silent(1h)"}  # nobody is, whatever the wall clock says


def with_clock(site, add=0, held=False, config=None):
    site.arrange(start=False, config=config, rules=[*RULES, QUIET])
    site.clock = Clock(site, add, held)
    site.brink.environment.update(site.clock.environment)
    if "ASAN_OPTIONS" in site.brink.environment:
        site.brink.environment["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
    site.brink.start()


def step(site, seconds, held, at_once=lambda: None):
    """A jump by hand back to where arrival times are anyway is nothing to be told. at_once: what comes before it is told."""
    told = "system clock was corrected" if held else "system clock jumped"
    before = site.brink.log().count(told)
    site.clock.set(seconds, held)
    at_once()
    if held or seconds:
        wait_for(lambda: site.brink.log().count(told) > before, told)
    last(1.5)  # devices are forgotten, and timers looked at, once a second


def closed_by_itself(site):
    return [a for a in site.alerts.all() if "reason" in a or a["rule_id"] == "quiet"]


def step_of(seconds, held):
    years = f"{abs(seconds) / 86400 / 365:g} years {'forward' if seconds > 0 else 'back'}"
    return f"set {years} {'by a time service' if held else 'by hand'}"


def stepped(name, seconds, held, cannot=""):
    @cell(CLOCK, f"clock-{name}-run", f"{step_of(seconds, held)}, then back", "run",
          f"{PLAIN}; no device is forgotten, no alert closes by itself; {AFTERWARDS}", cannot)
    def _(site):
        site.bound = KNOWN_BOUND if cannot else BACK_BOUND
        with_clock(site, config={"limits": {"forget_after": "1d"}})
        site.before()
        for add in (seconds, 0):
            step(site, add, held)
            site.plain_alerts_go_on(4)
            site.alive()
            if add:
                site.within()
                site.settled()
        site.assertEqual(closed_by_itself(site), [])
        site.whole()


JUDGED = ("a device's time more than five minutes ahead of the gateway's gives way to the arrival time (SPEC 3.3): the "
          "alerts are the same, but they and the windows bear other times")

stepped("forward-by-hand", YEARS_10, False)
stepped("back-by-hand", -YEARS_10, False)
stepped("forward-held", YEARS_10, True)
stepped("back-held", -YEARS_10, True, cannot=JUDGED)


class Punctual:
    """A device whose clock is right, whatever the gateway's is."""

    def __init__(self, site):
        self.site, self.events, self.reasons = site, [], []

    def changes(self):
        """Its alert opens, or closes and opens anew, within the bound of any other."""
        for value in (5, 200) if self.events[-1:] == ["OPEN"] else (200,):
            began = time.monotonic()
            self.site.send("punctual", time.time() - BASE, m=value)
            self.events.append("OPEN" if value > 100 else "CLOSED")
            self.site.alerts.take(self.events[-1], "hot", "punctual")
            self.site.assertLess(time.monotonic() - began, (TIMEOUT + MARGIN) * PATIENCE)

    def open_alerts(self):
        self.site.fence()
        last_events = {(a["rule_id"], a["device_id"]): a["event_type"] for a in self.site.alerts.all()}
        return [which for which, event in last_events.items() if event == "OPEN"]

    def is_forgotten(self, were_open):
        """As all others are: each of their alerts is closed for that reason."""
        for rule, device in were_open:
            wait_for(lambda: self.site.alerts.all(rule, device)[-1].get("reason") == "device_forgotten",
                     f"{rule} of {device} to be closed")
            self.reasons.append((rule, device, "device_forgotten"))
        self.site.alerts.take("CLOSED", "hot", "punctual")
        self.events.append("CLOSED")

    def ends(self):
        self.site.fence()
        self.site.assertEqual(self.site.alerts.events("hot", "punctual"), self.events)
        self.site.assertEqual(sorted((a["rule_id"], a["device_id"], a.get("reason")) for a in closed_by_itself(self.site)),
                              sorted(self.reasons))
        ids = [a["alert_id"] for a in self.site.alerts.all("hot", "punctual")]
        self.site.assertEqual(ids[1::2], ids[0:-1:2])
        self.site.assertEqual(len(set(ids)), len(ids[0::2]))


@cell(CLOCK, "clock-back-held-alerts-run", "set 10 years back by a time service, then right again", "run",
      "alerts without a window go on, each once with one id, before, meanwhile and afterwards; no device is forgotten, no "
      "alert closes by itself")
def _(site):
    with_clock(site, config={"limits": {"forget_after": "1d"}})
    site.before()
    device = Punctual(site)
    device.changes()
    for add in (-YEARS_10, 0):
        step(site, add, True)
        device.changes()
    device.ends()


GO_ON = "alerts without a window go on, each once with one id, before, meanwhile and afterwards"
DECADE = ("across a restart elapsed time is the wall clock's (SPEC 4.8), so ten years went by for all that can be told: devices "
          "unheard of for `forget_after` are forgotten and their alerts closed, for that reason (3.7)")
FORGOTTEN = "devices are forgotten and what was firing is closed, once, for that reason (SPEC 3.7, 4.8); "


def wrong_at_start(name, seconds, cannot):
    what = f"10 years {name}, corrected later"
    forgets = seconds > 0

    @cell(CLOCK, f"clock-{name}-start", what, "start", f"{PLAIN}; {AFTERWARDS}", cannot)
    def _(site):
        site.bound = KNOWN_BOUND
        with_clock(site)
        site.before()
        site.stops_cleanly()
        site.clock.set(seconds, False)
        site.brink.start()
        site.within()
        site.plain_alerts_go_on(4)
        step(site, 0, True)
        site.whole()

    @cell(CLOCK, f"clock-{name}-start-alerts", what, "start", (FORGOTTEN if forgets else "") + GO_ON)
    def _(site):
        with_clock(site)
        site.before()
        device = Punctual(site)
        device.changes()
        were_open = device.open_alerts()
        site.stops_cleanly()
        site.clock.set(seconds, False)
        site.brink.start()
        if forgets:
            device.is_forgotten(were_open)
        device.changes()
        step(site, 0, True)
        device.changes()
        device.ends()


wrong_at_start("behind", -YEARS_10, JUDGED)
wrong_at_start("ahead", YEARS_10, DECADE)


RELOADED = (f"bad rules change nothing, good ones are in force within {RELOAD_BOUND} s; {PLAIN}; no device is forgotten, no "
            "alert closes by itself")


def stepped_at_reload(name, seconds, held):
    @cell(CLOCK, f"clock-{name}-reload", f"{step_of(seconds, held)}, then back", "reload", f"{RELOADED}; {AFTERWARDS}")
    def _(site):
        with_clock(site, config={"limits": {"forget_after": "1d"}})
        site.before()

        def meanwhile():
            site.reloads_whole_or_not()
            site.more_in_force()
            site.plain_alerts_go_on(4)

        step(site, seconds, held, meanwhile)
        site.within()
        site.settled()
        step(site, 0, held, site.reloads_whole_or_not)
        site.plain_alerts_go_on(4)
        site.alive()
        site.assertEqual(closed_by_itself(site), [])
        site.whole()


stepped_at_reload("forward-by-hand", YEARS_10, False)
stepped_at_reload("back-by-hand", -YEARS_10, False)
stepped_at_reload("forward-held", YEARS_10, True)


@cell(CLOCK, "clock-back-held-reload", f"{step_of(-YEARS_10, True)}, then right again", "reload",
      f"bad rules change nothing, good ones are taken within {RELOAD_BOUND} s; alerts without a window go on, each once with "
      "one id; no device is forgotten, no alert closes by itself")
def _(site):
    with_clock(site, config={"limits": {"forget_after": "1d"}})
    site.before()
    device = Punctual(site)
    device.changes()

    def meanwhile():
        site.reloads_whole_or_not()
        device.changes()

    for add in (-YEARS_10, 0):
        step(site, add, True, meanwhile)
        device.changes()
    device.ends()


def stepped_at_stop(name, seconds, held):
    @cell(CLOCK, f"clock-{name}-stop", f"{step_of(seconds, held)}, right again at the next start", "stop",
          f"exit status 0 within {STOP_BOUND} s; no device is forgotten or silent, no alert closes by itself; {AFTERWARDS}")
    def _(site):
        with_clock(site)
        site.before()
        site.story.put("said once", 1)
        site.clock.set(seconds, held)  # it may have been noticed at the stop, or not
        site.stops_cleanly()
        site.clock.set(0, held)
        site.brink.start()
        step(site, seconds, held)
        site.within_and_taken()
        site.stops_cleanly()
        site.clock.set(0, held)
        site.brink.start()
        last(1.5)
        site.whole()
        site.assertEqual(closed_by_itself(site), [])


stepped_at_stop("forward-by-hand", YEARS_10, False)
stepped_at_stop("back-by-hand", -YEARS_10, False)
stepped_at_stop("forward-held", YEARS_10, True)


@cell(CLOCK, "clock-back-held-stop", f"{step_of(-YEARS_10, True)}, right again at the next start", "stop",
      f"exit status 0 within {STOP_BOUND} s; at the start {FORGOTTEN}{GO_ON}")
def _(site):
    with_clock(site)
    site.before()
    device = Punctual(site)
    device.changes()
    step(site, -YEARS_10, True)
    device.changes()
    were_open = device.open_alerts()
    site.stops_cleanly()
    site.clock.set(0, True)
    site.brink.start()
    device.is_forgotten(were_open)
    device.changes()
    device.ends()


# --- the broker's session ---

SESSION = "The session at the broker"


def thief(name, suffix, what):
    @cell(SESSION, f"session-taken-{name}", f"another client takes {what} again and again", "run",
          f"no storm of connections (fewer than 10 a second), stays alive; {AFTERWARDS}")
    def _(site):
        site.arrange()
        site.before()
        before = site.to_broker.accepted

        def take():
            site.broker.client(client_id=f"brink-gw-brink{suffix}", clean=False, expiry=3600).close()
            return 0.2

        began = time.monotonic()
        with site.quiet():
            taking = Repeating(take)
            site.within()
            until = time.monotonic() + 4
            wait_for(lambda: time.monotonic() > until, "the thief", 5)
            taking.stop()
        site.assertLess(site.to_broker.accepted - before, 10 * (time.monotonic() - began))
        site.alive()
        site.brink.wait_ready(BACK_BOUND)
        site.whole()


thief("alerts", "-alerts", "the alerts' client id")


@cell(SESSION, "session-taken-telemetry", "another client takes the telemetry's client id again and again", "run",
      "no storm of connections (fewer than 10 a second), stays alive; afterwards all that is sent is decided")
def _(site):
    # Who takes the id takes what is queued for it, too: those readings are gone, and nobody could tell.
    site.arrange()
    site.before()
    before, began = site.to_broker.accepted, time.monotonic()

    def take():
        site.broker.client(client_id="brink-gw-brink", clean=True).close()
        return 0.2

    with site.quiet():
        taking = Repeating(take)
        until = time.monotonic() + 4
        wait_for(lambda: time.monotonic() > until, "the thief", 5)
        taking.stop()
    site.assertLess(site.to_broker.accepted - before, 10 * (time.monotonic() - began))
    site.alive()
    site.brink.wait_ready(BACK_BOUND)
    site.within()
    site.whole()


def stop_and_empty(broker):
    broker.stop()
    for file in broker.data.iterdir():
        file.unlink()


@cell(SESSION, "session-gone-run", "the broker lost it (new disk)", "run",
      f"subscribes anew and is ready within {BACK_BOUND} s; afterwards all that is sent is decided")
def _(site):
    site.arrange()
    site.before()
    taken = list(site.alerts.client.messages)
    stop_and_empty(site.broker)
    connects = site.brink.metric("mqtt_connects_total")
    site.broker.start()
    site.reconnect()
    site.assertGreaterEqual(len(site.alerts.client.messages), len(taken))
    wait_for(lambda: site.brink.metric("mqtt_connects_total") > connects, "a connection made again", BACK_BOUND)
    site.brink.wait_ready(BACK_BOUND)
    site.within()
    site.whole()


@cell(SESSION, "session-gone-start", "the broker lost it (new disk)", "start",
      f"subscribes anew and is ready within {START_BOUND} s; afterwards all that is sent is decided")
def _(site):
    site.arrange()
    site.before()
    site.stops_cleanly()
    stop_and_empty(site.broker)
    site.broker.start()
    site.reconnect()
    site.brink.start(ready=False)
    site.brink.wait_ready(START_BOUND)
    site.within()
    site.whole()


@cell(SESSION, "session-taken-stop", "another client takes the alerts' client id again and again", "stop",
      f"exit status 0 within {STOP_BOUND} s; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()

    def take():
        site.broker.client(client_id="brink-gw-brink-alerts", clean=False, expiry=3600).close()
        return 0.2

    taking = Repeating(take)
    last(1)
    site.within_and_taken()
    site.stops_cleanly()
    taking.stop()
    site.brink.start()
    site.whole()


@cell(SESSION, "session-refused-run", "the broker refuses the login for a while", "run",
      f"stays alive, tells why at a bounded rate; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()
    site.broker.stop()
    options, site.broker.options = site.broker.options, "listener {port} 127.0.0.1\nallow_anonymous false\n"
    with site.quiet():
        site.broker.start()
        site.logged("refused.*(?i:not authori[sz]ed)", timeout=BACK_BOUND)
        site.alive()
        site.broker.stop()
    site.broker.options = options
    site.broker.start()
    site.reconnect()
    site.brink.wait_ready(BACK_BOUND)
    site.within()
    site.whole()


# --- what Valkey may answer ---

ANSWERS = "Valkey's answers"


def answered(name, what, begin, end, besides=""):
    holds = f"{PLAIN}; rules over windows neither fire nor resolve; {besides}{AFTERWARDS}"

    @cell(ANSWERS, f"answer-{name}-run", what, "run", holds)
    def _(site):
        site.arrange()
        site.before()
        events = site.alerts.events("avg")
        begin(site)
        with site.quiet():
            site.within()
            site.plain_alerts_go_on()
            site.alive()
            site.assertEqual(site.alerts.events("avg"), events)
        end(site)
        site.whole()

    @cell(ANSWERS, f"answer-{name}-start", what, "start", f"answers within {START_BOUND} s and is ready; {holds}")
    def _(site):
        site.arrange()
        site.before()
        site.stops_cleanly()
        begin(site)
        site.within()
        site.brink.start(ready=False)
        site.brink.wait_ready(START_BOUND)
        site.plain_alerts_go_on()
        site.alive()
        site.assertEqual(site.alerts.events("avg"), site.avg_before)
        end(site)
        site.whole()


def say(*command):
    return lambda site: site.store.client(*command)


def no_password_known(site):
    site.store.client("CONFIG", "SET", "requirepass", "sesame")
    site.store.client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def loading(site):
    """A server that reads its file for seconds, and says so meanwhile."""
    for block in range(60):
        site.store.client.pipeline([("SET", f"ballast:{block}:{i}", "x") for i in range(100)])
    site.store.kill()
    site.store.spawn(["valkey-server", "--port", str(site.store.port), "--bind", "127.0.0.1", "--unixsocket",
                      site.store.socket, "--dir", str(site.store.data), "--save", "", "--appendonly", "yes",
                      "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"])
    wait_for(lambda: is_loading(site), "Valkey to say LOADING")


def is_loading(site):
    try:
        client = resp.Client(site.store.socket, timeout=1)
        try:
            client("PING")
            return False
        except resp.ErrorAnswer as error:
            return str(error).startswith("LOADING")
        finally:
            client.close()
    except OSError:
        return False


def loaded(site):
    wait_for(lambda: site.store._answers(), "Valkey to have loaded", BACK_BOUND)
    site.store.drop_client()


answered("oom", "-OOM", say("CONFIG", "SET", "maxmemory", "1"), say("CONFIG", "SET", "maxmemory", "0"))
answered("readonly", "-READONLY", say("REPLICAOF", "127.0.0.1", "1"), say("REPLICAOF", "NO", "ONE"))
answered("loading", "-LOADING", loading, loaded)
answered("noauth", "-NOAUTH", no_password_known, lambda site: (
    site.store.client("CONFIG", "SET", "requirepass", "")))
answered("noperm", "-NOPERM", say("ACL", "SETUSER", "default", "-evalsha", "-eval", "-script"),
         say("ACL", "SETUSER", "default", "+@all"))


def moved(site):
    """Every answer is that of a cluster's node that has not the key: the proxy says so in Valkey's place."""
    site.to_store.alter(lambda data: b"-MOVED 3999 127.0.0.1:6381\r\n" * resp.answers(data), of_server=True)


answered("moved", "-MOVED", moved, lambda site: site.to_store.heal())


def bytes_one_by_one(site):
    site.to_store.trickle(0.1, of_server=True)


def given_up(site):
    def failed():
        return sum(n for k, n in site.brink.metrics().items() if k.startswith("brink_store_failures_total"))

    before = failed()
    wait_for(lambda: failed() >= before + 2, "two more attempts to be given up", BACK_BOUND)
    site.to_store.heal()


answered("trickling", "bytes one by one, 0.1 s apart", bytes_one_by_one, given_up,
         besides="each answer has `timeout` as a whole, those at connecting too; ")


@cell(ANSWERS, "answer-noscript-run", "SCRIPT FLUSH, again and again", "run", f"{PLAIN}; {AFTERWARDS}")
def _(site):
    site.arrange()
    site.before()
    client = resp.Client(site.store.socket)
    site.addCleanup(client.close)
    flushing = Repeating(lambda: client("SCRIPT", "FLUSH") and 0.01)
    with site.quiet():
        site.within()
        site.plain_alerts_go_on()
    flushing.stop()
    site.whole()


@cell(ANSWERS, "answer-eviction-run", "every window evicted", "run",
      "what is gone is gone: no alert opens or closes by it, the windows begin anew with what comes, the server's "
      "evicted_keys are exported; plain alerts are those of an undisturbed run")
def _(site):
    site.arrange()
    site.before()
    used = int(site.store.client.info("memory")["used_memory"])
    site.store.client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    site.store.client("CONFIG", "SET", "maxmemory", str(used + 400000))
    for i in range(100):
        site.store.client("SET", f"ballast:{i}", "x" * 50000)
        if not site.store.client.keys("wbuf:*"):
            break
    site.assertEqual(site.store.client.keys("wbuf:*"), [])
    site.store.client("FLUSHALL")
    site.store.client("CONFIG", "SET", "maxmemory", "0")
    site.story.points.clear()
    site.plain_alerts_go_on()
    site.story.put("firing", 40, 41)  # still: its window begins anew, the alert goes on
    site.story.put("fresh", 50, 60)
    site.alerts.take("OPEN", "avg", "fresh")
    site.settled()
    site.fence()
    site.assertEqual(site.alerts.events("avg", "firing"), ["OPEN"])
    site.counted("store_evicted_keys", timeout=20)
    site.story.put("firing", 1, 1, 1, 1, 1, 1)
    site.alerts.take("CLOSED", "avg", "firing")
    site.settled()


GARBAGE = {"not JSON": ("SET", "garbage"), "JSON of another shape": ("SET", '{"a": 1}'), "cut off": ("SET", "[[1767225600.0,25.1"),
           "binary": ("SET", b"\x00\xff\xfe"), "empty": ("SET", ""), "deep": ("SET", "[" * 5000),
           "a list": ("RPUSH", "x"), "a set": ("SADD", "x")}


@cell(ANSWERS, "answer-garbage-run", "a window's value replaced by " + ", ".join(GARBAGE), "run",
      "counted, replaced, the window begins anew with what comes and no alert opens or closes by it; plain alerts "
      "are those of an undisturbed run")
def _(site):
    site.arrange()
    site.before()
    for what, (command, value) in GARBAGE.items():
        with site.subTest(what):
            site.store.client("DEL", "wbuf:acme:avg:firing")
            site.store.client(command, "wbuf:acme:avg:firing", value)
            site.story.points["firing"] = []
            site.story.put("firing", 40, 41)
            site.settled()
    site.fence()
    site.assertEqual(site.alerts.events("avg", "firing"), ["OPEN"])
    counted = sum(v for k, v in site.brink.metrics().items() if k.startswith("brink_store_values_replaced_total"))
    site.assertGreaterEqual(counted, len(GARBAGE) - 1)  # an empty value is an empty window
    site.within()
    site.story.put("firing", *[1] * 20)
    site.whole()


@cell(ANSWERS, "answer-garbage-start", "windows and devices' states replaced by garbage while the gateway is down", "start",
      f"answers within {START_BOUND} s and is ready; the windows begin anew with what comes and no alert opens or closes by it; "
      "plain alerts are those of an undisturbed run")
def _(site):
    site.arrange()
    site.before()
    devices = {f"g{i}": garbage for i, garbage in enumerate(GARBAGE.values())}
    for device in devices:
        site.story.put(device, 30, 31)
        site.alerts.take("OPEN", "avg", device)
    site.stops_cleanly()
    states = "brink:gw-brink:devices"
    for device, (command, value) in devices.items():
        site.store.client("DEL", f"wbuf:acme:avg:{device}")
        site.store.client(command, f"wbuf:acme:avg:{device}", value)
        site.assertEqual(site.store.client("HSET", states, f"acme/{device}", value), 0)  # it is there
        site.story.points[device] = []
    site.brink.start(ready=False)
    site.brink.wait_ready(START_BOUND)
    for device in devices:
        site.story.put(device, 40, 41)
    site.settled()
    site.fence()
    for device in devices:
        site.assertEqual(site.alerts.events("avg", device), ["OPEN"], device)
    site.within()
    site.whole()


@cell(ANSWERS, "answer-eviction-start", "every key evicted while the gateway is down", "start",
      f"answers within {START_BOUND} s and is ready; the windows begin anew with what comes and no alert opens or closes by it; "
      "plain alerts are those of an undisturbed run")
def _(site):
    site.arrange()
    site.before()
    site.stops_cleanly()
    site.store.client("FLUSHALL")
    site.story.points.clear()
    site.brink.start(ready=False)
    site.brink.wait_ready(START_BOUND)
    site.story.put("firing", 40, 41)
    site.story.put("fresh", 50, 60)
    site.alerts.take("OPEN", "avg", "fresh")
    site.settled()
    site.fence()
    site.assertEqual(site.alerts.events("avg", "firing"), ["OPEN"])
    site.story.put("firing", 1, 1, 1, 1, 1, 1)
    site.alerts.take("CLOSED", "avg", "firing")
    site.settled()
