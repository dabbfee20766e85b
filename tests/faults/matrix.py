"""{broker, Valkey, both} x {down, frozen, slow, trickling, stalled, cutting, refusing, back} x {start, run, reload, stop}."""

import time

import faults
from cells import Cell
from rig import BACK_BOUND, RELOAD_BOUND, START_BOUND, STOP_BOUND, TIMEOUT, wait_for

TARGETS = {"broker": "the broker", "valkey": "Valkey", "both": "both"}
WORDS = {"down": "down", "frozen": "frozen", "slow": "slow", "trickling": "behind a link that passes bytes one by one",
         "stalled": "behind a link that stays open and passes nothing", "cutting": "cutting connections in the middle of packets",
         "refusing": "refusing connections", "back": "down, and back meanwhile"}


KNOWN_BOUND = 5  # seconds that are enough to see that a cell which cannot hold does not
HOLD = 5  # seconds of a fault at run
MUTE_BOUND = 10  # ... until a broker that says nothing is given up: the keep-alive is 2 s


def go_on_without_windows(site, fault):
    """Alerts without a window as ever; the others, where nothing can be confirmed, not at all."""
    site.plain_alerts_go_on()
    if not isinstance(fault, faults.Cutting):
        site.assertEqual(site.alerts.events("avg"), site.avg_before)


def at_run(site, fault, plain):
    site.before()
    fault.begin()
    fault.meanwhile()
    with site.quiet():
        until = time.monotonic() + HOLD
        if not fault.silences_devices:
            site.within(wait=False)
        if plain:
            go_on_without_windows(site, fault)
        wait_for(lambda: time.monotonic() > until, "the fault to last", HOLD + 1)
        if fault.leaves_broker_mute:
            site.logged("connection to the broker lost", timeout=MUTE_BOUND - HOLD)
        site.alive()
    fault.end()
    if fault.silences_devices:
        site.within()


def at_start(site, fault, plain):
    site.before()
    site.stops_cleanly()
    fault.begin()
    if not fault.silences_devices:
        site.within()
    fault.meanwhile()
    site.brink.start(ready=False)
    site.alive()
    if plain:
        site.brink.wait_ready(START_BOUND)
        go_on_without_windows(site, fault)
    fault.end()
    if fault.silences_devices:
        site.within()


def at_reload(site, fault, plain):
    site.before()
    fault.begin()
    if not fault.silences_devices:
        site.within(wait=False)
    fault.meanwhile()
    site.reloads_whole_or_not()
    if plain:
        site.more_in_force()
        go_on_without_windows(site, fault)
    site.alive()
    fault.end()
    if fault.silences_devices:
        site.within()
    if not plain:
        site.more_in_force()


def at_stop(site, fault, _):
    site.before()
    fault.begin()
    if fault.passes_readings_on:
        site.within_and_taken()
    elif not fault.silences_devices:
        site.within(wait=False)
    fault.meanwhile()
    site.stops_cleanly()
    fault.end()
    site.brink.start(ready=False)
    site.brink.wait_ready(BACK_BOUND)
    if fault.silences_devices:
        site.within()


MOMENTS = {"start": at_start, "run": at_run, "reload": at_reload, "stop": at_stop}

PLAIN = f"alerts without a window go on, one stall of at most {TIMEOUT:g} s"
HOLDS = {
    "start": {True: f"answers within {START_BOUND} s and is ready; {PLAIN}",
              False: f"answers within {START_BOUND} s"},
    "run": {True: f"{PLAIN}; neither processor nor log is busy",
            False: "stays alive; neither processor nor log is busy"},
    "reload": {True: f"bad rules change nothing, good ones are in force within {RELOAD_BOUND} s; {PLAIN}",
               False: f"bad rules change nothing, good ones are taken within {RELOAD_BOUND} s"},
    "stop": {True: f"exit status 0 within {STOP_BOUND} s", False: f"exit status 0 within {STOP_BOUND} s"},
}
AFTERWARDS = "afterwards as undisturbed"  # rig.Site.whole()


def make(target, kind, moment):
    # Where the broker's side is disturbed alerts come late; what is slow at it is within bounds all the same.
    plain = target == "valkey" and kind != "back"

    def run(site):
        site.arrange()
        MOMENTS[moment](site, faults.make(site, target, kind), plain)
        site.whole()
        if moment in ("run", "reload"):
            site.no_descriptor_lost()

    mute = (f"; a broker that says nothing is given up within {MUTE_BOUND} s"
            if target != "valkey" and kind in ("frozen", "stalled") and moment == "run" else "")
    still = "; rules over windows neither fire nor resolve" if plain and kind != "cutting" and moment != "stop" else ""
    return Cell(group="Servers", name=f"{target}-{kind}-{moment}", what=f"{TARGETS[target]} {WORDS[kind]}",
                moment=moment, holds=f"{HOLDS[moment][plain]}{mute}{still}; {AFTERWARDS}", run=run)


CELLS = [make(target, kind, moment) for target in TARGETS for kind in WORDS for moment in MOMENTS]
