#!/usr/bin/env python3
"""Random values under random format specifications: base/format writes what Python's format() does.

usage: oracle_format.py PROBE [CASES [SEED]]     (PROBE: format_probe)

Where the two differ on purpose, the specification is put in Python's words here: a number without a type is `g`
with 9 digits, and `d` takes the nearest whole number, halves to even.
"""
import random
import struct
import subprocess
import sys

LETTERS = "abz 09-_\u00e9\u00df\u4e2d\u6587\U0001f321"


def number(r):
    kind = r.randrange(6)
    if kind == 0:
        v = struct.unpack("<d", r.randbytes(8))[0]
        return v if v == v and abs(v) != float("inf") else 0.0
    if kind == 1:
        return r.choice([0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -0.4, 0.125, 1e16, 9.9999999999, 5e-324, 1.7976931348623157e308,
                         -1e308, 999999.5, 9999999999.5, 0.00001, 0.0001])
    if kind == 2:
        return float(r.randrange(-100000, 100000))
    if kind == 3:
        return r.randrange(-10**6, 10**6) / r.choice([8, 10, 100, 1000])
    return r.gauss(0, 1) * 10 ** r.randrange(-12, 18)


def specification(r, is_number):
    """The specification, and the same for Python."""
    align = r.choice(["", "", "<", ">", "^"])
    sign = r.choice(["", "", "+", "-", " "]) if is_number else ""
    zeros = "0" if is_number and not align and r.random() < 0.3 else ""
    width = str(r.randrange(1, 100)) if r.random() < 0.6 else ""
    precision = "." + str(r.randrange(0, 21)) if r.random() < 0.6 else ""
    kind = r.choice(["", "f", "e", "g", "d", "%"] if is_number else ["", "s"])
    if kind == "d":
        precision = ""
    head = align + sign + zeros + width
    ours = head + precision + kind
    if is_number and kind == "":
        return ours, head + (precision or ".9") + "g"
    return ours, ours


def main():
    probe, cases = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40000
    r = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    lines, expected = [], []
    for _ in range(cases):
        is_number = r.random() < 0.8
        ours, pythons = specification(r, is_number)
        if is_number:
            value = number(r)
            lines.append("N %s|%s" % (ours, value.hex()))
            expected.append(format(round(value) if ours.endswith("d") else value, pythons))
        else:
            value = "".join(r.choice(LETTERS) for _ in range(r.randrange(0, 30)))
            lines.append("T %s|%s" % (ours, value))
            expected.append(format(value, pythons))
    out = subprocess.run([probe], input="\n".join(lines) + "\n", encoding="utf-8", stdout=subprocess.PIPE, check=True).stdout
    got = out.split("\n")[:-1]
    wrong = [(a, b, c) for a, b, c in zip(lines, expected, got) if b != c]
    for line, want, have in wrong[:10]:
        print("%r: should be %r, is %r" % (line, want, have))
    print("%d cases, %d wrong" % (cases, len(wrong)))
    return 1 if wrong or len(got) != cases else 0


if __name__ == "__main__":
    sys.exit(main())
