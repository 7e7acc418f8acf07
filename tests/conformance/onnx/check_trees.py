#!/usr/bin/env python3
"""Proves that tree models in ONNX score as ONNX Runtime and their trainers do, within stated bounds.
How: score_onnx scores the models and rows that make_trees.py wrote; each output is compared with ONNX
Runtime's and with the trainer's own. A number agrees when |got - want| <= bound * max(1, |want|). A label
must be the same, unless the scores that decide it are nearer to each other than the bound. NaN agrees with
NaN. Prints the greatest difference of every family, and fails when a model is refused, when a row's result
depends on its batch, or when a bound does not hold.

Usage: check_trees.py FOLDER SCORE_ONNX [--allow-refused]"""
import collections
import json
import pathlib
import subprocess
import sys

import numpy as np

# family: bound to ONNX Runtime, bound to the trainer. Sums here are doubles and rounded once; ONNX Runtime
# adds floats, which is where most of its bound comes from. Converters round leaves and thresholds to floats,
# which is where the trainers' come from. PROBIT's formula loses digits near 0 and 1 when computed in floats.
BOUNDS = {
    "hand": (2e-6, 1e-7), "hand_f64": (1e-12, 1e-12), "probit": (1e-3, None),
    "decision_tree": (1e-7, 1e-6), "random_forest": (2e-6, 2e-6), "extra_trees": (2e-6, 2e-6),
    "gradient_boosting": (2e-6, 2e-6), "hist_gradient_boosting": (2e-6, 2e-6), "ada_boost": (1e-5, 1e-5),
    "isolation_forest": (2e-6, 2e-6), "xgboost": (2e-6, 2e-6), "lightgbm": (2e-6, 2e-6), "catboost": (2e-6, 2e-6),
}
TYPES = {"float": np.float32, "double": np.float64, "int32": np.int32, "int64": np.int64, "uint8": np.uint8,
         "int8": np.int8, "bool": np.bool_}


def read_output(path):
    head, rest = path.read_bytes().split(b"\n", 1)
    word, *dims = head.decode().split()
    shape = [int(d) for d in dims]
    if word == "string":
        return np.array(rest.decode().split("\n")[:-1]).reshape(shape)
    return np.frombuffer(rest, TYPES[word]).reshape(shape)


def difference(got, want):
    got, want = got.astype(np.float64), want.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        gap = np.abs(got - want) / np.maximum(1, np.abs(want))
    return float(np.max(np.where(same, 0, np.where(np.isnan(gap), np.inf, gap)), initial=0))


def undecided(scores, bound):
    """Rows whose label hangs on less than the bound."""
    if scores is None or scores.ndim != 2:
        return np.zeros(0 if scores is None else len(scores), bool)
    if scores.shape[1] == 1:
        return np.abs(scores[:, 0]) <= bound
    ordered = np.sort(scores.astype(np.float64), axis=1)
    return ordered[:, -1] - ordered[:, -2] <= 4 * bound


def check_case(folder, worst, problems):
    case = json.loads((folder / "case.json").read_text())
    want = np.load(folder / "want.npz")
    for who, bound in zip(("ort", "own"), BOUNDS[case["family"]]):
        for name in want.files:
            if not name.startswith(who):
                continue
            k = int(name.split("_")[1])
            got, expected = read_output(folder / f"got_{k}.bin"), want[name]
            if got.size != expected.size:
                problems.append(f"{folder.name}: output {k} has shape {got.shape}, {who} has {expected.shape}")
                continue
            expected = expected.reshape(got.shape)
            if k in case["labels"]:
                scores = read_output(folder / "got_1.bin")
                wrong = (got.astype(str) != expected.astype(str)).reshape(len(got), -1).any(axis=1)
                n_wrong = int((wrong & ~undecided(scores, bound)).sum())
                if n_wrong:
                    problems.append(f"{folder.name}: {n_wrong} labels differ from {who}")
                continue
            gap = difference(got, expected)
            key = (case["family"], who)
            worst[key] = max(worst[key], gap)
            if not gap <= bound:
                problems.append(f"{folder.name}: output {k} differs from {who} by {gap:.3g}, bound {bound:g}")


def main():
    base, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    folders = sorted(p for p in base.iterdir() if (p / "case.json").exists())
    lines = subprocess.run([program] + [str(f) for f in folders], stdout=subprocess.PIPE, text=True, check=True)
    outcome = {line.split("\t")[0]: line.split("\t")[1:] for line in lines.stdout.splitlines()}
    worst, problems, n_checked, n_refused = collections.defaultdict(float), [], 0, 0
    for folder in folders:
        status, why = outcome.get(folder.name, ["lost", "the program ended before it"])
        if status == "refused" and "--allow-refused" in sys.argv:
            n_refused += 1
        elif status != "ok":
            problems.append(f"{folder.name}: {status}: {why}")
        else:
            check_case(folder, worst, problems)
            n_checked += 1
    for family, bounds in BOUNDS.items():
        print(f"{family:24}" + "".join(f"  {who} {worst[family, who]:8.2g} (bound {b:g})"
                                       for who, b in zip(("ort", "own"), bounds) if b is not None))
    print(f"{n_checked} models agree, {n_refused} refused" if not problems else "\n".join(problems))
    sys.exit(bool(problems) or n_checked == 0)


if __name__ == "__main__":
    main()
