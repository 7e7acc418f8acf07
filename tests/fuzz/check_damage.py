#!/usr/bin/env python3
"""Models that are well-formed and wrong: an input left out or another's, an attribute that is missing, odd or of
another operator, another operator's name, other types, ranks and sizes, constants for inputs. Bytes that a fuzzer
changes seldom get that far. How: models of the ONNX project's node suites get one to three such faults each, drawn
from a seed, and the fuzzer's own binary, with its sanitizers, reads, compiles, plans and runs every one of them.

Usage: check_damage.py FUZZ_ONNX [N [SEED]]   N models (default 60000), made and run a thousand at a time; the first
one that is not survived is kept."""
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

AT_ONCE = 1000
MODEL_BYTES_MAX = 20000
INTS = [-1, 0, 1, 2, 3, -2, -7, 7, 100, 1 << 31, 1 << 40, -(1 << 62), (1 << 63) - 1]
FLOATS = [0.0, -1.0, 1.0, float("nan"), float("inf"), 1e30]
TYPES = [T.FLOAT, T.DOUBLE, T.INT32, T.INT64, T.BOOL, T.UINT8, T.INT8, T.STRING]
CONSTANTS = [np.zeros(0, np.float32), np.float32(1), np.ones((2, 3), np.int64), np.array(["a", "b"], object),
             np.array([1, -1], np.int64), np.ones((1, 2, 3), np.float32), np.array(True)]


def suite():
    """Small models that onnx's own cases have, and Debian's beside them."""
    with np.errstate(all="ignore"):  # the cases divide by zero on purpose
        models = [case.model for case in collect_testcases(None) if case.model]
    for path in sorted(pathlib.Path("/usr/share/libonnx-testdata/data/node").glob("*/model.onnx")):
        models.append(onnx.load(path, load_external_data=False))
    return [m for m in models if m.ByteSize() < MODEL_BYTES_MAX]


class Pool:
    """What a fault can borrow from other models."""

    def __init__(self, models):
        nodes = [n for m in models for g in graphs(m.graph) for n in g.node]
        self.operators = sorted({(n.domain, n.op_type) for n in nodes})
        self.attributes = [a for n in nodes for a in n.attribute if a.ByteSize() < 200]


def graphs(graph):
    """It and those of its bodies."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                yield from graphs(attribute.g)


def any_node(rng, model):
    return rng.choice([n for g in graphs(model.graph) for n in g.node])


# ---- faults: each changes the model; where there is nothing to change, IndexError

def leave_out_input(rng, model, _pool):
    node = any_node(rng, model)
    node.input[rng.choice(range(len(node.input)))] = ""


def other_input(rng, model, _pool):
    node = any_node(rng, model)
    names = [v.name for v in model.graph.input] + [o for n in model.graph.node for o in n.output]
    node.input[rng.choice(range(len(node.input)))] = rng.choice(names)


def fewer_inputs(rng, model, _pool):
    node = any_node(rng, model)
    del node.input[rng.choice(range(len(node.input))):]


def more_inputs(rng, model, _pool):
    node = any_node(rng, model)
    node.input.append(rng.choice([*node.input, ""]))


def leave_out_output(rng, model, _pool):
    node = any_node(rng, model)
    node.output[rng.choice(range(len(node.output)))] = ""


def more_outputs(rng, model, _pool):
    any_node(rng, model).output.append("more")


def no_attribute(rng, model, _pool):
    node = any_node(rng, model)
    del node.attribute[rng.choice(range(len(node.attribute)))]


def odd_attribute(rng, model, pool):
    attribute = rng.choice(any_node(rng, model).attribute)
    if attribute.type == attribute.INT:
        attribute.i = rng.choice(INTS)
    elif attribute.type == attribute.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == attribute.STRING:
        attribute.s = rng.choice([b"", b"x", b"\xff\xfe"] + [a.s for a in pool.attributes if a.type == a.STRING][:200])
    elif attribute.type == attribute.TENSOR:
        attribute.t.CopyFrom(numpy_helper.from_array(np.asarray(rng.choice(CONSTANTS))))
    elif attribute.type == attribute.INTS:
        odd_list(rng, attribute.ints, INTS)
    elif attribute.type == attribute.FLOATS:
        odd_list(rng, attribute.floats, FLOATS)
    elif attribute.type == attribute.STRINGS:
        odd_list(rng, attribute.strings, [b"", b"x", b"\xff"])


def odd_list(rng, values, odd):
    kind = rng.randrange(4)
    if kind == 0:
        values.append(rng.choice(odd))
    elif kind == 1:
        del values[rng.choice(range(len(values))):]
    else:
        values[rng.choice(range(len(values)))] = rng.choice(odd)


def borrowed_attribute(rng, model, pool):
    any_node(rng, model).attribute.append(rng.choice(pool.attributes))


def other_operator(rng, model, pool):
    node = any_node(rng, model)
    node.domain, node.op_type = rng.choice(pool.operators)
    if rng.random() < 0.6:
        del node.attribute[:]
    if node.domain and all(o.domain != node.domain for o in model.opset_import):
        model.opset_import.add(domain=node.domain, version=3)


def other_opset(rng, model, _pool):
    rng.choice(model.opset_import).version = rng.choice([1, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 18, 19, 21, 24, 25])


def other_type(rng, model, _pool):
    rng.choice(model.graph.input).type.tensor_type.elem_type = rng.choice(TYPES)


def other_shape(rng, model, _pool):
    dims = rng.choice(model.graph.input).type.tensor_type.shape.dim
    kind = rng.randrange(5)
    if kind == 0:
        dims.add().dim_value = rng.choice([0, 1, 2, 3])
    elif kind == 1:
        del dims[rng.choice(range(len(dims)))]
    elif kind == 2:
        del dims[:]
    elif kind == 3:
        dims[rng.choice(range(len(dims)))].dim_param = rng.choice(["N", "M"])
    else:
        dims[rng.choice(range(len(dims)))].dim_value = rng.choice([0, 1, 2, 3, 5])


def no_shape(rng, model, _pool):
    rng.choice(model.graph.input).type.tensor_type.ClearField("shape")


def constant_input(rng, model, _pool):
    """One becomes an initializer: folding meets it."""
    k = rng.choice(range(len(model.graph.input)))
    value = model.graph.input[k]
    kind, array = value.type.tensor_type.elem_type, np.asarray(rng.choice(CONSTANTS))
    shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
    if kind in TYPES and 0 < np.prod(shape) < 2000 and rng.random() < 0.8:
        array = np.random.default_rng(rng.randrange(1 << 30)).integers(-3, 4, size=shape)
        array = array.astype(str).astype(object) if kind == T.STRING else \
            array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    del model.graph.input[k]


def odd_initializer(rng, model, _pool):
    tensor = rng.choice(model.graph.initializer)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(rng.choice(CONSTANTS)), tensor.name))


def one_more_node(rng, model, pool):
    """Behind the last one, on what there is; its result is the output."""
    names = [v.name for v in model.graph.input] + [o for n in model.graph.node for o in n.output if o]
    domain, operator = rng.choice(pool.operators)
    model.graph.node.add(op_type=operator, domain=domain, output=["last"],
                         input=[rng.choice(names) for _ in range(rng.choice([1, 1, 2, 2, 3]))])
    model.graph.output[0].name = "last"


FAULTS = [leave_out_input, leave_out_input, other_input, fewer_inputs, more_inputs, leave_out_output, more_outputs,
          no_attribute, odd_attribute, odd_attribute, odd_attribute, borrowed_attribute, other_operator,
          other_operator, other_opset, other_type, other_shape, other_shape, no_shape, constant_input, constant_input,
          odd_initializer, one_more_node]


def damaged(rng, models, pool, counts):
    model = onnx.ModelProto()
    model.CopyFrom(rng.choice(models))
    for _ in range(rng.choice([1, 1, 2, 3])):
        fault = rng.choice(FAULTS)
        try:
            fault(rng, model, pool)
            counts[fault.__name__] = counts.get(fault.__name__, 0) + 1
        except IndexError:
            pass
    return model.SerializeToString()


def survives(tool, folder, files):
    """None, or the file that the tool has died of, and its last words."""
    done = subprocess.run([str(pathlib.Path(tool).resolve()), "-timeout=20", "-rss_limit_mb=2048", *map(str, files)], cwd=folder,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    ran = re.findall(r"^Running: (\S+)", done.stderr, re.M)
    if not done.returncode and len(ran) == len(files):
        return None
    return (ran[-1] if ran else "none"), done.stderr[-3000:]


def main(tool, n=60000, seed=1):
    began = time.time()
    models, rng, counts = suite(), random.Random(seed), {}
    pool = Pool(models)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ouzel-damage-"))
    files = [folder / f"{k}.onnx" for k in range(AT_ONCE)]
    for done in range(0, n, AT_ONCE):
        some = files[:n - done]
        for file in some:
            file.write_bytes(damaged(rng, models, pool, counts))
        death = survives(tool, folder, some)
        if death:
            print(f"{death[1]}\nnot survived: {death[0]}, model {done + int(pathlib.Path(death[0]).stem)} of seed {seed}")
            return 1
        if sys.stderr.isatty():
            print(f"\r{done + len(some)} of {n} models", end="", file=sys.stderr)
    for file in files:
        file.unlink(missing_ok=True)
    folder.rmdir()
    print(f"{n} models from {len(models)}, {sum(counts.values())} faults of {len(counts)} kinds in "
          f"{time.time() - began:.0f} s: all survived")
    return 0 if len(counts) == len(set(FAULTS)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
