#!/usr/bin/env python3
"""Proves Gemm, MatMul, Einsum, MatMulInteger, QLinearMatMul and the fused Dense beyond what ONNX's node suite
has: every form of their inputs and attributes, opsets 7 to 24, all served types, constant and variable weights.
How: models of one operator (or of a product, a bias and an activation, which fuse) are made at random from a
fixed seed; what they must give is computed by numpy, in double or int64; run_onnx_cases compares. Wrong shapes
and equations must be refused, each with its reason.

Usage: check_products.py RUN_ONNX_CASES [N]   N: models of each kind (default 150)"""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(20260)
FLOATS = [np.float32, np.float64]
NUMBERS = FLOATS + [np.int32, np.int64]


def number(shape, dtype):
    if np.issubdtype(dtype, np.floating):  # sixteenths: their products and sums are exact in float, too
        return (RNG.integers(-50, 50, size=shape) / 16).astype(dtype)
    if dtype in (np.int8, np.uint8):
        info = np.iinfo(dtype)
        return RNG.integers(info.min, info.max + 1, size=shape).astype(dtype)
    return RNG.integers(-50, 50, size=shape).astype(dtype)


def wide(array):
    return array.astype(np.float64 if np.issubdtype(array.dtype, np.floating) else np.int64)


def pick(*values):
    return values[RNG.integers(len(values))]


def dims(n, low=1, high=9):
    return [int(RNG.integers(low, high)) for _ in range(n)]


class Cases:
    """Folders as run_onnx_cases takes them."""

    def __init__(self, root):
        self.root, self.refusal = pathlib.Path(root), {}

    def add(self, nodes, inputs, expected, opset, constants=(), refusal=None):
        folder = self.root / f"case_{len(self.refusal)}"
        data = folder / "test_data_set_0"
        data.mkdir(parents=True)
        feeds = [name for name in inputs if name not in constants]
        graph = helper.make_graph(
            nodes, "g", [self.info(name, inputs[name]) for name in feeds], [self.info("y", expected)],
            [numpy_helper.from_array(inputs[name], name) for name in constants])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        for i, name in enumerate(feeds):
            tensor = numpy_helper.from_array(np.asarray(inputs[name]), name)
            (data / f"input_{i}.pb").write_bytes(tensor.SerializeToString())
        (data / "output_0.pb").write_bytes(numpy_helper.from_array(expected, "y").SerializeToString())
        self.refusal[folder.name] = (refusal, [f"{n.op_type} {[x.name for x in n.attribute]}" for n in nodes],
                                     {k: v.shape for k, v in inputs.items()})

    @staticmethod
    def info(name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, [None] * array.ndim)


def gemm(cases):
    dtype, opset = pick(*NUMBERS), int(pick(7, 9, 11, 13, 24))
    if opset < 9 and dtype not in FLOATS:
        opset = 9
    m, n, k = dims(3, 1, pick(4, 9, 90))
    ta, tb = pick(0, 1), pick(0, 1)
    alpha, beta = (pick(1.0, 0.5, -2.0), pick(1.0, 0.25, 0.0)) if dtype in FLOATS else (pick(1.0, 3.0), pick(1.0, -2.0))
    a, b = number((k, m) if ta else (m, k), dtype), number((n, k) if tb else (k, n), dtype)
    shape = pick((m, n), (n,), (1, n), (m, 1), (1,), (), (1, 1))
    y = alpha * ((wide(a).T if ta else wide(a)) @ (wide(b).T if tb else wide(b)))
    inputs = {"a": a, "b": b}
    if opset < 11 or pick(0, 1, 1):
        inputs["c"] = number(shape, dtype)
        y = y + beta * wide(inputs["c"])
    node = helper.make_node("Gemm", list(inputs), ["y"], alpha=alpha, beta=beta, transA=ta, transB=tb)
    cases.add([node], inputs, y.astype(dtype), opset, pick((), ("b",), ("b", "c") if "c" in inputs else ()))


def matmul(cases):
    dtype, opset = pick(*NUMBERS), int(pick(9, 13, 24))
    m, n, k = dims(3, 1, pick(4, 9, 70))
    form = pick("batches", "batches", "row", "column", "both", "one", "empty")
    batch = dims(int(RNG.integers(1, 4)), 1, 4)
    stretched = [1 if pick(0, 1) else d for d in batch][int(RNG.integers(len(batch))):]
    a, b = {"batches": ((*batch, m, k), (*stretched, k, n)), "row": ((k,), (*batch, k, n)),
            "column": ((*batch, m, k), (k,)), "both": ((k,), (k,)), "one": ((*batch, m, k), (k, n)),
            "empty": ((*batch, m, 0), (0, n))}[form]
    if form == "batches" and pick(0, 1):
        a, b = (*stretched, m, k), (*batch, k, n)
    inputs = {"a": number(a, dtype), "b": number(b, dtype)}
    y = np.asarray(wide(inputs["a"]) @ wide(inputs["b"]))
    cases.add([helper.make_node("MatMul", ["a", "b"], ["y"])], inputs, y.astype(dtype), opset, pick((), ("b",), ("a",)))


EQUATIONS = ["ij->ji", "ij->", "ii->", "ii->i", "ij->i", "...ij->...ji", "i,i->", "i,j->ij", "ij,jk->ik", "ij,jk",
             "bij,bjk->bik", "bij, bjk -> bik", "...ij,...jk->...ik", "ij,kj->ik", "bhid,bhjd->bhij", "i,i->i",
             "ij,ij->ij", "ij,ij->", "ijk,k->ij", "abc,cd,de->abe", "ab,bc,cd,da->", "a,ab,abc->abc", "Ab,bA->A",
             "ijj,jk->k", "...i,...i->...", "i...,i...->...", "ij...,jk...->ik...", "abcdefgh->hgfedcba", "ba", "bB",
             "aij,bjk,cik->abc", ",i->i", "i->i", "ab,cd->dbca", "aab,bcc->ac", "...,...->...", "i,j,k->kji"]


def einsum(cases):
    dtype, equation = pick(*NUMBERS), pick(*EQUATIONS)
    sizes = {c: int(RNG.integers(1, 5)) for c in "abcdefghijklAbB"}
    terms = equation.replace(" ", "").split("->")[0].split(",")
    more, inputs = dims(int(RNG.integers(0, 3)), 1, 4), {}
    for i, term in enumerate(terms):
        shape, mine = [], [1 if pick(0, 0, 1) else d for d in more[int(RNG.integers(len(more) + 1)):]]
        for letter in re.findall(r"\.\.\.|.", term):
            shape += mine if letter == "..." else [sizes[letter]]
        inputs[f"x{i}"] = number(shape, dtype)
    y = np.asarray(np.einsum(equation, *[wide(x) for x in inputs.values()]))
    node = helper.make_node("Einsum", list(inputs), ["y"], equation=equation)
    cases.add([node], inputs, y.astype(dtype), int(pick(12, 24)), pick((), ("x0",)))


def lines(shape, is_rows, make):
    """A zero point or scale for a matrix: one, one per line, or one per line of every matrix."""
    line = len(shape) - (2 if is_rows else 1)
    full = [d if i < len(shape) - 2 or i == line else 1 for i, d in enumerate(shape)]
    form = pick("one", "scalar", "lines", "full")
    if form == "full" or (form == "lines" and is_rows and len(shape) > 2):
        value = make(full)
        return value, value
    if form == "lines":
        value = make([shape[line]])
        return value, value.reshape(-1, 1) if is_rows else value
    value = make([1] if form == "one" else [])
    return value, value.reshape(())


def quantized(cases):
    m, n, k = dims(3, 1, pick(5, 40))
    batch = dims(int(RNG.integers(0, 3)), 1, 4)
    at, bt, yt = pick(np.uint8, np.int8), pick(np.uint8, np.int8), pick(np.uint8, np.int8)
    b_batch = pick(batch, [], [1] * len(batch))
    a, b = number((*batch, m, k), at), number((*b_batch, k, n), bt)
    a_zero, a_zero_wide = lines(a.shape, True, lambda s: number(s, at))
    b_zero, b_zero_wide = lines(b.shape, False, lambda s: number(s, bt))
    total = (wide(a) - wide(a_zero_wide)) @ (wide(b) - wide(b_zero_wide))
    if pick(0, 1):
        names = pick(["a", "b", "az", "bz"], ["a", "b", "az", "bz"], ["a", "b"], ["a", "b", "", "bz"])
        az = wide(a_zero_wide) if "az" in names else 0
        bz = wide(b_zero_wide) if "bz" in names else 0
        inputs = {name: value for name, value in zip(["a", "b", "az", "bz"], [a, b, a_zero, b_zero]) if name in names}
        y = ((wide(a) - az) @ (wide(b) - bz)).astype(np.int32)
        cases.add([helper.make_node("MatMulInteger", names, ["y"])], inputs, y, int(pick(10, 24)))
        return
    a_scale, a_scale_wide = lines(a.shape, True, lambda s: (2.0 ** -RNG.integers(0, 3, size=s)).astype(np.float32))
    b_scale, b_scale_wide = lines(b.shape, False, lambda s: (2.0 ** -RNG.integers(0, 3, size=s)).astype(np.float32))
    y_scale, y_zero = np.asarray(np.float32(2.0 ** RNG.integers(4, 14))), number((), yt)
    # Powers of two: the quotient is exact, so ties are real ties and go to the even number.
    info = np.iinfo(yt)
    y = np.rint(total * wide(a_scale_wide) * wide(b_scale_wide) / float(y_scale)) + int(y_zero)
    y = np.clip(y, info.min, info.max).astype(yt)
    inputs = {"a": a, "as": a_scale, "az": a_zero, "b": b, "bs": b_scale, "bz": b_zero, "ys": y_scale, "yz": y_zero}
    cases.add([helper.make_node("QLinearMatMul", list(inputs), ["y"])], inputs, y, int(pick(10, 24)))


ACTIVATIONS = {
    "Relu": (lambda x: np.maximum(x, 0), {}), "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), {}),
    "Tanh": (np.tanh, {}), "LeakyRelu": (lambda x: np.where(x < 0, 0.125 * x, x), {"alpha": 0.125}),
    "Elu": (lambda x: np.where(x < 0, 0.5 * np.expm1(x), x), {"alpha": 0.5}),
    "HardSigmoid": (lambda x: np.clip(0.25 * x + 0.5, 0, 1), {"alpha": 0.25, "beta": 0.5}),
    "Softplus": (lambda x: np.log1p(np.exp(x)), {}), "Softsign": (lambda x: x / (1 + np.abs(x)), {}),
}


def dense(cases):
    """What fusing makes: a product with constant weights, a bias, an activation."""
    m, n, k = dims(3, 1, pick(5, 80))
    batch = dims(int(RNG.integers(0, 3)), 1, 4)
    x, w, b = number((*batch, m, k), np.float32), number((k, n), np.float32), number((n,), np.float32)
    word = pick(*ACTIVATIONS)
    function, attributes = ACTIVATIONS[word]
    y = function(wide(x) @ wide(w) + wide(b))
    head = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", pick(["p", "b"], ["b", "p"]), ["s"])]
    if not batch and pick(0, 1):
        head = [helper.make_node("Gemm", ["x", "w", "b"], ["s"])]
    cases.add(head + [helper.make_node(word, ["s"], ["y"], **attributes)], {"x": x, "w": w, "b": b},
              y.astype(np.float32), 13, ("w", "b"))


def large(cases):
    """Where other code takes over: many rows, long sums, wide outputs."""
    for a, b in [((2, 128, 600), (2, 600, 700)), ((130, 1030), (1030, 1025)), ((300, 1100), (1100, 3)),
                 ((1, 1300), (1300, 900)), ((2, 70, 1500), (2, 1500, 1000))]:
        inputs = {"a": number(a, np.float32), "b": number(b, np.float32)}
        y = wide(inputs["a"]) @ wide(inputs["b"])
        for constants in ((), ("a",), ("b",)):
            cases.add([helper.make_node("MatMul", ["a", "b"], ["y"])], inputs, y.astype(np.float32), 13, constants)


def refused(cases):
    x, f = np.zeros, np.float32
    y = x((2, 2), f)

    def product(operator, a, b, reason, **attributes):
        cases.add([helper.make_node(operator, ["a", "b"], ["y"], **attributes)], {"a": a, "b": b}, y, 13, (), reason)

    product("MatMul", x((2, 3), f), x((2, 3), f), "cannot be multiplied")
    product("MatMul", x((), f), x((2, 3), f), "cannot be multiplied")
    product("MatMul", x((2, 2, 3), f), x((3, 3, 3), f), "broadcast|stretch|fit")
    product("MatMul", x((2, 3), f), x((3, 2)), "one type")
    product("MatMul", x((2, 3), np.int8), x((3, 2), np.int8), "int8")
    product("Gemm", x((2, 3), f), x((2, 3), f), "cannot be multiplied")
    product("Gemm", x((2, 3), np.int32), x((3, 2), np.int32), "alpha", alpha=0.5)
    product("MatMulInteger", x((2, 3), f), x((3, 2), f), "float")
    cases.add([helper.make_node("Gemm", ["a", "b", "c"], ["y"])],
              {"a": x((2, 3), f), "b": x((3, 2), f), "c": x((3,), f)}, y, 13, (), "its C is")
    for equation, reason in {"ij->k": "in no input", "ij->ii": "twice", "i..j->ij": "`...`", "ij,jk->ik": "inputs",
                             "i1->i": "neither", "ij-ji": "->", "ij->ij->": "more than one", "ijk->ij": "letters",
                             "...ij->ij": "`...` must be", "ii->i": "elsewhere", "abcdefghi->a": "more than 8"}.items():
        cases.add([helper.make_node("Einsum", ["a"], ["y"], equation=equation)], {"a": x((2, 3), f)}, y, 13, (), reason)


def main():
    runner, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 150
    with tempfile.TemporaryDirectory() as root:
        cases = Cases(root)
        for kind in (gemm, matmul, einsum, quantized, dense):
            for _ in range(n):
                kind(cases)
        large(cases)
        refused(cases)
        out = subprocess.run([runner, *[str(cases.root / name) for name in cases.refusal]], capture_output=True,
                             text=True, check=True).stdout
        bad = 0
        seen = set()
        for line in out.splitlines():
            name, outcome, why = (line.split("\t") + ["", ""])[:3]
            refusal, *what = cases.refusal[pathlib.Path(name).name]
            seen.add(pathlib.Path(name).name)
            right = outcome == "pass" if refusal is None else outcome == "refused" and re.search(refusal, why)
            if not right:
                bad += 1
                print(f"{name}: {outcome} {why}; expected {refusal or 'pass'}: {what}")
        print(f"{len(seen)} cases, {bad} not as they should be")
        return 1 if bad or len(seen) != len(cases.refusal) else 0


if __name__ == "__main__":
    sys.exit(main())
