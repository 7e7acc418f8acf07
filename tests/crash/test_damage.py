"""Files of the state folder are damaged between two runs, in ways that RocksDB sees at once and in ways that
it sees only when it reads a row. Exactly once, the run throws its rows away, rebuilds them from the changelog
and says so; every output and row equals those of a run whose disk was sound. At least once, which cannot
rebuild, refuses with what to do."""
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import events  # noqa: E402
from harness import ROOT, Pipeline, check, main  # noqa: E402
from test_kill import PACE, SETTINGS, equal, finish  # noqa: E402
from test_run import load  # noqa: E402
from test_start import ends_with  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
MEMORY = ["state.memory=32MiB", "state.retire=0"]  # rows are read from the disk, and stay
HEALED = "is thrown away and rebuilt from the changelog"


def tables(state):
    files = sorted((state / "rows").glob("*.sst"), key=lambda f: f.stat().st_size)
    check(files, f"no tables in {state}/rows")
    return files


def turn_bytes(file, first, last):
    """Every 100th byte of the part of the file between two fractions of it, turned round."""
    data = bytearray(file.read_bytes())
    for i in range(int(len(data) * first), max(int(len(data) * last), 1), 100):
        data[i] ^= 0xFF
    file.write_bytes(data)


def rows_of_tables(state):
    """The first partitions' rows, in tables where no start looks: the run finds it when it reads such a row."""
    for file in tables(state):
        if file.stat().st_size > 10000:
            turn_bytes(file, 0.05, 0.2)


def most_of_the_tables(state):
    for file in tables(state):
        turn_bytes(file, 0, 0.6)


def end_of_table(state):
    turn_bytes(tables(state)[-1], 0.99, 1)


def no_table(state):
    tables(state)[-1].unlink()


def short_table(state):
    file = tables(state)[-1]
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


def list_of_files(state):
    turn_bytes(next((state / "rows").glob("MANIFEST*")), 0, 1)


def no_list_of_files(state):
    next((state / "rows").glob("MANIFEST*")).unlink()


def name_of_list(state):
    (state / "rows" / "CURRENT").write_text("nonsense\n")


KINDS = [rows_of_tables, most_of_the_tables, end_of_table, no_table, short_table, list_of_files,
         no_list_of_files, name_of_list]


def some_runs(pipeline, topics):
    """A few short runs, the last ones of which put tables on the disk."""
    for _ in range(3):
        before = pipeline.lag(topics)
        pipeline.start(fault=PACE)
        pipeline.wait_for("ready")
        until = time.time() + 30
        while pipeline.lag(topics) > before - 1000:
            check(time.time() < until, "nothing is read:\n" + pipeline.log_text()[-2000:])
            time.sleep(0.05)
        pipeline.stop()
    check(pipeline.lag(topics) > 0, "the input is read before anything was damaged")


def test_exactly_once(broker, folder):
    topics, sources = load(broker, "damage", events.make(31, 20000, cards=2000, shops=500))
    whole = Pipeline(broker.address, folder, "damage-whole", FILE, [*sources, *SETTINGS, *MEMORY])
    whole.run_through(topics)
    midway = 0
    for kind in KINDS:
        pipeline = Pipeline(broker.address, folder, f"damage-{kind.__name__.replace('_', '-')}", FILE,
                            [*sources, *SETTINGS, *MEMORY])
        pipeline.make_topics()
        some_runs(pipeline, topics)
        kind(pipeline.state)
        finish(pipeline, topics)
        log = pipeline.log_text()
        check(log.count(HEALED) == 1, f"{kind.__name__}: it was rebuilt {log.count(HEALED)} times:\n{log[-3000:]}")
        equal(pipeline, whole)
        check(not (pipeline.state / "damaged").exists(), "the note of the damage is still there")
        midway += "running:" in log.split(HEALED)[0]
        when = "in the middle of the run" if "running:" in log.split(HEALED)[0] else "at the start"
        print(f"        {kind.__name__}: rebuilt {when}, outputs and rows as undisturbed")


    check(midway > 0, "no damage was found in the middle of a run: all at the start")


def test_at_least_once(broker, folder):
    topics, sources = load(broker, "damage-twice", events.make(32, 20000))
    pipeline = Pipeline(broker.address, folder, "damage-twice", FILE,
                        [*sources, *SETTINGS, *MEMORY, "delivery=at_least_once"])
    pipeline.make_topics()
    some_runs(pipeline, topics)
    shutil.copytree(pipeline.state, folder / "copy")
    no_list_of_files(pipeline.state)
    for _ in range(2):
        ends_with(pipeline, 5, "is damaged", "bring a copy of the folder back")
    shutil.rmtree(pipeline.state)
    shutil.move(folder / "copy", pipeline.state)
    finish(pipeline, topics)


if __name__ == "__main__":
    main([test_exactly_once, test_at_least_once])
