"""What the gateway's processes use, looked at again and again: it must not grow."""

import collections
import os
import pathlib
import re
import statistics
import time

SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"))
GROWTH = 1.02     # of resident memory, once warm
ROUGHLY = 1.25    # ... in a run so short that the heap has not seen all shapes yet; LeakSanitizer sees the rest
GROWTH_KIB = 512  # ... or so much there: a few pages more or less are no leak
CONNECTIONS = 2   # descriptors: connections of HTTP come and go
MOMENT_S = 0.3    # ... so the fewest within such a moment count: what leaked stays


def descriptors(pid):
    fewest, end = None, time.monotonic() + MOMENT_S
    while fewest is None or time.monotonic() < end:
        n = len(os.listdir(f"/proc/{pid}/fd"))
        fewest = n if fewest is None else min(fewest, n)
        time.sleep(0.01)
    return fewest


class Usage(collections.namedtuple("Usage", "rss_kib descriptors threads")):
    """Of one process, now."""

    @classmethod
    def of(cls, pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return cls(int(re.search(r"VmRSS:\s+(\d+)", status)[1]), descriptors(pid),
                   int(re.search(r"Threads:\s+(\d+)", status)[1]))


def look(brink):
    """{name: Usage} of the gateway and of the process that publishes its alerts."""
    pid = brink.pid
    child = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    return {"gateway": Usage.of(pid), "child": Usage.of(int(child))}


def check_flat(looks, say, growth=GROWTH):
    """Holds the last third of the looks against the second; the first is warm-up."""
    third = max(1, len(looks) // 3)
    wrong = []
    for name, first in looks[0].items():
        early, late = [at[name] for at in looks[third:2 * third]], [at[name] for at in looks[-third:]]
        rss = [statistics.median(u.rss_kib for u in part) for part in (early, late)]
        say(f"{name}: RSS {first.rss_kib} KiB at first, {rss[0]:.0f} after warm-up, {rss[1]:.0f} at the end "
            f"({(rss[1] / rss[0] - 1) * 100:+.1f} %); descriptors {first.descriptors}, "
            f"{late[-1].descriptors} at the end; threads {first.threads}, {late[-1].threads}")
        few = GROWTH_KIB if growth > GROWTH else 0
        if not SANITIZED and rss[1] > max(rss[0] * growth, rss[0] + few):
            wrong.append(f"memory of {name} grew: {[at[name].rss_kib for at in looks]} KiB")
        for what, more in (("descriptors", CONNECTIONS), ("threads", 1)):
            counts = [getattr(at[name], what) for at in looks]
            if min(counts[-third:]) > max(counts[:2 * third]) or max(counts[-third:]) > counts[0] + more:
                wrong.append(f"{what} of {name} grew: {counts}")
    assert not wrong, "; ".join(wrong)
