#!/usr/bin/env python3
"""The command line as somebody meets it who mistypes, whose disk is full and whose files are broken:
the exit code by the table of the formats, the words on the screen, and that nothing is lost or
overwritten. No Kafka is needed; the standard library does.

    test_cli.py PATH-OF-OUZEL [UNITTEST-OPTIONS]

Exact texts stand here for the mistakes that are made most often; a changed text is a change that users
see. Elsewhere a word or two of the message are looked for.
"""
import csv
import gzip
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

OUZEL = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/ouzel").resolve())
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "pipelines/examples/card-fraud"
NETS = pathlib.Path(__file__).resolve().parents[1] / "unit/models/fixtures/nets"
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ", re.MULTILINE)


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode() if done.stdout is not None else ""
        self.err = STAMP.sub("", done.stderr.decode(errors="replace"))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ouzel-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("pipeline.yaml", "fraud.ubj", "fraud.golden.csv"):
            shutil.copy(EXAMPLE / name, self.folder)

    def ouzel(self, *args, code=0, **options):
        options = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run([OUZEL, *map(str, args)], cwd=self.folder, stderr=subprocess.PIPE, timeout=120,
                              check=False, **options)
        result = Result(done)
        self.assertEqual(result.code, code, result.err)
        return result

    def edit(self, name, old, new):
        """Replaces the only place of `old`."""
        path = self.folder / name
        text = path.read_text()
        self.assertEqual(text.count(old), 1, old)
        path.write_text(text.replace(old, new))

    def events(self, n=200):
        """Sorted transactions, one a second, of ten customers and three terminals."""
        return [json.dumps({"tx_id": i, "at": f"2018-04-01T00:{i // 60:02}:{i % 60:02}Z", "customer": f"c{i % 10}",
                            "terminal": f"t{i % 3}", "amount": 10 + i % 7}) for i in range(n)]

    def write_events(self, name="tx.jsonl", lines=None):
        path = self.folder / name
        path.write_text("\n".join(self.events() if lines is None else lines) + "\n")
        return path


class Usage(Case):
    def test_verbs(self):
        self.assertIn("usage: ouzel VERB", self.ouzel(code=2).err)
        self.assertTrue(self.ouzel("runn", code=2).err.startswith("ouzel: unknown verb `runn`: did you mean `run`?\n"))
        self.assertTrue(self.ouzel("--version").out.startswith("ouzel "))
        self.assertIn("backfill", self.ouzel("--help").out)
        for verb in ("run", "check", "topics", "backfill", "state", "demo", "schema", "model"):
            self.assertIn(f"usage: ouzel {verb}", self.ouzel(verb, "--help").out)
            self.assertEqual(self.ouzel(verb, "-h").out, self.ouzel(verb, "--help").out)

    def test_arguments(self):
        for verb in ("run", "check", "topics", "backfill", "state"):
            self.assertEqual(self.ouzel(verb, code=2).err, f"ouzel {verb}: which pipeline file?\n")
            self.assertEqual(self.ouzel(verb, "a", "b", code=2).err, f"ouzel {verb}: one pipeline file, not also b\n")
        self.assertIn("which one? There is `fraud`", self.ouzel("demo", code=2).err)
        self.ouzel("schema", "x", code=2)

    def test_options(self):
        say = lambda *args: self.ouzel(*args, code=2).err
        self.assertEqual(say("run", "--brokerwait", "1s"),
                         "ouzel run: unknown option --brokerwait: did you mean --broker-wait?: see ouzel run --help\n")
        self.assertEqual(say("run", "-x"), "ouzel run: unknown option -x: see ouzel run --help\n")
        self.assertEqual(say("run", "--set"), "ouzel run: --set takes a value\n")
        self.assertEqual(say("model", "info", "--set", "a=1", "x.onnx"),  # no pipeline file is read
                         "ouzel model: unknown option --set: see ouzel model --help\n")
        self.assertEqual(say("schema", "--reference=1"), "ouzel schema: --reference takes no value\n")
        self.assertEqual(say("run", "--log-level", "loud"),
                         "ouzel: loud is no log level: error, warn, info, debug or trace\n")
        self.assertEqual(say("run", "--log-format", "xml"), "ouzel: xml is no log format: text or json\n")
        self.assertIn("is no duration", say("run", "--broker-wait", "5", "p.yaml"))
        self.assertIn("from 1 to", say("topics", "--partitions", "0", "p.yaml"))
        self.assertIn("at most 64 times --set", say("check", *["--set", "workers=1"] * 65, "pipeline.yaml"))

    def test_output_that_cannot_be_written(self):
        for args in (["check", "pipeline.yaml"], ["schema"], ["--version"]):
            with open("/dev/full", "wb") as full:
                self.assertIn("No space left", self.ouzel(*args, stdout=full, code=7).err)

    def test_closed_output_is_no_place_for_a_table(self):
        self.write_events()
        done = subprocess.run(["/bin/sh", "-c", f"exec {OUZEL} backfill pipeline.yaml --from transactions=tx.jsonl >&-"],
                              cwd=self.folder, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)


class PipelineFile(Case):
    def mistake(self, old, new, text, code=3):
        self.edit("pipeline.yaml", old, new)
        self.assertEqual(self.ouzel("check", "pipeline.yaml", code=code).err, text)

    def test_good(self):
        self.assertIn("golden rows agree", self.ouzel("check", "pipeline.yaml").out)

    def test_missing(self):
        self.assertEqual(self.ouzel("check", "no.yaml", code=4).err,
                         "error cannot read `no.yaml`: No such file or directory\n")
        self.assertIn("Is a directory", self.ouzel("check", ".", code=4).err)

    def test_not_a_pipeline(self):
        (self.folder / "empty.yaml").touch()
        self.assertIn("found nothing", self.ouzel("check", "empty.yaml", code=3).err)
        (self.folder / "huge.yaml").write_text("# " + "x" * (2 << 20))
        self.assertIn("huge.yaml", self.ouzel("check", "huge.yaml", code=3).err)
        (self.folder / "binary.yaml").write_bytes(bytes(range(256)))
        self.assertIn("not text", self.ouzel("check", "binary.yaml", code=3).err)

    def test_misspelt_field(self):
        self.mistake("customer_mean_1d:   mean(amount) by", "customer_mean_1d:   mean(amout) by",
                     "pipeline.yaml:33:28: there is no field `amout`; did you mean `amount`?\n"
                     "   33 |   customer_mean_1d:   mean(amout) by customer over 1d\n"
                     "      |                            ^\n"
                     "error 1 mistake in pipeline.yaml\n")

    def test_misspelt_score(self):
        self.mistake("when: fraud >= 0.8", "when: frud >= 0.8",
                     "pipeline.yaml:55:23: there is no feature, score or field `frud`; did you mean `fraud`?\n"
                     "   55 |     high_risk: {when: frud >= 0.8, suppress: 10m by customer}\n"
                     "      |                       ^\n"
                     "error 1 mistake in pipeline.yaml\n")

    def test_two_mistakes(self):
        self.edit("pipeline.yaml", "lateness: 10m", "lateness: 10")
        self.mistake("delivery: exactly_once", "delivry: exactly_once",
                     "pipeline.yaml:13:15: expected a duration such as `250ms`, `10m` or `1h30m`, found `10`\n"
                     "   13 |     lateness: 10\n"
                     "      |               ^\n"
                     "pipeline.yaml:57:1: unknown key `delivry`: did you mean `delivery`?\n"
                     "   57 | delivry: exactly_once              # or at_least_once\n"
                     "      | ^\n"
                     "error 2 mistakes in pipeline.yaml\n")

    def test_place_in_a_folded_expression(self):
        self.mistake("night:              hour(at) <= 6", "night: >\n    hour(at)\n    <= sixe",
                     "pipeline.yaml:33:8: there is no field or feature `sixe`\n"
                     "   33 |     <= sixe\n"
                     "      |        ^\n"
                     "error 1 mistake in pipeline.yaml\n")

    def test_set(self):
        check = lambda setting, code: self.ouzel("check", "pipeline.yaml", "--set", setting, code=code).err
        self.assertEqual(check("workers=0", 3), "--set workers=0: expected 1 to 256, found `0`\n"
                                                "error 1 mistake in pipeline.yaml\n")
        self.assertEqual(check("epoch", 2), "error --set epoch: expected key=value\n")
        self.assertIn("did you mean `every`?", check("epoch.evry=1s", 3))
        self.assertEqual(check("features.x=amount * 2", 0), "")

    def test_rows_for_ever(self):
        def hints(*sets):
            sets = sum((["--set", s] for s in ("features.ever=count() by customer", *sets)), [])
            return [x.split() for x in self.ouzel("check", "pipeline.yaml", *sets).out.split("\n") if " hint " in x]

        self.assertNotIn("hint", self.ouzel("check", "pipeline.yaml").out)
        (hint,) = hints()
        self.assertIn("`customer`", hint)
        self.assertIn("state.ttl", hint)
        self.assertEqual(hints("state.ttl=400d"), [])

    def test_ttl_below_a_window(self):
        self.edit("pipeline.yaml", "memory: 2GiB}", "memory: 2GiB, ttl: 3d}")
        said = self.ouzel("check", "pipeline.yaml", code=3).err
        self.assertIn("pipeline.yaml:59:53: state.ttl is 3d, and rows of the entity `customer` are of use for up to "
                      "30d10m", said)

    def test_unset_variable(self):
        self.edit("pipeline.yaml", "${KAFKA:-localhost:9092}", "${KAFKA_NOT_SET}")
        self.assertIn("the environment variable `KAFKA_NOT_SET` is not set", self.ouzel("check", "pipeline.yaml", code=3).err)

    def test_kafka_settings(self):
        check = lambda code, *sets: self.ouzel("check", "pipeline.yaml", *sum((["--set", s] for s in sets), []), code=code).err
        self.assertIn("did you mean bootstrap.servers?", check(3, "kafka.bootstrap.server=x"))
        self.assertIn("is set by the engine", check(3, "kafka.group.id=x"))
        self.assertEqual(check(0, "kafka.security.protocol=SASL_SSL", "kafka.sasl.mechanism=PLAIN",
                               "kafka.sasl.username=u", "kafka.sasl.password=p"), "")
        self.assertNotIn("hunter2", check(3, "kafka.sasl.password=hunter2", "kafka.sasl.mechanizm=PLAIN"))


class State(Case):
    def setUp(self):
        super().setUp()
        self.write_events()
        self.ouzel("backfill", "pipeline.yaml", "--from", "transactions=tx.jsonl", "-o", "t.csv", "--state", "rows")

    def state(self, *args, code=0, dir="rows"):
        return self.ouzel("state", "pipeline.yaml", "--set", f"state.dir={dir}", *args, code=code)

    def test_counts(self):
        self.assertRegex(self.state().out, r"(?s)customer +10 +10 .*terminal +3 +3 ")
        said = json.loads(self.state("--json").out)
        self.assertEqual([(e["name"], e["rows"]) for e in said["entities"]], [("customer", 10), ("terminal", 3)])
        self.assertEqual(said["partitions"][0]["sources"]["transactions"], 200)

    def test_rows(self):
        lines = [json.loads(line) for line in self.state("--rows").out.splitlines()]
        self.assertEqual(len(lines), 13)
        row = json.loads(self.state("--entity", "customer", "--key", "c3").out)
        self.assertIn(row, lines)
        events = row["row"]["rings"][0]["events"]
        self.assertEqual([e["id"] for e in events], list(range(3, 200, 10)))
        self.assertEqual([e["values"][0] for e in events], [10 + i % 7 for i in range(3, 200, 10)])

    def test_mistakes(self):
        self.assertIn("did you mean `customer`?", self.state("--entity", "custmer", code=2).err)
        self.assertIn("of which entity?", self.state("--key", "c3", code=2).err)
        self.assertIn("no row of customer `c99`", self.state("--entity", "customer", "--key", "c99", code=1).err)
        self.assertIn("No such file", self.state(dir="nowhere", code=4).err)
        self.assertIn("no state folder", self.state(dir=".", code=5).err)


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


class Backfill(Case):
    def backfill(self, *args, code=0, source="tx.jsonl", **options):
        return self.ouzel("backfill", "pipeline.yaml", "--from", f"transactions={source}", *args, code=code, **options)

    def table(self, source="tx.jsonl"):
        self.backfill("-o", "out.csv", source=source)
        return (self.folder / "out.csv").read_text()

    def test_forms_of_a_file(self):
        """Packed, with CRLF, without a last newline: the same table."""
        plain = self.write_events().read_text()
        table = self.table()
        self.assertEqual(table.count("\n"), 201)
        (self.folder / "crlf.jsonl").write_bytes(plain.replace("\n", "\r\n").encode())
        (self.folder / "cut.jsonl").write_text(plain[:-1])
        (self.folder / "packed.jsonl").write_bytes(gzip.compress(plain.encode()))
        for source in ("crlf.jsonl", "cut.jsonl", "packed.jsonl"):
            self.assertEqual(self.table(source), table, source)
        with open(self.folder / "tx.jsonl", "rb") as stdin:
            self.assertEqual(self.backfill(source="/dev/stdin", stdin=stdin).out, table)

    def test_empty_file(self):
        self.write_events(lines=[]).write_text("")
        self.assertEqual(self.table().count("\n"), 1)

    def test_broken_lines(self):
        lines = self.events(8)
        bad = ['{"tx_id":', "[]", '{"tx_id":1}', "\x00\x01", "null", "{}", "x" * 100000]
        self.write_events(lines=lines[:4] + bad + lines[4:])
        err = self.backfill("-o", "out.csv").err
        self.assertIn("warn  tx.jsonl:5: not taken: not valid JSON", err)
        self.assertIn("more records like these are only counted", err)
        self.assertIn("8 lines", err)
        self.assertIn("7 records not taken", err)

    def test_empty_key_of_an_entity(self):
        event = json.loads(self.events(1)[0])
        event["terminal"] = ""
        self.write_events(lines=[json.dumps(event)] * 3)
        lines = self.table().splitlines()
        count = lines[0].split(",").index("terminal_count_7d")
        self.assertEqual([line.split(",")[count] for line in lines[1:]], ["", "", ""])

    def test_damaged_packing(self):
        self.write_events()
        whole = gzip.compress((self.folder / "tx.jsonl").read_bytes())
        (self.folder / "tx.jsonl.gz").write_bytes(whole[:-100])
        self.assertIn("cut short", self.backfill("-o", "out.csv", code=4, source="tx.jsonl.gz").err)
        self.assertEqual(list(self.folder.glob("out.csv*")), [])

    def test_unsorted(self):
        lines = self.events(10)
        self.write_events(lines=lines[5:] + lines[:5])
        self.assertIn("tx.jsonl:6: the file is not sorted", self.backfill("-o", "out.csv", code=1).err)
        self.assertEqual(list(self.folder.glob("out.csv*")), [])

    def test_wrong_sources(self):
        self.write_events()
        self.assertIn("--from transactions=FILE", self.ouzel("backfill", "pipeline.yaml", code=2).err)
        self.assertIn("has no source `x`", self.ouzel("backfill", "pipeline.yaml", "--from", "x=tx.jsonl", code=2).err)
        self.assertIn("No such file", self.backfill(code=4, source="no.jsonl").err)
        self.assertIn("one file a source", self.backfill("--from", "transactions=tx.jsonl", code=2).err)
        self.assertIn("needs its file", self.backfill("--target", "labels.fraud", code=2).err)
        self.assertIn("is text", self.backfill("--from", "labels=tx.jsonl", "--target", "labels.terminal", code=2).err)
        self.assertIn("no regular file", self.backfill("--from", "labels=/dev/stdin", "--target", "labels.fraud", code=2,
                                                       stdin=subprocess.DEVNULL).err)

    def test_output_is_never_the_input(self):
        path = self.write_events("tx.csv")
        before = path.read_bytes()
        self.assertIn("is the file of `transactions`", self.backfill("-o", "./tx.csv", code=2, source="tx.csv").err)
        self.assertEqual(path.read_bytes(), before)

    def test_output_names(self):
        self.write_events()
        self.assertIn("cannot make no/out.csv.part", self.backfill("-o", "no/out.csv", code=4).err)
        self.assertIn("is a folder", self.backfill("-o", ".", code=4).err)
        self.assertIn("a .csv or a .csv.zst, not out.parquet", self.backfill("-o", "out.parquet", code=2).err)
        self.assertFalse((self.folder / "out.parquet").exists())

    def test_pipe_is_written_and_stays_a_pipe(self):
        self.write_events()
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
        self.backfill("-o", "pipe")
        out, _ = reader.communicate(timeout=30)
        self.assertEqual(out.decode(), self.table())
        self.assertTrue(pipe.is_fifo())

    def test_full_disk(self):
        self.write_events()
        with open("/dev/full", "wb") as full:
            self.assertIn("No space left", self.backfill(code=7, stdout=full).err)

    def test_state_folder(self):
        self.write_events()
        self.backfill("-o", "out.csv", "--state", "rows")
        self.assertIn("is in use already", self.backfill("-o", "out.csv", "--state", "rows", code=5).err)
        self.assertIn("Not a directory", self.backfill("-o", "out.csv", "--state", "tx.jsonl", code=4).err)
        self.assertIn("is no state folder", self.backfill("-o", "out.csv", "--state", ".", code=5).err)

    def test_temporary_folder_is_removed(self):
        self.write_events()
        scratch = self.folder / "scratch"
        scratch.mkdir()
        self.backfill("-o", "out.csv", env={**os.environ, "TMPDIR": str(scratch)})
        self.assertEqual(list(scratch.iterdir()), [])
        self.backfill("-o", "out.csv", env={**os.environ, "TMPDIR": "/nowhere"}, code=4)

    def test_interrupted(self):
        pipe = self.folder / "tx.jsonl"
        os.mkfifo(pipe)
        child = subprocess.Popen([OUZEL, "backfill", "pipeline.yaml", "--from", "transactions=tx.jsonl", "-o", "out.csv"],
                                 cwd=self.folder, stderr=subprocess.PIPE)
        with open(pipe, "w") as feed:
            feed.write("\n".join(self.events()) + "\n")
            feed.flush()
            time.sleep(1)
            child.send_signal(signal.SIGINT)
            time.sleep(0.2)
        _, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 7, err)
        self.assertIn("stopped before the end", err.decode())
        self.assertEqual(list(self.folder.glob("out.csv*")), [])


class Broker(Case):
    def test_none_answers(self):
        err = self.ouzel("run", "pipeline.yaml", "--broker-wait", "1s", "--set", "kafka.bootstrap.servers=127.0.0.1:1", code=4).err
        self.assertIn("no broker answers at 127.0.0.1:1", err)
        self.assertIn("is bootstrap.servers right?", err)
        self.assertFalse((self.folder / "state").exists())

    def stop_while_waiting(self, n_signals, gap_s):
        child = subprocess.Popen([OUZEL, "run", "pipeline.yaml", "--set", "kafka.bootstrap.servers=127.0.0.1:1"],
                                 cwd=self.folder, stderr=subprocess.PIPE)
        child.stderr.readline()
        for _ in range(n_signals):
            child.send_signal(signal.SIGTERM)
            time.sleep(gap_s)
        child.communicate(timeout=30)
        return child.returncode

    def test_stopped_while_waiting(self):
        self.assertEqual(self.stop_while_waiting(1, 0), 0)

    def test_one_stop_may_come_twice(self):
        self.assertEqual(self.stop_while_waiting(2, 0.001), 0)


class Demo(Case):
    def demo(self, *args, code=0):
        return self.ouzel("demo", "fraud", "--for", "2s", "--rate", "500", *args, code=code)

    def test_arguments(self):
        self.assertIn("there is `fraud`, and no `frod`", self.ouzel("demo", "frod", code=2).err)
        for args in (["--rate", "x"], ["--rate", "0"], ["--for", "x"], ["--days", "0"]):
            self.ouzel("demo", "fraud", *args, code=2)

    def test_runs_and_leaves_the_folder_alone(self):
        """In a folder with a pipeline's own state, which stays."""
        own = self.folder / "state"
        own.mkdir()
        (own / "ouzel.lock").touch()
        (own / "rows").write_text("precious")
        out = self.demo("--folder", ".").out
        self.assertIn("Summary", out)
        self.assertEqual((own / "rows").read_text(), "precious")

    def test_folder_is_a_file(self):
        (self.folder / "file").touch()
        result = self.demo("--folder", "file", code=4)
        self.assertIn("Not a directory", result.err)
        self.assertNotIn("Summary", result.out)

    def test_two_at_once(self):
        first = subprocess.Popen([OUZEL, "demo", "fraud", "--for", "6s", "--rate", "500"], cwd=self.folder,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        first.stderr.readline()
        time.sleep(2)
        self.assertIn("is in use by process", self.demo(code=5).err)
        first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0)

    def test_mistake_in_a_setting(self):
        self.assertIn("--set workers=x: expected a whole number, found `x`\n", self.demo("--set", "workers=x", code=3).err)

    def test_write(self):
        self.ouzel("demo", "fraud", "--write", "data", "--days", "2", "--customers", "20", "--terminals", "20")
        self.assertEqual(sorted(path.name for path in (self.folder / "data").iterdir()),
                         ["labels.jsonl.zst", "transactions.jsonl.zst"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
