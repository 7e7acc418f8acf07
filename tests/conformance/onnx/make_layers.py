"""Cases for recurrent operators, convolutions, pools and normalizations in all their forms, which the
node suite has few of, in the node suite's layout.

Expected values are those of numpy twins (recurrent_twin.py, window_twin.py, norm_twin.py) in double,
written from the reference's text. ONNX Runtime computes the float cases as well and must agree with
the twin. Where it does not have a form (layout 1, double), or is known to mean something else by it,
the twin stands alone; the first line printed says how many those are.

Usage: make_layers.py FOLDER [RUN_ONNX_CASES]
With the tool it also runs all cases; one that does not pass fails.
"""
import itertools
import os
import shutil
import subprocess
import sys

import numpy as np

import norm_twin
import recurrent_twin
import window_twin
from case_writer import counts, write_case


def random(rng, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


# names, activation_alpha, activation_beta: of one direction
ACTIVATIONS = {
    "LSTM": [
        (None, None, None), (["HardSigmoid", "Tanh", "Tanh"], [0.3], [0.4]),
        (["Sigmoid", "Softsign", "Relu"], None, None),
        (["Sigmoid", "ScaledTanh", "Affine"], [0.8, 0.9], [0.7, 0.1]),
        (["HardSigmoid", "Elu", "LeakyRelu"], [0.25, 0.9, 0.05], None),
        (["Sigmoid", "ThresholdedRelu", "Tanh"], [0.1], None),
        (["Sigmoid", "Tanh", "Softplus"], None, None),
    ],
    "GRU": [
        (None, None, None), (["HardSigmoid", "Softsign"], None, None),
        (["Sigmoid", "ScaledTanh"], [1.2], [0.6]), (["Sigmoid", "LeakyRelu"], None, None),
        (["HardSigmoid", "Affine"], [0.3, 0.5], [0.5, 0.1]), (["Sigmoid", "Elu"], [0.7], None),
    ],
    "RNN": [
        (None, None, None), (["Relu"], None, None), (["Affine"], [0.5], [0.1]),
        (["Softsign"], None, None), (["ThresholdedRelu"], [0.2], None), (["Elu"], None, None),
        (["HardSigmoid"], None, None), (["ScaledTanh"], [0.9], [1.1]), (["LeakyRelu"], [0.2], None),
        (["Sigmoid"], None, None), (["Softplus"], None, None),
    ],
}
# steps, rows, input size, hidden size. The last is cut into parts by what fits into the cache.
SIZES = [(5, 3, 4, 6), (1, 1, 1, 1), (7, 1, 5, 16), (4, 9, 3, 17), (3, 2, 40, 33)]
LARGE = (30, 24, 12, 64)


def recurrent_case(folder, number, op, sizes, form, double):
    rng = np.random.default_rng(number)
    steps, rows, n_in, hidden = sizes
    n_gates = recurrent_twin.CELLS[op][0]
    directions = 2 if form["direction"] == "bidirectional" else 1
    kind = np.float64 if double else np.float32
    state = (rows, directions, hidden) if form["layout"] else (directions, rows, hidden)
    x = random(rng, *((rows, steps, n_in) if form["layout"] else (steps, rows, n_in)))
    w = random(rng, directions, n_gates * hidden, n_in, scale=0.6 / n_in ** 0.5)
    r = random(rng, directions, n_gates * hidden, hidden, scale=0.6 / hidden ** 0.5)
    b = random(rng, directions, 2 * n_gates * hidden, scale=0.3) if form["bias"] else None
    lens = None
    if form["lens"]:
        lens = rng.integers(1, steps + 1, rows).astype(np.int32)
        lens[rng.integers(rows)] = steps
        if number % 3 == 0 and rows > 1:
            lens[lens.argmin()] = 0
    h0 = random(rng, *state) if form["initial"] else None
    c0 = random(rng, *state) if form["initial"] and op == "LSTM" else None
    p = random(rng, directions, 3 * hidden, scale=0.4) if form.get("peepholes") else None
    names, alphas, betas = form["activations"]
    attributes = {
        "direction": form["direction"], "hidden_size": hidden, "clip": form["clip"],
        "layout": form["layout"] or None, "activations": names and names * directions,
        "activation_alpha": alphas and alphas * directions,
        "activation_beta": betas and betas * directions,
        "linear_before_reset": form.get("linear_before_reset"),
        "input_forget": form.get("input_forget"),
    }
    arrays = [None if a is None else a.astype(kind) for a in (x, w, r, b, h0, c0, p)]
    x, w, r, b, h0, c0, p = arrays
    wide = [None if a is None else a.astype(np.float64) for a in arrays]
    expected = recurrent_twin.recurrent(
        op, *wide[:4], lens, *wide[4:], direction=form["direction"], layout=form["layout"],
        clip=form["clip"], activation_names=attributes["activations"],
        alphas=attributes["activation_alpha"], betas=attributes["activation_beta"],
        linear_before_reset=form.get("linear_before_reset") or 0,
        input_forget=form.get("input_forget") or 0)
    expected = [e.astype(kind) for e in expected]
    for i in form["left_out"]:
        if i < len(expected):
            expected[i] = None
    while expected[-1] is None:
        expected.pop()
    inputs = [("x", x), ("w", w), ("r", r), ("b", b), ("lens", lens), ("h0", h0)]
    if op == "LSTM":
        inputs += [("c0", c0), ("p", p)]
    constant = {"w", "r", "b", "p"} if form["constant"] else set()
    opset = 14 if form["layout"] else (7, 13, 14, 22, 24)[number % 5]
    write_case(folder, op, inputs, constant, expected, attributes,
               opset, ort=not double and not form["layout"])


def make_recurrent(folder):
    number = 0
    for op, extra in (("LSTM", "peepholes"), ("GRU", "linear_before_reset"), ("RNN", None)):
        for n, (direction, layout, lens, more, clip, initial) in enumerate(itertools.product(
                ("forward", "reverse", "bidirectional"), (0, 1), (False, True), (0, 1),
                (None, 0.35), (False, True))):
            if more and not extra:
                continue
            form = {
                "direction": direction, "layout": layout, "lens": lens, "clip": clip,
                "initial": initial, "bias": n % 4 != 1, "constant": n % 3 != 0,
                "activations": ACTIVATIONS[op][n % len(ACTIVATIONS[op])],
                "left_out": ((), (), (0,), (1,), (1, 2), (0, 1))[n % (6 if op == "LSTM" else 4)],
            }
            if extra:
                form[extra] = more
            if op == "LSTM":
                form["input_forget"] = int(n % 5 == 2)
            if op == "LSTM" and form["left_out"] == (0, 1):
                form["left_out"] = (0,)
            recurrent_case(folder, number, op, SIZES[n % len(SIZES)], form, double=n % 7 == 3)
            number += 1
        for direction, layout, lens in itertools.product(("forward", "reverse"), (0, 1), (False, True)):
            form = {"direction": direction, "layout": layout, "lens": lens, "clip": None,
                    "initial": True, "bias": True, "constant": True, "left_out": (),
                    "activations": (None, None, None), "linear_before_reset": int(lens)}
            if op != "GRU":
                del form["linear_before_reset"]
            recurrent_case(folder, number, op, LARGE, form, double=False)
            number += 1


def conv_case(folder, number, op, twin, x_shape, w_shape, attributes, ort=True):
    rng = np.random.default_rng(number)
    kind = np.float64 if number % 9 == 4 else np.float32
    x, w = random(rng, *x_shape).astype(kind), random(rng, *w_shape, scale=0.5).astype(kind)
    group = attributes.get("group", 1)
    n_out = w_shape[1] * group if op == "ConvTranspose" else w_shape[0]
    b = random(rng, n_out).astype(kind) if number % 3 else None
    wide = [None if a is None else a.astype(np.float64) for a in (x, w, b)]
    expected = twin(*wide, **attributes).astype(kind)
    constant = {"w", "b"} if number % 2 else set()
    given = dict(attributes)
    if number % 4 == 0:
        given["kernel_shape"] = list(w_shape[2:])
    write_case(folder, op, [("x", x), ("w", w), ("b", b)], constant,
               [expected], given, (7, 11, 17, 22, 24)[number % 5],
               ort=ort and kind == np.float32)


def make_convolutions(folder):
    number = 0
    pads = [{}, {"pads": [2, 1]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID"}]
    for pad, stride, dilation, taps in itertools.product(pads, (1, 2, 3), (1, 2), (1, 3, 4)):
        group = (1, 2, 6)[number % 3]
        width = (11, 40, 12, 75)[number % 4]
        attributes = {**pad, "strides": [stride], "dilations": [dilation], "group": group}
        conv_case(folder, number, "Conv", window_twin.conv, (1 + number % 3, 6, width),
                  (6 if number % 2 else 12, 6 // group, taps), attributes)
        number += 1
    planes = [({"pads": [1, 0, 2, 1]}, (3, 2)), ({"auto_pad": "SAME_UPPER"}, (2, 3)),
              ({"auto_pad": "SAME_LOWER"}, (4, 2)), ({"auto_pad": "VALID"}, (1, 3)), ({}, (1, 1))]
    for (pad, taps), strides, dilations in itertools.product(
            planes, ([1, 1], [2, 1], [1, 3]), ([1, 1], [2, 1])):
        group = (1, 4)[number % 2]
        attributes = {**pad, "strides": strides, "dilations": dilations, "group": group}
        conv_case(folder, number, "Conv", window_twin.conv, (2, 4, 7, 9), (8, 4 // group, *taps),
                  attributes)
        number += 1
    # One axis with another of size 1, as Keras's Conv1D is exported.
    for shape, taps in (((2, 3, 1, 20), (1, 5)), ((2, 3, 20, 1), (5, 1)), ((1, 3, 1, 9, 1), (1, 3, 1))):
        conv_case(folder, number, "Conv", window_twin.conv, shape, (4, 3, *taps), {})
        number += 1
    conv_case(folder, number, "Conv", window_twin.conv, (1, 2, 4, 5, 6), (3, 2, 2, 3, 2),
              {"pads": [0, 1, 1, 1, 0, 1], "strides": [1, 2, 1]})


def make_transposed(folder):
    number = 0
    pads = [{}, {"pads": [1, 2]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID"}, {"output_shape": [17]},
            {"output_shape": [16], "auto_pad": "SAME_UPPER"}]
    for pad, stride, dilation, taps in itertools.product(pads, (1, 2, 3), (1, 2), (3, 4)):
        group = (1, 2)[number % 2]
        attributes = {**pad, "strides": [stride], "dilations": [dilation], "group": group}
        if number % 5 == 3 and stride > 1:
            attributes["output_padding"] = [1]
        conv_case(folder, number, "ConvTranspose", window_twin.conv_transpose,
                  (1 + number % 2, 4, 6), (4, 3, taps), attributes)
        number += 1
    # A window shorter than its stride: ONNX Runtime makes the output smaller than the reference.
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        conv_case(folder, number, "ConvTranspose", window_twin.conv_transpose, (2, 4, 6), (4, 3, 2),
                  {"auto_pad": auto_pad, "strides": [4]}, ort=False)
        number += 1
    for pad in ({}, {"pads": [1, 0, 1, 1]}, {"auto_pad": "SAME_UPPER"}, {"output_shape": [9, 10]}):
        conv_case(folder, number, "ConvTranspose", window_twin.conv_transpose, (2, 2, 4, 5),
                  (2, 3, 3, 2), {**pad, "strides": [2, 2]})
        number += 1


def make_pools(folder):
    number = 0
    pads = [{}, {"pads": [1, 1]}, {"pads": [0, 1]}, {"auto_pad": "SAME_UPPER"},
            {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}]
    for op, pad, stride, dilation, ceil_mode, flag in itertools.product(
            ("MaxPool", "AveragePool"), pads, (1, 2, 3), (1, 2), (0, 1), (0, 1)):
        rng = np.random.default_rng(number)
        size = (2, 3)[number % 2]
        kind = np.float32
        if op == "MaxPool":
            kind = (np.float32, np.float64, np.int8, np.uint8)[number // 2 % 4]
        x = (random(rng, 2, 3, 10 + number % 4) * 20).astype(np.int32 if kind in (np.int8, np.uint8)
                                                             else kind).astype(kind)
        attributes = {**pad, "kernel_shape": [size], "strides": [stride], "dilations": [dilation],
                      "ceil_mode": ceil_mode}
        attributes["storage_order" if op == "MaxPool" else "count_include_pad"] = flag
        expected = window_twin.pool(op, x, **attributes)
        if op == "MaxPool" and number % 3 == 0:
            expected.pop()
        opset = (12, 17, 22, 24)[number % 4] if op == "MaxPool" else (19, 22, 24)[number % 3]
        expected[0] = expected[0].astype(kind)
        # ONNX Runtime leaves dilations out of SAME padding, and rounds up after VALID.
        auto_pad = pad.get("auto_pad", "")
        ort = not (auto_pad.startswith("SAME") and dilation > 1 or auto_pad == "VALID" and ceil_mode)
        write_case(folder, op, [("x", x)], set(), expected, attributes,
                   opset, ort)
        number += 1
    for storage_order, kind in itertools.product((0, 1), (np.float32, np.float64)):
        x = random(np.random.default_rng(number), 1, 2, 5, 6, 4).astype(kind)
        attributes = {"kernel_shape": [2, 3, 2], "strides": [2, 1, 1], "pads": [0, 1, 0, 1, 1, 1],
                      "storage_order": storage_order}
        write_case(folder, "MaxPool", [("x", x)], set(),
                   window_twin.pool("MaxPool", x, **attributes), attributes, 12)
        number += 1


def norm_case(folder, is_constant, op, arrays, expected, attributes, opset, ort=True):
    inputs = [(n, a) for n, a in zip(("x", "scale", "b", "mean", "var"), arrays)]
    constant = {n for n, _ in inputs[1:]} if is_constant else set()
    write_case(folder, op, inputs, constant, expected, attributes, opset, ort)


def make_norms(folder):
    shapes = [(4, 6), (3, 6, 5), (2, 6, 3, 4), (2, 6, 2, 3, 2)]
    for number, (shape, kind) in enumerate(itertools.product(shapes, (np.float32, np.float64))):
        rng = np.random.default_rng(number)
        is_float = kind == np.float32
        x = (random(rng, *shape) * 2 + 3).astype(kind)
        wide, epsilon = x.astype(np.float64), (1e-5, 1e-2)[number % 2]

        def vectors(*of, n=4):
            return [(random(rng, *of) + (0.2 if i < 3 else 0)).astype(kind) if i < 3
                    else rng.uniform(0.3, 2, of).astype(kind) for i in range(n)]

        of = vectors(6)
        for opset in (7, 9, 14, 15):
            norm_case(folder, number % 2, "BatchNormalization", [x, *of],
                      [norm_twin.batch(wide, *of, epsilon).astype(kind)], {"epsilon": epsilon}, opset)
        of = vectors(*shape[1:])
        norm_case(folder, number % 2, "BatchNormalization", [x, *of],
                  [norm_twin.batch(wide, *of, epsilon, spatial=0).astype(kind)],
                  {"epsilon": epsilon, "spatial": 0}, (7, 8)[number // 2 % 2], ort=False)
        for i, axis in enumerate(range(-len(shape), len(shape))):
            stretched = [n if j % 2 else 1 for j, n in enumerate(shape[axis:])]
            of = vectors(*(stretched if i % 3 == 2 else shape[axis:]), n=2)
            given = [x, of[0]] + ([of[1]] if i % 4 else [])
            y, mean, inverse = norm_twin.layer(wide, *given[1:], axis=axis, epsilon=epsilon)
            norm_case(folder, number % 2, "LayerNormalization", given,
                      [y.astype(kind), mean.astype(np.float32), inverse.astype(np.float32)][:1 + i % 3],
                      {"axis": axis, "epsilon": epsilon}, 17, ort=is_float)
            norm_case(folder, number % 2, "RMSNormalization", [x, of[0]],
                      [norm_twin.rms(wide, of[0], axis, epsilon).astype(kind)],
                      {"axis": axis, "epsilon": epsilon}, 23, ort=is_float)
            for p in (1, 2):
                norm_case(folder, number % 2, "LpNormalization", [x],
                          [norm_twin.lp(wide, axis, p).astype(kind)], {"axis": axis, "p": p},
                          (7, 22)[i % 2])
        for groups in (1, 2, 6):
            for opset, n in ((18, groups), (21, 6)):
                of = vectors(n, n=2)
                norm_case(folder, number % 2, "GroupNormalization",
                          [x, *of], [norm_twin.group(wide, *of, groups, epsilon).astype(kind)],
                          {"num_groups": groups, "epsilon": epsilon}, opset, ort=False)
        if len(shape) > 2:
            of = vectors(6, n=2)
            norm_case(folder, number % 2, "InstanceNormalization", [x, *of],
                      [norm_twin.group(wide, *of, 6, epsilon).astype(kind)], {"epsilon": epsilon},
                      (7, 22)[number // 2 % 2])
            axes = tuple(range(2, len(shape)))
            norm_case(folder, number % 2, "GlobalAveragePool", [x],
                      [wide.mean(axes, keepdims=True).astype(kind)], {}, (7, 22)[number // 2 % 2])
            norm_case(folder, number % 2, "GlobalMaxPool", [x], [x.max(axes, keepdims=True)], {},
                      (7, 22)[number // 2 % 2])


def run_all(folder, tool):
    folders = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    lines = subprocess.run([tool, *folders], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    failed = [line for line in lines if line.split("\t")[1] != "pass"]
    print(*failed, sep="\n")
    print(f"{len(lines) - len(failed)} of {len(folders)} cases passed")
    return not failed and len(lines) == len(folders)


def main():
    folder = sys.argv[1]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    make_recurrent(folder)
    make_convolutions(folder)
    make_transposed(folder)
    make_pools(folder)
    make_norms(folder)
    print(dict(counts))
    if counts["different"]:
        sys.exit(1)
    if len(sys.argv) > 2 and not run_all(folder, sys.argv[2]):
        sys.exit(1)


if __name__ == "__main__":
    main()
