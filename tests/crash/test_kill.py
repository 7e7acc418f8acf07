"""The process is killed (SIGKILL) at every fault point of the epoch's five steps, at the first pass on
empty state and at later ones, in the middle of a restart and of an abort, and at random moments; the broker
is killed under it; it is stopped for longer than its transaction may last. Each time it is started again,
and in the end every output (by partition, in order) and every row (of the changelogs and of the state
folder) equals that of a run that nobody disturbed.

At least once under the same kills: nothing is missing, a repeat says what the first said under the same
id, and no row has counted an event twice.

That the checker would notice is shown by runs that leave step 5 out, or the replay of a restart.

Topics are loaded with explicit times before the start, so that answers depend on the input alone.
`--full` (ctest label `full`) has more rounds."""
import collections
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import events  # noqa: E402
from harness import ROOT, Failure, Pipeline, check, main, same  # noqa: E402
from test_run import ENTITIES, load  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
STEPS = {
    "batch-start": 1, "batch-rows": 1, "batch-emit": 1, "seal-start": 2, "seal-produce": 2,
    "offsets-start": 3, "offsets-sent": 3, "commit-start": 4, "commit-done": 4, "store-start": 5,
    "store-done": 5,
}
OF_TRANSACTIONS = {"offsets-start", "offsets-sent", "commit-start", "commit-done"}
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms"]
PACE = "batch-start:every=20"  # ms a batch: the input must outlast the kills
FULL = "--full" in sys.argv
LONG_AWAY = 20  # s without a broker, of the 30 that a transaction and the group's session may last
RANDOM_KILLS = 40 if FULL else 10
ROUNDS = 4 if FULL else 1
EVENTS = 150000 if FULL else 60000


class Kills:
    """How often the process was killed where, and how far it had come."""

    def __init__(self, pipeline, topics):
        self.pipeline, self.topics, self.count = pipeline, topics, collections.Counter()

    def at(self, point, nth=1, before="", seconds=20):
        """It dies at the nth pass of a point."""
        self.pipeline.start(fault=f"{PACE},{before}{point}:{nth}")
        until = time.time() + seconds
        while self.pipeline.process.poll() is None and time.time() < until:
            time.sleep(0.005)
        code = self.pipeline.process.poll()
        if code is None:
            self.pipeline.kill()
        check(code == -signal.SIGKILL, f"{point}:{nth}: instead of dying there it "
              + (f"ended with {code}" if code is not None else "went on") + ":\n" + self.pipeline.log_text()[-2000:])
        self.count[point] += 1

    def at_random(self, rng):
        self.pipeline.start(fault=PACE)
        self.pipeline.wait_for("ready")
        time.sleep(rng.uniform(0, 0.6))
        check(self.pipeline.process.poll() is None, self.pipeline.log_text()[-2000:])
        self.pipeline.kill()
        self.count["random"] += 1

    def left(self):
        return self.pipeline.lag(self.topics)

    def show(self):
        for point, n in sorted(self.count.items(), key=lambda x: (STEPS.get(x[0], 9), x[0])):
            step = f"step {STEPS[point]}" if point in STEPS else "      "
            print(f"        {step}  {point:14} {n:3} {'#' * n}")


def finish(pipeline, topics):
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()


def same_rows(disturbed, whole):
    check(disturbed.rows(ENTITIES) == whole.rows(ENTITIES), "rows of the changelog differ")
    same(disturbed.stored_rows(), whole.stored_rows(), "stored rows")


def equal(disturbed, whole):
    for got, want, what in zip(disturbed.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    same_rows(disturbed, whole)


def undisturbed(broker, folder, name, seed, n, settings):
    topics, sources = load(broker, name, events.make(seed, n))
    whole = Pipeline(broker.address, folder, f"{name}-whole", FILE, [*sources, *settings])
    whole.run_through(topics)
    return topics, sources, whole


def kill_everywhere(kills, rng, points):
    for point in points:
        for nth in (1, rng.randrange(2, 12)):
            kills.at(point, nth)
    # A restart that dies while it reads the changelog's tail, behind commits that the store has missed; and
    # the one after it.
    if "commit-done" in points:
        for nth in (3, 6):
            kills.at("commit-done", nth, before="store-start:every=60000,")
            kills.at("replay-part")
        kills.at("abort-start", 1, before="offsets-sent:4=fail,")
    for _ in range(RANDOM_KILLS):
        kills.at_random(rng)


def test_exactly_once(broker, folder):
    topics, sources, whole = undisturbed(broker, folder, "kill", 11, EVENTS, SETTINGS)
    for r in range(ROUNDS):
        pipeline = Pipeline(broker.address, folder, f"kill-killed-{r}", FILE, [*sources, *SETTINGS])
        pipeline.make_topics()
        kills, rng, points = Kills(pipeline, topics), random.Random(r), list(STEPS)
        rng.shuffle(points)
        kill_everywhere(kills, rng, points)
        left = kills.left()
        check(left > 0, "the input was read before the last kill: too little of it, or too little pace")
        finish(pipeline, topics)
        kills.show()
        equal(pipeline, whole)
        print(f"        {sum(kills.count.values())} kills, {left} records left for the run after them: "
              "outputs and rows as undisturbed")


def test_first_pass_on_empty_state(broker, folder):
    """Nothing is stored, no offset committed, no meta record written: each point's first pass of all."""
    topics, sources, whole = undisturbed(broker, folder, "first", 14, 1500, SETTINGS)
    for point in STEPS:
        pipeline = Pipeline(broker.address, folder, f"first-{point}", FILE, [*sources, *SETTINGS])
        pipeline.make_topics()
        Kills(pipeline, topics).at(point)
        finish(pipeline, topics)
        equal(pipeline, whole)
    print(f"        {len(STEPS)} kills on empty state: outputs and rows as undisturbed")


def test_at_least_once(broker, folder):
    settings = [*SETTINGS, "delivery=at_least_once"]
    topics, sources, whole = undisturbed(broker, folder, "alo", 12, EVENTS, settings)
    pipeline = Pipeline(broker.address, folder, "alo-killed", FILE, [*sources, *settings])
    pipeline.make_topics()
    kills, rng = Kills(pipeline, topics), random.Random(2)
    kill_everywhere(kills, rng, [p for p in STEPS if p not in OF_TRANSACTIONS])
    check(kills.left() > 0, "the input was read before the last kill")
    finish(pipeline, topics)
    kills.show()
    repeats = 0
    for got, want, what in zip(pipeline.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        check(set(got) == set(want), f"{what}: {len(set(want) - set(got))} are missing, "
              f"{len(set(got) - set(want))} are wrong, such as {next(iter(set(got) ^ set(want)), None)}")
        print(f"        {what}: {len(want)} expected, {len(got) - len(want)} repeats, 0 missing")
        repeats += len(got) - len(want)
    check(repeats > 0, "no kill made it repeat anything: the kills were not where they should be")
    same_rows(pipeline, whole)


def test_rows_that_left_memory(broker, folder):
    """More rows than memory: they go to the store and come back between the kills, and after an abort."""
    topics, sources = load(broker, "wide", events.make(17, 60000, cards=40000, shops=8000))
    sources.append("state.retire=0")  # rows unseen for so long would leave at other moments than the other run's
    whole = Pipeline(broker.address, folder, "wide-whole", FILE, [*sources, "state.memory=1GiB"])
    whole.run_through(topics)
    pipeline = Pipeline(broker.address, folder, "wide-killed", FILE,
                        [*sources, "state.memory=32MiB", "batch.rows=100", "epoch.every=20ms", "state.flush=60ms"])
    pipeline.make_topics()
    kills, rng = Kills(pipeline, topics), random.Random(3)
    for nth in (8, 30):
        kills.at("commit-done", nth)
        kills.at("store-start", nth)
    kills.at("abort-start", 3, before="offsets-sent:3=fail,commit-start:6=fail,offsets-start:9=fail,")
    for _ in range(RANDOM_KILLS // 2):
        kills.at_random(rng)
    check(kills.left() > 0, "the input was read before the last kill")
    pipeline.start(fault="offsets-sent:6=fail,commit-start:12=fail")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    kills.show()
    held = [int(log.rsplit("rows in memory ", 1)[1].split(",")[0]) for log in (whole.log_text(), pipeline.log_text())]
    check(held[1] < held[0] / 2, f"rows in memory {held}: none had to leave")
    equal(pipeline, whole)
    print(f"        {held[0]} rows, at most {held[1]} in memory")


def expect_noticed(pipeline, whole):
    try:
        equal(pipeline, whole)
    except Failure as failure:
        print(f"        noticed: {str(failure).splitlines()[0]}")
        return
    raise Failure("what was left out was not noticed")


def test_without_step_5_it_is_noticed(broker, folder):
    """The store never gets its writes: after an abort rows are read back too old."""
    topics, sources, whole = undisturbed(broker, folder, "skip", 13, 30000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "skip-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    pipeline.start(fault="store-start:every=skip,offsets-start:8=fail,commit-start:20=fail")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    expect_noticed(pipeline, whole)


def test_without_replay_it_is_noticed(broker, folder):
    """A restart that leaves the changelog's tail out."""
    topics, sources, whole = undisturbed(broker, folder, "tail", 18, 10000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "tail-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    Kills(pipeline, topics).at("commit-done", 5, before="store-start:every=60000,")
    pipeline.start(fault="replay-part:every=skip")
    pipeline.wait_until_read(topics)
    pipeline.stop()
    expect_noticed(pipeline, whole)


def test_broker_is_killed(broker, folder):
    """The client rides through: what it says is committed is there when the broker is back. A broker that takes
    nearly as long to come back as a transaction may last ends the run with 7, and it is started again."""
    if not broker.dir:
        print("        skipped: $KAFKA is not ours to kill")
        return
    topics, sources, whole = undisturbed(broker, folder, "broker", 15, 20000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "broker-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    pipeline.start(fault=PACE)
    away = 0
    for _ in range(2 if FULL else 1):
        pipeline.wait_for("ready")
        time.sleep(0.3)
        began = time.time()
        broker.kill()
        broker.start()
        away = max(away, time.time() - began)
    try:
        pipeline.wait_until_read(topics, 120)
        pipeline.stop()
    except Failure:
        if away < LONG_AWAY or pipeline.process.poll() != 7:
            raise
        print(f"        the broker was away for {away:.0f} s, the run ended with 7")
        finish(pipeline, topics)
    equal(pipeline, whole)


def test_stopped_for_too_long(broker, folder):
    """SIGSTOP outlasts the transaction: the coordinator aborts it, and the process must neither take the
    commit for done nor go on with rows of an epoch that never was. It may end, when a restart helps."""
    settings = [*SETTINGS, "kafka.transaction.timeout.ms=2000"]
    topics, sources, whole = undisturbed(broker, folder, "stop", 16, 20000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "stop-stopped", FILE, [*sources, *settings])
    pipeline.make_topics()
    for point in ("batch-emit:9", "offsets-sent:9", "commit-start:3"):
        # The point holds the process while it is stopped, so that the stop is in the middle of that step.
        pipeline.start(fault=f"{PACE},{point}=1500")
        pipeline.wait_for("ready")
        time.sleep(0.7)
        pipeline.process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        pipeline.process.send_signal(signal.SIGCONT)
        time.sleep(2)
        code = pipeline.process.poll()
        check(code in (None, 7), f"{point}: ended with {code}:\n" + pipeline.log_text()[-2000:])
        print(f"        stopped at {point}: " + ("it went on" if code is None else "it ended with 7"))
        if code is None:
            pipeline.kill()
    finish(pipeline, topics)
    equal(pipeline, whole)


if __name__ == "__main__":
    main([test_first_pass_on_empty_state, test_exactly_once, test_at_least_once,
          test_rows_that_left_memory, test_without_step_5_it_is_noticed,
          test_without_replay_it_is_noticed, test_broker_is_killed, test_stopped_for_too_long])
