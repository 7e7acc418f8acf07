"""What keeps a pipeline inside of its limits, on a real broker: a flood of dead letters stops it with exit
code 8 and a sentence that holds true, with everything before it committed, and the next start goes on; a
disk that fills up makes it wait, as a member of its group, until there is room."""
import os
import pathlib
import re
import subprocess
import time

import events
from harness import DUMP_STATE, ROOT, Pipeline, check, flat, main, read, same
from test_run import ENTITIES, load

FILE = ROOT / "tests/e2e/pipeline.yaml"
SHIM = pathlib.Path(DUMP_STATE).parent / "statvfs_shim.so"
PACE = "batch-start:every=20"  # ms a batch: the input must outlast what is done to it
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


if __name__ == "__main__":
    main([test_flood_exactly_once, test_flood_at_least_once, test_few_dead_letters_are_no_flood,
          test_disk_fills_up, test_disk_is_said_to_be_short])
