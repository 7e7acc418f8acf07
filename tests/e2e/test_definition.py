"""A changed pipeline file goes on with the state that it finds: stop, change the features, run again. Every score is
compared with a recomputation from the events, and `warming` with what the earlier definition kept, both in Python;
then once more from the changelog alone, with the folder deleted, and back under the first file. What cannot be
followed is refused with exit 5 and says what changed."""
import json
import random
import shutil
import subprocess

from harness import OUZEL, RUN, Pipeline, check, flat, main, make_topics, produce, read

START, MINUTE, HOUR, DAY = 1700000000000, 60000, 3600000, 86400000
CARDS = 40
LATENESS = 10 * MINUTE
FIELDS = {"id": "long", "at": "timestamp", "card": "string", "shop": "string", "amount": "double"}
FIRST = {"n_1h": "count() by card over 1h", "mean_1d": "mean(amount) by card over 1d"}
# Another name for the mean; a window inside of what was kept; a longer one; a value that was not kept.
NEXT = {"usual": "mean( amount ) by card over 24h", "n_2h": "count() by card over 2h",
        "sum_3d": "sum(amount) by card over 3d", "shops_1d": "distinct(shop) by card over 1d"}
LABELS = {"frauds_7d": "count(labels) by card over 7d where labels.fraud"}


def write(folder, name, features, change=None):
    source = {"format": "json", "id": "id", "key": "card", "time": "at", "lateness": "10m"}
    file = {"pipeline": "x", "kafka": {"bootstrap.servers": "x"},
            "sources": {"tx": {"topic": "x-tx", "fields": FIELDS, **source},
                        "labels": {"topic": "x-labels", "fields": {**FIELDS, "fraud": "boolean"}, **source, "score": False}},
            "entities": {"card": "card"}, "features": features,
            "outputs": {"scores": {"topic": "x-scores", "features": True}, "dead_letters": {"topic": "x-dead"}},
            "alerts": {"topic": "x-alerts", "rules": {"high": {"when": "amount > 900", "suppress": "1h by card"}}},
            "state": {"dir": "x", "memory": "64MiB"}, "instance": "one", "max_idle": "200ms", "epoch": {"every": "50ms"}}
    if change:
        change(file)
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(file, indent=1))
    return path


def made(rng, first_id, from_ms, until_ms, n, cards):
    """Transactions in the order of their times, each card's at least one here and there."""
    times = sorted(rng.sample(range(from_ms, until_ms), n))
    return [{"id": first_id + i, "at_ms": t, "card": f"c{rng.choice(cards)}", "shop": f"s{rng.randrange(5)}",
             "amount": rng.randrange(1, 100000) / 100} for i, t in enumerate(times)]


def send(address, topic, events):
    produce(address, [(topic, e["card"].encode(), json.dumps(
        {"id": e["id"], "at": iso(e["at_ms"]), "card": e["card"], "shop": e["shop"], "amount": e["amount"]}).encode(),
        e["at_ms"], None) for e in events])


def iso(ms):
    import datetime
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def window(history, t, span):
    return [e for e in history if t - span < e["at_ms"] <= t]


def mean(events):
    return sum(round(e["amount"] * 100) for e in events) / 100 / len(events)


def wanted_first(history, e):
    t = e["at_ms"]
    return {"n_1h": len(window(history, t, HOUR)), "mean_1d": mean(window(history, t, DAY))}, False


def wanted_next(history, e, old):
    """`old`: the card's events under the first definition, which kept a day and no shops."""
    t, kept, gone = e["at_ms"], history, False
    if old:
        last = old[-1]["at_ms"]
        edge = last - DAY - LATENESS
        gone = old[0]["at_ms"] <= edge and t - 3 * DAY < edge
        kept = [x for x in history if x["at_ms"] > edge]
    no_shops = bool(old) and t - DAY < old[-1]["at_ms"]
    known = {x["id"] for x in old}
    return {"usual": mean(window(history, t, DAY)), "n_2h": len(window(history, t, 2 * HOUR)),
            "sum_3d": sum(round(x["amount"] * 100) for x in window(kept, t, 3 * DAY)) / 100,
            "shops_1d": len({x["shop"] for x in window(history, t, DAY) if x["id"] not in known})}, gone or no_shops


def compare(pipeline, events, wanted):
    scores = {int(s["event"]): s for s in (r.json() for r in flat(read(pipeline.address, pipeline.scores)))}
    n_warming = 0
    for e in events:
        values, warming = wanted(e)
        got = scores[e["id"]]
        check(got["features"].keys() == values.keys(), f"features {got['features']}")
        for name, value in values.items():
            check(abs(got["features"][name] - value) <= 1e-9 * abs(value),
                  f"{name} of event {e}: {got}, expected {value}")
        check(("warming" in got.get("flags", [])) == warming, f"{e}: {got}, warming should be {warming}")
        n_warming += warming
    return n_warming


def run(pipeline, topic, events):
    send(pipeline.address, topic, events)
    pipeline.run_through([topic])


def test_changed_features(broker, folder):
    rng, cards = random.Random(5), list(range(CARDS))
    topic = f"changed{RUN}-tx"
    make_topics(broker.address, [topic, f"changed{RUN}-labels"])
    settings = [f"sources.tx.topic={topic}", f"sources.labels.topic=changed{RUN}-labels"]
    first = write(folder, "first", FIRST)
    later = write(folder, "next", NEXT)
    third = write(folder, "labels", {**NEXT, **LABELS})
    pipeline = Pipeline(broker.address, folder, "changed", first, settings)
    pipeline.make_topics()
    days = [START + d * HOUR for d in (0, 120, 150, 174, 198, 222)]
    # Some cards are not seen in the second run: their rows stay as the first wrote them.
    parts = [made(rng, 0, days[0], days[1], 3000, cards[:30]), made(rng, 10000, days[1], days[2], 2500, cards[10:]),
             made(rng, 20000, days[2], days[3], 1500, cards), made(rng, 30000, days[3], days[4], 500, cards),
             made(rng, 40000, days[4], days[5], 500, cards)]
    before = {c: [e for e in parts[0] if e["card"] == c] for c in {f"c{i}" for i in cards}}
    so_far = []

    def history(e):
        return [x for x in so_far if x["card"] == e["card"] and (x["at_ms"], x["id"]) <= (e["at_ms"], e["id"])]

    def under_next(e):
        return wanted_next(history(e), e, before[e["card"]])

    so_far += parts[0]
    run(pipeline, topic, parts[0])
    compare(pipeline, parts[0], lambda e: wanted_first(history(e), e))
    pipeline.file = str(later)
    so_far += parts[1]
    run(pipeline, topic, parts[1])
    warming = [compare(pipeline, parts[1], under_next)]
    check(0 < warming[0] < len(parts[1]), f"{warming} of {len(parts[1])} are warming")
    stored = pipeline.stored_parts()["card"]
    rows = {k: v for k, v in pipeline.rows(["card"])["card"].items() if k[1][:2] != b"\0\0"}
    check(stored == rows and len({v[6:8] for v in rows.values()}) == 2, "rows of both layouts, as in the changelog")
    shutil.rmtree(pipeline.state)
    so_far += parts[2]
    run(pipeline, topic, parts[2])
    check("rebuilt from" in pipeline.log_text(), "not rebuilt from the changelog")
    warming.append(compare(pipeline, parts[2], under_next))
    lines = {line["key"]: line for line in pipeline.state_lines("--rows")}
    check(lines.keys() == {e["card"] for e in so_far}, "`ouzel state` shows other rows")
    # A source that was not read before: nothing tells what it had.
    pipeline.file = str(third)
    so_far += parts[3]
    run(pipeline, topic, parts[3])
    compare(pipeline, parts[3], lambda e: ({**under_next(e)[0], "frauds_7d": 0}, True))
    # And back: what the first definition asks for was always kept.
    pipeline.file = str(first)
    so_far += parts[4]
    run(pipeline, topic, parts[4])
    compare(pipeline, parts[4], lambda e: wanted_first(history(e), e))
    print(f"        {len(so_far)} scores as recomputed; warming {warming} of {[len(p) for p in parts[1:3]]}")


def refused(command, words):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    check(done.returncode == 5 and words in done.stderr, f"exit {done.returncode}, not `{words}`: {done.stderr[-1500:]}")
    said = done.stderr.strip().splitlines()[-1]
    print(f"        exit 5: {said[:150]}")


def test_refusals(broker, folder):
    topic = f"refused{RUN}-tx"
    make_topics(broker.address, [topic, f"refused{RUN}-labels"])
    settings = [f"sources.tx.topic={topic}", f"sources.labels.topic=refused{RUN}-labels"]
    first = write(folder, "first", FIRST)
    pipeline = Pipeline(broker.address, folder, "refused", first, settings)
    pipeline.make_topics()
    run(pipeline, topic, made(random.Random(1), 0, START, START + DAY, 200, [1, 2, 3]))

    def other_key(file):
        for source in file["sources"].values():
            source["fields"] = {**source["fields"], "card": "long"}

    changes = [("no_id", lambda f: f["sources"]["tx"].pop("id"), "the id of source `tx` was `id long` and is `none` now"),
               ("key", other_key, "the key of source `tx` was `card string` and is `card long` now"),
               ("sources", lambda f: f["sources"].pop("labels"), "the sources were `tx, labels` and are `tx` now")]
    for name, change, words in changes:
        pipeline.file = str(write(folder, name, FIRST, change))
        more = settings[:1] if name == "sources" else settings
        pipeline.settings = [s for s in pipeline.settings if not s.startswith("sources.")] + more
        refused(pipeline.arguments("run"), words)
        refused(pipeline.arguments("state", "--rows"), words)
        refused([OUZEL, "diff", "--state", first, pipeline.file], words)
    pipeline.settings += settings[1:]
    shutil.rmtree(pipeline.state)  # the changelog says it too
    pipeline.file = str(write(folder, "no_id", FIRST, changes[0][1]))
    refused(pipeline.arguments("run"), "the changelog of card")


def test_diff(_broker, folder):
    first, later, third = (write(folder, n, f) for n, f in (("a", FIRST), ("b", NEXT), ("c", LABELS)))
    done = subprocess.run([OUZEL, "diff", "--state", first, later], capture_output=True, text=True)
    check(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    fate = {line.split(None, 1)[1].split(":")[0]: line.split()[0] for line in done.stdout.splitlines()}
    check(fate == {"mean(tx.amount) by card over 1d": "kept", "count(tx) by card over 2h": "computed",
                   "sum(tx.amount) by card over 3d": "warming", "distinct(tx.shop) by card over 1d": "warming",
                   "count(tx) by card over 1h": "removed"}, f"{done.stdout}")
    done = subprocess.run([OUZEL, "diff", "--state", first, third], capture_output=True, text=True)
    check("its source's events were not kept" in done.stdout, done.stdout)


if __name__ == "__main__":
    main([test_diff, test_changed_features, test_refusals])
