#!/usr/bin/env python3
"""Proves that the ONNX project's own test cases come out here as they should.
How: every case of the node suites (Debian's libonnx-testdata: opset 17; those that come with the onnx
package: opset 24) is run by run_onnx_cases. A case whose operators are on the list below, whose types are
served and which asks for inference must pass. Every other must be refused with a reason that names the
operator, type or opset. None may crash or answer wrongly. Prints a table per operator and the totals.

Usage: check_suite.py RUN_ONNX_CASES [--table FILE] [--write FILE]
  --table FILE  FILE must hold the table that this run gives (models/OPERATORS.md)
  --write FILE  writes it"""
import argparse
import collections
import pathlib
import subprocess
import sys

import onnx
from onnx import TensorProto

# What is served, as users are told.
LISTED = {
    "ai.onnx": """Gemm MatMul Einsum Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Pad
        BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization
        LpNormalization LSTM GRU RNN Scan Loop If Relu LeakyRelu PRelu Elu Selu Celu ThresholdedRelu Sigmoid
        HardSigmoid HardSwish Swish Mish Tanh Softplus Softsign Gelu Softmax LogSoftmax Hardmax Erf Clip Add Sub
        Mul Div Pow Mod Neg Abs Sign Sqrt Exp Log Reciprocal Floor Ceil Round Max Min Mean Sum Sin Cos Equal Less
        Greater LessOrEqual GreaterOrEqual And Or Xor Not Where IsNaN IsInf Cast CastLike Constant ConstantOfShape
        Shape Size Identity Dropout Reshape Flatten Transpose Squeeze Unsqueeze Expand Tile Concat Split Slice
        ReverseSequence Gather GatherElements GatherND ScatterElements ScatterND Compress NonZero OneHot EyeLike Range Trilu TopK
        ArgMax ArgMin CumSum ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2
        ReduceSumSquare ReduceLogSum ReduceLogSumExp QuantizeLinear DequantizeLinear DynamicQuantizeLinear
        MatMulInteger QLinearMatMul""".split(),
    "ai.onnx.ml": """TreeEnsembleClassifier TreeEnsembleRegressor TreeEnsemble LinearClassifier LinearRegressor
        SVMClassifier SVMRegressor Scaler Imputer Normalizer Binarizer OneHotEncoder LabelEncoder
        ArrayFeatureExtractor FeatureVectorizer DictVectorizer ZipMap""".split(),
}
TYPES = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL,
         TensorProto.UINT8, TensorProto.INT8, TensorProto.STRING, TensorProto.UNDEFINED}
OPSETS = range(7, 25)
# Listed, and still refused.
SHORT = {"test_scan_sum": "Scan of opset 8 scans a batch of sequences, from 9 on one"}
# Cases whose expected values are rough themselves: compared within the suite's own 1e-3.
ROUGH = {f"test_{window}window{symmetric}_expanded": "its graph takes pi to be 3.14159"
         for window in ("blackman", "hamming", "hann") for symmetric in ("", "_symmetric")}
ROUGH["test_averagepool_2d_ceil_last_window_starts_on_pad"] = "its values have four digits"
SUITES = [("opset 17", pathlib.Path("/usr/share/libonnx-testdata/data")),
          ("opset 24", pathlib.Path(onnx.__file__).parent / "backend/test/data")]
FOLDERS = ["node", "simple", "pytorch-converted", "pytorch-operator"]
PASSES_MIN = 900
FINE = ("pass", "refused", "short", "other")


class Facts:
    """What a model asks for."""

    def __init__(self, model):
        self.operators, self.types, self.other = set(), set(), []
        self.opsets = {o.domain or "ai.onnx": o.version for o in model.opset_import}
        self.functions = {(f.domain, f.name) for f in model.functions}
        if self.opsets.get("ai.onnx", 24) not in OPSETS:
            self.other.append("opset")
        self.graph(model.graph)
        for function in model.functions:
            for node in function.node:
                self.node(node)

    def type_of(self, proto, is_input):
        if proto.HasField("tensor_type"):
            self.types.add(proto.tensor_type.elem_type)
        elif is_input or not proto.HasField("sequence_type"):
            self.other.append("sequence")

    def node(self, node):
        domain = node.domain or "ai.onnx"
        if (node.domain, node.op_type) not in self.functions:
            self.operators.add((domain, node.op_type))
        attributes = {a.name: a for a in node.attribute}
        if node.op_type == "Cast":
            self.types.add(attributes["to"].i)
        if node.op_type == "BatchNormalization" and "training_mode" in attributes:
            self.other += ["training"] * (attributes["training_mode"].i != 0)
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            self.other.append("training")  # it may be false, and then the case passes
        for attribute in node.attribute:
            if attribute.HasField("t"):
                self.types.add(attribute.t.data_type)
            if attribute.HasField("g"):
                self.graph(attribute.g)

    def graph(self, graph):
        for value in list(graph.input) + list(graph.value_info):
            self.type_of(value.type, True)
        for value in graph.output:
            self.type_of(value.type, True)
        for tensor in graph.initializer:
            self.types.add(tensor.data_type)
        for node in graph.node:
            self.node(node)

    def is_ours(self):
        return (not self.other and self.types <= TYPES
                and all(name in LISTED.get(domain, ()) for domain, name in self.operators))


# Cases whose expected values are wrong: an int8 that is out of range wraps around in them, where the
# operator's text says that it saturates, as ONNX Runtime does.
WRAPPED = {"test_qlinearmatmul_2D_int8_float32", "test_qlinearmatmul_3D_int8_float32"}


def run(tool, cases):
    """Outcomes by folder."""
    rough = [case for case in cases if case.name in ROUGH]
    return (run_within(tool, [case for case in cases if case.name not in ROUGH], "1e-5")
            | run_within(tool, rough, "1e-3"))


def run_within(tool, cases, rtol):
    """A case that ends the tool is a crash."""
    outcomes, left = {}, list(cases)
    while left:
        done = subprocess.run([tool, "--rtol", rtol, *map(str, left)], capture_output=True, text=True, timeout=1200)
        lines = done.stdout.split("\n")[:-1]
        for case, line in zip(left, lines):
            outcomes[case] = tuple(line.split("\t")[1:3])
        left = left[len(lines):]
        if left:
            outcomes[left[0]] = ("crash", f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
            left = left[1:]
    return outcomes


def judge(case, outcome, reason, facts):
    """'pass', 'refused' (as it should be), 'short' (known), 'other' (the case is wrong), or what is wrong."""
    if outcome == "pass":
        return "pass"
    if outcome == "wrong" and case.name in WRAPPED and " is -128, expected " in reason:
        return "other"
    if outcome != "refused":
        return outcome
    if not facts.is_ours():
        return "refused"
    return "short" if case.name in SHORT else "refused, but it is on the list"


def table(rows):
    lines = ["| operator | domain | passed, opset 17 | passed, opset 24 | refused by name |", "|---|---|---|---|---|"]
    for domain, names in LISTED.items():
        for name in sorted(names):
            row = rows[(domain, name)]
            lines.append(f"| {name} | {domain} | {row['pass', 'opset 17'] or ''} | {row['pass', 'opset 24'] or ''} | "
                         f"{row['refused', 'opset 17'] + row['refused', 'opset 24'] or ''} |")
    return "\n".join(lines)


def document(rows, totals):
    return f"""# Operators of ONNX

Opsets 7 to 24 of `ai.onnx`, 1 to 5 of `ai.onnx.ml`. Types: float, double, int32, int64, bool, uint8, int8, and
strings where encoders need them. What is not here is refused by name.

The numbers are cases of the ONNX project's own node suites in which the operator stands: how many pass, and how
many are refused because they want another type (float16, ...), another operator beside it, or training. Operators
without numbers have no case there; `tests/conformance/onnx` has others for them. Written by
`tests/conformance/onnx/check_suite.py --write`; a test compares it.

{table(rows)}

{totals}
"""


def main():
    args = argparse.ArgumentParser()
    args.add_argument("tool")
    args.add_argument("--table", type=pathlib.Path)
    args.add_argument("--write", type=pathlib.Path)
    args.add_argument("-v", action="store_true", help="say every case that is refused, and why")
    args = args.parse_args()
    rows = collections.defaultdict(collections.Counter)
    all_totals, n_bad, words = collections.Counter(), 0, []
    for suite, root in SUITES:
        cases = sorted(p.parent for f in FOLDERS for p in (root / f).glob("*/model.onnx"))
        if not cases:
            print(f"{root}: no cases", file=sys.stderr)
            return 1
        totals = collections.Counter()
        for case, (outcome, reason) in run(args.tool, cases).items():
            facts = Facts(onnx.load(case / "model.onnx", load_external_data=False))
            verdict = judge(case, outcome, reason, facts)
            totals[verdict] += 1
            for operator in facts.operators:
                rows[operator][verdict, suite] += 1
            if verdict not in FINE or (args.v and verdict != "pass"):
                print(f"{suite} {case.name}: {verdict}: {reason}")
        n_bad += sum(n for verdict, n in totals.items() if verdict not in FINE)
        all_totals += totals
        words.append(f"{suite}: {sum(totals.values())} cases, {totals['pass']} pass, {totals['refused']} are refused by name"
                     + (f", {totals['short']} fall short" if totals["short"] else "")
                     + (f", {totals['other']} are wrong themselves" if totals["other"] else ""))
    text = document(rows, ". ".join(words) + ".")
    print(table(rows))
    print("\n".join(words))
    print(f"{all_totals['pass']} pass, {n_bad} are not as they should be")
    if args.write:
        args.write.write_text(text)
    if args.table and args.table.read_text() != text:
        print(f"{args.table} is not what this run gives: write it again with --write", file=sys.stderr)
        return 1
    return 1 if n_bad or all_totals["pass"] < PASSES_MIN else 0


if __name__ == "__main__":
    sys.exit(main())
