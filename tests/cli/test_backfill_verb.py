#!/usr/bin/env python3
"""`ouzel backfill`: past events from files, whole, broken, compressed or huge, and the table that it writes.

    test_backfill_verb.py PATH-OF-OUZEL [UNITTEST-OPTIONS]
"""
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import unittest

from cli_case import Case, OUZEL


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


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
