#!/usr/bin/env python3
"""Shows a gateway's site as it happens: a sample of the readings and every alert, a line each, and,
with --log, what the gateway says of itself. Python's standard library only."""

import argparse
import datetime
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import minimqtt  # noqa: E402

COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
           "dim": "2", "bold": "1"}
SEVERITY = {"critical": ("red", "bold"), "warning": ("yellow", "bold"), "info": ("cyan",)}


class Screen:
    def __init__(self, colour):
        self.colour = colour

    def paint(self, text, *styles):
        if not self.colour or not styles:
            return text
        return "\x1b[" + ";".join(COLOURS[s] for s in styles) + "m" + text + "\x1b[0m"

    def line(self, kind, text, *styles):
        now = datetime.datetime.now().strftime("%H:%M:%S")
        print(f"{self.paint(now, 'dim')}  {self.paint(f'{kind:<9}', *styles)} {text}", flush=True)


def plain(text):
    """What came over the network, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def show_reading(screen, topic, payload):
    device = topic.split("/")[3] if topic.count("/") >= 4 else topic
    try:
        metrics = json.loads(payload)["metrics"]
        values = "  ".join(f"{plain(name)} {plain(value)}" for name, value in metrics.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        values = plain(payload[:100].decode(errors="replace"))
    screen.line("reading", screen.paint(f"{plain(device):<8} {values}", "dim"), "dim")


def show_alert(screen, payload):
    try:
        alert = json.loads(payload)
        event, severity = alert["event_type"], alert.get("severity", "")
        text = f"{plain(alert['device_id']):<8} {plain(alert['rule_id'])} ({plain(severity)})"
        message = alert.get("message") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        screen.line("alert", plain(payload[:200].decode(errors="replace")), "bold")
        return None
    if event == "CLOSED":
        screen.line(plain(event), screen.paint(text, "green"), "green")
    else:
        styles = SEVERITY.get(severity, ("bold",))
        screen.line(plain(event), f"{screen.paint(text, *styles)}  {plain(message)}", *styles)
    return event


class LogFile:
    """The lines that are added to a file."""

    def __init__(self, path):
        self.file = open(path, errors="replace")
        self.rest = ""

    def lines(self):
        self.rest += self.file.read()
        *whole, self.rest = self.rest.split("\n")
        return whole


def run(options, screen):
    client = minimqtt.Client(*options.broker, f"brink-watch-{os.getpid()}")
    client.subscribe([options.readings, options.alerts], qos=0)
    log = LogFile(options.log) if options.log else None
    started = time.monotonic()
    shown, seen, since, sample, counts = 0.0, 0, 0, None, {}
    while not options.seconds or time.monotonic() - started < options.seconds:
        for topic, payload, _ in client.wait(0.25):
            if topic.startswith(options.alerts.split("#")[0]):
                event = show_alert(screen, payload)
                counts[event] = counts.get(event, 0) + 1
            else:
                seen, since = seen + 1, since + 1
                # Each reading since the last one shown is as likely as any other to be the next.
                if random.randrange(since) == 0:
                    sample = topic, payload
        if sample and time.monotonic() - shown >= options.every:
            show_reading(screen, *sample)
            shown, since, sample = time.monotonic(), 0, None
        for line in log.lines() if log else ():
            screen.line("gateway", plain(line), "blue")
    return seen, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", default="127.0.0.1:1883", type=minimqtt.parse_address,
                        metavar="HOST:PORT")
    parser.add_argument("--readings", default="tenant/+/device/+/telemetry", metavar="FILTER")
    parser.add_argument("--alerts", default="alerts/#", metavar="FILTER")
    parser.add_argument("--log", metavar="FILE", help="a file to follow beside them")
    parser.add_argument("--every", default=0.5, type=float, metavar="SECONDS",
                        help="a reading at most this often (default 0.5)")
    parser.add_argument("--seconds", default=0.0, type=float, help="end after this time (default never)")
    parser.add_argument("--colour", choices=("auto", "always", "never"), default="auto")
    options = parser.parse_args()
    colour = options.colour == "always" or (
        options.colour == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    # Ctrl-C and a request to end are the same here: say what was seen, and go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen(colour)
    try:
        seen, counts = run(options, screen)
    except KeyboardInterrupt:
        return
    except (minimqtt.MqttError, BrokenPipeError) as e:
        sys.exit(f"watch: {e}")
    alerts = ", ".join(f"{n} {event}" for event, n in sorted(counts.items(), key=str)) or "none"
    screen.line("end", f"{seen} readings; alerts: {alerts}", "bold")


if __name__ == "__main__":
    main()
