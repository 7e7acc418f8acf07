"""ONNX models in a pipeline on a real broker: every score is ONNX Runtime's for the features beside it, texts
and numbers bound by name, chosen outputs under the names that the file gives them; a value that an integer
input cannot hold gives that event no score and no other; rules fire on the scores as they are in the record;
batch sizes and workers change nothing, a backfill gives the same, and so do two processes that exchange events. The
nets are built here with onnx.helper, from fixed seeds, and so are the golden rows, by ONNX Runtime."""
import csv
import json
import math
import shutil
import subprocess

import numpy
import onnxruntime
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from harness import ROOT, RUN, Pipeline, check, flat, main, make_topics, produce, read, same
from test_exchange import equal, wait_until_through
from test_group import Member

FILE = ROOT / "tests/e2e/nets.yaml"
CITIES = ["oslo", "rome, it", "bern"]
N = 6000
DAY = 1_700_000_000_000
TOLERANCE = 1e-5


def floats(name, values):
    return numpy_helper.from_array(numpy.asarray(values, dtype=numpy.float32), name)


def save(path, nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, "net", inputs, outputs, constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17),
                                                                  helper.make_opsetid("ai.onnx.ml", 3)])
    path.write_bytes(model.SerializeToString())
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def make_credit(folder):
    """city (text), amount (float), hour (int64) -> a label and a map of two probabilities."""
    ml = "ai.onnx.ml"
    node = helper.make_node
    nodes = [node("LabelEncoder", ["city"], ["code"], domain=ml, keys_strings=CITIES, values_floats=[-1.0, 0.5, 2.0],
                  default_float=0.0),
             node("Cast", ["hour"], ["hour_f"], to=T.FLOAT),
             node("Concat", ["amount", "code", "hour_f"], ["all"], axis=1),
             node("Gemm", ["all", "w", "b"], ["logits"]),
             node("Softmax", ["logits"], ["p"], axis=1),
             node("ZipMap", ["p"], ["probabilities"], domain=ml, classlabels_strings=["no", "yes"]),
             node("ArgMax", ["p"], ["label"], axis=1, keepdims=0)]
    info = helper.make_tensor_value_info
    result = helper.make_sequence_type_proto(helper.make_map_type_proto(T.STRING, helper.make_tensor_type_proto(T.FLOAT, None)))
    return save(folder / "credit.onnx", nodes,
                [info("city", T.STRING, ["N", 1]), info("amount", T.FLOAT, ["N", 1]), info("hour", T.INT64, ["N", 1])],
                [info("label", T.INT64, ["N"]), helper.make_value_info("probabilities", result)],
                [floats("w", [[0.01, -0.02], [0.7, -0.4], [-0.05, 0.06]]), floats("b", [0.3, -0.2])])


def make_odd(folder):
    """x[N, 3] -> its reconstruction through two hidden values, and how far off that is."""
    rng = numpy.random.default_rng(5)
    node = helper.make_node
    nodes = [node("Gemm", ["x", "w1", "b1"], ["h"]), node("Tanh", ["h"], ["hidden"]),
             node("Gemm", ["hidden", "w2", "b2"], ["recon"]), node("Sub", ["x", "recon"], ["off"]),
             node("Abs", ["off"], ["size"]), node("ReduceMean", ["size"], ["score"], axes=[1], keepdims=1)]
    info = helper.make_tensor_value_info
    return save(folder / "odd.onnx", nodes, [info("x", T.FLOAT, ["N", 3])],
                [info("recon", T.FLOAT, ["N", 3]), info("score", T.FLOAT, ["N", 1])],
                [floats("w1", rng.normal(size=(3, 2)) * 0.05), floats("b1", [0.1, -0.1]),
                 floats("w2", rng.normal(size=(2, 3)) * 8), floats("b2", [40, 45, 5])])


def ask_credit(session, rows):
    """[city, amount, hour] -> label, no, yes."""
    city = numpy.array([[r[0]] for r in rows], dtype=object)
    label, maps = session.run(None, {"city": city, "amount": numpy.array([[r[1]] for r in rows], numpy.float32),
                                     "hour": numpy.array([[r[2]] for r in rows], numpy.int64)})
    return [(int(n), m["no"], m["yes"]) for n, m in zip(label, maps)]


def ask_odd(session, rows):
    """[amount, usual, count] -> score, recon[0..2]."""
    recon, score = session.run(None, {"x": numpy.array(rows, dtype=numpy.float32)})
    return [(float(s[0]), *map(float, r)) for s, r in zip(score, recon)]


def write_golden(path, heads, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *rows])


def prepare(folder):
    """The pipeline's folder with its models and their golden rows."""
    rng = numpy.random.default_rng(6)
    shutil.copy(FILE, folder / "nets.yaml")
    credit, odd = make_credit(folder), make_odd(folder)
    rows = [[CITIES[k % 3] if k % 4 else "elsewhere", float(numpy.float32(a)), k % 24]
            for k, a in enumerate(rng.gamma(2, 30, 50))]
    write_golden(folder / "credit.golden.csv", ["city", "amount", "hour", "label", "probabilities_no", "probabilities_yes"],
                 [[*r, *a] for r, a in zip(rows, ask_credit(credit, rows))])
    rows = [[float(v) for v in r] for r in rng.gamma(2, 20, (50, 3)).astype(numpy.float32)]
    write_golden(folder / "odd.golden.csv", ["x_0", "x_1", "x_2", "recon_0", "recon_1", "recon_2", "score"],
                 [[*r, *a[1:], a[0]] for r, a in zip(rows, ask_odd(odd, rows))])
    return credit, odd


def load(broker, name):
    rng = numpy.random.default_rng(9)
    topic = f"{name}{RUN}-tx"
    make_topics(broker.address, [topic])
    records = []
    for i in range(N):
        ms = DAY + i * 20_000
        event = {"id": i, "at": f"{numpy.datetime64(ms, 'ms')}Z", "card": f"c{rng.integers(60)}",
                 "city": [*CITIES, "paris", None][rng.integers(5)], "amount": round(float(rng.gamma(2, 25)), 2)}
        records.append((topic, event["card"], json.dumps(event), ms, None))
    produce(broker.address, records)
    return topic, {json.loads(r[2])["id"]: json.loads(r[2]) for r in records}


def near(got, want):
    return abs(got - want) <= TOLERANCE * max(1, abs(want))


def check_scores(scores, events, credit, odd):
    """Against ONNX Runtime, from the features in the record and the event's city."""
    check(len(scores) == N, f"{len(scores)} scores of {N} events")
    features = [s["features"] for s in scores]
    cities = [events[int(s["event"])]["city"] for s in scores]
    wanted = ask_odd(odd, [[f["amount"], f["usual"], f["count"]] for f in features])
    for score, want in zip(scores, wanted):
        got = score["scores"]
        check(set(got) == {"odd", "one", "three", "credit_label", "credit_probabilities_no", "credit_probabilities_yes"},
              f"scores {sorted(got)}")
        for name, value in zip(("odd", "one", "three"), (want[0], want[1], want[3])):
            check(near(got[name], value), f"{name} is {got[name]}, ONNX Runtime says {value}: {score}")
    whole = [i for i in range(N) if cities[i] is not None and features[i]["hour"] is not None]
    wanted = dict(zip(whole, ask_credit(credit, [[cities[i], features[i]["amount"], features[i]["hour"]] for i in whole])))
    for i, score in enumerate(scores):
        got = [score["scores"][f"credit_{name}"] for name in ("label", "probabilities_no", "probabilities_yes")]
        want = wanted.get(i, (None, None, None))
        good = got == list(want) if want[0] is None else all(map(near, got, want))
        check(good, f"credit is {got}, ONNX Runtime says {want}: {score}")
    check(N // 3 < len(whole) < N - 100, f"{len(whole)} whole events")


def check_alerts(scores, alerts):
    want = set()
    for score in scores:
        v = score["scores"]
        yes = v["credit_probabilities_yes"]
        rules = {"likely": yes is not None and yes > 0.6, "strange": v["odd"] > 25 and v["one"] > 40,
                 "unscored": yes is None}
        want |= {(score["id"], rule) for rule, fires in rules.items() if fires}
    got = {(a["id"].rsplit("/", 1)[0], a["rule"]) for a in alerts}
    same(sorted(got), sorted(want), "alerts")
    counts = {rule: sum(r == rule for _, r in want) for rule in ("likely", "strange", "unscored")}
    check(all(counts.values()), f"a rule that never fires shows nothing: {counts}")
    print(f"        {len(scores)} scores, alerts {counts}")


def test_scores_are_those_of_onnx_runtime(broker, folder):
    credit, odd = prepare(folder)
    topic, events = load(broker, "nets")
    pipeline = Pipeline(broker.address, folder, "nets", folder / "nets.yaml", [f"sources.tx.topic={topic}"])
    pipeline.run_through([topic])
    scores = [s.json() for s in flat(read(broker.address, pipeline.scores))]
    check_scores(scores, events, credit, odd)
    check_alerts(scores, [a.json() for a in flat(read(broker.address, pipeline.alerts))])
    first = pipeline.outputs()
    for rows, workers in ((1, 1), (7, 2), (97, 3)):
        again = Pipeline(broker.address, folder, f"nets-{rows}-{workers}", folder / "nets.yaml",
                         [f"sources.tx.topic={topic}", f"batch.rows={rows}", f"workers={workers}"])
        again.run_through([topic])
        for got, want, what in zip(again.outputs(), first, ("scores", "alerts", "dead letters")):
            same(got, want, f"{what} with batches of {rows} and {workers} workers")


def test_backfill_is_the_same(broker, folder):
    prepare(folder)
    topic, events = load(broker, "nets-file")
    pipeline = Pipeline(broker.address, folder, "nets-file", folder / "nets.yaml", [f"sources.tx.topic={topic}"])
    pipeline.run_through([topic])
    live = {s.json()["event"]: s.json()["scores"] for s in flat(read(broker.address, pipeline.scores))}
    (folder / "tx.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events.values()))
    subprocess.run(pipeline.arguments("backfill", "--from", f"tx={folder}/tx.jsonl", "--scores", "-o", f"{folder}/t.csv"),
                   check=True, stderr=subprocess.DEVNULL)
    with open(folder / "t.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    check(len(table) == N, f"{len(table)} lines")
    for row in table:
        for name, value in live[row["event"]].items():
            got = float(row[name]) if row[name] else math.nan
            check(got == value if value is not None else math.isnan(got), f"{name} of event {row['event']}: {got}, {value}")


def test_texts_travel(broker, folder):
    """With `exchange: topic` a net's texts and numbers reach it in whatever process scores the event."""
    prepare(folder)
    topic, _ = load(broker, "nets-travel")
    settings = [f"sources.tx.topic={topic}", "entities.city=city", "features.there=count() by city over 1d",
                "batch.rows=200", "max_idle=30s"]
    whole = Pipeline(broker.address, folder, "nets-whole", folder / "nets.yaml", settings)
    whole.run_through([topic])
    first = Pipeline(broker.address, folder, "nets-travel", folder / "nets.yaml", [*settings, "exchange=topic"])
    first.make_topics()
    members = [Member(first, instance, []) for instance in "ab"]
    for member in members:
        member.start()
    wait_until_through(members, [topic], ["city"])
    for member in members:
        member.stop()
    equal(first, whole, ("card", "city"))


if __name__ == "__main__":
    main([test_scores_are_those_of_onnx_runtime, test_backfill_is_the_same, test_texts_travel])
