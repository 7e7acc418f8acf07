"""Nets from PyTorch, each by both of its exporters.

A case is named torch_NET_EXPORTER+OPSET: `script` is torch.onnx.export(dynamo=False), which traces; `dynamo` is
the default one, saved into one file (it would put the weights beside it). The batch is dynamic. Nets
are trained for a few steps, so that weights and batch norms' statistics are no longer what they began
with; what they learn does not matter. Expected is what the net itself says, in torch."""
import io
import logging
import os
import re
import tempfile
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin would slow everything down
import numpy as np
import torch
from torch import nn

import torch_nets as nets
from case import Case

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
ROWS = 1003  # no multiple of any batch or vector


def normal(*shape):
    return lambda rng: rng.normal(size=(ROWS, *shape)).astype(np.float32)


def walks(channels, steps, time_first=True):
    """Series that drift, as sensors do."""
    def make(rng):
        x = np.cumsum(0.3 * rng.normal(size=(ROWS, steps, channels)), axis=1) + rng.normal(size=(ROWS, 1, channels))
        return (x if time_first else x.transpose(0, 2, 1)).astype(np.float32)
    return make


def codes(*sizes):
    return lambda rng: np.stack([rng.integers(n, size=ROWS) for n in sizes], axis=1)


def holes(*shape):
    """Numbers with NaN and infinities among them."""
    def make(rng):
        x = normal(*shape)(rng)
        x[rng.random(x.shape) < 0.05] = np.nan
        x[rng.random(x.shape) < 0.01] = np.inf
        return x
    return make


# name: (net, its inputs, names of its outputs, exporters, relative and absolute bound). Bounds are of
# float nets whose sums others do in another order: a few units of the last place of what is summed.
BOTH = ("script 17", "dynamo 20")
CASES = {
    "mlp": (lambda: nets.mlp(64, 128, 64, 1), {"x": normal(64)}, ["y"],
            ("script 9", "script 13", "script 17", "dynamo 18", "dynamo 20", "dynamo 23"), 1e-5, 2e-6),
    "mlp_wide": (lambda: nets.mlp(256, 384, 384, 128), {"x": normal(256)}, ["y"], BOTH, 1e-5, 2e-6),
    "mlp_double": (lambda: nets.mlp(17, 33, 5, last=nn.Sigmoid()).double(),
                   {"x": lambda rng: rng.normal(size=(ROWS, 17))}, ["y"], BOTH, 1e-13, 1e-14),
    "mlp_batch_norm": (nets.Standardised, {"x": holes(23)}, ["risk"], ("script 11", *BOTH), 1e-5, 2e-6),
    "residual_layer_norm": (nets.Residual, {"x": normal(19)}, ["y"], ("script 11", *BOTH), 1e-5, 4e-6),
    "activations": (nets.Activations, {"x": normal(11)}, ["y"], BOTH, 1e-5, 4e-6),
    "mixture": (nets.Mixture, {"x": normal(15)}, ["y"], BOTH, 1e-5, 2e-6),
    "embeddings_three_heads": (nets.Embedded, {"codes": codes(7, 23, 120), "numbers": normal(9)},
                                ["probability", "label", "value"], BOTH, 1e-5, 2e-6),
    "bag_of_codes": (nets.Bag, {"codes": lambda rng: rng.integers(50, size=(ROWS, 9)) * (rng.random((ROWS, 9)) < 0.6)},
                     ["y"], BOTH, 1e-5, 2e-6),
    "conv_stack": (nets.ConvStack, {"x": walks(8, 64, False)}, ["y"], ("script 9", *BOTH, "dynamo 23"), 1e-5, 4e-6),
    "conv_batch_norm": (nets.ConvBatchNorm, {"x": walks(6, 63)}, ["y"], BOTH, 1e-5, 4e-6),
    "conv_causal": (nets.CausalConv, {"x": walks(5, 40, False)}, ["y"], BOTH, 1e-5, 4e-6),
    "conv_norms": (nets.NormedConv, {"x": walks(4, 33, False)}, ["y"], BOTH, 2e-5, 1e-5),
    "lstm": (lambda: nets.Recurrent(nn.LSTM, width=64), {"x": walks(16, 50)}, ["y"],
             ("script 9", "script 14", *BOTH), 1e-5, 4e-6),
    "gru": (lambda: nets.Recurrent(nn.GRU, width=64), {"x": walks(16, 50)}, ["y"],
            ("script 9", "script 14", *BOTH, "dynamo 23"), 1e-5, 4e-6),
    "rnn_tanh": (lambda: nets.Recurrent(nn.RNN), {"x": walks(16, 20)}, ["y"], BOTH, 1e-5, 4e-6),
    "rnn_relu": (lambda: nets.Recurrent(nn.RNN, nonlinearity="relu"), {"x": walks(16, 20)}, ["y"], BOTH, 1e-5, 4e-6),
    "lstm_both_ways": (lambda: nets.Recurrent(nn.LSTM, n_out=3, bidirectional=True), {"x": walks(16, 24)}, ["y"],
                       BOTH, 1e-5, 4e-6),
    "gru_both_ways": (lambda: nets.Recurrent(nn.GRU, n_out=3, bidirectional=True), {"x": walks(16, 24)}, ["y"],
                      BOTH, 1e-5, 4e-6),
    "lstm_last_states": (lambda: nets.LastStates(nn.LSTM), {"x": walks(14, 30)}, ["life"], BOTH, 1e-5, 4e-6),
    "gru_last_states": (lambda: nets.LastStates(nn.GRU), {"x": walks(14, 30)}, ["life"], BOTH, 1e-5, 4e-6),
    "lstm_initial_state": (nets.Projected, {"x": walks(9, 21)}, ["y"], BOTH, 1e-5, 4e-6),
    "gru_attention_pool": (nets.AttentionPool, {"x": walks(7, 25)}, ["y", "weights"], BOTH, 1e-5, 4e-6),
    "gru_cells": (nets.Cells, {"x": walks(4, 12)}, ["y"], BOTH, 1e-5, 4e-6),
    "conv_gru": (nets.ConvRecurrent, {"x": walks(6, 48, False)}, ["log_p"], BOTH, 1e-5, 4e-6),
    "autoencoder": (nets.AutoEncoder, {"x": normal(64)}, ["again", "error"], BOTH, 1e-5, 2e-6),
    "conv_autoencoder": (nets.ConvAutoEncoder, {"x": walks(3, 64, False)}, ["again", "error"], BOTH, 1e-5, 4e-6),
    "lstm_autoencoder": (nets.RecurrentAutoEncoder, {"x": walks(5, 16)}, ["again"], BOTH, 1e-5, 4e-6),
}


def names(full):
    """A short run takes each net by both exporters; a full one goes through the opsets, too."""
    return [f"torch_{net}_{exporter.replace(' ', '')}" for net, row in CASES.items() for exporter in row[3]
            if full or exporter in BOTH]


def train(net, inputs, steps=15):
    """Adam towards random targets of what floats it gives."""
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(steps):
        batch = [torch.nan_to_num(t[step * 64 % 960:][:64], posinf=3.0) if t.is_floating_point()
                 else t[step * 64 % 960:][:64] for t in inputs]
        outs = net(*batch)
        outs = [o for o in (outs if isinstance(outs, tuple) else (outs,)) if o.is_floating_point()]
        loss = sum(((o - torch.randn_like(o)) ** 2).mean() for o in outs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()


def export(net, inputs, input_names, output_names, exporter):
    kind, opset = re.fullmatch(r"([a-z]+)(\d+)", exporter).groups()
    sample = tuple(t[:3] for t in inputs)
    options = {"input_names": input_names, "output_names": output_names, "opset_version": int(opset)}
    if kind == "script":
        file = io.BytesIO()
        axes = {name: {0: "batch"} for name in input_names + output_names}
        torch.onnx.export(net, sample, file, dynamo=False, dynamic_axes=axes, **options)
        return file.getvalue()
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(net, sample, dynamo=True, verbose=False,
                                dynamic_shapes=tuple({0: batch} for _ in inputs), **options)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        program.save(path, external_data=False)
        with open(path, "rb") as f:
            return f.read()


def make(name):
    net_name, exporter = re.fullmatch(r"torch_(.+)_([a-z]+\d+)", name).groups()
    build, inputs, output_names, _, rtol, atol = CASES[net_name]
    seed = list(CASES).index(net_name)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    arrays = {k: f(rng) for k, f in inputs.items()}
    tensors = [torch.from_numpy(a) for a in arrays.values()]
    net = build()
    train(net, tensors)
    with torch.no_grad():
        outs = net(*tensors)
    outs = outs if isinstance(outs, tuple) else (outs,)
    expected = {k: o.numpy() for k, o in zip(output_names, outs)}
    with torch.no_grad():
        model = export(net, tensors, list(inputs), output_names, exporter)
    return Case(name, model, arrays, expected, rtol, atol)


def cases(full):
    return map(make, names(full))
