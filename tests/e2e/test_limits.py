"""What keeps a pipeline inside of its limits, on a real broker: a flood of dead letters stops it with exit
code 8 and a sentence that holds true, with everything before it committed, and the next start goes on; a
disk that fills up makes it wait, as a member of its group, until there is room; a record at which the process
crashes at every start is found and goes to the dead letters, once, and leaves no trace in anything else, while
kills from outside condemn nothing; a topic that is not partitioned by its key is named, once, and one that is,
by either client's function, is not."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import zlib

from confluent_kafka import Producer

import events
from harness import OUZEL, PARTITIONS, ROOT, RUN, Failure, Pipeline, check, flat, main, make_topics, read, same
from test_run import ENTITIES, load, partition_of

FILE = ROOT / "tests/e2e/pipeline.yaml"
SHIM = pathlib.Path(OUZEL).resolve().parent / "disk_shim.so"
PACE = "batch-start:every=20"  # ms a batch: the input must outlast what is done to it
SETTINGS = ["max_idle=10s", "epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms"]


def equal(got, want):
    for g, w, what in zip(got.outputs(), want.outputs(), ("scores", "alerts", "dead letters")):
        same(g, w, what)
    check(got.rows(ENTITIES) == want.rows(ENTITIES), "rows of the changelog differ")
    same(got.stored_rows(), want.stored_rows(), "stored rows")


def ended(pipeline, code, seconds=60):
    got = pipeline.process.wait(seconds)
    check(got == code, f"{pipeline.name} ended with {got}, not {code}:\n" + pipeline.log_text()[-2000:])


def flooded(seed, n, n_flood):
    """The last n_flood transactions are cut."""
    records = events.make(seed, n)
    left = n_flood
    for record in reversed(records):
        if record["source"] == "tx" and left:
            left -= 1
            record["broken"] = record["broken"] or "cut"
            record["value"] = record["value"][:20]
    return records


def check_flood(pipeline, topics, records, share, number):
    """What was said, and what is there: dead letters and scores of exactly what is committed."""
    said = re.search(r"(\d+) of the (\d+) records read within 1h are dead letters.* the commonest reason is: (.*) "
                     r"\(stage decode\), as of (\S+) partition (\d+) offset (\d+);", pipeline.log_text())
    check(said, "the sentence is not there:\n" + pipeline.log_text()[-2000:])
    dead, read_all = int(said[1]), int(said[2])
    check(dead > share * read_all if share else dead > number, f"{dead} of {read_all} is no flood")
    by_time = {r["arrival"]: r for r in records if r["source"] == "tx"}
    inputs = {(r.partition, r.offset): (r, by_time[r.time_ms]["broken"])
              for r in flat(read(pipeline.address, topics[0]))}
    example = inputs[(int(said[5]), int(said[6]))]
    check(said[4] == topics[0] and example[1] == "cut", f"the example is {said.groups()[3:]}: {example[1]}")
    committed = pipeline.committed(topics[0])
    below = {where: broken for where, (_, broken) in inputs.items() if where[1] < committed[where[0]]}
    letters = [tuple(int(dict(d.headers)[f"ouzel.source.{k}"]) for k in ("partition", "offset"))
               for d in flat(read(pipeline.address, pipeline.dead))]
    same(sorted(letters), sorted(w for w, broken in below.items() if broken), "dead letters of what is committed")
    check(len(letters) == dead, f"it says {dead} dead letters, there are {len(letters)}")
    scores = [tuple(int(x) for x in s.json()["id"].rsplit("/", 2)[1:]) for s in flat(read(pipeline.address, pipeline.scores))]
    same(sorted(scores), sorted(w for w, broken in below.items() if not broken), "scores of what is committed")
    left = len(inputs) - len(below)
    check(left > 0, "it stopped at the end only")
    print(f"        {said[0][:150]}...\n        {len(below)} records committed, {left} left")


def flood(broker, folder, name, settings, share, number):
    records = flooded(21, 8000, 4000)
    topics, sources = load(broker, name, records)
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *settings])
    whole.run_through(topics)
    pipeline = Pipeline(broker.address, folder, f"{name}-stopped", FILE, [*sources, *settings])
    pipeline.make_topics()
    limit = f"{share:.0%} per 1h" if share else f"{number} per 1h"
    pipeline.start(settings=[f"errors.stop_above={limit}"])
    ended(pipeline, 8)
    check_flood(pipeline, topics, records, share, number)
    # The window begins anew with the process: what is left of the flood is one by itself.
    pipeline.start(settings=[f"errors.stop_above={limit}"])
    ended(pipeline, 8)
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    equal(pipeline, whole)


def test_flood_exactly_once(broker, folder):
    flood(broker, folder, "flood", SETTINGS, 0.2, 0)


def test_flood_at_least_once(broker, folder):
    flood(broker, folder, "flood-alo", [*SETTINGS, "delivery=at_least_once"], 0, 700)


def test_few_dead_letters_are_no_flood(broker, folder):
    """One in a hundred is broken, here and there: below the limit nothing stops."""
    topics, sources = load(broker, "few", events.make(22, 4000))
    pipeline = Pipeline(broker.address, folder, "few", FILE, [*sources, *SETTINGS])
    pipeline.run_through(topics, settings=["errors.stop_above=5% per 1h"])
    dead = sum(len(d) for d in read(broker.address, pipeline.dead).values())
    check(dead >= 20, f"{dead} dead letters only")


def pause(pipeline, topics, fill, make_room, limit):
    """Room goes in the middle of the input, for longer than a member may be silent, and comes back."""
    pipeline.make_topics()
    pipeline.start(fault=PACE, environment=limit.items(),
                   settings=["kafka.session.timeout.ms=6000", "kafka.max.poll.interval.ms=6000"])
    pipeline.wait_for("ready")
    time.sleep(1)
    fill()
    pipeline.wait_for(r"paused: \d+ MiB are free in ")
    time.sleep(1)
    before = pipeline.lag(topics)
    check(before > 0, "everything was read before the disk was short")
    time.sleep(8)
    check(pipeline.lag(topics) == before, "it read on")
    pipeline.wait_for("paused for want of disk space")
    check("going on" not in pipeline.log_text(), "it went on without room")
    make_room()
    pipeline.wait_for("going on: ")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    log = pipeline.log_text()
    check(log.count("paused: ") == 1 and log.count("going on: ") == 1, "said more than once:\n" + log)
    print(f"        {before} records were left; " + re.search("paused: .*;", log)[0])


def disk_input(broker, folder, name):
    topics, sources = load(broker, name, events.make(23, 20000))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *SETTINGS])
    whole.run_through(topics)
    return topics, sources, whole


def test_disk_fills_up(broker, folder):
    """A file system of its own, which another writer fills; skipped where none may be mounted."""
    topics, sources, whole = disk_input(broker, folder, "disk")
    mount = folder / "mount"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", mount], stderr=subprocess.DEVNULL,
                      check=False).returncode:
        print("        skipped: no right to mount a file system")
        return
    try:
        pipeline = Pipeline(broker.address, folder, "disk-short", FILE, [*sources, *SETTINGS, "state.min_free=30%"])
        pipeline.settings.append(f"state.dir={mount}/state")
        pipeline.state = mount / "state"
        filler = mount / "filler"

        def fill():
            free = os.statvfs(mount)
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize - (40 << 20)))

        pause(pipeline, topics, fill, filler.unlink, {})
        equal(pipeline, whole)
    finally:
        if pipeline.process.poll() is None:
            pipeline.kill()
        subprocess.run(["umount", mount], check=True)


def test_disk_is_said_to_be_short(broker, folder):
    """The same by a shim that answers for the file system; a little more than the limit is not enough yet."""
    topics, sources, whole = disk_input(broker, folder, "shim")
    says = folder / "free"

    def free(mib):
        (folder / "next").write_text(f"10000 {mib}")
        (folder / "next").rename(says)

    def make_room():
        free(1050)
        time.sleep(2)
        check("going on" not in pipeline.log_text(), "it went on at a little more than the limit")
        free(1101)

    free(1001)
    pipeline = Pipeline(broker.address, folder, "shim-short", FILE, [*sources, *SETTINGS, "state.min_free=1000MiB"])
    pause(pipeline, topics, lambda: free(999), make_room,
          {"LD_PRELOAD": str(SHIM), "OUZEL_TEST_FREE": str(says)})
    equal(pipeline, whole)


POISON = "zz-poison"
LOOK = r"at most (\d+) are run one by one"


def poisoned(seed, n, where, cut):
    """Good transactions at these numbers have a value at which the process crashes; or they are cut instead,
    which keeps them from all state in another way."""
    records = events.make(seed, n)
    good = [r for r in records if r["source"] == "tx" and not r["broken"]]
    for record in (good[i] for i in where):
        record["event"] = {**record["event"], "id": 10 ** 9 + record["arrival"], "shop": POISON}
        record["value"] = json.dumps(record["event"])
        if cut:
            record["value"], record["broken"] = record["value"][:20], "cut"
    return records


def supervise(pipeline, topics, signals, settings=(), most=12):
    """Starts it again after every crash, as a supervisor does; how often it crashed."""
    for crashes in range(most):
        word, number = signals[crashes % len(signals)]
        pipeline.start(fault=f"batch-start:every=5,poison-record:{word}={POISON}", settings=settings)
        while pipeline.process.poll() is None and pipeline.lag(topics) > 0:
            time.sleep(0.05)
        if pipeline.process.poll() is None:
            pipeline.wait_until_read(topics)
            pipeline.stop()
            return crashes
        check(pipeline.process.returncode == -number, f"ended with {pipeline.process.returncode}, not by {word}:\n"
              + pipeline.log_text()[-2000:])
    raise Failure(f"it crashed {most} times:\n" + pipeline.log_text()[-2000:])


def renamed(outputs, old, new):
    """With the other run's topic in place of its own."""
    def text(value):
        return value.replace(old.encode(), new.encode()) if value is not None else None
    return [[(p, key, text(value), at, tuple((k, text(v)) for k, v in headers)) for p, key, value, at, headers in kind]
            for kind in outputs]


def split_letters(letters):
    crash = [d for d in letters if dict(d[4])["ouzel.stage"] == b"crash"]
    return crash, [d for d in letters if d not in crash]


def position(letter):
    return letter[0], dict(letter[4])["ouzel.source.offset"]


def check_poison(pipeline, whole, topics, cut_topics, n_poison, once):
    scores, alerts, dead = renamed(pipeline.outputs(), topics[0], cut_topics[0])
    want_scores, want_alerts, want_dead = whole.outputs()
    crash, others = split_letters(dead)
    where = {position(d) for d in crash}
    replaced = [d for d in want_dead if position(d) in where]
    check(len(where) == len(replaced) == n_poison and (len(crash) == n_poison or not once),
          f"{len(crash)} dead letters of crashes at {where}, {n_poison} expected, {len(replaced)} of them cut")
    for letter in crash:
        check(POISON in letter[2].decode(), f"a wrong one was condemned: {letter}")
        check(b"crashed at it (SIG" in dict(letter[4])["ouzel.error"], f"reason of {letter}")
    for got, want, what in ((scores, want_scores, "scores"), (alerts, want_alerts, "alerts"),
                            (others, [d for d in want_dead if position(d) not in where], "other dead letters")):
        same(*((got, want) if once else (sorted(set(got)), sorted(set(want)))), what)
    check(pipeline.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    same(pipeline.stored_rows(), whole.stored_rows(), "stored rows")


def poison(broker, folder, name, settings, where, signals, once):
    topics, sources = load(broker, name, poisoned(24, 5000, where, False))
    cut_topics, cut_sources = load(broker, f"{name}-cut", poisoned(24, 5000, where, True))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*cut_sources, *settings])
    whole.run_through(cut_topics)
    pipeline = Pipeline(broker.address, folder, f"{name}-crashed", FILE, [*sources, *settings])
    pipeline.make_topics()
    crashes = supervise(pipeline, topics, signals)
    check(crashes == 4 * len(where), f"{crashes} crashes, four for each of {len(where)} expected")
    check_poison(pipeline, whole, topics, cut_topics, len(where), once)
    said = re.findall(LOOK, pipeline.log.read_text())
    check(len(said) >= len(where), "it does not say that it runs suspects alone")
    print(f"        {crashes} crashes, at most {said} suspects run alone, {len(where)} dead letters of stage crash, "
          "all else as if they had been cut")


def test_poison_exactly_once(broker, folder):
    """Two next to each other, by each of the four signals in turn."""
    poison(broker, folder, "poison", SETTINGS, [2500, 2501], [("segv", signal.SIGSEGV), ("bus", signal.SIGBUS),
           ("fpe", signal.SIGFPE), ("abrt", signal.SIGABRT)], True)


def test_poison_at_least_once(broker, folder):
    poison(broker, folder, "poison-alo", [*SETTINGS, "delivery=at_least_once"], [2000], [("segv", signal.SIGSEGV)], False)


def test_kills_condemn_nothing(broker, folder):
    """SIGKILL at the same record, then the four signals sent from outside at the same batch, each more often
    than it takes."""
    topics, sources = load(broker, "killed", poisoned(25, 3000, [1500], False))
    whole = Pipeline(broker.address, folder, "killed-whole", FILE, [*sources, *SETTINGS])
    whole.run_through(topics)
    pipeline = Pipeline(broker.address, folder, "killed-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    for _ in range(5):
        pipeline.start(fault=f"poison-record:kill={POISON}")
        ended(pipeline, -signal.SIGKILL)
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT, signal.SIGSEGV):
        pipeline.start(fault="batch-start:3=60000")
        pipeline.wait_for("ready")
        time.sleep(1)
        pipeline.process.send_signal(number)
        ended(pipeline, -number)
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    check("crashed" not in pipeline.log.read_text(), "kills from outside were taken for crashes")
    equal(pipeline, whole)


def partitioned(broker, name, place, n=6000):
    """Transactions whose partition is place(card, number); the labels' topic is as it should be."""
    records = events.make(26, n, cards=400)
    topics = [f"{name}-tx", f"{name}-labels"]
    make_topics(broker.address, topics)
    producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 5,
                         "log_level": 0})
    for i, r in enumerate(records):
        card = r["key"].encode()
        at = place(card, i) if r["source"] == "tx" else partition_of(card)
        producer.produce(topics[r["source"] == "labels"], r["value"], card, partition=at, timestamp=r["arrival"])
        producer.poll(0)
    check(producer.flush(30) == 0, "the load was not taken")
    return topics, [f"sources.tx.topic={topics[0]}", f"sources.labels.topic={topics[1]}"]


def test_partitioning_is_noticed(broker, folder):
    def moved(card, i):  # one card of 400 changes its place
        return (partition_of(card) + (i > 3000)) % PARTITIONS if card == b"c7" else partition_of(card)

    said = {}
    for name, place, named in (
            ("keys-java", lambda card, i: partition_of(card), False),
            ("keys-crc", lambda card, i: zlib.crc32(card) % PARTITIONS, False),
            ("keys-none", lambda card, i: i % PARTITIONS, True),
            ("keys-other", lambda card, i: zlib.adler32(card) // 7 % PARTITIONS, True),
            ("keys-moved", moved, True)):
        topics, sources = partitioned(broker, f"{name}{RUN}", place)
        pipeline = Pipeline(broker.address, folder, name, FILE, [*sources, *SETTINGS])
        pipeline.run_through(topics)
        log = pipeline.log_text()
        check(log.count("does not look partitioned") == named, f"{name}: " + log)
        check(("keys off their partition" in log) == named, f"{name}: status line\n" + log)
        if named:
            said[name] = re.search(r"the topic `(.*)` .* key `card`: of (\d+) keys (\d+) % .* and (\d+) % .* and "
                                   r"(\d+) came from two partitions", log)
            check(said[name] and said[name][1] == topics[0], log)
            print(f"        {said[name][0]}")
    check(int(said["keys-none"][5]) > 0 and int(said["keys-other"][5]) == 0 and int(said["keys-moved"][5]) == 1,
          "keys in two partitions")


if __name__ == "__main__":
    main([test_flood_exactly_once, test_flood_at_least_once, test_few_dead_letters_are_no_flood,
          test_disk_fills_up, test_disk_is_said_to_be_short, test_poison_exactly_once, test_poison_at_least_once,
          test_kills_condemn_nothing, test_partitioning_is_noticed])
