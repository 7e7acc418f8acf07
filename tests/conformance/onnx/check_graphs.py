#!/usr/bin/env python3
"""Proves whole graphs: what single operators cannot show is that folding, fusing, dropping and the sharing of
memory leave a graph's answers as they are. How: graphs of 4 to 40 nodes are grown at random from seeds, with
constants, values that are used several times or never, exporters' idioms (a shape computed for a Reshape, MatMul
and Add, Conv and BatchNormalization), layers, If, Loop and Scan; each node is run alone by ONNX Runtime, at three
sizes of the batch, as soon as it is there, so that nothing is fused in what is expected; run_onnx_cases compares
every output of the whole graph.

Operators that jump (comparisons, rounding, orders) take only values that nothing was computed for, so that no
last bit decides.

Then `ouzel model predict` of $OUZEL scores the rows of all three batches, each several times and in another order,
where a row does not depend on its neighbours: numbers must be those, and the same row the same to the last bit.

Usage: check_graphs.py RUN_ONNX_CASES [N [FIRST_SEED]]   N graphs (default 400); those that fail are shown node by
node and kept."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from check_exports import Refused as Failed
from check_exports import binary_outputs, read_scores, width, write_rows
from onnx import TensorProto, helper, numpy_helper

BATCHES = (1, 4, 9)
RTOL, ATOL = 2e-4, 1e-5  # forty nodes, each within a few units in the last place; the tool has the same ATOL
COPIES = 12  # of a row, for `predict`
LARGEST = 30.0  # of a value that other nodes may use
SIZE_MAX = 4000  # elements of a value, per row


class Refused(Exception):
    """ONNX Runtime does not take this node, or its result is of no use here."""


class Value:
    def __init__(self, name, arrays, is_exact, is_constant=False):
        self.name, self.arrays, self.is_exact, self.is_constant = name, arrays, is_exact, is_constant
        self.uses = 0

    @property
    def shape(self):
        """Of one row: without the batch."""
        return self.arrays[0].shape[0 if self.is_constant else 1:]

    @property
    def rank(self):
        return self.arrays[0].ndim

    @property
    def dtype(self):
        return self.arrays[0].dtype


def run_alone(nodes, feeds, outputs, opset):
    graph = helper.make_graph(
        nodes, "alone", [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                         for n, a in feeds.items()],
        [helper.make_empty_tensor_value_info(o) for o in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                            providers=["CPUExecutionProvider"]).run(outputs, feeds)
    except Exception as e:  # its exceptions have no common class
        raise Refused(str(e)) from e


class Graph:
    """One that grows: values by name, each with its array for every batch."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.pick(13, 17, 18, 21))
        self.dtype = self.pick(np.float32, np.float32, np.float32, np.float64)
        self.type = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        self.nodes, self.constants, self.values, self.inputs = [], [], [], []
        self.n_names, self.n_refused, self.is_by_row = 0, 0, True
        for _ in range(self.rng.integers(1, 4)):
            shape = self.pick((6,), (8,), (5, 4), (3, 8), (2, 3, 4))
            self.inputs.append(self.known(Value(self.name("in"), [self.floats((n, *shape)) for n in BATCHES], True)))

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def chance(self, p):
        return self.rng.random() < p

    def name(self, stem):
        self.n_names += 1
        return f"{stem}_{self.n_names}"

    def floats(self, shape, scale=1.0):
        return (self.rng.normal(size=shape) * scale).astype(self.dtype)

    def number(self, x):
        return self.dtype(x)

    def known(self, value):
        self.values.append(value)
        return value

    def constant(self, array, as_node=None):
        """An initializer, or a Constant node."""
        array = np.asarray(array)
        name = self.name("c")
        if self.chance(0.3) if as_node is None else as_node:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name)))
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return Value(name, [array] * len(BATCHES), True, True)

    def ints(self, *numbers):
        return self.constant(np.array(numbers, dtype=np.int64))

    def any(self, rank=None, exact=False, least=0):
        """A value that is not a constant; the newer, the likelier, so that graphs grow deep."""
        fit = [v for v in self.values if v.dtype == self.dtype and (rank is None or v.rank == rank) and v.rank >= least
               and (v.is_exact or not exact)]
        if not fit:
            raise Refused("no such value")
        return fit[max(self.rng.integers(len(fit)), self.rng.integers(len(fit)))]

    def node(self, op, inputs, n_outputs=1, exact=False, captured=(), keep=True, **attributes):
        """A node whose outputs are known as soon as it is made; the result is what `keep` leaves to other nodes."""
        names = [self.name(op.lower()) for _ in range(n_outputs)]
        node = helper.make_node(op, [i.name if i else "" for i in inputs], names, **attributes)
        given = {i.name: i for i in [*inputs, *captured] if i}
        results = [run_alone([node], {n: v.arrays[b] for n, v in given.items()}, names, self.opset)
                   for b in range(len(BATCHES))]
        is_constant = all(v.is_constant for v in given.values())
        is_exact = exact and all(v.is_exact for v in given.values())
        values = [Value(n, [r[k] for r in results], is_exact, is_constant) for k, n in enumerate(names)]
        for value in values:
            for array in value.arrays:
                if array.size > SIZE_MAX * BATCHES[-1] or array.size == 0:
                    raise Refused("too large, or empty")
                if array.dtype == self.dtype and not np.abs(array).max() <= LARGEST:
                    raise Refused("too large a number")
        self.nodes.append(node)
        for value in given.values():
            value.uses += 1
        if keep and not is_constant:
            self.values += [v for v in values if v.arrays[0].ndim and
                            all(a.shape[0] == n for a, n in zip(v.arrays, BATCHES))]
        return values[0] if n_outputs == 1 else values


# ---- what a graph may grow by

def unary(g):
    op = g.pick("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "LeakyRelu", "Elu", "Selu", "Celu", "Softplus", "Softsign",
                "HardSigmoid", "HardSwish", "Erf", "Exp", "Identity", "Sin", "Cos", "Dropout", "ThresholdedRelu")
    if op == "HardSwish" and g.opset < 14:
        op = "Relu"
    x = g.any(exact=op == "ThresholdedRelu")
    attributes = {"alpha": float(g.pick(0.1, 0.5, 1.5))} if op in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu") else {}
    g.node(op, [x], exact=op in ("Relu", "Abs", "Neg", "Identity", "Dropout"), **attributes)


def jump(g):
    op = g.pick("Floor", "Ceil", "Round", "Sign")
    g.node(op, [g.any(exact=True)], exact=True)


def other(g, x):
    """Something that x can meet: a value of its shape, a constant, or a part of its own."""
    kind = g.pick("same", "scalar", "last", "row", "reduced")
    if kind == "same":
        fit = [v for v in g.values if v.dtype == g.dtype and v.shape == x.shape]
        return fit[g.rng.integers(len(fit))]
    if kind == "scalar":
        return g.constant(g.floats(g.pick((), (1,), (1, 1))))
    if kind == "last":
        return g.constant(g.floats(x.shape[-1:]))
    if kind == "row":
        return g.constant(g.floats((1, *[g.pick(d, 1) for d in x.shape])))
    return reduce_one(g, x, keepdims=1)


def binary(g):
    x = g.any(least=2)
    y = other(g, x)
    op = g.pick("Add", "Add", "Sub", "Mul", "Mul", "Max", "Min", "Div", "PRelu", "Sum", "Mean")
    if op == "Div":
        y = g.node("Add", [g.node("Abs", [y]), g.constant(g.number(0.7))])
    if op == "PRelu" and not y.is_constant:
        op = "Mul"
    pair = [y, x] if op in ("Sub", "Add", "Mul") and g.chance(0.4) else [x, y]
    if op in ("Max", "Min", "Sum", "Mean") and g.chance(0.4):
        pair.append(x)
    g.node(op, pair, exact=op in ("Max", "Min"))


def choose(g):
    x = g.any(exact=True)
    limit = g.constant(g.number(g.pick(-0.3, 0.2)))
    condition = g.node(g.pick("Greater", "Less", "GreaterOrEqual"), [x, limit], exact=True)
    if g.chance(0.3):
        condition = g.node("Not", [condition], exact=True)
    elif g.chance(0.3):
        condition = g.node(g.pick("And", "Or", "Xor"), [condition, g.node("Less", [x, g.constant(g.number(0.9))],
                                                                         exact=True)], exact=True)
    if g.chance(0.4):
        g.node("Cast", [condition], exact=True, to=g.type)
        return
    g.node("Where", [condition, x, other(g, x)] if g.chance(0.5) else [condition, other(g, x), x], exact=True)


def dense(g):
    x = g.any(least=2)
    k, n = x.shape[-1], int(g.rng.integers(1, 24))
    weights = g.constant(g.floats((k, n), 0.7 / np.sqrt(k)), as_node=False)
    if x.rank == 2 and g.chance(0.5):
        y = g.node("Gemm", [x, weights, g.constant(g.floats((n,)))], alpha=float(g.pick(1.0, 0.5)),
                   beta=float(g.pick(1.0, 2.0)))
    else:
        y = g.node("MatMul", [x, weights])
        if g.chance(0.7):
            bias = g.constant(g.floats((n,)))
            y = g.node("Add", g.pick([y, bias], [bias, y]))
    if g.chance(0.6):
        g.node(g.pick("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "Softplus"), [y])


def between(g):
    """A product of two values, as in attention."""
    x = g.any(least=3)
    turned = g.node("Transpose", [x], exact=True, keep=False, perm=[*range(x.rank - 2), x.rank - 1, x.rank - 2])
    scores = g.node("MatMul", [x, turned], keep=False)
    scores = g.node("Softmax", [g.node("Mul", [scores, g.constant(g.number(0.3))], keep=False)], axis=-1)
    g.node("MatMul", [scores, x])


def convolution(g):
    x = g.any(rank=3)
    channels, width = x.shape
    n, taps = int(g.rng.integers(1, 9)), int(g.rng.integers(1, min(width, 4) + 1))
    y = g.node("Conv", [x, g.constant(g.floats((n, channels, taps), 0.7 / np.sqrt(channels * taps)), as_node=False),
                        g.pick(None, g.constant(g.floats((n,))))],
               pads=g.pick([0, 0], [1, 1], [taps - 1, 0]), strides=[int(g.pick(1, 1, 2))])
    if g.chance(0.6):
        one = lambda: g.constant(np.abs(g.floats((n,))) + g.number(0.5), as_node=False)
        y = g.node("BatchNormalization", [y, one(), g.constant(g.floats((n,))), g.constant(g.floats((n,))), one()])
    if g.chance(0.6):
        y = g.node(g.pick("Relu", "Tanh", "Elu"), [y])
    if g.chance(0.3) and y.shape[-1] > 2:
        g.node(g.pick("MaxPool", "AveragePool"), [y], kernel_shape=[2], strides=[int(g.pick(1, 2))])
    elif g.chance(0.3):
        g.node(g.pick("GlobalAveragePool", "GlobalMaxPool"), [y])


def normalise(g):
    x = g.any(least=2)
    n = x.shape[-1]
    one = lambda: g.constant(np.abs(g.floats((n,))) + g.number(0.5))
    op = g.pick("LayerNormalization", "Softmax", "LogSoftmax", "BatchNormalization", "LpNormalization", "Hand")
    if op == "LayerNormalization" and g.opset >= 17 and n > 1:
        g.node(op, [x, one(), g.constant(g.floats((n,)))], axis=-1, epsilon=0.1)
    elif op == "BatchNormalization" and x.rank == 2:
        g.node(op, [x, one(), g.constant(g.floats((n,))), g.constant(g.floats((n,))), one()])
    elif op == "Hand":  # as exporters write a norm that their opset lacks
        off = g.node("Sub", [x, reduce_one(g, x, keepdims=1, op="ReduceMean", axis=-1)], keep=False)
        square = reduce_one(g, g.node("Mul", [off, off], keep=False), keepdims=1, op="ReduceMean", axis=-1)
        root = g.node("Sqrt", [g.node("Add", [square, g.constant(g.number(0.1))], keep=False)], keep=False)
        g.node("Div", [off, root])
    elif op == "LpNormalization":
        g.node(op, [g.node("Add", [g.node("Abs", [x]), g.constant(g.number(0.1))])], axis=-1, p=int(g.pick(1, 2)))
    else:
        g.node(op if op.endswith("oftmax") else "Softmax", [x], axis=int(g.pick(-1, x.rank - 1)))


def reduce_one(g, x, keepdims, op=None, axis=None):
    op = op or g.pick("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare")
    axis = int(axis if axis is not None else g.rng.integers(1, x.rank)) if x.rank > 1 else 0
    exact = op in ("ReduceMax", "ReduceMin")
    if op == "ReduceSum" or g.opset >= 18:
        return g.node(op, [x, g.ints(axis)], exact=exact, keepdims=keepdims)
    return g.node(op, [x], exact=exact, axes=[axis], keepdims=keepdims)


def reduction(g):
    reduce_one(g, g.any(least=2), keepdims=int(g.pick(0, 1)))


def order(g):
    x = g.any(exact=True, least=2)
    if g.chance(0.5):
        g.node("Cast", [g.node(g.pick("ArgMax", "ArgMin"), [x], exact=True, axis=-1, keepdims=1)], exact=True,
               to=g.type)
        return
    values, places = g.node("TopK", [x, g.ints(int(g.rng.integers(1, x.shape[-1] + 1)))], 2, exact=True, axis=-1)
    if g.chance(0.5):
        g.node("GatherElements", [x, places], exact=True, axis=-1)


def layout(g):
    x = g.any(least=2)
    kind = g.pick("flatten", "reshape", "by shape", "transpose", "unsqueeze", "squeeze", "slice", "gather", "pad",
                  "expand", "tile", "split", "concat", "concat", "cumsum", "turn")
    n = x.shape[-1]
    size = int(np.prod(x.shape))
    if kind == "flatten":
        g.node("Flatten", [x], exact=True, axis=1)
    elif kind == "reshape":
        cut = int(g.pick(*[d for d in (1, 2, 3, 4) if size % d == 0]))
        g.node("Reshape", [x, g.ints(*g.pick((-1, size), (0, -1), (-1, cut, size // cut), (0, cut, -1)))], exact=True)
    elif kind == "by shape":  # a shape that is computed from another value's, as PyTorch writes it
        batch = g.node("Gather", [g.node("Shape", [g.pick(x, g.any())], keep=False), g.ints(0)], keep=False)
        g.node("Reshape", [x, g.node("Concat", [batch, g.ints(-1)], keep=False, axis=0)], exact=True)
    elif kind == "transpose":
        g.node("Transpose", [x], exact=True, perm=[0, *[int(a) + 1 for a in g.rng.permutation(x.rank - 1)]])
    elif kind == "unsqueeze" and x.rank < 5:
        g.node("Unsqueeze", [x, g.ints(int(g.rng.integers(1, x.rank + 1)))], exact=True)
    elif kind == "squeeze":
        ones = [a + 1 for a, d in enumerate(x.shape) if d == 1]
        if ones:
            g.node("Squeeze", [x, g.ints(g.pick(*ones))], exact=True)
    elif kind == "slice":
        axis = int(g.rng.integers(1, x.rank))
        d = x.shape[axis - 1]
        start = int(g.rng.integers(0, d))
        forward = g.chance(0.7)
        end = int(g.rng.integers(start + 1, d + 2)) if forward else -d - 1
        g.node("Slice", [x, g.ints(start), g.ints(end), g.ints(axis), g.ints(1 if forward else -1)], exact=True)
    elif kind == "gather":
        g.node("Gather", [x, g.constant(g.rng.integers(0, n, size=g.pick((), (1,), (3,), (2, 2))))], exact=True, axis=-1)
    elif kind == "pad":
        g.node("Pad", [x, g.ints(*[0] * (2 * x.rank - 1), int(g.pick(1, 2))), g.constant(g.number(0.5))], exact=True,
               mode=g.pick("constant", "edge"))
    elif kind == "expand":
        g.node("Expand", [g.node("Unsqueeze", [x, g.ints(1)], exact=True), g.ints(1, 3, *[1] * (x.rank - 1))], exact=True)
    elif kind == "tile":
        g.node("Tile", [x, g.ints(*[1] * (x.rank - 1), 2)], exact=True)
    elif kind == "split" and n > 1:
        cut = int(g.rng.integers(1, n))
        g.node("Split", [x, g.ints(cut, n - cut)], 2, exact=True, axis=-1)
    elif kind == "concat":
        fit = [v for v in g.values if v.dtype == g.dtype and v.rank == x.rank and v.shape[:-1] == x.shape[:-1]]
        g.node("Concat", [x, *[g.pick(*fit) for _ in range(g.rng.integers(1, 4))]], exact=True,
               axis=int(g.pick(-1, x.rank - 1)))
    elif kind == "cumsum":
        g.node("CumSum", [x, g.constant(np.int64(-1))])
    elif kind == "turn":  # away with the batch and back
        turned = g.node("Transpose", [x], exact=True, keep=False, perm=[*range(1, x.rank), 0])
        turned = g.node(g.pick("Tanh", "Identity", "Abs"), [turned], keep=False)
        g.node("Transpose", [turned], exact=True, perm=[x.rank - 1, *range(x.rank - 1)])


def recurrent(g):
    x = g.any(rank=3)
    steps, width = x.shape
    op, hidden, both = g.pick("LSTM", "GRU", "RNN"), int(g.rng.integers(1, 10)), int(g.pick(1, 1, 2))
    n = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * hidden
    more = {"linear_before_reset": int(g.pick(0, 1))} if op == "GRU" else {}
    turned = g.node("Transpose", [x], exact=True, keep=False, perm=[1, 0, 2])
    w = g.constant(g.floats((both, n, width), 0.5), as_node=False)
    r = g.constant(g.floats((both, n, hidden), 0.4), as_node=False)
    bias = g.pick(None, g.constant(g.floats((both, 2 * n), 0.2)))
    outputs = g.node(op, [turned, w, r, bias], 2, keep=False, hidden_size=hidden,
                     direction="bidirectional" if both == 2 else g.pick("forward", "reverse"), **more)
    if g.chance(0.6):
        y = g.node("Transpose", [outputs[0]], keep=False, perm=[2, 0, 1, 3])
        g.node("Reshape", [y, g.ints(0, 0, -1)])
    else:
        g.node("Transpose", [outputs[1]], perm=[1, 0, 2])


def body(name, nodes, inputs, outputs, constants=()):
    info = helper.make_tensor_value_info
    return helper.make_graph(nodes, name, [info(*i) for i in inputs], [info(*o) for o in outputs],
                             [numpy_helper.from_array(a, n) for n, a in constants])


def condition(g):
    """If: a constant condition, or one of the data, the same for all rows."""
    x = g.any(least=2)
    y = other(g, x)
    if g.chance(0.4):
        test = g.constant(np.array(g.chance(0.5)))
    else:
        flat = g.node("Reshape", [g.any(exact=True), g.ints(-1)], exact=True, keep=False)
        g.is_by_row = False
        first = g.node("Gather", [flat, g.constant(np.int64(0))], exact=True, keep=False, axis=0)
        test = g.node("Greater", [first, g.constant(g.number(0))], exact=True, keep=False)
    out = g.name("branch")
    names = [g.name("t"), g.name("e")]
    then = body("then", [helper.make_node("Mul", [x.name, y.name], [out + "a"]),
                         helper.make_node("Tanh", [out + "a"], [names[0]])], [], [(names[0], g.type, None)])
    orelse = body("orelse", [helper.make_node("Add", [y.name, x.name], [out + "b"]),
                             helper.make_node("Softsign", [out + "b"], [names[1]])], [],
                  [(names[1], g.type, None)])
    g.node("If", [test], captured=[x, y], then_branch=then, else_branch=orelse)


def loop(g):
    x = g.any(least=2)
    y = other(g, x)
    n = [g.name(s) for s in ("i", "go", "state", "sum", "next", "stay", "seen")]
    scanned = g.chance(0.4)
    nodes = [helper.make_node("Add", [n[2], y.name], [n[3]]), helper.make_node("Tanh", [n[3]], [n[4]]),
             helper.make_node("Identity", [n[1]], [n[5]])]
    outputs = [(n[5], TensorProto.BOOL, ()), (n[4], g.type, None)]
    if scanned:
        nodes.append(helper.make_node("Neg", [n[3]], [n[6]]))
        outputs.append((n[6], g.type, None))
    state = g.node("Add", [x, y])  # what is carried keeps its shape
    made = body("body", nodes, [(n[0], TensorProto.INT64, ()), (n[1], TensorProto.BOOL, ()),
                                (n[2], g.type, None)], outputs)
    trips = g.constant(np.array(int(g.rng.integers(1, 5)), dtype=np.int64))
    results = g.node("Loop", [trips, g.pick(None, g.constant(np.array(True))), state], 2 if scanned else 1,
                     captured=[y], body=made)
    if scanned:
        all_of_it = results[1]
        g.node("Transpose", [all_of_it], perm=[1, 0, *range(2, all_of_it.rank)])


def scan(g):
    x = g.any(rank=3)
    steps, width = x.shape
    n = [g.name(s) for s in ("state", "at", "both", "wide", "next", "out")]
    w, b = g.floats((width, width), 0.5 / np.sqrt(width)), g.floats((width,))
    made = body("body", [helper.make_node("Add", [n[0], n[1]], [n[2]]),
                         helper.make_node("Gemm", [n[2], n[0] + "w", n[0] + "b"], [n[3]]),
                         helper.make_node("Tanh", [n[3]], [n[4]]), helper.make_node("Identity", [n[4]], [n[5]])],
                [(n[0], g.type, (None, width)), (n[1], g.type, (None, width))],
                [(n[4], g.type, (None, width)), (n[5], g.type, (None, width))],
                [(n[0] + "w", w), (n[0] + "b", b)])
    first = g.node("Gather", [x, g.constant(np.int64(0))], axis=1, keep=False)
    last, out = g.node("Scan", [first, x], 2, keep=False, body=made, num_scan_inputs=1, scan_input_axes=[1],
                       scan_output_axes=[1], scan_input_directions=[int(g.pick(0, 1))])
    g.values += [last, out]


def folded(g):
    """Constants that are computed: a graph of them meets a value at last."""
    x = g.any(least=2)
    c = g.constant(g.floats((x.shape[-1],)))
    for _ in range(g.rng.integers(1, 4)):
        c = g.node(g.pick("Tanh", "Neg", "Abs", "Identity", "Sigmoid"), [c])
    if g.chance(0.4):
        c = g.node("Expand", [c, g.ints(1, x.shape[-1])])
    if g.chance(0.3):
        c = g.node("Mul", [c, g.node("ConstantOfShape", [g.ints(x.shape[-1])],
                                     value=numpy_helper.from_array(np.array([0.5], g.dtype)))])
    g.node(g.pick("Add", "Mul", "Sub"), [x, c])


def integers(g):
    """Away to whole numbers and back."""
    x = g.node("Cast", [g.node("Mul", [g.any(exact=True), g.constant(g.number(4))], exact=True, keep=False)], exact=True,
               keep=False, to=g.pick(TensorProto.INT64, TensorProto.INT32))
    for _ in range(g.rng.integers(1, 4)):
        op = g.pick("Add", "Sub", "Mul", "Mod", "Abs", "Neg", "Min", "Max", "Div", "ReduceMax")
        if op in ("Abs", "Neg"):
            x = g.node(op, [x], exact=True, keep=False)
        elif op == "ReduceMax":
            x = reduce_one(g, x, 1, op) if g.chance(0.3) and x.rank > 1 else x
        else:
            x = g.node(op, [x, g.constant(np.array(g.pick(2, 3, 5), dtype=x.dtype))], exact=True, keep=False)
    g.node("Mul", [g.node("Cast", [x], exact=True, keep=False, to=g.type), g.constant(g.number(0.125))], exact=True)


def quantised(g):
    """To bytes and back; ties of the rounding would be decided by a last bit."""
    x, scale = g.any(exact=True), g.constant(g.number(0.037), as_node=False)
    zero = g.constant(g.pick(np.uint8(100), np.int8(-3)), as_node=False)
    g.node("DequantizeLinear", [g.node("QuantizeLinear", [x, scale, zero], exact=True, keep=False), scale, zero], exact=True)


STEPS = [unary, unary, unary, jump, binary, binary, binary, choose, dense, dense, between, convolution, normalise,
         reduction, order, layout, layout, layout, recurrent, condition, loop, scan, folded,
         integers, quantised]


def grow(seed):
    g = Graph(seed)
    n_nodes = int(g.rng.integers(4, 41))
    while len(g.nodes) < n_nodes:
        try:
            g.pick(*STEPS)(g)
        except Refused:
            g.n_refused += 1
    return g


def outputs_of(g):
    """What nobody uses, mostly (the rest is dead), and some of what is used; now and then an input itself."""
    made = [v for v in g.values if v not in g.inputs]
    outputs = [v for v in made if (not v.uses and g.chance(0.85)) or (v.uses and g.chance(0.1))]
    if g.chance(0.1):
        outputs.append(g.inputs[0])
    return outputs or made[-1:]


def write(g, folder, outputs):
    graph = helper.make_graph(
        g.nodes, "grown", [helper.make_tensor_value_info(v.name, g.type, ["N", *v.shape]) for v in g.inputs],
        [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.dtype), None) for v in outputs],
        g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", g.opset)], ir_version=8)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for b in range(len(BATCHES)):
        data = folder / f"test_data_set_{b}"
        data.mkdir()
        for kind, values in (("input", g.inputs), ("output", outputs)):
            for i, value in enumerate(values):
                tensor = numpy_helper.from_array(value.arrays[b], value.name)
                (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())


def show(g, outputs):
    for node in g.nodes:
        print(f"    {', '.join(node.output)} = {node.op_type}({', '.join(node.input)})")
    print(f"    outputs {[v.name for v in outputs]}")


def check_predictions(g, outputs, folder, rng):
    """None, or what is wrong with what `ouzel model predict` says."""
    n = sum(BATCHES)
    order = np.concatenate([rng.permutation(n) for _ in range(COPIES)])
    write_rows(folder / "rows.csv", {v.name: np.concatenate(v.arrays)[order] for v in g.inputs})
    want = {v.name: np.concatenate(v.arrays) for v in outputs}
    try:
        text = binary_outputs(folder / "model.onnx", folder / "rows.csv")
        got = read_scores(text, {name: (width(a), a.dtype) for name, a in want.items()})
    except Failed as error:
        return str(error)
    lines = text.splitlines()[1:]
    if len(lines) != len(order):
        return f"{len(lines)} lines for {len(order)} rows"
    for name, array in want.items():
        wanted = array.reshape(n, -1)[order]
        apart = np.abs(got[name].reshape(wanted.shape).astype(np.float64) - wanted) > ATOL + RTOL * np.abs(wanted)
        if apart.any():
            return f"predict: {name} is {got[name].reshape(wanted.shape)[apart][0]}, expected {wanted[apart][0]}"
    first = {}
    for row, line in zip(order, lines):
        if first.setdefault(row, line) != line:
            return f"predict: a row's scores are {first[row]} and, at another place, {line}"
    return None


def main(tool, n=400, first=1):
    root = pathlib.Path(tempfile.mkdtemp(prefix="ouzel-graphs-"))
    grown, nodes, kinds = {}, 0, {}
    for seed in range(first, first + n):
        g = grow(seed)
        outputs = outputs_of(g)
        write(g, root / f"seed_{seed}", outputs)
        grown[f"seed_{seed}"] = (g, outputs)
        nodes += len(g.nodes)
        for node in g.nodes:
            kinds[node.op_type] = kinds.get(node.op_type, 0) + 1
    said = subprocess.run([tool, "--rtol", str(RTOL), *[str(root / name) for name in grown]], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()
    failed = [line.split("\t") for line in said if line.split("\t")[1] != "pass"]
    predicted = 0
    for name, (g, outputs) in grown.items():
        if g.is_by_row:
            why = check_predictions(g, outputs, root / name, np.random.default_rng(7))
            failed += [(name, "wrong", why)] if why else []
            predicted += 1
    for name, outcome, why in failed:
        print(f"{name}: {outcome}: {why}")
        show(*grown[name])
    print(f"{n} graphs, {nodes} nodes of {len(kinds)} operators, batches {BATCHES}; {predicted} of them by row too: "
          f"{len(failed)} failed")
    if len(said) != n or failed:
        print(f"kept: {root}")
        return 1
    shutil.rmtree(root)
    rare = sorted(k for k, v in kinds.items() if v < 2)
    if n >= 400 and (len(kinds) < 70 or rare):
        print(f"too few kinds of nodes, or too few of {rare}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
