#!/usr/bin/env python3
"""Writes tests/golden/state-VERSION.tar.zst, once a release and never again: a state folder that this release
made on a real broker, the records that it was made from, and the pipeline file. test_golden.py reads all of
them with every later release, and compares the rows with a twin that knows nothing of the engine's bytes.

  OUZEL=build/release/ouzel build/venv/bin/python tests/golden/make_state.py"""
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import events  # noqa: E402
from harness import OUZEL, Broker, Folder, Pipeline  # noqa: E402
from test_run import load  # noqa: E402

version = subprocess.run([OUZEL, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
target = ROOT / f"tests/golden/state-{version}.tar.zst"
if target.exists():
    sys.exit(f"{target} is there: a release's state is written once")
with Broker() as broker, Folder("golden-state") as folder:
    made = folder / "made"
    made.mkdir()
    shutil.copy(ROOT / "tests/e2e/pipeline.yaml", made)
    records = events.make(101, 1500)
    topics, sources = load(broker, "golden-state", records)
    pipeline = Pipeline(broker.address, folder, "golden-state", made / "pipeline.yaml", [*sources, "state.retire=0"])
    pipeline.make_topics()
    for point in ("batch-start:8", "commit-done:2"):  # several logs and tables of RocksDB
        pipeline.start(fault=f"{point},batch-start:every=5", settings=["batch.rows=50", "epoch.rows=100", "epoch.every=10ms"])
        pipeline.process.wait(60)
    pipeline.run_through(topics)
    shutil.move(pipeline.state, made / "state")
    (made / "settings.json").write_text(json.dumps([f"pipeline={pipeline.name}", *sources]))
    with open(made / "records.jsonl", "w") as file:
        for record in records:
            file.write(json.dumps({k: record[k] for k in ("source", "broken", "event")}) + "\n")
    subprocess.run(["tar", "--zstd", "-C", made, "--sort=name", "--owner=0", "--group=0", "-cf", target, "."], check=True)
print(f"{target}: {target.stat().st_size} bytes")
