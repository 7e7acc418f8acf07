#!/usr/bin/env python3
"""A backfill is the same table and the same rows however it is cut into batches and workers, and however
little memory it has; its memory does not grow with the history; what is wrong with a file is said with its
place, and no half table is left behind. `full` as an argument: the large sizes."""
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUZEL = os.environ.get("OUZEL", str(ROOT / "build/release/ouzel"))
DUMP_STATE = os.environ.get("OUZEL_DUMP_STATE", str(pathlib.Path(OUZEL).parent / "dump_state"))
PIPELINE = ROOT / "pipelines/examples/card-fraud/pipeline.yaml"
FULL = "full" in sys.argv[1:]


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def generate(folder, days, customers, seed=3):
    folder.mkdir()
    subprocess.run([OUZEL, "demo", "fraud", "--write", folder, "--days", str(days), "--seed", str(seed),
                    "--customers", str(customers), "--terminals", str(2 * customers)], check=True,
                   stderr=subprocess.DEVNULL)
    return folder


def command(data, out, settings=(), state=None, target=True):
    sets = [x for s in settings for x in ("--set", s)]
    more = ["--target", "labels.fraud"] if target else []
    more += ["--state", str(state)] if state else []
    return [OUZEL, "backfill", PIPELINE, "--from", f"transactions={data}/transactions.jsonl.zst", "--from",
            f"labels={data}/labels.jsonl.zst", "-o", str(out), *more, *sets]


def run(arguments, code=0):
    """Peak resident MiB and what was said."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, stderr=log, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read().decode(errors="replace")
    check(process.returncode == code, f"ended with {process.returncode}, not {code}:\n{text[-1500:]}")
    return usage.ru_maxrss / 1024, text


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def rows_of(state):
    return hashlib.sha256(subprocess.run([DUMP_STATE, state], check=True, stdout=subprocess.PIPE).stdout).hexdigest()


def test_any_cut(folder):
    data, first = generate(folder / "cut", 20, 400), None
    for rows, workers in ((4096, 1), (4096, 2), (4096, 4), (7, 1), (7, 4), (1, 2)):
        out, state = folder / "out.csv", folder / f"state-{rows}-{workers}"
        run(command(data, out, [f"batch.rows={rows}", f"workers={workers}"], state))
        got = digest(out), rows_of(state)
        first = first or got
        check(got == first, f"batches of {rows}, {workers} workers: another table or other rows")
    packed = folder / "out.csv.zst"
    run(command(data, packed))
    plain = subprocess.run(["zstd", "-dc", packed], check=True, stdout=subprocess.PIPE).stdout
    check(hashlib.sha256(plain).hexdigest() == first[0], "the packed table is another one")
    print(f"        six cuts and a packed one: the same {plain.count(10) - 1} lines, the same rows")


def test_memory_does_not_grow(folder):
    customers, long_days = (5000, 1200) if FULL else (400, 1200)
    settings = ["state.memory=64MiB", "workers=2"]
    short, _ = run(command(generate(folder / "short", long_days // 10, customers), folder / "s.csv", settings))
    long, _ = run(command(generate(folder / "long", long_days, customers), folder / "l.csv", settings))
    print(f"        peak memory: {long_days // 10} days {short:.0f} MiB, {long_days} days {long:.0f} MiB "
          f"({long / short - 1:+.1%})")
    check(abs(long / short - 1) < 0.10, "memory grows with the history")


def test_many_keys(folder):
    keys = 1000000 if FULL else 200000
    data = folder / "keys"
    data.mkdir()
    with open(data / "transactions.jsonl", "w", encoding="ascii") as out:
        for i in range(keys * 5 // 2):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1522540800 + i // 8))
            out.write(f'{{"tx_id":{i},"at":"{at}","customer":"c{i * 7919 % keys}",'
                      f'"terminal":"t{i * 104729 % keys}","amount":{i % 20000 / 100}}}\n')
    (data / "labels.jsonl").write_text("")
    subprocess.run(["zstd", "-q", "--rm", data / "transactions.jsonl", data / "labels.jsonl"], check=True)
    small, text = run(command(data, folder / "small.csv", ["state.memory=64MiB"], target=False))
    large, _ = run(command(data, folder / "large.csv", ["state.memory=8GiB"], target=False))
    evicted, again = map(int, re.search(r"(\d+) rows evicted, (\d+) read again", text).groups())
    print(f"        {keys} customers and terminals: 64MiB of state {small:.0f} MiB resident, {evicted} rows "
          f"evicted, {again} read again; 8GiB {large:.0f} MiB resident; equal tables")
    check(evicted > keys and again > keys, "nothing was evicted or read again")
    check(small < 64 + 160, f"{small} MiB resident")
    check(digest(folder / "small.csv") == digest(folder / "large.csv"), "another table")


def test_bad_files(folder):
    data = generate(folder / "bad", 3, 100)
    lines = subprocess.run(["zstd", "-dc", data / "transactions.jsonl.zst"], check=True,
                           stdout=subprocess.PIPE).stdout.split(b"\n")
    out = folder / "x.csv"

    def with_lines(content, code, *words):
        (data / "transactions.jsonl.zst").write_bytes(content)
        _, text = run(command(data, out), code)
        for word in words:
            check(word in text, f"it does not say `{word}`:\n{text[-800:]}")
        check(not (folder / "x.csv.part").exists() and out.exists() == (code == 0), "a half table")
        out.unlink(missing_ok=True)
        print(f"        exit {code}: {[l for l in text.splitlines() if l][-1].split('Z ', 1)[1][:150]}")

    with_lines(b"\n".join(lines[:50] + lines[10:11] + lines[50:]), 1, "transactions.jsonl.zst:51")
    with_lines(b"", 0, "0 lines")
    with_lines(b"not JSON\n" * 20, 0, "20 records not taken")
    packed = subprocess.run(["zstd", "-qc"], input=b"\n".join(lines), stdout=subprocess.PIPE, check=True).stdout
    with_lines(packed[:len(packed) // 2], 4, "transactions.jsonl.zst")
    (data / "labels.jsonl.zst").unlink()
    (data / "transactions.jsonl.zst").write_bytes(packed)
    _, text = run(command(data, out), 4)
    check("labels.jsonl.zst" in text, text)


def test_stopped(folder):
    data, out = generate(folder / "stop", 200, 2000), folder / "stopped.csv"
    process = subprocess.Popen(command(data, out), stderr=subprocess.DEVNULL)
    time.sleep(0.6)
    process.send_signal(signal.SIGTERM)
    check(process.wait(20) != 0, "it was through before it could be stopped")
    check(not list(folder.glob("stopped.csv*")), "a half table")


def main():
    failed = 0
    for test in (test_any_cut, test_bad_files, test_stopped, test_memory_does_not_grow, test_many_keys):
        start = time.time()
        with tempfile.TemporaryDirectory(prefix="ouzel-backfill-test-") as folder:
            try:
                test(pathlib.Path(folder))
                print(f"ok      {test.__name__}  {time.time() - start:.1f} s", flush=True)
            except (AssertionError, subprocess.SubprocessError, OSError) as failure:
                failed += 1
                print(f"FAILED  {test.__name__}\n{failure}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
