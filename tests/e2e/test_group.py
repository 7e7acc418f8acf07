"""Several processes share a group: what they write together, and the rows they leave, equal those of one
process that nobody disturbed. Processes join and leave, are killed, stopped for longer than their session
and woken up again, lose their folders, and take partitions over in the middle of everything.

Exactly once, range assignment and static membership; the topics are loaded with explicit times before."""
import collections
import json
import random
import shutil
import signal
import sys
import time

import events
from harness import ROOT, Pipeline, check, flat, main, read, same
from test_run import load

FILE = ROOT / "tests/e2e/cards.yaml"
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms", "max_idle=10m",
            "kafka.session.timeout.ms=6000", "kafka.transaction.timeout.ms=8000"]
PACE = "batch-start:every=40"  # ms a batch: the input must outlast what is done to the processes
FULL = "--full" in sys.argv
EVENTS = 120000 if FULL else 40000
ENTITIES = ["card"]


class Member(Pipeline):
    """One of several processes of a pipeline."""

    def __init__(self, first, instance, settings):
        self.__dict__.update(first.__dict__)
        self.state, self.log = first.folder / f"{first.name}-{instance}", first.folder / f"{first.name}-{instance}.log"
        self.settings = [s for s in first.settings if not s.startswith("state.dir=")]
        self.settings += [f"state.dir={self.state}", f"instance={instance}", *settings]


def group(broker, folder, name, sources, settings, n=3):
    first = Pipeline(broker.address, folder, name, FILE, [*sources, *SETTINGS])
    first.make_topics()
    return first, [Member(first, instance, settings) for instance in "abcdef"[:n]]


def undisturbed(broker, folder, name, seed, n):
    topics, sources = load(broker, name, events.make(seed, n))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *SETTINGS])
    whole.run_through(topics)
    return topics, sources, whole


def equal(got, whole):
    """The same records, each once; partitions of one output topic are written by several processes, so
    the order is each source partition's own."""
    for a, b, what in zip(got.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(sorted(a, key=repr), sorted(b, key=repr), what)
    check(got.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    last = collections.defaultdict(int)
    for record in flat(read(got.address, got.scores)):
        *source, offset = json.loads(record.value)["id"].split("/")
        check(last[tuple(source)] <= int(offset), f"{source}: offset {offset} after a later one")
        last[tuple(source)] = int(offset)


def partitions(member):
    """How many it said last that it has; None: it has said nothing."""
    said = [line for line in member.log_text().split("\n") if "running: " in line]
    return int(said[-1].split("running: ")[1].split(" ")[0]) if said else None


def wait(what, condition, seconds=60):
    until = time.time() + seconds
    while not condition():
        check(time.time() < until, what)
        time.sleep(0.05)


def test_three_from_the_start(broker, folder):
    topics, sources, whole = undisturbed(broker, folder, "three", 31, EVENTS)
    first, members = group(broker, folder, "three-by-three", sources, [])
    for member in members:
        member.start(fault=PACE)
    wait("the partitions are not shared out", lambda: sum(partitions(m) or 0 for m in members) == 4
         and all(partitions(m) for m in members))
    print(f"        partitions {[partitions(m) for m in members]} of 4")
    members[0].wait_until_read(topics, 240)
    for member in members:
        member.stop()
    equal(first, whole)
    # One process takes all of it over: rows of folders that are not its own.
    last = Member(first, "last", [])
    last.start()
    wait("the last one does not get all partitions", lambda: partitions(last) == 4)
    last.stop()
    same(last.stored_rows(), whole.stored_rows(), "rows that one process has rebuilt")


def test_joins_and_leaves(broker, folder):
    """One joins, one more; one is killed and comes back; one ends; one loses its folder."""
    topics, sources, whole = undisturbed(broker, folder, "joins", 32, 3 * EVENTS)
    first, (a, b, c) = group(broker, folder, "joins-disturbed", sources, [])
    rng = random.Random(5)
    a.start(fault=PACE)
    a.wait_for("running: 4 of 4")
    for member in (b, c):
        time.sleep(rng.uniform(0.2, 1))
        member.start(fault=PACE)
        wait("it gets nothing", lambda: partitions(member))
    time.sleep(rng.uniform(0.2, 1))
    b.kill()  # and back before anybody noticed
    b.start(fault=PACE)
    b.wait_for("running:")
    time.sleep(rng.uniform(0.2, 1))
    a.stop()  # a static member's partitions wait for its session to end
    shutil.rmtree(a.state)
    wait("nobody takes the partitions over", lambda: partitions(b) + partitions(c) == 4)
    a.start(fault=PACE)
    a.wait_for("rebuilt from")
    wait("it gets nothing", lambda: partitions(a))
    print(f"        partitions {[partitions(m) for m in (a, b, c)]} after it all, "
          f"{first.lag(topics)} records left")
    check(first.lag(topics) > 0, "the input was read before the last one joined")
    a.wait_until_read(topics, 240)
    for member in (a, b, c):
        member.stop()
    equal(first, whole)


def test_stopped_for_longer_than_its_session(broker, folder):
    """Its partitions go elsewhere; what it had open is refused when it wakes up."""
    topics, sources, whole = undisturbed(broker, folder, "stopped", 33, EVENTS)
    first, (a, b) = group(broker, folder, "stopped-disturbed", sources, [], n=2)
    for member in (a, b):
        member.start(fault=PACE)
    wait("the partitions are not shared out", lambda: partitions(a) == 2 and partitions(b) == 2)
    a.process.send_signal(signal.SIGSTOP)
    wait("nobody takes the partitions over", lambda: partitions(b) == 4)
    a.process.send_signal(signal.SIGCONT)
    restarts, settled = 0, time.time() + 60
    while time.time() < settled:
        if a.process.poll() is not None:  # its transaction had ended without it
            check(a.process.poll() == 7 and restarts == 0, f"it ended with {a.process.poll()}:\n{a.log_text()[-2000:]}")
            restarts += 1
            a.start(fault=PACE)
        if partitions(a) == 2 and partitions(b) == 2 and settled > time.time() + 3:
            settled = time.time() + 3  # and it stays so
        time.sleep(0.05)
    check(partitions(a) == 2 and partitions(b) == 2, "the partitions are not shared out again")
    print(f"        the stopped process {'ended with 7 and was started again' if restarts else 'went on'}")
    check(first.lag(topics) > 0, "the input was read before it came back")
    b.wait_until_read(topics, 240)
    for member in (a, b):
        member.stop()
    equal(first, whole)


def test_lost_while_a_commit_and_a_write_are_under_way(broker, folder):
    """The process learns that it was lost while one thread still is in step 3 and another in step 5: the
    end of that write is not the end of the abort."""
    topics, sources, whole = undisturbed(broker, folder, "late", 35, EVENTS // 2)
    first, (a, b) = group(broker, folder, "late-disturbed", sources, [], n=2)
    b.start(fault=PACE)
    b.wait_for("running: 4 of 4")  # so that what a commits is after its only rebalance
    a.start(fault=f"{PACE},store-start:3=9000,offsets-start:6=10000")
    wait("a does not write", lambda: partitions(a) == 2 and partitions(b) == 2)
    time.sleep(2)  # until the two threads are there
    a.process.send_signal(signal.SIGSTOP)
    wait("nobody takes the partitions over", lambda: partitions(b) == 4)
    a.process.send_signal(signal.SIGCONT)
    wait("the partitions are not shared out again", lambda: a.process.poll() is not None
         or (partitions(a) == 2 and partitions(b) == 2 and "took the partitions back" in a.log_text()))
    if a.process.poll() is not None:  # its transaction had ended without it
        check(a.process.poll() == 7, f"it ended with {a.process.poll()}:\n{a.log_text()[-2000:]}")
        a.start(fault=PACE)
    b.wait_until_read(topics, 240)
    for member in (a, b):
        check(member.process.poll() is None, f"it ended with {member.process.poll()}:\n{member.log_text()[-2000:]}")
        member.stop()
    equal(first, whole)


def test_killed_while_partitions_move(broker, folder):
    """Deaths in the hand-over: in the last commit, and in the replay of what was taken over."""
    topics, sources, whole = undisturbed(broker, folder, "moves", 34, EVENTS // 2)
    first, (a, b) = group(broker, folder, "moves-disturbed", sources, [], n=2)
    a.start(fault=PACE)
    a.wait_for("running: 4 of 4")
    for point in ("commit-start:9", "commit-done:7", "store-start:5", "replay-part:1", "offsets-sent:8"):
        b.start(fault=f"{PACE},{point}")
        wait(f"{point}: it does not die there", lambda: b.process.poll() is not None)
        check(b.process.poll() == -signal.SIGKILL, f"{point}: {b.process.poll()}\n{b.log_text()[-1500:]}")
    b.start(fault=PACE)
    wait("the partitions are not shared out", lambda: partitions(a) == 2 and partitions(b) == 2)
    a.wait_until_read(topics, 240)
    for member in (a, b):
        member.stop()
    equal(first, whole)


def one_source(folder):
    """The pipeline without its labels: with several sources an assignment that sticks would not keep equal
    partitions together."""
    lines = FILE.read_text().splitlines(keepends=True)
    first = lines.index("  labels:\n")
    end = lines.index("entities: {card: card}\n")
    file = folder / "one-source.yaml"
    file.write_text("".join(x for x in lines[:first] + lines[end:] if "frauds_30d" not in x))
    return file


def test_cooperative_sticky(broker, folder):
    """Only what moves is handed over; what stays is read on. With several sources it is refused."""
    topics, sources = load(broker, "sticky", [r for r in events.make(36, 2 * EVENTS) if r["source"] == "tx"])
    topics, file = topics[:1], one_source(folder)
    settings = [sources[0], *SETTINGS, "kafka.partition.assignment.strategy=cooperative-sticky"]
    whole = Pipeline(broker.address, folder, "sticky-whole", file, settings)
    whole.run_through(topics)
    first = Pipeline(broker.address, folder, "sticky-disturbed", file, settings)
    first.make_topics()
    a, b, c = (Member(first, instance, []) for instance in "abc")
    a.start(fault=PACE)
    a.wait_for("running: 4 of 4")
    b.start(fault=PACE)
    wait("the partitions are not shared out", lambda: partitions(a) == 2 and partitions(b) == 2)
    c.start(fault=PACE)
    wait("the third gets nothing", lambda: partitions(c))
    b.kill()
    b.start(fault=PACE)
    b.wait_for("running:")
    c.stop()
    wait("nobody takes the partition over", lambda: partitions(a) + partitions(b) == 4)
    print(f"        partitions {[partitions(m) for m in (a, b)]} after it all, {first.lag(topics)} records left")
    check(first.lag(topics) > 0, "the input was read before the last one left")
    a.wait_until_read(topics, 240)
    for member in (a, b):
        member.stop()
    equal(first, whole)


if __name__ == "__main__":
    main([test_three_from_the_start, test_joins_and_leaves, test_stopped_for_longer_than_its_session,
          test_lost_while_a_commit_and_a_write_are_under_way, test_killed_while_partitions_move,
          test_cooperative_sticky])
