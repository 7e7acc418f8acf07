"""The checker of the rounds notices what a broken engine would leave. Each fault is planted for real: in
copies of an undisturbed run's topics, from which a process then rebuilds its folder, in a folder that has
read one epoch more than its group has committed, and in a restore that leaves the changelog's tail out.
The same without the plant is found clean, so that it is the plant that is noticed."""
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import checker  # noqa: E402
import events  # noqa: E402
from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402
from harness import ROOT, Pipeline, check, client, flat, main, produce, read  # noqa: E402
from test_kill import Kills  # noqa: E402
from test_run import ENTITIES, load  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms", "max_idle=10m"]
N = 3000


def left(pipeline, topics):
    sources = {"tx": topics[0], "labels": topics[1]}
    return checker.Left(pipeline, [pipeline], sources, ENTITIES)


def undisturbed(broker, folder, name, seed, n=N):
    topics, sources = load(broker, name, events.make(seed, n))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *SETTINGS])
    whole.run_through(topics)
    return topics, sources, whole


def copy_topic(address, source, target, alter):
    """Records as they are, by partition, but what `alter` makes of the list."""
    by_partition = read(address, source)
    for partition, records in alter(by_partition).items():
        produce_to(address, target, partition, records)


def produce_to(address, topic, partition, records):
    producer = client(Producer, address, {"enable.idempotence": True})
    for r in records:
        producer.produce(topic, r.value, r.key, partition=partition, timestamp=r.time_ms, headers=r.headers)
    producer.flush()


def as_it_is(by_partition):
    return by_partition


def one_twice(by_partition):
    records = next(r for r in by_partition.values() if len(r) > 10)
    records.insert(7, records[5])
    return by_partition


def one_left_out(by_partition):
    """The newest record of a row: a later one would hide that it is missing."""
    records = next(r for r in by_partition.values() if len(r) > 10)
    records.pop()
    return by_partition


def newest_commit_left_out(by_partition):
    """What a restore up to the last stable offset would see: the newest transaction, behind the marker of
    the one before, is not there yet."""
    for records in by_partition.values():
        while len(records) > 1 and records[-1].offset == records[-2].offset + 1:
            records.pop()
        if records:
            records.pop()
    return by_partition


def renamed(by_partition, old, new):
    """Outputs carry the pipeline's name, and so do the changelogs' meta records."""
    for record in flat(by_partition):
        if record.key and record.key[:2] == b"\0\0" and record.topic.startswith("ouzel."):
            record.value = record.value.replace(b'"' + old + b'"', b'"' + new + b'"')
        if record.value is not None and not record.topic.startswith("ouzel."):
            record.value = record.value.replace(b'"' + old + b"/", b'"' + new + b"/")
        record.headers = [(k, v.replace(old, new, 1) if k in ("ouzel.id", "ouzel.pipeline") else v)
                          for k, v in record.headers]
    return by_partition


def copy_run(broker, folder, whole, topics, sources, name, alter):
    """The run's topics under another name, altered by topic; a process rebuilds its folder from them."""
    pipeline = Pipeline(broker.address, folder, name, FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    old, new = whole.name.encode(), pipeline.name.encode()
    for what in ("scores", "alerts", "dead"):
        copy_topic(broker.address, getattr(whole, what), getattr(pipeline, what),
                   lambda r, what=what: renamed(alter.get(what, as_it_is)(r), old, new))
    for entity in ENTITIES:
        copy_topic(broker.address, whole.changelog(entity), pipeline.changelog(entity),
                   lambda r, entity=entity: renamed(alter.get(entity, as_it_is)(r), old, new))
    offsets = [TopicPartition(t, p, n) for t in topics for p, n in whole.committed(t).items() if n >= 0]
    client(Consumer, broker.address, {"group.id": f"ouzel.{pipeline.name}"}).commit(offsets=offsets, asynchronous=False)
    pipeline.start()
    pipeline.wait_for("rebuilt from")
    pipeline.wait_for("running: ")
    pipeline.stop()
    return pipeline


def noticed(verdict, kind):
    check(getattr(verdict, kind) > 0, f"what was planted was not noticed: {verdict}")
    print(f"        noticed: {verdict.examples[0].splitlines()[0][:150]}")


def clean(verdict):
    check(verdict.is_clean(), f"found without a plant: {verdict}\n" + "\n".join(verdict.examples))


def test_planted_in_copies(broker, folder):
    topics, sources, whole = undisturbed(broker, folder, "plant", 41)
    want = left(whole, topics)

    def verdict(name, alter):
        copied = copy_run(broker, folder, whole, topics, sources, name, alter)
        return checker.compare(left(copied, topics), want)

    clean(verdict("plant-none", {}))
    for what in ("scores", "alerts", "dead"):
        noticed(verdict(f"plant-twice-{what}", {what: one_twice}), "doubled")
        noticed(verdict(f"plant-lost-{what}", {what: one_left_out}), "missing")
    for entity in ENTITIES:
        found = verdict(f"plant-skipped-{entity}", {entity: one_left_out})
        check(found.missing + found.different >= 2, f"rows of changelog and folder: {found}")
        noticed(found, "different" if found.different else "missing")
    short = left(copy_run(broker, folder, whole, topics, sources, "plant-stable",
                          dict.fromkeys(ENTITIES, newest_commit_left_out)), topics)
    found = checker.Verdict()
    checker.compare_folders(found, short.folders, want.folders[0], short.committed)
    noticed(found, "different")


def test_row_one_epoch_ahead(broker, folder):
    """A folder that has a batch more than the group's commits, and one whose offsets say nothing of it."""
    topics, sources, whole = undisturbed(broker, folder, "ahead", 42)
    want = left(whole, topics)
    clean(checker.compare(left(whole, topics), want))
    when = events.START + 13 * events.DAY
    more = [{"id": N + i, "at": events.iso(when + i), "card": f"c{i}", "shop": f"s{i}", "amount": 7} for i in range(20)]
    produce(broker.address, [(topics[0], e["card"], json.dumps(e), when + i, None) for i, e in enumerate(more)])
    whole.start()
    whole.wait_until_read(topics)
    whole.stop()
    ahead = checker.Folder(whole)
    got = left(whole, topics)
    got.committed, got.outputs, got.changelog = want.committed, want.outputs, want.changelog
    got.order = []
    noticed(checker.compare(got, want), "different")
    for p, rows in want.folders[0].rows.items():
        changed = [k for k in rows if ahead.rows[p].get(k) != rows[k]]
        if changed:
            got.folders = [checker.Folder.__new__(checker.Folder)]
            got.folders[0].read = want.folders[0].read
            got.folders[0].rows = {q: dict(r) for q, r in want.folders[0].rows.items()}
            got.folders[0].rows[p][changed[0]] = ahead.rows[p][changed[0]]
            noticed(checker.compare(got, want), "different")
            return
    raise AssertionError("the batch has changed no row")


def test_restore_that_stops_too_early(broker, folder):
    """Up to the last stable offset, the newest commit's records are not there yet: here they are left out."""
    topics, sources, whole = undisturbed(broker, folder, "early", 44, 10000)
    want = left(whole, topics)
    for name, skip in (("early-control", None), ("early-short", "replay-part:every=skip")):
        pipeline = Pipeline(broker.address, folder, name, FILE, [*sources, *SETTINGS])
        pipeline.make_topics()
        Kills(pipeline, topics).at("commit-done", 3, before="store-start:every=60000,")
        pipeline.start(fault=skip)
        pipeline.wait_until_read(topics)
        pipeline.stop()
        verdict = checker.compare(left(pipeline, topics), want)
        if skip:
            noticed(verdict, "different")
        else:
            clean(verdict)
        shutil.rmtree(pipeline.state)


if __name__ == "__main__":
    main([test_planted_in_copies, test_row_one_epoch_ahead, test_restore_that_stops_too_early])
