#!/usr/bin/env python3
"""Proves that check_exports.py can fail: a small model of our own, and stand-ins for the binary that answer
right, wrong by a little, wrong in a label, with a column too few, with NaN, not at all; then cases whose
framework disagrees with ONNX Runtime, said and unsaid."""
import contextlib
import csv
import io
import pathlib
import sys
import tempfile
import unittest

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_exports
from case import Case

ROWS = 17
X = np.random.default_rng(3).normal(size=(ROWS, 2, 3)).astype(np.float32)


def small_model():
    """y = -x, and label = whether there is a number of each row's first channel above 1, as a text."""
    nodes = [helper.make_node("Neg", ["x"], ["y"]),
             helper.make_node("ReduceMax", ["x"], ["top"], axes=[1, 2], keepdims=0),
             helper.make_node("Cast", ["top"], ["rounded"], to=TensorProto.INT64),
             helper.make_node("Identity", ["rounded"], ["label"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "small", [value("x", TensorProto.FLOAT, ["n", 2, 3])],
                              [value("y", TensorProto.FLOAT, ["n", 2, 3]), value("label", TensorProto.INT64, ["n"])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="nobody")
    model.ir_version = 8
    return model.SerializeToString()


def small_case(**changes):
    x = X.copy()
    case = Case("small", small_model(), {"x": x},
                {"y": -x, "label": np.trunc(x.max(axis=(1, 2))).astype(np.int64)}, 1e-6, 1e-7)
    for name, value in changes.items():
        setattr(case, name, value)
    return case


def printed(change):
    """A stand-in that prints what is right, each row after `change` had it."""
    def predict(model_path, csv_path):
        rows = list(csv.reader(io.StringIO(check_exports.stand_in_outputs(model_path, csv_path))))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([change(i, row) for i, row in enumerate(rows)])
        return out.getvalue()
    return predict


def at(line, column, value):
    def change(i, row):
        if i == line:
            row[column] = value(row[column])
        return row
    return change


class CheckExports(unittest.TestCase):
    def verdict(self, predict, **changes):
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
            well = check_exports.check(small_case(**changes), pathlib.Path(folder), predict)
        self.assertEqual(well, "FAILED" not in said.getvalue(), said.getvalue())
        return well, said.getvalue()

    def test_right(self):
        self.assertTrue(self.verdict(check_exports.stand_in_outputs)[0])

    def test_columns(self):
        header = check_exports.column_names("x", 6)
        self.assertEqual(header, [f"x_{k}" for k in range(6)])
        self.assertEqual(check_exports.column_names("x", 1), ["x"])

    def test_one_number_is_off(self):
        self.assertTrue(self.verdict(printed(at(9, 4, lambda v: repr(float(v) * (1 + 5e-7)))))[0])
        self.assertFalse(self.verdict(printed(at(9, 4, lambda v: repr(float(v) * (1 + 1e-5) + 1e-6))))[0])
        self.assertFalse(self.verdict(printed(at(ROWS, 0, lambda v: "")))[0])

    def test_one_label_is_off(self):
        wrong = printed(at(3, 6, lambda v: str(int(v) + 1)))
        self.assertFalse(self.verdict(wrong)[0])
        self.assertTrue(self.verdict(wrong, ties=1)[0])

    def test_shape_is_off(self):
        self.assertFalse(self.verdict(printed(lambda i, row: row[:-1]))[0])
        self.assertFalse(self.verdict(printed(lambda i, row: row + ["z" if i == 0 else "1"]))[0])
        self.assertFalse(self.verdict(printed(lambda i, row: row if i < ROWS else []))[0])

    def test_one_row_is_missing(self):
        def predict(model_path, csv_path):
            return "\n".join(check_exports.stand_in_outputs(model_path, csv_path).split("\n")[:-2]) + "\n"
        self.assertFalse(self.verdict(predict)[0])

    def test_refused(self):
        def predict(model_path, csv_path):
            raise check_exports.Refused("the operator Nothing is not served")
        well, said = self.verdict(predict)
        self.assertFalse(well)
        self.assertIn("Nothing", said)

    def test_disagreement(self):
        other = {"y": -X + np.float32(0.5)}
        self.assertFalse(self.verdict(check_exports.stand_in_outputs, expected=other)[0])
        self.assertTrue(self.verdict(check_exports.stand_in_outputs, framework=other, disagreement="why")[0])
        self.assertFalse(self.verdict(check_exports.stand_in_outputs, framework={"y": -X}, disagreement="why")[0])


if __name__ == "__main__":
    unittest.main()
