#!/usr/bin/env python3
"""Models that are missing, broken, of another kind or not what the pipeline file says; `ouzel model info`, `check` and
`predict`; nets in a pipeline file.

    test_model_verb.py PATH-OF-OUZEL [UNITTEST-OPTIONS]
"""
import csv
import io
import pathlib
import re
import shutil
import sys
import unittest

from cli_case import Case

NETS = pathlib.Path(__file__).resolve().parents[1] / "unit/models/fixtures/nets"


class Models(Case):
    def refused(self, code, *words):
        err = self.ouzel("check", "pipeline.yaml", code=code).err
        for word in words:
            self.assertIn(word, err)

    def test_missing(self):
        (self.folder / "fraud.ubj").unlink()
        self.refused(4, "fraud.ubj: the model cannot be opened")

    def test_broken(self):
        model = self.folder / "fraud.ubj"
        whole = model.read_bytes()
        for broken in (b"", b"hello", whole[:-1], whole[:100000], whole + b"x"):
            model.write_bytes(broken)
            self.refused(6, "fraud.ubj")

    def test_other_json(self):
        (self.folder / "fraud.ubj").write_text('{"name": "John"}')
        self.refused(6, "this is no model of XGBoost")

    def test_golden_rows(self):
        golden = self.folder / "fraud.golden.csv"
        whole = golden.read_text()
        lines = whole.splitlines()
        for text, word in (("", "empty"), (lines[0] + "\n", "there are no rows"), (whole[:5000], "cells for"),
                           (whole.replace("amount,", "amuont,", 1), '"amuont", is not one of the model\'s'),
                           (whole.replace(lines[4], lines[4].rsplit(",", 1)[0] + ",0.123"), "the trainer predicted 0.123")):
            golden.write_text(text)
            self.refused(6, "fraud.golden.csv", word)
        golden.unlink()
        self.refused(4, "the golden rows cannot be opened", "what the trainer predicted")
        golden.mkdir()
        self.refused(4, "Is a directory")

    def test_feature_is_missing(self):
        self.edit("pipeline.yaml", "  night:              hour(at) <= 6\n", "")
        self.refused(3, "the model `fraud` wants a feature `night` that is not defined")


class ModelFile(Case):
    """`ouzel model` on the nets of tests/unit/models/fixtures/nets, whose golden rows are ONNX Runtime's."""

    def setUp(self):
        super().setUp()
        for file in NETS.glob("*.*"):
            shutil.copy(file, self.folder)

    def model(self, *args, code=0, **options):
        return self.ouzel("model", *args, code=code, **options)

    def predict(self, model, text, code=0):
        (self.folder / "rows.csv").write_text(text)
        return self.model("predict", model, "rows.csv", code=code)

    def columns(self, name, wanted):
        """The golden rows' columns, those of the inputs or those behind them, as a table."""
        rows = list(csv.reader(io.StringIO((self.folder / f"{name}.golden.csv").read_text())))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(r[:wanted] if wanted > 0 else r[-wanted:] for r in rows)
        return out.getvalue()

    def test_usage(self):
        say = lambda *args: self.model(*args, code=2).err
        self.assertEqual(say(), "ouzel model: what? info FILE, check FILE or predict FILE ROWS.csv\n")
        self.assertEqual(say("inof", "x"), "ouzel model: there is no `inof`, did you mean `info`?: info, check or predict\n")
        self.assertEqual(say("check"), "ouzel model check: which model file?\n")
        self.assertIn("which table", say("predict", "x.onnx"))
        self.assertIn("not also y", say("info", "x", "y"))
        self.assertIn("--features is from 1 to", say("info", "x", "--features", "0"))

    def test_info(self):
        said = self.model("info", "many_inputs.onnx").out
        for words in (r"format +onnx, net", r"producer +by-hand 1", r"opsets +ai.onnx 17", r"features +6, not all named",
                      r"rows +512 at a time", r"40 rows agree within 1e-05 \(many_inputs.golden.csv\)", r"hour +int64 +\[N, 1\] +hour",
                      r"pair +double +\[N, 2\] +no names in the file", r"probabilities +float +\[N, 2\] +probabilities_0, ",
                      r"Cast +5  ai.onnx"):
            self.assertRegex(said, words)
        self.assertRegex(self.model("info", "texts.onnx").out, r"label +string +\[N, 1\] +none: it is text")
        self.assertRegex(self.model("info", "mixing.onnx").out, "one at a time: what a row gives depends on the rows beside it")
        said = self.model("info", "fraud.ubj").out
        for words in (r"xgboost-ubjson, binary:logistic", r"trees +\d+, with \d+ nodes", r"golden +200 rows agree to the bit",
                      r"output +float +\[N\] +output"):
            self.assertRegex(said, words)

    def test_refused(self):
        self.assertIn("fixed_four.onnx: input `x` is [4, 3], for batches of 4 rows only", self.model("info", "fixed_four.onnx", code=6).err)
        self.assertIn("say how many features it takes", self.model("check", "sequence.onnx", code=6).err)
        self.assertIn("40 golden rows agree", self.model("check", "sequence.onnx", "--features", "8").out)
        self.assertIn("cannot be opened", self.model("info", "none.onnx", code=4).err)
        whole = (self.folder / "texts.onnx").read_bytes()
        for broken in (b"", whole[:50], whole[:-20], whole + b"x"):
            (self.folder / "texts.onnx").write_bytes(broken)
            self.assertIn("texts.onnx", self.model("check", "texts.onnx", code=6).err)

    def test_check(self):
        self.assertIn("40 golden rows agree", self.model("check", "one_input.onnx").out)
        self.assertIn("there are no golden rows", self.model("check", "mixing.onnx").out)
        golden = self.folder / "one_input.golden.csv"
        lines = golden.read_text().splitlines()
        for changed, code in ((1e-6, 0), (1e-4, 6)):
            cells = lines[1].split(",")
            cells[-1] = str(float(cells[-1]) + changed)
            (self.folder / "other.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
            err = self.model("check", "one_input.onnx", "--golden", "other.csv", code=code).err
            self.assertEqual("other.csv:2: the trainer predicted" in err, code == 6)
        golden.write_text("\n".join(lines[:3]).replace("x_1", "hour"))  # by place: the file has no names of its own
        self.assertIn("2 golden rows agree", self.model("check", "one_input.onnx").out)

    def test_predict(self):
        """The scores of the golden rows' inputs, within the tolerance; texts as they are."""
        for name, inputs in (("one_input", 3), ("many_inputs", 6), ("lookup", 1), ("texts", 2), ("sequence", 8)):
            got = list(csv.reader(io.StringIO(self.predict(f"{name}.onnx", self.columns(name, inputs)).out)))
            want = [row[inputs:] for row in csv.reader(io.StringIO((self.folder / f"{name}.golden.csv").read_text()))]
            if name == "texts":
                labels = {"oslo": "A", "rome, it": "B \"b\"", "bern": "C", "paris": "other"}
                cities = [r[0] for r in csv.reader(io.StringIO(self.columns(name, 1)))][1:]
                self.assertEqual([r[0] for r in got], ["label"] + [labels[c] for c in cities])
                got = [r[1:] for r in got]
            self.assertEqual(got[0], want[0])
            self.assertEqual(len(got), len(want))
            for g, w in zip(got[1:], want[1:]):
                for a, b in zip(g, w):
                    self.assertTrue(a == "" if b == "nan" else abs(float(a) - float(b)) <= 1e-5, (name, a, b))

    def test_predict_by_name_and_by_place(self):
        by_name = self.predict("texts.onnx", "more,amount,city\n1,0.5,bern\n2,,oslo\n3,1,\n")
        self.assertEqual(by_name.out.splitlines()[0], 'label,probabilities_yes,"probabilities_no, never"')
        self.assertTrue(by_name.out.splitlines()[1].startswith("C,"))
        self.assertEqual(by_name.out.splitlines()[2:], ["A,,", ",,"])
        by_place = self.predict("one_input.onnx", "a,b,c\n1,2,3\n")
        self.assertIn("columns are taken by their place: there is none of the name `x_0`", by_place.err)
        self.assertEqual(by_place.out, self.predict("one_input.onnx", "x_2,x_1,x_0\n3,2,1\n").out)
        self.assertIn("rows.csv:1: there is no column `x_0`, and the 2 columns are not as many as the model's 3 features",
                      self.predict("one_input.onnx", "a,b\n1,2\n", code=1).err)
        self.assertIn("the column `x_1` is there twice", self.predict("one_input.onnx", "x_0,x_1,x_1,x_2\n", code=1).err)

    def test_predict_mistakes(self):
        say = lambda text, code=1: self.predict("one_input.onnx", text, code=code).err
        self.assertIn("rows.csv:1: the table is empty", say(""))
        self.assertIn("rows.csv:3: cell 2, `x`, is not a number (`x_1`)", say("x_0,x_1,x_2\n1,2,3\n1,x,3\n"))
        self.assertIn("rows.csv:2: 2 cells for 3 columns", say("x_0,x_1,x_2\n1,2\n"))
        self.assertIn("rows.csv:2: a quoted cell has no end", say('x_0,x_1,x_2\n1,"2,3\n'))
        self.assertIn("none.csv: cannot be opened", self.model("predict", "one_input.onnx", "none.csv", code=4).err)
        lookup = self.predict("lookup.onnx", "at\n1\n77\n2.5\n3\n")
        self.assertEqual(lookup.out, "y\n20\n\n\n40\n")
        self.assertIn("rows.csv:3: the model cannot take this row: Gather", lookup.err)
        self.assertIn("1 of 4 rows were not taken", lookup.err)

    def test_predict_streams(self):
        """Much longer than a block, from a pipe, with lines inside of cells; order and values stay."""
        rows = "".join(f'"{["oslo", "rome, it", "a" + chr(10) + "b"][i % 3]}",{i % 7}\n' for i in range(50000))
        (self.folder / "rows.csv").write_bytes(b"\xef\xbb\xbfcity,amount\r\n" + rows.encode())
        with open(self.folder / "rows.csv", "rb") as stdin:
            got = self.model("predict", "texts.onnx", "-", stdin=stdin).out.splitlines()
        self.assertEqual(len(got), 50001)
        self.assertEqual(got[1:22] * 2, got[22:64])
        self.assertEqual(len(set(got[1:])), 21)
        with open("/dev/full", "wb") as full:
            self.model("predict", "texts.onnx", "rows.csv", stdout=full, code=7)


class NetInPipeline(Case):
    """How a pipeline names the inputs and outputs of a net."""

    def setUp(self):
        super().setUp()
        for file in NETS.glob("*.*"):
            shutil.copy(file, self.folder)
        self.edit("pipeline.yaml", "models:\n", "models:\n  net: {file: one_input.onnx, inputs: [amount, night, weekend]}\n")
        self.edit("pipeline.yaml", "amount: double}", "amount: double, city: string}")

    def net(self, new, *words, code=3):
        text = (self.folder / "pipeline.yaml").read_text()
        text = re.sub(r"(?m)^  net: .*$", lambda _: "  net: " + new, text)
        (self.folder / "pipeline.yaml").write_text(text)
        result = self.ouzel("check", "pipeline.yaml", code=code)
        for word in words:
            self.assertIn(word, result.err if code else result.out)

    def test_inputs(self):
        self.net("{file: one_input.onnx, inputs: [amount, night, weekend]}", "net: onnx, net", "40 golden rows agree", code=0)
        self.net("{file: one_input.onnx, inputs: {x: [amount, night, weekend]}}", code=0)
        self.net("{file: one_input.onnx}", "input `x` of the model `net` is float[N, 3] and names no features: list its 3 with `inputs`")
        self.net("{file: one_input.onnx, inputs: [amount, night]}", ":46:40: the model `net` takes 3 features, and 2 are listed")
        self.net("{file: one_input.onnx, inputs: {x: [amount]}}", "input `x` of the model `net` takes 3 features, and 1 is listed")
        self.net("{file: one_input.onnx, inputs: {xx: [amount], x: [amount, night, weekend]}}", "has no input `xx`: did you mean `x`?")
        self.net("{file: sequence.onnx, inputs: [amount, night, weekend, customer_count_1d, customer_mean_1d, customer_count_7d, "
                 "customer_mean_7d, customer_count_30d]}", code=0)

    def test_texts(self):
        self.net("{file: texts.onnx}", "net: onnx", code=0)
        self.net("{file: texts.onnx, inputs: {city: customer}}", code=0)
        self.net("{file: texts.onnx, inputs: [amount, amount]}", "feature `amount` is listed twice")
        self.net("{file: texts.onnx, inputs: [night, city]}", "takes text as `city`: expected a field of type `string`",
                 "takes a number as `amount`, and `city` is text")

    def test_outputs(self):
        inputs = "inputs: {hour: night, pair: [customer_count_1d, customer_mean_1d], tiny: weekend}"
        net = lambda outputs: f"{{file: many_inputs.onnx, {inputs}, outputs: {outputs}}}"
        self.net(f"{{file: many_inputs.onnx, {inputs}}}", code=0)
        self.net(net('{net: count, p: "probabilities[1]", flat: out.1}'), code=0)
        self.net(net("{p: probabilities}"), "has 2 numbers: write `probabilities[0]` to `probabilities[1]`")
        self.net(net('{p: "probabilities[2]"}'), "has 2 numbers")
        self.net(net('{p: "count[1]"}'), "output `count` of the model `net` is one number: write `count`")
        self.net(net("{p: conut}"), "the model `net` has no output `conut`: did you mean `count`?")
        self.net("{file: texts.onnx, outputs: {p: label}}", "output `label` of the model `net` is text, and a score is a number")
        self.net("{file: texts.onnx, outputs: {p: probabilities.yse}}", "has no `yse`: did you mean `yes`?")
        self.net('{file: texts.onnx, outputs: {p: probabilities.yes, q: "probabilities.no, never"}}', code=0)
        self.edit("pipeline.yaml", "when: fraud >= 0.8", "when: fraud >= 0.8 or p > q")
        self.assertIn("rule", self.ouzel("check", "pipeline.yaml").out)

    def test_models_of_xgboost(self):
        """The same keys for trees: a file without names, one with names that no feature can have."""
        for name in ("tiny_poisson", "tiny_softprob"):
            for end in (".ubj", ".golden.csv"):
                shutil.copy(NETS.parent / f"{name}{end}", self.folder)
        self.net("{file: tiny_poisson.ubj}", "the model `net` names no features: list its 3 with `inputs: [...]`")
        self.net("{file: tiny_poisson.ubj, inputs: [amount, night, weekend]}", "count:poisson", code=0)
        self.net("{file: tiny_poisson.ubj, inputs: [amount, night]}", "takes 3 features, and 2 are listed")
        self.net("{file: tiny_softprob.ubj}", "wants a feature `hour, local` that is not defined")
        renamed = '"hour, local": night, "the \\"risk\\"": weekend'
        self.net(f"{{file: tiny_softprob.ubj, inputs: {{{renamed}}}}}", code=0)
        self.net(f"{{file: tiny_softprob.ubj, inputs: {{{renamed}, amuont: night}}}}", "has no input `amuont`: did you mean `amount`?")
        self.net(f'{{file: tiny_softprob.ubj, inputs: {{{renamed}}}, outputs: {{low: "output[0]", high: "output[2]"}}}}', code=0)
        self.net(f'{{file: tiny_softprob.ubj, inputs: {{{renamed}}}, outputs: {{low: output}}}}', "has 3 numbers: write `output[0]` to `output[2]`")
        self.write_events()
        self.net(f'{{file: tiny_softprob.ubj, inputs: {{{renamed}}}, outputs: {{low: "output[0]", high: "output[2]"}}}}', code=0)
        out = self.ouzel("backfill", "pipeline.yaml", "--from", "transactions=tx.jsonl", "--scores").out.splitlines()
        self.assertTrue(out[0].endswith(",low,high,fraud"), out[0])
        chosen = [line.split(",")[-3:-1] for line in out[1:]]
        self.net(f"{{file: tiny_softprob.ubj, inputs: {{{renamed}}}}}", code=0)
        out = self.ouzel("backfill", "pipeline.yaml", "--from", "transactions=tx.jsonl", "--scores").out.splitlines()
        self.assertTrue(out[0].endswith(",net_0,net_1,net_2,fraud"), out[0])
        self.assertEqual(chosen, [[line.split(",")[-4], line.split(",")[-2]] for line in out[1:]])
        self.assertEqual(len(chosen), 200)

    def test_names_that_clash(self):
        self.edit("pipeline.yaml", "  amount:  ", "  net_count: 1 + 1\n  amount:  ")
        self.net("{file: many_inputs.onnx, inputs: {hour: night, pair: [customer_count_1d, customer_mean_1d], tiny: weekend}}",
                 "a score of the model `net` has the name of the feature `net_count`")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
