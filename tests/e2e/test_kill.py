"""Exactly once under kill -9: inside each numbered step of the epoch, and at random moments. Outputs and
rows (of the changelog, and of the state folder) equal those of the undisturbed run. The checker is shown
to notice a build that leaves step 5 out. At least once under the same kills: nothing missing, repeats
carry the same id, rows never counted twice."""
import collections
import random
import time

import events
from harness import ROOT, Failure, Pipeline, check, main, same
from test_run import ENTITIES, load

FILE = ROOT / "tests/e2e/pipeline.yaml"
STEPS = {
    "batch-start": 1, "batch-rows": 1, "batch-emit": 1, "seal-start": 2, "seal-produce": 2,
    "offsets-start": 3, "offsets-sent": 3, "commit-start": 4, "commit-done": 4, "store-start": 5,
    "store-done": 5,
}
TRANSACTION_ONLY = {"offsets-start", "offsets-sent", "commit-start", "commit-done"}
RANDOM_KILLS = 10
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms"]


def wait_for_kill(pipeline, seconds):
    until = time.time() + seconds
    while pipeline.process.poll() is None and time.time() < until:
        time.sleep(0.01)
    return pipeline.process.poll() == -9


def kill_at(pipeline, fault, seconds=12):
    """True when the process died at the point. One that reads to the end without passing it is killed."""
    pipeline.start(fault=fault)
    died = wait_for_kill(pipeline, seconds)
    code = pipeline.process.poll()
    check(code in (None, -9), f"{fault}: ended with {code}:\n" + pipeline.log_text()[-2000:])
    pipeline.kill()
    return died


def disturb(pipeline, points, rng, histogram):
    for point in points:
        if kill_at(pipeline, f"{point}:{rng.choice([1, 2, 3])}"):
            histogram[point] += 1
    # A restart that is killed while it reads the changelog's tail, behind a commit that the store missed.
    kill_at(pipeline, "commit-done:2")
    if kill_at(pipeline, "replay-part"):
        histogram["replay-part"] += 1
    for _ in range(RANDOM_KILLS):
        pipeline.start()
        time.sleep(rng.uniform(0.4, 2.0))
        check(pipeline.process.poll() is None, pipeline.log_text()[-2000:])
        pipeline.kill()
        histogram["random"] += 1


def show(histogram):
    for point, n in sorted(histogram.items(), key=lambda x: (STEPS.get(x[0], 9), x[0])):
        step = f"step {STEPS[point]}" if point in STEPS else "      "
        print(f"        {step}  {point:14} {n:3} {'#' * n}")


def equal(disturbed, whole):
    for got, want, what in zip(disturbed.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    check(disturbed.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    check(disturbed.stored_rows() == whole.stored_rows(), "stored rows differ")


def undisturbed(broker, folder, name, seed, n, settings):
    topics, sources = load(broker, name, events.make(seed, n))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *settings])
    whole.run_through(topics)
    return topics, sources, whole


def test_exactly_once(broker, folder):
    topics, sources, whole = undisturbed(broker, folder, "kill", 11, 60000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "kill-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    histogram = collections.Counter()
    disturb(pipeline, list(STEPS), random.Random(1), histogram)
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    show(histogram)
    missing = [p for p in [*STEPS, "replay-part"] if not histogram[p]]
    check(not missing, f"nobody was killed at {missing}")
    equal(pipeline, whole)


def test_at_least_once(broker, folder):
    settings = [*SETTINGS, "delivery=at_least_once"]
    topics, sources, whole = undisturbed(broker, folder, "alo", 12, 60000, settings)
    pipeline = Pipeline(broker.address, folder, "alo-killed", FILE, [*sources, *settings])
    pipeline.make_topics()
    histogram, rng = collections.Counter(), random.Random(2)
    for point in STEPS:
        if point not in TRANSACTION_ONLY and kill_at(pipeline, f"{point}:{rng.choice([1, 2, 3])}"):
            histogram[point] += 1
    for _ in range(5):
        pipeline.start()
        time.sleep(rng.uniform(0.4, 2.0))
        pipeline.kill()
        histogram["random"] += 1
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    show(histogram)
    for got, want, what in zip(pipeline.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        ids = [tuple(r[:3]) for r in got]
        check(set(ids) == {tuple(r[:3]) for r in want},
              f"{what}: something is missing, or a repeat says something else")
        print(f"        {what}: {len(want)} expected, {len(ids) - len(want)} repeats, 0 missing")
    check(pipeline.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    check(pipeline.stored_rows() == whole.stored_rows(), "stored rows differ")


def test_without_step_5_it_is_noticed(broker, folder):
    """The store never gets its writes: after an abort or a restart rows are read back too old."""
    topics, sources, whole = undisturbed(broker, folder, "skip", 13, 30000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "skip-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    pipeline.start(fault="store-start:every=skip,offsets-start:8=fail,commit-start:20=fail")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    try:
        equal(pipeline, whole)
    except Failure as failure:
        print(f"        noticed: {str(failure).splitlines()[0]}")
        return
    raise Failure("a run without step 5 was not noticed")


if __name__ == "__main__":
    main([test_exactly_once, test_at_least_once, test_without_step_5_it_is_noticed])
