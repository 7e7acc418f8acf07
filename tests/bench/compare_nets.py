#!/usr/bin/env python3
"""Nets, ours beside ONNX Runtime: compare_nets.py FOLDER BENCH_NETS [--rounds N] [--ms N] [--only PART]

FOLDER is make_bench_nets.py's. One thread each: ONNX Runtime with intra_op and inter_op threads 1, sequential,
spinning off, inputs and outputs bound once (IO binding), called from Python below its own wrapper; what
such a call costs by itself is the line of the net that does nothing, for both. Ours is bench_nets: the
net as it is (`net`) and the engine's call with its columns of doubles (`model`). Rounds are interleaved,
so that both meet the same hour of the machine; times are CPU times of the calling thread, which nobody
else's work counts into. A figure is the best sample of all rounds, with the median in brackets. The ratio is ONNX Runtime's time over that of `net`, best over best."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import onnxruntime as ort

BATCHES = (1, 8, 64, 512)
SAMPLE_NS = 1_500_000


class Runtime:
    """One net of one batch in ONNX Runtime, everything bound."""
    def __init__(self, path, shape, n_rows):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        rows = np.random.default_rng(1).uniform(-1, 1, size=(n_rows, *shape)).astype(np.float32)
        y = self.session.run(None, {"x": rows})[0]
        self.x, self.y = ort.OrtValue.ortvalue_from_numpy(rows), ort.OrtValue.ortvalue_from_numpy(y)
        binding = self.session.io_binding()
        binding.bind_ortvalue_input("x", self.x)
        binding.bind_ortvalue_output("y", self.y)
        self.call, self.bound = self.session._sess.run_with_iobinding, binding._iobinding
        self.binding = binding

    def run_ns(self, n_calls):
        call, bound = self.call, self.bound
        start = time.thread_time_ns()
        for _ in range(n_calls):
            call(bound, None)
        return time.thread_time_ns() - start

    def samples(self, for_ms):
        n_calls = 1
        while self.run_ns(n_calls) < SAMPLE_NS:
            n_calls *= 2
        found, start = [], time.perf_counter_ns()
        while not found or time.perf_counter_ns() - start < for_ms * 1e6:
            found.append(self.run_ns(n_calls) / n_calls / 1000)
        return found


class Ours:
    def __init__(self, program):
        self.child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def samples(self, path, shape, n_rows, for_ms):
        self.child.stdin.write(f"{path}\t{'x'.join(map(str, shape))}\t{n_rows}\t{for_ms}\n")
        self.child.stdin.flush()
        words = self.child.stdout.readline().split()
        if not words:
            sys.exit("compare_nets: bench_nets gave up")
        at = words.index("model")
        return [float(w) for w in words[1:at]], [float(w) for w in words[at + 1:]]


def figure(samples):
    return f"{min(samples):9.2f} [{statistics.median(samples):9.2f}]"


def measure(path, shape, n_rows, ours, args):
    """Samples of the three: our net, our model, ONNX Runtime."""
    runtime, found = Runtime(path, shape, n_rows), ([], [], [])
    for _ in range(args.rounds):
        net, model = ours.samples(path, shape, n_rows, args.ms)
        found[0].extend(net)
        found[1].extend(model)
        found[2].extend(runtime.samples(args.ms))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("bench_nets")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ms", type=float, default=40)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    ours, worst = Ours(args.bench_nets), {}
    print(f"one thread; us of CPU per call, best [median] of {args.rounds} rounds of {args.ms:g} ms; ONNX Runtime "
          f"{ort.__version__}\n{'net':26} {'batch':>5} {'ours, net':>21} {'ours, model':>21} "
          f"{'ONNX Runtime':>21} {'GFLOP/s':>7} {'theirs':>7} {'ratio':>6}")
    for line in (args.folder / "nets.txt").read_text().splitlines():
        name, file, shape, flops = line.split("\t")
        for n_rows in BATCHES if args.only in name else ():
            net, model, theirs = measure(args.folder / file, [int(d) for d in shape.split("x")], n_rows, ours, args)
            ratio, work = min(theirs) / min(net), int(flops) * n_rows / 1000
            if work:
                worst[n_rows == 1] = min(worst.get(n_rows == 1, (1e9,)), (ratio, f"{name}, batch {n_rows}"))
            print(f"{name:26} {n_rows:5} {figure(net)} {figure(model)} {figure(theirs)} {work / min(net):7.1f} "
                  f"{work / min(theirs):7.1f} {ratio:6.2f}", flush=True)
    for is_one, aim in ((True, "2"), (False, "0.8")):
        if is_one in worst:
            print(f"lowest ratio {'at batch 1' if is_one else 'at larger batches'} (aim {aim}): "
                  f"{worst[is_one][0]:.2f}, {worst[is_one][1]}")


if __name__ == "__main__":
    main()
