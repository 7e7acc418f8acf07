"""What keeps a pipeline inside of its limits, on a real broker: a flood of dead letters stops it with exit
code 8 and a sentence that holds true, with everything before it committed, and the next start goes on."""
import re

import events
from harness import PARTITIONS, ROOT, Pipeline, check, flat, main, read, same
from test_run import ENTITIES, load

FILE = ROOT / "tests/e2e/pipeline.yaml"
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms"]


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


if __name__ == "__main__":
    main([test_flood_exactly_once, test_flood_at_least_once, test_few_dead_letters_are_no_flood])
