"""The n-th allocation of ours fails, for many n from the first of the process on: while the file is read, in the
join, in a replay, in a batch, a seal, a commit. The process then ends with what says so (7: out of memory), or
lives without it, but never crashes; and what was committed by all these runs, each of which went on where the one
before had ended, equals an undisturbed run."""
import collections
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Pipeline, check, main  # noqa: E402
from test_kill import PACE, SETTINGS, equal, finish, undisturbed  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
FULL = "--full" in sys.argv
RUN_S = 0.7  # a run that has not ended by then goes on without it, or never made so many


def one_run(pipeline, nth):
    """"at the start", "at work", or None: it went on."""
    pipeline.start(fault=f"no-memory:{nth},{PACE}")
    until = time.time() + 60
    ready = None
    while pipeline.process.poll() is None:
        check(time.time() < until, f"no-memory:{nth}: neither ready nor ended:\n" + pipeline.log_text()[-2000:])
        if ready is None and "ready" in pipeline.log_text():
            ready = time.time()
        if ready and time.time() - ready > RUN_S:
            pipeline.process.send_signal(signal.SIGTERM)  # the last of its work may be what there is no memory for
            if pipeline.process.wait(60) == 0:
                return None
        time.sleep(0.01)
    code = pipeline.process.returncode
    text = pipeline.log_text()
    check(code == 7 and "out of memory" in text, f"no-memory:{nth}: it ended with {code}:\n" + text[-2000:])
    return "at work" if "running:" in text else "at the start"


def test_nth_allocation(broker, folder):
    topics, sources, whole = undisturbed(broker, folder, "memory", 41, 60000, SETTINGS)
    pipeline = Pipeline(broker.address, folder, "memory-short", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    ended, last = {}, 1
    for n in range(1, 40):  # until one goes on, twice: then n is beyond what a run makes
        last = int(1.5 ** n) + n
        ended[last] = one_run(pipeline, last)
        if last > 1000 and not ended[last]:
            break
    rng = random.Random(5)
    for _ in range(150 if FULL else 25):
        nth = rng.randrange(1, last)
        ended[nth] = one_run(pipeline, nth)
    count = collections.Counter(ended.values())
    for when in ("at the start", "at work"):
        check(count[when] > 5, f"only {count[when]} runs ended {when}")
    check(pipeline.lag(topics) > 0, "the input was read before the last run: too little of it")
    finish(pipeline, topics)
    equal(pipeline, whole)
    print(f"        allocations 1 to {last}: {count['at the start']} runs ended with 7 at the start, "
          f"{count['at work']} at work, {count[None]} went on: outputs and rows as undisturbed")


if __name__ == "__main__":
    main([test_nth_allocation])
