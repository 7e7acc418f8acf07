#!/usr/bin/env python3
"""What it proves: the epoch protocol of state/PROTOCOL.md holds in every state that a few inputs, members,
partitions and faults can lead to, and on random ways through larger setups; each wrong variant of it is found;
and each invariant is needed, as some variant goes unnoticed without it. README.md explains the model.

    test_protocol.py                   what ctest runs
    test_protocol.py --full            larger setups too, minutes
    test_protocol.py --trace VARIANT   the shortest way into a wrong state, all steps (a part of the name will do)
    test_protocol.py --table           the table of README.md"""
import multiprocessing
import os
import pathlib
import random
import sys

import epoch_model as model
from epoch_model import Setup
from explore import AT_LEAST_ONCE, EPOCH, TOO_MANY, explore

HERE = pathlib.Path(__file__).resolve().parent
ALL = "crash power lose stall abort rebalance"
ONE = Setup(inputs=2, faults=1, kinds="crash")
TWO = Setup(members=2, inputs=2, faults=1, kinds="rebalance")
SEEN = ("store",)  # left out: the way goes on until a user sees it, in an answer or a committed row

RIGHT = {  # everything in here is visited
    "one member, 3 inputs, 2 faults": Setup(inputs=3, faults=2, kinds=ALL),
    "two members, 2 inputs, 1 fault": Setup(members=2, inputs=2, faults=1, kinds=ALL),
    "two members, 1 input, 3 faults": Setup(members=2, inputs=1, faults=3, kinds=ALL),
    "two members, two partitions, 1 fault": Setup(members=2, partitions=2, inputs=1, faults=1, kinds=ALL),
    "two members of one transactional id": Setup(members=2, inputs=1, faults=2, kinds=ALL, ids="shared"),
    "a new transactional id at each start": Setup(members=2, inputs=1, faults=2, kinds=ALL, ids="fresh"),
    "two partitions, sticky assignment": Setup(members=2, partitions=2, inputs=1, faults=1, kinds=ALL, sticky=True),
    "the changelog's end is asked long before": TWO._replace(kinds=ALL, asked="at the seal"),
    "one member, the end is asked after the commit": ONE._replace(faults=2, kinds=ALL, asked="after the commit"),
}
MILD = Setup(inputs=3, faults=2)  # of at_least_once_model.py
RIGHT_FULL = {
    "two members, 2 inputs, 2 faults": Setup(members=2, inputs=2, faults=2, kinds=ALL),
    "two members, 1 input, 4 faults": Setup(members=2, inputs=1, faults=4, kinds=ALL),
    "one member, 3 inputs, 3 faults": Setup(inputs=3, faults=3, kinds=ALL),
}
WRONG = [  # (variant, setup, invariants left out)
    ("the replay ends at the last stable offset", TWO, SEEN),
    ("rows reach the disk before the commit", ONE, SEEN),
    ("offsets without a generation", TWO, SEEN),
    ("the end is asked before the offsets", TWO, SEEN),
    ("offsets are fetched without waiting", TWO, SEEN),
    ("the replay reads uncommitted records", TWO, SEEN),
    ("no answer is taken for a failure", ONE, SEEN),
    ("no answer is taken for a success", ONE, SEEN),
    ("abort drops what is due", ONE._replace(kinds="abort"), SEEN),
    ("a row leaves memory before it is stored", ONE._replace(faults=0), SEEN),
    ("offsets are written before rows", ONE._replace(inputs=3), SEEN),
    ("the store gets the row as it is now", ONE, SEEN),
    ("the changelog gets the row as it is now", ONE, SEEN),
    ("offsets as of step 3, not of the seal", ONE, SEEN),
    ("answers outside of the transaction", ONE, SEEN),
    ("answers after the offsets", ONE, SEEN),
    ("a failed delivery is overlooked", ONE, SEEN),
    ("the epoch goes on over a rebalance", TWO, SEEN),
    ("a missed generation is overlooked", TWO._replace(faults=2, sticky=True), SEEN),
    ("a store that is there is taken as it is", ONE._replace(inputs=3), SEEN),
    ("the changelog's end is asked at the write", ONE._replace(inputs=3, asked="at the write"), SEEN),
    ("two members, the end is asked after the commit", TWO._replace(asked="after the commit"), ()),
    ("nobody times transactions out", ONE._replace(inputs=1, ids="fresh"), SEEN),
]
WRONG_MILD = [  # of at least once
    ("stored before it is acknowledged", MILD, ()),
    ("a start at the group's offset", MILD, ()),
    ("rows are written before offsets", MILD, ()),
]
ALL_WRONG = [entry + (EPOCH,) for entry in WRONG] + [entry + (AT_LEAST_ONCE,) for entry in WRONG_MILD]
# Without the invariant the variant goes unnoticed, with it it is found: (invariant, variant, setup).
NEEDED = [
    ("answers", "answers outside of the transaction", ONE._replace(inputs=1)),
    ("rows", "the changelog gets the row as it is now", ONE._replace(faults=0)),
    ("store", "the store gets the row as it is now", ONE._replace(faults=0)),
    ("end", "nobody times transactions out", ONE._replace(inputs=1, ids="fresh")),
]
# The variants that a random search by others has found as well; it is how the walks show that they would notice.
WALKED = [variant for variant, _, _ in WRONG[:4]]
LARGE = Setup(members=3, partitions=2, inputs=6, faults=8, kinds=ALL)
WALKS, STEPS_MAX = 800, 1000


def setup_of(variant, setup):
    """A variant that is a matter of when the end is asked is told by the setup itself."""
    return setup if setup.asked != "before the offsets" else setup._replace(wrong=variant)


# ---- the checks; each runs in a process of its own and returns (line, fine, and more)

def check_right(title, setup, protocol=EPOCH):
    result = explore(setup, protocol=protocol)
    fine = result.invariant is None
    says = "holds" if fine else f"BROKEN, {result.invariant}: {result.what}"
    return f"right  {title}: {result.states} states, {says}", fine, [] if fine else result.trace


def check_wrong(variant, setup, leave_out, protocol=EPOCH):
    result = explore(setup_of(variant, setup), leave_out, protocol)
    fine = result.invariant not in (None, TOO_MANY)
    says = f"{len(result.trace)} steps, {result.what}" if fine else "NOT FOUND"
    row = f"| {variant} | {shorten(result.trace)} | {result.what.replace(' of p0', '')} |"
    return f"wrong  {variant}: {says} ({result.states} states)", fine, row


def check_needed(invariant, variant, setup):
    setup = setup_of(variant, setup)
    result, without = explore(setup), explore(setup, (invariant,))
    fine = result.invariant == invariant and without.invariant is None
    says = "is needed" if fine else f"found by {result.invariant}, without it by {without.invariant}"
    return f"check  {invariant}: {variant}: {says}", fine, []


def walk(setup, seed):
    """One random way. Who acts goes on for a while and the others stand still; faults come rarely, so that most of
    the work is done between them."""
    dice, w, trace, actor = random.Random(seed), model.first(setup), [], ""
    for _ in range(STEPS_MAX):
        ways = [way for way in model.actions(setup, w) if way[1] != w]
        if not ways:
            break
        calm = [way for way in ways if way[1].faults == w.faults]
        ways = ways if not calm or dice.random() < 0.15 else calm
        more = [way for way in ways if way[0].split()[0] == actor]
        label, w = dice.choice(more if more and dice.random() < 0.85 else ways)
        actor = label.split()[0]
        trace.append(label)
        for key, check in EPOCH.invariants.items():
            if what := check(setup, w):
                return f"{key}: {what}", trace
    return None if model.done(setup, w) else "end: not all is committed", trace


def check_walks(variant):
    """Without a variant every way must end well; with one, some must not, and the first will do."""
    title = variant or f"3 members, 2 partitions, {LARGE.inputs} inputs, {LARGE.faults} faults"
    for seed in range(WALKS):
        kinds = ALL if seed % 2 else "rebalance"
        what, trace = walk(LARGE._replace(wrong=variant, kinds=kinds), seed)
        if what:
            return f"walks  {title}: seed {seed}: {what}", bool(variant), [] if variant else trace
    return f"walks  {title}: {WALKS} are right", not variant, []


def check_readme(rows):
    """The page is in step: it has the table as it is, and knows every fault point of the code."""
    text = (HERE / "README.md").read_text()
    fault = (HERE.parents[1] / "base" / "fault.h").read_text()
    points = [line.split('"')[1] for line in fault.split("\n") if line.lstrip().startswith("X(") and '"' in line]
    missing = [f"`{point}`" for point in points if f"`{point}`" not in text]
    if "\n".join(rows) not in text:
        missing.append("the table (test_protocol.py --table)")
    return f"page   README.md {'lacks ' + ', '.join(missing) if missing else 'is in step'}", not missing


# ---- the table of the page

def shorten(trace):
    """A trace as one line: an actor's steps in a row say once whose they are, an undisturbed commit is `2-4`."""
    steps = [tuple(label.replace(" of p0", "").replace(" p0", "").split(" ", 1)) for label in trace]
    whole = ["2 seal", "2 the changelog records arrive", "3 offsets", "4 commit"]
    words, last, at = [], "", 0
    while at < len(steps):
        actor, what = steps[at]
        n = 4 if [s[1] for s in steps[at:at + 4]] == whole and len({s[0] for s in steps[at:at + 4]}) == 1 else 1
        words.append((f"{'; ' if last else ''}**{actor.rstrip(':')}** " if actor != last else ", ") + (what if n == 1 else "2-4"))
        last, at = actor, at + n
    return "".join(words)


def table():
    with multiprocessing.Pool(os.cpu_count()) as pool:
        return "\n".join(row for _, _, row in pool.starmap(check_wrong, ALL_WRONG))


def show_trace(part):
    for variant, setup, leave_out, protocol in ALL_WRONG:
        if part in variant:
            result = explore(setup_of(variant, setup), leave_out, protocol)
            print(variant, *(f"  {n:2} {label}" for n, label in enumerate(result.trace, 1)), result.what, sep="\n")


def run(check_and_arguments):
    check, arguments = check_and_arguments
    return check(*arguments)


def main():
    if sys.argv[1:2] == ["--trace"]:
        return show_trace(sys.argv[2])
    if sys.argv[1:] == ["--table"]:
        return print(table())
    jobs = [(check_right, item) for item in (RIGHT | RIGHT_FULL if sys.argv[1:] == ["--full"] else RIGHT).items()]
    jobs += [(check_walks, (variant,)) for variant in [""] + WALKED]
    jobs += [(check_right, ("at least once, 3 inputs, 2 faults", MILD, AT_LEAST_ONCE))]
    jobs += [(check_wrong, entry) for entry in ALL_WRONG]
    jobs += [(check_needed, entry) for entry in NEEDED]
    n_bad, rows = 0, []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for line, fine, more in pool.imap(run, jobs):
            rows += [more] if line.startswith("wrong") else []
            trace = more if isinstance(more, list) else []
            print(line, *(f"    {label}" for label in trace), sep="\n", flush=True)
            n_bad += not fine
    line, fine = check_readme(rows)
    print(line)
    n_bad += not fine
    print(f"{len(jobs) + 1} checks, {n_bad} failed")
    return n_bad > 0


if __name__ == "__main__":
    sys.exit(main())
