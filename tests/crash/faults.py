"""What can happen to the processes of a round, drawn from a seed; and where in the protocol it came.

A plan is a list of faults, made from the seed alone: it knows which members are up, as it is what moves
them. What a process was doing when a fault came is read from the trace that it keeps (`base/fault.h`)."""
import random
import re
import struct

from harness import ROOT

POINTS = re.findall(r'X\(\w+, "([a-z-]+)"\)', (ROOT / "base/fault.h").read_text())
STEPS = {
    "batch-start": "1", "batch-rows": "1", "batch-emit": "1", "seal-start": "2", "seal-produce": "2",
    "offsets-start": "3", "offsets-sent": "3", "commit-start": "4", "commit-done": "4", "store-start": "5",
    "store-done": "5", "replay-part": "replay", "take-over": "replay", "hand-over": "rebalance", "abort-start": "abort",
}
COLUMNS = ["replay", "1", "2", "3", "4", "5", "abort", "rebalance"]
EPOCH = ["batch-start", "batch-rows", "batch-emit", "seal-start", "seal-produce", "offsets-start", "offsets-sent",
         "commit-start", "commit-done", "store-start", "store-done"]
OF_TRANSACTIONS = {"offsets-start", "offsets-sent", "commit-start", "commit-done"}
CALLS = ["seal-produce", "offsets-start", "offsets-sent", "commit-start"]  # those that can be told to fail
MEMBERS = 3

# How often each is drawn, by the kind of round.
COMMON = {"kill": 3, "kill_at": 4, "term": 1, "pause": 1, "long_pause": 2, "broker_kill": 2, "broker_pause": 2,
          "outage": 1}
WEIGHTS = {
    "group": {**COMMON, "join": 4, "leave": 3, "lost_folder": 2, "refused": 1},
    "alone": {**COMMON, "lost_folder": 2, "refused": 2},
    "at_least_once": COMMON,
}
OF_BROKER = {"broker_kill", "broker_pause"}
OF_GROUP = {"join", "leave", "pause", "long_pause"}
KINDS = ["group", "alone", "group", "at_least_once"]


def kind_of(seed):
    return KINDS[seed % len(KINDS)]


def passes_of(path):
    """Point -> (how often it was passed, when last); empty before the process has begun its trace."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if len(data) < 16 * len(POINTS):
        return {}
    numbers = struct.unpack_from(f"={2 * len(POINTS)}Q", data)
    return {point: (numbers[2 * i], numbers[2 * i + 1]) for i, point in enumerate(POINTS)}


def step_of(path):
    """The protocol's step that is under way in the process that keeps this trace: of several threads, the
    one that is furthest."""
    at = {point: newest for point, (_, newest) in passes_of(path).items()}
    if not any(at.values()):
        return "replay"
    if at["store-start"] > at["store-done"]:
        return "5"
    aborted = at["abort-start"]
    if at["commit-start"] > max(at["commit-done"], aborted):
        return "4"
    if at["offsets-start"] > max(at["commit-start"], aborted):
        return "3"
    # At least once has no step 3: what is sealed is under way until it is stored, or a batch goes on.
    behind = at["offsets-start"] if at["offsets-start"] else max(at["store-start"], at["batch-start"])
    if at["seal-start"] > max(behind, aborted):
        return "2"
    point = max(("batch-start", "take-over", "replay-part", "hand-over", "abort-start"), key=lambda p: at[p])
    return STEPS[point]


class Fault:
    """kind; who: the member; point and nth: where, else after `delay` seconds; by: how a member that has to
    be armed is brought down before, itself a fault; seconds: how long it lasts; settle: whether what
    follows from it is waited for."""

    def __init__(self, kind, who, rng, has_transactions):
        points = [p for p in EPOCH if has_transactions or p not in OF_TRANSACTIONS]
        self.kind, self.who = kind, who
        self.delay = round(rng.uniform(0, 2), 2)
        self.by = rng.choice(["kill", "term"])
        at_point = kind == "kill_at" or (kind not in ("kill", "term", "join", "leave") and rng.random() < 0.6)
        self.point, self.nth = (rng.choice(points), rng.randint(1, 8)) if at_point else (None, 0)
        low, high = {"pause": (0.3, 2), "long_pause": (5, 7)}.get(kind, (0.2, 4))
        self.seconds = round(rng.uniform(low, high), 2)
        self.settle = rng.random() < 0.5
        if kind == "refused":
            self.point, self.nth = rng.choice([c for c in CALLS if c in points]), rng.randint(1, 8)
        if kind == "lost_folder":  # the point is one of the restore that follows
            self.point, self.nth = ("replay-part", 1) if rng.random() < 0.5 else (None, 0)

    def __str__(self):
        where = f"@{self.point}:{self.nth}" if self.point else f"+{self.delay}s"
        return f"{self.kind} {'abc'[self.who]}{where}"


def plan(seed, n):
    """The kind of round, the members that are up at its begin, and n faults."""
    kind, rng = kind_of(seed), random.Random(seed)
    up = set(range(rng.randint(1, MEMBERS))) if kind == "group" else {0}
    begin, faults = sorted(up), []
    while len(faults) < n:
        names = list(WEIGHTS[kind])
        name = rng.choices(names, WEIGHTS[kind].values())[0]
        down = sorted(set(range(MEMBERS)) - up)
        if (name == "join" and not down) or (name == "leave" and len(up) == 1):
            continue
        who = rng.choice(down if name == "join" else sorted(up))
        faults.append(Fault(name, who, rng, kind != "at_least_once"))
        if name == "join":
            up.add(who)
        if name == "leave":
            up.discard(who)
    return kind, begin, faults
