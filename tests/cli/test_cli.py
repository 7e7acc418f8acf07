#!/usr/bin/env python3
"""The command line as somebody meets it who mistypes, whose disk is full and whose files are broken:
the exit code by the table of the formats, the words on the screen, and that nothing is lost or
overwritten. No Kafka is needed; the standard library does.

    test_cli.py PATH-OF-OUZEL [UNITTEST-OPTIONS]

Exact texts stand here for the mistakes that are made most often; a changed text is a change that users
see. Elsewhere a word or two of the message are looked for.
"""
import json
import signal
import subprocess
import sys
import time
import unittest

from cli_case import Case, OUZEL


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
