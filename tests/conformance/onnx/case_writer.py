"""Writes one operator as a case in the node suite's layout, after asking ONNX Runtime whether it agrees
with the expected values: NAME/model.onnx, NAME/test_data_set_0/{input,output}_N.pb."""
import os
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

RTOL, ATOL = 1e-4, 2e-5  # of ONNX Runtime's floats
IR_VERSION = 10
counts, made = Counter(), Counter()


def value_info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype),
                                         array.shape)


def by_onnx_runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def write_case(folder, op, inputs, constant, expected, attributes, opset, ort=True):
    """inputs: [(name, array or None)]; constant: names of those that become initializers; expected:
    None for an output that is left out; ort: whether ONNX Runtime has this form, and means the same
    by it."""
    name = f"{op.lower()}_{made[op]:03d}"
    made[op] += 1
    given = {n: a for n, a in inputs if a is not None}
    names = [n if a is not None else "" for n, a in inputs]
    while not names[-1]:
        names.pop()
    outputs = [f"out{i}" if e is not None else "" for i, e in enumerate(expected)]
    expected = [e for e in expected if e is not None]
    node = helper.make_node(op, names, outputs,
                            **{k: v for k, v in attributes.items() if v is not None})
    feeds = {n: a for n, a in given.items() if n not in constant}
    graph = helper.make_graph(
        [node], name, [value_info(n, a) for n, a in feeds.items()],
        [value_info(n, e) for n, e in zip([o for o in outputs if o], expected)],
        [numpy_helper.from_array(a, n) for n, a in given.items() if n in constant])
    model = helper.make_model(graph, ir_version=IR_VERSION,
                              opset_imports=[helper.make_opsetid("", opset)])
    if (op, opset) != ("GroupNormalization", 18):  # the checker refuses what was withdrawn
        onnx.checker.check_model(model)
    check_runtime(name, model, feeds, expected, ort)
    path = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(path)
    onnx.save(model, os.path.join(folder, name, "model.onnx"))
    for kind, arrays in (("input", feeds.values()), ("output", expected)):
        for i, array in enumerate(arrays):
            with open(os.path.join(path, f"{kind}_{i}.pb"), "wb") as f:
                f.write(numpy_helper.from_array(array).SerializeToString())
    counts["cases"] += 1


def check_runtime(name, model, feeds, expected, ort):
    if not ort:
        counts["twin only"] += 1
        return
    try:
        got = by_onnx_runtime(model, feeds)
    except Exception as e:  # its exceptions have no common class
        if os.environ.get("VERBOSE"):
            print(name, str(e)[:200], file=sys.stderr)
        counts["not served by ONNX Runtime"] += 1
        return
    for g, e in zip(got, expected):
        if g.shape != e.shape or not np.allclose(g, e, RTOL, ATOL):
            worst = np.abs(g.astype(np.float64) - e).max() if g.shape == e.shape else g.shape
            counts["different"] += 1
            print(f"{name}: ONNX Runtime differs from the twin: {worst}", file=sys.stderr)
            return
    counts["equal to ONNX Runtime"] += 1
