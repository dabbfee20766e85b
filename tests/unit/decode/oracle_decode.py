#!/usr/bin/env python3
"""Random payloads and stamps, decoded here with the standard library and by decode/: both must agree.

usage: oracle_decode.py PROBE [CASES [SEED]]     (PROBE: decode_probe; SPEC 3.1-3.4)
"""
import datetime
import decimal
import json
import math
import random
import re
import subprocess
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
LAST_US = 253402300799999999
ABSENT = object()

ON_OFF = {"ON": 1.0, "OFF": 0.0, "": -1.0}
ENTRIES = [
    dict(topic="j/{tenant}/{device}", format="json", metrics=["metrics"], ts=["ts"],
         site=["site_id"], seq=["seq"], values=ON_OFF),
    dict(topic="whole/{device}/{floor}", format="json", metrics=[], ts=["ts"],
         site=["a", "site_id"], seq=["seq"], retained=True),
    dict(topic="deep/{device}", format="json", metrics=["a/b", "0", "~"], ts=["a/b", "1"]),
    dict(topic="v/{device}/{metric}", format="value", values=ON_OFF),
    dict(topic="level/{tenant}/{device}", format="value", metric="level"),
    dict(topic="hb/{device}", format="heartbeat"),
]


class Refused(Exception):
    pass


class Number:
    """A JSON number as written."""

    def __init__(self, text):
        if len(text) > 63:
            raise Refused("a number of %d bytes" % len(text))
        self.text = text
        self.value = float(text)


class Object(dict):
    """Compared by identity where a pointer names it."""


# ---- strict JSON ----

def check_string(s):
    if "\0" in s or any(0xD800 <= ord(c) <= 0xDFFF for c in s):
        raise Refused("no text")


def check_strings(v):
    if isinstance(v, str):
        check_string(v)
    elif isinstance(v, list):
        for e in v:
            check_strings(e)


def members(pairs):
    d = Object()
    for k, v in pairs:
        check_string(k)
        check_strings(v)
        d.pop(k, None)  # the last one counts, and stands where it stood
        d[k] = v
    return d


def refuse_constant(_):
    raise Refused("no number")


def depth_of(text):
    """How deep arrays and objects lie in each other; text is JSON."""
    depth = deepest = 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest


def parse_json(payload):
    if payload.startswith(b"\xef\xbb\xbf"):
        payload = payload[3:]
    try:
        text = payload.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Refused("two marks")
        v = json.loads(text, object_pairs_hook=members, parse_int=Number,
                       parse_float=Number, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as e:
        raise Refused(str(e))
    check_strings(v)
    if depth_of(text) > 128:
        raise Refused("too deep")
    return v


def find(v, pointer):
    for token in pointer:
        if isinstance(v, dict):
            v = v.get(token, ABSENT)
        elif isinstance(v, list) and re.fullmatch(r"0|[1-9][0-9]*", token):
            v = v[int(token)] if int(token) < len(v) else ABSENT
        else:
            v = ABSENT
        if v is ABSENT:
            return ABSENT
    return v


def path_of(v, pointer):
    """The pointer, if it leads anywhere."""
    return None if pointer is None or find(v, pointer) is ABSENT else tuple(pointer)


# ---- numbers and stamps ----

def parse_number(s):
    """None: no number; otherwise a float, perhaps infinite."""
    if len(s) > 400 or not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", s):
        return None
    return float(s)


def to_nearest(x):
    return int(decimal.Decimal(x).to_integral_value(decimal.ROUND_HALF_UP))


def stamp_of_number(v):
    if not math.isfinite(v) or abs(v) >= 1e21:
        return None
    if abs(v) < 1e11:
        whole = int(v)
        us = whole * 1000000 + to_nearest((v - whole) * 1e6)
    elif abs(v) < 1e14:
        us = int(v) * 1000 + to_nearest((v - int(v)) * 1e3)
    elif abs(v) < 1e17:
        us = to_nearest(v)
    else:
        us = to_nearest(v / 1e3)
    return us if abs(us) <= LAST_US else None


STAMP = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)"
    r"(?:[Tt ](\d\d)(?:(\d\d)(?:(\d\d)(?:[.,](\d+))?)?|:(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)"
    r"(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?)?", re.ASCII)


def stamp_of_text(s):
    m = STAMP.fullmatch(s)
    if not m:
        return None
    (year, _, month, day, hour, bm, bs, bf, em, es, ef, _, sign, zh, zm) = m.groups()
    minute, second, fraction = bm or em or "0", bs or es or "0", bf or ef or ""
    year, second, leap = int(year), int(second), 0
    if second == 60:
        second, leap = 59, 1
    shift = 400 if year == 0 else 0  # datetime begins at year 1
    try:
        t = datetime.datetime(year + shift, int(month), int(day), int(hour or 0),
                              int(minute), second, int((fraction + "000000")[:6]),
                              tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    us = (t - EPOCH) // datetime.timedelta(microseconds=1)
    us += leap * 1000000 - (146097 * 86400 * 1000000 if shift else 0)
    if sign:
        if int(zh) > 23 or int(zm or 0) > 59:
            return None
        zone = (int(zh) * 60 + int(zm or 0)) * 60 * 1000000
        us -= zone if sign == "+" else -zone
    return us


# ---- what decode/ promises ----

def has_control(s):
    return any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in s)


def is_name(s, bytes_max):
    return 0 < len(s.encode()) <= bytes_max and not has_control(s)


class Decoded:
    def __init__(self):
        self.messages = []
        self.counts = {}

    def count(self, what, n=1):
        self.counts[what] = self.counts.get(what, 0) + n


def add_reading(out, readings, name, value):
    if not is_name(name, 256):
        out.count("READING_NAME")
    elif not math.isfinite(value):
        out.count("READING_NOT_FINITE")
    elif len(readings) == 1024:
        out.count("READING_LIMIT")
    else:
        readings.append((name, value))


def flatten(out, readings, entry, v, apart, path, prefix):
    for k, e in v.items():
        here, name = path + (k,), prefix + k
        if here in apart:
            continue
        if isinstance(e, dict):
            flatten(out, readings, entry, e, apart, here, name + ".")
        elif isinstance(e, bool):
            add_reading(out, readings, name, float(e))
        elif isinstance(e, Number):
            add_reading(out, readings, name, e.value)
        elif isinstance(e, str) and e in entry.get("values", {}):
            add_reading(out, readings, name, entry["values"][e])


def time_of(out, entry, v, arrived):
    if "ts" not in entry:
        return arrived, True
    ts = find(v, entry["ts"])
    if ts is ABSENT or ts is None:
        out.count("TIME_MISSING")
        return arrived, True
    us = None
    if isinstance(ts, Number):
        us = stamp_of_number(ts.value)
    elif isinstance(ts, str):
        us = stamp_of_text(ts)
        if us is None and parse_number(ts) is not None:
            us = stamp_of_number(parse_number(ts))
    if us is None:
        out.count("TIME_INVALID")
    elif us < 10**15:
        out.count("TIME_TOO_OLD")
    elif us - arrived > 300 * 10**6:
        out.count("TIME_FUTURE")
    else:
        return us, False
    return arrived, True


def site_of(entry, v):
    site = find(v, entry["site"]) if "site" in entry else ABSENT
    if isinstance(site, Number) and math.isfinite(site.value):
        text = repr(site.value)
        if abs(site.value) < 1e15 and text.endswith(".0"):
            text = text[:-2]
        return text
    return site if isinstance(site, str) and is_name(site, 256) else ""


def seq_of(out, entry, v):
    seq = find(v, entry["seq"]) if "seq" in entry else ABSENT
    if seq is ABSENT or seq is None:
        return None
    n = None
    if isinstance(seq, str) and re.fullmatch("[0-9]+", seq):
        n = int(seq)
    elif isinstance(seq, Number):
        if re.fullmatch("-?[0-9]+", seq.text):
            n = int(seq.text)
        elif math.isfinite(seq.value) and seq.value == math.floor(seq.value):
            n = int(seq.value)
    if n is not None and 0 <= n <= 2**63:
        return n
    out.count("SEQ_INVALID")
    return None


def decode_payload(out, entry, head, v, arrived):
    metrics = find(v, entry["metrics"])
    if metrics is ABSENT:
        out.count("DROP_NO_MEMBER")
        return
    if not isinstance(metrics, dict):
        out.count("DROP_NOT_NUMBER")
        return
    readings = []
    apart = {path_of(v, entry.get(k)) for k in ("ts", "site", "seq")}
    flatten(out, readings, entry, metrics, apart, tuple(entry["metrics"]), "")
    at, is_arrival = time_of(out, entry, v, arrived)
    last = {}
    for name, value in readings:
        last.pop(name, None)
        last[name] = value
    if last:
        out.count("READINGS", len(last))
    out.messages.append((*head, site_of(entry, v), at, is_arrival, seq_of(out, entry, v),
                         False, list(last.items())))


def match(topic):
    for i, entry in enumerate(ENTRIES):
        names = {"tenant": "default", "metric": ""}
        pattern, levels = entry["topic"].split("/"), topic.split("/")
        if len(pattern) == len(levels) and all(
                p[0] == "{" or p == l for p, l in zip(pattern, levels)):
            names.update({p[1:-1]: l for p, l in zip(pattern, levels) if p[0] == "{"})
            return i, entry, names
    return None


def decode_value(out, entry, head, names, payload, arrived):
    """A number, a name of one, or an array of such: each is one message."""
    text = payload.decode("latin-1")
    values = entry.get("values", {})
    if text.startswith("[") and text not in values:
        try:
            elements = parse_json(payload)
        except Refused:
            out.count("DROP_NOT_JSON")
            return
        found = [float(e) if isinstance(e, bool) else e.value if isinstance(e, Number)
                 else values.get(e) if isinstance(e, str) else None for e in elements[:4096]]
        if len(elements) > 4096:
            out.count("DROP_MESSAGE_LIMIT", len(elements) - 4096)
    else:
        found = [values.get(text, {"true": 1.0, "false": 0.0}.get(text, parse_number(text)))]
    for value in found:
        readings = []
        if value is None:
            out.count("DROP_NOT_NUMBER")
        else:
            add_reading(out, readings, names["metric"] or entry.get("metric", ""), value)
        if readings:
            out.count("READINGS")
            out.messages.append((*head, "", arrived, True, None, False, readings))


def decode(case):
    retained, too_large, arrived, topic, payload = case
    out = Decoded()
    try:
        name = topic.decode("utf-8")
    except UnicodeDecodeError:
        name = "\0"
    found = None if "\0" in name else match(name)
    if not found:
        out.count("DROP_BAD_TOPIC")
        return out
    index, entry, names = found
    head = (names["tenant"], names["device"], index)
    if not is_name(names["tenant"], 512) or not is_name(names["device"], 512):
        out.count("DROP_BAD_ID")
    elif retained and not entry.get("retained"):
        out.count("DROP_RETAINED")
    elif entry["format"] == "heartbeat":
        out.messages.append((*head, "", arrived, True, None, True, []))
    elif too_large:
        out.count("DROP_TOO_LARGE")
    elif entry["format"] == "value":
        decode_value(out, entry, head, names, payload.strip(b" \t\n\v\f\r"), arrived)
    else:
        try:
            v = parse_json(payload)
        except Refused:
            out.count("DROP_NOT_JSON")
            return out
        elements = v if isinstance(v, list) else [v]
        for e in elements[:4096]:
            decode_payload(out, entry, head, e, arrived)
        if len(elements) > 4096:
            out.count("DROP_MESSAGE_LIMIT", len(elements) - 4096)
    return out


# ---- random cases ----

KEYS = ["metrics", "ts", "site_id", "seq", "a/b", "~", "a", "b", "a.b", "0", "", "temp_c",
        "t\u00e9mp", "x" * 120, "x" * 250, "\x01", "\x7f", "\u0085", "\U0001f321", "\ud800", "n\0l"]
WORDS = ["ON", "OFF", "", "on", "s1", "5", "-5", "007", "9223372036854775808",
         "9223372036854775809", "1e3", "\n", "\u0080", "site \u00e4", "y" * 256, "y" * 257, "\udc00", "q\"\\/"]
DIGITS = "0123456789"
NEAR = 1767225600000000  # 2026-01-01T00:00:00Z


def random_number(r):
    pick = r.randrange(12)
    if pick < 4:
        return repr(round(r.uniform(-100, 100), r.randrange(6)))
    if pick == 4:
        return r.choice(["0", "-0", "-0.0", "1e999", "-1e999", "1e-999", "1E5", "1.5e+3",
                         "9007199254740991", "9007199254740992", "9007199254740993",
                         "9223372036854775807", "9223372036854775808", "9223372036854775809",
                         "18446744073709551616", "1" * 63, "1" * 64, "0." + "3" * 61, "0." + "3" * 62])
    if pick == 5 and r.randrange(8) == 0:
        return r.choice(["01", "+1", "1.", ".5", "1e", "1e+", "--1", "0x10", "NaN", "Infinity",
                         "-Infinity", "-", "1.e5", "1_0", "\u0663", "00", "-01"])
    if pick == 6:
        return str(r.randrange(2**53, 2**64))
    if pick == 7:
        return repr(r.choice([1, 1e3, 1e6, 1e9]) * (1767225600 + r.uniform(-1e9, 1e3)))
    if pick == 8:
        return str(int(r.choice([1, 1e3, 1e6, 1e9])) * (1767225600 + r.randrange(-10**6, 10**6)))
    return str(r.randrange(-1000, 10**r.randrange(1, 20)))


def near_stamp(r):
    """Around NEAR, where the bound to the future is, in one of the forms."""
    us = r.choice([0, 300 * 10**6, -300 * 10**6]) + r.choice([0, 1, -1, r.randrange(-10**7, 10**7)])
    if r.randrange(3) == 0:
        text, zero = r.choice([("%d", 1), ("%.3f", 1e3), ("%.6f", 1e6)]) if r.randrange(3) == 0 else \
            r.choice([("%d", 1), ("%d", 1000), ("%d", 1000000)])
        text %= (NEAR + us) / {1: 1e6, 1000: 1e3, 1000000: 1, 1e3: 1e6, 1e6: 1e6}[zero]
        return text
    zone = r.choice([0, 0, 0, 90, -720])
    t = EPOCH + datetime.timedelta(microseconds=NEAR + us, minutes=zone)
    return t.strftime(r.choice(["%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%d %H:%M:%S"])) + \
        r.choice([t.strftime(".%f"), "", t.strftime(",%f")[:4], t.strftime(".%f") + "999"]) + \
        (r.choice(["", "Z", "+00:00"]) if zone == 0 else "%s%02d%s%02d" % (
            "+" if zone > 0 else "-", abs(zone) // 60, r.choice(["", ":"]), abs(zone) % 60))


def random_stamp(r):
    if r.randrange(3) == 0:
        return near_stamp(r)
    year = r.choice(["2026", "2024", "2001", "0000", "1969", "9999", "1900", "2000", "2100",
                     "%04d" % r.randrange(10000)])
    month = "%02d" % r.choice([1, 2, 9, 12, r.randrange(14)])
    day = "%02d" % r.choice([1, 9, 28, 29, 31, r.randrange(33)])
    hour = "%02d" % r.choice([0, 1, 23, r.randrange(26)])
    minute = "%02d" % r.choice([0, 46, 59, r.randrange(62)])
    second = "%02d" % r.choice([0, 40, 59, 60, r.randrange(63)])
    dash, colon = r.choice([("-", ":"), ("-", ":"), ("", ""), ("-", ""), ("", ":")])
    s = year + dash + month + dash + day
    if r.randrange(8):
        s += r.choice("TTT t_") + hour + colon + minute
        if r.randrange(5):
            s += colon + second
            if r.randrange(2):
                s += r.choice("..,;") + "".join(r.choices(DIGITS, k=r.choice([1, 3, 6, 9, 0, 12])))
        s += r.choice(["", "Z", "Z", "z", "+00:00", "-0130", "+05", "-23:59", "+24:00", "+01:60",
                       "+1", "+01:", " Z", "UTC"])
    return mutate(r, s) if r.randrange(6) == 0 else s


def mutate(r, s):
    for _ in range(r.randrange(1, 3)):
        i = r.randrange(len(s) + 1)
        s = s[:i] + r.choice(["", r.choice("0123456789-:TZ+.,[]{}\" \\e\n\t\x0b\0\x85n"), s[i:i + 2]]) \
            + s[i + r.randrange(3):]
    return s


def random_string(r):
    s = r.choice([r.choice(WORDS), random_stamp(r), r.choice(KEYS), random_number(r)])
    text = json.dumps(s, ensure_ascii=r.randrange(2) == 0)
    if r.randrange(40) == 0:
        text = text[:-1] + r.choice(["\\u00e9", "\\ud83c\\udf21", "\\ud83c", "\\udf21\\ud83c", "\\u0000",
                                     "\\x41", "\\u12g4", "\\", "\t", "\x1f", "\x7f", "\\/", "\\b", "\u00a0", "\\uD83C\\u0041"]) + '"'
    return text


def space(r):
    return r.choice(["", "", "", "", " ", "\n", "\t", "\r", "  "]) if r.randrange(500) else \
        r.choice(["\v", "\f", "\u00a0", "\0", "\x1f"])


def random_json(r, depth, keys=None):
    pick = r.randrange(14 if depth > 0 else 10)
    if pick < 6:
        return random_number(r)
    if pick < 8:
        return random_string(r)
    if pick < 10:
        return r.choice(["true", "false", "null", "null"] + (["True", "nul", ""] if r.randrange(60) == 0 else []))
    n = r.choice([0, 1, 2, 3, 5, 20 if r.randrange(8) == 0 else 4])
    if pick == 10:
        return "[" + ",".join(space(r) + random_json(r, depth - 1) + space(r) for _ in range(n)) + "]"
    return random_object(r, depth, n)


def random_object(r, depth, n):
    keys = [r.choice(KEYS[:14] if r.randrange(40) else KEYS) for _ in range(n)]
    return "{" + ",".join(
        space(r) + json.dumps(k, ensure_ascii=r.randrange(2) == 0) + space(r) + ":" + space(r)
        + random_json(r, depth - 1) + space(r) for k in keys) + "}"


def random_payload_object(r):
    """Mostly what a device sends."""
    parts = []
    if r.randrange(6):
        parts.append('"ts":' + r.choice(
            [json.dumps(near_stamp(r)), json.dumps(near_stamp(r)), json.dumps(random_stamp(r)),
             random_number(r), re.sub("^.*[^0-9.].*$", "1767225600", near_stamp(r))]))
    if r.randrange(3):
        parts.append('"seq":' + r.choice([random_number(r), str(r.randrange(10**6)), random_string(r)]))
    if r.randrange(3):
        parts.append('"site_id":' + r.choice(['"s1"', random_string(r), random_number(r)]))
    if r.randrange(3) == 0:
        parts.append('"a":{"site_id":%s,"b":%s}' % (random_string(r), random_number(r)))
    if r.randrange(3) == 0:
        parts.append('"a\\/b":[{"~":%s},%s]' % (random_object(r, 2, 3), random_number(r)))
    if r.randrange(12):
        parts.append('"metrics":' + (random_object(r, 3, r.randrange(6)) if r.randrange(8) else random_json(r, 1)))
    if r.randrange(20) == 0:
        parts.append('"metrics":' + random_object(r, 1, 40))
    r.shuffle(parts)
    return "{" + ",".join(parts) + "}"


def random_payload(r):
    pick = r.randrange(20)
    if pick < 9:
        s = random_payload_object(r)
    elif pick < 12:
        s = "[" + ",".join(random_payload_object(r) if r.randrange(6) else random_json(r, 1)
                           for _ in range(r.randrange(5))) + "]"
    elif pick < 15:
        s = space(r) + random_json(r, 3) + space(r)
    elif pick == 15:
        n = r.choice([1, 3, 64, 127, 128, 129, 600])
        s = "[" * n + "1" + "]" * r.choice([n, n, n - 1])
    elif pick == 16:
        n = r.choice([126, 127, 128])
        s = '{"metrics":' + '{"a":' * n + "1" + "}" * n + "}"
    elif pick == 17:
        s = r.choice(["\ufeff", "\ufeff\ufeff", "", " ", "\0"]) + r.choice(["1", random_payload_object(r), ""])
    elif pick == 18:
        n = r.choice([1, 1023, 1024, 1025]) if r.randrange(4) == 0 else 20
        s = '{"metrics":{' + ",".join('"m%d":%d' % (r.randrange(n) if r.randrange(4) == 0 else i, i)
                                      for i in range(n)) + "}}"
    else:
        s = r.choice([random_number(r), r.choice(WORDS), "true", "false", " 5 ", "\t-2.5e1\r\n", "5 5", "nan"])
    if r.randrange(7) == 0:
        s = mutate(r, s)
    b = s.encode("utf-8", "surrogatepass")
    if r.randrange(25) == 0 and b:
        i = r.randrange(len(b))
        b = b[:i] + bytes([r.randrange(256)]) + b[i + r.randrange(2):]
    return b


def random_case(r):
    def level():
        return r.choice([b"acme", b"dev-1", b"d", "t\u00e9".encode()] * 12 +
                        [b"", b"\xff", b"a\x01", b"\xc2\x85", b"z" * 512, b"z" * 513, b"a\0"])
    kind = r.choice([b"j/%s/%s"] * 16 + [b"whole/%s/%s"] * 8 + [b"deep/%s"] * 3 +
                    [b"v/%s/%s", b"level/%s/%s", b"hb/%s", b"other/%s"])
    topic = kind % tuple(level() for _ in range(kind.count(b"%s")))
    payload = random_payload(r)
    if kind[:1] in b"vl" and r.randrange(2):
        payload = r.choice([random_number(r), " ON", "OFF", "true", random_number(r) + " "]).encode()
    return (r.randrange(20) == 0, r.randrange(30) == 0,
            NEAR + r.choice([0, 0, r.randrange(-10**15, 10**12)]), topic, payload)


def big_cases():
    """What random ones would not hit: the limits of an array, of one message, of an odd mapping."""
    at = NEAR
    for n in (4095, 4096, 4097, 5000):
        yield False, False, at, b"j/t/d", ("[" + ",".join(
            '{"seq":%d,"metrics":{"a":%d}}' % (2**60 + i, i) for i in range(n)) + "]").encode()
    yield False, False, at, b"j/t/d", b"[" + b",".join([b"1"] * 4100) + b"]"
    yield False, False, at, b"whole/d/2", ("{" + ",".join('"k%d":{"k":%d}' % (i % 1500, i)
                                                         for i in range(3000)) + "}").encode()
    yield False, False, at, b"whole/d/2", ("{" + ",".join('"a.b":%d,"a":{"b":%d}' % (i, i)
                                                         for i in range(30)) + "}").encode()


# ---- asking ----

def shown(b):
    return b.hex() or "-"


def expected(out):
    lines = []
    for tenant, device, entry, site, at, is_arrival, seq, heartbeat, readings in out.messages:
        lines.append(("M", tenant, device, site, at, is_arrival, seq, entry, heartbeat, tuple(readings)))
    return lines, out.counts


def unhex(s):
    return "" if s == "-" else bytes.fromhex(s).decode()


def got(lines):
    messages, counts = [], {}
    for line in lines:
        fields = line.split(" ")
        if fields[0] == "C":
            name, n = fields[1].split("=")
            counts[name] = int(n)
        else:
            readings = tuple((unhex(f.split("=")[0]), float.fromhex(f.split("=")[1]))
                             for f in fields[9:])
            messages.append(("M", unhex(fields[1]), unhex(fields[2]), unhex(fields[3]),
                             int(fields[4]), fields[5] == "1",
                             None if fields[6] == "-" else int(fields[6]), int(fields[7]),
                             fields[8] == "1", readings))
    return messages, counts


def ask(probe, text):
    done = subprocess.run([probe], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("probe failed: %d\n%s" % (done.returncode, done.stderr))
    return done.stdout.splitlines()


def main():
    probe = sys.argv[1]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    r = random.Random(seed)
    bad = 0

    stamps = [random_stamp(r) for _ in range(n)]
    answers = ask(probe, "".join("T %s\n" % shown(s.encode()) for s in stamps))
    valid = 0
    for s, a in zip(stamps, answers, strict=True):
        want = stamp_of_text(s)
        valid += want is not None
        if a != ("-" if want is None else str(want)):
            bad += 1
            print("stamp %r: expected %s, got %s" % (s, want, a))
    numbers = [x for x in (parse_number(random_number(r)) for _ in range(n)) if x is not None]
    numbers += [s * math.nextafter(v, v * k) for s in (1, -1) for v in (1e11, 1e14, 1e17, 2.5e20, 1e21)
                for k in (0, 1, 2)] + [0.0, 0.5e-6, 1.5e-6, -0.5e-6, float("inf"), float("nan")]
    answers = ask(probe, "".join("N %s\n" % x.hex() for x in numbers))
    for x, a in zip(numbers, answers, strict=True):
        want = stamp_of_number(x)
        if a != ("-" if want is None else str(want)):
            bad += 1
            print("number %r: expected %s, got %s" % (x, want, a))

    cases = [random_case(r) for _ in range(n)] + list(big_cases())
    answers = ask(probe, "".join("%d %d %d %s %s\n" % (c[0], c[1], c[2], shown(c[3]), shown(c[4]))
                                 for c in cases))
    totals = {"messages": 0, "device times": 0, "sequence numbers": 0, "sites": 0}
    at = 0
    for case in cases:
        end = answers.index(".", at)
        a, at = got(answers[at:end]), end + 1
        out = decode(case)
        want = expected(out)
        totals["messages"] += len(out.messages)
        totals["device times"] += sum(not m[5] for m in out.messages)
        totals["sequence numbers"] += sum(m[6] is not None for m in out.messages)
        totals["sites"] += sum(m[3] != "" for m in out.messages)
        for k, v in out.counts.items():
            totals[k] = totals.get(k, 0) + v
        if a != want:
            bad += 1
            if bad < 20:
                print("topic %r payload %r\n  expected %r\n  got      %r" % (case[3], case[4][:600], want, a))
    print("%d stamps (%d valid), %d numbers, %d payloads: %s" % (
        len(stamps), valid, len(numbers), len(cases), totals))
    if bad:
        sys.exit("%d differ" % bad)


if __name__ == "__main__":
    main()
