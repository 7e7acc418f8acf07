"""The ledger against a real broker. Its ranges cover each partition's offsets exactly once and its counts are
the topics', through aborts, kills and restarts; every record is byte for byte what an encoder of our own
makes of its values; `ouzel replay` finds epochs and ids equal, from the source topics and from the changelogs,
and notices an altered score, a missing one, another pipeline file."""
import collections
import json
import subprocess
import time

import events
from harness import PARTITIONS, ROOT, RUN, Pipeline, check, flat, high_watermarks, main, make_topics, produce, read
from test_run import load, murmur2

FILE = ROOT / "tests/e2e/pipeline.yaml"
SETTINGS = ["epoch.every=20ms", "epoch.rows=300", "batch.rows=100", "state.flush=60ms"]
PACE = "batch-start:every=30"  # ms a batch: the input must outlast the kills


def ledger_topic(pipeline):
    return f"ouzel.{pipeline.name}.ledger"


def ledger(pipeline, isolation="read_committed"):
    records = [r for r in flat(read(pipeline.address, ledger_topic(pipeline), isolation))]
    for r in records:
        check(r.key == b"one", f"a ledger record's key is {r.key}")
        check(r.partition == (murmur2(r.key) & 0x7FFFFFFF) % PARTITIONS, f"partition {r.partition}")
    return [r.json() for r in records], records


def encode(v):
    """The record's bytes from its values, written from its description and from nothing else."""
    def text(s):
        return json.dumps(s, ensure_ascii=False)
    models = ",".join(f"{text(k)}:{text(h)}" for k, h in v["models"].items())
    batches = ",".join("[" + ",".join(f"[{text(t)},{p},{a},{b}]" for t, p, a, b in batch) + "]"
                       for batch in v["batches"])
    out = (f'{{"v":1,"epoch":{v["epoch"]},"instance":{text(v["instance"])},"config":{text(v["config"])},'
           f'"models":{{{models}}},"batches":[{batches}],"scores":{v["scores"]},"alerts":{v["alerts"]},'
           f'"dead":{v["dead"]},"now":[{",".join(text(t) for t in v["now"])}],"parts":{v["parts"]},'
           f'"after":{v["after"]}')
    if "changelog" in v:
        ends = ",".join(f"{text(e)}:[{','.join(map(str, at))}]" for e, at in v["changelog"]["ends"].items())
        out += f',"changelog":{{"epoch":{v["changelog"]["epoch"]},"ends":{{{ends}}}}}'
    return out + "}"


def check_ledger(pipeline, topics):
    """What exactly once promises of it; returns the records."""
    records, raw = ledger(pipeline)
    for value, record in zip(records, raw):
        check(record.value.decode() == encode(value), f"bytes of a ledger record:\n{record.value}\n{encode(value)}")
        check(len(value["now"]) == len(value["batches"]), "one time a batch")
    numbers = [r["epoch"] for r in records]
    check(numbers == sorted(set(numbers)), "an epoch's number is given twice, or goes back")
    check([r["after"] for r in records] == [0, *numbers[:-1]], "an epoch goes on from another than the one before")
    at = collections.defaultdict(int)
    for r in records:
        for batch in r["batches"]:
            for topic, partition, first, behind in batch:
                check(first == at[topic, partition] and behind > first,
                      f"epoch {r['epoch']}: {topic}/{partition} from {first}, and {at[topic, partition]} is next")
                at[topic, partition] = behind
    for topic in topics:
        for partition, end in high_watermarks(pipeline.address, topic).items():
            check(at[topic, partition] == end, f"{topic}/{partition}: covered to {at[topic, partition]} of {end}")
    for name, topic in (("scores", pipeline.scores), ("alerts", pipeline.alerts), ("dead", pipeline.dead)):
        said, there = sum(r[name] for r in records), len(flat(read(pipeline.address, topic)))
        check(said == there > 0, f"{name}: the ledger counts {said}, the topic has {there}")
    parts = sum(len([r for r in flat(read(pipeline.address, pipeline.changelog(e))) if r.key[:2] != b"\0\0"])
                for e in ("card", "shop"))
    check(sum(r["parts"] for r in records) == parts, "parts of the changelogs")
    print(f"        {len(records)} epochs, {sum(len(r['batches']) for r in records)} batches: each offset once")
    return records


def replay(pipeline, *arguments, settings=(), code=0):
    run = subprocess.run(pipeline.arguments("replay", *arguments, settings=settings), capture_output=True, text=True)
    check(run.returncode == code, f"replay {arguments} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout + run.stderr


def disturbed(broker, folder, name, n, settings=()):
    """A run with aborts, kills and restarts."""
    topics, sources = load(broker, name, events.make(21, n))
    pipeline = Pipeline(broker.address, folder, name, FILE, [*sources, *SETTINGS, *settings])
    pipeline.make_topics()
    for fault in ("commit-done:4", "commit-start:3=fail,commit-done:6", "seal-produce:3", "offsets-sent:2=fail,store-start:3"):
        pipeline.start(fault=f"{PACE},{fault}")
        pipeline.process.wait(60)
        check(pipeline.process.returncode == -9, f"{fault}: ended with {pipeline.process.returncode}\n"
              + pipeline.log_text()[-2000:])
    pipeline.start(fault="offsets-sent:3=fail,commit-start:6=fail")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    return pipeline, topics


def copy_scores(pipeline, change):
    """A copy of the scores' topic, in which `change` made something else of some records."""
    topic = f"{pipeline.scores}-copy-{time.monotonic_ns()}"
    make_topics(pipeline.address, [topic])
    produce(pipeline.address, [(topic, r.key, value, r.time_ms, None)
                               for r in flat(read(pipeline.address, pipeline.scores))
                               if (value := change(r.value)) is not None])
    return topic


def test_exactly_once(broker, folder):
    pipeline, topics = disturbed(broker, folder, "ledger", 20000)
    records = check_ledger(pipeline, topics)
    rows = pipeline.stored_rows()
    ends = {t: high_watermarks(broker.address, t) for t in (pipeline.scores, ledger_topic(pipeline))}
    scored = [r for r in records if r["scores"]]
    for r in (scored[0], scored[len(scored) // 2], scored[-1]):
        said = replay(pipeline, "--epoch", str(r["epoch"]))
        check(f"{r['scores']} scores" in said and said.count(": equal") == 1, said)
        print("        " + said.splitlines()[0])
    alerts = [a.json() for a in flat(read(broker.address, pipeline.alerts))]
    score = flat(read(broker.address, pipeline.scores))[777].json()["id"]
    for one in (score, alerts[len(alerts) // 2]["id"]):
        print("        " + replay(pipeline, "--id", one).splitlines()[0])
    late = next(r for r in scored[len(scored) // 2:] if r["epoch"] > 10)
    said = replay(pipeline, "--epoch", str(late["epoch"]), "--from-changelog")
    check(": equal" in said and "behind the rows of epoch" in said, said)
    print("        " + said.splitlines()[-1])
    check(pipeline.stored_rows() == rows, "a replay changed the state folder")
    check(ends == {t: high_watermarks(broker.address, t) for t in ends}, "a replay wrote to a topic")
    check_noticed(pipeline, scored[len(scored) // 2], score)


def check_noticed(pipeline, record, score):
    number = str(record["epoch"])
    needle = b'"id":"' + score.encode() + b'"'
    altered = copy_scores(pipeline, lambda v: v.replace(b'"amount":', b'"amount":9') if needle in v else v)
    said = replay(pipeline, "--id", score, "--scores", altered, code=1)
    check("features.amount differs" in said and score in said, said)
    print("        noticed: " + said.splitlines()[0][:150])
    gone = copy_scores(pipeline, lambda v: None if needle in v else v)
    check(f"{score}: not in" in replay(pipeline, "--id", score, "--scores", gone, code=1), "a missing score")
    said = replay(pipeline, "--epoch", number, settings=["features.n_1h=count() by card over 2h"], code=1)
    check("ran with another pipeline file" in said, said)
    said = replay(pipeline, "--epoch", "1000000", code=4)
    check("and not 1000000" in said, said)


def test_inputs_gone(broker, folder):
    """The first records of the source are deleted: the rows come from the changelogs; when all of an epoch's
    inputs are, it is said."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient
    pipeline, topics = disturbed(broker, folder, "gone", 12000)
    records, _ = ledger(pipeline)
    known = [r["changelog"]["epoch"] for r in records if "changelog" in r]
    target = next(r for r in records if r["scores"] and r["epoch"] > known[len(known) // 2] and r["after"] in known)
    first = {}
    for r in records:
        if r["epoch"] >= target["epoch"]:
            for batch in r["batches"]:
                for topic, partition, low, _ in batch:
                    first.setdefault((topic, partition), low)
    admin = AdminClient({"bootstrap.servers": broker.address})
    if not hasattr(admin, "delete_records"):
        print("        skipped: this client cannot delete records")
        return
    for future in admin.delete_records([TopicPartition(t, p, low) for (t, p), low in first.items()]).values():
        future.result()
    said = replay(pipeline, "--epoch", str(target["epoch"]))
    check(": equal" in said and "its retention has removed" in said, said)
    print("        " + said.splitlines()[-1])
    before = next(r for r in records if r["scores"])
    said = replay(pipeline, "--epoch", str(before["epoch"]), code=8)
    print("        " + said.splitlines()[-1][:200])


def test_at_least_once(broker, folder):
    topics, sources = load(broker, "alo-ledger", events.make(22, 8000))
    pipeline = Pipeline(broker.address, folder, "alo-ledger", FILE,
                        [*sources, *SETTINGS, "delivery=at_least_once"])
    pipeline.make_topics()
    for fault in ("store-start:3", "seal-produce:5"):
        pipeline.start(fault=f"{PACE},{fault}")
        pipeline.process.wait(60)
        check(pipeline.process.returncode == -9, pipeline.log_text()[-2000:])
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    records, _ = ledger(pipeline)
    thrown = [r["epoch"] for r in records for s in records if s["after"] < r["epoch"] < s["epoch"]]
    check(thrown, "no epoch was thrown away: the kills were not where they should be")
    for r in (records[-2], next(r for r in records if r["epoch"] == thrown[-1]), records[len(records) // 2]):
        print("        " + replay(pipeline, "--epoch", str(r["epoch"])).splitlines()[0])
    print(f"        {len(records)} epochs, thrown away: {sorted(set(thrown))}")


if __name__ == "__main__":
    main([test_exactly_once, test_inputs_gone, test_at_least_once])
