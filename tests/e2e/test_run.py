"""The pipeline against a real broker: every input has exactly one score, ids unbroken, features and alerts
as the twin computes them from their definitions, broken records in the dead letters each with its reason,
outputs where and when they belong; a stop in the middle changes nothing; batch sizes and workers change
nothing, and each worker does its share."""
import json
import re
import sys

import events
from harness import PARTITIONS, ROOT, RUN, Pipeline, check, flat, main, make_topics, produce, read, same

FILE = ROOT / "tests/e2e/pipeline.yaml"
FULL = "--full" in sys.argv
N = 300000 if FULL else 20000
CUTS = [(4096, 1), (4096, 2), (7, 2), (1, 1), (512, 4)] + FULL * [(1, 4), (7, 4), (100, 3), (4095, 8), (20000, 2)]
ENTITIES = ["card", "shop"]


def murmur2(data):
    """The hash of Kafka's Java client, by its published constants."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) - len(data) % 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[len(data) - len(data) % 4:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key):
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def load(broker, name, records):
    tx, labels = f"{name}{RUN}-tx", f"{name}{RUN}-labels"
    make_topics(broker.address, [tx, labels])
    topic = {"tx": tx, "labels": labels}
    produce(broker.address, [(topic[r["source"]], r["key"], r["value"], r["arrival"],
                              [("trace", b"abc")] if r["broken"] else None) for r in records])
    return [tx, labels], [f"sources.tx.topic={tx}", f"sources.labels.topic={labels}"]


def check_scores(name, records, topics, inputs, scores, alerts):
    """inputs: the source topic as read back, for partitions and offsets."""
    twin, want, want_alerts = events.Twin(), {}, []
    for record in records:
        if record["source"] == "labels":
            twin.label(record["event"])
        elif not record["broken"]:
            where = inputs[record["number"]]
            score_id = f"{name}/{topics[0]}/{where.partition}/{where.offset}"
            f, late, duplicate, fired = twin.score(record["event"])
            want[score_id] = (f, late, duplicate, record, where)
            want_alerts += [(f"{score_id}/{rule}", held) for rule, held in fired]
    got = {}
    for record in scores:
        score = record.json()
        check(score["id"] not in got, f"two scores of {score['id']}")
        got[score["id"]] = (score, record)
    check(got.keys() == want.keys(), f"{len(got)} scores, {len(want)} expected")
    for score_id, (f, late, duplicate, record, where) in want.items():
        score, out = got[score_id]
        check(score["features"] == f, f"{score_id}: features\n{score['features']}\ninstead of\n{f}")
        check(score.get("late", []) == late, f"{score_id}: late {score.get('late')}, not {late}")
        check(("duplicate" in score.get("flags", [])) == duplicate, f"{score_id}: duplicate")
        check(out.key == where.key and out.time_ms == where.time_ms, f"{score_id}: key or time")
        check(out.partition == partition_of(out.key), f"{score_id}: in partition {out.partition}")
        check(score["event"] == str(record["event"]["id"]) and score["key"] == record["event"]["card"]
              and score["time"] == record["event"]["at"], f"{score_id}: event, key or time")
    got_alerts = [(a.json()["id"], a.json()["suppressed"]) for a in alerts]
    same(sorted(got_alerts), sorted(want_alerts), "alerts")
    high = [held for alert_id, held in want_alerts if alert_id.endswith("/high")]
    check(len(high) > 0 and sum(high) > 0, "the input makes no suppressed alert")
    print(f"        {len(want)} scores, {len(want_alerts)} alerts, {sum(high)} held back, "
          f"{sum(bool(l) for _, l, *_ in want.values())} late, {sum(d for _, _, d, *_ in want.values())} "
          "repeats: as the twin")


def check_dead(name, records, topics, inputs, dead):
    got = {tuple(int(dict(d.headers)[f"ouzel.source.{k}"]) for k in ("partition", "offset")): d
           for d in dead}
    want = [r for r in records if r["broken"]]
    check(len(got) == len(dead) == len(want), f"{len(dead)} dead letters, {len(want)} expected")
    kinds = {}
    for record in want:
        where = inputs[record["number"]]
        letter = got[(where.partition, where.offset)]
        header = {k: v.decode() for k, v in letter.headers}
        check(letter.key == where.key and letter.value == where.value, "a dead letter was changed")
        check(header["trace"] == "abc" and header["ouzel.v"] == "1", f"headers {header}")
        check(header["ouzel.stage"] == events.STAGE[record["broken"]],
              f"{record['broken']}: stage {header['ouzel.stage']}")
        check(header["ouzel.id"] == f"{name}/{topics[0]}/{where.partition}/{where.offset}", "ouzel.id")
        check(header["ouzel.source.timestamp"] == str(where.time_ms), "ouzel.source.timestamp")
        kinds.setdefault(record["broken"], header["ouzel.error"])
    check(len(set(kinds.values())) >= 4, f"reasons are too much alike: {kinds}")
    for kind, reason in sorted(kinds.items()):
        print(f"        dead letter, {kind}: {reason}")


def number_inputs(records, topic_records):
    """Which record of the topic each made record is: keys and arrival times are unique together."""
    by_time = {r.time_ms: r for r in topic_records}
    inputs = {}
    for i, record in enumerate(records):
        record["number"] = i
        if record["source"] == "tx":
            inputs[i] = by_time[record["arrival"]]
    return inputs


def test_as_the_twin(broker, folder):
    records = events.make(1, N, cards=4000 if FULL else 40, shops=2000 if FULL else 25)
    topics, settings = load(broker, "twin", records)
    # Some records are later than the lateness against other cards, which rows past use do not promise to answer.
    pipeline = Pipeline(broker.address, folder, "twin", FILE, [*settings, "state.retire=0"] if FULL else settings)
    pipeline.run_through(topics)
    inputs = number_inputs(records, flat(read(broker.address, topics[0])))
    check_scores(pipeline.name, records, topics, inputs, flat(read(broker.address, pipeline.scores)),
                 flat(read(broker.address, pipeline.alerts)))
    check_dead(pipeline.name, records, topics, inputs, flat(read(broker.address, pipeline.dead)))


def test_any_cut_is_the_same(broker, folder):
    records = events.make(2, 6000)
    topics, settings = load(broker, "cut", records)
    first = None
    for rows, workers in CUTS:
        name = f"cut-{rows}-{workers}"
        pipeline = Pipeline(broker.address, folder, name, FILE,
                            [*settings, f"batch.rows={rows}", f"workers={workers}"])
        pipeline.run_through(topics)
        shares = [float(s) for s in
                  re.findall(r"worker shares ([\d .]+) %", pipeline.log_text())[-1].split()]
        check(len(shares) == workers, f"{workers} workers, shares {shares}")
        check(min(shares) > 100 / workers / 3, f"an unfair share: {shares}")
        got = pipeline.outputs(), pipeline.rows(ENTITIES), pipeline.stored_rows()
        first = first or got
        for a, b, what in zip(got[0], first[0], ("scores", "alerts", "dead letters")):
            same(a, b, f"{name}: {what}")
        check(got[1] == first[1], f"{name}: rows of the changelog differ")
        check(got[2] == first[2], f"{name}: stored rows differ")
        print(f"        batches of {rows}, {workers} workers: the same bits; shares {shares} %")


def test_stopped_in_the_middle(broker, folder):
    records = events.make(3, 12000)
    topics, settings = load(broker, "half", records[:6000])
    stopped = Pipeline(broker.address, folder, "half-stopped", FILE, settings)
    stopped.run_through(topics)
    topic = {"tx": topics[0], "labels": topics[1]}
    produce(broker.address, [(topic[r["source"]], r["key"], r["value"], r["arrival"],
                              [("trace", b"abc")] if r["broken"] else None) for r in records[6000:]])
    stopped.start()
    stopped.wait_until_read(topics)
    stopped.stop()
    whole = Pipeline(broker.address, folder, "half-whole", FILE, settings)
    whole.run_through(topics)
    for got, want, what in zip(stopped.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    check(stopped.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    check(stopped.stored_rows() == whole.stored_rows(), "stored rows differ")


def test_catching_up(broker, folder):
    """The day as it went, minutes at a time; then the same from the start, at full speed: the same answers,
    and nobody late that was not. What comes within the same minutes may come in any order when it is live,
    so the day is one whose answers do not hang on that: late ones are clearly in time or clearly late, and
    the shops' windows end half an hour ago."""
    records = events.make(4, 3000, days=0.5, late_by=(60, 240, 4000))
    topics = [f"paced{RUN}-tx", f"paced{RUN}-labels"]
    make_topics(broker.address, topics)
    settings = [f"sources.tx.topic={topics[0]}", f"sources.labels.topic={topics[1]}", "epoch.every=10ms",
                "features.shop_n_7d=count() by shop over 7d delay 30m",
                "features.shop_fraud=count(labels) by shop over 7d delay 30m where labels.fraud"]
    paced = Pipeline(broker.address, folder, "paced", FILE, settings)
    paced.make_topics()
    paced.start()
    paced.wait_for("ready")
    topic = {"tx": topics[0], "labels": topics[1]}
    in_day = [r for r in records if r["arrival"] < events.START + events.DAY]
    chunks = [[]]
    for record in in_day:  # a label comes alone: whether a transaction sees it does hang on the order
        alone = record["source"] == "labels" or (chunks[-1] and chunks[-1][0]["source"] == "labels")
        if alone or len(chunks[-1]) == 20:
            chunks.append([])
        chunks[-1].append(record)
    for chunk in chunks:
        produce(broker.address, [(topic[r["source"]], r["key"], r["value"], r["arrival"], None)
                                 for r in chunk])
        paced.wait_until_read(topics)
    paced.stop()
    caught_up = Pipeline(broker.address, folder, "caught-up", FILE, settings)
    caught_up.run_through(topics)
    for got, want, what in zip(caught_up.outputs(), paced.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    check(caught_up.rows(ENTITIES) == paced.rows(ENTITIES), "rows differ")
    late = [sum("late" in json.loads(s[2]) for s in p.outputs()[0]) for p in (paced, caught_up)]
    check(late[0] == late[1] > 0, f"late events {late}")
    print(f"        {len(in_day)} records, {late[0]} late in both")


def test_without_entities(broker, folder):
    """No entity, no row: still one score an event, alerts by rule, and a restart that goes on."""
    records = events.make(5, 2000)
    topics, sources = load(broker, "stateless", records)
    whole = [r for r in records if r["source"] == "tx" and not r["broken"]]
    pipeline = Pipeline(broker.address, folder, "stateless", ROOT / "tests/e2e/stateless.yaml", sources[:1])
    pipeline.run_through(topics[:1])
    pipeline.start()
    pipeline.wait_for("ready")
    pipeline.stop()
    want = sorted(((r["event"]["id"], r["event"]["amount"], int(r["event"]["at"][11:13] < "06"))
                   for r in whole), key=str)
    scores = [s.json() for s in flat(read(broker.address, pipeline.scores))]
    same(sorted(((int(s["event"]), s["features"]["amount"], s["features"]["night"])
                for s in scores), key=str), want, "scores")
    alerts = len(flat(read(broker.address, pipeline.alerts)))
    check(alerts == sum((a or 0) > 180 for _, a, _ in want) > 0, f"{alerts} alerts")
    print(f"        {len(scores)} scores, {alerts} alerts")


if __name__ == "__main__":
    main([test_as_the_twin, test_any_cut_is_the_same, test_stopped_in_the_middle, test_catching_up,
          test_without_entities])
