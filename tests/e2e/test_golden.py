"""The bytes that leave the process are those of tests/golden: scores, alerts, dead letters, the rows and
the meta record of the changelogs, and the offsets record of the state folder. They were written down by
make_golden.py, which does not know the engine; its files must be what it makes today, so that neither the
engine nor the files can change alone."""
import json
import os
import subprocess
import sys

from confluent_kafka import Producer

import stored_rows
from harness import (OUZEL, ROOT, RUN, Failure, Pipeline, check, flat, high_watermarks, main, make_topics,
                     read, same)

sys.path.insert(0, str(ROOT / "tests/golden"))
import make_golden  # noqa: E402


class GoldenPipeline(Pipeline):
    """The file as it is, without a single --set: its settings' hash is in the golden bytes."""

    def __init__(self, broker, folder):
        super().__init__(broker.address, folder, "golden", ROOT / "tests/golden/pipeline.yaml")
        self.topics = {"tx": f"{self.name}-tx", "labels": f"{self.name}-labels"}
        os.environ.update(SUFFIX=RUN, BROKER=self.address, STATE=str(self.state))

    def arguments(self, verb, *more, settings=()):
        return [OUZEL, verb, *more, self.file]

    def plain(self, data):
        """Without what keeps the names of this run apart."""
        return data.replace(self.name.encode(), b"golden") if data is not None and RUN else data

    def load(self):
        make_topics(self.address, self.topics.values())
        producer = Producer({"bootstrap.servers": self.address, "enable.idempotence": True})
        for source, partition, key, value, time, headers in make_golden.made_input():
            producer.produce(self.topics[source], value, key, partition, timestamp=time, headers=headers)
            check(producer.flush(30) == 0, "the load was not taken")


def compare(got, file):
    """Line by line, so that a failure shows the first that differs."""
    same(got.split("\n"), (ROOT / "tests/golden" / file).read_text().split("\n"), file)
    print(f"        {file}: {got.count('value ')} as they were written down")


def check_outputs(pipeline):
    for name, topic in (("scores", pipeline.scores), ("alerts", pipeline.alerts),
                        ("dead_letters", pipeline.dead)):
        records = [(r.partition, r.key, pipeline.plain(r.value), r.time_ms,
                    [(k, pipeline.plain(v)) for k, v in r.headers]) for r in flat(read(pipeline.address, topic))]
        compare(make_golden.records_text(records), f"{name}.golden")


def check_changelogs(pipeline):
    rows, changelog = {}, {}
    for entity in ("card", "shop"):
        last = {(r.partition, r.key): r for r in flat(read(pipeline.address, pipeline.changelog(entity)))}
        metas = {p: r.value for (p, k), r in last.items() if k == make_golden.META_KEY}
        check(sorted(metas) == list(range(make_golden.PARTITIONS)), f"{entity}: meta records in {sorted(metas)}")
        check(len(set(metas.values())) == 1, f"{entity}: meta records differ")
        compare(f"key {make_golden.META_KEY.hex()}\nvalue {pipeline.plain(metas[0]).decode()}\n", "meta.golden")
        rows[entity] = [(p, k, r.value) for (p, k), r in last.items() if k != make_golden.META_KEY]
        changelog[entity] = high_watermarks(pipeline.address, pipeline.changelog(entity))
    compare(make_golden.rows_text(rows), "changelog.golden")
    return rows, changelog, metas[0]


def check_state(pipeline, rows, changelog, meta):
    lines = pipeline.state_lines("--parts")
    stored = sorted((l["entity"], l["partition"], l["key"].encode().hex(), l["value"]) for l in lines if "key" in l)
    want = sorted((name, p, k[2:-4].hex(), v.hex()) for name in ("card", "shop") for p, k, v in rows[name])
    same(stored, want, "rows of the state folder and of the changelog")
    framed_meta = [bytes.fromhex(l["value"]) for l in lines if l.get("record") == "meta"]
    check(framed_meta == [make_golden.framed(meta, 255)], f"the state folder's meta record: {framed_meta}")
    sources = {s: high_watermarks(pipeline.address, t) for s, t in pipeline.topics.items()}
    offsets = {l["partition"]: bytes.fromhex(l["value"]) for l in lines if l.get("record") == "offsets"}
    check(sorted(offsets) == list(range(make_golden.PARTITIONS)), f"offsets records of {sorted(offsets)}")
    for partition, value in offsets.items():
        epoch, time_us = int.from_bytes(value[20:28], "little"), int.from_bytes(value[28:36], "little")
        want = make_golden.positions([sources[s][partition] for s in ("tx", "labels")],
                                     [changelog[e][partition] for e in ("card", "shop")], epoch, time_us)
        check(value == want, f"offsets of partition {partition}: {value.hex()} instead of {want.hex()}")
    print(f"        state folder: {len(stored)} rows as in the changelog, {len(offsets)} offsets records, meta")


def test_files_are_what_makes_them(_broker, _folder):
    for file, content in make_golden.files().items():
        same((ROOT / "tests/golden" / file).read_text().split("\n"), content.split("\n"), file)


def test_bytes(broker, folder):
    pipeline = GoldenPipeline(broker, folder)
    pipeline.load()
    pipeline.run_through(pipeline.topics.values())
    check_outputs(pipeline)
    check_state(pipeline, *check_changelogs(pipeline))


def test_state_of_every_release(_broker, folder):
    """A state folder that an earlier release made opens, and its rows are those of its records."""
    archives = sorted((ROOT / "tests/golden").glob("state-*.tar.zst"))
    check(archives, "there is no state folder in tests/golden")
    for archive in archives:
        made = folder / archive.name
        made.mkdir()
        subprocess.run(["tar", "--zstd", "-C", made, "-xf", archive], check=True)
        settings = [*json.loads((made / "settings.json").read_text()), f"state.dir={made / 'state'}"]
        run = subprocess.run([OUZEL, "state", "--rows", *(x for s in settings for x in ("--set", s)),
                              made / "pipeline.yaml"], stdout=subprocess.PIPE, text=True, check=True)
        twin = stored_rows.twin_of(map(json.loads, (made / "records.jsonl").read_text().splitlines()))
        try:
            rows, n_events, held = stored_rows.check_rows([json.loads(x) for x in run.stdout.splitlines()], twin)
        except stored_rows.Mismatch as mismatch:
            raise Failure(str(mismatch)) from mismatch
        check(rows > 50 and held > 0, f"{rows} rows, {held} suppressions")
        print(f"        {archive.name}: {rows} rows, {n_events} events, {held} suppressions as the twin")


if __name__ == "__main__":
    main([test_files_are_what_makes_them, test_bytes, test_state_of_every_release])
