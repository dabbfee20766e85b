"""One lane of the crash test: rounds of telemetry and kills, each judged by the oracle."""

import collections
import json
import os
import random
import time

import judge
import oracle
import stream
from lib.harness import PATIENCE, seconds, wait_for
from plant import Plant

SIDE_RULE = {"id": "side", "when": "no_such_metric > 0"}
LOADING_S = 1.0 * PATIENCE  # within that a start has read from Valkey what there is of its devices


class Wrong(AssertionError):
    """What was delivered or kept is not what an undisturbed run would have."""


def alert_id(rule, tenant, device, onset_us):
    """As src/alert/payload.c makes it."""
    text, mask = b"".join(part.encode() + b"\0" for part in (rule, tenant, device)), 2**64 - 1
    halves = []
    for h in (14695981039346656037, 0x9E3779B97F4A7C15):
        for byte in text + onset_us.to_bytes(8, "little"):
            h = (h ^ byte) * 1099511628211 & mask
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            h = (h ^ h >> 33) * factor & mask
        halves.append(f"{h ^ h >> 33:016x}")
    return "".join(halves)


class Kind:
    """What a lane kills. together: more than one at once; windows: must each event of a rule with a window be
    exact? (Not where Valkey is killed: what it would have said meanwhile is unknown, SPEC 5.4.)"""

    def __init__(self, victims, together):
        self.victims, self.together = victims, together
        self.windows = "store" not in victims


KINDS = {
    "brink": Kind(("brink", "sender"), together=False),
    "broker": Kind(("brink", "broker", "sender"), together=True),
    "store": Kind(("brink", "store"), together=False),
    "all": Kind(("brink", "broker", "store"), together=True),
}


def uses_window(node):
    return node[0] == "window" or any(uses_window(part) for part in node[1:] if isinstance(part, tuple))


def uses_held(node):
    return node[0] == "held" or any(uses_held(part) for part in node[1:] if isinstance(part, tuple))


def rules_of(kind):
    found = []
    for rule in stream.rules():
        lasts = bool(rule.for_s or rule.keep_s or uses_held(rule.when))
        if kind.windows or not (lasts and uses_window(rule.when)):  # what is unknown does not last
            found.append(rule)
    return found


class Lane:
    def __init__(self, folder, kind_name, seed, plant=Plant, n_rules=None, devices_each=3):
        """n_rules: only so many of the oracle's, drawn by the seed. devices_each: of each kind of the stream's."""
        self.kind = KINDS[kind_name]
        self.rng = random.Random(seed)
        rules = rules_of(self.kind)
        if n_rules:
            rules = [rules[i] for i in sorted(self.rng.sample(range(len(rules)), n_rules))]
        self.stream = stream.Stream(self.rng.getrandbits(32), devices_each=devices_each, whole=True)
        self.oracle = oracle.Oracle(rules, stream.MAPPINGS)
        self.loose = {r.id for r in rules if uses_window(r.when)} if not self.kind.windows else set()
        self.waits = {r.id for r in rules if r.for_s}
        self.timed = self.waits | {r.id for r in rules if uses_held(r.when)}
        self.rule_text = stream.rule_file(rules)
        self.plant = plant(folder, self.rule_text)
        self.kills = collections.Counter()
        self.moments = collections.Counter()
        self.messages = self.events = self.repeats = self.compactions = 0
        self.known = {}       # (rule, device) -> [Alert] not yet compared, of the gateway
        self.open_ids = {}    # (rule, device) -> id of the alert that is open
        self.last_ids = {}    # (rule, device) -> ids of events seen, for repeats
        self.heard = {}  # (rule, device) -> the last events, for a message
        self.store_was_down = False
        self.blind = False    # a start could not read pending timers from Valkey (SPEC 5.6)
        self.begun = 0        # when the gateway was started
        self.side = False

    def run(self, kills):
        self.plant.start()
        try:
            while sum(self.kills.values()) < kills:
                self.round()
            for process in self.plant.processes():
                if process.broken():
                    raise Wrong(f"{process.name}: a crash or a sanitizer's word stands in its log")
        finally:
            self.plant.close()

    # --- telemetry ---

    def feed(self, duration):
        """Sends for so long, and at least one message."""
        end = time.monotonic() + duration
        while True:
            for topic, payload, said in self.stream.sent(1):
                self.messages += 1
                self.plant.send(topic, payload)
                for message in said:
                    self.oracle.take(message)
            if time.monotonic() >= end:
                return

    # --- killing ---

    def strike(self, *victims):
        for victim in victims:
            if self.plant.kill(victim):
                self.kills[victim] += 1
            if victim == "store":
                self.store_was_down = True
                self.blind |= time.monotonic() - self.begun < LOADING_S

    def revive(self, victim):
        if victim == "brink" and not self.plant.brink.running():
            self.begun = time.monotonic()
            self.blind |= not self.plant.store.running()
        self.plant.revive(victim)

    def up_again(self, *victims):
        order = [v for v in victims if v != "sender"]
        self.rng.shuffle(order)
        for victim in order:
            self.feed(self.rng.expovariate(1 / 0.05))
            self.revive(victim)

    def any_moment(self):
        self.feed(min(0.8, self.rng.expovariate(1 / 0.12)))
        victims = [self.rng.choice(self.kind.victims)]
        if self.kind.together and self.rng.random() < 0.4:
            victims = self.rng.sample(self.kind.victims, self.rng.randrange(2, len(self.kind.victims) + 1))
        self.strike(*victims)
        self.up_again(*victims)

    def at_start(self):
        """Also one that has much to do at once."""
        self.strike("brink")
        self.feed(self.rng.choice([0, 0.1, 0.3]))
        self.revive("brink")
        self.feed(self.rng.uniform(0, 0.25))
        self.strike("brink")
        self.revive("brink")

    def at_reload(self):
        self.side = not self.side
        self.plant.brink.rules([SIDE_RULE] if self.side else [], "20-side.yaml")
        self.plant.brink.hang_up()
        self.feed(self.rng.uniform(0, 0.03))
        self.strike("brink")
        self.up_again("brink")

    def at_stop(self):
        self.plant.brink.signal(15)
        self.feed(self.rng.uniform(0, 0.15))
        if not self.plant.ended_well():
            self.strike("brink")
        self.up_again("brink")

    def at_outbox_write(self):
        """Just when events are written, or are on their way out."""
        def written():
            try:
                found = os.stat(self.plant.wal)
                return found.st_mtime_ns, found.st_size
            except OSError:
                return None

        before, end = written(), time.monotonic() + 3
        while time.monotonic() < end:
            self.feed(0)
            if written() != before:
                break
        time.sleep(self.rng.uniform(0, 0.004))
        victim = self.rng.choice(self.kind.victims)
        self.strike(victim)
        self.up_again(victim)

    def at_compaction(self):
        """Just when a list is rewritten without its dead head."""
        def lengths():
            client = self.plant.store.client
            keys = self.plant.store.keys_of("wbuf:*")
            return dict(zip(keys, client.pipeline([("STRLEN", key) for key in keys])))

        before, end = lengths(), time.monotonic() + 3
        while time.monotonic() < end:
            self.feed(0)
            now = lengths()
            if any(now.get(key, 0) < n for key, n in before.items()):
                self.compactions += 1
                break
            before = now
        victim = self.rng.choice([v for v in self.kind.victims if v != "sender"])
        self.strike(victim)
        self.up_again(victim)

    # --- a round ---

    def round(self):
        self.store_was_down = self.blind = False
        for _ in range(self.rng.randrange(3, 7)):
            moment = self.rng.choice([self.any_moment, self.any_moment, self.any_moment, self.at_start,
                                      self.at_reload, self.at_stop, self.at_outbox_write, self.at_compaction])
            self.moments[moment.__name__] += 1
            if not self.plant.brink.running():
                self.revive("brink")
            if moment in (self.at_reload, self.at_stop):
                self.plant.brink.wait_ready(60)  # a signal before that would end the process in its cradle
            moment()
        self.feed(0.05)
        self.settle()

    def settle(self):
        """Waits until all that was sent is applied, and judges."""
        self.plant.fence()
        self.settle_windows()
        if self.store_was_down:
            self.plant.await_history()
            self.plant.fence()  # what was decided when Valkey had come back is here, too
        self.judge_alerts()

    def settle_windows(self):
        last = []

        def agree():
            n, wrong = judge.windows(self.plant.store.client, self.oracle)
            last[:] = wrong
            return not wrong

        if not self.store_was_down:
            if not agree():
                raise Wrong(f"{len(last)} windows differ:\n" + "\n".join(last[:8]))
            return
        try:
            wait_for(agree, "equal windows", 30)
        except AssertionError:
            raise Wrong(f"{len(last)} windows differ for good:\n" + "\n".join(last[:8])) from None

    # --- alerts ---

    def loosely(self, rule):
        """Was the rule unknown for a while in this round? Over a window whenever Valkey was away; one that waits behind
        a start that could not ask Valkey since when."""
        return self.store_was_down and (rule in self.loose or (self.blind and rule in self.timed))

    def taken(self):
        """{(rule, device): [alert]} of this round, each once."""
        found = collections.defaultdict(list)
        for message in self.plant.take_alerts():
            alert = json.loads(message.payload)
            key = alert["rule_id"], alert["device_id"]
            identity = alert["alert_id"], alert["event_type"]
            self.heard.setdefault(key, collections.deque(maxlen=6)).append(
                f"{alert['event_type']} {seconds(alert['event_at'])} {alert['alert_id'][:6]}")
            seen = self.last_ids.setdefault(key, collections.OrderedDict())
            if identity in seen:
                self.repeats += 1
                if seen[identity] != alert["event_at"]:
                    raise Wrong(f"{key}: the same event, told otherwise: it was at {seconds(seen[identity])}; "
                                f"heard: {', '.join(self.heard[key])}; {alert}")
                continue
            seen[identity] = alert["event_at"]
            while len(seen) > 200:
                seen.popitem(last=False)
            found[key].append(alert)
        return found

    def judge_alerts(self):
        got, expected = self.taken(), self.oracle.sequences()
        self.oracle.alerts = []
        wrong = []
        for key in sorted(set(got) | set(expected)):
            want, have = expected.get(key, []), got.get(key, [])
            self.events += len(have)
            wrong += self._identities(key, have) + self._onsets(key, have)
            if self.loosely(key[0]):
                wrong += self._plausible(key, want, have)
            else:
                wrong += judge.differences(key, want, have)
        if self.store_was_down:
            wrong += self._standing()
        if wrong:
            raise Wrong(f"{len(wrong)} differences:\n" + "\n".join(wrong[:12]))

    def _identities(self, key, have):
        """OPEN and CLOSED in turn, a pair with one id."""
        for alert in have:
            is_open = self.open_ids.pop(key, None)
            if alert["event_type"] == "OPEN":
                if is_open:
                    return [f"{key}: opened as {alert['alert_id']} while {is_open} is open"]
                self.open_ids[key] = alert["alert_id"]
            elif is_open != alert["alert_id"]:
                return [f"{key}: closed {alert['alert_id']}, open was {is_open}"]
        return []

    def _onsets(self, key, have):
        """An id says when its alert began (SPEC 6.2). Where readings come in order and the rule does not wait that
        is when it opened; told of an older reading it could be the id of the alert that began then."""
        if key[1][0] in "lm" or key[0] in self.waits:
            return []
        for alert in have:
            at = seconds(alert["event_at"])
            if alert["event_type"] == "OPEN" and alert["alert_id"] != alert_id(
                    key[0], "acme", key[1], (stream.BASE_MS + at) * 1000):
                return [f"{key}: opened at {at} with the id of another moment: {alert['alert_id']}"]
        return []

    def _plausible(self, key, want, have):
        """Some of what should have happened was not seen, since the rule was unknown for a while: but what was
        decided is true of the moment that it was decided at."""
        if key[1][0] in "lm":  # late readings change what was true
            return []
        changes = [(a.event_at, a.event_type) for a in want]
        for alert in have:
            at = seconds(alert["event_at"])
            state = [kind for when, kind in changes if when < at][-1:]
            state += [kind for when, kind in changes if when == at]
            if state and alert["event_type"] not in state:
                return [f"{key}: {alert['event_type']} at {at}; expected were {changes}"]
        return []

    def _standing(self):
        """After Valkey came back each rule was evaluated: what is known must stand as the oracle says. What is
        unknown stays as it was; the oracle follows."""
        wrong = []
        for name, device in self.oracle.devices.items():
            for rule in self.oracle.rules:
                state = device.rules.get(rule.id)
                if state is None or not self.loosely(rule.id):
                    continue
                is_open = (rule.id, name) in self.open_ids
                if state.truth is not None and is_open != state.firing:
                    wrong.append(f"{rule.id} {name}: {'open' if is_open else 'not open'} although its condition "
                                 f"is {state.truth} at {device.newest}; last heard: "
                                 f"{', '.join(self.heard.get((rule.id, name), ['nothing']))}")
                state.firing = is_open
        return wrong
