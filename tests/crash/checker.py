"""What a run has left, and how it differs from that of a run that nobody disturbed. It knows Kafka's own
client and `ouzel state`, nothing of how the engine works.

Outputs are read committed and up to the high watermark, rows both from the changelogs and from the state
folders. What differs by intent between two runs, the pipeline's name, is taken out before."""
import collections
import json

from harness import Failure, flat, read

OUTPUTS = ("scores", "alerts", "dead letters")


class Verdict:
    def __init__(self):
        self.missing = self.doubled = self.different = self.repeats = 0
        self.examples = []

    def add(self, kind, n, what):
        if n:
            setattr(self, kind, getattr(self, kind) + n)
            self.examples.append(f"{kind} {n}: {what}"[:1500])

    def is_clean(self):
        return not (self.missing or self.doubled or self.different)

    def __str__(self):
        return f"missing {self.missing}, doubled {self.doubled}, different {self.different}" + (
            f", repeats {self.repeats}" if self.repeats else "")


class Folder:
    """A state folder: rows by partition, and up to where it has read each partition's sources."""

    def __init__(self, pipeline):
        self.rows, self.read = collections.defaultdict(dict), {}
        for row in pipeline.stored_rows():
            where = self.rows[row["partition"]]
            key = (row["entity"], row["key"], row["part"])
            if key in where:
                raise Failure(f"`ouzel state` shows {key} twice")
            where[key] = row["value"]
        (said,) = pipeline.state_lines("--json")
        for part in said["partitions"]:
            self.read[part["partition"]] = {s: max(0, n or 0) for s, n in part["sources"].items()}


class Left:
    """All that a run has left. `folders`: the state folders of its processes; `sources`: name -> topic."""

    def __init__(self, pipeline, folders, sources, entities):
        self.outputs = dict(zip(OUTPUTS, pipeline.outputs()))
        self.changelog = pipeline.rows(entities)
        self.folders = [Folder(f) for f in folders if f.state.exists()]
        committed = {s: pipeline.committed(topic) for s, topic in sources.items()}
        self.committed = {p: {s: max(0, committed[s][p]) for s in sources} for p in next(iter(committed.values()))}
        self.order = source_order(pipeline)


def source_order(pipeline):
    """Scores whose source offset does not follow that of the score before it of the same source partition."""
    last, wrong = collections.defaultdict(lambda: -1), []
    for record in flat(read(pipeline.address, pipeline.scores)):
        *source, offset = json.loads(record.value)["id"].split("/")
        if int(offset) <= last[tuple(source)]:
            wrong.append(record.value[:200])
        last[tuple(source)] = int(offset)
    return wrong


def identity(record):
    """partition, key, value, time, headers -> what it is the record of: dead letters say it in a header."""
    headers = dict(record[4])
    return headers["ouzel.id"] if "ouzel.id" in headers else json.loads(record[2])["id"]


def compare_records(verdict, got, want, what, repeats_may_be):
    by_id = [collections.defaultdict(list), collections.defaultdict(list)]
    for records, found in zip((got, want), by_id):
        for record in records:
            found[identity(record)].append(record)
    got, want = by_id
    missing = [i for i in want if i not in got]
    verdict.add("missing", len(missing), f"{what}: {missing[:2]}")
    unknown = [i for i in got if i not in want]
    verdict.add("different", len(unknown), f"{what} that nobody expects: {unknown[:2]}")
    for i in want.keys() & got.keys():
        extra = len(got[i]) - len(want[i])
        if repeats_may_be:
            verdict.repeats += max(0, extra)
        else:
            verdict.add("doubled", max(0, extra), f"{what}: {i}")
        verdict.add("missing", max(0, -extra), f"{what}: {i}, {len(got[i])} times instead of {len(want[i])}")
        if set(got[i]) != set(want[i]):
            verdict.add("different", 1, f"{what}: {i}\n  got  {got[i]}\n  want {want[i]}")


def compare_rows(verdict, got, want, what):
    missing, unknown = want.keys() - got.keys(), got.keys() - want.keys()
    verdict.add("missing", len(missing), f"{what}: {sorted(missing, key=repr)[:2]}")
    verdict.add("different", len(unknown), f"{what} that nobody expects: {sorted(unknown, key=repr)[:2]}")
    wrong = [k for k in want.keys() & got.keys() if got[k] != want[k]]
    verdict.add("different", len(wrong), f"{what}: {[(k, got[k], want[k]) for k in wrong[:1]]}")


def compare_folders(verdict, folders, want, committed):
    """Each partition's rows are in the folder that has read all that is committed; no folder has read more."""
    for p, at in committed.items():
        ahead = [f for f in folders if p in f.read and any(f.read[p].get(s, 0) > n for s, n in at.items())]
        verdict.add("different", len(ahead), f"folders ahead of what is committed of partition {p}")
        up_to_date = [f for f in folders if f.read.get(p) == at]
        if not up_to_date:
            verdict.add("missing", 1, f"no folder has partition {p} up to {at}: {[f.read.get(p) for f in folders]}")
        for folder in up_to_date:
            compare_rows(verdict, folder.rows[p], want.rows[p], f"stored rows of partition {p}")


def compare(got, want, order="exact", repeats_may_be=False):
    """order: `exact` compares each output partition's sequence, `source` that of each source partition."""
    verdict = Verdict()
    for what in OUTPUTS:
        compare_records(verdict, got.outputs[what], want.outputs[what], what, repeats_may_be)
        if verdict.is_clean() and order == "exact" and not repeats_may_be and got.outputs[what] != want.outputs[what]:
            verdict.add("different", 1, f"{what}: the same records in another order")
    if not repeats_may_be:
        verdict.add("different", len(got.order), f"scores behind a later one: {got.order[:1]}")
    for entity in want.changelog:
        compare_rows(verdict, got.changelog[entity], want.changelog[entity], f"changelog rows of {entity}")
    compare_folders(verdict, got.folders, want.folders[0], got.committed)
    if got.committed != want.committed:
        verdict.add("different", 1, f"committed offsets: {got.committed} instead of {want.committed}")
    return verdict
