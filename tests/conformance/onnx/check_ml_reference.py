#!/usr/bin/env python3
"""Proves that the ONNX project's own tests of ai.onnx.ml (onnx.test.reference_evaluator_ml_test) come out here
as they should: the node suite has a handful of these operators, they have nearly all.
How: the tests run as they stand, with a reference evaluator that notes each model, its inputs and what it
computed. run_onnx_cases must give what ONNX Runtime gives, or where that cannot run the model, what the reference
evaluator gives; or it must refuse for the reason that stands below.

Usage: check_ml_reference.py RUN_ONNX_CASES"""

import importlib
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

import numpy as np
import onnx.reference
import onnxruntime
from onnx import numpy_helper

PASSES_MIN = 95
# By the beginning of the test's name: words of our refusal.
REFUSED = {
    "test_linear_classifier_unary": "a classifier of one class is not served",  # ONNX Runtime refuses it too
    "test_onnxrt_tfidf_vectorizer": "TfIdfVectorizer",
    "test_tree_ensemble_regressor_missing_opset5_float16": "float16",
}
# No two agree: ONNX Runtime leaves the second column unwritten, the reference has 0 for the probits of 0 and 1.
UNDECIDED = {"test_tree_ensemble_classifier_binary.4"}
noted = []


def expand(rows):
    """What the tests use of the package `parameterized`: a test for each row of arguments."""
    def decorate(function):
        names = sys._getframe(1).f_locals
        for i, row in enumerate(rows):
            names[f"{function.__name__}_{i}"] = lambda self, row=row: function(self, *row)
    return decorate


def load_tests():
    package = types.ModuleType("parameterized")
    package.parameterized = types.SimpleNamespace(expand=expand)
    sys.modules["parameterized"] = package
    return importlib.import_module("onnx.test.reference_evaluator_ml_test")


class NotingEvaluator(onnx.reference.ReferenceEvaluator):
    def run(self, output_names, feeds, *args, **kwargs):
        outputs = super().run(output_names, feeds, *args, **kwargs)
        noted.append((self.proto_, feeds, outputs))
        return outputs


def runtime_outputs(model, feeds):
    """None: ONNX Runtime cannot run it."""
    try:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    except Exception:  # it has classes of its own for each reason, and any will do
        return None


def by_columns(model, feeds, outputs):
    """A map is a row of its vocabulary here; the reference makes a vector of it."""
    maps = {name for name, value in feeds.items() if isinstance(value, dict)}
    if not maps:
        return feeds, outputs
    keys = [key.decode() for key in model.graph.node[0].attribute[0].strings]
    feeds = {n: np.array([[v.get(key, 0) for key in keys]]) if n in maps else v for n, v in feeds.items()}
    return feeds, [np.reshape(output, (1, -1)) for output in outputs]


def write(folder: pathlib.Path, model, feeds, outputs) -> None:
    feeds, outputs = by_columns(model, feeds, outputs)
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for kind, infos, values in (("input", model.graph.input, [feeds[v.name] for v in model.graph.input]),
                                ("output", model.graph.output, outputs)):
        for i, (info, value) in enumerate(zip(infos, values, strict=True)):
            value = value.astype(object) if value.dtype.kind == "U" else value
            (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(value, info.name).SerializeToString())


def write_all(root: pathlib.Path) -> int:
    """Runs the tests; returns how many of them failed, which says nothing of us and must not be."""
    tests, n_failed = load_tests(), 0
    tests.ReferenceEvaluator = NotingEvaluator
    for suite in unittest.defaultTestLoader.loadTestsFromModule(tests):
        for test in suite:
            noted.clear()
            result = unittest.TestResult()
            test.run(result)
            for _, why in result.failures + result.errors:
                n_failed += 1
                print(f"{test.id()} fails by itself: {why[-200:]}")
            for i, (model, feeds, outputs) in enumerate(noted):
                name = test.id().rsplit(".", 1)[1]
                write(root / f"{name}.{i}", model, feeds, runtime_outputs(model, feeds) or outputs)
    return n_failed


def main() -> int:
    onnxruntime.set_default_logger_severity(4)
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory() as root:
        n_bad = write_all(pathlib.Path(root))
        folders = sorted(str(p) for p in pathlib.Path(root).iterdir())
        out = subprocess.run([sys.argv[1], *folders], capture_output=True, text=True, check=True).stdout
    n_passes = n_refused = 0
    for line in out.splitlines():
        name, outcome, why = line.split("\t")
        name = pathlib.Path(name).name
        words = next((w for test, w in REFUSED.items() if name.startswith(test)), None)
        if name in UNDECIDED:
            continue
        if outcome == "pass" and not words:
            n_passes += 1
        elif outcome == "refused" and words and words in why:
            n_refused += 1
        else:
            n_bad += 1
            print(f"{name}: {outcome} {why}")
    print(f"{n_passes} models as ONNX Runtime and the reference have them, {n_refused} refused as written")
    if n_passes < PASSES_MIN:
        print(f"fewer than {PASSES_MIN}")
    return n_bad != 0 or n_passes < PASSES_MIN


if __name__ == "__main__":
    sys.exit(main())
