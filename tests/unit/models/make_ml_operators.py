#!/usr/bin/env python3
"""Writes ml_operators.inc: what ONNX Runtime computes with every form of the ai.onnx.ml operators but trees.

Usage: make_ml_operators.py     (needs numpy, onnx and onnxruntime; a few seconds)

Types that ONNX Runtime does not serve and the specification does have a naive twin here, or are computed by
ONNX Runtime after a cast that changes no value. Refused nodes carry the words that the refusal must hold.
"""

import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
RNG = np.random.default_rng(20)
F32, F64, I32, I64, TEXT = np.float32, np.float64, np.int32, np.int64, object
NAN, INF = float("nan"), float("inf")
ONNX_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int32": TensorProto.INT32,
              "int64": TensorProto.INT64, "object": TensorProto.STRING, "uint8": TensorProto.UINT8}
OUR_TYPES = {"float32": ("F32", "f32", "float"), "float64": ("F64", "f64", "double"),
             "int32": ("I32", "i32", "int32_t"), "int64": ("I64", "i64", "int64_t"),
             "object": ("TEXT", "text", "struct oz_str"), "uint8": ("U8", "u8", "uint8_t")}
lines = []
names = set()


def onnx_runtime(op, inputs, attributes, opset, out_types):
    """One node as a model; outputs whose type does not follow from the input's are declared."""
    n_outputs = max(len(out_types or []), 2 if op in ("LinearClassifier", "SVMClassifier") else 1)
    ins, outs = [f"x{i}" for i in range(len(inputs))], [f"y{i}" for i in range(n_outputs)]
    kinds = [helper.make_tensor_value_info(n, ONNX_TYPES[x.dtype.name], [None] * x.ndim)
             for n, x in zip(ins, inputs, strict=True)]
    declared = [helper.make_value_info(n, helper.make_tensor_type_proto(ONNX_TYPES[np.dtype(t).name], None))
                for n, t in zip(outs, out_types, strict=True)] if out_types else [
                    helper.make_empty_tensor_value_info(n) for n in outs]
    given = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in attributes.items()}
    node = helper.make_node(op, ins, outs, domain="ai.onnx.ml", **given)
    model = helper.make_model(helper.make_graph([node], "g", kinds, declared), ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", opset)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(ins, inputs, strict=True)))


def scalar(v, dtype):
    if dtype == "object":
        raw = v.encode()
        return '{"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in raw) + \
               f'", {len(raw)}}}'
    if dtype in ("float32", "float64"):
        if np.isnan(v):
            return "NAN"
        if np.isinf(v):
            return "INFINITY" if v > 0 else "-INFINITY"
        text = f"{v:.9g}" if dtype == "float32" else f"{v:.17g}"
        text += "" if "." in text or "e" in text else ".0"
        return text + ("f" if dtype == "float32" else "")
    if v == np.iinfo(I64).min:
        return "INT64_MIN"
    return f"{v}" if dtype != "int64" or abs(int(v)) < 1 << 31 else f"INT64_C({v})"


def array(values, dtype, const="const "):
    c_type = OUR_TYPES[dtype][2]
    if not len(values):
        return f"({c_type}[]){{{scalar('' if dtype == 'object' else 0, dtype)}}}"
    return f"({const}{c_type}[]){{" + ", ".join(scalar(v, dtype) for v in values) + "}"


def tensor(x):
    word, field, _ = OUR_TYPES[x.dtype.name]
    dims = ", ".join(str(d) for d in x.shape)
    dim = f".dim = {{{dims}}}, " if x.ndim else ""
    return f"{{.dtype = OZ_DTYPE_{word}, .rank = {x.ndim}, {dim}.n = {x.size}, " \
           f".{field} = {array(x.ravel(), x.dtype.name, const='')}}}"


def attribute(name, v):
    if isinstance(v, np.ndarray):
        return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_TENSOR, .tensor = &(const struct oz_tensor){tensor(v)}}}'
    if isinstance(v, list):
        kind = "strings" if v and isinstance(v[0], str) else "floats" if v and isinstance(v[0], float) else "ints"
        dtype = {"strings": "object", "floats": "float32", "ints": "int64"}[kind]
        return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_{kind.upper()}, .n = {len(v)}, ' \
               f".{kind} = {array(v, dtype)}}}"
    if isinstance(v, str):
        return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_STRING, .s = {scalar(v, "object")}}}'
    if isinstance(v, float):
        return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_FLOAT, .f = {scalar(F32(v), "float32")}}}'
    return f'{{.name = "{name}", .kind = OZ_ATTRIBUTE_INT, .i = {scalar(v, "int64")}}}'


def write(name, op, opset, inputs, attributes, outputs, tolerance, refusal, rows):
    assert name not in names, name
    names.add(name)
    lines.append(f'{{.name = "{name}", .op = "{op}", .opset = {opset}, .has_rows = {str(rows).lower()},')
    if attributes:
        text = ",\n   ".join(attribute(k, v) for k, v in attributes.items())
        lines.append(f"  .n_attributes = {len(attributes)}, .attribute = (const struct oz_attribute[]){{{text}}},")
    lines.append(f"  .n_inputs = {len(inputs)}, .input = (const struct oz_tensor[]){{"
                 + ",\n   ".join(tensor(x) for x in inputs) + "},")
    if refusal:
        lines.append(f'  .refusal = "{refusal}"}},')
    else:
        lines.append(f"  .n_outputs = {len(outputs)}, .tolerance = {scalar(F32(tolerance), 'float32')},\n"
                     "  .output = (const struct oz_tensor[]){" + ",\n   ".join(tensor(y) for y in outputs) + "}},")


def case(name, op, inputs, attributes, *, opset=1, by=None, cast=None, out_types=None, tolerance=0.0, rows=True):
    """by: a naive twin; cast: ONNX Runtime gets the inputs as this type, its outputs are as `out_types` say."""
    inputs = [np.asarray(x) for x in inputs]
    insists = {"kernel_params": [0.0, 0.0, 0.0]} if op.startswith("SVM") else {}  # ONNX Runtime does
    if by:
        outputs = [by(*inputs)]
    else:
        served = [x.astype(cast) for x in inputs] if cast else inputs
        outputs = onnx_runtime(op, served, {**insists, **attributes}, opset, out_types)
    write(name, op, opset, inputs, attributes, [np.asarray(y) for y in outputs], tolerance, None, rows)


def refused(name, op, inputs, attributes, words, opset=1):
    write(name, op, opset, [np.asarray(x) for x in inputs], attributes, [], 0, words, False)


def floats(*shape):
    return np.round(RNG.normal(size=shape), 3).astype(F32)


def listed(*shape):
    return [float(v) for v in floats(*shape).ravel()]


def numbers(dtype, *shape):
    x = floats(*shape) * 3
    return x.astype(dtype) if dtype in (F32, F64) else np.round(x).astype(dtype)


TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
NUMBERS = [F32, F64, I32, I64]


def linear():
    x = floats(7, 5)
    for t in TRANSFORMS:
        scale = 0.02 if t == "PROBIT" else 1.0  # a probit is of a probability
        for n in (1, 2, 4):
            w, b = [v * scale for v in listed(n, 5)], [0.5] * n
            case(f"linear_regressor_{t}_{n}", "LinearRegressor", [x],
                 dict(coefficients=w, intercepts=b, targets=n, post_transform=t), tolerance=2e-5)
        for n in (2, 3, 6):
            w, b = [v * scale for v in listed(n, 5)], [0.5 - 0.03 * i for i in range(n)]
            case(f"linear_classifier_{t}_{n}", "LinearClassifier", [x],
                 dict(coefficients=w, intercepts=b, classlabels_ints=list(range(3, 3 + n)), post_transform=t),
                 tolerance=2e-5)
        if t != "PROBIT":
            case(f"linear_classifier_{t}_one_score", "LinearClassifier", [x],
                 dict(coefficients=listed(5), intercepts=[0.1], classlabels_ints=[-1, 1], post_transform=t),
                 tolerance=2e-5)
    w = listed(3, 5)
    for d in NUMBERS:
        case(f"linear_classifier_{d.__name__}", "LinearClassifier", [numbers(d, 6, 5)],
             dict(coefficients=w, intercepts=[0.1, 0.2, -0.1], classlabels_strings=["a", "", "ü?"], multi_class=1),
             tolerance=2e-5)
        case(f"linear_regressor_{d.__name__}", "LinearRegressor", [numbers(d, 6, 5)],
             dict(coefficients=w, intercepts=[0.1, 0.2, -0.1], targets=3), cast=F32, tolerance=2e-5)
    case("linear_classifier_one_row", "LinearClassifier", [floats(5)],
         dict(coefficients=w, intercepts=[0.1, 0.2, -0.1], classlabels_ints=[0, 1, 2]), tolerance=2e-5, rows=False)
    case("linear_classifier_two_texts", "LinearClassifier", [x],
         dict(coefficients=listed(5), intercepts=[0.1], classlabels_strings=["no", "yes"],
              post_transform="LOGISTIC"), tolerance=2e-5)
    case("linear_regressor_one_row", "LinearRegressor", [floats(5)],
         dict(coefficients=w, intercepts=[0.1, 0.2, -0.1], targets=3), tolerance=2e-5, rows=False)
    case("linear_regressor_no_intercepts", "LinearRegressor", [x], dict(coefficients=w, targets=3), tolerance=2e-5)
    case("linear_regressor_default_targets", "LinearRegressor", [x], dict(coefficients=listed(5)), tolerance=2e-5)
    case("linear_regressor_no_rows", "LinearRegressor", [floats(0, 5)], dict(coefficients=w, targets=3), rows=False)
    case("linear_classifier_odd_values", "LinearClassifier",
         [np.array([[NAN, 1], [INF, 1], [-INF, INF], [1, -1]], F32)],
         dict(coefficients=[1.0, 0.0, 0.0, 1.0], intercepts=[0.0, 0.0], classlabels_ints=[5, 6]), tolerance=2e-5)
    r, c = "LinearRegressor", "LinearClassifier"
    refused("linear_no_coefficients", r, [x], dict(targets=1), "coefficients are missing")
    refused("linear_empty_coefficients", r, [x], dict(coefficients=[], targets=1), "coefficients")
    refused("linear_zero_targets", r, [x], dict(coefficients=w, targets=0), "targets is 0")
    refused("linear_negative_targets", r, [x], dict(coefficients=w, targets=-3), "targets is -3")
    refused("linear_huge_targets", r, [x], dict(coefficients=w, targets=1 << 62), "targets is 46116860184273")
    refused("linear_uneven", r, [x], dict(coefficients=w[:14], targets=3), "no rows for 3 targets")
    refused("linear_few_intercepts", r, [x], dict(coefficients=w, targets=3, intercepts=[1.0]), "1 intercepts for 3")
    refused("linear_columns", r, [floats(2, 4)], dict(coefficients=w, targets=3), "4 columns, the coefficients are for 5")
    refused("linear_rank", r, [floats(2, 5, 1)], dict(coefficients=w, targets=3), "ranks 1 and 2")
    refused("linear_scalar", r, [floats()], dict(coefficients=w, targets=3), "ranks 1 and 2")
    refused("linear_type", r, [np.zeros((2, 5), np.uint8)], dict(coefficients=w, targets=3), "float, double, int32")
    refused("linear_transform", r, [x], dict(coefficients=w, targets=3, post_transform="SIGMOID"), "post_transform")
    refused("linear_kind", r, [x], dict(coefficients=[1, 2], targets=3), "coefficients")
    refused("linear_unknown_attribute", r, [x], dict(coefficients=w, targets=3, scale=2.0), "scale")
    b3 = [0.1, 0.2, 0.3]
    refused("classifier_no_labels", c, [x], dict(coefficients=w, intercepts=b3), "one of classlabels_ints")
    refused("classifier_both_labels", c, [x], dict(coefficients=w, intercepts=b3, classlabels_ints=[1, 2, 3],
                                                   classlabels_strings=["a", "b", "c"]), "only one of")
    refused("classifier_few_labels", c, [x], dict(coefficients=w, intercepts=b3, classlabels_ints=[1, 2]),
            "3 intercepts for 2 classes")
    refused("classifier_no_intercepts", c, [x], dict(coefficients=w, classlabels_ints=[1, 2, 3]), "intercepts are")
    refused("classifier_one_class", c, [x], dict(coefficients=w[:5], intercepts=[0.1], classlabels_ints=[1]),
            "one class")
    refused("classifier_one_probit", c, [x], dict(coefficients=w[:5], intercepts=[0.1], classlabels_ints=[1, 2],
                                                  post_transform="PROBIT"), "PROBIT")
    refused("classifier_uneven", c, [x], dict(coefficients=w[:14], intercepts=b3, classlabels_ints=[1, 2, 3]),
            "no rows for 3")


def svm_attributes(kernel, n_classes, counts, n_features, proba, transform, labels=None):
    pairs, n = n_classes * (n_classes - 1) // 2, sum(counts)
    given = dict(kernel_type=kernel, kernel_params=[0.3, 0.5, 3.0], coefficients=listed(n_classes - 1, n),
                 rho=listed(pairs), support_vectors=listed(n, n_features), vectors_per_class=counts,
                 post_transform=transform)
    given.update(labels or dict(classlabels_ints=list(range(10, 10 + n_classes))))
    if proba:
        given.update(prob_a=[-1.0 - 0.1 * i for i in range(pairs)], prob_b=listed(pairs))
    return given


def support_vectors():
    x = floats(6, 5)
    kernels = ["LINEAR", "POLY", "RBF", "SIGMOID"]
    counts = {2: [3, 4], 3: [3, 0, 5], 5: [2, 1, 3, 4, 2]}
    for k in kernels:
        case(f"svm_regressor_{k}", "SVMRegressor", [x],
             dict(kernel_type=k, kernel_params=[0.3, 0.5, 3.0], coefficients=listed(7), rho=[0.2], n_supports=7,
                  support_vectors=listed(7, 5)), tolerance=2e-5)
        for n, c in counts.items():
            for proba in (False, True):
                case(f"svm_classifier_{k}_{n}_{'proba' if proba else 'votes'}", "SVMClassifier", [x],
                     svm_attributes(k, n, c, 5, proba, "NONE"), tolerance=5e-5)
    for degree in (1.0, 2.0, 4.0, 0.0):
        case(f"svm_regressor_degree_{int(degree)}", "SVMRegressor", [np.abs(x)],
             dict(kernel_type="POLY", kernel_params=[0.3, 0.5, degree], coefficients=listed(7), rho=[0.2],
                  n_supports=7, support_vectors=[abs(v) for v in listed(7, 5)]), tolerance=5e-5)
    for t in TRANSFORMS:
        for n, c in counts.items():
            for proba in (False, True):
                if t == "PROBIT" and not (proba and n > 2):
                    continue
                case(f"svm_classifier_{t}_{n}_{'proba' if proba else 'votes'}", "SVMClassifier", [x],
                     svm_attributes("RBF", n, c, 5, proba, t), tolerance=5e-5)
        if t == "PROBIT":
            continue
        for n in (2, 3):
            case(f"svm_primal_{t}_{n}", "SVMClassifier", [x],
                 dict(coefficients=listed(n, 5), rho=[0.1], classlabels_ints=list(range(n)), post_transform=t,
                      kernel_type="RBF"), tolerance=2e-5)
        case(f"svm_primal_{t}_prob", "SVMClassifier", [x],
             dict(coefficients=listed(2, 5), rho=[0.1, 0.5], classlabels_ints=[4, 5], post_transform=t,
                  prob_a=[-1.0], prob_b=[0.1]), tolerance=2e-5)
        case(f"svm_primal_{t}_positive", "SVMClassifier", [x],
             dict(coefficients=[abs(v) for v in listed(2, 5)], rho=[-0.4], classlabels_ints=[4, 5],
                  post_transform=t), tolerance=2e-5)
    texts = dict(classlabels_strings=["a", "b", "c"])
    for d in NUMBERS:
        case(f"svm_classifier_{d.__name__}", "SVMClassifier", [numbers(d, 6, 5)],
             svm_attributes("RBF", 3, [3, 2, 2], 5, True, "NONE", texts), tolerance=5e-5)
        case(f"svm_regressor_{d.__name__}", "SVMRegressor", [numbers(d, 6, 5)],
             dict(coefficients=listed(5), rho=[0.3]), cast=F32, tolerance=2e-5)
    case("svm_one_class", "SVMRegressor", [x],
         dict(kernel_type="RBF", kernel_params=[0.3, 0.0, 3.0], coefficients=[abs(v) for v in listed(7)], rho=[-1.0],
              n_supports=7, support_vectors=listed(7, 5), one_class=1))
    case("svm_classifier_one_row", "SVMClassifier", [floats(5)],
         svm_attributes("RBF", 3, [3, 2, 2], 5, False, "NONE"), tolerance=5e-5, rows=False)
    case("svm_regressor_one_row", "SVMRegressor", [floats(5)], dict(coefficients=listed(5), rho=[0.3]),
         tolerance=2e-5, rows=False)
    case("svm_no_params", "SVMRegressor", [x], dict(kernel_type="RBF", coefficients=listed(3), rho=[0.3],
                                                    n_supports=3, support_vectors=listed(3, 5)),
         tolerance=2e-5)
    r, c = "SVMRegressor", "SVMClassifier"
    base = dict(kernel_type="RBF", kernel_params=[0.3, 0.0, 3.0], coefficients=listed(3), rho=[0.3], n_supports=3,
                support_vectors=listed(3, 5))

    def bad(name, words, x_bad=x, **changes):
        refused(f"svr_{name}", r, [x_bad], {k: v for k, v in {**base, **changes}.items() if v is not None}, words)
    bad("kernel", "kernel_type", kernel_type="LAPLACE")
    bad("params", "kernel_params has 2", kernel_params=[0.1, 0.2])
    bad("transform", "LOGISTIC is not served", post_transform="LOGISTIC")
    bad("no_rho", "rho has 0", rho=None)
    bad("two_rho", "rho has 2", rho=[0.1, 0.2])
    bad("no_coefficients", "coefficients are missing", coefficients=None)
    bad("few_coefficients", "n_supports is 3, with 2", coefficients=[1.0, 2.0])
    bad("many_coefficients", "4 coefficients for 3", coefficients=[1.0, 2.0, 3.0, 4.0])
    bad("negative_supports", "n_supports is -1", n_supports=-1)
    bad("huge_supports", "n_supports is 4611686018427387904", n_supports=1 << 62)
    bad("no_vectors", "support_vectors has 0", support_vectors=None)
    bad("uneven_vectors", "support_vectors has 14", support_vectors=listed(14))
    bad("columns", "4 columns, the model is for 5", x_bad=floats(2, 4))
    bad("one_class", "one_class", one_class=2)
    base = svm_attributes("RBF", 3, [3, 2, 2], 5, True, "NONE")

    def bad_class(name, words, **changes):
        refused(f"svc_{name}", c, [x], {k: v for k, v in {**base, **changes}.items() if v is not None}, words)
    bad_class("no_labels", "one of classlabels_ints", classlabels_ints=None)
    bad_class("both_labels", "only one of classlabels_ints", classlabels_strings=["a"])
    bad_class("few_labels", "vectors_per_class has 3 entries for 2", classlabels_ints=[1, 2])
    bad_class("negative_count", "vectors_per_class has -3", vectors_per_class=[-3, 5, 5])
    bad_class("huge_count", "vectors_per_class has 9223372036854775807", vectors_per_class=[(1 << 63) - 1, 5, 5])
    bad_class("wrong_counts", "no 8 rows", vectors_per_class=[3, 2, 3])
    bad_class("few_coefficients", "coefficients for 7", coefficients=base["coefficients"][:-1])
    bad_class("many_coefficients", "coefficients for 7", coefficients=base["coefficients"] + [1.0])
    bad_class("few_rho", "rho has 2", rho=[0.1, 0.2])
    bad_class("few_prob", "prob_a and prob_b have 3 and 2", prob_b=[0.1, 0.2])
    bad_class("wrong_prob", "prob_a and prob_b have 2 and 2", prob_a=[0.1, 0.2], prob_b=[0.1, 0.2])
    bad_class("one_class", "of one class", classlabels_ints=[1], vectors_per_class=[7])
    bad_class("many_classes", "at most 1024", classlabels_ints=list(range(1025)), vectors_per_class=None)
    bad_class("primal_prob", "have 3 and 1", vectors_per_class=None, prob_b=[0.1], coefficients=listed(3, 5))
    bad_class("primal_no_rho", "rho is missing", vectors_per_class=None, rho=None, prob_a=None, prob_b=None,
              coefficients=listed(3, 5))
    bad_class("primal_uneven", "no rows for 3", vectors_per_class=None, prob_a=None, prob_b=None, rho=[0.1],
              coefficients=listed(14))
    refused("svc_probit", c, [x], svm_attributes("RBF", 2, [3, 4], 5, False, "PROBIT"), "PROBIT")


def scalers():
    for d in NUMBERS:
        x = numbers(d, 6, 4)
        case(f"scaler_{d.__name__}", "Scaler", [x], dict(offset=listed(4), scale=listed(4)))
        case(f"scaler_{d.__name__}_one", "Scaler", [x], dict(offset=[0.3], scale=[1.7]))
        for norm in ("MAX", "L1", "L2"):
            case(f"normalizer_{norm}_{d.__name__}", "Normalizer", [np.vstack([x, 0 * x[:1]])], dict(norm=norm),
                 tolerance=1e-6)
        case(f"binarizer_{d.__name__}", "Binarizer", [x], dict(threshold=0.5),
             by=lambda v: (v > F32(0.5)).astype(v.dtype))
    x = floats(6, 4)
    case("scaler_row", "Scaler", [x[0]], dict(offset=listed(4), scale=listed(4)), rows=False)
    case("scaler_cube", "Scaler", [floats(2, 3, 4)], dict(offset=[0.3], scale=[1.7]))
    case("normalizer_row", "Normalizer", [x[0]], dict(norm="L2"), tolerance=1e-6, rows=False)
    case("normalizer_default", "Normalizer", [x], {}, tolerance=1e-6)
    case("normalizer_tiny", "Normalizer", [np.array([[3e-30, 4e-30], [3e30, -4e30]], F32)], dict(norm="L2"),
         tolerance=1e-6, by=lambda v: (v / np.sqrt((v.astype(F64) ** 2).sum(axis=1, keepdims=True))).astype(F32))
    case("binarizer_ort", "Binarizer", [x], dict(threshold=0.25))
    case("binarizer_default", "Binarizer", [np.array([[0.0, -0.0, 1e-30, NAN, INF, -INF]], F32)], {},
         by=lambda v: (v > 0).astype(F32))
    holes = np.where(RNG.random((6, 4)) < 0.4, F32(NAN), floats(6, 4))
    zeros = np.where(RNG.random((6, 4)) < 0.4, F32(0), floats(6, 4))
    case("imputer_nan", "Imputer", [holes], dict(imputed_value_floats=listed(4), replaced_value_float=NAN))
    case("imputer_nan_one", "Imputer", [holes], dict(imputed_value_floats=[9.5], replaced_value_float=NAN))
    case("imputer_zero", "Imputer", [zeros], dict(imputed_value_floats=listed(4)))
    case("imputer_row", "Imputer", [holes[0]], dict(imputed_value_floats=listed(4), replaced_value_float=NAN),
         rows=False)
    ints = RNG.integers(-2, 3, (6, 4))
    case("imputer_int64", "Imputer", [ints], dict(imputed_value_int64s=[5, 6, 7, 8], replaced_value_int64=-1))
    case("imputer_int64_default", "Imputer", [ints], dict(imputed_value_int64s=[1 << 40]))
    case("imputer_int32", "Imputer", [ints.astype(I32)], dict(imputed_value_int64s=[5, 6, 7, 8],
                                                              replaced_value_int64=-1),
         by=lambda v: np.where(v == -1, np.array([5, 6, 7, 8], I32), v))
    case("imputer_double", "Imputer", [holes.astype(F64)], dict(imputed_value_floats=[1.5, 2.5, 3.5, 4.5],
                                                                replaced_value_float=NAN),
         by=lambda v: np.where(np.isnan(v), [1.5, 2.5, 3.5, 4.5], v))
    refused("scaler_no_scale", "Scaler", [x], dict(offset=[1.0]), "scale has 0 entries")
    refused("scaler_no_offset", "Scaler", [x], dict(scale=[1.0]), "offset 0")
    refused("scaler_lengths", "Scaler", [x], dict(scale=[1.0], offset=listed(4)), "scale has 1 entries and offset 4")
    refused("scaler_columns", "Scaler", [x], dict(scale=listed(3), offset=listed(3)), "scale has 3 entries")
    refused("scaler_type", "Scaler", [np.array([["a"]], TEXT)], dict(scale=[1.0], offset=[1.0]), "string")
    refused("normalizer_norm", "Normalizer", [x], dict(norm="L3"), "norm")
    refused("normalizer_rank", "Normalizer", [floats(2, 2, 2)], dict(norm="L1"), "ranks 1 and 2")
    refused("binarizer_type", "Binarizer", [np.array([["a"]], TEXT)], {}, "string")
    refused("imputer_none", "Imputer", [x], {}, "one of imputed_value_floats")
    refused("imputer_both", "Imputer", [x], dict(imputed_value_floats=[1.0], imputed_value_int64s=[1]), "only one of")
    refused("imputer_other_type", "Imputer", [x], dict(imputed_value_int64s=[1]), "int64 and int32")
    refused("imputer_length", "Imputer", [x], dict(imputed_value_floats=listed(3)), "3 entries")
    refused("imputer_int32_range", "Imputer", [ints.astype(I32)], dict(imputed_value_int64s=[1 << 31]), "no int32")


def encoders():
    texts = np.array([["b", "a", ""], ["zz", "b", "naïve?"]], TEXT)
    words = dict(keys_strings=["a", "b", "", "naïve?", "b"])
    ints = np.array([[3, -1, 7], [1 << 40, 3, 0]], I64)
    whole = dict(keys_int64s=[7, 3, 1 << 40, 3, -9])
    reals = np.array([[0.0, -0.0, 1.5], [NAN, 2.25, INF]], F32)
    points = dict(keys_floats=[1.5, 0.0, NAN, INF, 0.0])
    values = dict(values_strings=["v", "w", "", "x", "y"], values_int64s=[1, -2, 1 << 50, 4, 5],
                  values_floats=[0.5, NAN, -INF, 2.0, 3.0])
    types = dict(values_strings=TEXT, values_int64s=I64, values_floats=F32)
    defaults = dict(values_strings=("default_string", "none"), values_int64s=("default_int64", -77),
                    values_floats=("default_float", 0.125))
    for opset in (2, 3, 4):
        for x, keys, word in ((texts, words, "text"), (ints, whole, "int"), (reals, points, "float")):
            for v in values:
                name = f"label_{opset}_{word}_{v.split('_')[1]}"
                case(name, "LabelEncoder", [x], {**keys, v: values[v]}, opset=opset, out_types=[types[v]])
                case(f"{name}_default", "LabelEncoder", [x], {**keys, v: values[v], defaults[v][0]: defaults[v][1]},
                     opset=opset, out_types=[types[v]])
    for opset in (1,):
        classes = dict(classes_strings=["a", "b", "", "b"])
        case("label_1_text", "LabelEncoder", [texts], {**classes, "default_int64": 44}, out_types=[I64])
        case("label_1_text_default", "LabelEncoder", [texts], classes, out_types=[I64])
        case("label_1_int", "LabelEncoder", [ints], {**classes, "default_string": "none"}, out_types=[TEXT])
        case("label_1_int_default", "LabelEncoder", [np.array([0, 3, 4, -1], I64)], classes, out_types=[TEXT])
    doubles = np.array([0.1, NAN, -0.0, 3.0], F64)
    double_keys = dict(keys_tensor=np.array([3.0, 0.1, 0.0, NAN], F64))
    for d, v in ((F64, [0.1, 0.2, NAN, -1.0]), (I64, [1, 2, 3, 1 << 60]), (TEXT, ["a", "b", "c", "d"])):
        given = {"values_tensor": np.array(v, d)} if d == F64 else {
            "values_int64s" if d == I64 else "values_strings": v}
        case(f"label_4_double_{np.dtype(d).name}", "LabelEncoder", [doubles], {**double_keys, **given}, opset=4,
             out_types=[d])
    case("label_4_default_tensor", "LabelEncoder", [np.array(["a", "q"], TEXT)],
         dict(keys_tensor=np.array(["a", "b"], TEXT), values_tensor=np.array([1.5, 2.5], F32),
              default_tensor=np.array([7.5], F32)), opset=4, out_types=[F32])
    case("label_4_double_default", "LabelEncoder", [np.array(["a", "q"], TEXT)],
         dict(keys_strings=["a", "b"], values_tensor=np.array([1.5, 2.5], F64),
              default_tensor=np.array([0.1], F64)), opset=4, out_types=[F64])
    small = dict(keys_tensor=np.array([5, -6], I32), values_tensor=np.array([50, 60], I32))
    case("label_4_int32", "LabelEncoder", [np.array([[-6, 0], [5, 9]], I32)], small, opset=4,
         by=lambda x: np.array([[60, -1], [50, -1]], I32))
    case("label_4_scalar", "LabelEncoder", [np.array(3, I64)], dict(keys_int64s=[3], values_int64s=[8]), opset=4,
         out_types=[I64], rows=False)
    le = "LabelEncoder"
    refused("label_no_keys", le, [ints], dict(values_int64s=[1]), "one of the lists of keys", 2)
    refused("label_no_values", le, [ints], dict(keys_int64s=[1]), "one of the lists of values", 2)
    refused("label_two_keys", le, [ints], dict(keys_int64s=[1], keys_floats=[1.0], values_int64s=[1]), "only one", 2)
    refused("label_lengths", le, [ints], dict(keys_int64s=[1, 2], values_int64s=[1]), "2 keys and 1 values", 2)
    refused("label_type", le, [ints], dict(keys_strings=["a"], values_int64s=[1]), "the keys are string", 2)
    refused("label_wide_type", le, [ints.astype(I32)], dict(keys_int64s=[1], values_int64s=[1]), "the keys are int64", 2)
    refused("label_tensor_early", le, [ints], dict(keys_tensor=np.array([1], I64), values_int64s=[1]), "keys", 2)
    refused("label_uint8", le, [ints], dict(keys_tensor=np.array([1], np.uint8), values_int64s=[1]), "uint8", 4)
    refused("label_empty_tensor", le, [ints], dict(keys_tensor=np.array([], I64), values_tensor=np.array([], I64)),
            "keys_tensor is empty", 4)
    refused("label_default_type", le, [ints], dict(keys_int64s=[1], values_int64s=[1],
                                                   default_tensor=np.array([1.0], F32)), "must be one int64", 4)
    refused("label_default_many", le, [ints], dict(keys_int64s=[1], values_int64s=[1],
                                                   default_tensor=np.array([1, 2], I64)), "must be one int64", 4)
    refused("label_default_int32", le, [ints.astype(I32)], {**small, "default_int64": 1 << 31}, "int32", 4)
    refused("label_1_no_classes", le, [texts], {}, "classes_strings is missing", 1)
    refused("label_1_type", le, [reals], dict(classes_strings=["a"]), "string and int64", 1)
    refused("label_2_classes", le, [texts], dict(classes_strings=["a"]), "keys", 2)
    one_hot(texts, ints)


def one_hot(texts, ints):
    for zeros in (1, 0):
        cats = ["a", "b", "", "zz", "naïve?"]
        case(f"one_hot_text_{zeros}", "OneHotEncoder", [texts], dict(cats_strings=cats, zeros=zeros))
    cats = [3, 7, -1, 3]
    case("one_hot_text_unknown", "OneHotEncoder", [texts], dict(cats_strings=["a", "b"]))
    case("one_hot_int64", "OneHotEncoder", [ints], dict(cats_int64s=cats))
    case("one_hot_int32", "OneHotEncoder", [np.array([[3, 5], [-1, 7]], I32)], dict(cats_int64s=cats), cast=I64)
    for d in (F32, F64):
        case(f"one_hot_{d.__name__}", "OneHotEncoder", [np.array([[3.9, -1.5, -0.5], [7.0, 2.0, 0.0]], d)],
             dict(cats_int64s=[3, 7, -1, 0]))
        case(f"one_hot_{d.__name__}_odd", "OneHotEncoder", [np.array([[NAN, INF, -INF, 1e30, -1e30, 2.0]], d)],
             dict(cats_int64s=[2, (1 << 63) - 1]), by=lambda v: np.array(
                 [[[0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 0]]], F32))
    case("one_hot_row", "OneHotEncoder", [np.array([3, 8], I64)], dict(cats_int64s=cats))
    case("one_hot_scalar", "OneHotEncoder", [np.array(7, I64)], dict(cats_int64s=cats), rows=False)
    oh = "OneHotEncoder"
    refused("one_hot_none", oh, [ints], {}, "one of cats_int64s")
    refused("one_hot_both", oh, [ints], dict(cats_int64s=[1], cats_strings=["a"]), "only one of cats_int64s")
    refused("one_hot_type", oh, [texts], dict(cats_int64s=[1]), "the categories are int64")
    refused("one_hot_text_type", oh, [ints], dict(cats_strings=["a"]), "the categories are string")
    refused("one_hot_unknown", oh, [ints], dict(cats_int64s=[3, 7], zeros=0), "element 1 is of no known category")
    refused("one_hot_rank", oh, [np.zeros((1,) * 8, I64)], dict(cats_int64s=[3]), "ranks up to 7")
    refused("one_hot_bytes", oh, [np.zeros((2, 2), np.uint8)], dict(cats_int64s=[3]), "uint8")


def features():
    for d in NUMBERS:
        case(f"extractor_{d.__name__}", "ArrayFeatureExtractor", [numbers(d, 3, 4), np.array([[2, 0, 2]], I64)], {},
             rows=False)
        case(f"vectorizer_{d.__name__}", "FeatureVectorizer", [numbers(d, 3, 2), numbers(d, 3, 1), numbers(d, 3, 3)],
             dict(inputdimensions=[2, 2, 2]), rows=False)
    case("extractor_text", "ArrayFeatureExtractor", [np.array([["a", "b"], ["c", ""]], TEXT), np.array([1], I64)], {},
         rows=False)
    case("extractor_row", "ArrayFeatureExtractor", [floats(4), np.array([3, 1], I64)], {}, rows=False)
    case("extractor_cube", "ArrayFeatureExtractor", [floats(2, 3, 4), np.array([3, 1], I64)], {}, rows=False)
    case("vectorizer_rows", "FeatureVectorizer", [floats(2), floats(3)], dict(inputdimensions=[3, 2]), rows=False)
    case("vectorizer_one", "FeatureVectorizer", [floats(3, 2)], dict(inputdimensions=[2]))
    x, a, v = floats(3, 4), "ArrayFeatureExtractor", "FeatureVectorizer"
    refused("extractor_range", a, [x, np.array([4], I64)], {}, "Y names column 4 of 4")
    refused("extractor_negative", a, [x, np.array([-1], I64)], {}, "Y names column -1 of 4")
    refused("extractor_min", a, [x, np.array([-(1 << 63)], I64)], {}, "Y names column -9223372036854775808")
    refused("extractor_none", a, [x, np.zeros((0,), I64)], {}, "Y names no columns")
    refused("extractor_type", a, [x, np.array([1.0], F32)], {}, "served is int64")
    refused("extractor_scalar", a, [floats(), np.array([0], I64)], {}, "scalar")
    refused("extractor_empty", a, [floats(3, 0), np.array([0], I64)], {}, "Y names column 0 of 0")
    refused("extractor_bytes", a, [np.zeros((2, 2), np.uint8), np.array([0], I64)], {}, "uint8")
    refused("vectorizer_count", v, [x], dict(inputdimensions=[1, 2]), "2 entries for 1 inputs")
    refused("vectorizer_none", v, [x], {}, "0 entries for 1 inputs")
    refused("vectorizer_negative", v, [x], dict(inputdimensions=[-1]), "inputdimensions has -1")
    refused("vectorizer_huge", v, [x, x], dict(inputdimensions=[1 << 30, (1 << 63) - 1]), "inputdimensions has 92233")
    refused("vectorizer_rows_differ", v, [x, floats(2, 2)], dict(inputdimensions=[1, 1]), "3 and 2 rows")
    refused("vectorizer_type", v, [np.array([["a"]], TEXT)], dict(inputdimensions=[1]), "string")


def main():
    linear()
    support_vectors()
    scalers()
    encoders()
    features()
    path = pathlib.Path(__file__).with_name("ml_operators.inc")
    head = "/* Made by make_ml_operators.py with ONNX Runtime " + onnxruntime.__version__ + ". */\n"
    path.write_text(head + "\n".join(lines) + "\n")
    print(f"{len(names)} cases, {path.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
