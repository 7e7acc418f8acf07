"""`ouzel state` beside a running engine: called again and again while records come, it always shows a whole
epoch, never an older one than before, and the engine neither notices nor answers differently; in the end the
stored parts are byte for byte those of the changelogs, and the decoded rows are the twin's."""
import subprocess

import events
import stored_rows
from harness import OUZEL, ROOT, Failure, Pipeline, check, flat, main, read
from test_run import load

ENTITIES = ["card", "shop"]
FILE = ROOT / "tests/e2e/pipeline.yaml"


def test_beside_the_engine(broker, folder):
    records = events.make(6, 12000)
    topics, settings = load(broker, "looked-at", records)  # all of it first: the order is the logs' own then
    pipeline = Pipeline(broker.address, folder, "looked-at", FILE,
                        [*settings, "state.flush=10ms", "epoch.every=10ms", "epoch.rows=100", "batch.rows=50"])
    pipeline.make_topics()
    pipeline.start(fault="batch-start:every=20")  # ms a batch: the input must outlast the looks
    pipeline.wait_for("ready")
    epoch, so_far, seen = 0, 0, set()
    while pipeline.lag(topics):
        (said,) = pipeline.state_lines("--json")
        check(said["epoch"] >= epoch and said["damaged"] == 0, f"epoch {said['epoch']} after {epoch}: {said}")
        now = sum(max(0, p["sources"]["tx"] or 0) for p in said["partitions"])
        check(now >= so_far, f"{now} records after {so_far}")
        epoch, so_far = said["epoch"], now
        seen.add(epoch)
        pipeline.state_lines("--rows")
        check(pipeline.process.poll() is None, "the engine has ended:\n" + pipeline.log_text()[-2000:])
    pipeline.wait_until_read(topics)
    pipeline.stop()
    check(len(seen) > 3, f"only the epochs {sorted(seen)} were seen while it ran")
    stored, changelog = pipeline.stored_parts(), pipeline.rows(ENTITIES)
    for entity in ENTITIES:
        rows = {k: v for k, v in changelog[entity].items() if k[1][:2] != b"\0\0"}
        check(stored[entity] == rows, f"{entity}: stored parts are not the changelog's")
    twin = stored_rows.twin_of(records)
    try:
        rows, n_events, held = stored_rows.check_rows(pipeline.state_lines("--rows"), twin)
    except stored_rows.Mismatch as mismatch:
        raise Failure(str(mismatch)) from mismatch
    check(held > 0, "no suppression is in any row")
    (summary,) = pipeline.state_lines("--json")
    check(sum(e["rows"] for e in summary["entities"]) == rows, f"{summary['entities']}, {rows} rows")
    (one,) = pipeline.state_lines("--entity", "card", "--key", "c7")
    stored_rows.check_row("card", "c7", one, twin.cards["c7"])
    scores = len(flat(read(broker.address, pipeline.scores)))
    check(scores == sum(r["source"] == "tx" and not r["broken"] for r in records), f"{scores} scores")
    print(f"        {len(seen)} epochs seen while it ran; {rows} rows, {n_events} events, {held} suppressions as the twin")


def test_mistakes(broker, folder):
    """What only a folder with rows can show; the rest is in tests/cli."""
    pipeline = Pipeline(broker.address, folder, "looked-at-wrong", FILE)
    pipeline.make_topics()
    pipeline.start()
    pipeline.wait_for("ready")
    pipeline.stop()
    run = subprocess.run(pipeline.arguments("state", settings=["sources.tx.fields.id=string"]),
                         capture_output=True, text=True)
    check(run.returncode == 5 and "another definition" in run.stderr, f"{run.returncode}: {run.stderr}")
    run = subprocess.run([OUZEL, "state", "--version"], capture_output=True, text=True)
    check(run.returncode == 2, f"{run.returncode}")


if __name__ == "__main__":
    main([test_beside_the_engine, test_mistakes])
