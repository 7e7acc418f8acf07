#!/usr/bin/env python3
"""Models as the frameworks export them: our predictions, ONNX Runtime's and the framework's own.

Usage: check_exports.py [--full] [--only PART] [--keep FOLDER] MAKER...

A maker is torch, keras, boosting or sklearn: the module MAKER_cases.py, which exports models of its
framework here and now and says what the framework itself predicts. Each is written to a file, its rows
to a CSV, and `ouzel model predict` of $OUZEL scores that; what it prints is compared, number by
number, with ONNX Runtime (one thread) and with the framework. A difference may be
atol + rtol * |the other's value|, with the case's own two figures; labels must be equal.

One line for every model. "abs" is the largest difference, "rel" the same over the largest value of its
output. It fails when a model is refused or beyond its bound, when ONNX Runtime and the framework
disagree and the case does not say why and whom we follow, and when a case says so and they agree.

--only takes the cases whose names contain PART; --keep leaves NAME.onnx, NAME.csv and what was printed
in FOLDER; --stand-in has ONNX Runtime read the CSV and write the other in place of the binary, which
tests all of this but the binary."""
import argparse
import csv
import importlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import onnx
import onnxruntime

HERE = pathlib.Path(__file__).resolve().parent
OUZEL = os.environ.get("OUZEL", str(HERE.parents[2] / "build/release/ouzel"))
NUMPY_OF = {onnx.TensorProto.INT64: np.int64, onnx.TensorProto.INT32: np.int32, onnx.TensorProto.FLOAT: np.float32,
            onnx.TensorProto.DOUBLE: np.float64, onnx.TensorProto.BOOL: np.bool_, onnx.TensorProto.STRING: object}
SECONDS_MAX = 300


class Refused(Exception):
    pass


# ---- rows to CSV, and scores from it

def width(array):
    return int(np.prod(array.shape[1:]))


def column_names(name, n_columns):
    """Of an input or output: [N] and [N, 1] is one column of its name, any other is row-major."""
    return [name] if n_columns == 1 else [f"{name}_{k}" for k in range(n_columns)]


def cells(array):
    """Rows of texts; the shortest text that gives the double again, nothing for a missing value."""
    flat = array.reshape(len(array), width(array))
    if flat.dtype.kind == "O":
        return flat.tolist()
    if flat.dtype.kind == "f":
        return [["" if v != v else repr(v) for v in row] for row in flat.astype(np.float64).tolist()]
    return flat.astype(np.int64).tolist()


def write_rows(path, inputs):
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([c for name, array in inputs.items() for c in column_names(name, width(array))])
        for parts in zip(*(cells(array) for array in inputs.values())):
            out.writerow([cell for part in parts for cell in part])


def read_scores(text, shapes):
    """shapes: the outputs' names with how many columns and which type each has."""
    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        raise Refused("nothing was printed")
    header, rows, at, found = lines[0], lines[1:], 0, {}
    if any(len(row) != len(header) for row in rows):
        raise Refused("a row is not as long as the header")
    for name, (n_columns, dtype) in shapes.items():
        names = header[at:at + n_columns]
        if n_columns == 1 and names != [name] or not all(n.startswith(name) for n in names):
            raise Refused(f"columns of {name}: {names}")
        parse = {"i": int, "b": int, "f": lambda v: float(v or "nan")}.get(np.dtype(dtype).kind, str)
        found[name] = np.array([[parse(v) for v in row[at:at + n_columns]] for row in rows], dtype)
        at += n_columns
    if at != len(header):
        raise Refused(f"columns that are no output: {header[at:]}")
    return found


# ---- the three who predict

def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnxruntime_outputs(model, inputs):
    """Every output as an array; a list of maps as its columns, in the order of the keys."""
    run = session(model)
    found = {}
    for output, value in zip(run.get_outputs(), run.run(None, inputs)):
        if isinstance(value, list):
            value = np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
        found[output.name] = value
    return found


def binary_outputs(model_path, csv_path):
    """What `ouzel model predict` prints. All that is known here of how it is called."""
    done = subprocess.run([OUZEL, "model", "predict", str(model_path), str(csv_path)], capture_output=True,
                          text=True, timeout=SECONDS_MAX)
    if done.returncode:
        raise Refused(done.stderr.strip() or f"exit status {done.returncode}")
    return done.stdout


def stand_in_outputs(model_path, csv_path):
    graph = onnx.load(model_path).graph
    with open(csv_path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    inputs, at = {}, 0
    for declared in (i for i in graph.input if i.name not in {x.name for x in graph.initializer}):
        kind = declared.type.tensor_type
        shape = [-1, *(d.dim_value for d in kind.shape.dim[1:])]
        n = int(np.prod(shape[1:]))
        dtype = NUMPY_OF[kind.elem_type]
        parse = {"i": int, "b": int, "f": lambda v: float(v or "nan")}.get(np.dtype(dtype).kind, str)
        inputs[declared.name] = np.array([[parse(v) for v in r[at:at + n]] for r in rows], dtype).reshape(shape)
        at += n
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    outputs = onnxruntime_outputs(str(model_path), inputs)
    write.writerow([c for name, a in outputs.items() for c in column_names(name, width(a))])
    for parts in zip(*(cells(a) for a in outputs.values())):
        write.writerow([cell for part in parts for cell in part])
    return out.getvalue()


# ---- comparing

class Difference:
    """Between two sets of outputs: the largest, absolute and relative, and how far beyond the bound."""
    def __init__(self, case, have, want):
        self.abs = self.rel = self.used = 0.0
        self.labels = self.rows = 0
        self.what = []  # about shapes
        bad = np.zeros(len(next(iter(case.inputs.values()))), bool)
        for name, w in want.items():
            h = have[name]
            if width(h) != width(w) or len(h) != len(w):
                self.what.append(f"{name} is {h.shape} and {w.shape}")
                continue
            h, w = h.reshape(len(h), width(h)), w.reshape(len(w), width(w))
            if h.dtype.kind not in "f" or w.dtype.kind not in "f":
                differ = (h.astype(str) != w.astype(str)).any(axis=1)
                self.labels += int(differ.sum())
                bad |= differ
                continue
            bad |= self.numbers(case, h.astype(np.float64), w.astype(np.float64))
        self.rows = int(bad.sum())

    def numbers(self, case, h, w):
        with np.errstate(invalid="ignore"):
            d = np.where((h == w) | (np.isnan(h) & np.isnan(w)), 0.0, np.abs(h - w))
            d = np.where(np.isnan(d), np.inf, d)
            scale = np.where(np.isfinite(w), np.abs(w), 0.0)
            bound = case.atol + case.rtol * scale
            used = np.where(d == 0, 0.0, d / np.maximum(bound, 1e-300))
        if d.size:
            self.abs = max(self.abs, float(d.max()))
            self.rel = max(self.rel, float(d.max() / max(scale.max(), 1e-300)))
            self.used = max(self.used, float(used.max()))
        return (used > 1).any(axis=1)

    def is_within(self, case):
        return not self.what and self.used <= 1 and self.labels <= case.ties

    def words(self):
        if self.what:
            return "; ".join(self.what)
        return f"{self.abs:.1e} {self.rel:.1e}" + (f", {self.labels} labels" if self.labels else "")


def count_nodes(graph):
    """Bodies of loops included; no recursion is needed for how deep exporters nest."""
    todo, n = [graph], 0
    while todo:
        for node in todo.pop().node:
            n += 1
            todo += [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return n


def describe(model):
    opsets = {o.domain: o.version for o in model.opset_import}
    words = [str(opsets[""])] if "" in opsets else []
    words += [f"ml {opsets['ai.onnx.ml']}"] if "ai.onnx.ml" in opsets else []
    version = re.search(r"\d+(\.\d+)+", model.producer_version)  # CatBoost's is a page of text
    return f"{model.producer_name} {version.group() if version else ''}".strip(), " ".join(words), count_nodes(model.graph)


def check(case, folder, predict):
    """One model; its line goes to standard output. True: all is well."""
    model_path, csv_path = folder / f"{case.name}.onnx", folder / f"{case.name}.csv"
    model_path.write_bytes(case.model)
    write_rows(csv_path, case.inputs)
    n_rows = len(next(iter(case.inputs.values())))
    exporter, opset, n_nodes = describe(onnx.load_from_string(case.model))
    line = f"{case.name:44} {exporter:18} {opset:7} {n_nodes:5} {n_rows:5}"
    theirs = onnxruntime_outputs(case.model, case.inputs)
    assert set(case.expected) <= set(theirs), (case.name, list(theirs))
    framework = case.framework or case.expected
    apart = Difference(case, theirs, framework)
    try:
        text = predict(model_path, csv_path)
        (folder / f"{case.name}.scores.csv").write_text(text, encoding="utf-8")
        ours = read_scores(text, {k: (width(v), v.dtype) for k, v in theirs.items()})
    except (Refused, subprocess.TimeoutExpired) as error:
        print(f"{line} FAILED\n    {error}", flush=True)
        return False
    to_runtime, to_framework = Difference(case, ours, theirs), Difference(case, ours, framework)
    # Of outputs that the case does not name ONNX Runtime alone can tell.
    demanded = [Difference(case, ours, case.expected)] + ([] if case.disagreement else [to_runtime])
    well = all(d.is_within(case) for d in demanded)
    notes = []
    if not case.disagreement and not apart.is_within(case):
        notes.append(f"ONNX Runtime and the framework disagree in {apart.rows} rows ({apart.words()})")
    elif case.framework and apart.is_within(case):
        notes.append("ONNX Runtime and the framework agree, but are said not to")
    well = well and not notes
    if case.disagreement:
        notes.append(f"the framework and ONNX Runtime disagree in {apart.rows} rows: {case.disagreement}")
    print(f"{line}  {to_runtime.words():17}  {to_framework.words():17}  {case.rtol:.0e} {case.atol:.0e}  "
          + ("ok" if well else "FAILED"), *(f"\n    {note}" for note in notes), sep="", flush=True)
    return well


def wanted_cases(maker, full, only):
    """A maker that has names() need not export what nobody wants to see."""
    module = importlib.import_module(f"{maker}_cases")
    if hasattr(module, "names"):
        return (module.make(name) for name in module.names(full) if only in name)
    return (case for case in module.cases(full) if only in case.name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=os.environ.get("OUZEL_FULL") == "1")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("maker", nargs="+", choices=["torch", "keras", "boosting", "sklearn"])
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    predict = stand_in_outputs if args.stand_in else binary_outputs
    began, n, failed = time.monotonic(), 0, []
    print(f"{'model':44} {'exporter':18} {'opset':7} {'nodes':>5} {'rows':>5}  {'to ONNX Runtime':17}  "
          f"{'to the framework':17}  bound\n{'':83}  {'abs     rel':17}  {'abs     rel':17}  rtol  atol")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for maker in args.maker:
            for case in wanted_cases(maker, args.full, args.only):
                n += 1
                if not check(case, folder, predict):
                    failed.append(case.name)
                if not args.keep:
                    for path in folder.iterdir():
                        path.unlink()
    print(f"{n} models, {len(failed)} failed, {time.monotonic() - began:.0f} s", *failed, sep="\n    ")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
