"""Holds what the gateway did against what the oracle says: alerts in their order, windows in Valkey."""

import json

import oracle
import stream
from lib.harness import key_of, seconds

LATE_DECISION_MS = 600_000  # "now" of a device runs on between its newest reading and a late one


def differences(key, expected, got):
    """Of one rule and device: the first event that is not as it should be, as a list of one text, or []."""
    for i, (want, have) in enumerate(zip(expected, got)):
        at = seconds(have["event_at"])
        same_time = at == want.event_at if want.exact else 0 <= at - want.event_at <= LATE_DECISION_MS
        if have["event_type"] != want.event_type or not same_time:
            return [f"{key} number {i}: expected {brief(expected[max(0, i - 2) : i + 3])}, got "
                    + str([(a["event_type"], seconds(a["event_at"])) for a in got[max(0, i - 2) : i + 3]])]
        if want.value is not None:
            where = f"{key} number {i}, {want.event_type} at {want.event_at}"
            wrong = _details(where, want, have["details"])
            if wrong:
                return [wrong]
    if len(expected) != len(got):
        i = min(len(expected), len(got))
        more = expected[i] if len(expected) > i else {
            k: got[i][k] for k in ("event_type", "event_at", "details")}
        return [f"{key}: expected {len(expected)} events, got {len(got)}; first without a partner: {more}"]
    return []


def _details(where, want, details):
    w = details["windows"][0]
    points = [(round(at * 1000) - stream.BASE_MS, v) for at, v in w["points"]]
    missing = [p for p in want.points[-len(points):] if not _among(p, points)]
    surplus = [p for p in points if not _among(p, want.points)]
    if w["count"] != len(want.points) or missing or surplus:
        return f"{where}: {w['count']} points of {len(want.points)}, missing {missing}, surplus {surplus}"
    if abs(details["value"] - want.value) > 1e-9 * max(1, abs(want.value)):
        return f"{where}: value {details['value']!r} of {want.value!r}"
    ends = tuple(round(w[k] * 1000) - stream.BASE_MS for k in ("first_ts", "last_ts"))
    if ends != (want.points[0][0], want.points[-1][0]):
        return f"{where}: from and to {ends}"
    return None


def _among(point, points):
    return any(at == point[0] and abs(v - point[1]) <= 1e-12 * max(1, abs(v)) for at, v in points)


def brief(alerts):
    return [(a.event_type, a.event_at) for a in alerts]


def windows(client, judge):
    """(how many there should be, what is wrong with them) of Valkey's lists, which `client` reads."""
    expected = list(judge.windows())
    values = client.pipeline([("GET", key_of(r, d, "acme", m)) for r, d, m, _, _ in expected])
    wrong = []
    for (rule, device, metric, spans, points), value in zip(expected, values):
        where = f"{rule} {device} {metric or ''}"
        if value is None:
            wrong.append(f"{where}: no key, expected {len(points)} points")
            continue
        stored = json.loads(value)
        found = oracle.live(stored, spans)
        if not _agree(found, points):
            wrong.append(f"{where}: expected {points}, found {found}")
        live_text = json.dumps([[1767225600 + at / 1000, v] for at, v in found])
        if len(value) > 2 * len(live_text) + 4096:
            wrong.append(f"{where}: {len(value)} bytes for {len(live_text)} that live")
    return len(expected), wrong


def _agree(found, expected):
    base = stream.BASE_MS
    return len(found) == len(expected) and all(
        at == base + want_at and abs(v - want) <= 1e-12 * max(1, abs(want))
        for (at, v), (want_at, want) in zip(found, expected))
