#!/usr/bin/env python3
"""Writes elementwise_cases.inc: one-node nets with inputs and the outputs that ONNX Runtime gives, for what
the ONNX node suite does not have: forms of older opsets, types beside float32, long and oddly shaped rows,
empty tensors. Where ONNX Runtime does not serve a type, the onnx package's reference says what comes out
(such cases say so).

Usage: make_elementwise_cases.py > elementwise_cases.inc
Needs: onnx 1.19.1, onnxruntime 1.32.0, numpy."""
import math
import sys
import textwrap

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

TYPES = {  # numpy's: ours, ONNX's, C's
    "float32": ("F32", TensorProto.FLOAT, "float"), "float64": ("F64", TensorProto.DOUBLE, "double"),
    "int32": ("I32", TensorProto.INT32, "int32_t"), "int64": ("I64", TensorProto.INT64, "int64_t"),
    "uint8": ("U8", TensorProto.UINT8, "uint8_t"), "int8": ("I8", TensorProto.INT8, "int8_t"),
    "bool": ("BOOL", TensorProto.BOOL, "uint8_t"), "object": ("TEXT", TensorProto.STRING, "struct oz_str"),
}
KINDS = {int: "INT", float: "FLOAT", str: "STRING", list: "INTS"}
random = np.random.default_rng(7)
names = set()


def number(v, dtype):
    if dtype == "object":
        return '{"' + v.replace(" ", "\\040") + f'", {len(v)}}}'  # a blank would invite a line break
    if dtype in ("float32", "float64"):
        if np.isnan(v):
            return "NAN"
        if np.isinf(v):
            return "-INFINITY" if v < 0 else "INFINITY"
        return f"{v!s}f" if dtype == "float32" else repr(float(v))
    if dtype == "int64":
        return "INT64_MIN" if v == -2**63 else f"{v}"
    return "INT32_MIN" if v == -2**31 else f"{int(v)}"


def tensor(array):
    if array is None:
        return "{.dtype = OZ_DTYPE_COUNT}"
    dtype = array.dtype.name
    ours, _, c = TYPES[dtype]
    values = ", ".join(number(v, dtype) for v in array.reshape(-1)) or "0"
    dims = ", ".join(map(str, array.shape)) or "0"
    return (f"{{.dtype = OZ_DTYPE_{ours}, .rank = {array.ndim}, .dim = {{{dims}}}, .n = {array.size}, "
            f".data = ({c}[]){{{values}}}}}")


def attribute(name, v):
    field = {"INT": f".i = {v}", "FLOAT": f".f = {v}f" if isinstance(v, float) else "",
             "STRING": f'.s = {{"{v}", {len(str(v))}}}',
             "INTS": f".n = {len(v)}, .ints = (int64_t[]){{{', '.join(map(str, v)) or '0'}}}"
             if isinstance(v, list) else ""}[KINDS[type(v)]]
    return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_{KINDS[type(v)]}, {field}}}'


def by_onnxruntime(model, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def case(name, op, opset, inputs, n_outputs=1, reference=False, exact=None, **attributes):
    assert name not in names, name
    names.add(name)
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    args = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    outputs = [f"y{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, args, outputs, **attributes)], "g",
        [helper.make_tensor_value_info(a, TYPES[x.dtype.name][1], x.shape) for a, x in zip(args, inputs)
         if x is not None], [helper.make_empty_tensor_value_info(y) for y in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    feed = {a: x for a, x in zip(args, inputs) if x is not None}
    if exact:
        results = exact
    elif not reference:
        try:
            results = by_onnxruntime(model, feed)
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            reference = True
    if reference:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, feed)
    results = [np.asarray(r) for r in results]
    parts = [f'.name = "{name}"', f'.op = "{op}"', f".opset = {opset}",
             f".n_inputs = {len(inputs)}", f".n_outputs = {n_outputs}", f".n_attributes = {len(attributes)}",
             ".attribute = {" + ", ".join(attribute(k, v) for k, v in attributes.items()) + "}" if attributes else "",
             ".input = {" + ", ".join(map(tensor, inputs)) + "}",
             ".output = {" + ", ".join(map(tensor, results)) + "}"]
    if reference:
        print("/* by the reference */")
    if exact:
        print("/* by the formula */")
    text = "{" + ",\n ".join(p for p in parts if p) + "},"
    print("\n".join(textwrap.fill(line, 118, subsequent_indent="  ", break_long_words=False,
                                  break_on_hyphens=False) for line in text.split("\n")))


def floats(*shape, dtype="float32", scale=2.0):
    return np.round(random.standard_normal(shape) * scale, 2).astype(dtype)


def integers(*shape, dtype="int32", low=-9, high=10):
    return random.integers(max(low, np.iinfo(dtype).min), high, shape).astype(dtype)


def softmaxes():
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for axis in (0, 1, 2, -1):
            case(f"{op} 11 axis {axis}", op, 11, [floats(2, 3, 5)], axis=axis)
        case(f"{op} 7 default", op, 7, [floats(3, 2, 4)])
        case(f"{op} 13 side by side", op, 13, [floats(1, 10, 67)], axis=1)
        case(f"{op} 13 long", op, 13, [floats(2, 37)])
        case(f"{op} 13 double", op, 13, [floats(3, 9, 2, dtype="float64")], axis=-2)
        case(f"{op} 13 empty", op, 13, [floats(0, 4)])
    case("Softmax 13 infinities", "Softmax", 13,
         [np.array([[1, np.inf, 2], [1, -np.inf, 2], [np.nan, 1, 2]], np.float32)])


def clips():
    x = np.array([-7, -1, -0.0, 0.5, 3, np.inf, -np.inf, np.nan], np.float32)
    case("Clip 6", "Clip", 6, [x], min=-1.5, max=2.0)
    case("Clip 6 min", "Clip", 6, [x], min=-1.5)
    case("Clip 6 default", "Clip", 6, [x])
    case("Clip 11 max", "Clip", 11, [x, None, np.array(2, np.float32)])
    case("Clip 11 none", "Clip", 11, [x])
    case("Clip 12 none int32", "Clip", 12, [integers(5)])
    case("Clip 12 crossed", "Clip", 12, [floats(5), np.array(2, np.float32), np.array(-2, np.float32)])
    for dtype in ("float64", "int32", "int64", "uint8", "int8"):
        case(f"Clip 12 {dtype}", "Clip", 12, [np.arange(9).reshape(3, 3).astype(dtype), np.array(2, dtype),
                                              np.array(6, dtype)])


def reductions():
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
               "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"):
        x = floats(3, 5, 4, scale=1.0)
        if op == "ReduceLogSum":
            x = np.abs(x)
        case(f"{op} 11 first and last", op, 11, [x], axes=[0, -1], keepdims=0)
        case(f"{op} 11 middle", op, 11, [x], axes=[1])
        case(f"{op} 7 all", op, 7, [x])
        case(f"{op} 18 axes", op, 18, [x, np.array([0, 1])], keepdims=0)
        case(f"{op} 18 no axes", op, 18, [x, np.array([], np.int64)])
        case(f"{op} 18 idle", op, 18, [x[0]], noop_with_empty_axes=1)
        case(f"{op} 13 scalar", op, 13, [x[0, 0, 0].reshape(())])
        long = floats(2, 83, scale=0.5)
        case(f"{op} 13 long", op, 18, [np.abs(long) if op == "ReduceLogSum" else long, np.array([1])])
        wide = floats(2, 67, scale=0.5, dtype="float64")
        case(f"{op} 18 double", op, 18, [np.abs(wide) if op == "ReduceLogSum" else wide, np.array([0])])
        whole = integers(3, 4, 2, low=1, high=6)
        if op != "ReduceLogSumExp":  # of integers, ONNX Runtime cuts each exponential off
            case(f"{op} 18 int32", op, 18, [whole, np.array([1])], keepdims=0)
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare"):
        case(f"{op} 18 int64", op, 18, [integers(4, 3, dtype="int64"), np.array([0])])
    case("ReduceL1 18 int64", "ReduceL1", 18, [integers(4, 3, dtype="int64"), np.array([0])], reference=True)
    for op in ("ReduceMax", "ReduceMin"):
        for dtype in ("uint8", "int8"):
            case(f"{op} 12 {dtype}", op, 12, [integers(4, 3, dtype=dtype, low=-100, high=100)], axes=[0])
        case(f"{op} 20 bool", op, 20, [np.array([[True, False], [True, True], [False, False]]), np.array([1])])
    case("ReduceSum 11 wraps", "ReduceSum", 11, [np.array([2**31 - 1, 1, 5], np.int32)], reference=True)
    case("ReduceMean 11 negative", "ReduceMean", 11, [np.array([-3, -4, -4], np.int32)])
    case("ReduceSum 13 nothing", "ReduceSum", 13, [floats(2, 0, 3), np.array([1])])
    case("ReduceProd 18 nothing", "ReduceProd", 18, [floats(2, 0, 3), np.array([1])], reference=True)
    case("ReduceMax 18 NaN", "ReduceMax", 18, [np.array([[1, np.nan, 0], [2, -np.inf, 1]], np.float32),
                                               np.array([1])], reference=True)
    case("ReduceLogSumExp 18 large", "ReduceLogSumExp", 18, [np.array([[1000, 1001], [-1000, -1001]], np.float32),
                                                            np.array([1])])


def arithmetic():
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "int8"):
        is_float = dtype.startswith("float")
        a = floats(2, 1, 4, dtype=dtype) if is_float else integers(2, 1, 4, dtype=dtype, low=-100, high=100)
        b = floats(3, 1, dtype=dtype) if is_float else integers(3, 1, dtype=dtype, low=1, high=7)
        small = dtype in ("uint8", "int8")
        for op in ("Add", "Sub", "Mul", "Div"):
            opset = 14 if small else 7
            case(f"{op} {opset} {dtype}", op, opset, [a, b])
        for op in ("Max", "Min"):
            case(f"{op} 13 {dtype}", op, 13, [a, b, a[:1]])
        case(f"Mod 10 {dtype}", "Mod", 10, [a, b], fmod=1)
        if not is_float:
            case(f"Mod 10 {dtype} of Python", "Mod", 10, [a, b])
    for a, b in (((0, 3), (1, 3)), ((2, 0), (1,)), ((0,), ()), ((2, 1), (0,)), ((1, 1, 1), (1,)), ((), ())):
        case(f"Add 14 shapes {a} {b}".replace(",)", ")"), "Add", 14, [floats(*a), floats(*b)])
    case("Sub 7 scalar first", "Sub", 7, [np.array(1, np.float32), floats(17)])
    case("Mul 7 five dimensions", "Mul", 7, [floats(2, 1, 3, 1, 2), floats(2, 1, 5, 1)])
    case("Add 7 wraps", "Add", 7, [np.array([2**31 - 1, -2**31], np.int32), np.array([1, -1], np.int32)])
    case("Mul 7 wraps", "Mul", 7, [np.array([2**40, 3], np.int64), np.array([2**30, 2**62], np.int64)])
    for op in ("Sum", "Mean"):
        case(f"{op} 8", op, 8, [floats(2, 1), floats(3), floats(1, 1), floats(2, 3)])
        case(f"{op} 8 one", op, 8, [floats(2, 3)])
        case(f"{op} 13 double", op, 13, [floats(2, dtype="float64"), floats(1, dtype="float64")])
    case("Max 8 NaN", "Max", 8, [np.array([1, np.nan, 3], np.float32), np.array([np.nan, 2, 4], np.float32)])
    x = np.array([0.0, 0.25, 1.5, 7, -2], np.float32)
    for y in (2, 3, 0.5, -1, 0, 1.7):
        case(f"Pow 7 by {y}", "Pow", 7, [x, np.array([y], np.float32)])
    case("Pow 7 each", "Pow", 7, [np.abs(floats(4, 3)), floats(4, 3)])
    case("Pow 12 float int64", "Pow", 12, [floats(3), np.array([2, 3, -1])])
    case("Pow 12 int32 float", "Pow", 12, [np.array([2, 9, 10], np.int32), np.array([3.5, 0.5, 2], np.float32)])
    case("Pow 12 int64 int32", "Pow", 12, [np.array([2, -3, 10]), np.array([10, 3, 0], np.int32)])
    case("Pow 13 double float", "Pow", 13, [np.abs(floats(3, dtype="float64")), floats(3)])


def functions():
    x = np.array([-3.5, -2.5, -1.5, -0.5, -0.0, 0.3, 0.5, 1.5, 2.5, 1e9, np.inf, -np.inf, np.nan])
    for op, opset in (("Neg", 6), ("Abs", 6), ("Sqrt", 6), ("Exp", 6), ("Log", 6), ("Reciprocal", 6), ("Floor", 6),
                      ("Ceil", 6), ("Round", 11), ("Sin", 7), ("Cos", 7), ("Erf", 9)):
        for dtype in ("float32", "float64"):
            v = x.astype(dtype)
            if op in ("Sin", "Cos"):
                v = v[np.abs(v) < 10]
            # Of doubles neither ONNX Runtime nor the reference gives more than seven digits.
            exact = [np.vectorize(math.erf)(v)] if op == "Erf" and dtype == "float64" else None
            case(f"{op} {max(opset, 7)} {dtype}", op, max(opset, 7), [v], exact=exact)
    for op, opset in (("Neg", 7), ("Abs", 7), ("Sign", 9)):
        for dtype in ("int32", "int64", "int8"):
            case(f"{op} {opset} {dtype}", op, opset, [integers(5, dtype=dtype)])
    case("Sign 9 float32", "Sign", 9, [x[:-1].astype(np.float32)])


def softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


# The formulas, for doubles: ONNX Runtime serves few of them, and the reference has constants in float.
IN_DOUBLE = {
    "LeakyRelu": lambda x, alpha: x if x >= 0 else alpha * x,
    "Elu": lambda x, alpha: x if x >= 0 else alpha * math.expm1(x),
    "Selu": lambda x, alpha, gamma: gamma * (x if x >= 0 else alpha * math.expm1(x)),
    "ThresholdedRelu": lambda x, alpha: x if x > alpha else 0,
    "HardSigmoid": lambda x, alpha, beta: min(max(alpha * x + beta, 0), 1),
    "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "Mish": lambda x: x * math.tanh(softplus(x)),
    "Softplus": softplus,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Gelu none": lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)),
    "Gelu tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def in_double(op, x, attributes):
    formula = IN_DOUBLE.get(f"{op} {attributes.get('approximate', '')}".strip())
    numbers = {k: float(np.float32(v)) for k, v in attributes.items() if isinstance(v, float)}
    return [np.array([formula(v, **numbers) for v in x], np.float64)] if formula else None


def activations():
    x = np.concatenate([np.linspace(-9, 9, 37), [-40, 40, -0.0, 100, -100]])
    for op, opset, attributes in (
            ("Relu", 7, {}), ("LeakyRelu", 7, {"alpha": 0.3}), ("Elu", 7, {"alpha": 1.7}),
            ("Selu", 7, {"alpha": 2.0, "gamma": 3.0}), ("Celu", 12, {"alpha": 2.0}),
            ("ThresholdedRelu", 10, {"alpha": 2.0}), ("Sigmoid", 7, {}),
            ("HardSigmoid", 7, {"alpha": 0.3, "beta": 0.4}), ("HardSwish", 14, {}), ("Mish", 18, {}),
            ("Tanh", 7, {}), ("Softplus", 7, {}), ("Softsign", 7, {}),
            ("Gelu", 20, {"approximate": "none"}), ("Gelu", 20, {"approximate": "tanh"})):
        name = f"{op} {opset} {attributes.get('approximate', '')}".strip()
        case(f"{name} float32", op, opset, [x.astype(np.float32)], **attributes)
        if op != "Celu":
            case(f"{name} float64", op, opset, [x], exact=in_double(op, x, attributes), **attributes)
    case("Swish 24", "Swish", 24, [x.astype(np.float32)], reference=True, alpha=1.5)
    case("Relu 14 int32", "Relu", 14, [integers(6)])
    case("Relu 14 int8", "Relu", 14, [integers(6, dtype="int8")])
    case("PRelu 7", "PRelu", 7, [floats(2, 3, 4), floats(3, 1)])
    case("PRelu 9 int32", "PRelu", 9, [integers(2, 3), integers(3)], reference=True)


def logic():
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "int8"):
        a, b = np.array([[1, 2, 3], [4, 5, 6]], dtype), np.array([1, 7, 3], dtype)
        for op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual"):
            case(f"{op} 16 {dtype}", op, 16, [a, b])
        case(f"Equal 11 {dtype}", "Equal", 11, [a, b])
        case(f"Where 9 {dtype}", "Where", 9, [np.array([[True], [False]]), a, b])
    case("Less 7 NaN", "Less", 7, [np.array([np.nan, 1], np.float32), np.array([1, np.nan], np.float32)])
    case("Equal 7 bool", "Equal", 7, [np.array([True, False]), np.array([[True], [False]])])
    text = np.array(["", "a", "ab", "b"], object)
    case("Equal 19 string", "Equal", 19, [text, np.array([["ab"], [""]], object)])
    case("Where 9 string", "Where", 9, [np.array([True, False, True, False]), text, np.array(["else"], object)])
    case("Where 9 scalars", "Where", 9, [np.array([True, False, True]), np.array(1, np.float32),
                                         np.array([2], np.float32)])
    case("Where 9 one condition", "Where", 9, [np.array([[True], [False]]), floats(5), np.array(2, np.float32)])
    case("Where 9 bool", "Where", 9, [np.array([True, False]), np.array([False, True]), np.array([True, True])],
         reference=True)
    for op in ("And", "Or", "Xor"):
        case(f"{op} 7 broadcast", op, 7, [np.array([[True], [False]]), np.array([True, False, True])])
    x = np.array([np.nan, np.inf, -np.inf, 0], np.float64)
    case("IsNaN 9 float64", "IsNaN", 9, [x])
    case("IsInf 10 float64", "IsInf", 10, [x], detect_negative=0)
    case("IsInf 10 float32", "IsInf", 10, [x.astype(np.float32)], detect_positive=0)


def casts():
    values = {"float32": [-3.7, -0.5, 0, 0.5, 2.9, 100.25], "float64": [-3.7, -0.5, 0, 0.5, 2.9, 1e-9],
              "int32": [-2**31, -300, -1, 0, 200, 2**31 - 1], "int64": [-2**63, -1, 0, 1, 2**40 + 7, 2**62],
              "uint8": [0, 1, 128, 255], "int8": [-128, -1, 0, 127], "bool": [False, True]}
    for source, v in values.items():
        for target in values:
            x = np.array(v, source)
            if source.startswith("float") and target in ("uint8", "int8"):
                x = np.abs(x)
            if source != target:
                case(f"Cast 9 {source} {target}", "Cast", 9, [x], to=int(TYPES[target][1]))
    text = np.array(["1.5", "-2", "+3", " 4 ", "5.", "1E2", "007"], object)
    case("Cast 9 string float32", "Cast", 9, [np.append(text, ["inf", "-INF", "NaN", ".5", "1e-40"])],
         to=int(TensorProto.FLOAT))
    case("Cast 9 string float64", "Cast", 9, [np.append(text, ["0.1", "1e300", "INFINITY"])],
         to=int(TensorProto.DOUBLE))
    case("Cast 9 string int32", "Cast", 9, [text[[1, 2, 3, 6, 0]]], to=int(TensorProto.INT32))
    case("Cast 9 string int64", "Cast", 9, [np.append(text[[1, 2]], ["9223372036854775807"])],
         to=int(TensorProto.INT64))
    case("Cast 9 string bool", "Cast", 9, [np.array(["0", "1", "7"], object)], to=int(TensorProto.BOOL))
    case("Cast 9 float32 string", "Cast", 9,
         [np.array([0.1, 2, -1.5, np.nan, np.inf, -np.inf, 12345.5], np.float32)], to=int(TensorProto.STRING))
    case("Cast 9 int64 string", "Cast", 9, [np.array([0, -7, 2**62])], to=int(TensorProto.STRING))
    case("Cast 9 bool string", "Cast", 9, [np.array([True, False])], to=int(TensorProto.STRING))
    case("CastLike 15", "CastLike", 15, [floats(3), integers(1, dtype="int64")])


def quantizations():
    x = floats(2, 3, 4, scale=20)
    half = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 300, -300, np.inf, -np.inf, np.nan], np.float32)
    for dtype in ("uint8", "int8"):
        zero, scales = np.array(3, dtype), np.array([0.5, 1, 2], np.float32)
        case(f"QuantizeLinear 10 {dtype}", "QuantizeLinear", 10, [half, np.array(1, np.float32), zero])
        case(f"QuantizeLinear 13 {dtype}", "QuantizeLinear", 13, [x, scales, np.array([1, 2, 3], dtype)])
        case(f"QuantizeLinear 13 {dtype} last", "QuantizeLinear", 13,
             [x[:, :, :3].copy(), scales, np.array([4, 5, 6], dtype)], axis=-1)
        case(f"QuantizeLinear 21 {dtype} blocks", "QuantizeLinear", 21,
             [x, np.abs(floats(2, 2, 4)) + np.float32(0.1), integers(2, 2, 4, dtype=dtype)], block_size=2)
        y = integers(2, 3, 4, dtype=dtype, low=-100, high=100)
        case(f"DequantizeLinear 10 {dtype}", "DequantizeLinear", 10, [y, np.array(0.1, np.float32), zero])
        case(f"DequantizeLinear 13 {dtype}", "DequantizeLinear", 13, [y, scales, np.array([1, 2, 3], dtype)])
        case(f"DequantizeLinear 13 {dtype} last", "DequantizeLinear", 13, [y[:, :, :3].copy(), scales], axis=2)
        case(f"DequantizeLinear 21 {dtype} blocks", "DequantizeLinear", 21,
             [y, np.abs(floats(2, 3, 2)), integers(2, 3, 2, dtype=dtype)], axis=2, block_size=3)
    case("QuantizeLinear 10 default", "QuantizeLinear", 10, [half, np.array(0.7, np.float32)])
    case("QuantizeLinear 13 int32", "QuantizeLinear", 13, [integers(6, low=-900, high=900), np.array(3, np.float32)],
         reference=True)
    case("QuantizeLinear 21 output", "QuantizeLinear", 21, [half, np.array(0.7, np.float32)],
         output_dtype=int(TensorProto.INT8))
    case("DequantizeLinear 10 int32", "DequantizeLinear", 10,
         [np.array([-2**31, -5, 0, 2**31 - 1], np.int32), np.array(0.1, np.float32)])
    case("DynamicQuantizeLinear 11", "DynamicQuantizeLinear", 11, [x], n_outputs=3)
    case("DynamicQuantizeLinear 11 zeros", "DynamicQuantizeLinear", 11, [np.zeros(3, np.float32)], n_outputs=3)
    case("DynamicQuantizeLinear 11 positive", "DynamicQuantizeLinear", 11, [np.abs(x)], n_outputs=3)


def main():
    print("/* Written by make_elementwise_cases.py. */")
    for family in (softmaxes, clips, reductions, arithmetic, functions, activations, logic, casts, quantizations):
        family()
    print(f"{len(names)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
