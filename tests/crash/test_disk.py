"""The disk is full, or broken, in the middle of step 5: RocksDB's writes fail after so many bytes, the last one cut
short. The process ends with 7 and says what to do; it does so again while the disk is full; with room it goes on,
and outputs and rows equal those of a run on a sound disk."""
import errno
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import events  # noqa: E402
from harness import OUZEL, ROOT, Pipeline, check, main  # noqa: E402
from test_kill import PACE, SETTINGS, equal, finish  # noqa: E402
from test_run import load  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
SHIM = pathlib.Path(OUZEL).resolve().parent / "disk_shim.so"
WORDS = {errno.ENOSPC: "make room and start again, nothing is lost", errno.EIO: "Input/output error"}


def ends_with_7(pipeline, control, words):
    pipeline.start(fault=PACE, environment={"LD_PRELOAD": str(SHIM), "OUZEL_TEST_DISK": str(control)}.items())
    until = time.time() + 60
    while pipeline.process.poll() is None:
        check(time.time() < until, "it goes on as if it had written:\n" + pipeline.log_text()[-2000:])
        time.sleep(0.01)
    text = pipeline.log_text()
    check(pipeline.process.returncode == 7 and words in text,
          f"it ended with {pipeline.process.returncode}:\n" + text[-2000:])


def test_writes_fail(broker, folder):
    # Wide enough that memtables are written out as tables while the run goes on.
    topics, sources = load(broker, "disk", events.make(51, 40000, cards=8000, shops=2000))
    settings = [*sources, *SETTINGS, "state.memory=32MiB", "state.min_free=1MiB", "state.retire=0"]
    whole = Pipeline(broker.address, folder, "disk-whole", FILE, settings)
    whole.run_through(topics)
    rng, control = random.Random(7), folder / "disk"
    for code, words in WORDS.items():
        pipeline = Pipeline(broker.address, folder, f"disk-{errno.errorcode[code].lower()}", FILE, settings)
        pipeline.make_topics()
        lefts = []

        def fails_after(limit):
            control.write_text(f"{code} {limit}")
            ends_with_7(pipeline, control, words)
            lefts.append(pipeline.lag(topics))

        for limit in [0, 20, 5000]:
            fails_after(limit)
        # How far a run comes depends on what is written out meanwhile: as many as it takes to have three places.
        while len(set(lefts)) < 4 and len(lefts) < 20:
            fails_after(rng.randrange(100000, 2500000))
        check(lefts == sorted(lefts, reverse=True), f"a run lost what an earlier one had committed: {lefts}")
        check(len(set(lefts)) == 4 and lefts[-1] > 0, f"the failures did not fall into the middle of a run: {lefts}")
        control.unlink()
        finish(pipeline, topics)
        equal(pipeline, whole)
        print(f"        {errno.errorcode[code]}: {len(lefts)} runs ended with 7, records left after each {lefts}: "
              "outputs and rows as undisturbed")


if __name__ == "__main__":
    main([test_writes_fail])
