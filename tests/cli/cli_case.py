"""A folder with the example in it, and the binary run there: what the tests of the command line share. The binary's
path is the first argument of each of them."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

OUZEL = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/ouzel").resolve())
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "pipelines/examples/card-fraud"
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
