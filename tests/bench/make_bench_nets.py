#!/usr/bin/env python3
"""Makes the nets of `bench nets` with PyTorch: make_bench_nets.py FOLDER (needs requirements-nets.txt).

Random weights: how long a net takes does not depend on them. FOLDER/nets.txt has a line for each:
name, file, the shape of one row, and the floating-point operations of one row: two for each
multiplication with a weight. Additions of biases, activations and pools are not counted."""
import os
import pathlib
import sys
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
warnings.filterwarnings("ignore")
import torch
from torch import nn

OPSET = 17


def mlp(*widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def products(*widths):
    return 2 * sum(a * b for a, b in zip(widths, widths[1:]))


class Recurrent(nn.Module):
    """Two layers of 64; the last step into one number."""
    def __init__(self, kind):
        super().__init__()
        self.body, self.last = kind(16, 64, 2, batch_first=True), nn.Linear(64, 1)

    def forward(self, x):
        return self.last(self.body(x)[0][:, -1])


def recurrent_products(gates, steps=50):
    return steps * 2 * gates * 64 * ((16 + 64) + (64 + 64)) + 2 * 64


NETS = [
    ("mlp 64-128-64-1", mlp(64, 128, 64, 1), (64,), products(64, 128, 64, 1)),
    ("mlp 256-384-384-128", mlp(256, 384, 384, 128), (256,), products(256, 384, 384, 128)),
    ("lstm 2x64, 50 steps", Recurrent(nn.LSTM), (50, 16), recurrent_products(4)),
    ("gru 2x64, 50 steps", Recurrent(nn.GRU), (50, 16), recurrent_products(3)),
    ("conv 8x64-32k5-32k5", nn.Sequential(nn.Conv1d(8, 32, 5), nn.ReLU(), nn.Conv1d(32, 32, 5), nn.ReLU(),
                                          nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 1)),
     (8, 64), 2 * 5 * (60 * 8 * 32 + 56 * 32 * 32) + 2 * 32),
    ("autoencoder 64-32-8-32-64", mlp(64, 32, 8, 32, 64), (64,), products(64, 32, 8, 32, 64)),
    # What a call costs by itself: the relu of one number.
    ("nothing", nn.ReLU(), (1,), 0),
]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    lines = []
    for name, net, shape, flops in NETS:
        file = name.split(",")[0].replace(" ", "_") + ".onnx"
        axes = {"x": {0: "batch"}, "y": {0: "batch"}}
        torch.onnx.export(net.eval(), (torch.randn(2, *shape),), folder / file, dynamo=False, input_names=["x"],
                          output_names=["y"], dynamic_axes=axes, opset_version=OPSET)
        lines.append("\t".join([name, file, "x".join(map(str, shape)), str(flops)]))
    (folder / "nets.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
